"""Deterministic verdicts: a quote stands in its source word for word, and nothing is composed that no verdict vouches for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.desk import an_item

from standpipe.core import check
from standpipe.core.check import Evidence, Weighed, compose, judge_answer, schema_problem
from standpipe.core.control import (
    AnswerArguments,
    AnswerConflict,
    AnswerConflictValue,
    AnswerGap,
    AnswerSentence,
    CitedQuote,
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

PAGE = "# Limits\n\nThe limit is 1000 requests per *minute*.\nIt was raised in\n  version 1.5 of `gateway_core`.\n"
OTHER = "The timeout is 30 s. Every client retries twice.\n"
SOURCE, SECOND = Source("f", "limits.md", "v1"), Source("f", "timeouts.md", "v2")
EVIDENCE = {"limits.md": [Evidence(SOURCE, PAGE)], "timeouts.md": [Evidence(SECOND, OTHER)]}


def said(text: str, *quotes: tuple[str, str], part: int = 0) -> AnswerSentence:
    """A sentence with what it cites."""
    return AnswerSentence(text, tuple(CitedQuote(source, quote) for source, quote in quotes), part)


def judged(sentence: AnswerSentence, *, must_cite: bool = True) -> tuple[str, str, tuple[Citation, ...]]:
    """Status and code of the verdict on one sentence, and the citations it vouches for."""
    (_, verdict), checked = judge_answer(AnswerArguments((sentence,)), EVIDENCE, None, must_cite=must_cite)
    assert (verdict.check, verdict.subject) == ("citation", "s0")
    return verdict.status, verdict.code, checked.citations[0]


# --- quotes ------------------------------------------------------------------------------------------------------------


def test_a_sentence_whose_quote_stands_in_its_source_passes() -> None:
    status, code, citations = judged(said("The limit is 1000.", ("limits.md", "limit is 1000 requests")))
    assert (status, code) == ("pass", "")
    assert citations == (Citation("limits.md", "v1", "limit is 1000 requests", "f"),)


def test_all_quotes_of_a_sentence_must_stand() -> None:
    both = said("The limit is 1000, the timeout 30.", ("limits.md", "limit is 1000"), ("timeouts.md", "timeout is 30"))
    assert judged(both)[0] == "pass" and len(judged(both)[2]) == 2
    one = said("The limit is 1000, the timeout 40.", ("limits.md", "limit is 1000"), ("timeouts.md", "timeout is 40"))
    assert judged(one) == ("fail", "quote not found", ())


@pytest.mark.parametrize(
    ("quote", "exact"),
    [
        ("1000 requests per minute", "1000 requests per *minute"),
        ("raised in version 1.5", "raised in\n  version 1.5"),
        ("the LIMIT is 1000", "The limit is 1000"),
        ("version 1.5 of gateway_core", "version 1.5 of `gateway_core"),
        ("of **gateway_core**", "of `gateway_core"),
    ],
)
def test_a_quote_that_differs_in_space_case_or_markup_is_repaired_to_the_exact_words(quote: str, exact: str) -> None:
    status, code, citations = judged(said(quote, ("limits.md", quote)))
    assert (status, code) == ("pass", "repaired")
    assert [c.quote for c in citations] == [exact] and exact in PAGE


def test_the_right_one_of_two_documents_is_found() -> None:
    status, code, citations = judged(said("The timeout is 30.", ("limits.md", "The timeout is 30 s.")))
    assert (status, code) == ("pass", "repaired")
    assert citations == (Citation("timeouts.md", "v2", "The timeout is 30 s.", "f"),)


def test_the_document_named_wins_over_another_that_says_the_same() -> None:
    same = {name: [Evidence(Source("f", name, "v"), OTHER)] for name in ("b", "a")}
    citation = check.verified(CitedQuote("b", "timeout is 30"), same)
    assert citation is not None and citation.source == "b"
    elsewhere = check.verified(CitedQuote("c", "timeout is 30"), dict(reversed(list(same.items()))))
    assert elsewhere is not None and elsewhere.source == "a"


@pytest.mark.parametrize(
    "quote",
    [
        "5 of",
        "of `gateway",
        "**",
        "`_",
        "limit is 100",
        "imit is 1000",
        "version 1",
        "5 of `gateway",
        "raised i",
        "gateway_",
        "1",
        " ",
        "",
    ],
)
def test_no_quote_begins_or_ends_within_a_word_or_number(quote: str) -> None:
    assert judged(said("The limit was raised.", ("limits.md", quote)))[:2] == ("fail", "quote not found")


def test_a_later_place_that_is_whole_counts() -> None:
    evidence = Evidence(SOURCE, "limit is 1000, or the limit is 100 in all")
    assert evidence.find("limit is 100") == (22, 34)
    assert Evidence(SOURCE, "LIMIT is 1000, or the  limit is 100 in all").find("the limit is 100") == (18, 35)
    assert Evidence(SOURCE, "*Limit* is 1000; *Limit* is 100.").find("limit is 100") == (18, 31)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("*Limit* is five", "*Limit*"),
        ("5 6 7", "5 6"),
        ("It is 5. Then", "It is 5"),
        ("limit.5 of it", "limit"),
        ("limit.5 of it", "5 of"),
        ("1;5 of it", "5 of"),
        ("1.x of it", "x of"),
        (".5 of it", "5 of"),
        ("1 of it", " of"),
        ("5, 6 of it", "6 of"),
        ("of it 5.", "it 5"),
        ("of it 5,", "it 5"),
    ],
)
def test_words_and_numbers_end_where_they_end(text: str, quote: str) -> None:
    start = text.index(quote)
    assert Evidence(SOURCE, text).find(quote) == (start, start + len(quote))


def test_the_first_number_of_a_text_is_a_number_too() -> None:
    assert Evidence(SOURCE, "1.5 of it").find("5 of") is None
    assert Evidence(SOURCE, "of 1.5").find("of 1") is None


def test_letters_that_grow_in_lower_case_move_nothing() -> None:
    text = "İİ is *five* ms"
    span = Evidence(SOURCE, text).find("is five")
    assert span is not None and text[slice(*span)] == "is *five"


def test_a_quote_has_at_least_two_characters() -> None:
    evidence = {"d": [Evidence(SOURCE, "a bc")]}
    assert check.verified(CitedQuote("d", "a"), evidence) is None
    assert check.verified(CitedQuote("d", " a "), evidence) is None
    assert check.verified(CitedQuote("d", "bc"), evidence) is not None


def test_what_stands_nowhere_is_not_found() -> None:
    assert judged(said("The limit is 2000.", ("limits.md", "The limit is 2000"))) == ("fail", "quote not found", ())
    assert judged(said("The limit is 1000.", ("none.md", "There is no such text"))) == ("fail", "quote not found", ())


def test_one_repaired_quote_makes_a_repaired_sentence() -> None:
    two = said("The limit is 1000, the timeout 30.", ("limits.md", "limit is 1000"), ("timeouts.md", "TIMEOUT is 30"))
    assert judged(two)[:2] == ("pass", "repaired")


# --- numbers and support -----------------------------------------------------------------------------------------------


def test_every_number_of_a_sentence_stands_in_its_quotes() -> None:
    assert judged(said("The limit is 1001.", ("limits.md", "limit is 1000"))) == ("fail", "number not in quote", ())
    assert judged(said("The limit is 100.", ("limits.md", "limit is 1000"))) == ("fail", "number not in quote", ())
    assert (
        judged(said("The limit is 1000 in version 1.5.", ("limits.md", "limit is 1000"), ("limits.md", "version 1.5")))[0]
        == "pass"
    )
    assert (
        judged(said("The limit is 1000 in version 15.", ("limits.md", "limit is 1000"), ("limits.md", "version 1.5")))[0]
        == "fail"
    )


def test_a_quote_must_have_to_do_with_its_sentence() -> None:
    nothing = said("Restart all payment services immediately.", ("timeouts.md", "Every client retries"))
    assert judged(nothing) == ("fail", "quote does not support sentence", ())


def test_coverage_is_the_share_of_content_words() -> None:
    assert check.coverage("Every client sends requests", "a CLIENT may request") == 0.5
    assert check.coverage("is it so", "anything") == 1.0
    assert check.coverage("requested", "requests") == 1.0
    assert check.coverage("alpha beta gamma", "") == 0.0


def test_the_least_coverage_is_enough() -> None:
    ten = "alpha bravo charlie delta echoes foxtrot golfer hotel india juliet"
    evidence = {"d": [Evidence(SOURCE, "alpha bravo charlie. alpha bravo.")]}
    for quote, status in (("alpha bravo charlie.", "pass"), ("alpha bravo.", "fail")):
        (_, verdict), _ = judge_answer(AnswerArguments((said(ten, ("d", quote)),)), evidence, None, must_cite=True)
        assert verdict.status == status


def test_a_sentence_without_citation_fails_only_where_there_is_something_to_cite() -> None:
    assert judged(said("Hello.")) == ("fail", "uncited", ())
    assert judged(said("Hello."), must_cite=False) == ("abstain", "nothing to cite", ())
    assert judged(said("The limit is 7.", ("limits.md", "limit is 1000")), must_cite=False)[0] == "fail"


def test_a_dump_is_no_sentence() -> None:
    words = "limit " * 200
    assert len(words) == check.SENTENCE_CHARS_MAX
    assert judged(said(words, ("limits.md", "The limit is 1000")))[0] == "pass"
    for must_cite in (True, False):
        dump = said(words + "l", ("limits.md", "The limit is 1000"))
        assert judged(dump, must_cite=must_cite) == ("fail", "too long for a sentence", ())


# --- laws of quotes ----------------------------------------------------------------------------------------------------

words = st.sampled_from(["etcd", "leader", "5", "1.5", "ms", "der", "Ünder", "a", "snake_case", "ﬁn", "İ", "ß", "10,000"])
spaces = st.sampled_from([" ", "\n", "  ", "\t ", " "])
marks = st.sampled_from(["", "*", "**", "`", "_"])


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text with white space and markup between its words, and the words."""
    chosen = draw(st.lists(words, min_size=1, max_size=12))
    text = draw(spaces)
    for word in chosen:
        mark = draw(marks)
        text += mark + word + mark + draw(spaces)
    return text, chosen


