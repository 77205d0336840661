"""Processes that die: a life from start to end, the places where it can be cut off, and the tasks that go with it.

A boundary is the moment before an append, after it is durable but before its caller knows, before a perform, and after it
but before its outcome is recorded. Each is counted, and a process dies at those it is told to. One that died does nothing
more: whatever it still tries raises Crash as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")


class Crash(BaseException):
    """The process is gone; nothing may catch this and go on."""


class Gone(Exception):
    """The process one was talking to is gone."""


class Boundaries:
    """Counts the boundaries of a whole run, over all its processes; `crashes` are the numbers at which one dies."""

    def __init__(self, crashes: Sequence[int] = ()) -> None:
        self.crashes = frozenset(crashes)
        self.names: list[str] = []


class Fate(Protocol):
    """What happens to processes, and who wants to know what they do."""

    async def strike(self, life: Life, place: str, session: str) -> str:
        """Do what strikes at this boundary; what is left to the one who asked has a name."""

    def claimed(self, life: Life, session: str, fence: int | None) -> None:
        """It asked for a session's lease, and has it with this fence or not."""

    def released(self, life: Life, session: str) -> None:
        """It gave a lease back, or wanted to."""


class Life:
    """One process, from its start to its crash or its end."""

    def __init__(self, boundaries: Boundaries, number: int, fate: Fate | None = None) -> None:
        self.number, self.name = number, str(number)
        self.alive = True
        self.died = asyncio.Event()
        self.stopping = asyncio.Event()
        self.tasks: dict[asyncio.Task[object], None] = {}
        self.under_way = 0
        self._boundaries, self._fate = boundaries, fate

    @property
    def serves(self) -> bool:
        """Whether one can ask it for anything."""
        return self.alive and not self.stopping.is_set()

    def check(self) -> None:
        """Raises Crash if the process is gone."""
        if not self.alive:
            raise Crash(self.name)

    def die(self) -> None:
        """From now on it does nothing."""
        self.alive = False
        self.died.set()

    def cross(self, name: str) -> None:
        """One boundary. Raises Crash if the process dies here or is gone already."""
        self.check()
        self._boundaries.names.append(name)
        if len(self._boundaries.names) in self._boundaries.crashes:
            self.die()
            raise Crash(name)

    async def meet(self, place: str, session: str) -> str:
        """Suffer what strikes at a boundary; what the caller is to do himself has a name."""
        self.check()
        if self._fate is None:
            return ""
        fault = await self._fate.strike(self, place, session)
        self.check()
        return fault

    def claimed(self, session: str, fence: int | None) -> int | None:
        """It asked for a lease: the fence, if it has it."""
        if self._fate is not None:
            self._fate.claimed(self, session, fence)
        return fence

    def released(self, session: str) -> None:
        """It gave a lease back, or wanted to."""
        if self._fate is not None:
            self._fate.released(self, session)

    async def sleep(self, seconds: float) -> None:
        """Something of it takes long."""
        self.under_way += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.under_way -= 1
        self.check()

    async def do(self, doing: Callable[[], Awaitable[T]]) -> T:
        """Have the process do something. Raises Gone if it dies before it is done."""
        task = self.begin(doing)
        died = asyncio.ensure_future(self.died.wait())
        try:
            await asyncio.wait({task, died}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            died.cancel()
            if not task.done():
                task.cancel()
        if not self.alive:
            raise Gone(self.name)
        return task.result()

    def begin(self, doing: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Have the process begin something; with all that comes of it, it ends with the process."""

        async def done() -> T:
            return await doing()

        outer = LIFE.set(self)
        try:
            return asyncio.ensure_future(done())
        finally:
            LIFE.reset(outer)

    async def bury(self) -> None:
        """Nothing of a process goes on after it."""
        while left := [task for task in self.tasks if not task.done()]:
            for task in left:
                task.cancel()
            await asyncio.wait(left)


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)
"""The process that runs now; none where it is somebody outside."""


def belongs(task: asyncio.Task[object]) -> None:
    """Count a new task among those of the process that made it."""
    life = LIFE.get()
    if life is not None:
        life.tasks[task] = None
        task.add_done_callback(lambda done: life.tasks.pop(done, None) and None)
