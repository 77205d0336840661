"""A conversation to evidence: the question, the documents seen so far, the moves already made and what came of them.

Nothing here judges. A document whose source was withdrawn is simply not in the conversation and so not here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from standpipe.core.items import Answer, Citation, Failure, Item, Passage, Text, ToolCall
from standpipe.drivers.models.reading.hearing import Loss, Report, lost, reports
from standpipe.drivers.models.reading.sentences import Unit, units
from standpipe.drivers.models.reading.terms import forms, terms, words

_NUMBERED = re.compile(r"(?<!\d)(\d{1,6})(?=[^\d/]*$)")
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DATE = re.compile(
    r"\b(?:(?P<y>(?:19|20)\d\d)[-/._]?(?P<m>0[1-9]|1[0-2])[-/._]?(?P<d>0[1-9]|[12]\d|3[01])"
    r"|(?P<d2>\d{1,2})(?:st|nd|rd|th)?\s+(?P<n2>[A-Z][a-z]{2,8})\.?,?\s+(?P<y2>(?:19|20)\d\d)"
    r"|(?P<n3>[A-Z][a-z]{2,8})\.?\s+(?P<d3>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<y3>(?:19|20)\d\d))(?!\d)"
)


_UNSEARCHED = 0.8  # a document that is in sight for no reason that is: somebody thought it worth showing
_READ_LATER = 0.1
_ASKERS = ("user", "task")
_FIELD = re.compile(r"\s*Field:[ \t]*([^\n]+)\n(?=\s*\S)")


def dates(text: str) -> list[tuple[int, int, int]]:
    """The calendar dates that a text names, as (year, month, day)."""
    found = []
    for match in _DATE.finditer(text.replace("_", "-")):
        part = match.groupdict()
        name = part["n2"] or part["n3"]
        if name and name[:3].lower() not in _MONTHS:
            continue
        month = _MONTHS.index(name[:3].lower()) + 1 if name else int(part["m"])
        found.append((int(part["y"] or part["y2"] or part["y3"]), month, int(part["d"] or part["d2"] or part["d3"])))
    return found


class Cited(msgspec.Struct, frozen=True, dict=True):
    """A unit, the passage it begins in, and where it begins in the document, in code points (if a specialist quoted it: only
    its order). `citations` are those a specialist gave it."""

    unit: Unit
    passage: Passage
    place: int
    citations: tuple[Citation, ...] = ()


class Document(msgspec.Struct, frozen=True, dict=True):
    """One version of a document, as far as it was seen; `read` when all of it was. `rank` is the order of first sight,
    `found` what searches thought of it: its best score as a share of the best score of that search. `heard` is what specialists
    quoted of it and was not seen itself.
    """

    source: str
    folder: str
    version: str
    passages: tuple[Passage, ...]
    read: bool
    rank: int
    found: float = 0.0
    heard: tuple[Cited, ...] = ()

    @cached_property
    def cited(self) -> tuple[Cited, ...]:
        """Everything that can be quoted, in the order of the document, each place once. Passages that follow each other
        without a gap are read as one text, so that a heading or lead-in in one holds for the next."""
        found: dict[int, Cited] = {}
        for run in self._runs():
            text = "".join(passage.text for passage in run)
            starts = [passage.start for passage in run]
            for unit in units(text, run[0].heading if run[0].start else (), whole=run[0].start == 0):
                place = run[0].start + unit.start
                found.setdefault(place, Cited(unit, run[bisect_right(starts, place) - 1], place))
        return (*(found[place] for place in sorted(found)), *self.heard)

    def _runs(self) -> list[list[Passage]]:
        runs: list[list[Passage]] = []
        end = -1
        for passage in self.passages:
            if passage.start == end and runs:
                runs[-1].append(passage)
            else:
                runs.append([passage])
            end = passage.start + len(passage.text)
        return runs

    @cached_property
    def name(self) -> frozenset[str]:
        """The terms of the file's name, its ending left out."""
        stem = self.source.rsplit("/", 1)[-1]
        return terms(stem.rsplit(".", 1)[0].replace("_", " "))

    @cached_property
    def headings(self) -> frozenset[str]:
        """The terms of all headings."""
        heads = dict.fromkeys(title for cited in self.cited for title in (*cited.passage.heading, *cited.unit.headings))
        return terms(" ".join(heads))

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each term occurs in the text."""
        found: Counter[str] = Counter()
        for passage in self.passages:
            found.update(_counted(passage.text))
        return found

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """All terms of the document: name, path, headings, text."""
        around = (self.name, self.headings, terms(self.group.replace("_", " ")))
        return frozenset(self.counts).union(*around, *(cited.unit.terms for cited in self.cited))

    @property
    def group(self) -> str:
        """The folder that documents of a kind share."""
        return self.source.rsplit("/", 1)[0] if "/" in self.source else ""

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Where the document stands in a series: a date in its name, else the number in it, else the first date in its text."""
        name = self.source.rsplit("/", 1)[-1]
        if named := dates(name):
            return named[0]
        if number := _NUMBERED.search(name):
            return (int(number[1]),)
        opening = " ".join(passage.text for passage in self.passages[:2])[:800]
        said = dates(opening)
        return said[0] if said else ()


