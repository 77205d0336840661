"""How much a document or a sentence has to do with one part of the question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import msgspec

from standpipe.drivers.models.reading.cues import defines, fit, points_elsewhere
from standpipe.drivers.models.reading.evidence import Cited, Document, Evidence
from standpipe.drivers.models.reading.question import Part, Term
from standpipe.drivers.models.reading.terms import flow, terms

_NAME, _STRONG, _WEAK = 1.5, 1.0, 0.4
_FOCAL = 0.6  # an everyday word in the very thing asked for, or where the part has hardly any other
_ONLY = 0.8  # an everyday word that is all a part says of itself
_CONTEXT = 0.45
_FLOOR = 0.2
_LONG, _USUAL = 0.04, 25  # a place found in a document twice as long as usual (in sentences) is worth 4 % less
_DEFINES = 0.45
_UNIT_MAX = 1.35
_REACH = 2  # sentences on either side that count as near

Mask = int
"""A set of the part's terms, one bit each in the order of `Lens.weights`."""


class Lens(msgspec.Struct, frozen=True, dict=True):
    """The evidence as one part of the question sees it."""

    evidence: Evidence
    part: Part

    @cached_property
    def weights(self) -> tuple[tuple[Term, float], ...]:
        """Each term and its weight: rare among the sentences seen weighs most, everyday words little."""
        own = [(term, self._weight(term)) for term in self.part.terms]
        less = 1.0 if self.part.leans else _CONTEXT
        return (*own, *((term, less * self._weight(term)) for term in self.part.context))

    def _weight(self, term: Term) -> float:
        having = sum(min((self.evidence.frequency[stem] for stem in way), default=0) for way in term.ways)
        total = max(self.evidence.sentences, having)
        rarity = math.log((total + 1) / (having + 0.5)) / math.log((total + 1) / 0.5)
        return self._base(term) * max(rarity, _FLOOR)

    def _base(self, term: Term) -> float:
        if not term.weak:
            return _NAME if term.name else _STRONG
        if not self.part.strong and not self.part.leans:
            return _ONLY
        strong = sum(not other.weak for other in (*self.part.terms, *(self.part.context if self.part.leans else ())))
        return _FOCAL if strong <= 1 or any(term in group for group in self.part.focus) else _WEAK

    @cached_property
    def essential(self) -> tuple[tuple[Term, float], ...]:
        """What a source must speak of: the part's distinctive terms (and its context's where it leans on that)."""
        shared = [term for term in self.part.context if not term.weak] if self.part.leans else []
        own = {term.ways for term in (*self.part.strong, *shared)}
        chosen = tuple((term, weight) for term, weight in self.weights if term.ways in own)
        return chosen or self.weights

    @cached_property
    def essential_mask(self) -> Mask:
        """The essential terms as a set."""
        wanted = {term.ways for term, _ in self.essential}
        return sum(1 << n for n, (term, _) in enumerate(self.weights) if term.ways in wanted)

    @cached_property
    def said(self) -> frozenset[str]:
        """All stems of the question's words."""
        return frozenset(stem for term, _ in self.weights for way in term.ways for stem in way)

    def mask(self, vocabulary: frozenset[str]) -> Mask:
        """Which terms a text with this vocabulary has."""
        if vocabulary.isdisjoint(self.said):
            return 0
        return sum(1 << n for n, (term, _) in enumerate(self.weights) if term.within(vocabulary))

    def share(self, mask: Mask, wanted: Mask = -1) -> float:
        """The share of the weight of the terms `wanted` (all by default) that the terms of a mask have, 0..1."""
        known = self._shares.get((mask, wanted))
        if known is None:
            total = sum(weight for n, (_, weight) in enumerate(self.weights) if wanted >> n & 1)
            have = sum(weight for n, (_, weight) in enumerate(self.weights) if (wanted & mask) >> n & 1)
            known = self._shares[mask, wanted] = have / total if total else 0.0
        return known

    @cached_property
    def _shares(self) -> dict[tuple[Mask, Mask], float]:
        return {}

    @cached_property
    def _masks(self) -> dict[int, tuple[tuple[Mask, Mask], ...]]:
        return {}

    def masks(self, document: Document) -> tuple[tuple[Mask, Mask], ...]:
        """For every sentence of a document: the terms it has itself, and those its lead-in and headings have."""
        known = self._masks.get(document.rank)
        if known is None:
            above: dict[tuple[str, tuple[str, ...]], Mask] = {}
            found = []
            for cited in document.cited:
                key = (cited.unit.lead, cited.unit.headings)
                if key not in above:
                    above[key] = self.mask(cited.unit.around)
                found.append((self.mask(cited.unit.terms), above[key]))
            known = self._masks[document.rank] = tuple(found)
        return known

    @cached_property
    def _windows(self) -> dict[int, list[tuple[float, Mask]]]:
        return {}

    def windows(self, document: Document) -> list[tuple[float, Mask]]:
        """For every sentence of a document: how much it covers with its headings and the document's name, half of it with
        the sentences around; and the terms of all these."""
        known = self._windows.get(document.rank)
        if known is None:
            name, masks = self.mask(document.name), self.masks(document)
            known = []
            for place, (own, above) in enumerate(masks):
                here = near = own | above | name
                for other, _ in masks[max(0, place - _REACH) : place + _REACH + 1]:
                    near |= other
                known.append((0.5 * self.share(here) + 0.5 * self.share(near), near))
            self._windows[document.rank] = known
        return known

    def document(self, document: Document) -> float:
        """How much a document is about the part: what it speaks of, most in its name and headings, how close together, how
        well its best sentence answers, what else its name speaks of, and what the searches thought of it."""
        total = sum(weight for _, weight in self.weights) or 1.0
        spoken = 0.0
        for term, weight in self.weights:
            if term.within(document.name):
                spoken += weight
            elif term.within(document.headings):
                spoken += 0.9 * weight
            elif term.within(document.vocabulary):
                often = max(min((document.counts[stem] for stem in way), default=0) for way in term.ways)
                spoken += weight * (0.5 + 0.3 * often / (often + 2))
        near = max((share for share, _ in self.windows(document)), default=0.0)
        near *= 1 - _LONG * math.log2(max(1.0, len(document.cited) / _USUAL))
        said = max(self.units(document), default=0.0) / _UNIT_MAX
        return 0.23 * spoken / total + 0.27 * near + 0.18 * said + 0.17 * self.named(document) + 0.15 * document.found

    def named(self, document: Document) -> float:
        """The share of the words of the document's name that the part speaks of (what it only takes from the context counts
        less): whether it is about this and nothing else."""
        name = [
            stem for stem in flow(document.source.rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("_", " ")) if not stem.isdigit()
        ]
        return sum(self._credit.get(stem, 0.0) for stem in name) / len(name) if name else 0.0

    @cached_property
    def _credit(self) -> dict[str, float]:
        context = _CONTEXT if not self.part.leans else 1.0
        shared = {stem: context for term in self.part.context for way in term.ways for stem in way}
        own = {stem: 0.5 if term.weak else 1.0 for term in self.part.terms for way in term.ways for stem in way}
        return {**shared, **own}

    @cached_property
    def ranked(self) -> tuple[tuple[float, Document], ...]:
        """The documents seen, the most relevant first."""
        scored = [(self.document(document), document) for document in self.evidence.documents]
        return tuple(sorted(scored, key=lambda pair: (-pair[0], pair[1].rank)))

    def worth(self, documents: Sequence[Document]) -> list[float]:
        """The relevance of each of these documents."""
        known = {document.rank: score for score, document in self.ranked}
        return [known[document.rank] for document in documents]

    def adds(self, cited: Cited) -> bool:
        """Whether a sentence says anything that the question does not."""
        return len(cited.unit.terms - self.said) >= 2

    @cached_property
    def _units(self) -> dict[int, list[float]]:
        return {}

    def units(self, document: Document) -> list[float]:
        """How well each sentence of a document answers the part, the document apart, 0..1.35; 0 for one that has nothing to
        do with it, only repeats the question or points elsewhere."""
        known = self._units.get(document.rank)
        if known is None:
            name = self.mask(document.name)
            known, headings = [], None
            for cited, (own, above), (share, _) in zip(
                document.cited, self.masks(document), self.windows(document), strict=True
            ):
                first, headings = cited.unit.headings != headings, cited.unit.headings
                known.append(self._unit(cited, own, above, first=first) if own or above or name or share else 0.0)
            self._units[document.rank] = known
        return known

    @cached_property
    def _defined(self) -> frozenset[str]:
        """The stems of the thing asked for, everyday words left out."""
        return terms(" ".join(term.word for group in self.part.focus for term in group if not term.weak))

    def _unit(self, cited: Cited, own: Mask, above: Mask, *, first: bool) -> float:
        unit = cited.unit
        if not self.adds(cited) or unit.text.endswith("?") or points_elsewhere(unit):
            return 0.0
        score = 0.25 + 0.45 * self.share(own) + 0.2 * self.share(own | above) + 0.4 * fit(self.part.kinds, unit)
        if unit.kind in ("row", "setting", "cell"):
            score -= 0.1
        if "define" in self.part.kinds and self._defined and defines(unit, self._defined, first=first):
            score += _DEFINES
        if len(unit.text) > 400 or (unit.text.endswith(":") and not unit.code):
            score *= 0.7
        return score + 0.05 / (1 + cited.place / 1500)
