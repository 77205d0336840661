"""Virtual time: an event loop whose clock jumps to the next timer whenever nothing is ready to run.

Only for code that waits on timers and tasks, never on sockets or threads: with nothing to wait for it says so.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH_MS = 1_700_000_000_000
"""Wall time when a virtual clock starts."""


class _Jump(selectors.SelectSelector):
    """A selector that does not wait: it moves its loop's clock by what it would have waited."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits and no timer is set: a deadlock under virtual time")
        self.now_s += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, from zero."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jump.now_s

    def stand_still(self, seconds: float) -> None:
        """Time goes on, and nothing runs meanwhile, as in a process that was stopped."""
        self._jump.now_s += seconds

    def now_ms(self) -> int:
        """Virtual wall time in ms since 1970, for whoever wants a clock."""
        return EPOCH_MS + round(self._jump.now_s * 1000)


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop | None = None) -> T:
    """Run a coroutine to its end under virtual time, on `loop` (which stays open) or a new one."""
    own = loop or VirtualLoop()
    try:
        return own.run_until_complete(main)
    finally:
        if loop is None:
            own.close()
