"""Events out of bytes: the same however the bytes are cut, and nothing before its empty line."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.wire.sse import EVENT_BYTES_MAX, Event, Events, Garbled


def read(*pieces: bytes) -> list[tuple[str, str]]:
    """The events of a stream that comes in these pieces and then ends."""
    events = Events()
    found = [event for piece in pieces for event in events.feed(piece)] + events.end()
    return [(event.name, event.data) for event in found]


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"data: a\n\n", [("", "a")]),
        (b"data:a\n\ndata:  b\n\n", [("", "a"), ("", " b")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", "a"), ("", "b")]),
        (b"data: a\r\rdata: b\r\r", [("", "a"), ("", "b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
        (b"data: a\ndata: b\ndata\n\n", [("", "a\nb\n")]),
        (b": comment\n\n: another\ndata: a\n\n", [("", "a")]),
        (b"event: error\nid: 7\nretry: 5\ndata: a\n\ndata: b\n\n", [("error", "a"), ("", "b")]),
        (b"event: ping\n\n", []),
        (b"data: a\n", []),
        (b"data: a\r\n\r", []),
        ("data: ü\u2028é\x0b\n\n".encode(), [("", "ü\u2028é\x0b")]),
    ],
)
def test_a_stream_is_its_events(stream: bytes, found: list[tuple[str, str]]) -> None:
    assert read(stream) == found
    assert read(*(bytes([b]) for b in stream)) == found


def test_bytes_that_are_not_utf_8_are_no_stream() -> None:
    with pytest.raises(Garbled, match="UTF-8"):
        read(b"data: \xff\n\n")


def test_an_event_that_does_not_end_does_not_fill_the_memory() -> None:
    for piece in (b"x" * 65_536, b"data: " + b"x" * 65_536 + b"\n"):
        events = Events()
        with pytest.raises(Garbled, match="too large"):
            for _ in range(EVENT_BYTES_MAX // 65_536 + 1):
                events.feed(piece)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\ufeff"), max_size=12).filter(
    lambda t: not t.startswith(" ")
)


@given(
    st.lists(st.tuples(st.sampled_from(["", "error", "x"]), st.lists(texts, min_size=1, max_size=3)), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_cutting_changes_nothing(said: list[tuple[str, list[str]]], end: str, cuts: list[int]) -> None:
    events = [(f"event: {name}{end}" if name else "") + "".join(f"data: {line}{end}" for line in data) for name, data in said]
    stream = "".join(event + end for event in events).encode()
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]

    assert read(*pieces) == [(name, "\n".join(data)) for name, data in said]
    assert read(stream) == read(*pieces)
    assert Event("a", "b") == Event("a", "b")
