"""Stored frames of older versions as today's: a pure mapping of what was decoded, one step for each version in between.

A new kind of fact, or a field with a default, makes no new version: what was written before reads the same. A version is
for what would else be read as something it was not. Frames of the first one do not name it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec

from standpipe.core.events import VERSION, AnyFact, Frame

Plain = dict[str, Any]

STEPS: Mapping[int, Callable[[Plain], Plain]] = {}
"""By version: what makes a decoded frame of it one of the next."""

KINDS = frozenset(kind.__name__ for kind in get_args(AnyFact))
"""The facts that this version knows."""


class Unreadable(msgspec.ValidationError):
    """A frame that this version cannot read; says why, for a person."""


def upcast(data: bytes, version: int = VERSION, steps: Mapping[int, Callable[[Plain], Plain]] = STEPS) -> Frame:
    """The frame that an older version encoded as `data`. Raises Unreadable, or msgspec.DecodeError for what never was one."""
    raw = msgspec.json.decode(data, type=Plain)
    written = raw.get("version", 1)
    if not isinstance(written, int) or written > version:
        raise Unreadable(f"it was written in version {written}, and this is version {version}: use a newer Standpipe")
    for older in range(written, version):
        raw = steps[older](raw)
    events = raw.get("events", ())
    tags = [event[-1].get("type", "") for event in events if isinstance(event, list) and event and isinstance(event[-1], dict)]
    unknown = sorted({str(tag) for tag in tags} - KINDS)
    if unknown:
        raise Unreadable(f"it holds a fact that this version does not know ({', '.join(unknown)}): use a newer Standpipe")
    return msgspec.convert({**raw, "version": version}, Frame)
