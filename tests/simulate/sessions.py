"""Whole sessions in virtual time over a log in memory: told by a script, or drawn from a seed with failures and crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from standpipe.core.control import CONTROL
from standpipe.core.details import Fault, Usage
from standpipe.core.events import Event, FolderSynced, Frame, RelationsChanged
from standpipe.core.ids import HOUSE, digest_bytes
from standpipe.core.items import Data, Draft, Item, Label, Text, ToolCall, encode_body
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import ModelSpec, Policy
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.tools.documents import READ, SEARCH, DocumentTools
from standpipe.drivers.tools.python import plain_schema
from standpipe.engine.access import change
from standpipe.engine.drive import Setup
from standpipe.engine.house import House, Turn
from standpipe.engine.lookup import static
from standpipe.engine.perform import Ports
from standpipe.ports import Append, Approvals, Document, Failed, Owner, Prompt, Reply, Synced, ToolRequest
from standpipe.testing.clock import VirtualLoop, run

FOLDER, TENANT, USER, RULES = "docs", "local", "user:local", "rules"

DOCUMENTS = {
    "incidents/july.md": "# July\n\nThe checkout failed because the pool had 20 connections.\nThe pool page says more.\n",
    "incidents/june.md": "# June\n\nThe checkout failed because the pool ran out of connections.\n",
    "services/pool.md": "# Pool\n\nThe pool allows 50 connections since June.\n\n## Care\n\nRestart it before a deployment.\n",
    "services/mail.md": "# Mail\n\nThe mail service sends every receipt within 5 seconds.\n",
}

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
TOOLS = (
    SEARCH,
    READ,
    ToolSpec("look", "Looks.", NUMBER),
    ToolSpec("flaky", "Looks, and often fails.", NUMBER),
    ToolSpec("slow", "Looks for a long time.", NUMBER, timeout_ms=5_000),
    ToolSpec("write", "Writes, and may fail.", NUMBER, effect="write", timeout_ms=3_000),
    ToolSpec("put", "Writes once for each key.", NUMBER, effect="write", idempotent=True, timeout_ms=3_000),
    ToolSpec("send", "Sends for good.", NUMBER, effect="irreversible"),
)

_SPECS = {tool.name: tool for tool in TOOLS}
HANGS, BREAKS = 7, 13
"""Arguments of a writing tool that make it take two seconds, and both of which make it break off."""

Moves = str | Sequence[ToolCall | Text] | Fault
Script = Callable[[list[Item], list[ToolSpec]], Awaitable[Moves]]


class Scripted:
    """The Models port over a script, which may also fail."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply | Failed:
        """One attempt."""
        said = await self._script(list(prompt.items), list(prompt.tools))
        if isinstance(said, Fault):
            return Failed(said)
        bodies = [Text(said)] if isinstance(said, str) else list(said)
        read = sum(item.bytes for item in prompt.items)
        written = sum(len(encode_body(body)) for body in bodies)
        return Reply(tuple(map(Draft, bodies)), Usage(read // 4, min(written // 4, prompt.output_tokens_max)))


class Acts:
    """The Tools port over tools that act, fail and hang as `random` has it. `done` counts effects by key."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.done: dict[str, int] = {}

    async def call(self, request: ToolRequest) -> Reply | Failed:
        """One attempt."""
        random, spec, number = self._random, _SPECS[request.tool], request.arguments["n"]
        await asyncio.sleep(2.0 if number == HANGS else random.choice((0.0, 0.1, 1.0, 20.0 if request.tool == "slow" else 0.0)))
        chance = 1.0 if number in (HANGS, BREAKS) else random.random()
        if request.tool == "flaky" and chance < 0.6:
            return Failed(Fault("unavailable", "It is not there.", retryable=chance < 0.4), told="not there")
        if spec.effect != "read" and chance < 0.8 and not (spec.idempotent and self.done.get(request.key)):
            self.done[request.key] = self.done.get(request.key, 0) + 1
        await asyncio.sleep(random.choice((0.0, 0.1, 1.0)))
        if spec.effect != "read" and chance > 0.7:
            return Failed(Fault("error", "It broke off.", retryable=chance > 0.9), unknown=not spec.idempotent)
        return Reply((Draft(Data(number), Label(integrity="tool")),))


class Stage:
    """One store, and the houses that were opened on it one after the other; opening one is a crash of those before."""

    def __init__(self, script: Script, random: Random | None = None, policy: Policy | None = None) -> None:
        """`script` is the model of the provider `scripted`."""
        self.loop = VirtualLoop()
        self.random = random or Random(0)
        self._names = Random("names")
        self.access = MemoryAccess(self.loop.now_ms)
        self.search = MemorySearch()
        self.opened = 0
        self.log = MemoryLog([self.access.project], gone=lambda owner: owner.pid < self.opened)
        self.acts = Acts(self.random)
        self.house: House | None = None
        scripted, documents = Scripted(script), DocumentTools(self.search, self.access)
        self._ports = Ports(
            log=self.log,
            search=self.search,
            access=self.access,
            models={"scripted": scripted, "other": scripted},
            tools={**dict.fromkeys((tool.name for tool in TOOLS), self.acts), "search": documents, "read": documents},
            controls=tuple(ToolSpec(name, name, plain_schema(kind)) for name, kind in CONTROL.items()),
            clock=self.loop.now_ms,
        )
        self._fixed = static(policy or POLICY, {"coordinator": AgentSpec("coordinator", "Answer.", TOOLS)})

    async def open(self, approve: Approvals | None = None) -> House:
        """A house on the store, the one before it gone: it can write nothing any more."""
        self.opened += 1
        owner = Owner("here", self.opened, "")
        for row in await self.log.rows():
            await self.log.claim(row.session, owner, self.loop.now_ms(), self.loop.now_ms() + 30_000)
        await self.close()
        setup = Setup(self._ports, self._fixed, RULES, f"here:{self.opened}", owner, approve, self._fresh)
        self.house = House(setup, self._sync, _nothing)
        if self.opened == 1:
            governed = Event(1, "test", (), FolderSynced(TENANT, FOLDER, FOLDER, governed=True))
            await self.log.append(Append(HOUSE, TENANT, self.loop.now_ms(), "test", RULES, 0, (governed,)))
            await self.set_right(list(DOCUMENTS))
        return self.house

    def _fresh(self) -> str:
        return f"{self._names.getrandbits(128):032x}"

    async def close(self) -> None:
        """Let go of everything; the log stays."""
        if self.house is not None:
            await self.house.close()

    async def set_right(self, granted: Sequence[str] = (), revoked: Sequence[str] = ()) -> None:
        """Let the user read these documents, and those no longer."""
        assert self.house is not None
        texts = [tuple(f"document:{path}#reader@{USER}" for path in paths) for paths in (granted, revoked)]
        await change(self.house.setup, RelationsChanged(TENANT, FOLDER, "command", *texts), "test")

    async def _sync(self, tenant: str, _root: Any) -> Synced:
        written = [Document(path, digest_bytes(text.encode()), text) for path, text in DOCUMENTS.items()]
        await self.search.write(tenant, FOLDER, written, ())
        return Synced(FOLDER, len(written), len(written), 0, {})


async def _nothing() -> None:
    pass


POLICY = Policy(
    models={
        "large": ModelSpec("large", "scripted", input_microusd_per_mtok=1_000_000, output_microusd_per_mtok=4_000_000),
        "small": ModelSpec("small", "other", input_microusd_per_mtok=100_000, output_microusd_per_mtok=400_000),
    },
    routes={"default": ("large", "small"), "plan": ("huge", "large", "small")},
)


def told(script: Script, story: Callable[[Stage, House], Awaitable[Turn]], policy: Policy | None = None) -> tuple[Stage, Turn]:
    """Run a story to its end: the stage it leaves, and its turn."""
    stage = Stage(script, policy=policy)

    async def main() -> Turn:
        house = await stage.open()
        turn = await story(stage, house)
        await stage.close()
        return turn

    try:
        return stage, run(main(), stage.loop)
    finally:
        stage.loop.close()


def frames_of(stage: Stage, session: str) -> list[Frame]:
    """The whole log of a session."""
    return asyncio.run(stage.log.read(session))
