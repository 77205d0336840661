"""What to look for next: the first plan of a turn, and revisions when what was found asks for more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from standpipe.core.control import PlannedStep
from standpipe.drivers.models.reading.evidence import Document, Evidence
from standpipe.drivers.models.reading.question import Part, Question, Term
from standpipe.drivers.models.reading.recurrence import LATEST, Finding, recurring, series
from standpipe.drivers.models.reading.relevance import Lens
from standpipe.drivers.models.reading.support import support
from standpipe.drivers.models.reading.terms import pieces, terms, words

STEPS_MAX = 10
"""Searches and reads of a turn: with the first look, the model calls and the reserve they fit into sixteen steps."""
PLAN_MAX = 5
_DOCUMENT_PLAN_MAX = 5
_WIDE = 50
_NEW = 0.34  # a search is new when this share of its terms was in no search before
_CLOSE = 0.72  # of the best document's worth, what another must have to be read as well
_BETTER = 1.1
_RIVAL = 0.8  # of the most striking finding's score, what a second one must have to be looked into as well
_TROUBLE = "incident problem failure cause impact severity"
_NUMBERS = "settings limits configuration"


class Steps:
    """Collects steps: none twice, none asked before in the turn, as many as there is room for, ids the turn has not used."""

    def __init__(self, evidence: Evidence, offered: frozenset[str], most: int) -> None:
        self._evidence = evidence
        self._offered = offered
        self._most = min(most, STEPS_MAX - len(evidence.steps))
        self._asked = [*evidence.asked, terms(evidence.question)]
        self._read = {document.source for document in evidence.documents if document.read} | evidence.fetched
        self.found: list[PlannedStep] = []

    def search(self, query: str, why: str, limit: int = 8, *, again: bool = False) -> bool:
        """Look for these words, unless an earlier search did (`again`: unless the very same one did)."""
        wanted = terms(query)
        known = any(wanted == asked if again else len(wanted - asked) <= _NEW * len(wanted) for asked in self._asked)
        if not wanted or known or "search" not in self._offered:
            return False
        self._asked.append(wanted)
        return self._add("search", {"query": query} if limit == 8 else {"query": query, "limit": limit}, why)

    def read(self, source: str, why: str) -> bool:
        """Read a document in full, unless that was asked for before."""
        if source in self._read or "read" not in self._offered:
            return False
        self._read.add(source)
        return self._add("read", {"source": source}, why)

    def _add(self, tool: str, arguments: dict[str, Any], why: str) -> bool:
        if len(self.found) >= self._most:
            return False
        used = self._evidence.step_ids | {step.id for step in self.found}
        number = next(n for n in range(1, 1000) if f"s{n}" not in used)
        self.found.append(PlannedStep(f"s{number}", tool, arguments, optional=tool == "read", why=why))
        return True


class Move(msgspec.Struct, frozen=True):
    """Steps to take, why, and the documents that led to it."""

    steps: tuple[PlannedStep, ...]
    reason: str
    because: tuple[str, ...] = ()


def first_move(question: Question, evidence: Evidence, lenses: Sequence[Lens], offered: frozenset[str]) -> Move:
    """The first plan: search for what the first search was not about, read the most promising documents in sight."""
    steps = Steps(evidence, offered, PLAN_MAX)
    if evidence.field:
        steps.search(f"{_words(question.subject)} {evidence.field}", "in the field that was asked about", again=True)
    if question.document:
        about = _words(question.subject)
        steps.search(f"{about} {_NUMBERS}", f"all there is about {about}, and its numbers", _WIDE, again=True)
        steps.search(f"{about} {_TROUBLE}", f"what went wrong before with {about}", _WIDE, again=True)
        subject = {term.ways for term in question.subject}
        for lens in sorted(lenses, key=lambda lens: lens.share(lens.mask(_seen(lens)), lens.essential_mask)):
            if any(term.ways not in subject for term in lens.part.strong) or not lens.part.strong:
                steps.search(_query(lens.part), f"for the part: {lens.part.text}", again=True)
        reason = f"a text about {about}: its parts, its numbers, and what went wrong before"
        return Move(tuple(steps.found[:_DOCUMENT_PLAN_MAX]), reason)
    back = question.follow or (evidence.earlier and any(lens.part.leans for lens in lenses))
    for source in _cited_before(evidence) if back else ():
        steps.read(source, "the answer before cites it")
    for lens in lenses:
        if len(lenses) > 1 or back:
            steps.search(_query(lens.part), f"for the part: {lens.part.text}", again=True)
        _missing_words(lens, evidence, steps)
    for document in [*_first_found(evidence), *_bearers(lenses), *_promising(lenses, 3 if len(lenses) == 1 else 2)]:
        steps.read(document.source, "among the most promising of what the first search found")
    return Move(tuple(steps.found), "read what looks most to the point" + (", part by part" if len(lenses) > 1 else ""))


def _cited_before(evidence: Evidence) -> list[str]:
    """The documents that the last answer cites, the first two."""
    return list(dict.fromkeys(citation.source for citation in evidence.earlier[-1][1].citations))[:2]


def _missing_words(lens: Lens, evidence: Evidence, steps: Steps) -> None:
    """Searches for what the first look did not show: words not seen, a document that bears a name, others than the few seen."""
    known = frozenset(evidence.vocabulary)
    missing = [term for term, _ in lens.essential if not term.within(known)]
    if missing:
        steps.search(_words(missing), f"nothing seen so far mentions {_words(missing)}", again=True)
    for term in lens.part.strong:
        if term.name and len(pieces(term.word)) > 1 and not any(term.within(document.name) for document in evidence.documents):
            steps.search(" ".join(pieces(term.word)), f"a document about {term.word}", again=True)
    told = lens.part.strong or [term for term in lens.part.context if not term.weak]
    if len(words(lens.part.text)) > 2 * len(told) + 2:
        steps.search(_words(told), "the distinctive words alone", again=True)
    everyday = [term for term in (*lens.part.terms, *lens.part.context) if term.weak]
    if len(told) <= 2 <= len(everyday):
        steps.search(_words(everyday), "what is said in everyday words", again=True)
    if len(evidence.documents) < 4:
        steps.search(_query(lens.part), "a wider look: the first search showed few documents", _WIDE, again=True)


def _first_found(evidence: Evidence) -> list[Document]:
    """What the first search thought best of."""
    return [document for document in evidence.documents if document.found == 1.0][:1]


def _bearers(lenses: Sequence[Lens]) -> list[Document]:
    """The documents in sight that bear a name the question gives."""
    names = [(lens, term) for lens in lenses for term in lens.part.strong if term.name]
    return [document for lens, term in names for _, document in lens.ranked if term.within(document.name)][:3]


def _promising(lenses: Sequence[Lens], each: int) -> list[Document]:
    """The documents worth reading: for each part those that come close to the best, the best of all parts first."""
    found: dict[str, tuple[int, Document]] = {}
    for lens in lenses:
        best = lens.ranked[0][0] if lens.ranked else 0.0
        for place, (score, document) in enumerate(lens.ranked[:each]):
            if score > 0.1 and score >= _CLOSE * best:
                found.setdefault(document.source, (place, document))
    return [document for _, document in sorted(found.values(), key=lambda pair: pair[0])]


def next_move(question: Question, evidence: Evidence, lenses: Sequence[Lens], offered: frozenset[str]) -> Move:
    """What a second look is worth: the latest of a series, what recurs in them, a document found since that beats what was
    read, other words for a part without support."""
    steps = Steps(evidence, offered, 4)
    reasons: list[str] = []
    because: list[str] = []
    if question.document or any("cause" in lens.part.kinds for lens in lenses):
        notable = [finding for finding in findings(question, evidence, lenses) if finding.notable]
        for finding in [finding for finding in notable if finding.score >= _RIVAL * notable[0].score][:2]:
            if steps.search(finding.words, f"what {finding.words} is", 12, again=True):
                where = f"{len(finding.sources)} of the latest of {finding.series}"
                reasons.append(f'"{finding.words}" recurs in {where} and nothing asked for it')
                for document in evidence.documents:
                    if set(finding.terms) <= document.name:
                        steps.read(document.source, f"it is about {finding.words}")
                because += finding.sources
        if not reasons:
            _read_latest(question, evidence, steps, reasons, because)
    if not reasons:
        _closer(lenses, steps, reasons, because)
    return Move(tuple(steps.found), "; ".join(reasons), tuple(dict.fromkeys(because)))


def findings(question: Question, evidence: Evidence, lenses: Iterable[Lens]) -> list[Finding]:
    """What recurs in a series and is in none of the question's words."""
    asked = terms(question.text) | frozenset(stem for lens in lenses for stem in lens.said)
    return recurring(evidence, asked)


