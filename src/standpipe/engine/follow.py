"""Follows a log by cursor: stored events in order, from anywhere, for as long as anybody wants them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from standpipe.core.events import Event, Frame
from standpipe.ports import Log

WAIT_MS = 1_000
"""How long one wait for news lasts; a log that another process writes is looked at no less often."""


async def follow(
    log: Log, session: str, after: int = 0, watch: Callable[[], None] | None = None
) -> AsyncIterator[tuple[Frame, Event]]:
    """Every event after seq `after` with its frame, as it becomes durable; ends only when it is no longer asked.

    `watch` is called before each wait and may raise, so that nobody waits for a log that nobody writes.
    """
    while True:
        for frame in await log.read(session, after):
            for event in frame.events:
                if event.seq > after:
                    after = event.seq
                    yield frame, event
        if watch is not None:
            watch()
        await log.wait(session, after, WAIT_MS)