@settings(max_examples=60)
@given(texts(), st.data())
def test_words_of_a_text_are_found_whatever_stands_between_them(drawn: tuple[str, list[str]], data: st.DataObject) -> None:
    text, chosen = drawn
    start = data.draw(st.integers(0, len(chosen) - 1))
    end = data.draw(st.integers(start + 1, len(chosen)))
    quote = " ".join(chosen[start:end])
    span = Evidence(SOURCE, text).find(quote)
    assert span is not None
    assert plain(text[slice(*span)]) == plain(quote)


def plain(text: str) -> str:
    """A text without markup, in lower case, with single spaces."""
    return " ".join(text.translate({ord(c): None for c in "*_`"}).lower().split())


@given(st.text("ab1.,_* \n`é", min_size=2, max_size=30), st.integers(0, 20), st.integers(2, 8), st.booleans())
def test_what_is_found_says_the_same_as_the_quote_and_cuts_no_word(text: str, start: int, size: int, upper: bool) -> None:
    quote = text[start : start + size]
    quote = quote.upper() if upper else quote
    found = check.verified(CitedQuote("d", quote), {"d": [Evidence(Source("f", "d", "v"), text)]})
    if found is not None:
        span = Evidence(SOURCE, text).find(quote)
        assert span is not None and text[slice(*span)] == found.quote
        assert plain(found.quote) == plain(quote)
        assert all(not (text[max(at - 1, 0) : at].isalnum() and text[at : at + 1].isalnum()) for at in span)


@given(st.text("abcdefgh ", min_size=2, max_size=20))
def test_a_quote_of_other_letters_is_never_found(quote: str) -> None:
    assume(quote.strip())
    assert check.verified(CitedQuote("d", quote), {"d": [Evidence(SOURCE, "xyz 123 *XYZ* _9_")]}) is None


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
    shape = Verdict("shape", "answer", "pass", seen="0 sentences, 0 conflicts, 0 gaps")
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
