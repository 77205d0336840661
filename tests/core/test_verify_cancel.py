"""The independent model of the promises knows of cancellation and of parked sessions: every fault planted there is told."""

from __future__ import annotations

import pytest
from tests.core.scoped import SECOND, at, scoped
from tests.simulate.planted import Faults, Log, fault

from standpipe.core import events as e

FAULTS: Faults = {}
CANCELLED = "cancelled is what somebody cancelled"
LATE = "only the final call may begin after the soft deadline"


def waiting(log: Log) -> e.TurnRequested:
    """A second message."""
    first = log.fact(log.where(e.TurnRequested))
    return e.TurnRequested("t2", "r2", first.items, first.folders)


@fault(FAULTS, LATE)
def a_call_after_a_soft_cancel(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.CancelRequested("t1", "r2", "user", "soft"))


@fault(FAULTS, LATE)
def a_call_of_a_scope_after_it_was_told_softly(log: Log) -> None:
    log.insert(at(log, e.PlanPatched, SECOND), e.ScopeCancelled(SECOND, "user", "soft"))


@fault(FAULTS, f"{SECOND} is parked or cancelled")
def a_call_of_a_scope_that_was_cancelled_alone(log: Log) -> None:
    log.insert(at(log, e.PlanPatched, SECOND), e.CancelRequested("t1", "r2", "user", "firm", SECOND))


@fault(FAULTS, CANCELLED)
def a_softly_cancelled_turn_that_fails(log: Log) -> None:
    log.put(log.where(e.TurnEnded), outcome="failed", items=())
    log.insert(log.where(e.TurnEnded) - 1, e.CancelRequested("t1", "r2", "user", "soft"))


@fault(FAULTS, CANCELLED)
def a_firmly_cancelled_turn_that_is_told_softly_after_it_and_answers(log: Log) -> None:
    for level in ("soft", "firm"):
        log.insert(log.where(e.TurnEnded) - 1, e.CancelRequested("t1", "r2", "user", level))


@fault(FAULTS, "is not open, or cancelled before")
def a_scope_told_less_than_before(log: Log) -> None:
    for level in ("soft", "firm"):
        log.insert(at(log, e.PlanPatched, SECOND), e.ScopeCancelled(SECOND, "user", level))


@fault(FAULTS, "or there is no level gently")
def a_level_of_its_own(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.CancelRequested("t1", "r2", "user", "gently"))


@fault(FAULTS, "t7 is not open")
def a_cancel_of_what_is_not_there(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.CancelRequested("t7", "r2", "user"))


@fault(FAULTS, f"{SECOND} is not open")
def a_cancel_of_a_scope_that_has_not_begun(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.CancelRequested("t1", "r2", "user", "firm", SECOND))


@fault(FAULTS, "the deadline has not passed")
def a_grace_that_nobody_gave(log: Log) -> None:
    log.insert(log.where(e.TurnEnded) - 1, e.DeadlinePassed("t1", "grace"))


@fault(FAULTS, "the deadline has not passed")
def a_grace_that_is_not_over(log: Log) -> None:
    place = log.where(e.TurnEnded) - 1
    log.insert(place, e.DeadlinePassed("t1", "grace"))
    log.insert(place, e.CancelRequested("t1", "r2", "user", "hard", until=2**50))


@fault(FAULTS, "t2 ends without having begun")
def a_message_that_nobody_called_off(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.TurnEnded("t2", "cancelled", "user"))
    log.insert(log.where(e.TurnStarted), waiting(log))


@fault(FAULTS, "t2 ends without having begun")
def a_message_called_off_that_fails(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.TurnEnded("t2", "failed", "user"))
    log.insert(log.where(e.TurnStarted), e.CancelRequested("t2", "r3", "user"))
    log.insert(log.where(e.TurnStarted), waiting(log))


@fault(FAULTS, "a session is parked and driven again by turns")
def a_session_parked_twice(log: Log) -> None:
    for _ in range(2):
        log.insert(log.where(e.TurnStarted), e.SessionParked("crashes"))


@fault(FAULTS, "t1 is parked or cancelled")
def a_call_of_a_parked_session(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.SessionParked("crashes"))


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_found(name: str) -> None:
    plant, said = FAULTS[name]
    log = Log(list(scoped()))
    plant(log)
    found = log.found()
    assert any(said in text for text in found), (said, found)
