"""lookups(state, request, now): what must be read before admitting or deciding, so that rules need no I/O.

What `decide` would lack is asked here, on the same state: also for the moves of a reply that has not been interpreted yet.
"""

from __future__ import annotations

from datetime import UTC, datetime

from standpipe.core import budget, consent, permit
from standpipe.core.aftermath import undo_question
from standpipe.core.context import FIRST_LOOK, HISTORY_TURNS, first_look
from standpipe.core.control import CONTROL
from standpipe.core.gate import call_question
from standpipe.core.items import Item, Label, Source, Text, ToolCall
from standpipe.core.state import State, Turn, shares
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import CallQuestion, Policy, Questions


class _Asked:
    """The calls that may come to the gate, and the documents that those of them derive from which a person is asked about."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.calls: dict[CallQuestion, None] = {}
        self.documents: dict[Source, None] = {}

    def call(self, question: CallQuestion | None) -> None:
        if question is not None:
            self.calls[question] = None

    def move(self, state: State, agent: AgentSpec, move: ToolCall, label: Label) -> None:
        """All that a move of a model may call: what it is, or what it plans."""
        for one in _planned(move):
            tool = permit.tool_of(agent, one.name)
            if tool is not None:
                judged = label if self.policy.rules else None
                self.call(permit.question(state.principal, agent, tool, one.arguments, judged))
                self.approval(state, tool, label)

    def approval(self, state: State, tool: ToolSpec, label: Label) -> None:
        if label.sources and consent.wanted(state, tool):
            self.documents.update(dict.fromkeys(consent.documents(label)))


def lookups(state: State, agents: dict[str, AgentSpec], policy: Policy, request: str, now: int) -> Questions:
    """The questions whose answers make the world for `admit` (with `request`, an id) or `decide` (without)."""
    turn = state.turn
    folders = turn.folders if turn is not None else (state.waiting[0].folders if state.waiting else ())
    accounts: tuple[str, ...] = ()
    if turn is None and state.waiting:
        accounts = budget.accounts(policy, state, datetime.fromtimestamp(now / 1000, UTC).date().isoformat())
    asked = _Asked(policy)
    for share in shares(state):
        agent = agents.get(share.agent)
        if share.turn is not None and share.turn.unwind is not None:
            _undone(asked, share, share.turn, agents)
        if agent is not None and share.turn is not None:
            _calls(asked, share, share.turn, agent)
        elif agent is not None and share.waiting:
            _first_look(asked, share, agent, folders, share.waiting[0].items[0])
    return Questions(
        tenant=state.tenant,
        principal=state.principal,
        folders=folders,
        sources=_sources(state),
        calls=tuple(asked.calls),
        accounts=accounts,
        request=request if request and request not in state.requests else "",
        agent=state.agent,
        documents=tuple(asked.documents),
    )


def nothing_new(state: State) -> bool:
    """Whether no question can have come up since the last were answered: all that the open turn works on is under way."""
    turn = state.turn
    return turn is not None and not turn.scopes and len(turn.live) == len(turn.open) > 0


def _sources(state: State) -> tuple[Source, ...]:
    found: dict[Source, None] = {}
    for share in shares(state):
        found |= dict.fromkeys(share.turn.sources) if share.turn is not None else {}
        if share.turn is not None and share.turn.unwind is not None:
            items = (i for deed in share.turn.deeds.values() for i in (deed.move, *deed.items) if i is not None)
            found |= dict.fromkeys(source for item in items for source in item.label.sources)
    for closed in state.closed[-HISTORY_TURNS:]:
        for item in (closed.question, closed.answer):
            if item is not None:
                found.update(dict.fromkeys(item.label.sources))
    return tuple(found)


def _calls(asked: _Asked, state: State, turn: Turn, agent: AgentSpec) -> None:
    for step in [turn.steps[id] for id in turn.live]:
        if step.spec.kind == "tool" and step.call not in turn.open:
            asked.call(call_question(state, agent, asked.policy, step))
            tool, item = permit.tool_of(agent, step.spec.does), turn.items.get(step.spec.item)
            if tool is not None and item is not None:
                asked.approval(state, tool, item.label)
        elif step.spec.kind == "model" and step.call in turn.calls and turn.calls[step.call].outcome == "completed":
            for item in (turn.items[id] for id in turn.calls[step.call].items):
                if isinstance(item.body, ToolCall):
                    asked.move(state, agent, item.body, item.label)
    if not turn.steps:
        _first_look(asked, state, agent, turn.folders, turn.items[turn.question])


def _undone(asked: _Asked, state: State, turn: Turn, agents: dict[str, AgentSpec]) -> None:
    """Of what is to be taken back: whether it may."""
    live = (turn.steps[id].spec for id in turn.live if turn.steps[id].call not in turn.open)
    for step in live:
        if step.kind == "undo":
            asked.call(undo_question(state, agents, asked.policy, turn.deeds[step.undoes]))


def _planned(move: ToolCall) -> list[ToolCall]:
    moves = [move] if move.name not in CONTROL else []
    for planned in (*_listed(move, "steps"), *_listed(move, "add")):
        if (
            isinstance(planned, dict)
            and isinstance(planned.get("tool"), str)
            and isinstance(planned.get("arguments", {}), dict)
        ):
            moves.append(ToolCall(planned["tool"], planned.get("arguments", {})))
    return moves


def _listed(move: ToolCall, name: str) -> list[object]:
    value = move.arguments.get(name, ()) if move.name in CONTROL else ()
    return list(value) if isinstance(value, list | tuple) else []


def _first_look(asked: _Asked, state: State, agent: AgentSpec, folders: tuple[str, ...], question: Item) -> None:
    """The first look is decided in the same round in which the turn starts."""
    look = first_look(agent, folders, question.body.text if isinstance(question.body, Text) else "")
    if look is not None:
        asked.move(state, agent, ToolCall("search", look), FIRST_LOOK)
