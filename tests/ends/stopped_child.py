"""A process that stands still at the worst moment: `python -m tests.ends.stopped_child STORE EFFECTS`.

It asks a question; once the call of a tool that writes has been granted, and before it is performed, it stops itself. When it
is told to go on it does what any process does. What its tool did is told by a line in the file EFFECTS.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from standpipe import wiring
from standpipe.core.events import CallGranted
from standpipe.core.items import Item, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.drivers.access.sqlite import SqliteAccess
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.log.tables import SCHEMA
from standpipe.drivers.models.scripted import ScriptedModel
from standpipe.drivers.search.sqlite import SqliteSearch
from standpipe.drivers.sqlite import Store
from standpipe.drivers.tools.python import tool
from standpipe.ports import Append, Appended, Fenced, Owner, Short, Stale
from standpipe.settings import load

LEASE_MS = 100


class Stopping(SqliteLog):
    """A log whose leases are short, and after which the process stops when a call of `note` was granted."""

    async def claim(self, session: str, owner: Owner, now: int, until: int) -> int | None:
        """For a shorter time than was asked for."""
        return await super().claim(session, owner, now, now + LEASE_MS)

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """As the log does, and then nothing for as long as nobody sends SIGCONT."""
        answer = await super().append(append)
        if any(isinstance(event.fact, CallGranted) and event.fact.target == "note" for event in append.events):
            os.kill(os.getpid(), signal.SIGSTOP)
        return answer


def worker(effects: Path, *, idempotent: bool) -> wiring.Agent:
    """An agent with one tool, which writes a line."""

    @tool(effect="write", idempotent=idempotent)
    async def note(idempotency_key: str = "") -> str:
        """Write it down."""
        with effects.open("a") as file:
            file.write(f"{idempotency_key} by {os.getpid()}\n")
        return "noted"

    return wiring.Agent("worker", tools=[note])


async def respond(items: list[Item], _: list[ToolSpec]) -> str | list[ToolCall]:
    """Write, then tell."""
    return "It was done." if any(item.kind in ("data", "failure") for item in items) else [ToolCall("note", {})]


async def main(path: str, effects: str, idempotent: str) -> None:
    """Ask, and say how it ended."""
    store = Store.open(Path(path), [SCHEMA, *SqliteAccess.SCHEMA, *SqliteSearch.SCHEMA])
    access, models = SqliteAccess(store), {"scripted": ScriptedModel(respond)}
    kept = wiring.Stores(Stopping(store, [access.project]), access, SqliteSearch(store), store)
    agent = worker(Path(effects), idempotent=bool(idempotent))
    house = wiring.build(load({}, tuple(models)), kept, [agent], models, None)
    try:
        turn = await house.ask("Write it down.")
        print(turn.session, flush=True)
        print((await turn.wait()).outcome, flush=True)
    finally:
        await house.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
