"""The open house: asks questions, resumes and cancels turns, lists sessions. Everything it does goes through the log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypedDict, Unpack

from standpipe.core.admit import Ask, Cancel, Open, Reply
from standpipe.core.amounts import Amounts
from standpipe.core.events import (
    Answered,
    Asked,
    AskExpired,
    Event,
    Frame,
    SessionParked,
    TurnEnded,
    TurnParked,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.explain import Summary, summarise
from standpipe.core.items import Answer, Citation, Conflict, Gap
from standpipe.core.state import State
from standpipe.engine.admission import admitted, admitted_before, turn_of
from standpipe.engine.approvals import Approval, seen, waiting
from standpipe.engine.drive import Setup
from standpipe.engine.follow import follow
from standpipe.engine.fork import fork
from standpipe.engine.opening import opened
from standpipe.engine.parking import unpark
from standpipe.engine.schedule import Drives
from standpipe.engine.show import hidden
from standpipe.errors import NotFound, UsageError
from standpipe.ports import SessionRow, Synced

NO_SESSION = "There is no such session. `standpipe sessions` lists those that exist."


class AskOptions(TypedDict, total=False):
    """How to ask: `docs` are folders to index and search, `folders` ids of some that `sync` indexed before, `agent` a name,
    `request` an id that makes a repeated call one. With `interrupt` the turn that runs is cancelled; without, the message waits
    for its end."""

    docs: Sequence[str | Path]
    folders: Sequence[str]
    agent: str
    budget_usd: float | None
    deadline_s: float | None
    request: str
    interrupt: bool


_TURNING = frozenset((TurnRequested, TurnStarted, TurnEnded, TurnParked, SessionParked, Asked, Answered, AskExpired))
"""What makes a turn begin, rest or end; nothing else is looked at while one waits for it."""


class Turn:
    """One turn, running or over. Iterate to see its events as they become durable; after that, its answer is here."""

    def __init__(self, setup: Setup, drives: Drives, session: str, turn: str, after: int, began: int) -> None:
        self._setup, self._drives, self._after, self._began = setup, drives, after, began
        self._frames: list[Frame] = []
        self._started = self._ended = 0
        self._asks: dict[str, str] = {}
        self._summary = Summary(turn)
        self._answer: Answer | None = None
        self.session = session
        self.id = turn
        self.principal = ""
        self.tenant = ""
        self.parked = False
        self.withheld = False
        self.trouble = ""
        self.elapsed_ms = 0

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events()

    async def _events(self) -> AsyncIterator[Event]:
        """The turn's own events in order, to its end or until it is parked."""
        async with aclosing(self._follow()) as frames:
            async for frame in frames:
                for event in frame.events:
                    if event.seq > self._after:
                        self._after = event.seq
                        if self._is_own(event):
                            yield event

    async def _follow(self) -> AsyncGenerator[Frame, None]:
        """The frames to the turn's end or until it is parked. Raises StoreError if its drive failed."""
        if self._summary.outcome:
            return
        self.parked, self.trouble = False, ""
        self._drives.start(self.session)
        log = self._setup.ports.log
        async with aclosing(follow(log, self.session, self._after, lambda: self._drives.watch(self.session))) as frames:
            async for frame in frames:
                rests = await self._take(frame)
                yield frame
                self._after = max(self._after, frame.last_seq)
                if rests:
                    break
        await self._conclude()

    def _is_own(self, event: Event) -> bool:
        fact = event.fact
        if isinstance(fact, TurnRequested | TurnEnded):
            return fact.turn == self.id
        return 0 < self._started <= event.seq and (not self._ended or event.seq < self._ended)

    async def _take(self, frame: Frame) -> bool:
        """Keep a frame with events of the turn; whether the turn is over with it, or parked."""
        own, rests = self._started > 0, False
        for event in frame.events:
            fact = event.fact
            if type(fact) not in _TURNING:
                continue
            match fact:
                case TurnStarted() if fact.turn == self.id:
                    self._started, own = event.seq, True
                case TurnEnded() if fact.turn == self.id:
                    self._ended, own, rests = event.seq, True, True
                case Asked() if own:
                    self._asks[fact.ask] = fact.kind
                case Answered() | AskExpired():
                    self._asks.pop(fact.ask, None)
                case TurnRequested() | TurnParked() | SessionParked():
                    own = own or (isinstance(fact, TurnRequested) and fact.turn == self.id)
                    if not rests and await self._waits_for_a_person(event.seq):
                        self.parked = rests = True
                case _:
                    pass
        if own and (not self._frames or self._frames[-1].first_seq < frame.first_seq):
            self._frames.append(frame)
        return rests

    async def _waits_for_a_person(self, seq: int) -> bool:
        """Whether the session is parked as of event `seq`, its last, and nobody in this process is about to answer."""
        row = await self._setup.ports.log.row(self.session)
        last, _ = await self._setup.ports.log.heads(self.session)
        asked_here = self._setup.approve is not None and "question" not in self._asks.values()
        if row is None or row.state != "parked" or last != seq:
            return False
        self.trouble = row.trouble
        return bool(row.trouble) or not asked_here

    async def cancel(self, cause: str = "user", *, level: str = "firm", scope: str = "") -> None:
        """Ask for the turn to end, as `House.cancel` does. Raises NotFound if it is over."""
        wish = Cancel(self._setup.fresh(), self.tenant, self.principal, self.id, cause, level, scope)
        await admitted(self._setup, self.session, self.tenant, wish)
        self._drives.start(self.session)

    async def wait(self) -> Turn:
        """Follow the turn to its end (or until it is parked), without looking at its events."""
        async with aclosing(self._follow()) as frames:
            async for _ in frames:
                pass
        return self

    async def _conclude(self) -> None:
        """The answer, if the principal may still see everything it derives from: the last check before it is handed over."""
        self._summary = summarise(self._frames, self.id)
        self.elapsed_ms = max(0, self._setup.ports.clock() - self._began)
        item = self._summary.answer
        if item is not None and self._summary.body is not None:
            closed = await hidden(self._setup.ports.access, self.tenant, self.principal, [item.label])
            self.withheld = bool(closed)
            self._answer = None if closed else self._summary.body

    @property
    def outcome(self) -> str:
        """completed, partial, failed, cancelled; parked while it waits for a person; empty while it runs."""
        return "parked" if self.parked and not self._summary.outcome else self._summary.outcome

    @property
    def reason(self) -> str:
        """Why it ended as it did, or was parked for the trouble it made."""
        return "the sources may no longer be read" if self.withheld else self._summary.reason or self.trouble

    @property
    def summary(self) -> Summary:
        """Counts and costs."""
        return self._summary

    @property
    def answer(self) -> Answer:
        """The checked answer; empty where there is none."""
        return self._answer or Answer()

    @property
    def citations(self) -> tuple[Citation, ...]:
        """What the answer cites, in the order of first use."""
        return self.answer.citations

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What was asked and could not be answered."""
        return self.answer.gaps

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """What sources disagree on."""
        return self.answer.conflicts

    @property
    def cost_microusd(self) -> int:
        """What the turn cost, in millionths of a US dollar."""
        return self._summary.cost_microusd


class House:
    """An open store with the agents, models and tools to drive its sessions."""

    def __init__(
        self, setup: Setup, sync: Callable[[str, Path], Awaitable[Synced]], close: Callable[[], Awaitable[None]]
    ) -> None:
        self.setup = setup
        self.ports = setup.ports
        self._drives = Drives(setup)
        self._sync = sync
        self._close = close

    async def ask(
        self,
        question: str,
        *,
        principal: str = "user:local",
        tenant: str = "local",
        session: str | None = None,
        **options: Unpack[AskOptions],
    ) -> Turn:
        """Ask a question: in a new session, or in an existing one of the same principal.

        Raises UsageError for input that cannot be used, NotFound for a session that does not exist or is another
        principal's, Refused where the rules say no.
        """
        began = self.ports.clock()
        microusd = _whole("budget", options.get("budget_usd"), 1_000_000)
        deadline_ms = _whole("deadline", options.get("deadline_s"), 1_000)
        if session is not None and await self._owned(session, tenant, principal) is None:
            raise NotFound(NO_SESSION)
        agent = self._agent(options.get("agent", ""))
        folders = [*options.get("folders", ()), *[(await self.sync(path, tenant)).folder for path in options.get("docs", ())]]
        wish = Ask(
            request=options.get("request") or self.setup.fresh(),
            session=session or self.setup.fresh(),
            tenant=tenant,
            principal=principal,
            agent=agent,
            text=question,
            folders=tuple(folders),
            limits=Amounts(microusd=microusd) if microusd else None,
            deadline_ms=deadline_ms,
            interrupt=options.get("interrupt", False),
        )
        state, before, events = await admitted(self.setup, wish.session, tenant, wish)
        name = turn_of(events, state) if events else await admitted_before(self.ports.log, wish)
        if state.turn is not None and state.turn.id == name:
            before = state.turn.requested - 1
        return self._turn(state, name, before, began)

    async def begin(self, session: str, principal: str, tenant: str, agent: str = "") -> str:
        """Open a session before its first message, with the first agent there is if none is named; the agent's name. For one
        that is open already nothing changes. Raises as `ask` does.
        """
        name = self._agent(agent)
        wish = Open(self.setup.fresh(), session, tenant, principal, name)
        state, _, _ = await admitted(self.setup, session, tenant, wish)
        return state.agent

    async def sync(self, docs: str | Path, tenant: str = "local") -> Synced:
        """Index what changed in a folder since it was last looked at. Raises UsageError for one that cannot be used."""
        return await self._sync(tenant, Path(docs))

    async def resume(self, session: str) -> Turn | None:
        """Go on with the unfinished turn of a session, also with one that was parked for its trouble; None if it has none.
        Raises NotFound."""
        await unpark(self.setup, session)
        state = await opened(self.ports.log, session, self.setup.rules)
        if not state.seq:
            raise NotFound(NO_SESSION)
        if state.turn is None and not state.waiting:
            self._drives.start(session)
            await self._drives.settled(session)
            return None
        turn = state.turn.id if state.turn is not None else state.waiting[0].turn
        began = state.turn.requested if state.turn is not None else state.waiting_seq[0]
        return self._turn(state, turn, began - 1, self.ports.clock())

    async def turn(self, session: str, id: str) -> Turn:
        """A turn of a session that runs, waits or is over, to be followed from its beginning. Raises NotFound."""
        frames = await self.ports.log.read(session, bodies=False)
        facts = ((event.seq, event.fact) for frame in frames for event in frame.events)
        asked = next((seq for seq, fact in facts if isinstance(fact, TurnRequested) and fact.turn == id), 0)
        if not asked:
            raise NotFound("There is no such turn.")
        state = await opened(self.ports.log, session, self.setup.rules)
        return self._turn(state, id, asked - 1, self.ports.clock())

    async def fork(
        self, session: str, *, at: int | None = None, set: Mapping[int, Any] | None = None, principal: str | None = None
    ) -> str:
        """Begin a session of its own that shares the log of another up to the frame that holds seq `at`; its id.

        `set` puts JSON values in the place of recorded outcomes, by their seqs; without `at` the cut is before the first of
        them, or at the end of the log. `resume` goes on with the turn that is open there. Raises NotFound for a session that
        does not exist or is not `principal`'s, UsageError, and Refused where the open turn could not be paid to its end.
        """
        row = await self.ports.log.row(session)
        if row is None or principal not in (None, row.principal):
            raise NotFound(NO_SESSION)
        name, _ = await fork(self.setup, session, at, set or {}, principal)
        return name

    @property
    def driving(self) -> Collection[str]:
        """The sessions that this process drives now, seen as they come and go."""
        return self._drives.sessions

    def listen(self, began: Callable[[str, int], None]) -> None:
        """Have `began` told of each session that this process begins to drive, and of the last seq of its log then."""
        self._drives.began = began

    async def unfinished(self) -> list[SessionRow]:
        """Sessions with a turn that is not over, parked ones included, but not those that are parked for their trouble."""
        return [row for row in await self.left_to_do() if row.state != "idle"]

    async def left_to_do(self) -> list[SessionRow]:
        """Those, and sessions with an answer that later turns do not find yet: what a process that starts has to take up."""
        return [row for row in await self.ports.log.rows() if (row.state != "idle" or row.owes) and not row.trouble]

    async def cancel(
        self, session: str, turn: str, principal: str, cause: str = "user", *, level: str = "firm", scope: str = ""
    ) -> None:
        """Ask for a turn to end, that runs (the one that does, if `turn` is empty) or waits.

        At `level` "soft" nothing new begins and it ends with what it has, at "firm" models and reads are broken off and effects
        under way are waited for, at "hard" these are let go of after five seconds and told as unknown. A `scope` is the call of
        a specialist that alone shall end, or "session" for all turns. Raises NotFound if nothing such is there to end for this
        principal, UsageError for another level.
        """
        row = await self.ports.log.row(session)
        if row is None:
            raise NotFound(NO_SESSION)
        wish = Cancel(self.setup.fresh(), row.tenant, principal, turn, cause, level, scope)
        await admitted(self.setup, session, row.tenant, wish)
        self._drives.start(session)

    async def approvals(self, principal: str | None = None, tenant: str = "local") -> list[Approval]:
        """What waits for a yes or no of this principal, as it may see it now; without one, of everybody, as the operator."""
        rows = [r for r in await self.ports.log.rows() if principal is None or (r.tenant, r.principal) == (tenant, principal)]
        found = await waiting(self.ports.log, self.setup.rules, rows)
        if principal is None:
            return [approval for approval, _ in found]
        closed = await hidden(self.ports.access, tenant, principal, [label for _, label in found])
        return [seen(approval, label, closed) for approval, label in found]

    async def approve(self, session: str, ask: str, principal: str, *, allow: bool, intent: str = "") -> None:
        """Answer an approval. Raises NotFound if there is none such open for this principal, Refused where it is for another
        call than that of the given `intent`."""
        row = await self.ports.log.row(session)
        if row is None:
            raise NotFound(NO_SESSION)
        await admitted(self.setup, session, row.tenant, Reply(self.setup.fresh(), row.tenant, principal, ask, allow, intent))
        self._drives.start(session)

    async def close(self) -> None:
        """Let go of all sessions and close the store; unfinished turns go on when somebody resumes them."""
        try:
            await self._drives.close()
        finally:  # an interrupted close must not leave the store's thread behind
            await self._close()

    def _turn(self, state: State, turn: str, after: int, began: int) -> Turn:
        handle = Turn(self.setup, self._drives, state.session, turn, after, began)
        handle.principal, handle.tenant = state.principal, state.tenant
        self._drives.start(state.session)
        return handle

    def _agent(self, name: str) -> str:
        agents = self.setup.fixed.agents
        if name and name not in agents:
            raise NotFound(f"There is no such agent; there are: {', '.join(agents)}.")
        return name or next(iter(agents))

    async def _owned(self, session: str, tenant: str, principal: str) -> SessionRow | None:
        row = await self.ports.log.row(session)
        return row if row is not None and (row.tenant, row.principal) == (tenant, principal) else None


def _whole(name: str, value: float | None, per: int) -> int | None:
    """A number above zero in whole units, `per` of them in one; never rounded to nothing."""
    if value is None:
        return None
    if not 0 < value < 1e9:
        raise UsageError(f"The {name} is {value:g}: give one above zero, or leave it out for the default.")
    return max(1, round(value * per))
