"""What the independent model says of scopes: nothing of one as it should be, and it is heard on every fault planted in it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.scoped import ANALYST, AUDITOR, JULY, SECOND, SLICE, at, scoped, step_of
from tests.simulate.planted import Faults, Log, fault

from standpipe.core import events as e
from standpipe.core.amounts import Amounts, Limits
from standpipe.core.details import Permit, Step, Why
from standpipe.core.items import Failure

FAULTS: Faults = {}


def test_nothing_is_said_of_scopes_as_they_should_be() -> None:
    assert Log(list(scoped())).found() == []


# --- order

BEGIN = "is no call that a specialist could begin under"


@fault(FAULTS, BEGIN)
def a_scope_without_a_call(log: Log) -> None:
    log.drop(at(log, e.CallGranted, ANALYST))


@fault(FAULTS, BEGIN)
def a_scope_under_a_tool(log: Log) -> None:
    step_of(log, "st2", kind="tool")


@fault(FAULTS, BEGIN)
def a_scope_twice(log: Log) -> None:
    place = at(log, e.ScopeStarted, ANALYST)
    log.insert(place, log.fact(place))


@fault(FAULTS, BEGIN)
def a_scope_again_after_its_end(log: Log) -> None:
    begun = at(log, e.ScopeStarted, ANALYST)
    log.insert(at(log, e.ScopeEnded, ANALYST), log.fact(begun), *log.events[begun][1].causes)


@fault(FAULTS, "it does not follow from its grant")
def a_scope_from_elsewhere(log: Log) -> None:
    log.caused(at(log, e.ScopeStarted, ANALYST), 3)


@fault(FAULTS, "it does not follow from its grant")
def a_scope_of_another_specialist(log: Log) -> None:
    log.put(at(log, e.ScopeStarted, ANALYST), agent="auditor")


@fault(FAULTS, f"{ANALYST} is not open")
def a_plan_before_its_scope(log: Log) -> None:
    log.insert(at(log, e.CallGranted, ANALYST), log.fact(at(log, e.PlanPatched, ANALYST)))


@pytest.mark.parametrize(
    "late",
    [
        e.PlanPatched(SECOND, 3, Why("continue")),
        e.CallGranted(f"{SECOND}/st3.a2", "st2.a2/st3", "m", Amounts(1, 1, 1), 0, Permit("labels", 1), "key"),
        e.CallFailed(f"{SECOND}/st3.a1", None),  # type: ignore[arg-type]
        e.HoldSettled(f"{SECOND}/st3.a1", Amounts()),
        e.StepEnded("st2.a2/st3", "done"),
        e.CallRefused("st2.a2/st3", "budget"),
        e.DeadlinePassed(SECOND, "soft"),
        e.Asked("t1.st2.a2/st2", "st2.a2/st2", "approval", 0),
        "judged",
        "refused",
        "withdrawn",
    ],
)
def test_nothing_of_a_scope_comes_after_its_end(late: Any) -> None:
    log = Log(list(scoped()))
    move = log.fact(at(log, e.CallCompleted, SECOND)).items[0]
    told = replace(move, answers=move.id, body=Failure("not offered", ""))
    of_items = {
        "judged": e.AnswerJudged(move.id, "resample"),
        "refused": e.CallRefused("", "not offered", items=(told,)),
        "withdrawn": e.ItemsWithdrawn((move.id,), (JULY,), 2),
    }
    log.insert(at(log, e.ScopeEnded, SECOND), of_items.get(late, late) if isinstance(late, str) else late)

    assert any(f"{SECOND} is not open" in text for text in log.found())


@fault(FAULTS, "a call is not over, or not settled")
def a_scope_that_ends_before_its_call_is_settled(log: Log) -> None:
    log.drop(at(log, e.HoldSettled, f"{SECOND}/"))


@fault(FAULTS, "a step has not ended")
def a_scope_that_ends_before_its_step(log: Log) -> None:
    log.drop(at(log, e.StepEnded, "st2.a2/"))


@fault(FAULTS, f"it adds a step that is not of {SECOND}")
def a_step_of_the_turn_in_a_scope(log: Log) -> None:
    place = at(log, e.PlanPatched, SECOND)
    log.put(place, add=(*log.fact(place).add, Step("st9", "tool", "read")))


@fault(FAULTS, "it adds a step that is not of t1")
def a_step_of_a_scope_in_the_turn(log: Log) -> None:
    place = at(log, e.PlanPatched, "t1")
    log.put(place, add=(*log.fact(place).add, Step("st2.a1/st9", "tool", "read")))


@fault(FAULTS, "a step needs one that is not there")
def a_step_that_waits_for_one_of_the_turn(log: Log) -> None:
    step_of(log, "st2.a2/st3", needs=("st1",))


@fault(FAULTS, "the epoch before it is 0")
def an_epoch_of_the_turn(log: Log) -> None:
    log.put(at(log, e.PlanPatched, SECOND), epoch=3)


@fault(FAULTS, "a specialist has no specialists")
def a_specialist_that_delegates(log: Log) -> None:
    step_of(log, "st2.a2/st2", kind="agent")


@fault(FAULTS, "or ends as a scope does")
def a_specialist_that_ends_as_a_tool(log: Log) -> None:
    grant = at(log, e.CallGranted, SECOND)
    log.insert(grant + 1, e.CallCompleted(SECOND), log.events[grant][1].seq)


@fault(FAULTS, f"{AUDITOR} is still open")
def a_turn_that_ends_before_its_scope(log: Log) -> None:
    log.drop(at(log, e.ScopeEnded, AUDITOR))


@fault(FAULTS, f"{SECOND} is not open")
def a_scope_that_ends_twice(log: Log) -> None:
    place = at(log, e.ScopeEnded, SECOND)
    log.insert(place, log.fact(place))


@fault(FAULTS, "a step that ended in it is no cause")
def a_rejoin_without_one_of_its_causes(log: Log) -> None:
    place = at(log, e.ScopeEnded, SECOND)
    log.caused(place, *log.events[place][1].causes[1:])


@fault(FAULTS, "is done though its call did not complete")
def a_step_done_though_its_specialist_failed(log: Log) -> None:
    log.insert(at(log, e.ScopeEnded, ANALYST), e.StepEnded("st2", "done"))


# --- budget and time


@fault(FAULTS, "its limits are not what its call holds")
def a_slice_of_its_own(log: Log) -> None:
    log.put(at(log, e.ScopeStarted, ANALYST), limits=Limits(SLICE + Amounts(1), 7_000))


@fault(FAULTS, f"microusd of {SECOND} is above its limit")
def a_call_above_the_slice(log: Log) -> None:
    log.put(at(log, e.CallGranted, f"{SECOND}/"), hold=Amounts(microusd=101))


@fault(FAULTS, "steps of t1 is above its limit")
def a_slice_above_the_turn(log: Log) -> None:
    _slice(log, Amounts(steps=40))


@fault(FAULTS, "steps of what is set aside to end t1 is used")
def a_slice_of_the_turns_reserve(log: Log) -> None:
    _slice(log, Amounts(steps=27))


def _slice(log: Log, amounts: Amounts) -> None:
    log.put(at(log, e.CallGranted, ANALYST), hold=amounts)
    log.put(at(log, e.ScopeStarted, ANALYST), limits=Limits(amounts, 7_000))


@fault(FAULTS, f"more is set aside to end {ANALYST} than it may use")
def a_reserve_above_the_slice(log: Log) -> None:
    log.put(at(log, e.ScopeStarted, ANALYST), reserve=SLICE + Amounts(1))


@fault(FAULTS, f"microusd of what is set aside to end {SECOND} is used")
def a_call_into_the_reserve_of_the_scope(log: Log) -> None:
    log.put(at(log, e.CallGranted, f"{SECOND}/"), hold=Amounts(microusd=81))


@fault(FAULTS, f"seq 23: steps of what is set aside to end {SECOND} is used")
def a_plan_into_the_reserve_of_the_scope(log: Log) -> None:
    place = at(log, e.PlanPatched, SECOND)
    log.put(place, add=tuple(Step(f"st2.a2/x{n}", "tool", "read") for n in range(4)))


@fault(FAULTS, "its cost is not the sum of what was settled")
def a_scope_with_a_cost_of_its_own(log: Log) -> None:
    log.put(at(log, e.ScopeEnded, SECOND), spent=Amounts(9))


@fault(FAULTS, "its cost is not what its scope used")
def a_slice_settled_for_another_cost(log: Log) -> None:
    log.put(log.where(e.HoldSettled, lambda f: f.call == SECOND), spent=Amounts(9))


@fault(FAULTS, "its call ends before it")
def a_scope_beyond_its_call(log: Log) -> None:
    log.put(at(log, e.ScopeStarted, ANALYST), deadline_at=8_001)


@fault(FAULTS, f"{SECOND} ends before it")
def a_call_beyond_its_scope(log: Log) -> None:
    log.put(at(log, e.CallGranted, f"{SECOND}/"), deadline_at=7_001)


@fault(FAULTS, "only the final call may begin after the soft deadline")
def a_call_after_the_soft_deadline_of_the_scope(log: Log) -> None:
    log.insert(at(log, e.PlanPatched, SECOND), e.DeadlinePassed(SECOND, "soft"))


@fault(FAULTS, "the deadline has not passed")
def a_scope_ended_too_early(log: Log) -> None:
    log.insert(at(log, e.PlanPatched, SECOND), e.DeadlinePassed(SECOND, "hard"))


@fault(FAULTS, f"{SECOND} is parked or cancelled")
def a_call_of_a_scope_while_the_turn_is_parked(log: Log) -> None:
    log.insert(at(log, e.PlanPatched, SECOND), e.TurnParked("t1", 0, 0))


def test_the_deadline_of_a_scope_stands_still_while_the_turn_is_parked() -> None:
    log = Log(list(scoped()))
    place = at(log, e.CallGranted, f"{SECOND}/")
    log.put(place, deadline_at=7_500)
    before = log.found()
    asked = [e.Asked("t1.st2.a2/st9", "st2.a2/st9", "approval", 0), e.TurnParked("t1", 0, 0), e.TurnUnparked("t1", 0, 9_500)]
    for fact in reversed(asked):
        log.insert(place - 1, fact)

    assert len(before) == 1
    assert not any("ends before it" in text or "parked" in text for text in log.found())


# --- attempts and endings

AGAIN = "it may be once, where it is required and failed"


@fault(FAULTS, AGAIN)
def a_third_attempt(log: Log) -> None:
    grant, ended = at(log, e.CallGranted, SECOND), at(log, e.ScopeEnded, SECOND)
    log.put(ended, outcome="failed", items=())
    log.insert(ended, replace(log.fact(grant), call="t1.st2.a3"), *log.events[grant][1].causes)


@fault(FAULTS, AGAIN)
def an_optional_specialist_tried_again(log: Log) -> None:
    step_of(log, "st2", optional=True)


@fault(FAULTS, AGAIN)
def a_specialist_asked_again_after_it_answered(log: Log) -> None:
    log.put(at(log, e.ScopeEnded, ANALYST), outcome="completed")


@fault(FAULTS, AGAIN)
def a_specialist_asked_again_though_it_was_not_wanted(log: Log) -> None:
    log.put(at(log, e.ScopeEnded, ANALYST), outcome="cancelled")


@fault(FAULTS, "it would again")
def a_specialist_that_acted_tried_again(log: Log) -> None:
    _acted(log)
    log.put(at(log, e.ScopeEnded, ANALYST), acted=True)


@fault(FAULTS, "it does not tell that it may have changed the world")
def a_specialist_that_acted_in_silence(log: Log) -> None:
    _acted(log)


def _acted(log: Log) -> None:
    log.put(at(log, e.CallGranted, f"{ANALYST}/"), target="write")
    log.put(at(log, e.CallFailed, ANALYST), unknown=True)


@fault(FAULTS, "it does not tell which steps may have taken effect")
def a_doubt_in_a_scope_left_out_at_the_end(log: Log) -> None:
    log.put(at(log, e.StepEnded, "st2.a1/"), outcome="unknown")


CANCELLED = "cancelled is what somebody cancelled"


@fault(FAULTS, CANCELLED)
def a_scope_cancelled_by_nobody(log: Log) -> None:
    log.put(at(log, e.ScopeEnded, ANALYST), outcome="cancelled")


@fault(FAULTS, CANCELLED)
def a_cancelled_scope_that_answers(log: Log) -> None:
    log.insert(at(log, e.ScopeEnded, SECOND) - 1, e.ScopeCancelled(SECOND, "answered"))


@fault(FAULTS, "is not open, or cancelled before")
def a_scope_cancelled_twice(log: Log) -> None:
    for _ in range(2):
        log.insert(at(log, e.PlanPatched, SECOND), e.ScopeCancelled(SECOND, "answered"))


@fault(FAULTS, "is not open, or cancelled before")
def a_scope_cancelled_for_no_reason(log: Log) -> None:
    log.insert(at(log, e.PlanPatched, SECOND), e.ScopeCancelled(SECOND, ""))


@fault(FAULTS, f"{ANALYST} is not open, or cancelled before")
def a_scope_cancelled_after_its_end(log: Log) -> None:
    log.insert(at(log, e.ScopeEnded, ANALYST), e.ScopeCancelled(ANALYST, "answered"))


@fault(FAULTS, f"{SECOND} is parked or cancelled")
def a_call_of_a_cancelled_scope(log: Log) -> None:
    log.insert(at(log, e.PlanPatched, SECOND), e.ScopeCancelled(SECOND, "answered"))


@fault(FAULTS, f"{SECOND} is parked or cancelled")
def a_call_of_a_scope_of_a_cancelled_turn(log: Log) -> None:
    log.insert(at(log, e.PlanPatched, SECOND), e.CancelRequested("t1", "r2", "user"))


@fault(FAULTS, "no such outcome, or no reason")
def a_scope_with_an_outcome_of_its_own(log: Log) -> None:
    log.put(at(log, e.ScopeEnded, SECOND), outcome="won")


@fault(FAULTS, "no such outcome, or no reason")
def a_scope_that_ends_without_a_reason(log: Log) -> None:
    log.put(at(log, e.ScopeEnded, SECOND), reason="")


@pytest.mark.parametrize("outcome", ["dropped", "failed", "refused"])
def test_a_turn_that_lost_a_scope_is_not_complete(outcome: str) -> None:
    log = Log(list(scoped()))
    log.put(log.where(e.StepEnded, lambda f: f.step == "st3"), outcome=outcome)

    assert any("it is complete though st3 was lost" in text for text in log.found())


def test_a_specialist_that_nobody_waited_for_was_not_lost() -> None:
    log = Log(list(scoped()))
    ended = log.where(e.StepEnded, lambda f: f.step == "st3")
    log.put(ended, outcome="dropped", reason="answered")
    assert any("it is complete though st3 was lost" in text for text in log.found())

    log.drop(ended)
    log.insert(
        log.where(e.AnswerJudged, lambda f: True, log.where(e.PlanPatched, lambda f: f.epoch == 3)),
        e.StepEnded("st3", "dropped", "answered"),
    )
    assert not any("was lost" in text for text in log.found())


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_found(name: str) -> None:
    plant, said = FAULTS[name]
    log = Log(list(scoped()))
    plant(log)
    found = log.found()

    assert any(said in text for text in found), (said, found)
