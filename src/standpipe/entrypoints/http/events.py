"""Events of a session as server-sent messages: each once, in order, from any seq on, as its reader may see it then.

A message with `id:` is an event, its id the seq. One named `delta` (without id) is checked text of an answer that is not
finished: `{call, offset, text}`, from offset 0 to whoever connects, void once the call is over. One named `turn` (without id)
ends the stream of a turn and holds what `ask --json` would say. Comments keep the connection alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple

import msgspec

from standpipe.core.events import Event, Frame, TurnEnded
from standpipe.core.frames import fill, hashes_of
from standpipe.core.items import Source
from standpipe.engine.follow import news_or
from standpipe.engine.house import Turn
from standpipe.engine.show import labels_of, without
from standpipe.engine.spoken import Spoken
from standpipe.entrypoints.answers import as_json
from standpipe.entrypoints.http.streams import Part, Parts
from standpipe.entrypoints.sessions import event_json
from standpipe.ports import Log

QUIET_MS = 1_000
"""How long one wait for news lasts."""
PAGE_FRAMES = 64
"""Frames kept while a reader takes its time; the rest is read again."""
PING = b": ping\n\n"


class Heard(NamedTuple):
    """Where a stream listens, and how often it says that it is still there."""

    log: Log
    tenant: str
    session: str
    ping_s: float
    spoken: Spoken


async def session_parts(heard: Heard, after: int) -> Parts:
    """All events after seq `after`, for as long as anybody reads."""
    yield PING
    async with aclosing(_parts(heard, after)) as parts:
        async for part, _ in parts:
            yield part


async def turn_parts(heard: Heard, turn: Turn, after: int) -> Parts:
    """The session's events after seq `after` until the turn ends or is parked, then what it came to."""
    over = asyncio.ensure_future(turn.wait())
    try:
        yield PING
        async with aclosing(_parts(heard, after, over)) as parts:
            async for part, event in parts:
                yield part
                if event is not None and isinstance(event.fact, TurnEnded) and event.fact.turn == turn.id:
                    break
        await over
        yield concluded(turn, b"event: turn\ndata: ", b"\n\n")
    finally:
        over.cancel()
        await asyncio.gather(over, return_exceptions=True)


async def answer_parts(turn: Turn) -> Parts:
    """What a turn came to, when it is over or parked: one document."""
    yield concluded(await turn.wait())


def concluded(turn: Turn, before: bytes = b"", after: bytes = b"") -> Part:
    """The document of a turn that is over, its answer withheld if a source of it is closed by then."""
    answer = turn.summary.answer

    def render(closed: frozenset[Source]) -> bytes:
        return before + msgspec.json.encode(_withheld(turn) if closed else as_json(turn)) + after

    return Part([answer.label] if answer is not None else [], render)


def _withheld(turn: Turn) -> dict[str, Any]:
    gone: dict[str, Any] = {"answer": "", "citations": [], "gaps": [], "conflicts": []}
    return as_json(turn) | gone | {"reason": "the sources may no longer be read"}


async def _parts(
    heard: Heard, after: int, over: asyncio.Future[Any] | None = None
) -> AsyncGenerator[tuple[Part | bytes, Event | None], None]:
    """Each event; whenever there is none for a while, nothing, and now and then a ping. When `over` is done, those that there
    are, and no more."""
    quiet_ms, limit_ms = 0.0, heard.ping_s * 1000
    told: dict[str, int] = {}
    while True:
        last = over is not None and over.done()
        frames = await heard.log.read(heard.session, after, bodies=False, limit=PAGE_FRAMES)
        for frame in frames:
            for event in frame.events:
                if event.seq > after:
                    yield await _event(heard, frame, event), event
                    after = event.seq
        for part in _deltas(heard, told):
            yield part, None
        if not frames and last:
            return
        if not frames:
            yield PING if quiet_ms >= limit_ms else b"", None
            quiet_ms = (0 if quiet_ms >= limit_ms else quiet_ms) + min(QUIET_MS, limit_ms)
            await _news(heard, after, int(min(QUIET_MS, limit_ms)), over)


async def _news(heard: Heard, after: int, within_ms: int, over: asyncio.Future[Any] | None) -> None:
    """Wait until there are events, or more is said, or `over` is done."""
    spoken = heard.spoken.news(heard.session)
    news = heard.log.wait(heard.session, after, within_ms)
    try:
        await news_or(news if over is None else news_or(news, over), spoken)
    finally:
        spoken.cancel()


def _deltas(heard: Heard, told: dict[str, int]) -> list[Part]:
    """What open calls have said since it was `told`."""
    parts = []
    for call, line in heard.spoken.of(heard.session).items():
        offset = told.get(call, 0)
        if len(line.text) > offset:
            told[call] = len(line.text)
            delta = msgspec.json.encode({"call": call, "offset": offset, "text": line.text[offset:]})
            parts.append(Part([line.label], partial(_unless_closed, b"event: delta\ndata: %b\n\n" % delta)))
    return parts


def _unless_closed(data: bytes, closed: frozenset[Source]) -> bytes:
    return b"" if closed else data


async def _event(heard: Heard, frame: Frame, event: Event) -> Part:
    bare = msgspec.structs.replace(frame, first_seq=event.seq, events=(event,))
    hashes = hashes_of([bare])
    whole = fill(bare, await heard.log.bodies(heard.tenant, sorted(hashes))) if hashes else bare

    def render(closed: frozenset[Source]) -> bytes:
        seen = without(whole, closed)
        return b"id: %d\ndata: %b\n\n" % (event.seq, msgspec.json.encode(event_json(seen, seen.events[0])))

    return Part(labels_of(event), render)
