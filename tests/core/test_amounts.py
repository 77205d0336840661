"""The laws of amounts: adding and taking away, and what fits into what."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.core.amounts import NOTHING, Amounts

NAMES = ("microusd", "tokens", "model_calls", "tool_calls", "steps")
amounts = st.builds(Amounts, *[st.integers(-(10**12), 10**12)] * 5)


def test_amounts_has_the_components_that_these_laws_range_over() -> None:
    assert Amounts.__struct_fields__ == NAMES


@settings(max_examples=40)
@given(amounts, amounts, amounts)
def test_adding_and_taking_away(a: Amounts, b: Amounts, c: Amounts) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + NOTHING == a
    assert (a + b) - b == a
    assert a - a == NOTHING


@settings(max_examples=40)
@given(amounts, amounts)
def test_every_component_is_added_to_its_own(a: Amounts, b: Amounts) -> None:
    both = a + b
    assert [getattr(both, n) for n in NAMES] == [getattr(a, n) + getattr(b, n) for n in NAMES]


@given(amounts, amounts)
def test_short_is_empty_exactly_where_all_of_it_fits(a: Amounts, b: Amounts) -> None:
    over = [n for n in NAMES if getattr(a, n) > getattr(b, n)]
    assert a.short(b) == (over[0] if over else "")


@pytest.mark.parametrize("name", NAMES)
def test_short_names_the_component(name: str) -> None:
    limit = Amounts(5, 5, 5, 5, 5)
    assert limit.short(limit) == ""
    assert msgspec.structs.replace(limit, **{name: 6}).short(limit) == name


@given(amounts, st.integers(-(10**12), 10**12))
def test_capped_touches_only_money(a: Amounts, most: int) -> None:
    capped = a.capped(microusd=most)
    assert capped.microusd == min(a.microusd, most)
    assert msgspec.structs.replace(capped, microusd=a.microusd) == a
