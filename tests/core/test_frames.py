"""Frames as bytes: nothing is lost on the way, and bodies stay outside."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from standpipe.core.amounts import NOTHING
from standpipe.core.events import AnyFact, Event, Fact, Frame, TurnEnded, TurnRequested, WorldRecord
from standpipe.core.frames import decode_frame, digest_commit, encode_frame, fill, hashes_of, items_of, link, strip
from standpipe.core.ids import digest_bytes, item_id
from standpipe.core.items import Body, Data, Draft, Passage, Text, ToolCall, place

bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(Text, st.text()),
    st.builds(ToolCall, st.text(), st.dictionaries(st.text(), st.text())),
    st.builds(Passage, st.text(), st.text(), st.text()),
    st.builds(Data, st.recursive(st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(), st.lists)),
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    events = []
    for seq in range(1, draw(st.integers(1, 4)) + 1):
        items = tuple(place(Draft(body), item_id(seq, n), "user") for n, body in enumerate(draw(st.lists(bodies, max_size=3))))
        facts: list[AnyFact] = [TurnRequested("t1", "r1", items), TurnEnded("t1", "failed", "x", NOTHING, items)]
        fact = draw(st.sampled_from(facts))
        events.append(Event(seq, "test", (1, "house:3"), fact))
    return Frame(1, 5, "p1", "rules", WorldRecord({"policy": "d"}, {"day": (1, 2)}), tuple(events))


@given(frames(), st.sampled_from(["", digest_bytes(b"before")]))
def test_a_frame_comes_back_from_its_bytes(frame: Frame, prev: str) -> None:
    events, apart = strip(frame.events)
    stored = link(encode_frame(replace(frame, events=events)), prev)

    assert fill(decode_frame(stored), apart) == replace(frame, prev=prev)
    assert stored == encode_frame(replace(frame, events=events, prev=prev))
    assert hashes_of([frame]) == apart.keys()


@given(frames())
def test_bodies_are_apart_by_hash_and_may_be_gone(frame: Frame) -> None:
    events, apart = strip(frame.events)
    bare = replace(frame, events=events)

    assert {digest_bytes(data) for data in apart.values()} == apart.keys()
    assert all(item.body is None for event in events for item in items_of(event))
    assert [item.hash for event in events for item in items_of(event)] == [i.hash for e in frame.events for i in items_of(e)]
    assert fill(bare, {}) == bare
    assert strip(events) == (events, {})


def test_an_item_with_another_body_is_a_bug() -> None:
    item = replace(place(Draft(Text("what was said")), "1.0", "user"), body=Text("something else altogether"))

    with pytest.raises(AssertionError, match=r"1\.0"):
        strip((Event(1, "test", (), TurnRequested("t1", "r1", (item,))),))


def test_every_fact_that_holds_items_calls_them_items() -> None:
    facts: tuple[type[Fact], ...] = get_args(AnyFact)

    assert not [fact.__name__ for fact in facts for field in fact.__annotations__.items() if holds_items(*field)]
    assert sum("items" in fact.__struct_fields__ for fact in facts) > 5


def holds_items(field: str, annotation: str) -> bool:
    return "Item" in annotation and (field, annotation) != ("items", "tuple[Item, ...]")


def test_the_digest_of_a_commit_is_of_all_it_wrote_in_order() -> None:
    heads = [("s1", "a"), ("s2", "b")]
    others = [digest_commit("x", heads), digest_commit("", heads[::-1]), digest_commit("", heads[:1]), digest_commit("", [])]

    assert digest_commit("", heads) == digest_commit("", list(heads))
    assert digest_commit("", heads) not in others
    assert len(set(others)) == len(others)
