"""Plays the runtime for the keyless reader: naive BM25 over passages, plan and revise carried out, until it answers.

Documents are cut as the index cuts them, a read covers the hits of its document, a turn has sixteen steps, every call is
checked against its types and every sentence more strictly than real answers are. Specialists are readers of their own, each
with sixteen steps and a library of its own, or are lost.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from standpipe.core.control import (
    AnswerArguments,
    DelegateArguments,
    PlanArguments,
    PlannedStep,
    ReadArguments,
    ReviseArguments,
    SearchArguments,
)
from standpipe.core.items import (
    Answer,
    Body,
    Citation,
    Claim,
    Conflict,
    ConflictValue,
    Draft,
    Failure,
    Gap,
    Item,
    Passage,
    Sentence,
    Text,
    ToolCall,
    place,
)
from standpipe.core.passages import Piece, passages, sections
from standpipe.core.tools import ToolSpec
from standpipe.drivers.models.extractive import respond

TOOLS = tuple(ToolSpec(name, "", {}) for name in ("plan", "revise", "answer", "ask_user", "search", "read"))
"""What the runtime offers at first."""
STEPS_MAX = 16
"""The steps of a turn by default: first look, model calls, searches and reads, and one that is kept for the end."""
ROUNDS_MAX = 8
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")


class Library:
    """Documents by name, searched by plain BM25 (k1 1.2, b 0.75) over lower-case words without a plural s."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self.documents = dict(documents)
        self.pieces = [piece for source, text in self.documents.items() for piece in _pieces(source, text, passages)]
        self.counts = [Counter(_words(" ".join((p.source, *p.heading, p.text)))) for p in self.pieces]
        self.lengths = [sum(count.values()) for count in self.counts]
        self.frequency = Counter(word for count in self.counts for word in count)

    @classmethod
    def of(cls, folder: Path) -> Library:
        """The text documents under a folder."""
        files = sorted(path for path in folder.rglob("*") if path.suffix in (".md", ".txt", ".rst", ".html"))
        return cls({path.relative_to(folder).as_posix(): path.read_text("utf-8", "replace") for path in files})

    def search(self, query: str, limit: int = 8, without: frozenset[str] = frozenset()) -> list[Passage]:
        """The best passages, best first."""
        total = len(self.pieces)
        mean = sum(self.lengths) / max(1, total)
        wanted = sorted(set(_words(query)))
        scored = []
        for index, count in enumerate(self.counts):
            score = 0.0
            for word in wanted:
                if count[word]:
                    idf = math.log(1 + (total - self.frequency[word] + 0.5) / (self.frequency[word] + 0.5))
                    score += idf * count[word] * 2.2 / (count[word] + 1.2 * (0.25 + 0.75 * self.lengths[index] / mean))
            if score > 0 and self.pieces[index].source not in without:
                scored.append((-score, index))
        return [msgspec.structs.replace(self.pieces[index], score=-score) for score, index in sorted(scored)[:limit]]

    def read(self, source: str) -> list[Passage]:
        """A document whole, in sections."""
        return _pieces(source, self.documents[source], sections) if source in self.documents else []


def _pieces(source: str, text: str, cut: Callable[[str, str], list[Piece]]) -> list[Passage]:
    return [Passage(source, "v1", text[p.start : p.end], p.heading, p.start, 0.0, "docs") for p in cut(text, source)]


