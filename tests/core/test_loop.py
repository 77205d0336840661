"""The loop by values: every rule of `decide` is needed and stands where it must, and the rules get what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from tests.core.desk import NOW, Desk, call_of, passage, policy, source
from tests.core.specialists import delegated

from standpipe.core import decide as rules
from standpipe.core.admit import Ask, Cancel, Reply
from standpipe.core.context import HISTORY_TURNS
from standpipe.core.decide import conclude, decide
from standpipe.core.details import Fault, Usage, Verdict
from standpipe.core.events import (
    AnswerJudged,
    AskExpired,
    CallCancelled,
    CallCompleted,
    CallGranted,
    CallRefused,
    DeadlinePassed,
    Event,
    Fact,
    HoldSettled,
    ItemsWithdrawn,
    PlanPatched,
    ScopeCancelled,
    StepEnded,
    TurnEnded,
    TurnParked,
    TurnStarted,
    TurnUnparked,
)
from standpipe.core.ids import item_id
from standpipe.core.items import Body, Draft, Label, place
from standpipe.core.lookups import lookups
from standpipe.core.pending import Approve, Perform, Remember, pending, wakes
from standpipe.core.state import State
from standpipe.core.world import Questions, World

ANSWER = call_of("answer", sentences=[{"text": "It is 3."}])
PASSED = (Verdict("citation", "s0", "abstain"),)
FAILED = (Verdict("citation", "s0", "fail", code="uncited"),)


def came(desk: Desk, *bodies: Body, verdicts: tuple[Verdict, ...] = (), sources: tuple[str, ...] = ()) -> Desk:
    """The oldest open call came back; nothing has been decided about it yet."""
    one = desk.open()[0]
    label = Label(sources=tuple(map(source, sources)))
    drafts = [Draft(body, label) for body in bodies]
    items = tuple(place(d, item_id(desk.state.seq + 1, n), one.target, one.step) for n, d in enumerate(drafts))
    return desk.add(CallCompleted(one.id, items, Usage(), verdicts))


def wish(desk: Desk, text: str = "Yes.") -> Desk:
    """A message came in; nothing has been decided about it yet."""
    assert isinstance(desk.admit(Ask(f"w{desk.state.seq}", "s", "acme", "user:ana", "coordinator", text)), list)
    return desk


def cancelled(desk: Desk) -> Desk:
    """Somebody wants the turn to end."""
    assert isinstance(desk.admit(Cancel(f"c{desk.state.seq}", "acme", "user:ana", desk.turn.id, "user")), list)
    return desk


def later(desk: Desk, ms: int) -> Desk:
    """Time passes."""
    desk.now += ms
    return desk


def asking() -> Desk:
    """A turn that is parked with a question to the user."""
    return Desk().ask().came(call_of("ask_user", question="Which?"))


def reading() -> Desk:
    """A turn in which page `a` has been read, and the model is asked again."""
    desk = Desk().ask(folders=("f",)).came(passage("x", "About x.", score=1.0))
    return desk.came(call_of("read", source="a")).came(passage("a", "The limit is 3."))


def until(desk: Desk, kind: type[Fact]) -> tuple[State, World, int]:
    """Decide rule by rule until the next to speak says a fact of this kind: what it sees."""
    for _ in range(50):
        world = desk.world()
        events = decide(desk.state, world, desk.now)
        assert events, f"nobody says {kind.__name__}"
        if isinstance(events[0].fact, kind):
            return desk.state, world, desk.now
        desk.take(events)
    raise AssertionError("the rules find no end")


def said(order: tuple[Callable[..., Sequence[Event]], ...], seen: tuple[State, World, int]) -> list[Event]:
    """What the first of these rules says that says anything."""
    return next((events for rule in order if (events := list(rule(*seen)))), [])


# --- every rule is needed -----------------------------------------------------------------------------------------------

NEEDED: dict[str, tuple[Callable[[], Desk], type[Fact]]] = {
    "recall": (lambda: cancelled(delegated()), ScopeCancelled),
    "_settle": (lambda: came(Desk().ask(), ANSWER, verdicts=PASSED), HoldSettled),
    "_withdraw": (lambda: _denied(reading(), "a"), ItemsWithdrawn),
    "watch_time": (lambda: later(Desk().ask(), 50_000), DeadlinePassed),
    "unpark": (lambda: wish(asking()), TurnUnparked),
    "_end_steps": (lambda: came(reading(), ANSWER, verdicts=PASSED), AnswerJudged),
    "_finish": (lambda: came(Desk().ask(), ANSWER, verdicts=PASSED), TurnEnded),
    "_extend": (lambda: wish(Desk()), PlanPatched),
    "_knock": (lambda: wish(Desk()), CallGranted),
    "park": (lambda: came(Desk().ask(), call_of("ask_user", question="Which?")), TurnParked),
}
"""For each rule a situation in which it speaks, and what it says there."""


def _denied(desk: Desk, *paths: str) -> Desk:
    desk.denied.update(map(source, paths))
    desk.revision += 1
    return desk


def test_the_table_names_every_rule() -> None:
    assert list(NEEDED) == [rule.__name__ for rule in rules._ORDER]


@pytest.mark.parametrize("rule", rules._ORDER, ids=lambda rule: rule.__name__)
def test_without_its_rule_a_fact_is_never_decided(rule: Callable[..., Sequence[Event]]) -> None:
    story, kind = NEEDED[rule.__name__]
    seen = until(story(), kind)
    assert any(isinstance(event.fact, kind) for event in said(rules._ORDER, seen))

    others = tuple(other for other in rules._ORDER if other is not rule)
    assert not any(isinstance(event.fact, kind) for event in said(others, seen))


def test_a_waiting_message_starts_a_turn_when_it_can_be_paid() -> None:
    desk = wish(Desk())
    [started] = decide(desk.state, desk.world(), desk.now)

    assert isinstance(started.fact, TurnStarted)
    assert started.causes == (2,)
    assert started.fact.deadline_at == NOW + 60_000


def test_a_turn_does_not_start_before_its_accounts_were_read() -> None:
    desk = wish(Desk())
    blind = World(desk.policy, {desk.agent.name: desk.agent}, desk.world().access)

    assert decide(desk.state, blind, desk.now) == []


def test_a_turn_that_could_not_be_ended_is_not_begun() -> None:
    desk = wish(Desk(policy=policy(steps=0)))
    events, moves = conclude(desk.state, desk.world(), desk.now)

    assert [event.fact for event in events] == [TurnEnded("t1", "failed", "budget: steps cannot pay for an answer")]
    assert moves == []


def test_no_rule_speaks_when_all_is_as_it_should_be() -> None:
    for desk in (Desk(), Desk().ask(), asking(), reading()):
        assert decide(desk.state, desk.world(), desk.now) == []


def test_decide_changes_nothing() -> None:
    desk = wish(Desk())
    until(desk, CallGranted)

    assert decide(desk.state, desk.world(), desk.now) == decide(desk.state, desk.world(), desk.now)


# --- and stands where it must -------------------------------------------------------------------------------------------


def test_what_a_call_cost_is_known_before_anything_follows_from_it() -> None:
    desk = _denied(came(reading(), call_of("read", source="b"), sources=("a",)), "a")

    assert isinstance(decide(desk.state, desk.world(), desk.now)[0].fact, HoldSettled)


def test_a_reply_to_what_may_no_longer_be_read_is_not_heard() -> None:
    desk = _denied(came(reading(), call_of("read", source="b"), sources=("a",)), "a").run()

    assert [w.sources for w in desk.facts(ItemsWithdrawn)] == [(source("a"),)]
    assert desk.facts(CallGranted)[-1].target == "extractive"
    assert not any(step.spec.item.startswith(str(desk.state.seq)) for step in desk.turn.steps.values())
    assert [len(p.add) for p in desk.facts(PlanPatched)] == [2, 1, 1]


def test_a_deadline_moves_before_it_is_looked_at() -> None:
    desk = wish(later(asking(), 3_600_000)).run()

    [unparked] = desk.facts(TurnUnparked)
    assert unparked.deadline_at == NOW + 3_600_000 + 60_000
    assert desk.facts(DeadlinePassed) == []
    assert desk.open()


def test_what_came_too_late_is_not_asked_again() -> None:
    desk = later(came(Desk().ask(), ANSWER, verdicts=FAILED), 50_000).run()

    assert [judged.action for judged in desk.facts(AnswerJudged)] == ["accept"]
    assert [ended.reason for ended in desk.facts(TurnEnded)] == ["gaps"]


def test_a_failed_answer_is_asked_again_once() -> None:
    desk = came(Desk().ask(), ANSWER, verdicts=FAILED).run()
    came(desk, ANSWER, verdicts=FAILED).run()

    assert [judged.action for judged in desk.facts(AnswerJudged)] == ["resample", "accept"]


def test_a_cancelled_turn_ends_after_its_steps() -> None:
    desk = cancelled(Desk().ask()).run()
    assert desk.facts(StepEnded) == []

    desk.add(CallCancelled(desk.open()[0].id, "no longer wanted")).run()
    assert [s.outcome for s in desk.facts(StepEnded)] == ["cancelled"]
    assert [t.outcome for t in desk.facts(TurnEnded)] == ["cancelled"]


def test_a_parked_turn_does_not_wait_for_anybody_once_it_is_cancelled() -> None:
    desk = cancelled(asking()).run()

    [unparked] = [event for event in desk.events if isinstance(event.fact, TurnUnparked)]
    assert unparked.causes == (desk.state.closed[-1].ended - 3,)
    assert [t.outcome for t in desk.facts(TurnEnded)] == ["cancelled"]


def test_an_answer_is_the_end_of_what_was_called_beside_it() -> None:
    desk = came(Desk().ask(), ANSWER, call_of("search", query="x"), verdicts=PASSED).run()

    assert [s.outcome for s in desk.facts(StepEnded)] == ["done", "dropped"]
    assert len(desk.facts(CallGranted)) == 1
    assert [t.outcome for t in desk.facts(TurnEnded)] == ["completed"]


def test_a_turn_is_parked_only_when_nothing_else_can_go_on() -> None:
    desk = came(Desk().ask(), call_of("ask_user", question="Which?"), call_of("search", query="x")).run()
    assert desk.facts(TurnParked) == []

    desk.came(passage("x", "About x.", score=1.0))
    assert [p.until for p in desk.facts(TurnParked)] == [NOW + 86_400_000]


def test_an_hour_late_the_turn_ends_at_once() -> None:
    desk = later(Desk().ask(), 3_600_000).run()
    assert [d.which for d in desk.facts(DeadlinePassed)] == ["hard"]

    desk.broke(Fault("timeout"))
    assert [(t.outcome, t.reason) for t in desk.facts(TurnEnded)] == [("failed", "deadline")]


def test_what_nobody_answers_expires_and_the_turn_goes_on() -> None:
    desk = later(asking(), 86_400_000).run()

    assert len(desk.facts(AskExpired)) == 1
    assert [s.outcome for s in desk.facts(StepEnded)] == ["done", "failed"]
    assert desk.open()


def test_what_was_asked_for_a_step_that_is_over_does_not_expire() -> None:
    desk = later(asking(), 86_400_000)
    desk.add(StepEnded("st2", "refused")).run()

    assert desk.facts(AskExpired) == []


# --- lookups ------------------------------------------------------------------------------------------------------------


def asked(desk: Desk, request: str = "") -> Questions:
    """What the rules want to know."""
    return lookups(desk.state, {desk.agent.name: desk.agent}, desk.policy, request, desk.now)


def test_for_a_waiting_message_the_accounts_are_asked_and_for_a_running_turn_not() -> None:
    waiting, running = asked(wish(Desk())), asked(Desk().ask())

    assert len(waiting.accounts) == 3
    assert running.accounts == ()


def test_the_first_look_is_asked_for_before_the_turn_has_begun() -> None:
    desk = Desk()
    desk.admit(Ask("r", "s", "acme", "user:ana", "coordinator", "Where?", ("f",)))

    assert [call.tool for call in asked(desk).calls] == ["search"]
    assert [call.tool for call in asked(until_started(desk)).calls] == ["search"]


def until_started(desk: Desk) -> Desk:
    """The turn has begun and nothing more."""
    until(desk, PlanPatched)
    return desk


def test_a_reply_is_looked_into_before_it_is_interpreted() -> None:
    nested = call_of(
        "plan", steps=[{"id": "a", "tool": "read", "arguments": {"source": "a"}}, {"id": "b", "tool": "nothing"}, 3]
    )
    desk = came(Desk().ask(), nested, call_of("read", source="b"), call_of("revise", add="all"), call_of("nothing"))

    assert {call.resources for call in asked(desk).calls} == {("document:a",), ("document:b",)}


def test_a_live_step_is_asked_about_until_it_runs() -> None:
    desk = Desk(permits=lambda _: None).ask().came(call_of("read", source="a"))
    assert [call.resources for call in asked(desk).calls] == [("document:a",)]
    assert not desk.open()

    desk.permits = lambda _: True
    assert asked(desk.run()).calls == ()
    assert desk.open()


def test_the_sources_of_the_turn_and_of_its_history_are_asked_about() -> None:
    assert asked(reading()).sources == (source("x"), source("a"))

    desk = came(Desk().ask(), ANSWER, verdicts=PASSED, sources=("a",)).run()
    assert asked(desk).sources == (source("a"),)

    for _ in range(HISTORY_TURNS):
        desk.ask()
        came(desk, ANSWER, verdicts=PASSED).run()
    assert asked(desk).sources == ()


def test_a_request_is_looked_up_unless_the_state_remembers_it() -> None:
    desk = Desk().ask()

    assert asked(desk, "r1").request == ""
    assert asked(desk, "other").request == "other"


# --- pending and wakes --------------------------------------------------------------------------------------------------


def test_granted_calls_are_owed_until_they_are_over() -> None:
    desk = Desk().ask()
    assert pending(desk.state) == [Perform("t1.st1.a1")]

    desk.broke(Fault("error"))
    assert Perform("t1.st1.a1") not in pending(desk.state)


def test_of_a_cancelled_turn_nothing_is_owed() -> None:
    assert pending(cancelled(Desk().ask()).state) == []


def test_a_call_that_was_shown_what_is_now_withdrawn_is_not_wanted() -> None:
    desk = reading()
    assert len(pending(desk.state)) == 1

    _denied(desk, "a").run()
    assert pending(desk.state) == []
    assert len(desk.open()) == 1


def test_a_person_is_owed_an_answer_only_while_somebody_waits_for_it() -> None:
    desk = Desk().ask().came(call_of("send"))
    assert pending(desk.state) == [Approve("t1.st2")]

    desk.admit(Reply("yes", "acme", "user:ana", "t1.st2", allow=False))
    assert pending(desk.state) == []


def test_an_answer_is_to_be_remembered_until_it_is() -> None:
    desk = came(Desk().ask(), ANSWER, verdicts=PASSED).run()

    assert pending(desk.state) == [Remember("t1")]


def test_a_turn_wakes_for_its_deadlines_and_then_no_more() -> None:
    desk = Desk()
    assert wakes(desk.state) is None

    desk.ask()
    assert wakes(desk.state) == NOW + 50_000
    assert wakes(later(desk, 50_000).run().state) == NOW + 60_000
    assert wakes(later(desk, 10_000).run().state) is None


def test_a_parked_turn_wakes_when_what_it_waits_for_expires() -> None:
    assert wakes(asking().state) == NOW + 86_400_000


def test_the_end_of_a_turn_leaves_nothing_to_wake_for() -> None:
    desk = came(Desk().ask(), ANSWER, verdicts=PASSED).run()

    assert wakes(desk.state) is None
    assert desk.facts(CallRefused) == []
