"""Follows a log by cursor: stored events in order, from anywhere, for as long as anybody wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from standpipe.core.events import Event, Frame
from standpipe.ports import Log

WAIT_MS = 1_000
"""How long one wait for news lasts; a log that another process writes is looked at no less often."""


async def follow(
    log: Log, session: str, after: int = 0, watch: Callable[[], asyncio.Future[bool]] | None = None
) -> AsyncIterator[tuple[Frame, Event]]:
    """Every event after seq `after` with its frame, as it becomes durable; ends only when it is no longer asked.

    `watch` is called before each wait: it may raise, so that nobody waits for a log that nobody writes, or says who writes
    it; when that ends with True there is no point in waiting on.
    """
    while True:
        for frame in await log.read(session, after):
            for event in frame.events:
                if event.seq > after:
                    after = event.seq
                    yield frame, event
        writing = watch() if watch is not None else None
        if writing is not None:
            await news_or(log.wait(session, after, WAIT_MS), writing)
        if writing is None or (writing.done() and not (writing.cancelled() or writing.result())):
            await log.wait(session, after, WAIT_MS)


async def news_or(news: Awaitable[None], over: asyncio.Future[Any]) -> None:
    """Wait for news, or until something is over, whichever is first."""
    listening = True
    try:
        async with asyncio.timeout(None) as patience:

            def stop(_: object) -> None:
                if listening:
                    patience.reschedule(0)

            over.add_done_callback(stop)
            try:
                await news
            finally:
                listening = False
                over.remove_done_callback(stop)
    except TimeoutError:
        return
