"""How much a document or a sentence has to do with one part of the question."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property

import msgspec

from standpipe.drivers.models.reading.cues import fit, points_elsewhere
from standpipe.drivers.models.reading.evidence import Cited, Document, Evidence
from standpipe.drivers.models.reading.question import Part, Term
from standpipe.drivers.models.reading.terms import flow

_NAME, _STRONG, _WEAK = 1.5, 1.0, 0.4
_FOCAL = 0.6  # an everyday word in the very thing asked for, or where the part has hardly any other
_CONTEXT = 0.45
_ONLY = 0.8  # an everyday word that is all a part says of itself
_FLOOR = 0.2
_LONG, _USUAL = 0.04, 25  # a place found in a document twice as long as usual (in sentences) is worth 4 % less
_UNIT_MAX = 1.35
_REACH = 2  # sentences on either side that count as near


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

    def covered(self, vocabulary: frozenset[str], among: Iterable[tuple[Term, float]] = ()) -> float:
        """The share of the weight that a text with these terms has, 0..1."""
        wanted = tuple(among) or self.weights
        total = sum(weight for _, weight in wanted)
        return sum(weight for term, weight in wanted if term.within(vocabulary)) / total if total else 0.0

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
        said = max((self.unit(cited) for cited in document.cited), default=0.0) / _UNIT_MAX
        return 0.25 * spoken / total + 0.3 * near + 0.2 * said + 0.18 * self.named(document) + 0.07 * document.found

    def windows(self, document: Document) -> list[tuple[float, frozenset[str]]]:
        """For every sentence of a document: how much it covers with its headings and the document's name, half of it with
        the sentences around; and the terms of all these."""
        known = self._windows.get(document.rank)
        if known is None:
            said = [cited.unit.terms for cited in document.cited]
            known = []
            for place, cited in enumerate(document.cited):
                own = said[place] | cited.unit.around | document.name
                around = own.union(*said[max(0, place - _REACH) : place + _REACH + 1])
                known.append((0.5 * self.covered(own) + 0.5 * self.covered(around), around))
            self._windows[document.rank] = known
        return known

    @cached_property
    def _windows(self) -> dict[int, list[tuple[float, frozenset[str]]]]:
        return {}

    def named(self, document: Document) -> float:
        """The share of the words of the document's name that the part speaks of (what it only takes from the context counts
        less): whether it is about this and nothing else."""
        name = [stem for stem in flow(document.source.rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("_", " ")) if not stem.isdigit()]
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

    def adds(self, cited: Cited) -> bool:
        """Whether a sentence says anything that the question does not."""
        return len(cited.unit.terms - self.said) >= 2

    def unit(self, cited: Cited) -> float:
        """How well one sentence answers the part, its document apart; 0 for one that only repeats the question."""
        known = self._units.get(id(cited))
        if known is None:
            known = self._units[id(cited)] = self._unit(cited)
        return known

    @cached_property
    def _units(self) -> dict[int, float]:
        return {}

    def _unit(self, cited: Cited) -> float:
        unit = cited.unit
        if not self.adds(cited) or unit.text.endswith("?") or points_elsewhere(unit):
            return 0.0
        own = self.covered(unit.terms)
        near = self.covered(unit.terms | unit.around)
        score = 0.25 + 0.45 * own + 0.2 * near + 0.4 * fit(self.part.kinds, unit)
        if unit.kind in ("row", "setting", "cell"):
            score -= 0.1
        if len(unit.text) > 400 or (unit.text.endswith(":") and not unit.code):
            score *= 0.7
        return score + 0.05 / (1 + cited.place / 1500)

    @cached_property
    def said(self) -> frozenset[str]:
        """All stems of the question's words."""
        return frozenset(stem for term, _ in self.weights for way in term.ways for stem in way)
