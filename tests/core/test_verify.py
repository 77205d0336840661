"""The independent model of the promises: silent on what really ran, and heard on every fault planted in it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from tests.core.desk import NOW, call_of
from tests.core.gates import moved
from tests.simulate.planted import Faults, Log, effects, fault, logs, said_of, with_items

from standpipe.core import events as e
from standpipe.core.admit import Reply
from standpipe.core.amounts import Amounts
from standpipe.core.details import Why
from standpipe.core.events import Event, Frame
from standpipe.core.verify import violations

FAULTS: Faults = {}


def test_nothing_is_said_of_sessions_that_really_ran() -> None:
    assert [text for frames in logs() for text in Log(frames).found()] == []


def test_frames_may_come_one_by_one_and_without_bodies() -> None:
    def bare(event: Event) -> Event:
        items = tuple(replace(item, body=None) for item in getattr(event.fact, "items", ()))
        return replace(event, fact=replace(event.fact, items=items)) if items else event

    for frames in logs():
        assert violations(replace(f, events=tuple(map(bare, f.events))) for f in frames) == []


@fault(FAULTS, "it follows seq")
def a_gap_in_the_seqs(log: Log) -> None:
    log.drop(log.where(e.HoldSettled))


@fault(FAULTS, "begins elsewhere")
def a_frame_that_names_another_seq(log: Log) -> None:
    log.frames = [replace(log.frames[0], first_seq=7), *log.frames[1:]]


@fault(FAULTS, "a log begins with SessionOpened")
def no_beginning(log: Log) -> None:
    log.drop(0)


@fault(FAULTS, "a log begins with SessionOpened and has no other")
def a_second_beginning(log: Log) -> None:
    log.insert(3, log.fact(0))


@fault(FAULTS, "the session belongs to nobody")
def nobodys_session(log: Log) -> None:
    log.put(0, principal="")


@fault(FAULTS, "is not before it")
def a_cause_ahead(log: Log) -> None:
    log.caused(log.where(e.TurnStarted), 99)


@fault(FAULTS, "its cause elsewhere:3 is not before it")
def a_cause_elsewhere(log: Log) -> None:
    log.caused(log.where(e.TurnStarted), "elsewhere:3")


@fault(FAULTS, "nothing led to this StepEnded")
def a_decision_without_a_cause(log: Log) -> None:
    log.caused(log.where(e.StepEnded))


@fault(FAULTS, "is named after another event")
def an_item_of_another_event(log: Log) -> None:
    place = log.where(e.CallCompleted, with_items)
    log.put(place, items=(replace(log.fact(place).items[0], id="1.0"),))


@fault(FAULTS, "RelationsChanged does not belong to a session")
def a_fact_of_the_house(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.RelationsChanged("local", "", "command"))


@fault(FAULTS, "StepEnded outside of a turn")
def a_fact_after_the_end(log: Log) -> None:
    log.insert(log.where(e.TurnEnded), log.fact(log.where(e.StepEnded)))


@fault(FAULTS, "t9 is not open")
def a_fact_of_another_turn(log: Log) -> None:
    log.put(log.where(e.PlanPatched), turn="t9")


@fault(FAULTS, "asks nothing, or did before")
def a_turn_asked_for_twice(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), log.fact(log.where(e.TurnRequested)))


@fault(FAULTS, "another turn is still open")
def two_turns_at_once(log: Log) -> None:
    log.insert(log.where(e.PlanPatched), log.fact(log.where(e.TurnStarted)))


@fault(FAULTS, "is not the oldest message that waits")
def a_turn_out_of_order(log: Log) -> None:
    place = log.where(e.TurnStarted)
    log.put(place, turn="t2")


@fault(FAULTS, "more is set aside to end t1 than it may use")
def a_reserve_above_the_limit(log: Log) -> None:
    log.put(log.where(e.TurnStarted), reserve=Amounts(microusd=10**9))


@fault(FAULTS, "the epoch before it is")
def an_epoch_left_out(log: Log) -> None:
    log.put(log.where(e.PlanPatched), epoch=7)


@fault(FAULTS, "it adds a step that is there already")
def a_step_twice(log: Log) -> None:
    place = log.where(e.PlanPatched)
    log.insert(place, replace(log.fact(place), epoch=2))


@fault(FAULTS, "a step needs one that is not there")
def a_step_that_needs_nothing_there_is(log: Log) -> None:
    place = log.where(e.PlanPatched, lambda f: f.add)
    log.put(place, add=tuple(replace(step, needs=("st99",)) for step in log.fact(place).add))


@fault(FAULTS, "its reason is missing, or is no cause")
def a_patch_without_a_reason(log: Log) -> None:
    log.put(log.where(e.PlanPatched), why=Why(""))


@fault(FAULTS, "its reason is missing, or is no cause")
def a_patch_whose_reason_is_no_cause(log: Log) -> None:
    log.caused(log.where(e.PlanPatched, lambda f: f.why.item), 1)


@fault(FAULTS, "steps of what is set aside to end t1 is used before its end")
def a_plan_into_the_reserve(log: Log) -> None:
    place = log.where(e.PlanPatched, lambda f: f.add)
    step = log.fact(place).add[0]
    log.put(place, add=tuple(replace(step, id=f"x{n}", final=False) for n in range(16)))


@fault(FAULTS, "is asked twice")
def an_ask_twice(log: Log) -> None:
    place = log.where(e.Asked)
    log.insert(place, log.fact(place))


@fault(FAULTS, "is not open")
def an_answer_to_nothing(log: Log) -> None:
    log.put(log.where(e.Answered), ask="t1.st99")


@fault(FAULTS, "a turn is parked and goes on by turns")
def parked_twice(log: Log) -> None:
    place = log.where(e.TurnParked)
    log.insert(place, log.fact(place))


@fault(FAULTS, "it is parked though nobody is asked")
def parked_for_nobody(log: Log) -> None:
    log.drop(log.where(e.Asked))


@fault(FAULTS, "the deadline has not passed")
def a_deadline_too_early(log: Log) -> None:
    log.insert(log.where(e.TurnStarted), e.DeadlinePassed("t1", "hard"))


@fault(FAULTS, "a refusal without a reason")
def a_refusal_without_a_reason(log: Log) -> None:
    log.put(log.where(e.CallRefused), code="")


@fault(FAULTS, "ended before")
def a_turn_that_ends_twice(log: Log) -> None:
    place = log.where(e.TurnEnded)
    log.insert(place, log.fact(place))


@fault(FAULTS, "ends without having begun")
def an_end_of_what_never_began(log: Log) -> None:
    log.insert(log.where(e.TurnEnded), e.TurnEnded("t9", "failed", "budget"))


@fault(FAULTS, "what never began costs nothing")
def a_price_for_what_never_began(log: Log) -> None:
    log.insert(log.where(e.TurnEnded), e.TurnEnded("t9", "failed", "budget", Amounts(microusd=1)))


@fault(FAULTS, "no such outcome, or no reason")
def an_outcome_of_its_own(log: Log) -> None:
    log.put(log.where(e.TurnEnded), outcome="won")


@fault(FAULTS, "no such outcome, or no reason")
def an_end_without_a_reason(log: Log) -> None:
    log.put(log.where(e.TurnEnded), reason="")


@fault(FAULTS, "the open turn is")
def the_end_of_another_turn(log: Log) -> None:
    log.put(log.where(e.TurnEnded), turn="t9")


@fault(FAULTS, "it is parked, or a step has not ended")
def a_step_that_never_ends(log: Log) -> None:
    log.drop(log.where(e.StepEnded))


@fault(FAULTS, "its cost is not the sum of what was settled")
def a_cost_of_its_own(log: Log) -> None:
    place = log.where(e.TurnEnded)
    log.put(place, spent=log.fact(place).spent + Amounts(microusd=1))


@fault(FAULTS, "cancelled is what somebody cancelled")
def cancelled_by_nobody(log: Log) -> None:
    log.put(log.where(e.TurnEnded, lambda f: f.outcome == "failed"), outcome="cancelled")


@fault(FAULTS, "has no answer to be kept, or it was kept before")
def a_memory_twice(log: Log) -> None:
    place = log.where(e.MemoryKept)
    log.insert(place, log.fact(place))


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_found(name: str) -> None:
    plant, said = FAULTS[name]
    found = said_of(plant)

    assert any(said in text for text in found), (said, found)


def test_a_violation_names_its_seq() -> None:
    log = Log(logs()[0])
    place = log.where(e.CallGranted)
    log.put(place, key="")

    assert [text.split(":")[0] for text in log.found()][:1] == [f"seq {log.events[place][1].seq}"]


def test_an_answer_is_read_back_as_it_was_checked() -> None:
    frames = logs()[0]
    again = msgspec.json.decode(msgspec.json.encode(frames), type=list[Frame])

    assert violations(again, effects(frames)) == []


@pytest.mark.parametrize(("allow", "until"), [(True, NOW + 1), (False, NOW + 1), (True, NOW)])
def test_a_call_that_a_person_was_asked_about_needs_a_yes_in_time(allow: bool, until: int) -> None:
    desk = moved(call_of("send"))
    desk.admit(Reply("y", "acme", "user:ana", "t1.st2", True))
    facts = [event.fact for event in desk.run().events]
    planted: dict[type, dict[str, object]] = {e.Answered: {"allow": allow}, e.Asked: {"until": until}}
    events = [replace(event, fact=replace(event.fact, **planted.get(type(event.fact), {}))) for event in desk.events]
    assert any(isinstance(fact, e.CallGranted) and fact.target == "send" for fact in facts)
    found = violations([e.Frame(1, NOW, "test", "rules", e.WorldRecord(), tuple(events))])
    said = [text for text in found if "a person was asked about it, and did not say yes, or no longer" in text]
    assert len(said) == (not allow or until == NOW)
