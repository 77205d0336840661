"""Does what an injector has drawn: to the process at the boundary, to its session, to its disk, or to its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from standpipe.core.admit import Cancel, Reply
from standpipe.core.apply import apply
from standpipe.core.events import CallGranted, Event, RelationsChanged
from standpipe.core.pending import open_turns
from standpipe.core.state import State
from standpipe.engine.house import House
from standpipe.errors import StoreError
from standpipe.ports import Append
from standpipe.testing.clock import EPOCH_MS
from standpipe.testing.crash import LIFE, Crash, Life
from standpipe.testing.disk import Fault, Tear
from standpipe.testing.injectors import Injectors, states_of
from standpipe.testing.machine import Machine
from standpipe.testing.people import People, halting
from standpipe.testing.scenario import FOLDER, TENANT, Scenario, chance

JUMPS_MS = -300_000, -20_000, -900, 700, 9_000, 45_000, 300_000
"""By how much a clock is set: within the five minutes that a wrong one may be off."""
LATE_LOOK_S = 61.0
"""After a clock was set it takes this long until every drive has looked at it."""
SHAKEN_S = 6.0
"""After any other strike, until everybody who waits has looked again."""

Process = tuple[Life, House]


class Seen:
    """Every session as its log says, folded when somebody asks, and who was to perform its calls."""

    def __init__(self, effects: Mapping[str, str]) -> None:
        self._effects = effects
        self._events: dict[str, list[Event]] = {}
        self._states: dict[str, State] = {}
        self._granted: dict[str, dict[str, Life | None]] = {}
        self.acknowledged: dict[str, tuple[int, str]] = {}

    def take(self, append: Append) -> None:
        """More is in the log."""
        self._events.setdefault(append.session, []).extend(append.events)
        for event in append.events:
            if isinstance(event.fact, CallGranted):
                self._granted.setdefault(append.session, {})[event.fact.call] = LIFE.get()

    def last(self, session: str) -> int:
        """The last seq that was seen of a session."""
        events = self._events.get(session)
        return events[-1].seq if events else self.state(session).seq

    def state(self, session: str) -> State:
        """The session as it is."""
        state = self._states.setdefault(session, State())
        for event in self._events.pop(session, ()):
            apply(state, event)
        return state

    def states(self, session: str) -> list[str]:
        """What the session is in, in the words of STATES."""
        granted = {call: life is not None and life.alive for call, life in self._granted.get(session, {}).items()}
        return states_of(self.state(session), self._effects, granted)


class Strikes:
    """The fate of all processes of a run."""

    def __init__(self, scenario: Scenario, injectors: Injectors, machine: Machine, people: People, seen: Seen) -> None:
        self._injectors, self._machine, self._people, self._seen = injectors, machine, people, seen
        self._scenario = scenario
        self._random = chance(scenario.seed, "strike")
        self._befalls: Mapping[str, Callable[[Life, str], Awaitable[None]]] = {
            "crash": self._crash,
            "stop": self._stop,
            "cancel": self._cancel,
            "delay": self._delay,
            "error": self._error,
            "clock jump": self._jump,
            "revocation": self._revoke,
            "duplicate message": self._repeat,
            "late message": self._late,
            "two workers": self._contest,
            "torn write": self._tear,
            "full disk": self._fill,
        }
        self._holders: dict[str, Life] = {}
        self._numbers = 0
        self._at = scenario.chats[0].session
        self.processes: list[Process] = []
        self.offset_ms = 0
        self._offsets_ms = (0, 0)
        self.shaken_until = 0.0
        self.faults: list[str] = []

    @property
    def skew_ms(self) -> int:
        """How far apart any two clocks were, or one at two times."""
        return self._offsets_ms[1] - self._offsets_ms[0]

    # --- what happens ---------------------------------------------------------------------------------------------------

    async def strike(self, life: Life, place: str, session: str) -> str:
        """Do what strikes at this boundary; what tools do is left to the one who asked."""
        if session in {chat.session for chat in self._scenario.chats}:
            self._at = session
        fault = self._injectors.draw(place, _now_s())
        befall = self._befalls.get(fault)
        if befall is not None:
            await befall(life, self._at)
            return ""
        if fault:
            self.met(fault)
        return fault

    def met(self, fault: str, session: str = "") -> None:
        """A fault strikes a session; without a name, the one that was looked at last."""
        self._injectors.strikes(fault, self._seen.states(session or self._at))
        self.shaken_until = max(self.shaken_until, _now_s() + (LATE_LOOK_S if fault == "clock jump" else SHAKEN_S))

    def hurt(self, fault: Fault) -> None:
        """The disk did not do what it was asked to."""
        self.met("full disk" if fault == "full" else "error")

    def cut(self) -> None:
        """The power went: nobody lives."""
        self.met("torn write")
        for life, _ in self.processes:
            life.die()

    async def _crash(self, life: Life, session: str) -> None:
        self.met("crash", session)
        life.die()
        raise Crash(life.name)

    async def _stop(self, life: Life, session: str) -> None:
        self.met("stop", session)
        life.stopping.set()

    async def _delay(self, life: Life, session: str) -> None:
        self.met("delay", session)
        await life.sleep(self._random.choice((0.001, 0.05, 0.7, 3.0)))

    async def _jump(self, _life: Life, session: str) -> None:
        self.met("clock jump", session)
        self.offset_ms += self._random.choice(JUMPS_MS)
        self._offsets_ms = (min(self._offsets_ms[0], self.offset_ms), max(self._offsets_ms[1], self.offset_ms))

    async def _error(self, _life: Life, session: str) -> None:
        disk = self._machine.disk
        if disk is None:
            self.met("error", session)
            raise StoreError("The store cannot be reached.")
        kinds: tuple[Fault, ...] = ("write", "sync", "locked", "gone")
        disk.strike(self._random.choice(kinds), times=self._random.choice((1, 1, 3, None)))
        self._relieve_later()

    async def _fill(self, _life: Life, _session: str) -> None:
        if self._machine.disk is not None:
            self._machine.disk.strike("full", after=self._random.choice((0, 1, 4)))
            self._relieve_later()

    async def _tear(self, _life: Life, _session: str) -> None:
        if self._machine.disk is not None:
            self._numbers += 1
            tears: tuple[Tear, ...] = ("lost", "prefix", "sectors")
            self._machine.disk.cut(self._random.choice((1, 2, 3, 5)), self._random.choice(tears), self._numbers)

    def _relieve_later(self) -> None:
        """What the disk does not do, it does again within the five seconds that a store may be gone."""
        asyncio.get_running_loop().call_later(self._random.choice((0.2, 1, 5)), self._relieve)

    def _relieve(self) -> None:
        """A process whose store does not trust the disk any more is started again."""
        if self._machine.relieve():
            for life, _ in self.processes:
                life.die()

    # --- what others do -------------------------------------------------------------------------------------------------

    async def _cancel(self, _life: Life, session: str) -> None:
        wish = halting(self._seen.state(session), self._random, self._fresh())
        if wish is not None:
            self.met("cancel", session)
            await self._people.wish(session, wish)

    async def _revoke(self, _life: Life, session: str) -> None:
        """A right of whoever asks is taken away, mostly to something that the turn has read."""
        state = self._seen.state(session)
        turns = open_turns(state)
        read = {(s.folder, s.path if not s.folder else f"document:{s.path}") for turn in turns for s in turn.sources}
        namespace = self._random.choice((FOLDER, FOLDER, FOLDER, ""))
        in_force = await self._machine.access.relations(TENANT, namespace)
        mine = [relation for relation in in_force if relation.endswith(f"@{state.principal}")]
        known = [relation for relation in mine if (namespace, relation.partition("#")[0]) in read]
        if found := known or mine or in_force:
            self.met("revocation", session)
            revoked = (self._random.choice(found),)
            await self._people.declare(RelationsChanged(TENANT, namespace, "command", (), revoked))

    async def _repeat(self, _life: Life, session: str) -> None:
        """Something that was said is said again, with the same request id."""
        said = self._people.said(session)
        if not said:
            return
        wish = self._random.choice(said)
        if await self._machine.log.seen(session, wish.request):
            self.met("duplicate message", session)
            if await self._people.wish(session, wish):
                self.faults.append(f"{wish.request} was admitted twice")

    async def _late(self, _life: Life, session: str) -> None:
        """Something that is over is still cancelled, or answered."""
        state = self._seen.state(session)
        over = [Cancel(self._fresh(), TENANT, state.principal, closed.turn, "user") for closed in state.closed]
        asks = state.turn.asks.values() if state.turn is not None else ()
        answered = [Reply(self._fresh(), TENANT, state.principal, ask.id, True) for ask in asks if ask.outcome]
        wishes: Sequence[Cancel | Reply] = (*over, *answered)
        if wishes:
            self.met("late message", session)
            wish = self._random.choice(wishes)
            if await self._people.wish(session, wish):
                self.faults.append(f"{wish} was admitted though it came too late")

    async def _contest(self, life: Life, session: str) -> None:
        """The other process wants to drive the session too; it strikes when it asks for the lease."""
        for other, house in self.processes:
            if other is not life and other.alive and self._seen.state(session).seq:
                other.begin(lambda house=house: _ignoring_store_errors(house, session))  # type: ignore[misc]

    def claimed(self, life: Life, session: str, fence: int | None) -> None:
        """A process asked for a lease: where another one that lives has it, two are at work on one session."""
        holder = self._holders.get(session)
        if holder is not None and holder is not life and holder.alive:
            self.met("two workers", session)
        if fence is not None:
            self._holders[session] = life

    def released(self, life: Life, session: str) -> None:
        """A process gave a lease back, or wanted to."""
        if self._holders.get(session) is life:
            del self._holders[session]

    def holds(self, life: Life | None, session: str) -> bool:
        """Whether this process was the last to be given the session's lease."""
        return life is not None and self._holders.get(session) is life

    def driven(self, session: str) -> bool:
        """Whether anybody who lives holds the session's lease."""
        holder = self._holders.get(session)
        return holder is not None and holder.alive

    def _fresh(self) -> str:
        self._numbers += 1
        return f"strike {self._numbers}"


async def _ignoring_store_errors(house: House, session: str) -> None:
    try:
        await house.resume(session)
    except StoreError:
        return


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def now_ms(offset_ms: int) -> int:
    """Wall time as a process sees it whose clock is off by so much."""
    return EPOCH_MS + round(_now_s() * 1000) + offset_ms
