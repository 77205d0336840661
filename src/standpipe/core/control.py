"""The moves every agent has beside its own tools: plan, revise, delegate, answer, ask_user; their arguments as types."""

from __future__ import annotations

from typing import Any

import msgspec


class PlannedStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One step to take: call `tool` (or `delegate`) with `arguments` once all of `after` (ids in this plan) have ended."""

    id: str
    tool: str
    arguments: dict[str, Any] = {}
    after: tuple[str, ...] = ()
    optional: bool = False
    why: str = ""


class PlanArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The parts the question asks for, and the steps that should find them."""

    steps: tuple[PlannedStep, ...]
    parts: tuple[str, ...] = ()
    reason: str = ""


class ReviseArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A patch to the plan: steps to add, and why; `because` names the sources that led to it."""

    reason: str
    add: tuple[PlannedStep, ...] = ()
    because: tuple[str, ...] = ()


class DelegateArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Give `task`, in words that need no others, to specialist `to`; several at once work side by side.

    What comes back is its checked answer. Without an optional one the rest goes on.
    """

    to: str
    task: str
    optional: bool = False
    why: str = ""


class CitedQuote(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`quote` is copied word for word from document `source`."""

    source: str
    quote: str


class AnswerSentence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One sentence; `part` is the index of the part of the question it answers."""

    text: str
    citations: tuple[CitedQuote, ...] = ()
    part: int = 0


class AnswerGap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A part of the question (-1: the whole) that could not be answered, and in words what is missing."""

    text: str
    part: int = -1


class AnswerConflictValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One of the differing values, and the quote that gives it."""

    value: str
    source: str
    quote: str


class AnswerConflict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Sources that disagree about the same thing."""

    about: str
    values: tuple[AnswerConflictValue, ...]


class AnswerClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One statement that can be held against others: `predicate` of `subject` is `value`, as `quote` of `source` says.

    `unit` is that of a number; `time` says when it holds, where the source does.
    """

    subject: str
    predicate: str
    value: str
    source: str
    quote: str
    unit: str = ""
    time: str = ""


class AnswerArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The answer: most relevant sentence first; `value` is the typed result where the agent has an answer schema."""

    sentences: tuple[AnswerSentence, ...] = ()
    gaps: tuple[AnswerGap, ...] = ()
    conflicts: tuple[AnswerConflict, ...] = ()
    claims: tuple[AnswerClaim, ...] = ()
    value: Any = None


class AskUserArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A question only the user can answer; the turn waits for it."""

    question: str


class SearchArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What to look for in the documents and memory of this session."""

    query: str
    limit: int = 8


class ReadArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The document to read, as search results name it."""

    source: str


CONTROL: dict[str, type] = {
    "plan": PlanArguments,
    "revise": ReviseArguments,
    "delegate": DelegateArguments,
    "answer": AnswerArguments,
    "ask_user": AskUserArguments,
}
"""The control tools and the types of their arguments; they change the session, not the world."""