def _read_latest(question: Question, evidence: Evidence, steps: Steps, reasons: list[str], because: list[str]) -> None:
    """Read the latest documents of a series that speak of what the question is about."""
    for name, members in series(evidence):
        if any(document.read for document in members):
            continue
        about = [d for d in members if any(term.within(d.vocabulary) for term in question.subject)]
        latest = [document for document in (about if len(about) >= 3 else members) if not document.read][:LATEST]
        read = [document for document in latest if steps.read(document.source, f"one of the latest of {name}")]
        if read:
            reasons.append(f"{name} holds {len(members)} reports that were found, and the latest say what to look out for")
            because += [document.source for document in read]
            return


def _closer(lenses: Sequence[Lens], steps: Steps, reasons: list[str], because: list[str]) -> None:
    """Read what was found since and is closer than what was read; try the known words for a part without support."""
    for lens in lenses:
        if not lens.ranked:
            continue
        score, best = lens.ranked[0]
        read = max((worth for worth, document in lens.ranked if document.read), default=0.0)
        for document in _bearers([lens]):
            if steps.read(document.source, f"it bears a name from: {lens.part.text}"):
                reasons.append(f"{document.source} bears a name that was asked for")
        if not best.read and score > _BETTER * read and steps.read(best.source, f"promising for: {lens.part.text}"):
            reasons.append(f"{best.source} was found since and is closer to '{lens.part.text}' than what was read")
            because.append(best.source)
        judged = support(lens)
        had = [term for term, _ in lens.essential if term.word not in judged.missing]
        if judged.missing and steps.search(_words(had), "the words that are known here", again=True):
            reasons.append(f"'{', '.join(judged.missing)}' was not found, so '{lens.part.text}' has no full support yet")


def _seen(lens: Lens) -> frozenset[str]:
    return lens.ranked[0][1].vocabulary if lens.ranked else frozenset()


def _query(part: Part) -> str:
    """The words to search with for a part: its own, then its context's."""
    own = [term for term in part.terms if not term.weak] or list(part.terms)
    return _words([*own, *(term for term in part.context if not term.weak)])


def _words(chosen: Iterable[Term]) -> str:
    return " ".join(dict.fromkeys(term.word for term in chosen))
