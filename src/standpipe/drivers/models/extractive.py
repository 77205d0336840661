"""The keyless model: a deterministic reader that plans searches, reads, and answers in quoted sentences.

It never pretends to be a language model. Its rules are general: what recurs across documents and is not in the question is
worth a look, what two sources give different values for is a conflict, what nothing supports is a gap. Specialists whose field
is spoken of are asked once, with its own last look. Tools of users are left alone, since it cannot know what they do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from standpipe.core.control import PlanArguments, ReviseArguments
from standpipe.core.items import Item, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.drivers.models.reading.answering import answer, shortened
from standpipe.drivers.models.reading.delegating import DELEGATE, delegations, specialists
from standpipe.drivers.models.reading.evidence import Evidence, gather
from standpipe.drivers.models.reading.planning import Move, first_move, next_move
from standpipe.drivers.models.reading.question import Question, understand
from standpipe.drivers.models.reading.relevance import Lens

REVISIONS_MAX = 2
_NUMBERED = re.compile(r"\bsentence (\d+)")


def respond(conversation: Sequence[Item], tools: Sequence[ToolSpec]) -> list[ToolCall | Text]:
    """The next move: a plan, a revision, or the answer. The same conversation and tools always give the same move.

    Every call is stateless: where the turn stands follows from the conversation alone. Without `plan` the searches and reads
    are called directly; without `search` and `read` the answer comes from what is there and from specialists, if there are any.
    """
    evidence = gather(conversation)
    offered = frozenset(tool.name for tool in tools)
    earlier = evidence.earlier[-1][0] if evidence.earlier else ""
    question = understand(evidence.question, earlier, frozenset(evidence.vocabulary), evidence.titles)
    lenses = [Lens(evidence, part) for part in question.parts]
    if question.follow == "shorter" and evidence.earlier[-1][1].sentences and not evidence.made("answer"):
        return [_call("answer", shortened(evidence.earlier[-1][1]))]
    if not _must_answer(evidence):
        able = bool(offered & {"search", "read"})
        move = _look(question, evidence, lenses, offered) if able else None
        asked: list[ToolCall | Text] = []
        if _last_look(move, evidence, offered):
            asked = [_call(DELEGATE, one) for one in delegations(question, evidence, lenses, specialists(tools), able=able)]
        if asked or (move is not None and move.steps):
            return [*_calls(move or Move((), "specialists look"), question, evidence, offered), *asked]
    return [_call("answer", answer(question, evidence, lenses, _refused(evidence)))]


def _must_answer(evidence: Evidence) -> bool:
    """Whether the runtime asked for an answer, or refused one."""
    return bool(evidence.notes or evidence.made("answer"))


def _last_look(move: Move | None, evidence: Evidence, offered: frozenset[str]) -> bool:
    """Whether nothing is left to look for oneself after this move: what specialists are given then goes off no search of one's
    own, however little there is left of the budget."""
    last = "revise" in offered and len(evidence.made("revise")) == REVISIONS_MAX - 1
    return move is None or not move.steps or last


def _look(question: Question, evidence: Evidence, lenses: Sequence[Lens], offered: frozenset[str]) -> Move | None:
    """The next searches and reads, if any: the first ones, then at most two revisions; none once a plan was turned down."""
    if any(move.failures and not move.results for move in evidence.made("plan") + evidence.made("revise")):
        return None
    if not evidence.begun:
        return first_move(question, evidence, lenses, offered)
    direct = "plan" not in offered
    if len(evidence.made("revise")) < REVISIONS_MAX and ("revise" in offered or direct):
        return next_move(question, evidence, lenses, offered)
    return None


def _calls(move: Move, question: Question, evidence: Evidence, offered: frozenset[str]) -> list[ToolCall | Text]:
    """The move as calls: a plan first, which names the parts, then revisions of it; the steps themselves where plans are not
    offered."""
    if not evidence.begun and "plan" in offered:
        return [_call("plan", PlanArguments(move.steps, tuple(part.text for part in question.parts), move.reason))]
    if evidence.begun and "revise" in offered and move.steps:
        return [_call("revise", ReviseArguments(move.reason, move.steps, because=move.because))]
    return [ToolCall(step.tool, step.arguments) for step in move.steps]


def _refused(evidence: Evidence) -> frozenset[str]:
    """The quotes of sentences that an earlier answer of this turn was refused for."""
    refused: set[str] = set()
    for move in evidence.made("answer"):
        said: list[dict[str, Any]] = list(move.arguments.get("sentences", ()))
        told = " ".join([*(failure.text for failure in move.failures), *evidence.notes])
        for number in {int(found) for found in _NUMBERED.findall(told)}:
            if 1 <= number <= len(said):
                refused.update(quote["quote"] for quote in said[number - 1].get("citations", ()))
    return frozenset(refused)


def _call(name: str, arguments: msgspec.Struct) -> ToolCall:
    plain: dict[str, Any] = msgspec.to_builtins(arguments)
    return ToolCall(name, plain)
