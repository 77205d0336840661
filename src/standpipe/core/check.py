"""Deterministic verdicts: does the quote stand in the cited version, do the numbers, does the value fit its schema.

A model's opinion of its own answer is never asked. A sentence that fails is repaired where the repair itself can be vouched
for (white space, the wrong one of two documents that were read), given back once with the finding, or dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs
import msgspec

from standpipe.core.control import AnswerArguments, CitedQuote
from standpipe.core.details import Verdict
from standpipe.core.items import Answer, Citation, Conflict, ConflictValue, Draft, Gap, Item, Passage, Sentence, Source

COVERAGE_MIN = 0.3
"""The share of a sentence's content words that its quotes must hold; a guard against quotes that have nothing to do with it."""
RESULT_BYTES_MAX = 1_000_000
"""A tool result above this is refused: it would crowd out everything else."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]{4,}")
_MARKUP = frozenset("*_`")


class Evidence(msgspec.Struct, frozen=True):
    """The text of a document version that a model was shown something of."""

    source: Source
    text: str


def schema_problem(schema: dict[str, Any], value: object) -> str:
    """The first violation of a JSON Schema, as its path and keyword without content; empty if there is none.

    Remote references are never fetched: a schema that needs one is a violation.
    """
    try:
        validator = jsonschema_rs.validator_for(schema, retriever=_deny)
        for error in validator.iter_errors(value):
            where = "/".join(str(p) for p in error.instance_path) or "the arguments"
            return f"{where}: {error.kind.name}"
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        return f"schema: {type(error).__name__}"
    return ""


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
            for c in body.citations:
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
) -> tuple[Verdict, ...]:
    """Verdicts on every sentence (`s0`...), conflict (`c0`...) and the typed value of an answer.

    `evidence` maps the names of documents to the versions that the prompt showed. A passing verdict's `repair` holds the
    citations as they were verified, version and all.
    """
    verdicts = [_judge_sentence(f"s{n}", s.text, s.citations, evidence, must_cite) for n, s in enumerate(answer.sentences)]
    for n, conflict in enumerate(answer.conflicts):
        verdicts.append(_judge_conflict(f"c{n}", [(v.value, CitedQuote(v.source, v.quote)) for v in conflict.values], evidence))
    if schema is not None:
        problem = schema_problem(schema, answer.value)
        verdicts.append(
            Verdict("schema", "value", "fail" if problem else "pass", code="schema" if problem else "", seen=problem)
        )
    return tuple(verdicts)


def _judge_sentence(
    subject: str, text: str, quotes: Sequence[CitedQuote], evidence: Mapping[str, Sequence[Evidence]], must_cite: bool
) -> Verdict:
    if not quotes:
        status, code = ("fail", "uncited") if must_cite else ("abstain", "nothing to cite")
        return Verdict("citation", subject, status, code=code)
    found = [(quote, verified(quote, evidence)) for quote in quotes]
    missing = next((quote for quote, citation in found if citation is None), None)
    if missing is not None:
        return Verdict(
            "citation", subject, "fail", code="quote not found", seen=missing.source if missing.source in evidence else ""
        )
    citations = [c for _, c in found if c is not None]
    quoted = " ".join(c.quote for c in citations)
    odd = next((n for n in _NUMBER.findall(text) if n not in _NUMBER.findall(quoted)), None)
    if odd is not None:
        return Verdict("citation", subject, "fail", code="number not in quote")
    if coverage(text, quoted) < COVERAGE_MIN:
        return Verdict("citation", subject, "fail", code="quote does not support sentence")
    exact = all(c.source == q.source and c.quote == q.quote for q, c in found if c is not None)
    return Verdict(
        "citation", subject, "pass", code="" if exact else "repaired", repair=msgspec.json.encode(citations).decode()
    )


def _judge_conflict(subject: str, sides: list[tuple[str, CitedQuote]], evidence: Mapping[str, Sequence[Evidence]]) -> Verdict:
    kept = [(value, c) for value, quote in sides if (c := verified(quote, evidence)) is not None and _holds(c.quote, value)]
    if len({" ".join(value.lower().split()) for value, _ in kept}) < 2 or len({(c.source, c.quote) for _, c in kept}) < 2:
        return Verdict("conflict", subject, "fail", code="fewer than two verified values")
    values = [ConflictValue(value, citation) for value, citation in kept]
    return Verdict("conflict", subject, "pass", repair=msgspec.json.encode(values).decode())


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
        span = find_quote(one.text, quote.quote)
        if span is not None:
            return Citation(one.source.path, one.source.version, one.text[span[0] : span[1]], one.source.folder)
    return None


def find_quote(text: str, quote: str) -> tuple[int, int] | None:
    """Where `quote` stands in `text` in code points: word for word, or but for white space, case and markup characters."""
    start = text.find(quote)
    if start >= 0:
        return start, start + len(quote)
    plain, places = _plain(text)
    wanted, _ = _plain(quote)
    wanted = wanted.strip()
    at = plain.find(wanted) if wanted else -1
    if at < 0:
        return None
    return places[at], places[at + len(wanted) - 1] + 1


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


def compose(
    answer: AnswerArguments, verdicts: Sequence[Verdict], parts: Sequence[str], lost: Sequence[str], *, whole: str
) -> tuple[Answer, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The answer that the verdicts leave, and the indexes of sentences kept, repaired and dropped.

    `parts` are the parts of the question in words (none: the question is one part, `whole` in words), `lost` sentences on
    what the plan lost. A part without a sentence is a gap.
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
        citations = msgspec.json.decode(verdict.repair, type=tuple[Citation, ...]) if verdict.repair else ()
        part = sentence.part if 0 <= sentence.part < max(1, len(parts)) else 0
        sentences.append(Sentence(sentence.text, citations, part))
    conflicts = [
        Conflict(c.about, msgspec.json.decode(v.repair, type=tuple[ConflictValue, ...]))
        for n, c in enumerate(answer.conflicts)
        if (v := by_subject.get(f"c{n}")) is not None and v.status == "pass"
    ]
    gaps = [Gap(g.text, g.part if -1 <= g.part < len(parts) else -1) for g in answer.gaps]
    gaps += [Gap(text) for text in lost]
    answered = {s.part for s in sentences} | {g.part for g in gaps}
    if -1 not in answered or sentences:
        names = parts or (whole,)
        gaps += [Gap(f"No checked sentence answers: {name}", n) for n, name in enumerate(names) if n not in answered]
    value = by_subject.get("value")
    if value is not None and value.status != "pass":
        gaps.append(Gap("The result did not fit its schema."))
    result = Answer(
        tuple(sentences), tuple(gaps), tuple(conflicts), answer.value if value is not None and value.status == "pass" else None
    )
    return result, tuple(kept), tuple(repaired), tuple(dropped)
