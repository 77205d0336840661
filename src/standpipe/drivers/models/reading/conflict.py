"""Where two sources give different values for the same thing.

A sentence, list item, row or setting that names one amount is a statement. Two statements of different documents are about
the same thing when each word of the one is explained by the other: it stands there too, or in the headings or the name of
its document. A longer sentence may say more than a terse line, but not that it holds only somewhere or at some time, and not
about something else that has a document of its own. What tells of a change or of the past states nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from itertools import combinations

import msgspec

from standpipe.drivers.models.reading.evidence import Cited, Document
from standpipe.drivers.models.reading.measures import Measure, measures
from standpipe.drivers.models.reading.sentences import cells
from standpipe.drivers.models.reading.terms import STOP, flow, pieces, stem, terms, words


class Statement(msgspec.Struct, frozen=True, dict=True):
    """`document` says that the amount of something is `measure`: `content` are the terms of the words that say of what, which
    stand in `plain`."""

    cited: Cited
    document: Document
    measure: Measure
    content: frozenset[str]
    limits: frozenset[str]
    terse: bool
    title: frozenset[str]
    plain: str = ""

    @cached_property
    def names(self) -> frozenset[str]:
        """The terms of its words that look like names: capitals inside the sentence, digits, hyphens."""
        said = words(self.cited.unit.text)
        named = [
            word for place, word in enumerate(said) if (place and word[0].isupper()) or "-" in word or _MARKED.search(word)
        ]
        return frozenset(term for word in named for term in pieces(word))

    @cached_property
    def context(self) -> frozenset[str]:
        """What the statement need not say, since it stands above it."""
        return self.document.name | self.cited.unit.around | self.title


class Disagreement(msgspec.Struct, frozen=True):
    """Two statements about the same thing with different amounts; `about` in words, `terms` what it is about."""

    about: str
    one: Statement
    two: Statement
    terms: frozenset[str]


_MARKED = re.compile(r"[a-z][A-Z]|[A-Za-z]\d|\d[A-Za-z]")
_PAST = re.compile(
    r"\b(?:was|were|had|until|till|formerly|previously|used\s+to|originally|no\s+longer|since|ago|raised|lowered|increased|decreased|reduced"
    r"|changed|went|grew|doubled|halved|moved|from\s+\S+(?:\s+\S+){0,2}\s+to|instead\s+of|rather\s+than|took|saw|fell|rose|became)\b",
    re.I,
)
_LOOSE = re.compile(
    r"\b(?:if|when|whenever|unless|would|could|might|may|e\.g\.|for\s+example|for\s+instance|such\s+as|about|around|roughly|nearly"
    r"|almost|approximately|more\s+than|less\s+than|fewer\s+than|over|above|below|at\s+least|first|next|last|another|some|suppose|imagine)\b",
    re.I,
)
FILLER = frozenset(
    stem(word)
    for word in """set run have allow configure currently today now value setting equal fix keep hold take give get make must
    may should use only exactly exact default defaults come stand mean become remain amount total always normal normally usual
    name key parameter item entry number""".split()
)
_EVERYWHERE = re.compile(r"\b(?:in|on|at|for|across|during)\s+(?:both|all|every|each|any)\s+[\w-]+", re.I)
_PHRASE = re.compile(
    r"(?:^|,\s*|\b)(?:in|on|at|during|under|outside|within|after|before|while|except)\s+((?:(?:the|a|an|our|its)\s+)?[\w'-]+(?:\s+[\w'-]+)?)",
    re.I,
)
_HEAD_OF = re.compile(r"\b(?:the|a|an|its|their|our)\s+((?:[\w-]+\s+){1,3})of\s+([\w-]+)", re.I)
_DIGIT = re.compile(r"\d")
PER = re.compile(r"\bper\s+[\w-]+", re.I)
_EQUALS = re.compile(r"(?:[:=]|\b(?:is|are|to|of|at|than))\s*$")
_TERSE = 7
_LONGEST = 240


def statements(document: Document) -> list[Statement]:
    """What a document states, where a single amount stands in a sentence, a row or a line."""
    found = []
    heads = next((cited.unit.headings[:1] for cited in document.cited if cited.unit.headings), ())
    title = terms(heads[0]) if heads and any(p.start == 0 or p.heading for p in document.passages) else frozenset()
    for cited in document.cited:
        if cited.unit.kind == "row":
            found.extend(_row(cited, document, title))
        elif not _DIGIT.search(cited.unit.text) or len(cited.unit.text) > _LONGEST or _PAST.search(cited.unit.text):
            continue
        elif (measure := _only(cited.unit.text)) is not None:
            found.append(_said(cited, document, measure, title))
    return found


def _only(text: str) -> Measure | None:
    """The one amount of a text; a bare number only where something is said to be it."""
    said = measures(text)
    if len(said) != 1 or not (said[0].dimension or _EQUALS.search(text[: said[0].start])):
        return None
    return said[0]


def _said(cited: Cited, document: Document, measure: Measure, title: frozenset[str]) -> Statement:
    text = cited.unit.text
    plain = _EVERYWHERE.sub(" ", text[: measure.start] + " " + text[measure.end :])
    if cited.unit.kind == "cell":
        plain = f"{cited.unit.lead} {plain}"
    content = content_of(plain)
    limits = frozenset(term for phrase in _PHRASE.findall(plain) for term in flow(phrase))
    for head, owner in _HEAD_OF.findall(plain):
        if stem(owner) not in STOP and not plain.lower().find(head.lower() + "of") > measure.start:
            limits |= frozenset(flow(head)) if _possessed(plain, head, measure) else frozenset()
    terse = len(content) <= _TERSE and not _LOOSE.search(plain)
    return Statement(cited, document, measure, content, limits, terse, title, plain)


def _possessed(plain: str, head: str, measure: Measure) -> bool:
    """Whether `the X of Y` comes before another noun phrase of which the amount is said: then X is not what is measured."""
    after = plain[plain.lower().find(head.lower()) + len(head) : measure.start]
    return bool(re.search(r"\b(?:has|have|runs?|uses?|gets?|with|takes?|keeps?)\b", after, re.I))


def _row(cited: Cited, document: Document, title: frozenset[str]) -> list[Statement]:
    """The statements of a table row: of its one amount, or of each amount under a header of its own."""
    row = cells(cited.unit.quote)
    heads = cells(cited.unit.lead) if cited.unit.lead else []
    found = [
        (n, said[0]) for n, cell in enumerate(row) if (said := measures(cell)) and len(said) == 1 and _whole(cell, said[0])
    ]
    made = []
    for n, measure in found:
        others = [cell for m, cell in enumerate(row) if m not in {k for k, _ in found}]
        if len(found) > 1:
            others = [*others[:1], heads[n]] if len(heads) == len(row) else []
        if others and n > 0:
            plain = " ".join(others)
            made.append(Statement(cited, document, measure, content_of(plain), frozenset(), True, title, "; ".join(others)))
    return made


def _whole(cell: str, measure: Measure) -> bool:
    return len(cell.strip()) - len(measure.written) <= 12


def content_of(text: str) -> frozenset[str]:
    """The terms of the words that say what an amount is of."""
    return frozenset(term for term in flow(PER.sub(" ", text)) if term not in FILLER)


def disagreements(documents: Iterable[Document]) -> list[Disagreement]:
    """All pairs of statements of different documents that give different values for the same thing, each thing once."""
    known = list(documents)
    subjects = frozenset(subject_of(document) for document in known) - {frozenset()}
    said = [statement for document in known for statement in statements(document)]
    found: dict[frozenset[str], Disagreement] = {}
    for one, two in _pairs(said):
        if one.document is two.document or not _differ(one.measure, two.measure, one, two):
            continue
        thing = _same_thing(one, two, subjects)
        if thing:
            found.setdefault(thing, Disagreement(_about(one, two, thing), one, two, thing))
    return list(found.values())


def _pairs(said: list[Statement]) -> Iterable[tuple[Statement, Statement]]:
    """All pairs with a word in common, in their order."""
    holding: dict[str, list[int]] = defaultdict(list)
    for number, statement in enumerate(said):
        for term in sorted(statement.content):
            holding[term].append(number)
    pairs = {pair for numbers in holding.values() for pair in combinations(numbers, 2)}
    return ((said[one], said[two]) for one, two in sorted(pairs))


def _differ(one: Measure, two: Measure, a: Statement, b: Statement) -> bool:
    if one.amount == two.amount:
        return False
    if one.dimension == two.dimension:
        return True
    return (not one.dimension and two.dimension in a.content) or (not two.dimension and one.dimension in b.content)


def _same_thing(one: Statement, two: Statement, subjects: frozenset[frozenset[str]]) -> frozenset[str]:
    """The terms of the thing that both speak of; empty if they speak of different things."""
    common = one.content & two.content
    left = one.content - two.content - two.context
    right = two.content - one.content - one.context
    if not common or not (one.terse or two.terse):
        return frozenset()
    for extra, statement, other in ((left, one, two), (right, two, one)):
        elsewhere = extra & statement.limits or any(subject <= extra for subject in subjects)
        if extra and (not other.terse or elsewhere or not statement.cited.unit.text.endswith(".")):
            return frozenset()
    if (left and right) or (left and len(two.content) < 2) or (right and len(one.content) < 2):
        return frozenset()
    whole = (one.content | two.content) - left - right
    named = frozenset(term for subject in subjects if subject <= whole for term in subject)
    shared = (one.content | one.context) & (two.content | two.context)
    owners = [owner for owner in (subject_of(one.document), subject_of(two.document)) if owner and owner <= shared]
    if (named & shared or owners) and common - named:
        return whole.union(*owners[:1])
    distinct = common & one.names & two.names
    return whole if distinct and len(common) >= 3 and not left and not right else frozenset()


def subject_of(document: Document) -> frozenset[str]:
    """What a document is about, by its name."""
    return frozenset(term for term in flow(document.source.rsplit("/", 1)[-1].rsplit(".", 1)[0]) if not term.isdigit())


def _about(one: Statement, two: Statement, thing: frozenset[str]) -> str:
    """The thing in words, in the order of the shorter statement, with what only a heading says before it."""
    shorter = min((one, two), key=lambda s: (len(s.cited.unit.text), s.document.source))
    said = [word for word in words(shorter.cited.unit.text) if set(pieces(word)) & thing]
    spoken = {term for word in said for term in pieces(word)}
    other = two if shorter is one else one
    above = [word for word in words(other.cited.unit.text) if set(pieces(word)) & (thing - spoken)]
    return " ".join(dict.fromkeys((*above, *said)))
