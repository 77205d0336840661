"""A process that is killed while it works: `python -m tests.ends.sigkill_child STORE EFFECTS SESSIONS`.

It goes on with what is unfinished, opens new sessions until there are so many, and asks two questions in each. What its tools
do is told by lines in the file EFFECTS, each on disk before the tool returns.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from standpipe import wiring
from standpipe.core.events import TurnRequested
from standpipe.core.items import Item, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.drivers.models.scripted import ScriptedModel
from standpipe.drivers.tools.python import Tool, tool
from standpipe.engine.house import House

TURNS = 2
POLICY = {"budgets": {"default": {"turn": {"usd": 100.0, "model_calls": 200, "tool_calls": 200, "steps": 60}}}}


def tools(effects: str) -> list[Tool]:
    """What the agent can do: read, write once, write at will, and fail."""

    def act(name: str, key: str) -> None:
        with open(effects, "a") as file:
            file.write(f"{name} {key}\n")
            file.flush()
            os.fsync(file.fileno())

    @tool()
    async def look(ms: int) -> str:
        """Reads."""
        await asyncio.sleep(ms / 1000)
        return "seen"

    @tool(effect="write")
    async def note(ms: int, idempotency_key: str = "") -> str:
        """Writes, not to be repeated."""
        await asyncio.sleep(ms / 1000)
        act("note", idempotency_key)
        await asyncio.sleep(ms / 1000)
        return "noted"

    @tool(effect="write", idempotent=True)
    async def put(ms: int, idempotency_key: str = "") -> str:
        """Writes once, however often it is called."""
        await asyncio.sleep(ms / 1000)
        act("put", idempotency_key)
        return "put"

    @tool()
    async def fail(ms: int) -> str:
        """Fails."""
        await asyncio.sleep(ms / 1000)
        raise ConnectionError("not now")

    return [look, note, put, fail]


async def respond(items: list[Item], _: list[ToolSpec]) -> str | list[ToolCall | Text]:
    """Plan six steps, then call two tools, then answer."""
    mine = items[max(n for n, item in enumerate(items) if item.origin == "user") :]
    rounds = len({item.id.split(".")[0] for item in mine if item.kind == "call"})
    await asyncio.sleep(0.01)
    if rounds == 0:
        names = ("note", "look", "put", "note", "fail", "note")
        steps: list[dict[str, Any]] = [
            {"id": str(n), "tool": name, "arguments": {"ms": 5 + 7 * n}, "after": [str(n - 2)] if n > 1 else []}
            for n, name in enumerate(names)
        ]
        return [ToolCall("plan", {"steps": steps})]
    if rounds == 1:
        return [ToolCall("note", {"ms": 10}), ToolCall("put", {"ms": 20})]
    return "All of it was done."


async def work(house: House, session: str | None) -> None:
    """Bring one session to the end of its last turn."""
    if session is None:
        session = (await (await house.ask("Begin.")).wait()).session
    while (turn := await house.resume(session)) is not None:
        await turn.wait()
    asked = [e for f in await house.ports.log.read(session) for e in f.events if isinstance(e.fact, TurnRequested)]
    if len(asked) < TURNS:
        await (await house.ask("Go on.", session=session)).wait()


async def main(store: str, effects: str, sessions: str) -> None:
    """Work until there is nothing left to do."""
    worker = wiring.Agent("worker", tools=tools(effects))
    async with wiring.open(POLICY, agents=[worker], models={"scripted": ScriptedModel(respond)}, store=store) as house:
        print("ready", flush=True)
        there: list[str | None] = [row.session for row in await house.ports.log.rows()]
        missing: list[str | None] = [None] * (int(sessions) - len(there))
        await asyncio.gather(*(work(house, session) for session in there + missing))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
