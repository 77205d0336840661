"""Items and labels: what is derived may be read by those who may read all of it, and a body is the same after storage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.core.ids import digest_bytes
from standpipe.core.items import (
    Answer,
    Body,
    Checked,
    Citation,
    Conflict,
    ConflictValue,
    Data,
    Draft,
    Failure,
    Gap,
    Label,
    Passage,
    Sentence,
    Source,
    Text,
    ToolCall,
    decode_body,
    encode_body,
    join,
    place,
)

sources = st.builds(Source, st.sampled_from("fg"), st.sampled_from("abc"), st.sampled_from("12"))
labels = st.builds(
    Label,
    st.lists(sources, max_size=4).map(tuple),
    st.sampled_from(["user", "agent", "tool", "document"]),
)

C1, C2 = Citation("a.md", "v1", "one"), Citation("b.md", "v2", "two", "f")
BODIES: list[tuple[str, Body]] = [
    ("text", Text("Grüße")),
    ("call", ToolCall("search", {"query": "x", "deep": {"b": [1, None], "a": 2.5}}, "call_1")),
    ("passage", Passage("a.md", "v1", "text", ("H1", "H2"), 7, 0.25, "f", True)),
    ("data", Data({"b": 1, "a": [True]})),
    ("failure", Failure("not_found", "Nothing.")),
    ("checked", Checked(((C1,), ()), ((ConflictValue("1", C2),),), "value: type")),
    ("answer", Answer((Sentence("S", (C1,), 1),), (Gap("g", 0),), (Conflict("c", (ConflictValue("1", C1),)),), {"x": 1})),
]


@settings(max_examples=30)
@given(labels, labels, labels)
def test_joining_labels_is_commutative_associative_and_idempotent(a: Label, b: Label, c: Label) -> None:
    assert join([a, b]) == join([b, a])
    assert join([join([a, b]), c]) == join([a, join([b, c])]) == join([a, b, c])
    assert join([join([a, b]), join([a, b])]) == join([a, b])
    assert join([a, Label()]) == join([a])


@settings(max_examples=30)
@given(st.lists(labels, max_size=4))
def test_a_joined_label_asks_for_everything_that_its_inputs_ask_for_and_nothing_else(many: list[Label]) -> None:
    joined = join(many)
    assert set(joined.sources) == {s for label in many for s in label.sources}
    assert list(joined.sources) == sorted(set(joined.sources))


def test_what_is_joined_was_chosen_by_whoever_joined_it() -> None:
    assert join([Label(integrity="document")]).integrity == "agent"
    assert join([Label(integrity="document")], "tool").integrity == "tool"


@pytest.mark.parametrize(("kind", "body"), BODIES, ids=[kind for kind, _ in BODIES])
def test_a_body_is_the_same_after_storage_and_its_item_says_what_it_is(kind: str, body: Body) -> None:
    label = Label((Source("f", "a.md", "v1"), Source("", "incident:7", "")), "tool")
    item = place(Draft(body, label, "4.0"), "5.1", "tool:search", "st2")
    data = encode_body(body)
    assert decode_body(data) == body
    assert (item.id, item.kind, item.origin, item.step, item.answers) == ("5.1", kind, "tool:search", "st2", "4.0")
    assert (item.hash, item.bytes, item.label, item.body) == (digest_bytes(data), len(data), label, body)


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=5),
        lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.sampled_from("zyxab"), inner, max_size=4),
        max_leaves=8,
    )
)
def test_a_placed_body_is_the_one_that_storage_gives_back(value: object) -> None:
    for body in (Data(value), ToolCall("t", {"z": value, "a": 1})):
        kept = place(Draft(body), "1.0", "x").body
        assert kept is not None
        assert repr(decode_body(encode_body(kept))) == repr(kept)


def test_the_hash_of_a_body_does_not_depend_on_the_order_of_its_dicts() -> None:
    assert encode_body(ToolCall("t", {"a": 1, "b": {"c": 2, "d": 3}})) == encode_body(
        ToolCall("t", {"b": {"d": 3, "c": 2}, "a": 1})
    )
    assert encode_body(Data({"a": 1, "b": 2})) == encode_body(Data({"b": 2, "a": 1}))


def test_an_answer_cites_each_place_once_in_the_order_of_first_use() -> None:
    answer = Answer((Sentence("One.", (C2, C1)), Sentence("Two.", (C1, C2)), Sentence("Three.")))
    assert answer.citations == (C2, C1)
    assert answer.text == "One.\nTwo.\nThree."
    assert Answer().text == "" and Answer().citations == ()
