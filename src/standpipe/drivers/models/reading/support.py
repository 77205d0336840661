"""Whether what was seen supports an answer to a part of the question, and which documents do."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from standpipe.drivers.models.reading.evidence import Document
from standpipe.drivers.models.reading.question import Term
from standpipe.drivers.models.reading.relevance import Lens, Mask

_SUPPORTED = 0.6
_DOUBTFUL = 0.45
_TOLD = 0.25  # of a situation that is only described, a document need not use the same words
_DOCUMENTS_MAX = 6
_GAIN = 0.15
_RIVAL = 0.75  # a document almost as relevant as the best, that covers as much, is quoted as well
_SURE = 0.5  # where no document is more relevant than this, all that are almost as relevant are heard
_FOUND = 0.9  # and all that a search thought almost the best
_LEAST = 0.15


class Support(msgspec.Struct, frozen=True):
    """The documents to quote, best first (none: nothing supports the part), those of them that are `needed` to cover what is
    asked, and the distinctive words that they do not have."""

    documents: tuple[Document, ...]
    needed: tuple[Document, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def full(self) -> bool:
        """Whether nothing of weight is missing."""
        return bool(self.documents) and not self.missing


def support(lens: Lens) -> Support:
    """Judge a part. The documents must have its distinctive terms near each other: all of one or two, most of more, every
    name; and each thing asked for must stand in one sentence that adds to it."""
    wanted = lens.essential
    chosen, needed, have = _cover(lens)
    missing = tuple(
        term.word
        for n, (term, _) in enumerate(lens.weights)
        if lens.essential_mask >> n & 1 and not have >> n & 1 and (lens.part.leans or not term.weak)
    )
    share = lens.share(have, lens.essential_mask)
    known = frozenset(lens.evidence.vocabulary)
    unknown = tuple(term.word for term, _ in wanted if not term.weak and not term.within(known))
    absent = any(term.name and not term.within(known) for term, _ in wanted) or (bool(unknown) and not lens.part.leans)
    groups = [[term for term in group if not term.weak] for group in lens.part.focus]
    apart = any(not _together(lens, group, chosen) for group in groups if group)
    few = missing and len(wanted) <= 2 and not any(term.name for term, _ in wanted)
    if not chosen or absent or apart or few or share < (_TOLD if lens.part.leans else _DOUBTFUL):
        return Support((), (), missing)
    return Support(tuple(chosen), tuple(needed), missing if share < _SUPPORTED else unknown)


def _cover(lens: Lens) -> tuple[list[Document], list[Document], Mask]:
    """The documents that together have what is wanted, those of them that add to the ones before, and the terms of their
    best places."""
    chosen: list[Document] = []
    needed: list[Document] = []
    have: Mask = 0
    wanted = lens.essential_mask
    best = lens.ranked[0][0] if lens.ranked else 0.0
    for score, document in lens.ranked:
        if score < _LEAST or len(chosen) == _DOCUMENTS_MAX:
            break
        near = _best_place(lens, document)
        gain = lens.share(have | near, wanted) - lens.share(have, wanted)
        rival = score >= _RIVAL * best and lens.share(near, wanted) >= lens.share(have, wanted)
        unsure = best < _SURE and (score >= _RIVAL * best or document.found >= _FOUND)
        if gain > (_GAIN if chosen else 0.0) or unsure:
            needed.append(document)
        if gain > (_GAIN if chosen else 0.0) or (chosen and (rival or unsure)):
            chosen.append(document)
            have |= near
    for document in [document for _, document in lens.ranked if lens.named(document) == 1.0][:2]:  # it is about just this
        if document not in needed and lens.share(_best_place(lens, document), wanted) > 0:
            needed.append(document)
    for term, _ in lens.essential:  # a name is best looked up in the document that bears it
        home = next((document for _, document in lens.ranked if term.within(document.name)), None)
        if term.name and home is not None and not any(term.within(document.name) for document in needed):
            needed.append(home)
            have |= _best_place(lens, home)
    return chosen + [document for document in needed if document not in chosen], needed, have


def _best_place(lens: Lens, document: Document) -> Mask:
    """The terms of the place in a document that has most of what is wanted, with its surroundings."""
    places = [near for _, near in lens.windows(document)]
    return max(places, key=lambda near: lens.share(near, lens.essential_mask), default=lens.mask(document.name))


def _together(lens: Lens, focal: Sequence[Term], chosen: list[Document]) -> bool:
    """Whether one sentence that adds something has, with its headings and its document's name, all of the thing asked for;
    a document that bears the name of the thing is enough."""
    return any(
        any(term.name and term.within(document.name) for term in focal)
        or any(
            all(term.within(cited.unit.terms | cited.unit.around | document.name) for term in focal)
            for cited in document.cited
            if lens.adds(cited)
        )
        for document in chosen
    )