@lru_cache(maxsize=1024)  # every move of a turn, and every specialist, reads the same passages again
def _counted(text: str) -> Counter[str]:
    return Counter(term for word in words(text) for term in forms(word))


class Move(msgspec.Struct, frozen=True):
    """A call this turn made: how many results came of it, and the failures. `own` unless the runtime made it itself."""

    id: str
    own: bool
    name: str
    arguments: dict[str, Any]
    results: int
    failures: tuple[Failure, ...]


class Evidence(msgspec.Struct, frozen=True, dict=True):
    """What the conversation holds. `earlier` are closed turns (question, answer); `notes` the runtime's words since the last
    call; `documents` in the order of first sight; `answered` if anything came of a call; `reports` what came from specialists,
    `lost` those of which nothing did. `task`: an agent asks, who told it of its `field`, which is not part of the question."""

    question: str
    earlier: tuple[tuple[str, Answer], ...]
    moves: tuple[Move, ...]
    notes: tuple[str, ...]
    documents: tuple[Document, ...]
    answered: bool = False
    reports: tuple[Report, ...] = ()
    lost: tuple[Loss, ...] = ()
    task: bool = False
    field: str = ""

    @cached_property
    def vocabulary(self) -> Counter[str]:
        """In how many documents each term occurs."""
        return Counter(term for document in self.documents for term in document.vocabulary)

    @cached_property
    def frequency(self) -> Counter[str]:
        """In how many of the sentences seen each term occurs."""
        return Counter(term for document in self.documents for cited in document.cited for term in cited.unit.terms)

    @cached_property
    def sentences(self) -> int:
        """How many sentences were seen."""
        return sum(len(document.cited) for document in self.documents)

    @cached_property
    def titles(self) -> frozenset[str]:
        """The terms that are the whole name of a document."""
        return frozenset(term for document in self.documents for term in document.name if len(document.name) == 1)

    @cached_property
    def asked(self) -> frozenset[frozenset[str]]:
        """The searches made so far, as sets of terms."""
        every = [step for move in self.moves for step in steps_of(move)]
        queries = [arguments.get("query") for tool, arguments in every if tool == "search"]
        return frozenset(terms(query) for query in queries if isinstance(query, str))

    @cached_property
    def fetched(self) -> frozenset[str]:
        """The documents that were asked for in full, whatever came of it."""
        sources = [arguments.get("source") for tool, arguments in self.steps if tool == "read"]
        return frozenset(source for source in sources if isinstance(source, str))

    @cached_property
    def steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Every search and read of this turn that was the model's own, planned or called, as (tool, arguments)."""
        return [step for move in self.moves if move.own for step in steps_of(move)]

    @property
    def step_ids(self) -> frozenset[str]:
        """The ids that planned steps have used."""
        planned = [step for move in self.moves for key in ("steps", "add") for step in move.arguments.get(key, ())]
        return frozenset(str(step.get("id")) for step in planned)

    @property
    def begun(self) -> bool:
        """Whether this turn already looked for something of its own; the call itself may have been withdrawn since."""
        return self.answered or any(move.own for move in self.moves)

    @property
    def delegated(self) -> bool:
        """Whether this turn already asked specialists; the calls themselves may have been withdrawn since."""
        return bool(self.reports) or any(move.own and "delegate" in tools_of(move) for move in self.moves)

    def made(self, name: str) -> list[Move]:
        """The moves of that name that are the model's own."""
        return [move for move in self.moves if move.own and move.name == name]


def steps_of(move: Move) -> list[tuple[str, dict[str, Any]]]:
    """The searches and reads of a move, as (tool, arguments)."""
    if move.name in ("search", "read"):
        return [(move.name, move.arguments)]
    planned = move.arguments.get({"plan": "steps", "revise": "add"}.get(move.name, ""), ())
    return [(str(step.get("tool")), dict(step.get("arguments", {}))) for step in planned]


def tools_of(move: Move) -> frozenset[str]:
    """The tools that a move calls, planned or directly."""
    planned = (step.get("tool") for key in ("steps", "add") for step in move.arguments.get(key, ()) if isinstance(step, dict))
    return frozenset((move.name, *map(str, planned)))


