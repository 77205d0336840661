"""Crashes on order: every place where a process can die matters, so each is counted, and it dies at those it is told to.

A boundary is the moment before an append, after it is durable but before its caller knows, before a perform, and after it
but before its outcome is recorded. A process that died does nothing more: whatever it still tries raises Crash as well.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence

from standpipe.core.amounts import Balance
from standpipe.core.events import Frame
from standpipe.core.world import ModelSpec
from standpipe.drivers.log.memory import MemoryLog, Projection
from standpipe.ports import (
    Append,
    Appended,
    Document,
    Failed,
    Fenced,
    Hear,
    Hit,
    Log,
    Memory,
    Models,
    Owner,
    Prompt,
    Reply,
    Search,
    SessionRow,
    Short,
    Stale,
    ToolRequest,
    Tools,
)


class Crash(BaseException):
    """The process is gone; nothing may catch this and go on."""


class Boundaries:
    """Counts the boundaries of a whole run, over all its processes; `crashes` are the numbers at which one dies."""

    def __init__(self, crashes: Sequence[int] = ()) -> None:
        self.crashes = frozenset(crashes)
        self.names: list[str] = []


class Life:
    """One process, from its start to its crash or its end."""

    def __init__(self, boundaries: Boundaries, number: int) -> None:
        self.number, self.name = number, str(number)
        self.alive = True
        self.died = asyncio.Event()
        self._boundaries = boundaries

    def check(self) -> None:
        """Raises Crash if the process is gone."""
        if not self.alive:
            raise Crash(self.name)

    def cross(self, name: str) -> None:
        """One boundary. Raises Crash if the process dies here or is gone already."""
        self.check()
        self._boundaries.names.append(name)
        if len(self._boundaries.names) in self._boundaries.crashes:
            self.alive = False
            self.died.set()
            raise Crash(name)


class ReadOnceLog(MemoryLog):
    """A log in memory that decodes each frame for the first reader only: a simulation reads the same ones many times."""

    def __init__(self, projections: Sequence[Projection], gone: Callable[[Owner], bool]) -> None:
        super().__init__(projections, gone)
        self._read: dict[str, list[Frame]] = {}

    async def read(self, session: str, after: int = 0, *, bodies: bool = True, limit: int | None = None) -> list[Frame]:
        """The frames that hold events after seq `after`, `limit` at most."""
        if not bodies:
            return await super().read(session, after, bodies=False, limit=limit)
        known = self._read.setdefault(session, [])
        known += await super().read(session, known[-1].last_seq if known else 0)
        return known[bisect_right(known, after, key=lambda frame: frame.last_seq) :][:limit]

    def driven(self, session: str) -> bool:
        """Whether anybody holds the session's lease."""
        lease = self._leases.get(session)
        return lease is not None and lease.owner is not None


Saw = Callable[[Append], Awaitable[None]]

STALL_MS = 10_000
"""A lag from here on is a process that stands still: it does nothing with the log until that is over."""


