"""Deterministic verdicts: does the quote stand in the cited version, do the numbers, does the value fit its schema.

A model's opinion of its own answer is never asked. A sentence that fails is repaired where the repair itself can be vouched
for (white space, the wrong one of two documents that were read), given back once with the finding, or dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from standpipe.core.control import AnswerArguments, AnswerClaim, AnswerConflictValue, CitedQuote
from standpipe.core.details import Verdict
from standpipe.core.items import (
    Answer,
    Checked,
    Citation,
    Claim,
    Conflict,
    ConflictValue,
    Draft,
    Gap,
    Item,
    Passage,
    Sentence,
    Source,
)

COVERAGE_MIN = 0.3
"""The share of a sentence's content words that its quotes must hold; a guard against quotes that have nothing to do with it."""
RESULT_BYTES_MAX = 1_000_000
"""A tool result above this is refused: it would crowd out everything else."""

SENTENCE_CHARS_MAX = 1_200
"""Characters of a sentence; what is longer is a dump, and no quote can be seen to support it."""
WORDS_MAX = 300
"""Characters of a gap or of what a conflict is about: a model's own words, which nothing can verify."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]{4,}")
_MARKUP = frozenset("*_`")


class Evidence:
    """The text of a document version that a model was shown something of; its plain form is made once, when first needed."""

    def __init__(self, source: Source, text: str) -> None:
        self.source, self.text = source, text
        self._plain: tuple[str, list[int]] | None = None

    def find(self, quote: str) -> tuple[int, int] | None:
        """Where `quote` stands in code points: word for word, or but for white space, case and markup characters.

        Never from or to within a word or a number.
        """
        start = self.text.find(quote)
        while start >= 0:
            if _bounded(self.text, start, start + len(quote)):
                return start, start + len(quote)
            start = self.text.find(quote, start + 1)
        self._plain = self._plain or _plain(self.text)
        plain, places = self._plain
        wanted = _plain(quote)[0].strip()
        at = plain.find(wanted) if wanted else -1
        while at >= 0:
            if _bounded(plain, at, at + len(wanted)):
                return places[at], places[at + len(wanted) - 1] + 1
            at = plain.find(wanted, at + 1)
        return None


def _bounded(text: str, start: int, end: int) -> bool:
    return not _inside(text, start) and not _inside(text, end)


def _inside(text: str, at: int) -> bool:
    """Whether a cut at `at` would go through a word or a number such as 1.5."""
    before, after = text[max(at - 2, 0) : at], text[at : at + 2]
    if not before or not after:
        return False
    if (before[-1].isalnum() or before[-1] == "_") and (after[0].isalnum() or after[0] == "_"):
        return True
    dotted = before[-1].isdigit() and len(after) == 2 and after[0] in ".," and after[1].isdigit()
    return dotted or (len(before) == 2 and before[0].isdigit() and before[1] in ".," and after[0].isdigit())


def schema_problem(schema: dict[str, Any], value: object) -> str:
    """The first violation of a JSON Schema as its path and keyword; empty if there is none. The path may hold content.

    Remote references are never fetched: a schema that needs one is a violation.
    """
    try:
        for error in _validator(msgspec.json.encode(schema)).iter_errors(value):
            where = "/".join(str(p) for p in error.instance_path) or "the top"
            return f"{where}: {error.kind.name}"
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        return f"the schema: {type(error).__name__}"
    return ""


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    return jsonschema_rs.validator_for(msgspec.json.decode(schema), retriever=_deny)


def _deny(uri: str) -> Any:
    raise ValueError(uri)


def known_sources(items: Sequence[Item]) -> dict[str, tuple[Source, ...]]:
    """Every document version that the items of a prompt show or cite, by the name a citation would use."""
    found: dict[str, dict[Source, None]] = {}
    for item in items:
        body = item.body
        if isinstance(body, Passage) and not body.memory:
            found.setdefault(body.source, {})[Source(body.folder, body.source, body.version)] = None
        elif isinstance(body, Answer):
            sides = (side.citation for conflict in body.conflicts for side in conflict.values)
            for c in (*body.citations, *sides, *(claim.citation for claim in body.claims)):
                found.setdefault(c.source, {})[Source(c.folder, c.source, c.version)] = None
    return {name: tuple(sources) for name, sources in found.items()}


def judge_result(drafts: Sequence[Draft], bytes: int) -> Verdict:
    """The verdict on a tool result: not larger than RESULT_BYTES_MAX."""
    status = "pass" if bytes <= RESULT_BYTES_MAX else "fail"
    return Verdict(
        "size", "result", status, code="" if status == "pass" else "too large", seen=f"{len(drafts)} items, {bytes} bytes"
    )


def judge_answer(
    answer: AnswerArguments, evidence: Mapping[str, Sequence[Evidence]], schema: dict[str, Any] | None, *, must_cite: bool
) -> tuple[tuple[Verdict, ...], Checked]:
    """Verdicts on every sentence (`s0`...), conflict (`c0`...), claim (`k0`...) and the typed value, and what they verified.

    `evidence` maps the names of documents to the versions that the prompt showed.
    """
    sentences = [_judge_sentence(f"s{n}", s.text, s.citations, evidence, must_cite) for n, s in enumerate(answer.sentences)]
    conflicts = [_judge_conflict(f"c{n}", c.values, evidence) for n, c in enumerate(answer.conflicts)]
    claims = [_judge_claim(f"k{n}", c, evidence) for n, c in enumerate(answer.claims)]
    seen = f"{len(sentences)} sentences, {len(conflicts)} conflicts, {len(answer.gaps)} gaps, {len(claims)} claims"
    verdicts = [Verdict("shape", "answer", "pass", seen=seen), *(v for v, _ in (*sentences, *conflicts, *claims))]
    problem = ""
    if schema is not None:
        problem = schema_problem(schema, answer.value)
        verdicts.append(Verdict("schema", "value", "fail" if problem else "pass", code="schema" if problem else ""))
    cited, sides = tuple(c for _, c in sentences), tuple(v for _, v in conflicts)
    return tuple(verdicts), Checked(cited, sides, problem, tuple(c for _, c in claims))


def _judge_sentence(
    subject: str, text: str, quotes: Sequence[CitedQuote], evidence: Mapping[str, Sequence[Evidence]], must_cite: bool
) -> tuple[Verdict, tuple[Citation, ...]]:
    def failed(code: str) -> tuple[Verdict, tuple[Citation, ...]]:
        return Verdict("citation", subject, "fail", code=code), ()

    if len(text) > SENTENCE_CHARS_MAX:
        return failed("too long for a sentence")
    if not quotes:
        return failed("uncited") if must_cite else (Verdict("citation", subject, "abstain", code="nothing to cite"), ())
    found = [(quote, verified(quote, evidence)) for quote in quotes]
    citations = tuple(c for _, c in found if c is not None)
    if len(citations) < len(quotes):
        return failed("quote not found")
    quoted = " ".join(c.quote for c in citations)
    if not set(_NUMBER.findall(text)) <= set(_NUMBER.findall(quoted)):
        return failed("number not in quote")
    if coverage(text, quoted) < COVERAGE_MIN:
        return failed("quote does not support sentence")
    exact = all(c.source == q.source and c.quote == q.quote for q, c in found if c is not None)
    return Verdict("citation", subject, "pass", code="" if exact else "repaired"), citations


def _judge_conflict(
    subject: str, sides: Sequence[AnswerConflictValue], evidence: Mapping[str, Sequence[Evidence]]
) -> tuple[Verdict, tuple[ConflictValue, ...]]:
    found = [(side.value, verified(CitedQuote(side.source, side.quote), evidence)) for side in sides]
    kept = tuple(ConflictValue(value, c) for value, c in found if c is not None and _holds(c.quote, value))
    if (
        len({" ".join(v.value.lower().split()) for v in kept}) < 2
        or len({(v.citation.source, v.citation.quote) for v in kept}) < 2
    ):
        return Verdict("conflict", subject, "fail", code="fewer than two verified values"), ()
    return Verdict("conflict", subject, "pass"), kept


def _judge_claim(
    subject: str, claim: AnswerClaim, evidence: Mapping[str, Sequence[Evidence]]
) -> tuple[Verdict, Citation | None]:
    found = verified(CitedQuote(claim.source, claim.quote), evidence)
    words = (claim.subject, claim.predicate, claim.value, claim.unit, claim.time)
    code = ""
    if not claim.subject.strip() or not claim.predicate.strip() or max(map(len, words)) > WORDS_MAX:
        code = "no statement"
    elif found is None:
        code = "quote not found"
    elif not claim.value.strip() or not _holds(found.quote, claim.value):
        code = "value not in quote"
    return Verdict("claim", subject, "fail" if code else "pass", code), None if code else found


def _holds(quote: str, value: str) -> bool:
    numbers = _NUMBER.findall(value)
    if numbers:
        return all(n in _NUMBER.findall(quote) for n in numbers)
    return " ".join(value.lower().split()) in " ".join(quote.lower().split())


def coverage(text: str, quoted: str) -> float:
    """The share of the content words of `text` (four letters or more, compared by their first five) that `quoted` holds."""
    words = {w[:5] for w in _WORD.findall(text.lower())}
    return len(words & {w[:5] for w in _WORD.findall(quoted.lower())}) / len(words) if words else 1.0


def verified(quote: CitedQuote, evidence: Mapping[str, Sequence[Evidence]]) -> Citation | None:
    """The citation with the exact words of a version: of the source named, else of another one that was shown; or None."""
    if len(quote.quote.strip()) < 2:
        return None
    named = list(evidence.get(quote.source, ()))
    others = [e for name in sorted(evidence) if name != quote.source for e in evidence[name]]
    for one in named + others:
        span = one.find(quote.quote)
        if span is not None:
            return Citation(one.source.path, one.source.version, one.text[span[0] : span[1]], one.source.folder)
    return None


def _plain(text: str) -> tuple[str, list[int]]:
    letters: list[str] = []
    places: list[int] = []
    blank = True
    for place, letter in enumerate(text):
        if letter in _MARKUP:
            continue
        if letter.isspace():
            if not blank:
                letters.append(" ")
                places.append(place)
            blank = True
        else:
            low = letter.lower()
            letters.append(low if len(low) == 1 else letter)
            places.append(place)
            blank = False
    return "".join(letters), places


class Weighed(msgspec.Struct, frozen=True):
    """What the verdicts leave of an answer, and the indexes of its sentences kept, repaired and dropped."""

    answer: Answer
    kept: tuple[int, ...] = ()
    repaired: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()


def compose(
    answer: AnswerArguments, verdicts: Sequence[Verdict], checked: Checked, parts: Sequence[str], lost: Sequence[str]
) -> Weighed:
    """The answer that the verdicts leave.

    `parts` are the parts of the question in words (at least one: the whole), `lost` sentences on what the plan lost. A part
    without a sentence is a gap.
    """
    by_subject = {v.subject: v for v in verdicts}
    kept: list[int] = []
    repaired: list[int] = []
    dropped: list[int] = []
    sentences: list[Sentence] = []
    for n, sentence in enumerate(answer.sentences):
        verdict = by_subject.get(f"s{n}")
        if verdict is None or verdict.status in ("fail", "error"):
            dropped.append(n)
            continue
        (repaired if verdict.code == "repaired" else kept).append(n)
        part = 0 if len(parts) == 1 else sentence.part if 0 <= sentence.part < len(parts) else -1
        sentences.append(Sentence(sentence.text, checked.citations[n] if n < len(checked.citations) else (), part))
    conflicts = [
        Conflict(c.about[:WORDS_MAX], checked.conflicts[n])
        for n, c in enumerate(answer.conflicts)
        if (v := by_subject.get(f"c{n}")) is not None and v.status == "pass" and n < len(checked.conflicts)
    ]
    claims = [
        Claim(c.subject, c.predicate, c.value, cited, c.unit, c.time)
        for c, cited in zip(answer.claims, checked.claims, strict=False)
        if cited is not None
    ]
    gaps = _gaps(answer, sentences, parts)
    gaps += [Gap(text) for text in lost]
    value = by_subject.get("value")
    fits = value is not None and value.status == "pass"
    if value is not None and not fits:
        gaps.append(Gap("The result did not fit its schema."))
    result = Answer(tuple(sentences), tuple(gaps), tuple(conflicts), answer.value if fits else None, tuple(claims))
    return Weighed(result, tuple(kept), tuple(repaired), tuple(dropped))


def _gaps(answer: AnswerArguments, sentences: Sequence[Sentence], parts: Sequence[str]) -> list[Gap]:
    """The gaps the model names, without numbers nobody gave, and every part that neither they nor a sentence speak of."""
    known = set(_NUMBER.findall(" ".join(parts)))
    gaps = []
    for gap in answer.gaps:
        part = gap.part if -1 <= gap.part < len(parts) else -1
        text = gap.text[:WORDS_MAX]
        if not set(_NUMBER.findall(text)) <= known:
            text = (
                f"This could not be answered: {parts[part][:WORDS_MAX]}"
                if part >= 0
                else "A part of the question could not be answered."
            )
        gaps.append(Gap(text, part))
    spoken = {s.part for s in sentences} | {g.part for g in gaps}
    if -1 in spoken and not sentences:
        return gaps
    return gaps + [
        Gap(f"No checked sentence answers: {name[:WORDS_MAX]}", n) for n, name in enumerate(parts) if n not in spoken
    ]
