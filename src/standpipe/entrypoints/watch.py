"""Follows one turn to its end while somebody watches; Ctrl-C cancels it through the log, and a second one leaves at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from standpipe.core.events import Event
from standpipe.core.frames import items_of
from standpipe.core.items import Label, Source
from standpipe.engine.house import House, Turn
from standpipe.engine.show import hidden
from standpipe.entrypoints.exits import CANCELLED
from standpipe.entrypoints.live import SHOW_CURSOR, LiveView
from standpipe.entrypoints.output import on_terminal
from standpipe.entrypoints.story import Story
from standpipe.errors import NotFound
from standpipe.ports import Heads

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
        with contextlib.suppress(NotFound):  # it is over
            await house.cancel(turn.session, turn.id, turn.principal)


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
                await _follow(house, turn, story, view.news)
        else:
            await _follow(house, turn, story, news)
    finally:
        cancelling.cancel()
        await asyncio.gather(cancelling, return_exceptions=True)
    return story


async def _follow(house: House, turn: Turn, story: Story, news: News | None) -> None:
    sight = Sight(house, turn)
    async for event in turn:
        story.forget(await sight.lost(event))
        lines = story.take(event, house.ports.clock())
        if news is not None:
            news(event, lines)


class Sight:
    """What of a turn its principal may still see: an event may be told later than a right to it was withdrawn."""

    def __init__(self, house: House, turn: Turn) -> None:
        self._access, self._turn = house.ports.access, turn
        self._labels: dict[str, Label] = {}
        self._heads = Heads()
        self._closed: frozenset[Source] = frozenset()

    async def lost(self, event: Event) -> list[str]:
        """The ids of all items until now, and of this event, that may no longer be seen: as it is on return."""
        items = items_of(event)
        self._labels |= {item.id: item.label for item in items}
        heads = self._access.heads(self._turn.tenant)
        if items or (heads.revoked, heads.lapsed) != (self._heads.revoked, self._heads.lapsed):
            labels = self._labels.values()
            self._closed = await hidden(self._access, self._turn.tenant, self._turn.principal, labels)
            self._heads = heads
        return [id for id, label in self._labels.items() if not self._closed.isdisjoint(label.sources)]
