"""Follows one turn to its end while somebody watches; Ctrl-C cancels it through the log, and a second one leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from standpipe.core.events import Event, ItemsWithdrawn, PlanPatched
from standpipe.engine.house import House, Turn
from standpipe.entrypoints.exits import CANCELLED
from standpipe.entrypoints.live import SHOW_CURSOR, LiveView
from standpipe.entrypoints.output import on_terminal
from standpipe.entrypoints.story import Story
from standpipe.errors import NotFound

RETRY_S = 0.005
"""A turn that has not started cannot be cancelled yet; so soon it is tried again."""

News = Callable[[Event, list[str]], None]
"""Told of each event when it is durable, and of what is new in it, a line each."""


class Interrupts:
    """While this is entered, Ctrl-C ends the turn as `cancelled` instead of the process; before there is a turn, as soon as
    there is one."""

    def __init__(self) -> None:
        self._times = 0
        self._wanted = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        self._times += 1
        if self._times > 1:
            leave()
        self._loop.call_soon_threadsafe(self._wanted.set)

    async def cancel(self, house: House, turn: Turn) -> None:
        """Wait for Ctrl-C, then have the turn cancelled."""
        await self._wanted.wait()
        while True:
            try:
                return await house.cancel(turn.session, turn.id, turn.principal)
            except NotFound:
                await asyncio.sleep(RETRY_S)


def leave() -> None:
    """End the process at once; the log is whole at every moment, and `resume` goes on."""
    if on_terminal():
        sys.stderr.write(SHOW_CURSOR + "\n")
        sys.stderr.flush()
    os._exit(CANCELLED)


async def watch(house: House, turn: Turn, interrupts: Interrupts, news: News | None = None, *, live: bool = True) -> Story:
    """Follow the turn to its end, in a live view if stderr is a terminal and it is wanted; the story it made."""
    story = Story(turn.id)
    cancelling = asyncio.ensure_future(interrupts.cancel(house, turn))
    try:
        if live and on_terminal():
            async with LiveView(story) as view:
                await _follow(turn, story, lambda event, _: view.draw(isinstance(event.fact, PlanPatched | ItemsWithdrawn)))
        else:
            await _follow(turn, story, news)
    finally:
        cancelling.cancel()
        await asyncio.gather(cancelling, return_exceptions=True)
    return story


async def _follow(turn: Turn, story: Story, news: News | None) -> None:
    async for event in turn:
        lines = story.take(event, time.time_ns() // 1_000_000)
        if isinstance(event.fact, ItemsWithdrawn):
            story.forget(event.fact.ids)
        if news is not None:
            news(event, lines)
