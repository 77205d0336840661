"""What a fork takes over and what it leaves to its parent, by values."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.core.desk import NOW, PRICED, Desk, call_of, policy
from tests.core.doers import BROKEN, GONE, cancelled, doing, ended, kinds

from standpipe.core.admit import Refusal, Reply
from standpipe.core.amounts import NOTHING, Balance, Move
from standpipe.core.apply import fold
from standpipe.core.budget import moves
from standpipe.core.details import NOT_SENT, Recorded, Usage
from standpipe.core.events import (
    Asked,
    CallCancelled,
    CallGranted,
    CallInterrupted,
    Event,
    Frame,
    HoldSettled,
    SessionForked,
    StepEnded,
    TurnEnded,
    TurnParked,
    WorldRecord,
)
from standpipe.core.fork import Fork, accounts, forked, rest
from standpipe.core.intents import of_tool
from standpipe.core.items import Data
from standpipe.core.state import State
from standpipe.core.world import World

LATER_MS = 7_200_000
"""A fork begins two hours after the cut."""


def one_frame(events: list[Event]) -> list[Frame]:
    return [Frame(events[0].seq, NOW, "here", "rules", WorldRecord(), tuple(events))] if events else []


def state_at(desk: Desk, seq: int) -> State:
    """The session's state behind event `seq`."""
    return fold(one_frame([event for event in desk.events if event.seq <= seq]))


def asked_for(desk: Desk, at: int, *recorded: Recorded, **balances: Balance) -> list[Event] | Refusal:
    """What the wish to fork a desk's session at a seq becomes, two hours later."""
    state, wish = state_at(desk, at), Fork("f", "s", "head", desk.now, "user:ana", recorded)
    world, now = World(desk.policy, desk.agents, desk.world().access), desk.now + LATER_MS
    rows = {name: balances.get(name[0], Balance()) for name in accounts(state, wish, world, now)}
    return forked(state, wish, replace(world, balances=rows), now)


def fork(desk: Desk, at: int = 0, *recorded: Recorded) -> Desk:
    """The fork of a desk's session at a seq (its last), in which the calls that were open are given up."""
    at = at or desk.state.seq
    told = asked_for(desk, at, *recorded)
    assert isinstance(told, list)
    new = Desk(desk.agent, desk.policy, desk.permits)
    new.agents, new.now, new.state, new.wishes = desk.agents, desk.now + LATER_MS, state_at(desk, at), desk.wishes
    for event in told:
        new.moves.extend(moves(new.policy, new.state, event.fact))
    new.take(told)
    for call in new.open():
        new.add(CallInterrupted(call.id))
    return new.run()


def answers(desk: Desk, at: int, *, every: bool = False) -> tuple[dict[str, int], dict[str, int]]:
    """What calls came to after the cut, by intent and by step."""
    later = [event for event in desk.events if event.seq > at]
    found, by_step = rest(state_at(desk, at), one_frame(later), desk.agents, every=every)
    return {one.intent: one.seq for one in found}, by_step


def stopped(desk: Desk) -> Desk:
    """The turn is cancelled, and what is under way given up."""
    cancelled(desk)
    under_way = [call for call in desk.open() if not call.purpose]
    for call in under_way:
        desk.add(CallCancelled(call.id, "no longer wanted")).run()
    return desk


def grant_of(desk: Desk, name: str) -> int:
    """The seq of the first grant of a tool."""
    return next(e.seq for e in desk.events if isinstance(e.fact, CallGranted) and e.fact.target == name)


def last(desk: Desk, kind: type) -> int:
    return next(e.seq for e in reversed(desk.events) if isinstance(e.fact, kind))


def test_what_was_done_before_the_cut_is_not_taken_back_by_the_fork() -> None:
    desk = doing("book").came(Data("ok"))
    assert desk.turn.deeds and desk.turn.kept != NOTHING
    new = fork(desk)
    assert not new.turn.deeds and new.turn.kept == NOTHING
    assert ("book", "undo") not in kinds(stopped(new))
    assert ("book", "undo") in kinds(stopped(desk))


def test_a_turn_that_is_taking_back_cannot_be_forked() -> None:
    desk = stopped(doing("book").came(Data("ok")))
    told = asked_for(desk, desk.state.seq)
    assert isinstance(told, Refusal) and told.code == "unwinding"


def test_an_approval_given_before_the_cut_does_not_count() -> None:
    desk = doing("sign")
    ask = desk.facts(Asked)[0].ask
    assert isinstance(desk.admit(Reply("r9", "acme", "user:ana", ask, True)), list)
    new = fork(desk)
    assert new.turn.parked_at and not new.facts(CallGranted)
    assert isinstance(new.admit(Reply("r10", "acme", "user:ana", ask, True)), list)
    assert new.run().facts(CallGranted)[0].target == "sign"
    assert desk.run().facts(CallGranted)[-1].target == "sign"


def test_what_is_asked_of_a_person_stays_open_and_its_time_begins_anew() -> None:
    desk = doing("sign")
    parked = desk.facts(TurnParked)[-1]
    new = fork(desk)
    assert new.turn.parked_at == parked.at + LATER_MS and new.turn.parked_until == parked.until + LATER_MS
    assert new.turn.deadline_at == desk.turn.deadline_at + LATER_MS
    new.now = parked.until + LATER_MS
    assert ended(new.run()) == {"st2": "refused"}


