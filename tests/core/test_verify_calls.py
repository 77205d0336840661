"""What the independent model says of calls and money: heard on every fault planted in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.simulate.planted import Faults, Log, fault, model_grant, said_of

from standpipe.core import events as e
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import Passed

FAULTS: Faults = {}


@fault(FAULTS, "is not planned, or over")
def a_grant_of_no_step(log: Log) -> None:
    log.put(log.where(e.CallGranted), step="st99")


@fault(FAULTS, "is not planned, or over")
def a_grant_that_nothing_planned(log: Log) -> None:
    log.caused(log.where(e.CallGranted), 1)


@fault(FAULTS, "still waits for another step")
def a_grant_too_early(log: Log) -> None:
    place = log.where(e.PlanPatched, lambda f: any(step.needs for step in f.add))
    needing = next(step for step in log.fact(place).add if step.needs)
    later = log.where(e.CallGranted, lambda f: f.step == needing.id, place)
    log.insert(place, log.fact(later), log.events[place][1].seq)


@fault(FAULTS, "is under way already")
def a_call_twice_at_once(log: Log) -> None:
    place = log.where(e.CallGranted)
    log.insert(place, log.fact(place))


@fault(FAULTS, "nothing permits it")
def a_grant_without_a_permit(log: Log) -> None:
    place = log.where(e.CallGranted)
    log.put(place, permit=replace(log.fact(place).permit, rule=""))


@fault(FAULTS, "nothing is held for it")
def a_grant_without_a_hold(log: Log) -> None:
    log.put(log.where(e.CallGranted), hold=NOTHING)


@fault(FAULTS, "it has no key")
def a_grant_without_a_key(log: Log) -> None:
    log.put(log.where(e.CallGranted), key="")


@fault(FAULTS, "it has no key, or that of")
def a_key_of_another_step(log: Log) -> None:
    first = log.where(e.CallGranted)
    other = log.where(e.CallGranted, lambda f: f.step != log.fact(first).step)
    log.put(other, key=log.fact(first).key)


@fault(FAULTS, "t1 is parked or cancelled")
def a_grant_while_parked(log: Log) -> None:
    grant = log.where(e.CallGranted)
    log.insert(grant - 1, e.TurnParked(log.fact(grant).call.split(".")[0], 0, 0))


@fault(FAULTS, "t1 is parked or cancelled")
def a_grant_after_a_cancel(log: Log) -> None:
    grant = log.where(e.CallGranted)
    log.insert(grant - 1, e.CancelRequested(log.fact(grant).call.split(".")[0], "r", "user"))


@fault(FAULTS, "t1 ends before it")
def a_call_beyond_the_deadline(log: Log) -> None:
    place = log.where(e.CallGranted)
    log.put(place, deadline_at=log.fact(place).deadline_at + 10**9)


@fault(FAULTS, "only the final call may begin after the soft deadline")
def a_call_after_the_soft_deadline(log: Log) -> None:
    grant = log.where(e.CallGranted, model_grant)
    log.insert(grant - 1, e.DeadlinePassed(log.fact(grant).call.split(".")[0], "soft"))


@fault(FAULTS, "a model call without a route")
def a_model_call_without_a_route(log: Log) -> None:
    log.put(log.where(e.CallGranted, model_grant), route=None)


@fault(FAULTS, "a model call without a route, its rule and task")
def a_route_without_a_rule(log: Log) -> None:
    place = log.where(e.CallGranted, model_grant)
    log.put(place, route=replace(log.fact(place).route, rule=""))


@fault(FAULTS, "or without a manifest")
def a_model_call_without_a_manifest(log: Log) -> None:
    log.put(log.where(e.CallGranted, model_grant), manifest=None)


@fault(FAULTS, "a model is passed over for no reason")
def a_model_passed_over_for_no_reason(log: Log) -> None:
    place = log.where(e.CallGranted, model_grant)
    log.put(place, route=replace(log.fact(place).route, passed=(Passed("large", ""),)))


@fault(FAULTS, "tool_calls of t1 is above its limit")
def a_hold_above_the_limit(log: Log) -> None:
    log.put(log.where(e.CallGranted), hold=Amounts(tool_calls=1_000))


@fault(FAULTS, "microusd of what is set aside to end t1 is used before its end")
def a_hold_into_the_reserve(log: Log) -> None:
    started = log.fact(log.where(e.TurnStarted, lambda f: f.reserve.microusd))
    log.put(log.where(e.CallGranted, model_grant), hold=Amounts(microusd=started.limits.amounts.microusd, model_calls=1))


@fault(FAULTS, "took effect, or may have; it would again")
def an_effect_twice(log: Log) -> None:
    _again(log, "put", e.CallCompleted, lambda fact: True)


@fault(FAULTS, "took effect, or may have; it would again")
def an_effect_that_may_have_happened_tried_again(log: Log) -> None:
    _again(log, "write", e.CallFailed, lambda fact: fact.unknown)


@fault(FAULTS, "took effect, or may have; it would again")
def an_effect_cut_off_tried_again(log: Log) -> None:
    _again(log, "write", e.CallInterrupted, lambda fact: True)


def _again(log: Log, tool: str, kind: type, fits: Callable[[Any], bool]) -> None:
    calls = {event.fact.call for _, event in log.events if isinstance(event.fact, e.CallGranted) and event.fact.target == tool}
    over = log.where(kind, lambda f: f.call in calls and fits(f))
    grant = log.where(e.CallGranted, lambda f: f.call == log.fact(over).call)
    again = log.fact(grant).call.rpartition(".")[0] + ".a9"
    log.insert(over, replace(log.fact(grant), call=again), *log.events[grant][1].causes)


@fault(FAULTS, "ended before")
def a_call_that_ends_twice(log: Log) -> None:
    place = log.where(e.CallCompleted)
    log.insert(place, e.CallInterrupted(log.fact(place).call))


@fault(FAULTS, "was never granted")
def a_call_that_was_never_granted(log: Log) -> None:
    place = log.where(e.CallCompleted)
    log.insert(place, e.CallInterrupted(log.fact(place).call.split(".")[0] + ".st1.a7"))


@fault(FAULTS, "its grant is no cause")
def an_outcome_without_its_grant(log: Log) -> None:
    log.caused(log.where(e.CallCompleted), 1)


@fault(FAULTS, "no check has judged this result")
def a_result_without_a_verdict(log: Log) -> None:
    log.put(log.where(e.CallCompleted), verdicts=())


@fault(FAULTS, "nothing is held for")
def a_hold_settled_twice(log: Log) -> None:
    place = log.where(e.HoldSettled)
    log.insert(place, log.fact(place))


@fault(FAULTS, "it is settled before it is over")
def a_hold_settled_too_early(log: Log) -> None:
    log.insert(log.where(e.CallGranted), log.fact(log.where(e.HoldSettled)))


@fault(FAULTS, "it cost more than was held for it")
def a_call_above_its_hold(log: Log) -> None:
    log.put(log.where(e.HoldSettled), spent=Amounts(tool_calls=2))


@fault(FAULTS, "it cost more than was held for it")
def a_call_that_gives_money_back(log: Log) -> None:
    log.put(log.where(e.HoldSettled), spent=Amounts(microusd=-1))


@fault(FAULTS, "a call is not over, or not settled")
def a_hold_never_settled(log: Log) -> None:
    log.drop(log.where(e.HoldSettled))


@fault(FAULTS, "is not planned, or over")
def a_step_that_ends_twice(log: Log) -> None:
    place = log.where(e.StepEnded)
    log.insert(place, log.fact(place))


@fault(FAULTS, "is still open")
def a_step_that_ends_before_its_call(log: Log) -> None:
    place = log.where(e.CallGranted)
    log.insert(place, e.StepEnded(log.fact(place).step, "done"))


@fault(FAULTS, "is done though its call did not complete")
def a_step_done_without_a_result(log: Log) -> None:
    failed = log.where(e.CallFailed)
    step = log.fact(failed).call.split(".")[1]
    log.put(log.where(e.StepEnded, lambda f: f.step == step and f.outcome == "failed", failed), outcome="done")


@fault(FAULTS, "may have taken effect, which is not shown")
def a_doubt_that_is_not_shown(log: Log) -> None:
    log.put(log.where(e.StepEnded, lambda f: f.outcome == "unknown"), outcome="failed")


@fault(FAULTS, "it does not tell which steps may have taken effect")
def a_doubt_left_out_at_the_end(log: Log) -> None:
    log.put(log.where(e.TurnEnded, lambda f: f.unknown), unknown=())


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_found(name: str) -> None:
    plant, said = FAULTS[name]
    found = said_of(plant)

    assert any(said in text for text in found), (said, found)
