"""What a turn did that ends failed or cancelled is taken back by values: newest first, bounded, and what stays is told."""

from __future__ import annotations

from msgspec.structs import replace
from tests.core.desk import NOW, Desk, call_of, source
from tests.core.doers import (
    ANSWER,
    BOOK,
    BROKEN,
    PASSED,
    SHAKY,
    calls,
    cancelled,
    doing,
    done,
    ended,
    failed,
    kinds,
    later,
    over,
    result,
    specialised,
    unsent,
    without,
)

from standpipe.core.aftermath import UNWIND_MS
from standpipe.core.amounts import NOTHING
from standpipe.core.details import Fault
from standpipe.core.effects import TRIES
from standpipe.core.events import (
    CallGranted,
    CallRefused,
    PlanPatched,
    ScopeEnded,
    StepEnded,
    TurnEnded,
    UnwindStarted,
)
from standpipe.core.items import Answer, Data, Draft, Label
from standpipe.core.pending import Perform, pending


def undone(desk: Desk) -> list[str]:
    """The steps that were taken back or tried to be, in order."""
    names = {s.id: s.undoes for p in desk.facts(PlanPatched) for s in p.add if s.kind == "undo"}
    return [names[g.step] for g in desk.facts(CallGranted) if g.step in names]


# --- when -----------------------------------------------------------------------------------------------------------------


def test_a_turn_that_answers_takes_nothing_back() -> None:
    desk = done("book").came(ANSWER, verdicts=PASSED)

    assert over(desk).outcome == "completed" and over(desk).standing == ()
    assert desk.facts(UnwindStarted) == []


def test_a_turn_that_fails_first_takes_back_what_it_did() -> None:
    desk = failed(done("book"))
    assert desk.facts(TurnEnded) == [] and kinds(desk) == [("book", ""), ("book", "undo")]

    desk.came(result())
    assert (over(desk).outcome, over(desk).reason) == ("failed", "no model")
    assert (over(desk).standing, over(desk).unknown) == ((), ())


def test_a_turn_that_is_cancelled_first_takes_back_what_it_did() -> None:
    desk = cancelled(done("book")).broke(Fault("no longer wanted"))
    assert desk.facts(TurnEnded) == [] and kinds(desk) == [("book", ""), ("book", "undo")]

    desk.came(result())
    assert (over(desk).outcome, over(desk).reason, over(desk).standing) == ("cancelled", "user", ())


def test_a_turn_that_is_out_of_time_takes_back_after_its_deadline() -> None:
    desk = later(doing("book"), 60_000).came(result())

    [unwound] = desk.facts(UnwindStarted)
    assert (unwound.outcome, unwound.reason, unwound.until) == ("failed", "deadline", NOW + 60_000 + UNWIND_MS)
    assert desk.facts(CallGranted)[-1].deadline_at == NOW + 60_000 + BOOK.timeout_ms
    assert over(desk.came(result())).reason == "deadline"


def test_nothing_is_taken_back_that_did_not_happen_or_may_not_have() -> None:
    desk = doing("book", "book", "note")
    desk.broke(Fault("not_found")).broke(BROKEN, unknown=True).came(result())
    failed(desk)

    assert ended(desk) == {"st2": "failed", "st3": "unknown", "st4": "done"}
    assert over(desk).unknown == ("st3",) and desk.facts(UnwindStarted) == []


def test_what_was_found_to_have_happened_is_taken_back() -> None:
    desk = failed(doing("ship").broke(BROKEN, unknown=True).came(result()))

    assert kinds(desk) == [("ship", ""), ("ship", "ask"), ("ship", "undo")]


def test_a_cancelled_turn_asks_first_and_then_takes_back() -> None:
    desk = later(cancelled(doing("ship")).crash(), 6_001)
    assert kinds(desk) == [("ship", ""), ("ship", "ask")]

    assert kinds(desk.came(result())) == [("ship", ""), ("ship", "ask"), ("ship", "undo")]
    assert over(desk.came(result())).outcome == "cancelled"


