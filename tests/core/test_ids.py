"""Names follow from places, digests from values: the same value has the same digest however it was written."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.core.ids import call_id, digest, digest_bytes, item_id, step_id, step_of, turn_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def turned(value: object) -> object:
    """The same value with every dict written the other way round."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(one) for one in value] if isinstance(value, list) else value


@settings(max_examples=40)
@given(json_values)
def test_a_digest_does_not_depend_on_the_order_of_a_dict(value: object) -> None:
    assert digest(value) == digest(turned(value))


@settings(max_examples=40)
@given(json_values, json_values)
def test_different_values_have_different_digests(a: object, b: object) -> None:
    assert (digest(a) == digest(b)) == (json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True))


def test_a_digest_is_half_of_sha_256() -> None:
    assert digest_bytes(b"x") == hashlib.sha256(b"x").hexdigest()[:32]
    assert digest({"b": 1, "a": [2]}) == digest_bytes(b'{"a":[2],"b":1}')


def test_names_say_where_a_thing_stands() -> None:
    assert (turn_id(3), step_id("t3", 4), item_id(17, 0)) == ("t3", "st4", "17.0")
    assert call_id("t2", "st4", 1) == "t2.st4.a1"


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_call_knows_its_step(turn: int, step: int, attempt: int) -> None:
    name = turn_id(turn)
    assert step_of(call_id(name, step_id(name, step), attempt)) == step_id(name, step)
