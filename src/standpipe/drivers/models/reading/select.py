"""Which sentences to quote for a part of the question, and in which order."""

from __future__ import annotations

import msgspec

from standpipe.drivers.models.reading.evidence import Cited
from standpipe.drivers.models.reading.relevance import Lens
from standpipe.drivers.models.reading.support import Support


class Choice(msgspec.Struct, frozen=True):
    """A sentence to quote, the part it answers, and how well."""

    cited: Cited
    part: int
    score: float


_ALIKE = 0.6
_WORTH = 0.55  # of the best sentence's score, the least that another must have
_NEAR = 0.5  # of what the best place covers, the least that a quoted one must


def choose(lens: Lens, part: int, support: Support, most: int, banned: frozenset[str] = frozenset()) -> list[Choice]:
    """The best sentences of the documents that support a part, best first, none saying again what another says, none in
    `banned`. A document without which something asked for would not be covered is heard at least once."""
    scored: list[tuple[float, int, Choice]] = []
    chosen = support.documents
    worth = lens.worth(chosen)
    for order, document in enumerate(chosen):
        windows = lens.windows(document)
        best = max((share for share, _ in windows), default=0.0)
        for cited, answers, (share, _) in zip(document.cited, lens.units(document), windows, strict=True):
            score = answers * worth[order] / max(worth)
            if score > 0 and share >= _NEAR * best and cited.unit.quote not in banned:
                score *= 0.6 + 0.4 * share / best if best else 1.0
                scored.append((-score, order * 1_000_000 + cited.place, Choice(cited, part, score)))
    scored.sort(key=lambda entry: entry[:2])
    ordered = [choice for _, _, choice in scored]
    found: list[Choice] = []
    for choice in ordered:
        if len(found) >= most or choice.score < _WORTH * ordered[0].score:
            break
        if not any(alike(choice.cited, other.cited) for other in found):
            found.append(choice)
    for document in support.needed:
        own = [choice for choice in ordered if choice.cited.passage.source == document.source]
        if own and not any(choice in found for choice in own):
            new = [choice for choice in own if not any(alike(choice.cited, other.cited) for other in found)]
            found.append((new or own)[0])
    return found


def alike(one: Cited, other: Cited) -> bool:
    """Whether two sentences say about the same: most terms of the shorter are in the longer."""
    fewer, more = sorted((one.unit.terms, other.unit.terms), key=len)
    return len(fewer & more) >= _ALIKE * max(1, len(fewer) + 0.5 * (len(more) - len(fewer)))
