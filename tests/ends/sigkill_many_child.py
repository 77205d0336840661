"""Processes with fifty sessions that are killed while they work: `python -m tests.ends.sigkill_many_child STORE SOCKET`.

For each number of sessions that it reads, this one forks a process (which so need not import everything anew) and says how it
ended. That one goes on with what is unfinished, keeps fifty sessions going until there have been so many, and ends when all
turns have. Effects, and what the store acknowledged, it tells the counter at SOCKET.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from standpipe import wiring
from standpipe.core.items import Item, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.drivers.models.scripted import ScriptedModel
from standpipe.drivers.tools.python import DidNotHappen, Happened, Tool, tool
from standpipe.engine.house import House
from standpipe.ports import Append, Appended
from standpipe.settings import load

AT_ONCE = 50
POLICY: dict[str, Any] = {"budgets": {"default": {"turn": {"usd": 100.0, "model_calls": 200, "tool_calls": 200, "steps": 60}}}}


class Telling:
    """A log that tells the counter what was acknowledged, before anybody else goes on from it."""

    def __init__(self, log: Any, counter: socket.socket) -> None:
        self._log, self._counter = log, counter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, append: Append) -> Any:
        answer = await self._log.append(append)
        if isinstance(answer, Appended):
            self._counter.sendall(f"acknowledged {append.session} {answer.seq} {answer.head}\n".encode())
        return answer


def tools(path: str) -> list[Tool]:
    """What the agent can do: read; write once; write at will; write, and find out later whether it did."""

    async def counted(what: str, key: str) -> str:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(f"{what} {key}\n".encode())
            return (await reader.readline()).decode().strip()
        finally:
            writer.close()

    @tool()
    async def look(ms: int) -> str:
        """Reads."""
        await asyncio.sleep(ms / 1000)
        return "seen"

    @tool(effect="write")
    async def note(ms: int, idempotency_key: str = "") -> str:
        """Writes, not to be repeated."""
        await asyncio.sleep(ms / 1000)
        said = await counted("note", idempotency_key)
        await asyncio.sleep(ms / 1000)
        return said

    @tool(effect="write", idempotent=True)
    async def put(ms: int, idempotency_key: str = "") -> str:
        """Writes once, however often it is called."""
        await asyncio.sleep(ms / 1000)
        return await counted("put", idempotency_key)

    async def asked(key: str) -> Happened | DidNotHappen:
        return Happened("done") if await counted("asked", key) == "yes" else DidNotHappen()

    @tool(effect="write", reconcile=asked, timeout_s=1.0)  # so long a killed process may still be at it; then it is asked
    async def pay(ms: int, idempotency_key: str = "") -> str:
        """Writes, and can be asked whether it did."""
        said = await counted("pay", idempotency_key)
        await asyncio.sleep(ms / 1000)
        return said

    return [look, note, put, pay]


async def respond(items: list[Item], _: list[ToolSpec]) -> str | list[Any]:
    """Plan six steps, then answer."""
    await asyncio.sleep(0.02)
    if any(item.kind == "call" for item in items):
        return "All of it was done."
    names = ("note", "look", "put", "pay", "note", "pay")
    steps: list[dict[str, Any]] = [
        {"id": str(n), "tool": name, "arguments": {"ms": 20 + 30 * n}, "after": [str(n - 2)] if n > 1 else []}
        for n, name in enumerate(names)
    ]
    return [ToolCall("plan", {"steps": steps})]


async def live(store: str, path: str, sessions: int) -> None:
    """Work until there is nothing left to do."""
    counter = socket.socket(socket.AF_UNIX)
    counter.connect(path)
    kept = wiring.stores(f"sqlite:///{Path(store)}")
    log: Any = Telling(kept.log, counter)
    worker = wiring.Agent("worker", tools=tools(path))
    models = {"scripted": ScriptedModel(respond)}
    house = wiring.build(load(POLICY, ("scripted",)), replace(kept, log=log), [worker], models, None)
    print(f"{os.getpid()}", flush=True)
    slots = asyncio.Semaphore(AT_ONCE)
    rows = await house.ports.log.rows()
    left = [row.session for row in rows if row.state != "idle" or row.owes]  # also what was parked for its trouble
    new: list[str | None] = [None] * (sessions - len(rows))
    await asyncio.gather(*(work(house, slots, session) for session in left + new))
    await house.close()
    counter.close()


async def work(house: House, slots: asyncio.Semaphore, session: str | None) -> None:
    """Bring one session to the end of its turn."""
    async with slots:
        session = session or (await house.ask("Begin.")).session
        while (turn := await house.resume(session)) is not None:
            await turn.wait()


def main(store: str, path: str) -> None:
    """One process after the other."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(live(store, path, int(line)))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
