"""A session costs the same at its thousandth turn as at its tenth: the state that is folded, and the prompt that is shown."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import msgspec
from tests.core.desk import Desk, call_of, passage

from standpipe.core.apply import fold
from standpipe.core.details import Usage, Verdict
from standpipe.core.events import Frame, MemoryKept, TurnEnded, WorldRecord
from standpipe.core.items import ITEM_OVERHEAD_BYTES
from standpipe.core.state import CLOSED_KEPT, REQUESTS_KEPT, Closed, State

TURNS = 1_000
DIGIT_BYTES = 8
"""What one more digit in a turn's name and in the places of its items may add to what is kept of it."""


class Size(NamedTuple):
    """After a turn: bytes of the state when the turn was at its largest and when it was over, items and bytes of its prompt."""

    open: int
    over: int
    prompt_items: int
    prompt_bytes: int


@cache
def session() -> tuple[Desk, tuple[Size, ...]]:
    """A thousand small turns: each looks, plans, reads and answers."""
    desk = Desk()
    return desk, tuple(turns(desk))


def turns(desk: Desk) -> Iterator[Size]:
    """Live through them, one after the other."""
    quoted = {"text": "The limit is 3.", "citations": [{"source": "a", "quote": "The limit is 3."}]}
    for number in range(1, TURNS + 1):
        desk.ask(f"What is the limit number {number % 10}?", folders=("f",))
        desk.came(passage("a", "The limit is 3.", score=1.0))
        desk.came(call_of("plan", steps=[{"id": "p", "tool": "read", "arguments": {"source": "a"}}], parts=["the limit"]))
        desk.came(passage("a", "The limit is 3."))
        largest, (items, data) = size(desk.state), shown(desk)
        desk.came(call_of("answer", sentences=[quoted]), usage=Usage(10, 10), verdicts=(Verdict("citation", "s0", "pass"),))
        assert isinstance(desk.events[-1].fact, TurnEnded)
        desk.add(MemoryKept(f"t{number}"))
        yield Size(largest, size(desk.state), items, data)


def size(state: State) -> int:
    """The state in bytes."""
    return len(msgspec.msgpack.encode(state))


def shown(desk: Desk) -> tuple[int, int]:
    """Number and bytes of the items in the prompt of the open model call."""
    closed = {item.id: item for c in desk.state.closed for item in (c.question, c.answer) if item is not None}
    items = [desk.turn.items.get(id) or closed[id] for id in desk.turn.shown]
    return len(items), sum(item.bytes + ITEM_OVERHEAD_BYTES for item in items)


def test_the_prompt_is_no_larger_after_a_thousand_turns_than_after_ten() -> None:
    _, sizes = session()

    assert sizes[-1].prompt_items == sizes[9].prompt_items
    assert sizes[-1].prompt_bytes == sizes[9].prompt_bytes


def test_a_thousand_turns_leave_what_the_windows_hold_and_nothing_more() -> None:
    desk, sizes = session()
    full = max(CLOSED_KEPT, REQUESTS_KEPT)
    digits = DIGIT_BYTES * (CLOSED_KEPT + REQUESTS_KEPT)

    assert len(desk.state.closed) == CLOSED_KEPT
    assert len(desk.state.requests) == REQUESTS_KEPT
    assert sizes[-1].over <= sizes[full].over + digits
    assert sizes[-1].open <= sizes[full].open + digits


def test_beside_the_windows_the_state_is_as_large_after_a_thousand_turns_as_after_ten() -> None:
    desk, sizes = session()
    closed, requests = desk.state.closed, desk.state.requests
    ten_more = len(msgspec.msgpack.encode(closed[10:])) + len(msgspec.msgpack.encode(requests[10:]))

    assert sizes[-1].over - ten_more <= sizes[9].over + DIGIT_BYTES * 20


def test_a_closed_turn_keeps_no_content() -> None:
    desk, _ = session()

    assert all(len(msgspec.msgpack.encode(closed)) < 600 for closed in desk.state.closed)
    assert all(item.body is None for c in desk.state.closed for item in (c.question, c.answer) if item is not None)
    assert isinstance(desk.state.closed[0], Closed)


def test_folding_the_log_again_gives_the_same_state() -> None:
    desk, _ = session()
    frame = Frame(1, 0, "", "", WorldRecord(), tuple(desk.events))

    assert msgspec.msgpack.encode(fold([frame])) == msgspec.msgpack.encode(desk.state)