@pytest.mark.parametrize("name", ["note", "put", "pay", "book"])
def test_whatever_changes_the_world_waits_for_a_person(name: str) -> None:
    desk = Desk(doing().agent, policy=policy(PRICED)).ask()
    new = fork(desk).came(call_of(name, n=1))
    assert new.facts(Asked) and not [g for g in new.facts(CallGranted) if g.route is None]


def test_a_step_planned_before_the_cut_keeps_its_key() -> None:
    desk = doing("sign")
    new = fork(desk)
    for one in (desk, new):
        assert isinstance(one.admit(Reply("r9", "acme", "user:ana", "t1.st2", True)), list)
        one.run()
    assert desk.facts(CallGranted)[-1].key == new.facts(CallGranted)[-1].key


def test_a_fork_holds_what_is_left_and_pays_for_what_follows() -> None:
    desk = Desk(doing().agent, policy=policy(PRICED, microusd=400_000)).ask()
    desk.came(call_of("look"), usage=Usage(1_000, 100))
    spent = desk.turn.spent.microusd
    new = fork(desk)
    left = 400_000 - spent
    names = new.turn.accounts
    assert spent and names[-1] == "s:f" and all("2025-11-24" in name for name in names[:2])
    assert new.moves == [Move(name, held=left) for name in names]
    assert all(fact.spent == NOTHING for fact in new.facts(HoldSettled))
    over = stopped(new).facts(TurnEnded)[-1]
    assert new.moves[len(names) :] == [Move(name, held=-left, spent=over.spent.microusd - spent) for name in names]
    assert new.state.spent.microusd == over.spent.microusd - spent


def test_a_fork_that_could_not_be_paid_to_its_end_is_refused() -> None:
    desk = doing("look", microusd=400_000)
    desk.policy = replace(desk.policy, session={"default": 300_000})
    fact = asked_for(desk, desk.state.seq, s=Balance(held=100_000))
    assert isinstance(fact, list) and isinstance(fact[0].fact, SessionForked) and fact[0].fact.microusd == 200_000
    told = asked_for(desk, desk.state.seq, s=Balance(spent=299_000))
    assert isinstance(told, Refusal) and told.code == "budget" and "1000 are left" in told.text


def test_what_a_call_came_to_is_known_by_its_intent() -> None:
    desk = doing("look", "note", "put")
    at = desk.state.seq
    for name in ("look", "note", "put"):
        assert isinstance(desk.came(Data(name), call=next(c.id for c in desk.open() if c.target == name)), Desk)
    found, by_step = answers(desk, grant_of(desk, "look") - 1)
    arguments = {name: {"n": n} for n, name in enumerate(("look", "note", "put"))}
    assert set(found) == {of_tool("doer", name, arguments[name]) for name in ("note", "put")}
    every, _ = answers(desk, grant_of(desk, "look") - 1, every=True)
    assert set(every) >= {of_tool("doer", name, arguments[name]) for name in arguments}
    assert answers(desk, at)[0] == {} and set(answers(desk, at)[1]) == {"st2", "st3", "st4"} == set(by_step)


def test_of_a_call_that_may_have_acted_an_answer_is_kept_that_says_so() -> None:
    for desk in (doing("note").crash(), doing("note").broke(BROKEN, unknown=True), doing("note")):
        found, _ = answers(desk, grant_of(desk, "note") - 1)
        assert len(found) == 1


def test_a_call_that_did_not_happen_answers_nothing() -> None:
    desk = doing("note")
    unsent = desk.add(CallCancelled(desk.open()[0].id, NOT_SENT))
    assert answers(unsent, grant_of(desk, "note") - 1)[0] == {}
    absent = doing("pay").broke(BROKEN, unknown=True).broke(GONE)
    absent.events = [e for e in absent.events if e.seq < last(absent, CallGranted)]  # before it is tried again
    assert answers(absent, grant_of(absent, "pay") - 1)[0] == {}
    asked = doing("pay").broke(BROKEN, unknown=True).came(Data("paid"))
    (seq,) = answers(asked, grant_of(asked, "pay") - 1)[0].values()
    assert seq == last(asked, StepEnded) - 2 or asked.events[seq - 1].fact.call.endswith("a2")  # type: ignore[union-attr]


def test_an_attempt_that_was_not_sent_leaves_the_doubt_of_the_one_before_it() -> None:
    desk = doing("put").crash()
    desk.add(CallCancelled(desk.open()[0].id, NOT_SENT))
    assert len(answers(desk, grant_of(desk, "put") - 1)[0]) == 1


def test_what_the_parent_took_back_answers_nothing() -> None:
    desk = stopped(doing("book").came(Data("ok")))
    before = grant_of(desk, "book") - 1
    assert len(answers(desk, before)[0]) == 1
    assert answers(desk.came(Data("undone")), before)[0] == {}


def test_an_answer_serves_one_call_and_no_later_turn() -> None:
    agent = doing().agent
    intent = of_tool("doer", "note", {"n": 1})
    desk = Desk(agent, policy=policy(PRICED)).ask()
    new = fork(desk, 0, Recorded(intent, 90), Recorded(intent, 91)).came(*[call_of("note", n=1)] * 3)
    assert [g.recorded for g in new.facts(CallGranted) if g.route is None] == [90, 91] and new.facts(Asked)
    other = fork(desk, 0, Recorded(intent, 90))
    stopped(other)
    other.ask().came(call_of("note", n=1))
    assert other.facts(Asked) and not [g for g in other.facts(CallGranted) if g.recorded]
