"""Whether what was seen supports an answer to a part of the question, and which documents do."""

from __future__ import annotations

import msgspec

from standpipe.drivers.models.reading.evidence import Document
from standpipe.drivers.models.reading.question import Term
from standpipe.drivers.models.reading.relevance import Lens

_SUPPORTED = 0.6
_DOUBTFUL = 0.45
_DOCUMENTS_MAX = 3
_GAIN = 0.15
_TOGETHER = frozenset(("define", "who", "where", "when", "number"))


class Support(msgspec.Struct, frozen=True):
    """The documents to quote, best first (none: nothing supports the part), and the distinctive words they do not have."""

    documents: tuple[Document, ...]
    missing: tuple[str, ...] = ()

    @property
    def full(self) -> bool:
        """Whether nothing of weight is missing."""
        return bool(self.documents) and not self.missing


def support(lens: Lens) -> Support:
    """Judge a part. The documents must have its distinctive terms near each other: all of one or two, most of more, every
    name, every word of the very thing asked for; and a question for a fact needs that thing in one sentence that adds to it."""
    wanted = lens.essential
    chosen, have = _cover(lens)
    missing = tuple(term.word for term, _ in wanted if not term.within(have))
    share = lens.covered(have, wanted)
    known = frozenset(lens.evidence.vocabulary)
    names = [term for term in lens.part.focus if term.name] or list(lens.part.focus)
    absent = [term for term in names if not term.within(known)] + [t for t, _ in wanted if t.name and not t.within(known)]
    alone = bool(lens.part.kinds & _TOGETHER) and not _together(lens, names, chosen)
    few = missing and len(wanted) <= 2 and not any(term.name for term, _ in wanted)
    if not chosen or absent or alone or few or share < _DOUBTFUL:
        return Support((), missing)
    return Support(tuple(chosen), missing if share < _SUPPORTED else ())


def _cover(lens: Lens) -> tuple[list[Document], frozenset[str]]:
    """The documents that together have what is wanted, each adding to those before, and the terms of their best places."""
    chosen: list[Document] = []
    have: frozenset[str] = frozenset()
    for score, document in lens.ranked:
        if score < 0.15 or len(chosen) == _DOCUMENTS_MAX:
            break
        near = _best_place(lens, document)
        gain = lens.covered(have | near, lens.essential) - lens.covered(have, lens.essential)
        if gain > (_GAIN if chosen else 0.0):
            chosen.append(document)
            have |= near
    for term, _ in lens.essential:  # a name is best looked up in the document that bears it
        if term.name and not any(term.within(document.name) for document in chosen):
            home = next((document for _, document in lens.ranked if term.within(document.name)), None)
            if home is not None:
                chosen.append(home)
                have |= _best_place(lens, home)
    return chosen, have


def _best_place(lens: Lens, document: Document) -> frozenset[str]:
    """The terms of the place in a document that has most of what is wanted, with its surroundings."""
    windows = lens.windows(document)
    return max(windows, key=lambda window: lens.covered(window[1], lens.essential))[1] if windows else document.name


def _together(lens: Lens, focal: list[Term], chosen: list[Document]) -> bool:
    """Whether one sentence that adds something has, with its headings and its document's name, all of the thing asked for."""
    return any(
        all(term.within(cited.unit.terms | cited.unit.around | document.name) for term in focal)
        for document in chosen
        for cited in document.cited
        if lens.adds(cited)
    )
