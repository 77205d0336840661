"""What comes back in the latest documents of a series and nobody asked for.

A series are documents that share a folder and follow each other by date or number. A word or pair of words is worth a look
when at least three of the latest hold it, each in a sentence of its own, and the question, the headings and the earlier
documents of the series do not: what stands in all of them is how such documents are written.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import permutations

import msgspec

from standpipe.drivers.models.reading.evidence import Cited, Document, Evidence
from standpipe.drivers.models.reading.select import alike
from standpipe.drivers.models.reading.terms import STOP, WEAK, pieces

_LABELLED = re.compile(r"([^\W_]+(?:[-'’][^\W_]+)*)(:(?=\s|$))?")
_ENDS = (".", "!", "?", ":", ";")
LATEST = 4
LEAST = 3
_NAMED, _PAIR = 3.0, 1.6  # how much more a name, or a pair of words, tells than a single word
_COMMON = 60  # sentences with the same words in a few documents: that is their subject, not a surprise
_NOTABLE, _STRIKING = 12.0, 16.0  # the least score of a name or pair, of a single word: below, chance does it


class Finding(msgspec.Struct, frozen=True):
    """Words that recur (`words` as written, `terms` as stems; `name` if they are written as one), where, how much that
    stands out, and whether it is `notable`: more than chance does."""

    words: str
    terms: tuple[str, ...]
    places: tuple[Cited, ...]
    series: str
    score: float
    name: bool = False
    notable: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The documents in which it recurs, in their order."""
        return tuple(dict.fromkeys(cited.passage.source for cited in self.places))


def series(evidence: Evidence) -> list[tuple[str, list[Document]]]:
    """The folders that hold a series, each with the documents seen of it, the latest first."""
    groups: dict[str, list[Document]] = defaultdict(list)
    for document in evidence.documents:
        if document.order:
            groups[document.group].append(document)
    long = [(name, members) for name, members in groups.items() if len(members) >= LEAST]
    return [(name, sorted(members, key=lambda d: (d.order, d.source), reverse=True)) for name, members in sorted(long)]


def recurring(evidence: Evidence, asked: frozenset[str]) -> list[Finding]:
    """What recurs in the latest documents of any series, the most striking first; `asked` are the stems of the question."""
    found = [
        finding for name, members in series(evidence) for finding in _of_series(name, members, _rest(evidence, members), asked)
    ]
    return sorted(found, key=lambda finding: (-finding.score, finding.words))


def _rest(evidence: Evidence, members: Sequence[Document]) -> list[Document]:
    return [document for document in evidence.documents if document not in members]


def _of_series(name: str, members: Sequence[Document], rest: Sequence[Document], asked: frozenset[str]) -> list[Finding]:
    latest = [document for document in members if document.read][:LATEST]
    earlier = [document for document in members if document not in latest]
    if len(latest) < LEAST:
        return []
    places: dict[tuple[str, ...], list[Cited]] = defaultdict(list)
    written: dict[tuple[str, ...], list[str]] = defaultdict(list)
    named: dict[tuple[str, ...], int] = defaultdict(int)
    for document in latest:
        for cited in document.cited:
            for key, text, is_name in _candidates(cited):
                places[key].append(cited)
                written[key].append(text)
                named[key] += is_name
    headed = frozenset(term for document in members for term in document.headings | document.name)
    found = []
    for key in sorted(places):
        if len({cited.passage.source for cited in places[key]}) < LEAST or set(key) & asked or set(key) <= headed:
            continue
        before = sum(_has(document, key) for document in earlier)
        if before > max(1, len(earlier) // 4) or (len(key) == 1 and key[0] in WEAK and not named[key]):
            continue
        own = _own(places[key])
        spread = {cited.passage.source for cited in own}
        if len(spread) < LEAST:
            continue
        outside = sum(_has(document, key) for document in rest)
        plain = any(text[0].islower() for text in written[key])
        kind = _NAMED if named[key] and not plain else _PAIR if len(key) == 2 else 1.0
        rare = math.log((len(rest) + 2) / (outside + 1)) + math.log((len(earlier) + 2) / (before + 1))
        score = kind * rare * len(spread)
        said = max(written[key], key=lambda text: (written[key].count(text), text))
        notable = score >= (_STRIKING if kind == 1.0 else _NOTABLE)
        found.append(Finding(said, key, tuple(own), name, score, kind == _NAMED, notable))
    return _widest(found)


def _candidates(cited: Cited) -> Iterable[tuple[tuple[str, ...], str, bool]]:
    """The words of a sentence that mean something and the pairs of such words, each with its form and whether it is a name.
    What is followed by a colon labels a field of a form, and what is a sentence by itself fills one in."""
    before = ""
    for match in _LABELLED.finditer(cited.unit.text):
        word = match[1]
        own = pieces(word)
        opens = match.start() == 0 or cited.unit.text[: match.start()].rstrip("\"'“‘(` ").endswith(_ENDS)
        alone = opens and cited.unit.text[match.end() : match.end() + 1] == "."
        if word.lower() in STOP or not own or word.isdigit() or match[2] or alone:
            before = ""
            continue
        if len(own) > 1:
            yield own[:2], word, False
        elif len(word) > 3:
            yield own, word, not opens and word[0].isupper() and not word.isupper()
        if before and len(own) == 1 and len(pieces(before)) == 1:
            yield (*pieces(before), *own), f"{before} {word}", False
        before = word


def _has(document: Document, key: tuple[str, ...]) -> bool:
    return all(term in document.counts for term in key)


def _own(places: Sequence[Cited]) -> list[Cited]:
    """Those sentences that no other of the documents has as well, as the sentences of a form are had by all; none for words
    so common that looking is not worth it."""
    if len(places) > _COMMON:
        return []
    return [
        cited
        for cited in places
        if not any(alike(cited, other) for other in places if other.passage.source != cited.passage.source)
    ]


def _widest(found: list[Finding]) -> list[Finding]:
    """Pairs that overlap and stand in the same documents are one phrase; a word that always stands in a phrase is that."""
    phrases = [finding for finding in found if len(finding.terms) > 1]
    merged = True
    while merged:
        merged = False
        for one, two in permutations(phrases, 2):
            if one.terms[-1] == two.terms[0] and one.sources == two.sources:
                words = f"{one.words} {two.words.split(' ', 1)[-1]}"
                whole = msgspec.structs.replace(one, words=words, terms=(*one.terms, *two.terms[1:]))
                phrases = [phrase for phrase in phrases if phrase not in (one, two)] + [whole]
                merged = True
                break
    single = [finding for finding in found if len(finding.terms) == 1]
    return phrases + [f for f in single if not any(f.terms[0] in p.terms and len(p.sources) >= len(f.sources) for p in phrases)]
