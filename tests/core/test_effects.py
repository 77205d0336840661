"""What comes after an effect by values: asked about, tried again, left in doubt, never blindly repeated."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.core.desk import NOW, PRICED, Desk, call_of, policy
from tests.core.doers import (
    BOOK,
    BROKEN,
    DOER,
    GONE,
    NOTE,
    PAY,
    PUT,
    SHAKY,
    UNCLEAR,
    calls,
    cancelled,
    doing,
    ended,
    kinds,
    later,
    over,
    result,
    unsent,
    without,
)

from standpipe.core.admit import Ask, Cancel, Reply
from standpipe.core.amounts import Amounts
from standpipe.core.details import HANGING, Fault
from standpipe.core.effects import TRIES
from standpipe.core.events import CallGranted, CallRefused, StepEnded
from standpipe.core.intents import of_tool
from standpipe.core.items import Failure
from standpipe.core.pending import wakes

LATE = 6_001
"""Longer than the deadline of any call of these tools, and what it takes until nothing of it is under way."""
FINAL = "There is no more to say."


def answered(desk: Desk) -> Desk:
    """The model answers, whatever it was asked."""
    return desk.came(call_of("answer", sentences=[{"text": FINAL}]))


def told(desk: Desk) -> list[str]:
    """The codes of what the model is told of calls that gave nothing."""
    return [i.body.code for s in desk.facts(StepEnded) for i in s.items if isinstance(i.body, Failure)]


# --- keys and what goes on record ---------------------------------------------------------------------------------------


def test_the_key_is_that_of_the_place_of_the_intent_and_the_same_for_all_its_attempts() -> None:
    desk = doing("put", "pay", "put")
    desk.broke(SHAKY, call="t1.st2.a1", unknown=True).broke(BROKEN, call="t1.st3.a1", unknown=True)
    put, pay, again, repeated, asked = calls(desk)

    assert repeated == put and asked == ("pay", "ask", pay[2])
    assert len({put[2], pay[2], again[2]}) == 3
    assert doing("put").facts(CallGranted)[-1].key == put[2]


def test_the_key_differs_by_turn_and_by_session() -> None:
    desk = answered(doing("put").came(result())).ask("Again?").came(call_of("put", n=0))
    other = Desk(DOER)
    other.admit(Ask("r1", "another", "acme", "user:ana", "doer", "What?"))
    keys = [key for _, _, key in calls(desk) + calls(other.run().came(call_of("put", n=0)))]

    assert len(set(keys)) == len(keys) == 3


def test_only_what_may_change_the_world_is_on_record_as_an_effect() -> None:
    desk = doing("look", "note", "put", "ship")
    effects = [g.effect for g in desk.facts(CallGranted) if g.route is None]

    assert [effect and effect.repeat for effect in effects] == [None, "once", "idempotent", "once"]
    assert effects[3] is not None
    assert (effects[3].asking, effects[3].undoing) == (Amounts(tool_calls=TRIES), Amounts(tool_calls=TRIES, steps=1))


# --- asked before anything else -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [BROKEN, SHAKY, Fault("timeout"), Fault("too large")], ids=lambda f: f.code)
def test_an_outcome_in_doubt_is_asked_about_at_once(fault: Fault) -> None:
    desk = doing("pay").broke(fault, unknown=True)

    assert kinds(desk) == [("pay", ""), ("pay", "ask")]
    assert ended(desk) == {}


def test_a_failure_that_is_none_of_the_effect_is_not_asked_about() -> None:
    desk = doing("pay").broke(Fault("not_found"))

    assert kinds(desk) == [("pay", "")] and ended(desk) == {"st2": "failed"}


def test_what_happened_is_done_with_the_result_that_it_had() -> None:
    desk = doing("pay").broke(BROKEN, unknown=True).came(result({"receipt": 7}))

    assert ended(desk) == {"st2": "done"}
    assert over(answered(desk)).unknown == ()


def test_what_did_not_happen_is_tried_again_with_its_key() -> None:
    desk = doing("pay").broke(BROKEN, unknown=True).broke(GONE)

    assert kinds(desk) == [("pay", ""), ("pay", "ask"), ("pay", "")]
    assert len({key for _, _, key in calls(desk)}) == 1
    assert ended(desk.came(result())) == {"st2": "done"}


def test_what_never_happens_fails_after_so_many_tries_and_is_not_in_doubt() -> None:
    desk = doing("pay")
    for _ in range(TRIES):
        desk.broke(BROKEN, unknown=True).broke(GONE)

    assert kinds(desk) == [("pay", ""), ("pay", "ask")] * TRIES
    assert ended(desk) == {"st2": "failed"} and told(desk) == ["did not happen"]
    assert over(answered(desk)).unknown == ()


def test_what_is_not_known_is_left_in_doubt_and_told_to_all() -> None:
    desk = doing("pay").broke(BROKEN, unknown=True).broke(UNCLEAR, unknown=True)

    assert ended(desk) == {"st2": "unknown"} and told(desk) == ["unknown"]
    assert over(answered(desk)).unknown == ("st2",)
    assert kinds(desk) == [("pay", ""), ("pay", "ask")]


def test_asking_may_fail_for_a_moment_and_is_done_again_but_not_for_ever() -> None:
    desk = doing("pay").broke(BROKEN, unknown=True)
    for _ in range(TRIES):
        assert ended(desk) == {}
        desk.broke(SHAKY, unknown=True)

    assert kinds(desk) == [("pay", ""), *[("pay", "ask")] * TRIES]
    assert ended(desk) == {"st2": "unknown"}


def test_asking_is_a_read_and_runs_again_after_a_crash() -> None:
    desk = doing("pay").broke(BROKEN, unknown=True).crash()
    assert kinds(desk) == [("pay", ""), ("pay", "ask"), ("pay", "ask")]

    assert ended(desk.crash().crash()) == {"st2": "unknown"}


def test_an_interrupted_attempt_is_asked_about_once_nothing_of_it_can_be_under_way() -> None:
    desk = doing("pay").crash()
    assert kinds(desk) == [("pay", "")] and wakes(desk.state) == NOW + LATE - 1

    assert kinds(later(desk, LATE)) == [("pay", ""), ("pay", "ask")]
    assert wakes(desk.state) == NOW + 50_000


def test_one_that_hangs_is_asked_about_but_never_tried_again() -> None:
    desk = doing("pay").broke(Fault(HANGING), unknown=True)
    assert kinds(desk) == [("pay", ""), ("pay", "ask")]

    assert ended(desk.broke(GONE)) == {"st2": "unknown"}
    assert ended(doing("pay").broke(Fault(HANGING), unknown=True).came(result())) == {"st2": "done"}


def test_a_question_that_could_not_be_sent_leaves_the_doubt() -> None:
    desk = unsent(doing("pay").broke(BROKEN, unknown=True))
    assert kinds(desk) == [("pay", ""), ("pay", "ask"), ("pay", "ask")]

    assert ended(unsent(unsent(desk))) == {"st2": "unknown"}


def test_who_may_not_make_the_call_any_more_is_not_told_what_came_of_it() -> None:
    desk = doing("pay")
    desk.permits = lambda call: call.tool != "pay"
    desk.broke(BROKEN, unknown=True)

    assert kinds(desk) == [("pay", "")] and ended(desk) == {"st2": "unknown"}


def test_asking_waits_for_the_answer_whether_it_may_be_done() -> None:
    desk = doing("pay")
    desk.permits = lambda _: None
    assert ended(desk.broke(BROKEN, unknown=True)) == {}

    desk.permits = lambda _: True
    assert kinds(desk.run()) == [("pay", ""), ("pay", "ask")]


@pytest.mark.parametrize("late", [50_000, 60_000])
def test_it_is_asked_after_the_deadline_too_but_nothing_is_tried_again(late: int) -> None:
    desk = later(doing("pay"), late).broke(BROKEN, unknown=True)
    assert kinds(desk) == [("pay", ""), ("pay", "ask")]

    desk.broke(GONE)
    assert kinds(desk) == [("pay", ""), ("pay", "ask")]
    assert ended(desk) == {"st2": "failed" if late == 50_000 else "cancelled"}


def test_a_cancelled_turn_ends_once_it_is_known_what_it_did() -> None:
    desk = cancelled(doing("pay"))
    desk.crash()
    assert not desk.open() and desk.state.turn is not None

    assert kinds(later(desk, LATE)) == [("pay", ""), ("pay", "ask")]
    assert ended(desk.came(result())) == {"st2": "done"}
    assert (over(desk).outcome, over(desk).unknown) == ("cancelled", ())


def test_what_may_follow_an_effect_is_set_aside_for_it() -> None:
    desk = doing("pay", "note", "note", tool_calls=5)
    assert kinds(desk) == [("pay", ""), ("note", "")]
    assert ended(desk) == {"st4": "refused"}

    desk.broke(BROKEN, unknown=True)
    for _ in range(TRIES):
        desk.broke(SHAKY, call=desk.open()[-1].id, unknown=True)
    assert kinds(desk).count(("pay", "ask")) == TRIES
    assert ended(doing("pay", tool_calls=3)) == {"st2": "refused"}


def test_who_cannot_pay_for_asking_does_not_know() -> None:
    desk = without(doing("note", tool_calls=1), note=replace(NOTE, reconcile=True)).broke(BROKEN, unknown=True)

    assert kinds(desk) == [("note", "")] and ended(desk) == {"st2": "unknown"}


def test_after_the_grace_of_a_hard_cancellation_nobody_is_asked() -> None:
    desk = doing("pay")
    desk.admit(Cancel("c", "acme", "user:ana", "t1", "user", level="hard"))
    later(desk, 5_000).broke(Fault("no longer wanted"), unknown=True)

    assert kinds(desk) == [("pay", "")]
    assert (over(desk).outcome, over(desk).unknown) == ("cancelled", ("st2",))


def test_what_the_parent_of_a_fork_did_is_not_on_record_as_an_effect_of_the_fork() -> None:
    desk = Desk(DOER, policy=policy(PRICED)).ask()
    desk.state.parent, desk.state.recorded = "parent", {of_tool("doer", "ship", {"n": 0}): [7]}
    desk.came(call_of("ship", n=0))

    assert [(g.recorded, g.effect) for g in desk.facts(CallGranted) if g.route is None] == [(7, None)]


# --- what may be repeated -----------------------------------------------------------------------------------------------


def test_what_is_idempotent_runs_again_and_what_is_not_stays_in_doubt() -> None:
    desk = doing("look", "put", "note").crash()

    assert kinds(desk) == [("look", ""), ("put", ""), ("note", ""), ("look", ""), ("put", "")]
    assert ended(desk) == {"st4": "unknown"}


def test_what_is_refused_after_it_may_have_acted_is_in_doubt() -> None:
    desk = doing("put")
    desk.permits = lambda call: call.tool != "put"
    desk.crash()

    assert ended(desk) == {"st2": "unknown"}
    assert [r.code for r in desk.facts(CallRefused)] == ["not_found"] and told(desk) == ["unknown"]


def test_a_tool_that_is_gone_leaves_reads_failed_and_effects_in_doubt() -> None:
    desk = without(doing("look", "note", "pay"), "look", "note", "pay").crash()

    assert ended(desk) == {"st2": "failed", "st3": "unknown", "st4": "unknown"}
    assert told(desk) == ["interrupted", "unknown", "unknown"]
    assert over(answered(desk)).unknown == ("st3", "st4")


@pytest.mark.parametrize(
    ("name", "now", "outcome"),
    [
        ("note", "read", "unknown"),
        ("note", "idempotent", "unknown"),
        ("put", "once", "unknown"),
        ("look", "once", "unknown"),
        ("put", "read", ""),
    ],
)
def test_a_tool_that_has_changed_is_judged_by_the_more_careful_of_both(name: str, now: str, outcome: str) -> None:
    made = {"read": PUT, "idempotent": PUT, "once": NOTE}[now]
    made = replace(made, name=name, effect="read" if now == "read" else "write")
    desk = without(doing(name), **{name: made}).crash()

    assert ended(desk) == ({"st2": outcome} if outcome else {})


def test_the_same_call_after_one_in_doubt_is_not_made_again_in_the_turn() -> None:
    desk = doing("note").broke(BROKEN, unknown=True).came(call_of("note", n=0), call_of("note", n=1))

    assert kinds(desk) == [("note", ""), ("note", "")]
    assert [(r.step, r.code) for r in desk.facts(CallRefused)] == [("st4", "in doubt")]
    desk.broke(BROKEN, unknown=True)
    assert kinds(answered(desk).ask("Again?").came(call_of("note", n=0)))[-1] == ("note", "")


def test_who_is_asked_anyway_decides_whether_it_is_made_again() -> None:
    desk = doing("sign")
    desk.admit(Reply("yes", "acme", "user:ana", "t1.st2", allow=True))
    desk.run().broke(BROKEN, unknown=True).came(call_of("sign", n=0))
    assert len(kinds(desk)) == 1

    desk.admit(Reply("again", "acme", "user:ana", "t1.st4", allow=True))
    assert kinds(desk.run()) == [("sign", ""), ("sign", "")]


def test_tools_that_can_be_asked_or_undone_are_as_they_were_declared() -> None:
    assert (PAY.reconcile, PAY.compensate, BOOK.reconcile, BOOK.compensate) == (True, False, False, True)
