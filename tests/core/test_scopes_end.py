"""Every way a specialist can end, required or optional, and what the turn then does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.core.desk import Desk, call_of, passage
from tests.core.specialists import (
    ANSWER,
    FAILED,
    PASSED,
    SHAPE,
    delegated,
    desk,
    final,
    gaps,
    task,
    valued,
)

from standpipe.core.admit import Cancel
from standpipe.core.details import NOT_SENT, Fault, Verdict
from standpipe.core.events import (
    CallCancelled,
    CallRefused,
    DeadlinePassed,
    ScopeCancelled,
    ScopeEnded,
    ScopeStarted,
    StepEnded,
    TurnEnded,
)
from standpipe.core.items import Answer, Draft, ToolCall

# --- how it ends, and what the turn then does ---------------------------------------------------------------------------


def _again(made: Desk, drafts: tuple[ToolCall, ...], verdicts: tuple[Verdict, ...]) -> None:
    """The specialist says the same each time it is asked, for as long as its first attempt lasts."""
    while "t1.st2.a1" in made.turn.scopes:
        made.came(*drafts, verdicts=verdicts)


def _timeout(made: Desk) -> None:
    made.now += 18_750
    made.run()
    made.broke(Fault("timeout"))
    made.now += 6_250
    made.broke(Fault("timeout"))


def _raises(made: Desk) -> None:
    while "t1.st2.a1" in made.turn.scopes:
        made.broke(Fault("bug"))


def _out_of_budget(made: Desk) -> None:
    """Everything it may hold goes into calls that bring it nowhere."""
    while "t1.st2.a1" in made.turn.scopes:
        made.came(call_of("read", source="a") if made.open()[0].route is not None else passage("a", "It is 3."))


def _cancelled(made: Desk) -> None:
    made.admit(Cancel("c1", "acme", "user:ana", "t1", "user"))
    made.run()
    for call in made.open():
        made.add(CallCancelled(call.id, NOT_SENT))
    made.run()


Ending = tuple[str, Callable[[Desk], object], str, int, str]
ENDINGS: dict[str, Ending] = {
    "answer": ("analyst", lambda d: d.came(ANSWER, verdicts=PASSED), "answered", 1, ""),
    "timeout": ("analyst", _timeout, "deadline", 2, "it did not answer in time"),
    "exception": ("analyst", _raises, "bug", 2, "it broke off"),
    "garbage": ("analyst", lambda d: _again(d, (ANSWER,), FAILED), "unsupported", 2, "nothing it said passed the checks"),
    "nothing": (
        "analyst",
        lambda d: _again(d, (call_of("answer", gaps=[{"text": "Not known."}]),), SHAPE),
        "nothing found",
        1,
        "it found nothing",
    ),
    "schema": (
        "clerk",
        lambda d: _again(d, (call_of("answer", sentences=[{"text": "Many."}], value=[]),), (*PASSED, *valued(False))),
        "schema",
        2,
        "its result did not fit its schema",
    ),
}


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
@pytest.mark.parametrize("name", ENDINGS)
def test_every_ending_of_a_scope_and_what_the_turn_then_does(name: str, optional: bool) -> None:
    to, end, reason, attempts, words = ENDINGS[name]
    made = delegated(task(to, optional=optional))
    end(made)
    first = made.facts(ScopeEnded)[0]
    assert (first.reason, first.outcome == "completed") == (reason, not words)

    tries = 1 if optional else attempts
    assert len(made.facts(ScopeStarted)) == tries
    while len(made.facts(ScopeEnded)) < tries:  # the second attempt ends as the first one did
        made.broke(Fault("bug")) if name in ("timeout", "exception") else _same_again(made, name)
    [ended] = [f for f in made.facts(StepEnded) if f.step == "st2"]
    assert ended.outcome == ("done" if not words else "dropped" if optional else "failed")

    end_of_turn = final(made)
    assert end_of_turn.outcome == ("partial" if words else "completed")
    assert gaps(end_of_turn) == ([f"The specialist `{to}` was lost: {_said(name, words, tries)}."] if words else [])


def _same_again(made: Desk, name: str) -> None:
    moves = {
        "garbage": (ANSWER, FAILED),
        "schema": (call_of("answer", sentences=[{"text": "Many."}], value=[]), (*PASSED, *valued(False))),
    }
    move, verdicts = moves[name]
    made.came(move, verdicts=verdicts)


def _said(name: str, words: str, tries: int) -> str:
    return "it broke off" if name == "timeout" and tries == 2 else words


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_a_specialist_that_is_refused_is_named(optional: bool) -> None:
    made = delegated(task("nobody", optional=optional), task())
    assert [(f.step, f.code) for f in made.facts(CallRefused)] == [("st2", "not_found")]
    made.came(ANSWER, verdicts=PASSED)
    ended = final(made)
    assert (ended.outcome, gaps(ended)) == ("partial", ["A specialist was lost: there is no such specialist."])


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_a_specialist_that_could_not_be_paid_to_its_end_is_not_begun(optional: bool) -> None:
    made = delegated(task(optional=optional), steps=4)
    assert [(f.step, f.code) for f in made.facts(CallRefused)] == [("st2", "budget")]
    ended = final(made)
    assert gaps(ended) == ["The specialist `analyst` was lost: there was no budget left for it."]


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_a_specialist_that_runs_out_of_budget_still_answers_with_what_it_has(optional: bool) -> None:
    made = delegated(task(optional=optional), steps=9)
    while not made.turn.scopes["t1.st2.a1"].last_model_step.spec.final:  # type: ignore[union-attr]
        made.came(call_of("read", source="a") if made.open()[0].route is not None else passage("a", "It is 3."))
    made.came(ANSWER, verdicts=PASSED)
    assert (made.facts(ScopeEnded)[0].outcome, made.facts(ScopeEnded)[0].reason) == ("completed", "budget")
    assert final(made).outcome == "completed"


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_a_cancelled_turn_takes_its_specialists_with_it(optional: bool) -> None:
    made = delegated(task(optional=optional))
    _cancelled(made)
    assert made.facts(ScopeCancelled) == [ScopeCancelled("t1.st2.a1", "user")]
    assert made.facts(ScopeEnded)[0].outcome == "cancelled"
    assert (made.facts(TurnEnded)[0].outcome, made.facts(TurnEnded)[0].reason) == ("cancelled", "user")


def test_when_one_is_lost_the_others_results_stand() -> None:
    made = delegated(task(optional=True), task("clerk"))
    made.broke(Fault("bug"), call="t1.st2.a1/st1.a1")
    made.broke(Fault("bug"), call=next(c.id for c in made.open() if c.id.startswith("t1.st2.a1/")))
    made.came(call_of("answer", value={"total": 3}), call="t1.st3.a1/st1.a1", verdicts=valued(True))
    assert [(f.scope, f.outcome) for f in made.facts(ScopeEnded)] == [("t1.st2.a1", "failed"), ("t1.st3.a1", "partial")]
    shown = [made.turn.items[id].body for id in made.turn.shown]
    assert any(isinstance(body, Answer) and body.value == {"total": 3} for body in shown)
    assert final(made).outcome == "partial"


def test_an_answer_given_beside_a_delegation_ends_the_specialist() -> None:
    made = desk().ask().came(task(), ANSWER, verdicts=PASSED)
    for call in made.open():
        made.add(CallCancelled(call.id, NOT_SENT))
    made.run()
    assert made.facts(TurnEnded)[0].outcome == "completed"


def test_a_specialist_that_changed_something_is_not_tried_again() -> None:
    made = delegated()
    made.came(call_of("put"))
    made.came(Draft(call_of("note")), call=made.open()[0].id)
    while made.turn.scopes:
        made.broke(Fault("bug"))
    assert made.facts(ScopeEnded)[0].acted
    assert len(made.facts(ScopeStarted)) == 1


def test_an_effect_in_doubt_is_shown_though_its_scope_is_over() -> None:
    made = delegated()
    made.came(call_of("put"))
    made.broke(Fault("timeout"), unknown=True)
    made.came(ANSWER, verdicts=PASSED)
    ended = final(made)
    assert ended.unknown == ("st2.a1/st2",)
    assert gaps(ended) == ["The step `put` may or may not have taken effect."]


def test_a_scope_has_a_deadline_of_its_own() -> None:
    made = delegated()
    made.now += 25_000
    made.run()
    assert [(f.turn, f.which) for f in made.facts(DeadlinePassed)] == [("t1.st2.a1", "hard")]
    made.add(CallCancelled(made.open()[0].id, "no longer wanted")).run()
    assert [(f.scope, f.reason) for f in made.facts(ScopeEnded)] == [("t1.st2.a1", "deadline")]
    assert made.facts(ScopeStarted)[-1].scope == "t1.st2.a2"
