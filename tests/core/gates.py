"""Sessions before the gate: what was moved, granted, refused."""

from __future__ import annotations

import msgspec
from tests.core.desk import PRICED, Desk, call_of

from standpipe.core.events import (
    CallGranted,
    CallRefused,
)
from standpipe.core.items import Draft, Failure, ToolCall

OTHER = msgspec.structs.replace(PRICED, name="other", provider="elsewhere")
DEAR = msgspec.structs.replace(PRICED, name="dear", provider="dear", output_microusd_per_mtok=40_000_000)


def moved(*moves: ToolCall | Draft, desk: Desk | None = None) -> Desk:
    """A session whose model made these moves."""
    return (desk or Desk()).ask().came(*moves)


def read(path: str) -> ToolCall:
    return call_of("read", source=path)


def refused(desk: Desk) -> list[tuple[str, str]]:
    """Step and code of every refused step."""
    return [(f.step, f.code) for f in desk.facts(CallRefused)]


def told(desk: Desk) -> list[Failure]:
    """What models are told of refused steps."""
    return [i.body for f in desk.facts(CallRefused) for i in f.items if isinstance(i.body, Failure)]


def granted(desk: Desk) -> CallGranted:
    """The latest grant."""
    return desk.facts(CallGranted)[-1]