def gather(conversation: Sequence[Item]) -> Evidence:
    """Sort a conversation. The question is the last of the words of the user before the turn's first call or passage, of a
    specialist its task; what the user answered to an `ask_user` since is added to it."""
    present = [item for item in conversation if item.body is not None]
    first = next((i for i, item in enumerate(present) if item.kind not in ("text", "answer")), len(present))
    said = [i for i, item in enumerate(present) if _of_user(item)]
    asked = max((i for i in said if i < first), default=min(said, default=-1))
    question = "\n".join(_text(present[i]) for i in said if i >= asked)
    task = asked >= 0 and present[asked].origin == "task"
    told = _FIELD.match(question) if task else None
    now = present[max(asked, 0) :]
    last_call = max((i for i, item in enumerate(present) if item.kind == "call"), default=-1)
    moves = _moves(present)
    reads = [str(arguments.get("source")) for move in moves for tool, arguments in steps_of(move) if tool == "read"]
    theirs = {move.id for move in moves if not move.own}
    heard = reports(now)
    return Evidence(
        question[told.end() :] if told else question,
        _earlier(present[: max(asked, 0)]),
        moves,
        tuple(_text(item) for item in present[last_call + 1 :] if item.kind == "text" and item.origin == "runtime"),
        _with_heard(_documents(present, reads), heard),
        answered=any(item.answers and item.answers not in theirs for item in now),
        reports=heard,
        lost=lost(now),
        task=task,
        field=told[1].strip() if told else "",
    )


def _of_user(item: Item) -> bool:
    return item.kind == "text" and item.origin in _ASKERS


def _text(item: Item) -> str:
    return item.body.text if isinstance(item.body, Text) else ""


def _earlier(items: Sequence[Item]) -> tuple[tuple[str, Answer], ...]:
    """The closed turns: each answer with the question before it."""
    found: list[tuple[str, Answer]] = []
    question = ""
    for item in items:
        if _of_user(item):
            question = _text(item)
        elif isinstance(item.body, Answer):
            found.append((question, item.body))
    return tuple(found)


def _moves(items: Sequence[Item]) -> tuple[Move, ...]:
    calls = [item for item in items if isinstance(item.body, ToolCall)]
    found = []
    for call in calls:
        assert isinstance(call.body, ToolCall)
        results = [item for item in items if item.answers == call.id]
        failures = tuple(item.body for item in results if isinstance(item.body, Failure))
        found.append(
            Move(call.id, call.origin != "runtime", call.body.name, call.body.arguments, len(results) - len(failures), failures)
        )
    return tuple(found)


def _documents(items: Sequence[Item], reads: Sequence[str]) -> tuple[Document, ...]:
    """The documents seen, in their last seen version; what was read in full replaces the pieces a search found. Those that
    are read are no longer shown as found: the order of `reads` tells how promising they looked."""
    order: dict[tuple[str, str], list[Passage]] = {}
    best: dict[tuple[str, str], float] = {}
    found_by: dict[tuple[str, str], float] = {}
    seen = [(item, item.body) for item in items if isinstance(item.body, Passage) and not item.body.memory]
    for item, passage in seen:
        order.setdefault((passage.folder, passage.source), []).append(passage)
        search = (item.answers, item.step)
        best[search] = max(best.get(search, 0.0), passage.score)
    for item, passage in seen:
        if passage.score > 0:
            key = (passage.folder, passage.source)
            found_by[key] = max(found_by.get(key, 0.0), passage.score / best[item.answers, item.step])
    documents = []
    for rank, (key, passages) in enumerate(order.items()):
        current = [passage for passage in passages if passage.version == passages[-1].version]
        whole = [passage for passage in current if passage.score == 0]
        chosen = {(passage.start, len(passage.text)): passage for passage in whole or current}
        ordered = tuple(chosen[place] for place in sorted(chosen))
        version = passages[-1].version
        looked = 1 - _READ_LATER * reads.index(key[1]) if key[1] in reads else _UNSEARCHED
        found = found_by.get(key, max(looked, _READ_LATER))
        documents.append(Document(key[1], key[0], version, ordered, bool(whole), rank, found))
    return tuple(documents)


def _with_heard(documents: tuple[Document, ...], heard: Sequence[Report]) -> tuple[Document, ...]:
    """The documents with what specialists quoted and was not seen itself; those that only they saw come last."""
    known = {(document.folder, document.source): document for document in documents}
    for told in [told for report in heard for told in report.told]:
        main = told.citations[0]
        key = (main.folder, main.source)
        document = known.setdefault(key, Document(main.source, main.folder, main.version, (), False, len(known), _UNSEARCHED))
        if any(main.quote in p.text for p in document.passages) or any(c.unit.text == told.unit.text for c in document.heard):
            continue
        passage = Passage(main.source, main.version, main.quote, folder=main.folder)
        cited = Cited(told.unit, passage, len(document.heard), told.citations)
        known[key] = msgspec.structs.replace(document, heard=(*document.heard, cited))
    return tuple(known.values())
