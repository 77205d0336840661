"""Drives one session: fold, look up, decide, append, perform what is owed, and again. There is no other way to run.

After a crash the same loop runs: a call that was open in the log and that nobody performs any more is interrupted, settled
at its worst case and judged anew. Nothing is performed before the append that granted it is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import assert_never

import msgspec

from standpipe.core.admit import Reply, admit
from standpipe.core.amounts import Move
from standpipe.core.apply import apply, fold
from standpipe.core.consent import shown
from standpipe.core.decide import conclude
from standpipe.core.details import NOT_SENT, UNDO
from standpipe.core.events import CallGranted, CallInterrupted, Event, Frame, MemoryKept, WorldRecord
from standpipe.core.house_facts import RelationsChanged
from standpipe.core.ids import HOUSE
from standpipe.core.pending import Approve, Command, Perform, Remember, open_turns, pending, performed, wakes
from standpipe.core.permit import tool_of
from standpipe.core.record import Recorder
from standpipe.core.state import Call, State, share_of
from standpipe.core.tools import AgentSpec
from standpipe.core.world import Access, World
from standpipe.engine.beside import remember, row_of
from standpipe.engine.lookup import Static, recorded
from standpipe.engine.opening import opened
from standpipe.engine.perform import Outcome, Ports, job, lapsed, perform, timed_out
from standpipe.engine.recall import recall
from standpipe.engine.standing import look
from standpipe.engine.works import GRACE_MS, Works
from standpipe.errors import NotFound, StoreError
from standpipe.ports import Append, Appended, Approvals, Fenced, Owner

LET_GO_S = 5.0
"""How long effects under way have when the process is to let go of their session."""
LEASE_MS = 30_000
"""How long a lease lasts without renewal; a dead owner on the same host is replaced without waiting for it."""
LOOK_MS = 60_000
"""The longest a drive waits without looking at the clock, which may have been set."""

GONE = "The agent {} of this session is not part of this program: resume it from the one it is in, or cancel its turn."


class Lost(Exception):
    """Another owner drives this session now; whatever was not appended is theirs to decide."""


class Answered(msgspec.Struct, frozen=True):
    """What a person said to an approval."""

    wish: Reply


class Kept(msgspec.Struct, frozen=True):
    """An answer was remembered."""

    turn: str


Result = Outcome | Answered | Kept | Exception


class Setup(msgspec.Struct, frozen=True):
    """What it takes to drive a session: the ports, the static part of the world, who we are, how to ask a person (nobody is
    asked without), and where new ids of 128 random bits come from (`fresh`)."""

    ports: Ports
    fixed: Static
    rules: str
    by: str
    owner: Owner
    approve: Approvals | None = None
    fresh: Callable[[], str] = partial(secrets.token_hex, 16)


async def drive(setup: Setup, session: str, fence: int, unrecorded: list[Result]) -> State:
    """Drive a session under a lease until nothing is left to do but wait for a person or a new message.

    Raises Lost when the lease is gone, StoreError when the store fails; then `unrecorded` holds what calls came to, and people
    said, that no log tells of yet: the next drive of this process begins with it.
    """
    return await _Drive(setup, session, fence, unrecorded).run()


class _Drive:
    """The one task that holds live state of a session, and the tasks that perform its calls."""

    def __init__(self, setup: Setup, session: str, fence: int, unrecorded: list[Result]) -> None:
        self.setup, self.session, self.fence, self.unrecorded = setup, session, fence, unrecorded
        self.state, self.fixed = State(), setup.fixed
        self.works: Works[Result] = Works(setup.ports.clock)
        self.mine: set[str] = set()
        self.heard: list[Frame | None] = []
        self.stirred = False

    async def run(self) -> State:
        log = self.setup.ports.log
        stops = [log.listen(self.session, self._hear), log.listen(HOUSE, self._stir)]
        try:
            return await self._run()
        finally:
            for stop in stops:
                stop()
            self.works.close()

    async def _run(self) -> State:
        self.state = await opened(self.setup.ports.log, self.session, self.setup.rules)
        if self._foreign():
            raise NotFound(GONE.format(self.state.agent))
        arrived: list[Result | CallInterrupted] = [*self.unrecorded, *(CallInterrupted(call.id) for call in self._open())]
        self.unrecorded.clear()
        try:
            while True:
                while await self._advance(arrived):
                    arrived = []
                arrived = []
                self._perform_what_is_owed()
                if not self.works.running and not self._has_work():
                    return self.state
                if self._foreign() and self.state.turn is None:
                    raise NotFound(GONE.format(self.state.agent))
                arrived = await self._wait()
                if trouble := next((one for one in arrived if isinstance(one, Exception)), None):
                    await self._break_off([one for one in arrived if not isinstance(one, Exception)])
                    raise trouble
        except asyncio.CancelledError:
            await self._let_finish([one for one in arrived if isinstance(one, Outcome | Answered)])
            raise
        except StoreError:
            await self._effects_over()
            self.unrecorded += [one for one in (*arrived, *self.works.taken()) if isinstance(one, Outcome | Answered | Kept)]
            raise
        finally:
            await self.works.give_up()

    def _foreign(self) -> bool:
        """Whether nobody here knows the session's agent: then no more than a turn that was cancelled is brought to its end."""
        cancelled = bool(self.state.called_off) or (self.state.turn is not None and self.state.turn.stopped)
        return self.state.agent not in self.setup.fixed.agents and not cancelled

    async def _advance(self, arrived: list[Result | CallInterrupted]) -> bool:
        """Append what arrived and all that follows from it; whether more may follow, once more is known: it may not where all
        that rules could ask of the state they left has been answered already."""
        while True:
            setup, state = self.setup, self.state
            inputs = self._inputs(arrived, now := setup.ports.clock())
            for event in inputs:
                apply(state, event)
            looked = await look(setup.ports, setup.fixed, state, now)
            self.fixed = looked.fixed
            decisions, moves = conclude(state, looked.world, now)
            events = (*inputs, *decisions)
            if not events:
                return False
            answer = await setup.ports.log.append(self._append(events, looked.world, moves, now))
            match answer:
                case Appended():
                    self.mine.update(e.fact.call for e in events if isinstance(e.fact, CallGranted))
                    return not looked.answers(state, now)
                case Fenced():
                    raise Lost(self.session)
                case _:
                    self.state = await opened(setup.ports.log, self.session, setup.rules)

    def _inputs(self, arrived: list[Result | CallInterrupted], now: int) -> list[Event]:
        """The facts that what arrived becomes at this place of the log; what is of no use any more becomes none."""
        state, record = self.state, Recorder(self.state.seq)
        opened = {call.id for call in self._open()}
        for one in arrived:
            match one:
                case Outcome():
                    if one.call in opened:
                        opened.discard(one.call)
                        record.add(one.fact(record.next), self._call(one.call).granted, *one.sources, by=one.origin)
                case CallInterrupted():
                    if one.call in opened:
                        record.add(one, self._call(one.call).granted, by=self.setup.by)
                case Answered():
                    events = admit(state, one.wish, World(self.setup.fixed.policy, self.setup.fixed.agents, Access(0, 0)), now)
                    for event in events if isinstance(events, list) else ():
                        record.add(event.fact, *event.causes, by=event.by)
                case Kept():
                    for closed in state.closed:
                        if closed.turn == one.turn and not closed.remembered:
                            record.add(MemoryKept(one.turn), closed.ended)
                case Exception():
                    raise AssertionError("trouble is no fact") from one
                case _:
                    assert_never(one)
        return record.events

    def _open(self) -> list[Call]:
        """The open calls that somebody outside performs, those of scopes too."""
        return [call for turn in open_turns(self.state) for call in performed(turn)]

    def _call(self, id: str) -> Call:
        turn = share_of(self.state, id).turn
        assert turn is not None
        return turn.calls[id]

    def _append(self, events: tuple[Event, ...], world: World | None, moves: list[Move], now: int) -> Append:
        """The append of these events; without a world where they only say what came in, and nothing was decided."""
        record, parts = recorded(world, self.fixed) if world is not None else (WorldRecord(), {})
        return Append(
            session=self.session,
            tenant=self.state.tenant,
            at=now,
            by=self.setup.by,
            rules=self.setup.rules,
            expect_seq=events[0].seq - 1,
            events=events,
            world=record,
            parts=parts,
            fence=self.fence,
            moves=tuple(moves),
            access_revision=world.access.revision if world is not None else None,
            row=row_of(self.state),
        )

    def _perform_what_is_owed(self) -> None:
        owed = dict.fromkeys(pending(self.state))
        for command in owed:
            if command in self.works.running or (isinstance(command, Approve) and not self._can_approve(command)):
                continue
            if isinstance(command, Perform) and command.call not in self.mine:
                raise Lost(self.session)
            until = self._call(command.call).deadline_at if isinstance(command, Perform) else None
            self.works.begin(command, self._do(command, self.fixed.agents), until)
            if isinstance(command, Perform):
                self.mine.discard(command.call)  # it is running, and then it is over: nobody asks again
        for command, doing in self.works.running.items():
            if command not in owed and not isinstance(command, Remember) and self._may_be_cut(command) and not doing.cut:
                until = self.setup.ports.clock() + GRACE_MS if isinstance(command, Perform) else None
                self.works.cut(command, until)
        for call in self._open():
            command = Perform(call.id)
            if command not in owed and command not in self.works.running:  # granted, and unwanted before it was begun
                self.works.take(None, Outcome(call.id, call.step, call.target, cancelled=NOT_SENT))

    def _may_be_cut(self, command: Command) -> bool:
        """An effect under way is not let go of before it is recorded, but for one whose turn has no more patience."""
        turn = share_of(self.state, command.call).turn if isinstance(command, Perform) else None
        return not self._acts(command) or (turn is not None and turn.let_go)

    def _acts(self, command: Command) -> bool:
        if not isinstance(command, Perform):
            return False
        share = share_of(self.state, command.call)
        call = share.turn.calls.get(command.call) if share.turn is not None else None
        if call is None or call.route is not None or call.purpose:
            return call is not None and call.purpose == UNDO
        agent = self.setup.fixed.agents.get(share.agent)
        tool = tool_of(agent, call.target) if agent is not None else None
        return tool is not None and tool.effect != "read"

    def _can_approve(self, command: Approve) -> bool:
        turn = share_of(self.state, command.ask).turn
        return self.setup.approve is not None and turn is not None and turn.asks[command.ask].kind == "approval"

    async def _do(self, command: Command, agents: Mapping[str, AgentSpec]) -> None:
        """Do what is owed. Until its result is taken the command counts as running, so that nothing is done twice."""
        try:
            self.works.take(command, await self._done(command, agents))
        except Exception as trouble:
            self.works.take(command, trouble)
        except asyncio.CancelledError:  # a person is not waited for any more; a call says itself that it was given up
            self.works.take(command, None)
            raise

    async def _done(self, command: Command, agents: Mapping[str, AgentSpec]) -> Result:
        match command:
            case Perform():
                return await self._called(command, agents)
            case Remember():
                closed = next(c for c in self.state.closed if c.turn == command.turn)
                await remember(self.setup.ports.log, self.setup.ports.search, self.state, closed)
                return Kept(command.turn)
            case Approve():
                return Answered(await self._approved(command))
            case _:
                assert_never(command)

    async def _called(self, command: Perform, agents: Mapping[str, AgentSpec]) -> Outcome:
        call = self._call(command.call)
        if call.route is not None and call.target not in self.setup.fixed.policy.models:
            return Outcome(call.id, call.step, call.target, cancelled=NOT_SENT)
        work = job(self.state, agents, call, self.fence)
        try:
            if lapsed(self.setup.ports, work) and self.setup.ports.log.lease(self.session).fence == self.fence:
                # The process stood still, and nobody took over: the lease is renewed; `perform` looks at it once more.
                now = self.setup.ports.clock()
                await self.setup.ports.log.claim(self.session, self.setup.owner, now, now + LEASE_MS)
            if call.recorded:
                return await recall(self.setup.ports, self.state.parent, work)
            return await perform(self.setup.ports, self.setup.fixed.policy, work)
        except asyncio.CancelledError:
            if (doing := self.works.running.get(command)) is not None and doing.late:
                return timed_out(work, self.setup.ports.clock() - doing.began)
            return self._unwanted(command, call)

    def _unwanted(self, command: Perform, call: Call) -> Outcome:
        return Outcome(call.id, call.step, call.target, cancelled="no longer wanted", unknown=self._acts(command))

    async def _approved(self, command: Approve) -> Reply:
        turn, approve = share_of(self.state, command.ask).turn, self.setup.approve
        assert approve is not None and turn is not None
        ask, step = turn.asks[command.ask], turn.steps[turn.asks[command.ask].step].spec
        allow = await approve(ask.id, step.does, shown(turn, step))
        return Reply(f"{self.session}.{ask.id}", self.state.tenant, self.state.principal, ask.id, allow, ask.intent)

    def _has_work(self) -> bool:
        """Whether time alone can still change something: a turn that runs and is not parked."""
        turn = self.state.turn
        return bool(self.state.waiting) or (turn is not None and not turn.parked_at)

    async def _wait(self) -> list[Result | CallInterrupted]:
        """Wait for an outcome, a new event of somebody else, or the next instant that matters; what arrived."""
        if self.works.results or self.heard:  # what was just begun takes what it needs of the state before that changes
            await asyncio.sleep(0)
        while not (self.works.results or self.heard or self.stirred) and (left_ms := self._left_ms()) > 0:
            await self.works.rung(min(left_ms, LOOK_MS) / 1000)
        self.stirred = False
        self._end_late(self.setup.ports.clock())
        if self.heard:
            await self._catch_up()
        return [*self.works.taken()]

    def _left_ms(self) -> int:
        """How long nothing is due by time alone: no rule has to look again, and no call is over its time."""
        until = self.works.until(wakes(self.state))
        return LOOK_MS if until is None else until - self.setup.ports.clock()

    def _hear(self, frame: Frame | None) -> None:
        if frame is None or frame.last_seq > self.state.seq:
            self.heard.append(frame)
            self.works.ring()

    def _stir(self, frame: Frame | None) -> None:
        """Rights may have changed: what is under way with one that is gone is broken off, not waited for."""
        mine = self.state.tenant
        if frame is None or any(isinstance(e.fact, RelationsChanged) and e.fact.tenant == mine for e in frame.events):
            self.stirred = True
            self.works.ring()

    async def _catch_up(self) -> None:
        """Fold what others wrote: what this process heard of as it was written, anything else as it is read."""
        frames = [frame for frame in self.heard if frame is not None]
        whole = len(frames) == len(self.heard)
        self.heard = []
        seq = self.state.seq
        for frame in frames:
            whole, seq = whole and frame.first_seq == seq + 1, frame.last_seq
        fold(frames if whole else await self.setup.ports.log.read(self.session, self.state.seq), self.state)

    def _end_late(self, now: int) -> None:
        """Tell calls that are over their time to stop; one that does not stop within GRACE_MS is left behind."""
        for command, doing in self.works.end_late(now):
            if isinstance(command, Perform):
                turn = share_of(self.state, command.call).turn
                call = turn.calls.get(command.call) if turn is not None else None
                if call is None:  # somebody else drives the session, and ended what it belongs to
                    self.works.take(command, None)
                    continue
                late = timed_out(job(self.state, self.setup.fixed.agents, call), now - doing.began, hanging=True)
                self.works.take(command, self._unwanted(command, call) if doing.cut else late)

    async def _break_off(self, arrived: list[Result | CallInterrupted]) -> None:
        """Something broke: begin nothing new, let effects under way come to their end, and record what there is."""
        await self._effects_over()
        arrived += [one for one in self.works.taken() if not isinstance(one, Exception)]
        inputs = self._inputs(arrived, now := self.setup.ports.clock())
        for event in inputs:
            apply(self.state, event)
        if inputs:
            await self.setup.ports.log.append(self._append(tuple(inputs), None, [], now))

    async def _let_finish(self, arrived: list[Result | CallInterrupted]) -> None:
        """Told to let go: effects under way come to their end first, and what calls came to is recorded, within a grace."""
        if not arrived and all(map(self._may_be_cut, self.works.running)):
            return
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(LET_GO_S):
                self.state = await opened(self.setup.ports.log, self.session, self.setup.rules)
                await self._break_off(arrived)

    async def _effects_over(self) -> None:
        """Wait until effects under way have come to their end."""
        effects = [d for c, d in self.works.running.items() if isinstance(c, Perform) and not self._may_be_cut(c)]
        while await self.works.first_over(effects):
            self._end_late(self.setup.ports.clock())
