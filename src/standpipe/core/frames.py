"""How a frame becomes stored bytes and is read again: bodies taken out and put back, and what chains frames and commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from standpipe.core.events import VERSION, Event, Frame
from standpipe.core.ids import digest_bytes
from standpipe.core.items import Item, decode_body, encode_body
from standpipe.core.upcast import upcast

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame as they are stored and hashed. Item bodies are in it unless `strip` took them out."""
    return _ENCODER.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """The frame that `encode_frame` made bytes of, today's or an older one. Raises msgspec.DecodeError if nothing did, and
    upcast.Unreadable for one of a later version."""
    try:
        frame = _DECODER.decode(data)
    except msgspec.ValidationError:
        return upcast(data)
    return frame if frame.version == VERSION else upcast(data)


def link(data: bytes, prev: str) -> bytes:
    """The bytes of the same frame with `prev` set, from those of one without: so that encoding can precede the commit."""
    return b'%b,"prev":"%b"}' % (data[:-1], prev.encode()) if prev else data


def digest_commit(prev: str, heads: Iterable[tuple[str, str]]) -> str:
    """The digest of one group commit: of the one before it, and of each frame it wrote as (session, frame digest)."""
    lines = [prev, *(f"{session} {head}" for session, head in heads)]
    return digest_bytes("\n".join(lines).encode())


def items_of(event: Event) -> tuple[Item, ...]:
    """The items that an event brought into the log."""
    items: tuple[Item, ...] = getattr(event.fact, "items", ())
    return items


def hashes_of(frames: Iterable[Frame]) -> set[str]:
    """The hashes of all item bodies that belong to these frames."""
    return {item.hash for frame in frames for event in frame.events for item in items_of(event)}


def strip(events: tuple[Event, ...]) -> tuple[tuple[Event, ...], dict[str, bytes]]:
    """The events without item bodies, and the bodies' bytes by hash."""
    bodies: dict[str, bytes] = {}
    return tuple(_strip(event, bodies) if items_of(event) else event for event in events), bodies


def fill(frame: Frame, bodies: Mapping[str, bytes]) -> Frame:
    """The frame with those item bodies put back whose hash is in `bodies`; the others stay None."""
    if not any(map(items_of, frame.events)):
        return frame
    return replace(frame, events=tuple(_fill(event, bodies) for event in frame.events))


def _strip(event: Event, bodies: dict[str, bytes]) -> Event:
    bare: list[Item] = []
    for item in items_of(event):
        if item.body is None:
            bare.append(item)
            continue
        data = bodies[item.hash] = encode_body(item.body)
        assert len(data) == item.bytes, f"item {item.id} does not belong to its body"
        bare.append(replace(item, body=None))
    return replace(event, fact=replace(event.fact, items=tuple(bare)))


def _fill(event: Event, bodies: Mapping[str, bytes]) -> Event:
    items = items_of(event)
    if not items:
        return event
    full = (replace(item, body=decode_body(bodies[item.hash])) if item.hash in bodies else item for item in items)
    return replace(event, fact=replace(event.fact, items=tuple(full)))
