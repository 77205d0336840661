"""A house in virtual time over a log in memory, with tools and a model of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from standpipe.core.events import AnyFact
from standpipe.core.tools import AgentSpec
from standpipe.core.verify import violations
from standpipe.core.world import ModelSpec, Policy
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.models.scripted import ScriptedModel
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.tools.python import PythonTools, Tool
from standpipe.engine.drive import Setup
from standpipe.engine.house import House
from standpipe.engine.lookup import static
from standpipe.engine.perform import Ports
from standpipe.engine.replay import replay
from standpipe.ports import Approvals, Owner, Synced
from standpipe.testing.clock import VirtualLoop, run
from standpipe.wiring import CONTROLS

RULES = "rules"


class Virtual:
    """What the houses of one test share. `gone` are the processes that are dead, by their number."""

    def __init__(
        self, respond: Any, *tools: Tool, specialists: Sequence[AgentSpec] = (), log: type[MemoryLog] = MemoryLog
    ) -> None:
        self.loop = VirtualLoop()
        self.gone: set[int] = set()
        self._houses: list[House] = []
        self._names = Random("names")
        access = MemoryAccess()
        self.log = log([access.project], gone=lambda owner: owner.pid in self.gone)
        specs = tuple(tool.spec for tool in tools)
        lead = AgentSpec("lead", "Do it.", specs, specialists={agent.name: agent.name for agent in specialists})
        self._fixed = static(
            Policy(models={"m": ModelSpec("m", "scripted")}, routes={"default": ("m",)}),
            {"lead": lead, **{agent.name: agent for agent in specialists}},
        )
        self._ports = Ports(
            log=self.log,
            search=MemorySearch(),
            access=access,
            models={"scripted": ScriptedModel(respond)},
            tools=dict.fromkeys((tool.name for tool in tools), PythonTools({tool.name: tool for tool in tools})),
            controls=CONTROLS,
            clock=self.loop.now_ms,
        )

    def house(self, number: int = 1, approve: Approvals | None = None) -> House:
        """A process."""
        owner = Owner("here", number, "")
        self._houses.append(
            House(Setup(self._ports, self._fixed, RULES, f"here:{number}", owner, approve, self._fresh), _sync, _nothing)
        )
        return self._houses[-1]

    def _fresh(self) -> str:
        return f"{self._names.getrandbits(128):032x}"

    async def facts(self, session: str) -> list[AnyFact]:
        """What a log says."""
        return [event.fact for frame in await self.log.read(session) for event in frame.events]

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Live through a test, until nothing of it is left."""

        async def whole() -> None:
            try:
                await main()
            finally:
                for house in self._houses:
                    await house.close()
                while others := asyncio.all_tasks() - {asyncio.current_task()}:
                    await asyncio.wait(others)
            for row in await self.log.rows():
                assert violations(await self.log.read(row.session)) == []
                assert (await replay(self.log, row.session, RULES)).divergences == ()

        try:
            run(whole(), self.loop)
        finally:
            self.loop.close()


async def _sync(_tenant: str, _root: object) -> Synced:
    raise AssertionError("there are no documents")


async def _nothing() -> None:
    pass
