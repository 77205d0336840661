"""What is under way for one session: the tasks, what came of them, and one bell and one timer to wait by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Generic, TypeVar

import msgspec

from standpipe.core.pending import Command

GRACE_MS = 1_000
"""How long a call may take to stop after it was told to."""

R = TypeVar("R")


class Doing(msgspec.Struct, eq=False):
    """Something under way since `began`; at `until`, or once nobody wants it (`cut`), it is told to stop (`late`), and a while
    later it is left behind."""

    task: asyncio.Task[None]
    began: int
    until: int | None = None
    late: bool = False
    cut: bool = False


class Works(Generic[R]):
    """The tasks of a session by command. Until its result is taken a command counts as running, so nothing is done twice."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """Nothing is under way yet; `clock` tells ms since 1970."""
        self.running: dict[Command, Doing] = {}
        self.results: list[tuple[Command | None, R | None]] = []
        self._clock = clock
        self._bell: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, command: Command, work: Coroutine[None, None, None], until: int | None = None) -> None:
        """Begin something that has time until then, in ms since 1970."""
        self.running[command] = Doing(asyncio.ensure_future(work), self._clock(), until)

    def cut(self, command: Command, until: int | None) -> None:
        """Tell something that nobody wants any more to stop, and leave it behind at `until`."""
        doing = self.running[command]
        doing.cut, doing.until = True, until
        doing.task.cancel()

    def take(self, command: Command | None, result: R | None) -> None:
        """A result is there."""
        self.results.append((command, result))
        self.ring()

    def taken(self) -> list[R]:
        """All results that are there; what they belong to does not run any more."""
        taken, self.results = self.results, []
        for command, _ in taken:
            if command is not None:
                self.running.pop(command, None)
        return [result for _, result in taken if result is not None]

    def until(self, wake: int | None) -> int | None:
        """The first of the instant `wake` and those at which something is over its time."""
        for doing in self.running.values():
            if doing.until is not None and (wake is None or doing.until < wake):
                wake = doing.until
        return wake

    def end_late(self, now: int) -> list[tuple[Command, Doing]]:
        """Tell what is over its time to stop; what did not stop within GRACE_MS since it was told to, to be left behind."""
        behind = []
        for command, doing in self.running.items():
            if doing.until is None or doing.until > now:
                continue
            if not doing.late and not doing.cut:
                doing.late, doing.until = True, now + GRACE_MS
                doing.task.cancel()
            else:
                doing.until = None
                behind.append((command, doing))
        return behind

    def ring(self) -> None:
        """Something has happened."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def rung(self, seconds: float) -> None:
        """Until something has happened, or for so long at most; it may come back early."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            self.close()
            self._timer = loop.call_at(due, self._ring_in_time)
        self._bell = loop.create_future()
        try:
            await self._bell
        finally:
            self._bell = None

    def _ring_in_time(self) -> None:
        self._timer = None
        self.ring()

    def close(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    async def first_over(self, those: Iterable[Doing]) -> bool:
        """Wait until one of those that have time is over, or over its time; false if there are none."""
        left = [doing for doing in those if doing.until is not None and not doing.task.done()]
        if left:
            within_ms = max(0, min(doing.until or 0 for doing in left) - self._clock())
            await asyncio.wait([doing.task for doing in left], timeout=within_ms / 1000)
        return bool(left)

    async def give_up(self) -> None:
        """Tell all to stop; one that does not is left behind."""
        tasks = [doing.task for doing in self.running.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_MS / 1000)
