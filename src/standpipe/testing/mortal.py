"""The ports as one process reaches them: every use is a boundary, at which it may die on order, or be struck by a fault.

They look at the machine each time, because a store that was opened anew is another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

import apsw

from standpipe.core.amounts import Balance
from standpipe.core.details import Fault
from standpipe.core.events import Frame
from standpipe.core.items import Data, Draft
from standpipe.core.world import ModelSpec
from standpipe.errors import StoreError
from standpipe.ports import (
    Append,
    Appended,
    Document,
    Failed,
    Fenced,
    Heads,
    Hear,
    Hit,
    Lease,
    Memory,
    Models,
    Owner,
    Prompt,
    Reply,
    Rights,
    SessionRow,
    Short,
    Snapshot,
    Stale,
    ToolRequest,
    Tools,
)
from standpipe.testing.crash import Life
from standpipe.testing.machine import Machine

T = TypeVar("T")

Saw = Callable[[Append, Appended], Awaitable[None]]

HANG_S = 10_000.0
GARBAGE_CHARS = 700_000
"""More than anybody can use."""
RENEWAL_S = 0.02
"""So much later, every other time, a process that stood still asks for its lease again than it goes on with everything else."""
STALL_MS = 10_000
"""A lag from here on is a process that stands still: it does nothing with the log until that is over."""


class _Mortal:
    """What a process reaches a machine by."""

    def __init__(self, machine: Machine, life: Life) -> None:
        self._machine, self._life = machine, life

    async def _use(self, doing: Awaitable[T]) -> T:
        """Something of the machine; where the power goes meanwhile, the process dies of it."""
        try:
            return await doing
        except (StoreError, apsw.ConnectionClosedError) as trouble:  # closed: it waited while the store was opened anew
            self._machine.look()
            self._life.check()
            raise StoreError(str(trouble)) from trouble


class MortalLog(_Mortal):
    """A log as one process sees it: `saw` is told of every append that became durable, `lag_ms` says what an append takes."""

    def __init__(self, machine: Machine, life: Life, saw: Saw, lag_ms: Callable[[], int] = lambda: 0) -> None:
        super().__init__(machine, life)
        self._saw, self._lag_ms = saw, lag_ms
        self._still_until, self._renewal_s = 0.0, 0.0
        self._appending = False

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """Two boundaries, and the append between them."""
        self._life.cross("before append")
        await self._life.meet("append", append.session)
        await self._lag()
        self._life.check()
        self._appending = True  # nothing in it waits: whatever is heard meanwhile is this append
        try:
            answer = await self._use(self._machine.log.append(append))
        finally:
            self._appending = False
        if isinstance(answer, Appended):
            await self._saw(append, answer)
        await self._lag()
        self._life.cross("after append")
        await self._life.meet("appended", append.session)
        return answer

    async def _lag(self) -> None:
        lag_ms, now = self._lag_ms(), asyncio.get_running_loop().time()
        if lag_ms >= STALL_MS:
            self._still_until = now + lag_ms / 1000
            self._renewal_s = RENEWAL_S - self._renewal_s
        elif lag_ms:
            await self._life.sleep(lag_ms / 1000)
        await self._stand()

    async def _stand(self, longer_s: float = 0.0) -> None:
        """Whoever stands still does not know it; it goes on when it can, and finds the world changed."""
        while (left := self._still_until - asyncio.get_running_loop().time()) > 0:
            await self._life.sleep(left + longer_s)
        self._life.check()

    async def read(self, session: str, after: int = 0, *, bodies: bool = True, limit: int | None = None) -> list[Frame]:
        """As the log does, for the living."""
        await self._stand()
        await self._life.meet("read", session)
        return await self._use(self._machine.log.read(session, after, bodies=bodies, limit=limit))

    async def parts(self, digests: Sequence[str]) -> dict[str, bytes]:
        """As the log does."""
        return await self._use(self._machine.log.parts(digests))

    async def bodies(self, tenant: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """As the log does."""
        return await self._use(self._machine.log.bodies(tenant, hashes))

    async def row(self, session: str) -> SessionRow | None:
        """As the log does."""
        return await self._use(self._machine.log.row(session))

    async def rows(self) -> list[SessionRow]:
        """As the log does."""
        return await self._use(self._machine.log.rows())

    async def seen(self, session: str, request: str) -> bool:
        """As the log does."""
        return await self._use(self._machine.log.seen(session, request))

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """As the log does."""
        await self._lag()
        await self._life.meet("balances", "")
        return await self._use(self._machine.log.balances(accounts))

    async def claim(self, session: str, owner: Owner, now: int, until: int) -> int | None:
        """As the log does, for the living."""
        await self._stand(self._renewal_s)
        await self._life.meet("claim", session)
        return self._life.claimed(session, await self._use(self._machine.log.claim(session, owner, now, until)))

    def lease(self, session: str) -> Lease:
        """As the log does."""
        return self._machine.log.lease(session)

    async def release(self, session: str, fence: int, snapshot: Snapshot | None = None) -> None:
        """As the log does, for the living."""
        await self._stand()
        await self._life.meet("release", session)
        try:
            await self._use(self._machine.log.release(session, fence, snapshot))
        finally:  # nobody drives the session now, whatever the store says
            self._life.released(session)

    async def snapshot(self, session: str) -> Snapshot | None:
        """As the log does."""
        return await self._use(self._machine.log.snapshot(session))

    async def wait(self, session: str, after: int, timeout_ms: int) -> None:
        """As the log does, for the living."""
        await self._stand()
        await self._life.meet("wait", session)
        await self._use(self._machine.log.wait(session, after, timeout_ms))

    def listen(self, session: str, hear: Hear) -> Callable[[], None]:
        """As the log does, for the living; what another process wrote, this one must look for itself."""

        def heard(frame: Frame | None) -> None:
            if self._life.alive:
                hear(frame if self._appending else None)

        return self._machine.log.listen(session, heard)

    async def heads(self, session: str) -> tuple[int, str]:
        """As the log does."""
        return await self._use(self._machine.log.heads(session))

    async def erase(self, tenant: str, hashes: Collection[str], seen: Mapping[str, int]) -> int:
        """As the log does."""
        return await self._use(self._machine.log.erase(tenant, hashes, seen))

    async def chain(self) -> list[str]:
        """As the log does."""
        return await self._use(self._machine.log.chain())


class MortalAccess(_Mortal):
    """The relations as one process reaches them."""

    def heads(self, tenant: str) -> Heads:
        """As the store does."""
        return self._machine.access.heads(tenant)

    async def rights(self, tenant: str, namespace: str, principal: str, revision: int | None = None) -> Rights:
        """As the store does."""
        return await self._use(self._machine.access.rights(tenant, namespace, principal, revision))

    async def relations(self, tenant: str, namespace: str) -> list[str]:
        """As the store does."""
        return await self._use(self._machine.access.relations(tenant, namespace))

    async def applied(self, tenant: str, namespace: str) -> list[str] | None:
        """As the store does."""
        return await self._use(self._machine.access.applied(tenant, namespace))


class MortalSearch(_Mortal):
    """The index as one process reaches it."""

    async def versions(self, tenant: str, folder: str) -> dict[str, str]:
        """As the index does."""
        return await self._use(self._machine.search.versions(tenant, folder))

    async def write(self, tenant: str, folder: str, changed: Sequence[Document], removed: Sequence[str]) -> None:
        """As the index does."""
        await self._use(self._machine.search.write(tenant, folder, changed, removed))

    async def find(
        self, tenant: str, folders: Sequence[str], query: str, limit: int, visible: Callable[[str, str], bool], owner: str = ""
    ) -> list[Hit]:
        """As the index does."""
        await self._life.meet("search", "")
        return await self._use(self._machine.search.find(tenant, folders, query, limit, visible, owner))

    async def document(self, tenant: str, folder: str, path: str, version: str = "") -> Document | None:
        """As the index does."""
        await self._life.meet("search", "")
        return await self._use(self._machine.search.document(tenant, folder, path, version))

    async def remember(self, memory: Memory) -> None:
        """Two boundaries, and the memory between them."""
        self._life.cross("before remember")
        await self._life.meet("remember", "")
        await self._use(self._machine.search.remember(memory))
        self._life.cross("after remember")

    async def forget(self, tenant: str, principal: str, ids: Collection[str]) -> None:
        """As the index does."""
        await self._use(self._machine.search.forget(tenant, principal, ids))


class MortalModels:
    """Model providers as one process reaches them."""

    def __init__(self, models: Models, life: Life) -> None:
        self._models, self._life = models, life

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply | Failed:
        """Two boundaries, and the call between them."""
        self._life.cross("before model")
        await self._life.meet("model", "")
        came = await self._models.call(model, prompt)
        self._life.cross("after model")
        await self._life.meet("told", "")
        return came


class MortalTools:
    """Tools as one process reaches them, some of which fail on their own."""

    def __init__(self, tools: Tools, life: Life, effects: Mapping[str, str], session_of: Callable[[str], str]) -> None:
        """`effects` are those of tools by name, `session_of` the session of a principal."""
        self._tools, self._life, self._effects, self._session_of = tools, life, effects, session_of

    async def call(self, request: ToolRequest) -> Reply | Failed:
        """Two boundaries, and the call between them."""
        self._life.cross("before tool")
        session = self._session_of(request.principal)
        fault = await self._life.meet("tool", session)
        if fault == "tool error":
            return Failed(Fault("unavailable", "Nobody there.", retryable=True))
        if fault == "tool timeout":
            await asyncio.sleep(HANG_S)
        came = await self._tools.call(request)
        self._life.cross("after tool")
        fault = await self._life.meet("acted", session)
        if fault == "tool error":
            return Failed(Fault("error", "It broke off."), unknown=self._effects.get(request.tool, "read") != "read")
        if fault == "tool timeout":
            await asyncio.sleep(HANG_S)
        return Reply((Draft(Data({"garbage": "\u0000\u202e" * GARBAGE_CHARS})),)) if fault == "tool garbage" else came