def _words(text: str) -> Iterable[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return (word.removesuffix("s") for word in re.findall(r"[a-z0-9]+", spaced.lower()))


class Specialist(msgspec.Struct, frozen=True):
    """What a specialist is said to do, and what it reads; without a library its work fails."""

    does: str
    library: Library | None = None


def delegate(specialists: Mapping[str, str]) -> ToolSpec:
    """The tool that offers specialists, each with what it does."""
    said = "".join(f"\n{name}: {does}" for name, does in specialists.items())
    return ToolSpec("delegate", f"Give a task to a specialist.{said}", {"properties": {"to": {"enum": list(specialists)}}})


def reported(answer: AnswerArguments) -> Answer:
    """An answer as the checks leave it if they find nothing: quotes become citations."""

    def cited(side: Any) -> Citation:
        return Citation(side.source, "v1", side.quote, "docs")

    return Answer(
        sentences=tuple(Sentence(s.text, tuple(map(cited, s.citations)), s.part) for s in answer.sentences),
        gaps=tuple(Gap(gap.text, gap.part) for gap in answer.gaps),
        conflicts=tuple(Conflict(c.about, tuple(ConflictValue(v.value, cited(v)) for v in c.values)) for c in answer.conflicts),
        claims=tuple(Claim(c.subject, c.predicate, c.value, cited(c), c.unit, c.time) for c in answer.claims),
    )


class Played(msgspec.Struct):
    """How a turn went: its answer, the plan, the revisions, all items, how many times the reader was asked, and what it asked
    specialists."""

    answer: AnswerArguments
    plan: PlanArguments | None
    revisions: list[ReviseArguments]
    items: list[Item]
    rounds: int
    steps: int
    asked: list[DelegateArguments] = []
    reports: dict[str, AnswerArguments] = {}

    @property
    def sources(self) -> list[str]:
        """The documents cited, in the order of their first use."""
        return list(dict.fromkeys(c.source for sentence in self.answer.sentences for c in sentence.citations))

    @property
    def text(self) -> str:
        """The sentences, a line each."""
        return "\n".join(sentence.text for sentence in self.answer.sentences)


class Loop:
    """One turn. `withdrawn` documents are found at first, give nothing when read, and vanish from then on."""

    def __init__(
        self,
        library: Library,
        tools: Sequence[ToolSpec] = TOOLS,
        withdrawn: frozenset[str] = frozenset(),
        specialists: Mapping[str, Specialist] | None = None,
    ) -> None:
        self.library = library
        self.specialists = specialists or {}
        self.tools = [*tools, delegate({n: s.does for n, s in self.specialists.items()})] if specialists else tools
        self.withdrawn = withdrawn
        self.asked: list[DelegateArguments] = []
        self.reports: dict[str, AnswerArguments] = {}
        self.gone = False
        self.items: list[Item] = []
        self.steps = 1  # the one that is kept for the end
        self.plan: PlanArguments | None = None
        self.revisions: list[ReviseArguments] = []

    def add(self, body: Body, origin: str, answers: str = "", step: str = "") -> str:
        """Put an item at the end of the conversation; its id."""
        item = place(Draft(body, answers=answers), f"{len(self.items)}.0", origin, step)
        self.items.append(item)
        return item.id

    def play(self, question: str, earlier: Sequence[tuple[str, Body]] = (), by: str = "user") -> Played:
        """Ask, carry out what the reader calls, until it answers. `by` is who asks: "user", or "task" for an agent."""
        for asked, answered in earlier:
            self.add(Text(asked), "user")
            self.add(answered, "extractive")
        self.add(Text(question), by)
        self.add(ToolCall("search", {"query": question, "limit": 8}), "runtime")
        self.steps += 1
        for passage in self.library.search(question):
            self.add(passage, "tool:search", step="st1")
        for rounds in range(1, ROUNDS_MAX + 1):
            self.steps += 1
            answer = self.round()
            if answer is not None:
                made = (self.items, rounds, self.steps, self.asked, self.reports)
                return Played(answer, self.plan, self.revisions, *made)
        raise AssertionError("no answer after eight rounds")

    def round(self) -> AnswerArguments | None:
        """Ask once; the answer, or None after carrying out what was called."""
        for call in respond(self.shown(), self.tools):
            assert isinstance(call, ToolCall), call
            assert call.name in {tool.name for tool in self.tools}
            made = self.add(call, "extractive")
            if call.name == "answer":
                answer = msgspec.convert(call.arguments, AnswerArguments)
                self.verify(answer)
                return answer
            if call.name == "plan":
                self.plan = msgspec.convert(call.arguments, PlanArguments)
                self.carry_out(self.plan.steps, made)
            elif call.name == "revise":
                revision = msgspec.convert(call.arguments, ReviseArguments)
                self.revisions.append(revision)
                self.carry_out(revision.add, made)
            elif call.name == "delegate":
                self.ask(msgspec.convert(call.arguments, DelegateArguments), made)
            else:
                self.perform(call.name, call.arguments, made, f"st{self.steps}")
        return None

    def ask(self, asked: DelegateArguments, made: str) -> None:
        """Let a specialist play a turn of its own; what comes back."""
        self.asked.append(asked)
        library = self.specialists[asked.to].library
        if library is None:
            self.add(Failure("timeout", "It did not answer in time."), "runtime", made)
            return
        answer = self.reports[asked.to] = Loop(library).play(asked.task, by="task").answer
        self.add(reported(answer), f"agent:{asked.to}", made)

    def shown(self) -> list[Item]:
        """What the reader sees: no hits of documents that were read, nothing of withdrawn ones."""
        read = {b.source for i in self.items if isinstance(b := i.body, Passage) and b.score == 0}
        hidden = self.withdrawn if self.gone else frozenset[str]()
        return [
            item
            for item in self.items
            if not isinstance(b := item.body, Passage) or (b.source not in hidden and not (b.score and b.source in read))
        ]

    def carry_out(self, steps: Sequence[PlannedStep], made: str) -> None:
        """Perform the steps of a plan or revision in their order, as far as there is room."""
        assert len({step.id for step in steps}) == len(steps) <= 8
        for step in steps:
            assert self.steps < STEPS_MAX, [step.arguments for step in steps]
            self.perform(step.tool, step.arguments, made, f"st{self.steps}")

    def perform(self, tool: str, arguments: dict[str, Any], made: str, step: str) -> None:
        """One search or read."""
        self.steps += 1
        self.gone = True
        found: Sequence[Body] = ()
        if tool == "search":
            search = msgspec.convert(arguments, SearchArguments)
            found = self.library.search(search.query, search.limit, self.withdrawn)
        elif tool == "read":
            source = msgspec.convert(arguments, ReadArguments).source
            found = () if source in self.withdrawn else self.library.read(source)
        for body in found or [Failure("not_found", "nothing found")]:
            self.add(body, f"tool:{tool}", made, step)

    def verify(self, answer: AnswerArguments) -> None:
        """Stricter than the check of real answers: every quote stands word for word in a document that was shown, every number
        of a sentence in its quotes, and so do half of its longer words; a conflict has two values of two places."""
        shown = {item.body.source for item in self.shown() if isinstance(item.body, Passage)}
        shown |= {c.source for item in self.items if isinstance(item.body, Answer) for c in item.body.citations}
        for sentence in answer.sentences:
            assert sentence.citations and sentence.text.strip(), sentence
            assert all(c.source in shown and c.quote in self.library.documents[c.source] for c in sentence.citations), sentence
            quoted = " ".join(c.quote for c in sentence.citations)
            numbers, words = set(_NUMBER.findall(sentence.text)), set(_LONG_WORD.findall(sentence.text.lower()))
            assert numbers <= set(_NUMBER.findall(quoted)), sentence
            assert len(words & set(_LONG_WORD.findall(quoted.lower()))) * 2 >= len(words), sentence
        for conflict in answer.conflicts:
            assert len({value.value for value in conflict.values}) > 1 and len({value.source for value in conflict.values}) > 1
            for value in conflict.values:
                assert value.source in shown and value.quote in self.library.documents[value.source], value
                assert value.value in value.quote, value


def play(documents: Mapping[str, str] | Library, question: str) -> Played:
    """One turn over some documents with all tools."""
    library = documents if isinstance(documents, Library) else Library(documents)
    return Loop(library).play(question)
