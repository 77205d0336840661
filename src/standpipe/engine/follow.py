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
    log: Log, session: str, after: int = 0, watch: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[tuple[Frame, Event]]:
    """Every event after seq `after` with its frame, as it becomes durable; ends only when it is no longer asked.

    `watch` is awaited beside each wait for news: what it raises is raised here, after the events there are, so that nobody
    waits for a log that nobody writes.
    """
    trouble: BaseException | None = None
    while True:
        for frame in await log.read(session, after):
            for event in frame.events:
                if event.seq > after:
                    after = event.seq
                    yield frame, event
        if trouble is not None:
            raise trouble
        trouble = await _news(log, session, after, watch)


async def _news(log: Log, session: str, after: int, watch: Callable[[], Awaitable[None]] | None) -> BaseException | None:
    """Wait for news; what the watch raised before there were any."""
    if watch is not None:
        watching = asyncio.ensure_future(watch())
        try:
            await first_of(log.wait(session, after, WAIT_MS), watching)
            trouble = watching.exception() if watching.done() else None
            if trouble is not None or not watching.done():
                return trouble
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    await log.wait(session, after, WAIT_MS)
    return None


async def first_of(news: Awaitable[None], other: asyncio.Future[Any]) -> None:
    """Wait for news (then `other` is left alone), or until `other` is done. Raises what waiting for news raises."""
    waiting = asyncio.ensure_future(news)
    try:
        await asyncio.wait({waiting, other}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
