"""One seed, one life of a house: a random world on virtual time, with crashes where they are ordered, and all that came of it.

The engine, the rules and the log are the real ones; models, tools and people are drawn from the seed. A crash throws away
everything but the log, the index, the relations and what was done outside; another process goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from standpipe.core.amounts import Balance
from standpipe.core.control import CONTROL
from standpipe.core.events import FolderSynced, Frame, RelationsChanged
from standpipe.core.ids import HOUSE
from standpipe.core.items import Item
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.tools.documents import READ, SEARCH, DocumentTools
from standpipe.drivers.tools.python import PythonTools, plain_schema
from standpipe.engine.drive import Lost, Setup
from standpipe.engine.house import House
from standpipe.engine.lookup import static
from standpipe.engine.perform import Ports
from standpipe.engine.replay import replay
from standpipe.errors import StandpipeError
from standpipe.ports import Append, Owner, Synced
from standpipe.testing.crash import Boundaries, Crash, Life, MortalLog, MortalModels, MortalSearch, MortalTools, ReadOnceLog
from standpipe.testing.outside import DriverBug, Effect, Outside, TroubledModels, WatchedTools, tools
from standpipe.testing.people import People
from standpipe.testing.quiet import QuietLoop, Watch
from standpipe.testing.scenario import FOLDER, PEOPLE, SPECIALISTS, TENANT, TYPED, Scenario, chance, draw

RULES = "rules"
VIRTUAL_S_MAX = 200_000
"""A run that is not over by then on its own clock never will be."""
LATE_S = 50.0
"""How long a person takes who answers too late."""
CONTROLS = tuple(ToolSpec(name, name, plain_schema(kind), effect="control") for name, kind in CONTROL.items())
ANSWER_SCHEMA = {"type": "object", "properties": {"level": {"type": "integer"}}, "required": ["level"]}


class Run(msgspec.Struct, frozen=True):
    """What came of a scenario: all logs, all effects, the ledger, what went wrong, and the boundaries that were crossed."""

    scenario: Scenario
    logs: dict[str, list[Frame]]
    effects: tuple[Effect, ...]
    accounts: dict[str, Balance]
    faults: tuple[str, ...]
    boundaries: tuple[str, ...]
    crashes: tuple[int, ...]


def simulate(seed: int, crashes: Sequence[int] = ()) -> Run:
    """Live through the scenario of a seed, with a crash at each of these boundaries (counted from 1 over the whole run)."""
    world = _World(draw(seed), crashes)
    loop = QuietLoop(world.look)
    loop.set_task_factory(world.task)
    world.clock = loop
    try:
        return loop.run_until_complete(world.live())
    finally:
        loop.close()


def agents(scenario: Scenario, tools: Sequence[ToolSpec]) -> dict[str, AgentSpec]:
    """The scenario's agent, which has all these tools, and its specialists, which have some."""
    schema = ANSWER_SCHEMA if scenario.typed else None
    known = {name: f"Has {', '.join(SPECIALISTS[name])}." for name in scenario.specialists}
    found = {"agent": AgentSpec("agent", "Say what is asked.", tuple(tools), schema, known)}
    for name, documents in scenario.specialists.items():
        own = tuple(tool for tool in tools if tool.name in SPECIALISTS[name])
        found[name] = AgentSpec(name, "Do it.", own, ANSWER_SCHEMA if name == TYPED else None, documents=documents)
    return found


