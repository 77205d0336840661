"""Claims against each other: what is the same thing, what is the same value, and that both sides are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.core.claims import disagreements, measured
from standpipe.core.items import Citation, Claim


def claim(value: str, source: str, **given: str) -> Claim:
    said = {"subject": "Checkout", "predicate": "grace period", "unit": "", "time": "", **given}
    return Claim(
        said["subject"], said["predicate"], value, Citation(source, "v1", f"It is {value}."), said["unit"], said["time"]
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("30", "seconds"), ("30 s", ""), True),
        (("30", "seconds"), ("0.5", "minutes"), True),
        (("2,000", "ms"), ("2", "s"), True),
        (("1", "MB"), ("1", "megabyte"), True),
        (("1", "MB"), ("1", "MiB"), False),
        (("30", "seconds"), ("45", "seconds"), False),
        (("30", "seconds"), ("30", "pods"), False),
        (("3.0", ""), ("3", ""), True),
        (("Enabled", ""), ("enabled.", ""), True),
        (("on", ""), ("off", ""), False),
        (("1.2.3", ""), ("1.2.4", ""), False),
    ],
)
def test_values_are_compared_in_one_measure(one: tuple[str, str], other: tuple[str, str], same: bool) -> None:
    assert (measured(*one) == measured(*other)) is same


def test_who_says_otherwise_of_the_same_thing_is_a_conflict_with_every_side_once() -> None:
    said = [claim("30", "a"), claim("45", "b"), claim("45.0", "c"), claim("12", "d", predicate="pods")]
    [found] = disagreements(said)
    assert found.about == "grace period of Checkout"
    assert [(v.value, v.citation.source) for v in found.values] == [("30", "a"), ("45", "b")]


def test_words_of_subject_and_predicate_are_compared_without_case_and_marks() -> None:
    assert disagreements([claim("30", "a"), claim("45", "b", subject="checkout", predicate="Grace-period")])


def test_what_holds_at_other_times_does_not_contradict() -> None:
    assert not disagreements([claim("30", "a", time="2025"), claim("45", "b", time="2026")])
    assert disagreements([claim("30", "a", time="2025"), claim("45", "b")])


def test_one_source_does_not_contradict_itself_with_one_quote() -> None:
    assert not disagreements([claim("30", "a"), Claim("Checkout", "grace period", "45", claim("30", "a").citation)])


@given(st.lists(st.builds(claim, st.sampled_from(["1", "2", "1.0", "on"]), st.sampled_from("abc")), max_size=6))
def test_a_conflict_never_merges_or_invents_a_value(said: list[Claim]) -> None:
    for conflict in disagreements(said):
        assert len(conflict.values) >= 2
        assert {(v.value, v.citation) for v in conflict.values} <= {(c.value, c.citation) for c in said}
