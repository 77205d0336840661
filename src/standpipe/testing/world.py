"""A simulated house with everything around it: its machine, its processes, those who use it, and those who look on.

The engine, the rules and the stores are the real ones; models, tools and people are drawn from the seed. A crash throws away
everything but the stores and what was done outside; another process goes on from there.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from standpipe.core.control import CONTROL
from standpipe.core.events import FolderSynced, Frame, RelationsChanged
from standpipe.core.ids import HOUSE, digest
from standpipe.core.items import Item
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.drivers.tools.documents import READ, SEARCH, DocumentTools
from standpipe.drivers.tools.python import PythonTools, plain_schema
from standpipe.engine.drive import Lost, Setup
from standpipe.engine.house import House
from standpipe.engine.lookup import static
from standpipe.engine.perform import Ports
from standpipe.engine.replay import replay
from standpipe.errors import StandpipeError, StoreError
from standpipe.ports import Append, Appended, Owner, Synced
from standpipe.testing.bookings import bookings
from standpipe.testing.clock import EPOCH_MS
from standpipe.testing.crash import LIFE, Boundaries, Crash, Gone, Life, belongs
from standpipe.testing.injectors import Injectors
from standpipe.testing.machine import DiskMachine, Machine
from standpipe.testing.mortal import MortalAccess, MortalLog, MortalModels, MortalSearch, MortalTools
from standpipe.testing.outside import DriverBug, Outside, TroubledModels, WatchedTools, tools
from standpipe.testing.people import People
from standpipe.testing.quiet import QuietLoop, Watch
from standpipe.testing.run import Mode, Run
from standpipe.testing.scenario import FOLDER, PEOPLE, SPECIALISTS, TENANT, TYPED, Scenario, chance
from standpipe.testing.strikes import Seen, Strikes

T = TypeVar("T")

RULES = "rules"
VIRTUAL_S_MAX = 200_000
FAULTS_S_MAX = 6_000
"""A life that is not over by then on its own clock, without or with faults, never will be."""
LATE_S = 50.0
"""How long a person takes who answers too late."""
CALM_S = 2.0, 8.0, 30.0
"""When faults stop, in a life that is to show that everything ends."""
HORIZON_S = 60.0, 150.0
"""How long a life is watched in which they never do."""
CONTROLS = tuple(ToolSpec(name, name, plain_schema(kind), effect="control") for name, kind in CONTROL.items())
ANSWER_SCHEMA = {"type": "object", "properties": {"level": {"type": "integer"}}, "required": ["level"]}


def agents(scenario: Scenario, tools: Sequence[ToolSpec]) -> dict[str, AgentSpec]:
    """The scenario's agent, which has all these tools, and its specialists, which have some."""
    schema = ANSWER_SCHEMA if scenario.typed else None
    known = {name: f"Has {', '.join(SPECIALISTS[name])}." for name in scenario.specialists}
    found = {"agent": AgentSpec("agent", "Say what is asked.", tuple(tools), schema, known)}
    for name, documents in scenario.specialists.items():
        own = tuple(tool for tool in tools if tool.name in SPECIALISTS[name])
        found[name] = AgentSpec(name, "Do it.", own, ANSWER_SCHEMA if name == TYPED else None, documents=documents)
    return found


