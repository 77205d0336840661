"""Conflicts, values and whole answers: nothing is composed that no verdict vouches for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.desk import an_item
from tests.core.pages import EVIDENCE, said

from standpipe.core import check
from standpipe.core.check import Weighed, compose, judge_answer, schema_problem
from standpipe.core.control import (
    AnswerArguments,
    AnswerConflict,
    AnswerConflictValue,
    AnswerGap,
    AnswerSentence,
)
from standpipe.core.details import Verdict
from standpipe.core.items import (
    Answer,
    Checked,
    Citation,
    ConflictValue,
    Data,
    Draft,
    Gap,
    Passage,
    Sentence,
    Source,
    Text,
)

# --- conflicts ---------------------------------------------------------------------------------------------------------


def conflict(*sides: tuple[str, str, str]) -> tuple[str, str, tuple[ConflictValue, ...]]:
    """Status and code of the verdict on one conflict, and the values it vouches for."""
    asked = AnswerConflict("the limit", tuple(AnswerConflictValue(v, source, quote) for v, source, quote in sides))
    (_, verdict), checked = judge_answer(AnswerArguments(conflicts=(asked,)), EVIDENCE, None, must_cite=True)
    assert (verdict.check, verdict.subject) == ("conflict", "c0")
    return verdict.status, verdict.code, checked.conflicts[0]


LIMIT = ("1000", "limits.md", "limit is 1000")
TIMEOUT = ("30 s", "timeouts.md", "timeout is 30 s")


def test_two_verified_values_make_a_conflict() -> None:
    status, _, values = conflict(LIMIT, TIMEOUT)
    assert status == "pass"
    assert values == (
        ConflictValue("1000", Citation("limits.md", "v1", "limit is 1000", "f")),
        ConflictValue("30 s", Citation("timeouts.md", "v2", "timeout is 30 s", "f")),
    )


@pytest.mark.parametrize(
    "sides",
    [
        (LIMIT,),
        (LIMIT, LIMIT),
        (LIMIT, ("1000 ", "timeouts.md", "timeout is 30 s")),
        (LIMIT, ("40 s", "timeouts.md", "timeout is 30 s")),
        (LIMIT, ("30 s", "timeouts.md", "timeout is thirty")),
        (("limit is", *LIMIT[1:]), ("Limit  IS", "limits.md", "The limit is 1000 requests")),
        (("limit", *LIMIT[1:]), ("1000", *LIMIT[1:])),
        (LIMIT, ("twice", "timeouts.md", "timeout is 30 s")),
        (LIMIT, ("30 or 40", "timeouts.md", "timeout is 30 s")),
    ],
)
def test_fewer_than_two_different_values_of_two_places_are_no_conflict(sides: tuple[tuple[str, str, str], ...]) -> None:
    assert conflict(*sides) == ("fail", "fewer than two verified values", ())


def test_a_value_in_words_stands_in_its_quote() -> None:
    assert conflict(LIMIT, ("30 seconds", "timeouts.md", "timeout is 30 s"))[0] == "pass"
    assert conflict(LIMIT, ("Retries TWICE", "timeouts.md", "client retries twice"))[0] == "pass"


def test_a_third_value_that_fails_is_left_out() -> None:
    assert [v.value for v in conflict(LIMIT, ("7", "limits.md", "limit is 1000"), TIMEOUT)[2]] == ["1000", "30 s"]


# --- schemas and sizes -------------------------------------------------------------------------------------------------

OBJECT = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"items": {"type": "integer"}}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": "x", "b": [1, 2]}, ""),
        ({"a": 5}, "a: type"),
        ({"a": "x", "b": [1, "2"]}, "b/1: type"),
        ({}, "the top: required"),
        (5, "the top: type"),
    ],
)
def test_the_first_violation_is_named_by_path_and_keyword(value: object, problem: str) -> None:
    assert schema_problem(OBJECT, value) == problem


@pytest.mark.parametrize(
    "schema",
    [{"type": 5}, {"$ref": "https://example.com/schema"}, {"pattern": "("}, {"$ref": "#/$defs/none"}, {"$schema": "x"}],
)
def test_a_schema_that_cannot_be_used_is_a_violation_and_nothing_is_fetched(schema: dict[str, Any]) -> None:
    assert schema_problem(schema, {"a": 1}).startswith("the schema: ")


@pytest.mark.parametrize("value", [object(), {1: 2}, b"x", "\ud800", float("nan"), 2**80, [[[]]] * 3])
def test_no_value_breaks_the_check(value: object) -> None:
    assert isinstance(schema_problem(OBJECT, value), str)
    assert isinstance(schema_problem(OBJECT, {"a": value}), str)


def test_the_typed_value_is_judged_where_there_is_a_schema() -> None:
    for value, status, code, problem in (({"a": "x"}, "pass", "", ""), ({"a": 1}, "fail", "schema", "a: type")):
        (_, verdict), checked = judge_answer(AnswerArguments(value=value), {}, OBJECT, must_cite=True)
        assert verdict == Verdict("schema", "value", status, code) and checked.problem == problem
    shape = Verdict("shape", "answer", "pass", seen="0 sentences, 0 conflicts, 0 gaps, 0 claims")
    assert judge_answer(AnswerArguments(value=5), {}, None, must_cite=True) == ((shape,), Checked())


def test_no_verdict_holds_content() -> None:
    answer = AnswerArguments(
        (said("SECRET 7", ("SECRET.md", "SECRET words")), said("SECRET limit", ("limits.md", "SECRET limit"))),
        conflicts=(AnswerConflict("SECRET", (AnswerConflictValue("SECRET", "limits.md", "SECRET"),)),),
        value={"SECRET": 5},
    )
    schema = {"additionalProperties": {"type": "string"}}
    verdicts, _ = judge_answer(answer, EVIDENCE, schema, must_cite=True)
    assert len(verdicts) == 5 and "SECRET" not in repr(verdicts)


@pytest.mark.parametrize(("size", "status", "code"), [(1_000_000, "pass", ""), (1_000_001, "fail", "too large")])
def test_a_result_has_a_bounded_size(size: int, status: str, code: str) -> None:
    verdict = check.judge_result((Draft(Data(1)),), size)
    assert (verdict.status, verdict.code, verdict.seen) == (status, code, f"1 items, {size} bytes")


def test_what_a_prompt_shows_or_an_earlier_answer_cites_can_be_cited() -> None:
    cited = Answer((Sentence("S", (Citation("b.md", "v3", "q", "g"),)),))
    items = [
        an_item("1.0", Passage("a.md", "v1", "t", folder="f")),
        an_item("1.1", Passage("a.md", "v2", "t", folder="f")),
        an_item("1.2", Passage("a.md", "v1", "u", folder="f")),
        an_item("1.3", Passage("m1", "v1", "t", folder="f", memory=True)),
        an_item("1.4", Text("x")),
        an_item("1.5", cited),
    ]
    assert check.known_sources(items) == {
        "a.md": (Source("f", "a.md", "v1"), Source("f", "a.md", "v2")),
        "b.md": (Source("g", "b.md", "v3"),),
    }


# --- composition -------------------------------------------------------------------------------------------------------


def composed(answer: AnswerArguments, *parts: str, lost: tuple[str, ...] = (), schema: dict[str, Any] | None = None) -> Weighed:
    """What is left of an answer after its verdicts."""
    verdicts, checked = judge_answer(answer, EVIDENCE, schema, must_cite=True)
    return compose(answer, verdicts, checked, parts or ("all of it",), lost)


GOOD = said("The limit is 1000.", ("limits.md", "limit is 1000"))
FIXED = said("The timeout is 30 s.", ("limits.md", "timeout is 30 s"), part=1)
BAD = said("The limit is 2000.", ("limits.md", "limit is 2000"))


def test_sentences_are_kept_repaired_or_dropped() -> None:
    weighed = composed(AnswerArguments((BAD, GOOD, FIXED)), "limit", "timeout")
    assert (weighed.kept, weighed.repaired, weighed.dropped) == ((1,), (2,), (0,))
    assert weighed.answer == Answer(
        (
            Sentence("The limit is 1000.", (Citation("limits.md", "v1", "limit is 1000", "f"),), 0),
            Sentence("The timeout is 30 s.", (Citation("timeouts.md", "v2", "timeout is 30 s", "f"),), 1),
        )
    )


def test_a_sentence_without_a_verdict_is_dropped() -> None:
    weighed = compose(AnswerArguments((GOOD,)), (), Checked(), ("all",), ())
    assert weighed.dropped == (0,) and weighed.answer.sentences == ()


def test_a_sentence_that_may_stand_alone_stands_alone() -> None:
    verdict = Verdict("citation", "s0", "abstain", "nothing to cite")
    weighed = compose(AnswerArguments((said("Hello."),)), (verdict,), Checked(((),)), ("all",), ())
    assert weighed.kept == (0,) and weighed.answer == Answer((Sentence("Hello."),))


def test_a_check_that_broke_vouches_for_nothing() -> None:
    weighed = compose(AnswerArguments((GOOD,)), (Verdict("citation", "s0", "error"),), Checked(((),)), ("all",), ())
    assert weighed.dropped == (0,)


def test_a_part_that_no_sentence_answers_is_a_gap() -> None:
    assert composed(AnswerArguments((GOOD,)), "limit", "timeout").answer.gaps == (
        Gap("No checked sentence answers: timeout", 1),
    )
    assert composed(AnswerArguments((BAD,))).answer.gaps == (Gap("No checked sentence answers: all of it", 0),)
    assert composed(AnswerArguments(), "limit", "timeout").answer.gaps == (
        Gap("No checked sentence answers: limit", 0),
        Gap("No checked sentence answers: timeout", 1),
    )


def test_the_gaps_that_the_model_names_stand_for_their_parts() -> None:
    named = AnswerArguments((GOOD,), (AnswerGap("Nothing says how long.", 1),))
    assert composed(named, "limit", "timeout").answer.gaps == (Gap("Nothing says how long.", 1),)
    whole = AnswerArguments((), (AnswerGap("Nothing at all."),))
    assert composed(whole, "limit", "timeout").answer.gaps == (Gap("Nothing at all.", -1),)
    some = AnswerArguments((GOOD,), (AnswerGap("Nothing more."),))
    assert composed(some, "limit", "timeout").answer.gaps == (
        Gap("Nothing more.", -1),
        Gap("No checked sentence answers: timeout", 1),
    )


@pytest.mark.parametrize("part", [-2, 2, 99])
def test_a_gap_or_a_sentence_about_no_part_speaks_of_no_part(part: int) -> None:
    assert composed(AnswerArguments((), (AnswerGap("?", part),)), "limit", "timeout").answer.gaps == (Gap("?", -1),)
    astray = said(GOOD.text, ("limits.md", "limit is 1000"), part=part)
    answer = composed(AnswerArguments((astray,)), "limit", "timeout").answer
    assert [g.part for g in answer.gaps] == [0, 1] and answer.sentences[0].part == -1


def test_with_one_part_every_sentence_is_about_it() -> None:
    astray = said(GOOD.text, ("limits.md", "limit is 1000"), part=7)
    assert composed(AnswerArguments((astray,))).answer.sentences[0].part == 0


def test_what_was_lost_is_a_gap_beside_the_others() -> None:
    assert composed(AnswerArguments((GOOD,)), lost=("The step `x` failed.",)).answer.gaps == (Gap("The step `x` failed."),)
    assert composed(AnswerArguments((BAD,)), lost=("The step `x` failed.",)).answer.gaps == (
        Gap("No checked sentence answers: all of it", 0),
        Gap("The step `x` failed."),
    )


def test_a_gap_brings_no_number_of_its_own() -> None:
    gaps = composed(AnswerArguments((), (AnswerGap("It costs 900.", 1), AnswerGap("It is 7."))), "limit", "price").answer.gaps
    assert "900" not in gaps[0].text and gaps[0].part == 1
    assert "7" not in gaps[1].text and gaps[1].part == -1
    asked = composed(AnswerArguments((), (AnswerGap("Nothing says why 429 is sent.", 0),)), "why 429?").answer.gaps
    assert asked == (Gap("Nothing says why 429 is sent.", 0),)


def test_words_that_nothing_can_verify_are_short() -> None:
    long = "word " * 1_000
    sides = tuple(AnswerConflictValue(*side) for side in (LIMIT, TIMEOUT))
    answer = AnswerArguments((), (AnswerGap(long),), (AnswerConflict(long, sides),))
    left = composed(answer, long, long + "2").answer
    assert max(len(left.gaps[0].text), len(left.conflicts[0].about)) <= check.WORDS_MAX
    numbered = composed(AnswerArguments((), (AnswerGap("It is 9.", 0),)), long).answer
    assert len(numbered.gaps[0].text) <= check.WORDS_MAX + 60
    assert all(len(g.text) <= check.WORDS_MAX + 60 for g in composed(AnswerArguments(), long, long).answer.gaps)


def test_only_conflicts_that_passed_are_told() -> None:
    good = AnswerConflict("limits", tuple(AnswerConflictValue(*side) for side in (LIMIT, TIMEOUT)))
    bad = AnswerConflict("other", (AnswerConflictValue(*LIMIT),))
    answer = composed(AnswerArguments((GOOD,), conflicts=(bad, good))).answer
    assert [(c.about, len(c.values)) for c in answer.conflicts] == [("limits", 2)]
    assert compose(AnswerArguments(conflicts=(good,)), (), Checked(), ("x",), ()).answer.conflicts == ()


def test_a_value_is_told_only_if_it_fits() -> None:
    fits = composed(AnswerArguments((GOOD,), value={"a": "x"}), schema=OBJECT).answer
    assert fits.value == {"a": "x"} and fits.gaps == ()
    not_fit = composed(AnswerArguments((GOOD,), value={"a": 1}), schema=OBJECT).answer
    assert not_fit.value is None and not_fit.gaps == (Gap("The result did not fit its schema."),)
    assert composed(AnswerArguments((GOOD,), value={"a": "x"})).answer.value is None


sentences = st.builds(
    said, st.sampled_from([GOOD.text, BAD.text, "Every client retries."]), st.sampled_from(
        [("limits.md", "limit is 1000"), ("limits.md", "limit is 2000"), ("timeouts.md", "Every  client retries")]
    ), part=st.integers(-1, 3),
)  # fmt: skip
gaps = st.builds(AnswerGap, st.sampled_from(["No.", "Nothing says 5."]), st.integers(-2, 3))


@settings(max_examples=60)
@given(
    st.lists(sentences, max_size=4).map(tuple),
    st.lists(gaps, max_size=3).map(tuple),
    st.lists(st.sampled_from(["limit", "timeout", "price"]), min_size=1, max_size=3, unique=True),
    st.lists(st.just("The step `x` failed."), max_size=1).map(tuple),
)
def test_composition_never_invents_and_every_part_is_answered_or_a_gap(
    many: tuple[AnswerSentence, ...], named: tuple[AnswerGap, ...], parts: list[str], lost: tuple[str, ...]
) -> None:
    weighed = composed(AnswerArguments(many, named), *parts, lost=lost)
    answer = weighed.answer
    assert sorted((*weighed.kept, *weighed.repaired, *weighed.dropped)) == list(range(len(many)))
    left = sorted((*weighed.kept, *weighed.repaired))
    assert [s.text for s in answer.sentences] == [many[n].text for n in left]
    for sentence in answer.sentences:
        assert sentence.citations
        for c in sentence.citations:
            (page,) = [e.text for name in EVIDENCE for e in EVIDENCE[name] if e.source == Source(c.folder, c.source, c.version)]
            assert c.quote in page
    answered = {s.part for s in answer.sentences}
    missing = {g.part for g in answer.gaps}
    assert answered | missing <= {-1, *range(len(parts))}
    for part in range(len(parts)):
        assert part in answered | missing or (
            not answer.sentences and -1 in {g.part for g in named if not 0 <= g.part < len(parts)} | {-1}
        )
        assert sum(g.text.startswith("No checked sentence") and g.part == part for g in answer.gaps) <= (part not in answered)
    assert answer.sentences or any(g.part >= 0 or g.text not in lost for g in answer.gaps)
