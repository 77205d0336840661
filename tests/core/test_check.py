"""Deterministic verdicts: a quote stands in its source word for word, and nothing is composed that no verdict vouches for."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.pages import EVIDENCE, OTHER, PAGE, SOURCE, said

from standpipe.core import check
from standpipe.core.check import Evidence, judge_answer
from standpipe.core.control import (
    AnswerArguments,
    AnswerSentence,
    CitedQuote,
)
from standpipe.core.items import (
    Citation,
    Source,
)


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
