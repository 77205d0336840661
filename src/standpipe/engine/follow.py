"""Follows a log by cursor: stored frames in order, from anywhere, for as long as anybody wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from standpipe.core.events import Frame
from standpipe.ports import Log

WAIT_MS = 1_000
"""How long a log is left alone that nobody in this process writes, before somebody may have to."""
FRAMES_KEPT = 64
"""Frames that wait for who follows slowly; of more it reads for itself."""


async def follow(
    log: Log, session: str, after: int = 0, watch: Callable[[], asyncio.Future[bool]] | None = None
) -> AsyncGenerator[Frame, None]:
    """Every frame that holds events after seq `after`, as it becomes durable; ends only when it is no longer asked.

    `watch` is called before each wait: it may raise, so that nobody waits for a log that nobody writes, or says who writes
    it; when that ends with True there is no point in waiting on.
    """
    inbox = _Inbox()
    stop = log.listen(session, inbox.hear)
    try:
        while True:
            for frame in await inbox.taken(log, session, after):
                if frame.last_seq > after:
                    after = frame.last_seq
                    yield frame
            writing = watch() if watch is not None else None
            if writing is not None:
                writing.add_done_callback(inbox.ring)
                await inbox.news(lambda writing=writing: writing.done())  # type: ignore[misc]
                writing.remove_done_callback(inbox.ring)
            if writing is None or (writing.done() and not (writing.cancelled() or writing.result())):
                try:
                    async with asyncio.timeout(WAIT_MS / 1000 if writing is not None else None):
                        await inbox.news(lambda: False)
                except TimeoutError:
                    continue
    finally:
        stop()


class _Inbox:
    """What was heard of a log and not yet taken; `look` says that there is more than was heard."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._look = True
        self._bell: asyncio.Future[None] | None = None

    def hear(self, frame: Frame | None) -> None:
        """The log has grown."""
        if frame is None or len(self._frames) >= FRAMES_KEPT:
            self._look = True
            self._frames.clear()
        elif not self._look:
            self._frames.append(frame)
        self.ring()

    def ring(self, _: object = None) -> None:
        """Something may have changed."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def taken(self, log: Log, session: str, after: int) -> list[Frame]:
        """The frames after seq `after`, those there are."""
        frames, self._frames = self._frames, []
        if frames and frames[0].first_seq > after + 1:
            self._look = True
        if self._look:
            self._look = False
            return await log.read(session, after)
        return frames

    async def news(self, enough: Callable[[], bool]) -> None:
        """Wait until there is something to take, or it is `enough`."""
        while not self._look and not self._frames and not enough():
            self._bell = asyncio.get_running_loop().create_future()
            try:
                await self._bell
            finally:
                self._bell = None


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