# --- how ------------------------------------------------------------------------------------------------------------------


def test_it_is_registered_with_the_grant_and_run_under_a_key_of_its_own() -> None:
    desk = failed(done("book"))
    forward, back = (g for g in desk.facts(CallGranted) if g.route is None)

    assert forward.effect is not None and forward.effect.undo == back.key != forward.key
    assert back.purpose == "undo" and back.effect is None


def test_the_last_is_taken_back_first_and_one_after_the_other() -> None:
    desk = failed(done("book", "note", "ship"))
    assert undone(desk) == ["st4"]

    assert undone(desk.came(result())) == ["st4", "st2"]
    assert over(desk.came(result())).outcome == "failed"


def test_it_is_tried_again_with_its_key_and_not_for_ever() -> None:
    desk = failed(done("book", "book"))
    for _ in range(TRIES):
        desk.broke(BROKEN)

    assert undone(desk) == ["st3"] * TRIES + ["st2"]
    assert len({key for _, purpose, key in calls(desk) if purpose}) == 2
    assert over(desk.came(result())).standing == ("st3",)
    assert ended(desk)["st6"] == "failed"


def test_it_is_tried_again_after_a_crash_and_what_is_not_certain_is_told() -> None:
    desk = failed(done("book")).crash()
    assert undone(desk) == ["st2", "st2"]

    desk.crash().broke(SHAKY, unknown=True)
    assert over(desk).standing == ("st2",) and over(desk).unknown == ("st5",)


def test_what_could_not_be_sent_is_sent_again() -> None:
    desk = unsent(unsent(unsent(unsent(failed(done("book"))))))

    assert len(undone(desk)) == 5
    assert over(desk.came(result())).standing == ()


def test_it_is_wanted_though_its_turn_is_not() -> None:
    desk = cancelled(doing("book")).came(result())

    assert pending(desk.state) == [Perform(desk.open()[0].id)]


def test_it_has_a_bounded_time() -> None:
    desk = failed(done("book", "book"))
    desk.now += UNWIND_MS
    desk.broke(SHAKY)

    assert undone(desk) == ["st3"]
    assert over(desk).standing == ("st3", "st2")
    assert [r.code for r in desk.facts(CallRefused)][-1] == "deadline"


def test_the_last_try_has_no_more_time_than_is_left() -> None:
    desk = failed(done("book"))
    desk.now += UNWIND_MS - 1_000
    desk.broke(SHAKY)

    assert [g.deadline_at for g in desk.facts(CallGranted)][-1] == NOW + UNWIND_MS


def test_one_that_may_have_worked_before_its_time_was_over_is_in_doubt() -> None:
    desk = failed(done("book"))
    desk.now += UNWIND_MS
    desk.broke(SHAKY, unknown=True)

    assert over(desk).unknown == ("st5",) and over(desk).standing == ("st2",)


def test_a_turn_that_is_told_to_stop_while_it_takes_back_goes_on_taking_back() -> None:
    desk = cancelled(failed(done("book")))
    assert desk.state.turn is not None and len(pending(desk.state)) == 1

    assert over(desk.came(result())).outcome == "cancelled"


# --- what stands in the way -------------------------------------------------------------------------------------------------


def test_what_may_not_be_called_any_more_stays_and_is_told() -> None:
    desk = done("book")
    desk.permits = lambda call: call.tool != "book"
    failed(desk)

    assert undone(desk) == [] and over(desk).standing == ("st2",)
    assert [r.code for r in desk.facts(CallRefused)][-1] == "not_found"


def test_whether_it_may_be_called_is_waited_for() -> None:
    desk = done("book")
    desk.permits = lambda _: None
    failed(desk)
    assert undone(desk) == [] and desk.facts(TurnEnded) == []

    desk.permits = lambda _: True
    assert undone(desk.run()) == ["st2"]


