"""The bare writer: W1's rows in SQLite with FULL durability and nothing else, as the measure of what governing costs.

One table in the order of appending, one writer thread, group commit: what arrives while a commit is under way goes into the
next. A session appends the model's reply, waits until it is durable, appends the tool's result, waits, and so on.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from pathlib import Path

import apsw

from bench.payload import MODEL_BYTES, STEPS, TOOL_BYTES, text

REPLY_BYTES, RESULT_BYTES = MODEL_BYTES + 100, TOOL_BYTES + 100
ROWS_MAX = 512
"""Rows of one group, and of one statement."""

_Row = tuple[str, int, bytes]


class Writer:
    """A table of rows, and the thread that writes them."""

    def __init__(self, path: Path) -> None:
        self._con = apsw.Connection(str(path))
        self._con.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000").fetchall()
        self._con.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, session TEXT, seq INTEGER, body BLOB)")
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[tuple[_Row, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    async def append(self, session: str, seq: int, body: bytes) -> None:
        """Write a row; it is durable on return."""
        future = self._loop.create_future()
        self._waiting.put(((session, seq, body), future))
        await future

    def close(self) -> None:
        """Write what waits, and close."""
        self._waiting.put(None)
        self._thread.join()
        self._con.close()

    def _run(self) -> None:
        while (one := self._waiting.get()) is not None:
            group = [one]
            while len(group) < ROWS_MAX and not self._waiting.empty():
                more = self._waiting.get()
                assert more is not None, "closed while somebody waits"
                group.append(more)
            places = ", ".join(["(?, ?, ?)"] * len(group))
            self._con.execute("BEGIN IMMEDIATE")
            self._con.execute(
                f"INSERT INTO rows (session, seq, body) VALUES {places}", [value for row, _ in group for value in row]
            )
            self._con.execute("COMMIT")
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in group])


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


async def turns(writer: Writer, sessions: int, seconds: float) -> list[float]:
    """The steps' times in ms, of as many turns as fit into `seconds`, `sessions` at a time and at least one each."""
    steps_ms: list[float] = []
    until = time.perf_counter() + seconds

    async def writing(number: int) -> None:
        for again in range(1_000_000):
            for step in range(STEPS):
                began = time.perf_counter()
                key = f"{number}-{again}.{step}"
                await writer.append(f"{number}-{again}", 2 * step, text(key, REPLY_BYTES).encode())
                await writer.append(f"{number}-{again}", 2 * step + 1, text(key, RESULT_BYTES).encode())
                steps_ms.append((time.perf_counter() - began) * 1000)
            if time.perf_counter() >= until:
                return

    async with asyncio.TaskGroup() as group:
        for number in range(sessions):
            group.create_task(writing(number))
    return steps_ms
