"""Which specialists a question is worth to: what each is told to be good at, what of it is spoken of, the task it gets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import msgspec

from standpipe.core.control import DelegateArguments
from standpipe.core.tools import ToolSpec
from standpipe.drivers.models.reading.evidence import Evidence
from standpipe.drivers.models.reading.question import Question
from standpipe.drivers.models.reading.relevance import Lens
from standpipe.drivers.models.reading.terms import STOP, WEAK, flow, pieces, terms, words

DELEGATE = "delegate"
SPECIALISTS_MAX = 5
_ASKED, _TITLED, _SEEN = 3, 2, 1  # where a word is met: in the question, in a title, path or search, in a text
_WHY_MAX = 6
_FIELD_CHARS = 400
_BEFORE_CHARS = 2_000


class Specialist(msgspec.Struct, frozen=True):
    """An agent that may be delegated to, and what it is said to do."""

    name: str
    does: str


def specialists(tools: Sequence[ToolSpec]) -> list[Specialist]:
    """Those that the tool `delegate` offers: its `to` lists their names, its description says what each does, a line each."""
    tool = next((tool for tool in tools if tool.name == DELEGATE), None)
    if tool is None:
        return []
    names = [str(name) for name in tool.parameters.get("properties", {}).get("to", {}).get("enum", ())]
    said: dict[str, str] = {}
    current = ""
    for line in tool.description.splitlines():
        name, colon, does = line.strip(" -*`").partition(":")
        own = name.strip(" `*")
        if colon and own in names and own not in said:
            current, said[own] = own, does
        elif current:  # a description may be of several lines
            said[current] += f" {line}"
    return [Specialist(name, " ".join(said.get(name, "").split())) for name in names]


def delegations(
    question: Question, evidence: Evidence, lenses: Sequence[Lens], offered: Sequence[Specialist], *, able: bool
) -> list[DelegateArguments]:
    """A task for each specialist whose field is spoken of, the closest first; none once the turn has delegated.

    `able`: this model can look itself, so that it can do without any one of them.
    """
    if not offered or evidence.delegated:
        return []
    asked = terms(question.text) | frozenset(stem for lens in lenses for stem in lens.said)
    wanted = _Spoken(asked, evidence)
    fits = [(_fit(one, wanted), one) for one in offered]
    chosen = sorted((pair for pair in fits if pair[0]), key=lambda pair: -sum(pair[0].values()))[:SPECIALISTS_MAX]
    task = _asked(question, evidence, lenses)
    return [
        DelegateArguments(
            one.name,
            f"Field: {_field(one)}\n{task}",
            optional=able,
            why=f"spoken of: {', '.join([*fit][:_WHY_MAX])}",
        )
        for fit, one in chosen
    ]


class _Spoken(msgspec.Struct, frozen=True, dict=True):
    """What is spoken of: in the question, in what was searched for, in what was found."""

    asked: frozenset[str]
    evidence: Evidence

    @cached_property
    def titled(self) -> frozenset[str]:
        """The terms of titles, paths and searches."""
        found = (d.name | d.headings | terms(d.group.replace("_", " ")) for d in self.evidence.documents)
        return frozenset[str]().union(*found, *self.evidence.asked)

    def worth(self, word: frozenset[str]) -> int:
        """How much it tells that a description has this word; everyday words tell only where they are prominent."""
        weak = word <= WEAK
        if word <= self.asked:
            return _SEEN if weak else _ASKED
        if word <= self.titled:
            return _SEEN if weak else _TITLED
        return _SEEN * (not weak and any(word <= document.vocabulary for document in self.evidence.documents))


def _fit(one: Specialist, spoken: _Spoken) -> dict[str, int]:
    """The words of a specialist's name and description that are spoken of, those that tell most first."""
    said = words(f"{one.name.replace('_', ' ')} {one.does}")
    own = {word.lower(): frozenset(pieces(word)) for word in said if not word.isdigit()}
    found = {word: spoken.worth(stems) for word, stems in own.items() if stems}
    return dict(sorted(((word, worth) for word, worth in found.items() if worth), key=lambda pair: -pair[1]))


def _field(one: Specialist) -> str:
    """What a specialist does, on one line; without a description its name says it."""
    return (one.does or one.name.replace("_", " "))[:_FIELD_CHARS]


def _asked(question: Question, evidence: Evidence, lenses: Sequence[Lens]) -> str:
    """The question in words that need no others: what it leans on is told before it."""
    text = evidence.question.strip()
    before = " ".join(evidence.earlier[-1][0].split())[:_BEFORE_CHARS] if evidence.earlier else ""
    if before and question.follow:
        return f"{before} {text}"
    if before and any(lens.part.leans for lens in lenses):
        return f"This is about {' '.join(_strong(before))}. {text}"
    return text


def _strong(text: str) -> list[str]:
    return list(dict.fromkeys(word for word in words(text) if word.lower() not in STOP and not set(flow(word)) <= WEAK))
