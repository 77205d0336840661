"""Forks a session: finds the cut, says what came of the calls that were open there, and writes the fork's first frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from standpipe.core import fork as rules
from standpipe.core.admit import Refusal
from standpipe.core.apply import apply, fold
from standpipe.core.budget import moves
from standpipe.core.details import NOT_SENT
from standpipe.core.events import (
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallInterrupted,
    Event,
    Fact,
    Frame,
)
from standpipe.core.ids import step_of
from standpipe.core.pending import open_turns, performed
from standpipe.core.record import Recorder
from standpipe.core.state import Call, State, share_of
from standpipe.core.world import Access, World
from standpipe.engine.beside import row_of
from standpipe.engine.drive import Setup
from standpipe.engine.perform import job
from standpipe.engine.recall import as_set, recorded
from standpipe.errors import NotFound, Refused, UsageError
from standpipe.ports import Append, Appended, Short

OPERATOR = "operator"
"""Who sets outcomes where no principal is named."""
LEFT = "left to the session that was forked"
"""Why a fork gives up a call that may have acted, and of which its parent recorded nothing."""


class Cut(msgspec.Struct, frozen=True):
    """Where session `parent` is forked: behind `count` of its frames, whose last event is `at`."""

    parent: str
    frames: list[Frame]
    count: int

    @property
    def at(self) -> int:
        """The last seq that is shared."""
        return self.frames[self.count - 1].last_seq


async def fork(setup: Setup, parent: str, at: int | None, given: Mapping[int, Any], by: str | None = None) -> tuple[str, int]:
    """Begin a session that shares the log of `parent`; its id, and the last seq that is shared.

    The cut is the end of the frame that holds `at`; without `at` it is before the first of the outcomes that are set, or the
    end of the log. `given` has JSON values by the seq of the outcome that each takes the place of, whose call must be open at
    the cut. Raises NotFound, UsageError, and Refused where the open turn could not come to an end.
    """
    ports = setup.ports
    while True:
        frames = await ports.log.read(parent)
        if not frames:
            raise NotFound("There is no such session. `standpipe sessions` lists those that exist.")
        cut = Cut(parent, frames, _count(frames, at, given))
        seq, head = await ports.log.heads(parent)
        head = frames[cut.count].prev if cut.count < len(frames) else head
        if cut.count < len(frames) or seq == cut.at:
            append = await _append(setup, cut, head, given, by or OPERATOR)
            answer = await ports.log.append(append)
            if isinstance(answer, Appended):
                return append.session, cut.at
            assert isinstance(answer, Short), "a log only grows"


def _count(frames: list[Frame], at: int | None, given: Mapping[int, Any]) -> int:
    last = frames[-1].last_seq
    for seq in (*given, *(() if at is None else (at,))):
        if not 1 <= seq <= last:
            raise UsageError(f"There is no seq {seq} in this session: its log goes from 1 to {last}.")
    if at is None and given:
        return max(1, sum(frame.last_seq < min(given) for frame in frames))
    return sum(frame.first_seq <= (last if at is None else at) for frame in frames)


async def _append(setup: Setup, cut: Cut, head: str, given: Mapping[int, Any], by: str) -> Append:
    """The fork's first frame: that it was forked, and what came of every call that was open at the cut."""
    agents, past, later = setup.fixed.agents, cut.frames[: cut.count], cut.frames[cut.count :]
    state, now = fold(past), setup.ports.clock()
    facts = {event.seq: event.fact for frame in later for event in frame.events}
    answers, ended = rules.rest(fold(past), later, agents, every=bool(given))
    wish = rules.Fork(setup.fresh(), cut.parent, head, past[-1].at, by, answers)
    world = World(setup.fixed.policy, agents, Access(0, 0))
    names = rules.accounts(state, wish, world, now)
    world = msgspec.structs.replace(world, balances=await setup.ports.log.balances(names))
    told = rules.forked(state, wish, world, now)
    if isinstance(told, Refusal):
        raise Refused(told.text)
    moved = [move for event in told for move in moves(world.policy, state, event.fact)]
    calls = [call for turn in open_turns(state) for call in performed(turn)]
    sets = _sets(cut, calls, given, facts)
    events = list(told)
    for event in told:
        apply(state, event)
    for call in calls:
        seq = sets.get(call.id, 0)
        told_by = Told(facts.get(seq or ended.get(step_of(call.id), 0)), (given[seq],) if seq else (), by, every=bool(given))
        events.append(await _ended(setup, state, call, told_by))
        apply(state, events[-1])
    return Append(
        session=wish.session,
        tenant=state.tenant,
        at=now,
        by=setup.by,
        rules=setup.rules,
        expect_seq=cut.at,
        events=tuple(events),
        moves=tuple(moved),
        row=row_of(state),
    )


def _sets(cut: Cut, calls: list[Call], given: Mapping[int, Any], facts: Mapping[int, Fact]) -> dict[str, int]:
    """The calls open at the cut whose outcome is set, with its seq. Raises UsageError for anything else that is to be set."""
    opened = {call.id for call in calls}
    found: dict[str, int] = {}
    for seq in given:
        fact = facts.get(seq)
        if seq <= cut.at:
            raise UsageError(f"Seq {seq} is not after seq {cut.at}, where the session is forked: fork it before that.")
        if not isinstance(fact, CallCompleted | CallFailed | CallCancelled | CallInterrupted):
            kind = type(fact).__name__
            raise UsageError(f"Seq {seq} is {kind}, which is no outcome: set that of a call, as CallCompleted or CallFailed.")
        if fact.call not in opened:
            raise UsageError(f"The call {fact.call} of seq {seq} is not open at seq {cut.at}: fork later, or set it alone.")
        found[fact.call] = seq
    return found


class Told(msgspec.Struct, frozen=True):
    """What is known of a call that was open: how it ended in the parent, and what it is set to (nothing or one JSON value) by
    whom. Without `every` what it says of reads and models is not taken over: they are asked anew."""

    was: Fact | None
    value: tuple[Any, ...]
    by: str
    every: bool


async def _ended(setup: Setup, state: State, call: Call, told: Told) -> Event:
    """What came of a call that was open at the cut: what is set, else what the parent recorded, else nothing is known."""
    work, record = job(state, setup.fixed.agents, call), Recorder(state.seq)
    acts = rules.changes_the_world(setup.fixed.agents, share_of(state, call.id).agent, call)
    if told.value and told.was is not None:
        outcome = await as_set(setup.ports, work, told.was, told.value[0], told.by)
    elif isinstance(told.was, CallCompleted | CallFailed) and (acts or told.every):
        outcome = await recorded(setup.ports, work, told.was)
    else:
        unsent = isinstance(told.was, CallCancelled) and not told.was.unknown
        cancelled = CallCancelled(call.id, NOT_SENT) if unsent else CallCancelled(call.id, LEFT, unknown=True)
        record.add(cancelled if acts else CallInterrupted(call.id), call.granted, by=setup.by)
        return record.events[0]
    record.add(outcome.fact(record.next), call.granted, *outcome.sources, by=outcome.origin)
    return record.events[0]