def test_what_may_no_longer_be_read_is_not_handed_to_a_compensation() -> None:
    desk = doing("book")
    desk.came(Draft(Data("x"), Label(sources=(source("a"),))))
    desk.denied.add(source("a"))
    desk.revision += 1
    failed(desk.run())

    assert undone(desk) == [] and over(desk).standing == ("st2",)


def test_a_tool_that_is_gone_or_cannot_take_back_any_more_leaves_what_it_did() -> None:
    gone = without(done("book"), "book")
    changed = without(done("book"), book=replace(BOOK, compensate=False))

    assert over(failed(gone)).standing == over(failed(changed)).standing == ("st2",)


# --- paid for -------------------------------------------------------------------------------------------------------------


def test_an_effect_is_not_begun_that_could_not_be_taken_back() -> None:
    desk = doing("book", "book", tool_calls=7)
    assert kinds(desk) == [("book", "")] and ended(desk) == {"st3": "refused"}

    assert kinds(doing("book", steps=4)) == [("book", "")]
    assert kinds(doing("book", steps=3)) == []


def test_the_whole_of_it_can_be_afforded_however_much_is_spent() -> None:
    desk = done("book", "book", tool_calls=8, steps=6)
    failed(desk)
    for _ in range(TRIES):
        desk.broke(BROKEN)
    for _ in range(TRIES):
        desk.broke(BROKEN)

    assert over(desk).spent.tool_calls == 8 and over(desk).spent.steps <= 6


def test_a_plan_leaves_room_for_taking_back() -> None:
    assert [r.code for r in done("book", steps=5).came(call_of("note")).facts(CallRefused)] == ["steps"]
    assert done("book", steps=6).came(call_of("note")).facts(CallRefused) == []


def test_what_is_set_aside_is_free_again_once_it_is_not_needed() -> None:
    desk = doing("book").broke(Fault("not_found"))

    assert desk.turn.kept == NOTHING


# --- specialists ------------------------------------------------------------------------------------------------------------


def test_a_specialist_that_fails_takes_back_what_it_did_before_it_is_done_without() -> None:
    desk = failed(specialised("book"))
    assert kinds(desk)[1:] == [("book", ""), ("book", "undo")] and desk.facts(ScopeEnded) == []

    desk.came(result())
    assert desk.facts(ScopeEnded)[-1].outcome == "failed"
    desk.came(ANSWER, verdicts=PASSED)
    assert over(desk).standing == () and over(desk).outcome == "partial"


def test_what_a_specialist_could_not_take_back_is_said_in_the_answer() -> None:
    desk = failed(specialised("book"))
    for _ in range(TRIES):
        desk.broke(BROKEN)
    desk.came(ANSWER, verdicts=PASSED)
    [item] = over(desk).items

    assert over(desk).standing == ("st2.a1/st2",)
    assert isinstance(item.body, Answer)
    assert "What the step `book` did could not be taken back." in [gap.text for gap in item.body.gaps]


def test_what_a_specialist_did_that_did_its_work_is_taken_back_with_the_turn() -> None:
    desk = specialised("book").came(ANSWER, verdicts=PASSED)
    assert desk.facts(ScopeEnded)[-1].outcome == "completed" and desk.turn.kept.tool_calls == TRIES

    failed(desk)
    assert undone(desk) == ["st2.a1/st2"]
    assert desk.facts(CallGranted)[-1].call == "t1.st5.a1"
    assert over(desk.came(result())).standing == ()


def test_a_specialist_whose_agent_is_gone_is_lost_and_what_it_did_stays() -> None:
    desk = specialised("book")
    del desk.agents["clerk"]
    desk.run()
    desk.broke(Fault("no longer wanted"))

    [scope] = desk.facts(ScopeEnded)
    assert (scope.outcome, scope.reason, scope.acted) == ("cancelled", "not_found", True)
    desk.came(ANSWER, verdicts=PASSED)
    assert [s.outcome for s in desk.facts(StepEnded) if s.step == "st2"] == ["failed"]
    assert over(desk).standing == ("st2.a1/st2",)