class _World:
    """All that survives a crash, and the process that lives now."""

    clock: QuietLoop

    def __init__(self, scenario: Scenario, crashes: Sequence[int]) -> None:
        self.scenario = scenario
        self.access = MemoryAccess()
        self.search = MemorySearch()
        self.log = ReadOnceLog([self.access.project], gone=lambda owner: owner.started != self.life.name)
        self.outside = Outside(scenario, self.access)
        self.tools = tools(self.outside)
        self.people = People(scenario, self.log, self.outside)
        self.boundaries = Boundaries(crashes)
        self.fixed = static(scenario.policy, agents(scenario, (SEARCH, READ, *(tool.spec for tool in self.tools))))
        self.watch = Watch(self.log, self.search, self.access, self.fixed)
        self.faults: list[str] = []
        self.life = Life(self.boundaries, 0)
        self.logs: list[MortalLog] = []
        self._lags = chance(scenario.seed, "lag")

    async def live(self) -> Run:
        """From the first message to the last answer, over as many processes as it takes."""
        async with asyncio.timeout(VIRTUAL_S_MAX):
            await self._furnish()
            while not await self._one_life():
                await asyncio.sleep(self.scenario.restart_ms / 1000)
        return await self._told()

    async def _one_life(self) -> bool:
        """One process (or two beside each other) until all is done (true) or it is gone."""
        self.life = life = Life(self.boundaries, self.life.number + 1)
        self.logs = []
        houses = [self._house(life, n) for n in range(2 if {"two", "stall"} & {*self.scenario.moods} else 1)]
        work = asyncio.ensure_future(self.people.work(houses))
        died = asyncio.ensure_future(life.died.wait())
        await asyncio.wait({work, died}, return_when=asyncio.FIRST_COMPLETED)
        done = life.alive
        if done:
            work.result()
            for house in houses:
                await house.close()
        await self._bury()
        return done

    async def _bury(self) -> None:
        """Nothing of a process goes on after it."""
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)

    def _house(self, life: Life, number: int) -> House:
        scenario = self.scenario
        log = MortalLog(self.log, life, self.saw, self._lag_ms)
        self.logs.append(log)
        search = MortalSearch(self.search, life)
        models = MortalModels(TroubledModels(self.outside), life)
        functions = MortalTools(WatchedTools(PythonTools({t.name: t for t in self.tools}), self.outside), life)
        documents = MortalTools(WatchedTools(DocumentTools(search, self.access), self.outside), life)
        ports = Ports(
            log=log,
            search=search,
            access=self.access,
            models={"alpha": models, "beta": models},
            tools={**{t.name: functions for t in self.tools}, SEARCH.name: documents, READ.name: documents},
            controls=CONTROLS,
            clock=self.clock.now_ms,
        )
        approve = self._approve if scenario.approves else None
        owner = Owner("simulated", number, life.name)
        setup = Setup(ports, self.fixed, RULES, f"process {life.name}.{number}", owner, approve)
        return House(setup, self._sync, self._close)

    async def _approve(self, ask: str, tool: str, item: Item) -> bool:
        """A person who says yes, says no, or is somewhere else."""
        random = chance(self.scenario.seed, ask, tool, item.hash)
        await asyncio.sleep(random.choice((0.2, 4)) if random.random() < self.scenario.answered else LATE_S)
        return random.random() < 0.7

    async def _sync(self, tenant: str, root: Path) -> Synced:
        return Synced(root.name, len(self.scenario.documents), 0, 0, {})

    async def _close(self) -> None:
        """The log stays."""

    async def _furnish(self) -> None:
        documents = self.scenario.documents
        await self.search.write(TENANT, FOLDER, documents, ())
        await self.people.declare(FolderSynced(TENANT, FOLDER, FOLDER, tuple((d.path, d.version) for d in documents), (), True))
        read = [f"document:{path}#reader@{who}" for who, paths in self.scenario.readable.items() for path in paths]
        await self.people.declare(RelationsChanged(TENANT, FOLDER, "file", tuple(sorted(read)), (), tuple(sorted(read))))
        incidents = (f"incident:1#reader@{PEOPLE[0]}", f"incident:2#reader@{PEOPLE[1]}")
        await self.people.declare(RelationsChanged(TENANT, "", "command", incidents))

    async def saw(self, append: Append) -> None:
        """What must hold after every append, and what the outside learns from it."""
        await self.outside.saw(append)
        rows = await self.log.balances([move.account for move in append.moves])
        for account, row in rows.items():
            limit = self._limit(account)
            if limit is not None and row.held + row.spent > limit:
                self.faults.append(f"{account}: {row.held} held and {row.spent} spent are over its limit of {limit}")

    def _limit(self, account: str) -> int | None:
        """The scenario sets no limits but those by default, which hold for the tenant's day and for each session."""
        policy = self.scenario.policy
        return {"t": policy.day.get("default"), "s": policy.session.get("default")}.get(account[0])

    def _lag_ms(self) -> int:
        """What an append takes on either side: nothing, some time, or longer than a lease lasts."""
        moods = self.scenario.moods
        if "stall" in moods and self._lags.random() < 0.04:
            return 45_000
        return self._lags.choice((0, 0, 0, 1, 40, 1_500)) if "lag" in moods else 0

    def look(self) -> None:
        """Everything waits: whatever could be decided has been."""
        if self.life.alive and not any(log.under_way for log in self.logs):
            sessions = {chat.session: self.log.driven(chat.session) for chat in self.scenario.chats}
            self.faults += self.watch.starving(sessions, self.clock.now_ms())

    def task(self, loop: asyncio.AbstractEventLoop, coro: Any, **given: Any) -> asyncio.Task[Any]:
        """A task whose end is looked at: only a crash, a cancellation and errors meant for people may end one."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **given)
        task.add_done_callback(self._look_at)
        return task

    def _look_at(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, BaseExceptionGroup):
            error = error.split(lambda e: isinstance(e, Crash | asyncio.CancelledError))[1]
        if error is not None and not isinstance(error, Crash | StandpipeError | TimeoutError | DriverBug | Lost):
            self.faults.append(f"a task ended with {error!r}")

    async def _told(self) -> Run:
        logs = {chat.session: await self.log.read(chat.session) for chat in self.scenario.chats}
        started = [e.fact for frames in logs.values() for f in frames for e in f.events]
        accounts = {name for fact in started for name in getattr(fact, "accounts", ())}
        return Run(
            scenario=self.scenario,
            logs={**logs, HOUSE: await self.log.read(HOUSE)},
            effects=tuple(self.outside.effects),
            accounts=await self.log.balances(sorted(accounts)),
            faults=(*self.faults, *self.outside.faults, *self.people.faults, *await self.log.chain(), *await self._replayed()),
            boundaries=tuple(self.boundaries.names),
            crashes=tuple(sorted(self.boundaries.crashes)),
        )

    async def _replayed(self) -> list[str]:
        """Where deciding the past again says something else than the logs."""
        told = [await replay(self.log, chat.session, RULES) for chat in self.scenario.chats]
        return [sentence for one in told for sentence in one.divergences]