class World:
    """All that survives a crash, and the processes that live now."""

    clock: QuietLoop

    def __init__(self, scenario: Scenario, crashes: Sequence[int], mode: Mode, without: Collection[str]) -> None:
        self.scenario, self.mode = scenario, mode
        random = chance(scenario.seed, mode)
        self.calm_s = random.choice(CALM_S) if mode == "liveness" else math.inf
        self.horizon_s = random.choice(HORIZON_S) if mode == "safety" else math.inf
        self.injectors = injectors = Injectors(scenario.seed, without, armed=mode != "plain", calm_at=self.calm_s)
        moods = {*scenario.moods}
        self.machine = Machine(self._is_gone) if mode == "plain" else DiskMachine(self._is_gone, self._hurt, self._cut)
        self.outsider = Life(Boundaries(), 0)
        log = MortalLog(self.machine, self.outsider, self.saw)
        self.outside = Outside(scenario, MortalAccess(self.machine, self.outsider))
        self.outside.meet = self._meet
        self.tools = (*tools(self.outside), *bookings(self.outside))
        self.people = People(scenario, log, self.outside)
        self.people.hurried = mode == "plain"
        self.boundaries = Boundaries(crashes)
        self.fixed = static(scenario.policy, agents(scenario, (SEARCH, READ, *(tool.spec for tool in self.tools))))
        self.seen = Seen({tool.spec.name: tool.spec.effect for tool in self.tools})
        self.strikes = Strikes(scenario, self.injectors, self.machine, self.people, self.seen)
        self.watch = Watch(self.machine, self.fixed)
        self.faults: list[str] = []
        self.lives = 0
        self._turn = 0
        self._lags = chance(scenario.seed, "lag")
        beside = chance(scenario.seed, "two").random() if mode != "plain" else 1.0
        self._workers = 2 if injectors.allows("two workers") and ({"two", "stall"} & moods or beside < 0.4) else 1
        self._stalls = "stall" in moods or (injectors.allows("delay") and beside < 0.2)

    async def live(self) -> Run:
        """From the first message to the last answer, over as many processes as it takes."""
        async with asyncio.timeout(VIRTUAL_S_MAX if self.mode == "plain" else FAULTS_S_MAX):
            await self._furnish()
            self.strikes.processes = [self._process(n) for n in range(self._workers)]
            workers = [asyncio.ensure_future(self._keep(n)) for n in range(self._workers)]
            people = asyncio.ensure_future(self.people.work(self))
            try:
                horizon_s = None if self.horizon_s == math.inf else self.horizon_s
                await asyncio.wait({people, *workers}, timeout=horizon_s, return_when=asyncio.FIRST_COMPLETED)
                for one in (people, *workers):
                    if one.done():
                        one.result()
                await self._end(people, workers)
            finally:
                for task in (people, *workers):
                    task.cancel()
                await asyncio.gather(people, *workers, return_exceptions=True)
        return await self._told()

    async def _end(self, people: asyncio.Task[None], workers: Sequence[asyncio.Task[None]]) -> None:
        """Processes are closed where all is done, and die where a life is only watched for a while."""
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        people.cancel()
        await asyncio.gather(people, return_exceptions=True)
        self.injectors.calm_at = 0
        self.machine.calm()
        for life, house in self.strikes.processes:
            if life.alive and people.done() and not people.cancelled():
                await life.do(house.close)
            life.die()
            await life.bury()
        self.machine.restart()
        await self._catch_up()

    async def _keep(self, number: int) -> None:
        """One worker: a process, and another one whenever it is gone."""
        while True:
            life, house = self.strikes.processes[number]
            life.begin(lambda house=house: self._go_on(house))  # type: ignore[misc]
            ends = [asyncio.ensure_future(waiting) for waiting in (life.died.wait(), life.stopping.wait())]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
            if life.alive:
                await self._close(life, house)
            life.die()
            await life.bury()
            if not any(other.alive for other, _ in self.strikes.processes):
                self.machine.restart()
            await self._catch_up()
            await asyncio.sleep(self.scenario.restart_ms / 1000)
            self.strikes.processes[number] = self._process(number)

    async def _close(self, life: Life, house: House) -> None:
        """A process that was told to stop lets go of everything in good order, or dies of it."""
        try:
            await life.do(house.close)
        except (Gone, StoreError):
            return

    async def _go_on(self, house: House) -> None:
        """What a process begins with: everything that is unfinished."""
        while True:
            try:
                for row in await house.unfinished():
                    await house.resume(row.session)
                return
            except StoreError:
                await asyncio.sleep(1)

    async def through(self, doing: Callable[[House], Awaitable[T]]) -> T:
        """Have a process that lives do something; the next one where it dies before that is done."""
        while True:
            serving = [(life, house) for life, house in self.strikes.processes if life.serves]
            if not serving:
                await asyncio.sleep(0.05)
                continue
            self._turn += 1
            life, house = serving[self._turn % len(serving)]
            try:
                return await life.do(lambda house=house: doing(house))  # type: ignore[misc]
            except Gone:
                continue

    def _process(self, number: int) -> tuple[Life, House]:
        self.lives += 1
        life = Life(self.boundaries, self.lives, self.strikes)
        return life, self._house(life, number)

    def _house(self, life: Life, number: int) -> House:
        scenario = self.scenario
        search, access = MortalSearch(self.machine, life), MortalAccess(self.machine, life)
        models = MortalModels(TroubledModels(self.outside), life)
        effects = {tool.spec.name: tool.spec.effect for tool in self.tools}

        def mortal(these: Any) -> MortalTools:
            return MortalTools(WatchedTools(these, self.outside), life, effects, self.outside.session_of)

        functions = mortal(PythonTools({t.name: t for t in self.tools}))
        documents = mortal(DocumentTools(search, access))
        fresh = chance(scenario.seed, "fresh", life.name)
        ports = Ports(
            log=MortalLog(self.machine, life, self.saw, self._lag_ms),
            search=search,
            access=access,
            models={"alpha": models, "beta": models},
            tools={**{t.name: functions for t in self.tools}, SEARCH.name: documents, READ.name: documents},
            controls=CONTROLS,
            clock=self.now_ms,
        )
        approve = self._approve if scenario.approves else None
        owner = Owner("simulated", number, life.name)
        by = f"process {life.name}.{number}"
        setup = Setup(ports, self.fixed, RULES, by, owner, approve, lambda: f"{fresh.getrandbits(128):032x}")
        return House(setup, self._sync, self._leave)

    def now_ms(self) -> int:
        """What the clock of the processes says."""
        return self.clock.now_ms() + self.strikes.offset_ms

    def _is_gone(self, owner: Owner) -> bool:
        return not any(life.alive and life.name == owner.started for life, _ in self.strikes.processes)

    async def _approve(self, ask: str, tool: str, item: Item) -> bool:
        """A person who says yes, says no, or is somewhere else."""
        random = chance(self.scenario.seed, ask, tool, item.hash)
        await asyncio.sleep(random.choice((0.2, 4)) if random.random() < self.scenario.answered else LATE_S)
        return random.random() < 0.7

    async def _sync(self, tenant: str, root: Path) -> Synced:
        return Synced(root.name, len(self.scenario.documents), 0, 0, {})

    async def _leave(self) -> None:
        """The log stays."""

    async def _furnish(self) -> None:
        documents = self.scenario.documents
        await self.machine.search.write(TENANT, FOLDER, documents, ())
        await self.people.declare(FolderSynced(TENANT, FOLDER, FOLDER, tuple((d.path, d.version) for d in documents), (), True))
        read = [f"document:{path}#reader@{who}" for who, paths in self.scenario.readable.items() for path in paths]
        await self.people.declare(RelationsChanged(TENANT, FOLDER, "file", tuple(sorted(read)), (), tuple(sorted(read))))
        incidents = (f"incident:1#reader@{PEOPLE[0]}", f"incident:2#reader@{PEOPLE[1]}")
        await self.people.declare(RelationsChanged(TENANT, "", "command", incidents))

    # --- what is seen of it ---------------------------------------------------------------------------------------------

    async def saw(self, append: Append, appended: Appended) -> None:
        """What must hold after every append, and what the outside learns from it."""
        self.seen.acknowledged[append.session] = (appended.seq, appended.head)
        if append.fence is not None and not self.strikes.holds(LIFE.get(), append.session):
            self.faults.append(f"{append.session}: seq {appended.seq} was decided by a process that had lost the session")
        with self.machine.still():
            await self._take(append)
            rows = await self.machine.log.balances([move.account for move in append.moves])
        for account, row in rows.items():
            limit = self._limit(account)
            if limit is not None and row.held + row.spent > limit:
                self.faults.append(f"{account}: {row.held} held and {row.spent} spent are over its limit of {limit}")

    async def _take(self, append: Append) -> None:
        self.seen.take(append)
        await self.outside.saw(append)

    async def _catch_up(self) -> None:
        """After a death: what is in the logs though nobody learnt of it, and whether all is there that somebody did."""
        with self.machine.still():
            for session in (HOUSE, *(chat.session for chat in self.scenario.chats)):
                for frame in await self.machine.log.read(session, self.seen.last(session)):
                    await self._take(_append(session, frame))
                await self._look_back(session)

    async def _look_back(self, session: str) -> None:
        acknowledged, head = self.seen.acknowledged.get(session, (0, ""))
        seq, found = await self.machine.log.heads(session)
        if seq > acknowledged:
            found = (await self.machine.log.read(session, acknowledged, bodies=False, limit=1))[0].prev
        if seq < acknowledged or found != head:
            self.faults.append(f"{session}: what was acknowledged up to seq {acknowledged} did not survive")

    def _hurt(self, fault: Any) -> None:
        self.strikes.hurt(fault)

    def _cut(self) -> None:
        self.strikes.cut()

    def _meet(self, fault: str, session: str) -> bool:
        """Something of the scenario happens, if it may."""
        if not self.injectors.allows(fault):
            return False
        self.strikes.met(fault, session)
        return True

    def _limit(self, account: str) -> int | None:
        """The scenario sets no limits but those by default, which hold for the tenant's day and for each session."""
        policy = self.scenario.policy
        return {"t": policy.day.get("default"), "s": policy.session.get("default")}.get(account[0])

    def _lag_ms(self) -> int:
        """What an append takes on either side: nothing, some time, or longer than a lease lasts."""
        moods = self.scenario.moods
        if self.clock.time() >= self.calm_s:
            return 0
        lag_ms = self._lags.choice((0, 0, 0, 1, 40, 1_500)) if "lag" in moods else 0
        lag_ms = 45_000 if self._stalls and self._lags.random() < 0.04 else lag_ms
        if lag_ms:
            self.injectors.strikes("delay", ())
        return lag_ms

    def look(self) -> None:
        """Everything waits: whatever could be decided has been."""
        lives = [life for life, _ in self.strikes.processes]
        busy = self.people.put_off or any(not life.serves or life.under_way for life in lives)
        if lives and not busy and (self.mode == "plain" or self.clock.time() > self.strikes.shaken_until):
            sessions = {chat.session: self.strikes.driven(chat.session) for chat in self.scenario.chats}
            with self.machine.still():
                self.faults += self.watch.starving(sessions, self.now_ms())

    def task(self, loop: asyncio.AbstractEventLoop, coro: Any, **given: Any) -> asyncio.Task[Any]:
        """A task whose end is looked at: only a crash, a cancellation and errors meant for people may end one."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **given)
        belongs(task)
        task.add_done_callback(self._look_at)
        return task

    def trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something broke that nobody waited for; timers of a store that is closed may."""
        if not isinstance(context.get("exception"), apsw.ConnectionClosedError | Crash):
            self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _look_at(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, BaseExceptionGroup):
            error = error.split(lambda e: isinstance(e, Crash | asyncio.CancelledError))[1]
        if error is not None and not isinstance(error, Crash | StandpipeError | TimeoutError | DriverBug | Lost | Gone):
            self.faults.append(f"a task ended with {error!r}")

    async def _told(self) -> Run:
        logs = {chat.session: await self.machine.log.read(chat.session) for chat in self.scenario.chats}
        started = [e.fact for frames in logs.values() for f in frames for e in f.events]
        accounts = {name for fact in started for name in getattr(fact, "accounts", ())}
        faults = (*self.faults, *self.outside.faults, *self.people.faults, *self.strikes.faults)
        heads = {session: await self.machine.log.heads(session) for session in (*logs, HOUSE)}
        return Run(
            scenario=self.scenario,
            logs={**logs, HOUSE: await self.machine.log.read(HOUSE)},
            effects=tuple(self.outside.effects),
            accounts=await self.machine.log.balances(sorted(accounts)),
            faults=(*faults, *await self.machine.log.chain(), *await self._replayed()),
            boundaries=tuple(self.boundaries.names),
            crashes=tuple(sorted(self.boundaries.crashes)),
            mode=self.mode,
            met=self.injectors.told(),
            calm_at=EPOCH_MS + round(self.calm_s * 1000) if self.mode == "liveness" else 0,
            skew_ms=self.strikes.skew_ms,
            digest=digest(sorted(heads.items())),
        )

    async def _replayed(self) -> list[str]:
        """Where deciding the past again says something else than the logs."""
        told = [await replay(self.machine.log, chat.session, RULES) for chat in self.scenario.chats]
        return [sentence for one in told for sentence in one.divergences]


def _append(session: str, frame: Frame) -> Append:
    """What was appended to make this frame, as far as the outside looks at it."""
    return Append(
        session=session,
        tenant=TENANT,
        at=frame.at,
        by=frame.by,
        rules=frame.rules,
        expect_seq=frame.first_seq - 1,
        events=frame.events,
    )