class MortalLog:
    """A log as one process sees it: `saw` is told of every append that became durable, `lag_ms` says what an append takes."""

    def __init__(self, log: Log, life: Life, saw: Saw, lag_ms: Callable[[], int]) -> None:
        self._log, self._life, self._saw, self._lag_ms = log, life, saw, lag_ms
        self._still_until = 0.0
        self._appending = False
        self.under_way = 0

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """Two boundaries, and the append between them."""
        self._life.cross("before append")
        await self._lag()
        self._life.check()
        self._appending = True  # the log in memory awaits nothing: whatever is heard meanwhile is this append
        answer = await self._log.append(append)
        self._appending = False
        if isinstance(answer, Appended):
            await self._saw(append)
        await self._lag()
        self._life.cross("after append")
        return answer

    async def _lag(self) -> None:
        lag_ms, now = self._lag_ms(), asyncio.get_running_loop().time()
        if lag_ms >= STALL_MS:
            self._still_until = now + lag_ms / 1000
        elif lag_ms:
            await self._sleep(lag_ms / 1000)
        await self._stand()

    async def _stand(self) -> None:
        """Whoever stands still does not know it; it goes on when it can, and finds the world changed."""
        while (left := self._still_until - asyncio.get_running_loop().time()) > 0:
            await self._sleep(left)
        self._life.check()

    async def _sleep(self, seconds: float) -> None:
        self.under_way += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.under_way -= 1

    async def read(self, session: str, after: int = 0, *, bodies: bool = True, limit: int | None = None) -> list[Frame]:
        """As the log does."""
        await self._stand()
        return await self._log.read(session, after, bodies=bodies, limit=limit)

    async def parts(self, digests: Sequence[str]) -> dict[str, bytes]:
        """As the log does."""
        return await self._log.parts(digests)

    async def bodies(self, tenant: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """As the log does."""
        return await self._log.bodies(tenant, hashes)

    async def row(self, session: str) -> SessionRow | None:
        """As the log does."""
        return await self._log.row(session)

    async def rows(self) -> list[SessionRow]:
        """As the log does."""
        return await self._log.rows()

    async def seen(self, session: str, request: str) -> bool:
        """As the log does."""
        return await self._log.seen(session, request)

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """As the log does."""
        await self._lag()
        return await self._log.balances(accounts)

    async def claim(self, session: str, owner: Owner, now: int, until: int) -> int | None:
        """As the log does, for the living."""
        await self._stand()
        return await self._log.claim(session, owner, now, until)

    async def release(self, session: str, fence: int) -> None:
        """As the log does, for the living."""
        await self._stand()
        await self._log.release(session, fence)

    async def wait(self, session: str, after: int, timeout_ms: int) -> None:
        """As the log does, for the living."""
        await self._stand()
        await self._log.wait(session, after, timeout_ms)

    def listen(self, session: str, hear: Hear) -> Callable[[], None]:
        """As the log does, for the living; what another process wrote, this one must look for itself."""

        def heard(frame: Frame | None) -> None:
            if self._life.alive:
                hear(frame if self._appending else None)

        return self._log.listen(session, heard)

    async def heads(self, session: str) -> tuple[int, str]:
        """As the log does."""
        return await self._log.heads(session)

    async def chain(self) -> list[str]:
        """As the log does."""
        return await self._log.chain()


class MortalModels:
    """Model providers as one process reaches them."""

    def __init__(self, models: Models, life: Life) -> None:
        self._models, self._life = models, life

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply | Failed:
        """Two boundaries, and the call between them."""
        self._life.cross("before model")
        came = await self._models.call(model, prompt)
        self._life.cross("after model")
        return came


class MortalTools:
    """Tools as one process reaches them."""

    def __init__(self, tools: Tools, life: Life) -> None:
        self._tools, self._life = tools, life

    async def call(self, request: ToolRequest) -> Reply | Failed:
        """Two boundaries, and the call between them."""
        self._life.cross("before tool")
        came = await self._tools.call(request)
        self._life.cross("after tool")
        return came


class MortalSearch:
    """The index as one process reaches it."""

    def __init__(self, search: Search, life: Life) -> None:
        self._search, self._life = search, life

    async def versions(self, tenant: str, folder: str) -> dict[str, str]:
        """As the index does."""
        return await self._search.versions(tenant, folder)

    async def write(self, tenant: str, folder: str, changed: Sequence[Document], removed: Sequence[str]) -> None:
        """As the index does."""
        await self._search.write(tenant, folder, changed, removed)

    async def find(
        self, tenant: str, folders: Sequence[str], query: str, limit: int, visible: Callable[[str, str], bool], owner: str = ""
    ) -> list[Hit]:
        """As the index does."""
        return await self._search.find(tenant, folders, query, limit, visible, owner)

    async def document(self, tenant: str, folder: str, path: str, version: str = "") -> Document | None:
        """As the index does."""
        return await self._search.document(tenant, folder, path, version)

    async def remember(self, memory: Memory) -> None:
        """Two boundaries, and the memory between them."""
        self._life.cross("before remember")
        await self._search.remember(memory)
        self._life.cross("after remember")
