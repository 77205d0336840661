"""A house whose store is on a disk that fails when it is told to, with tools that count what they did outside."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

import standpipe as sp
from standpipe import wiring
from standpipe.core.events import CallCompleted, CallGranted, Event, MemoryKept, TurnEnded, TurnRequested
from standpipe.core.tools import ToolSpec
from standpipe.drivers.access.sqlite import SqliteAccess
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.log.tables import SCHEMA
from standpipe.drivers.search.sqlite import SqliteSearch
from standpipe.drivers.sqlite import Store
from standpipe.drivers.tools.python import Tool, tool
from standpipe.engine.house import House
from standpipe.engine.verify import verify
from standpipe.ports import Append, Appended
from standpipe.settings import load
from standpipe.testing.disk import Disk

PATH = Path("/standpipe.db")
POLICY: dict[str, Any] = {"budgets": {"default": {"turn": {"usd": 100.0, "tool_calls": 100}}}}


class Acknowledging:
    """A log that keeps what was acknowledged."""

    def __init__(self, log: SqliteLog, kept: list[tuple[str, Event]]) -> None:
        self._log, self._kept = log, kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, append: Append) -> Any:
        answer = await self._log.append(append)
        if isinstance(answer, Appended):
            self._kept += [(append.session, event) for event in append.events]
        return answer


class Failing:
    """The disk, the process that has its store open, and what must hold of both whatever fails."""

    def __init__(self, disk: Disk, clock: Callable[[], int]) -> None:
        self.disk, self._clock = disk, clock
        self.effects: Counter[str] = Counter()
        self.acknowledged: list[tuple[str, Event]] = []
        self.pause_s = 0.0
        self.house = self._opened()

    def _opened(self) -> House:
        store = Store.open(PATH, [SCHEMA, *SqliteAccess.SCHEMA, *SqliteSearch.SCHEMA], inline=True, vfs=self.disk.name)
        access = SqliteAccess(store)
        log: Any = Acknowledging(SqliteLog(store, [access.project]), self.acknowledged)
        kept = wiring.Stores(log, access, SqliteSearch(store), store)
        agents = [wiring.Agent("worker", tools=self._tools(self.disk.power))]
        models = {"scripted": sp.testing.ScriptedModel(respond)}
        house = wiring.build(load(POLICY, ("scripted",)), kept, agents, models, None)
        setup = replace(house.setup, ports=replace(house.ports, clock=self._clock))
        return House(setup, lambda tenant, root: house.sync(root, tenant), house.close)

    def _tools(self, power: int) -> list[Tool]:
        def act(key: str) -> None:
            assert self.disk.power == power, "a process that is gone does nothing"
            self.effects[key] += 1

        @tool(effect="write")
        async def note(idempotency_key: str = "") -> str:
            """Writes, not to be repeated."""
            await asyncio.sleep(self.pause_s)
            act(idempotency_key)
            await asyncio.sleep(self.pause_s)
            return "noted"

        @tool()
        async def look() -> str:
            """Reads."""
            return "seen"

        return [note, look]

    async def restart(self) -> None:
        """Another process takes over."""
        with contextlib.suppress(sp.StandpipeError):
            await self.house.close()
        self.house = self._opened()

    async def distrusted(self) -> bool:
        """Whether this process does not write any more."""
        try:
            await self.house.ports.log.release("", 0)
        except sp.StandpipeError:
            return True
        return False

    async def finish(self) -> None:
        """Every turn to its end, and its answer to where later ones find it."""
        for row in await self.house.left_to_do():
            while (turn := await self.house.resume(row.session)) is not None:
                await turn.wait()

    async def check(self) -> None:
        """Nothing acknowledged is lost, no effect happened twice, every turn ends, and the log is what it should be."""
        await self.finish()
        log = self.house.ports.log
        there = {row.session: [e for f in await log.read(row.session) for e in f.events] for row in await log.rows()}
        for session, event in self.acknowledged:
            assert there[session][event.seq - 1].fact == event.fact
        assert (await verify(log)).violations == ()
        facts = [(session, event.fact) for session, events in there.items() for event in events]
        ended = {(session, fact.turn) for session, fact in facts if isinstance(fact, TurnEnded)}
        assert ended == {(session, fact.turn) for session, fact in facts if isinstance(fact, TurnRequested)}
        assert {(s, fact.turn) for s, fact in facts if isinstance(fact, TurnEnded) and fact.items} == {
            (s, fact.turn) for s, fact in facts if isinstance(fact, MemoryKept)
        }
        keys = {(s, fact.call): fact.key for s, fact in facts if isinstance(fact, CallGranted) and fact.target == "note"}
        completed = {keys[s, fact.call] for s, fact in facts if isinstance(fact, CallCompleted) and (s, fact.call) in keys}
        assert completed <= set(self.effects) <= set(keys.values())
        assert set(self.effects.values()) <= {1}


@contextlib.contextmanager
def failing(clock: Callable[[], int]) -> Iterator[Failing]:
    """A house on a new disk."""
    with contextlib.closing(Disk("failing")) as disk:
        yield Failing(disk, clock)


async def respond(items: list[sp.Item], _: list[ToolSpec]) -> str | list[sp.ToolCall]:
    """Plan three steps, then answer."""
    if items[-1].origin == "user":
        steps = [{"id": str(n), "tool": name, "arguments": {}} for n, name in enumerate(("note", "look", "note"))]
        return [sp.ToolCall("plan", {"steps": steps})]
    return "All of it was done."
