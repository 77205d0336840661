"""What specialists reported: their sentences as far as their own quotes vouch for every word, and which of them were lost."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from standpipe.core.items import Answer, Citation, Failure, Item, Sentence, ToolCall
from standpipe.drivers.models.reading.sentences import Unit, clean, units
from standpipe.drivers.models.reading.terms import words

_AGENT = "agent:"
_NO_ROOM = "steps"


class Told(msgspec.Struct, frozen=True):
    """A sentence that can be said as it stands: its words are those of its quotes. `part` is the specialist's own count."""

    unit: Unit
    citations: tuple[Citation, ...]
    part: int


class Report(msgspec.Struct, frozen=True):
    """What came back from the specialist `name`: its answer, and what of it can be said again."""

    name: str
    answer: Answer
    told: tuple[Told, ...]


def reports(items: Sequence[Item]) -> tuple[Report, ...]:
    """The answers of specialists among the items, in their order."""
    found = []
    for item in items:
        if isinstance(item.body, Answer) and item.origin.startswith(_AGENT):
            told = [one for sentence in item.body.sentences for one in _told(sentence)]
            found.append(Report(item.origin.removeprefix(_AGENT), item.body, tuple(told)))
    return tuple(found)


class Loss(msgspec.Struct, frozen=True):
    """A specialist of which only a failure came back; `unasked` if there was not even room in the plan to ask it."""

    name: str
    unasked: bool


def lost(items: Sequence[Item]) -> tuple[Loss, ...]:
    """The specialists that were lost, each once."""
    failed = {item.answers: item.body for item in items if isinstance(item.body, Failure)}
    heard = {item.origin.removeprefix(_AGENT) for item in items if isinstance(item.body, Answer)}
    found: dict[str, Loss] = {}
    for item in items:
        if isinstance(item.body, ToolCall) and item.body.name == "delegate" and item.id in failed:
            name = str(item.body.arguments.get("to"))
            found.setdefault(name, Loss(name, failed[item.id].code == _NO_ROOM))
    return tuple(loss for name, loss in found.items() if name not in heard)


def _told(sentence: Sentence) -> list[Told]:
    """The sentence with exactly its citations if it says just what they say; else what its quotes themselves say, since a
    specialist may have put another meaning into words of its own."""
    citations = tuple(c for c in sentence.citations if c.quote.strip())
    if not citations or not sentence.text.strip():
        return []
    if _vouched(sentence.text, [c.quote for c in citations]):
        main = max(citations, key=lambda c: len(frozenset(_said(c.quote)) & frozenset(_said(sentence.text))))
        return [Told(Unit("prose", main.quote, sentence.text, 0), (main, *(c for c in citations if c != main)), sentence.part)]
    said = frozenset(_said(sentence.text))
    found = []
    for citation in citations:
        near = max(units(citation.quote), key=lambda unit: len(said & frozenset(_said(unit.text))), default=None)
        if near is not None:
            exact = msgspec.structs.replace(citation, quote=near.quote)
            found.append(Told(msgspec.structs.replace(near, start=0, headings=()), (exact,), sentence.part))
    return found


def _vouched(text: str, quotes: Sequence[str]) -> bool:
    """Whether a text has no word that its quotes do not have, and leaves out none of one of them."""
    said = frozenset(_said(text))
    known = frozenset(word for quote in quotes for form in (quote, clean(quote)) for word in _said(form))
    return said <= known and any(frozenset(_said(clean(quote))) <= said for quote in quotes)


def _said(text: str) -> list[str]:
    return [word.lower() for word in words(text)]
