"""lookups(state, request, now): what must be read before admitting or deciding, so that rules need no I/O.

What `decide` would lack is asked here, on the same state: also for the moves of a reply that has not been interpreted yet.
"""

from __future__ import annotations

from datetime import UTC, datetime

from standpipe.core import budget, permit
from standpipe.core.aftermath import undo_question
from standpipe.core.context import HISTORY_TURNS, first_look
from standpipe.core.control import CONTROL
from standpipe.core.gate import call_question
from standpipe.core.items import Item, Source, Text, ToolCall
from standpipe.core.state import State, Turn, shares
from standpipe.core.tools import AgentSpec
from standpipe.core.world import CallQuestion, Policy, Questions


def lookups(state: State, agents: dict[str, AgentSpec], policy: Policy, request: str, now: int) -> Questions:
    """The questions whose answers make the world for `admit` (with `request`, an id) or `decide` (without)."""
    turn = state.turn
    folders = turn.folders if turn is not None else (state.waiting[0].folders if state.waiting else ())
    accounts: tuple[str, ...] = ()
    if turn is None and state.waiting:
        accounts = budget.accounts(policy, state, datetime.fromtimestamp(now / 1000, UTC).date().isoformat())
    calls: dict[CallQuestion, None] = {}
    for share in shares(state):
        agent = agents.get(share.agent)
        if share.turn is not None and share.turn.unwind is not None:
            calls |= _undone(share, share.turn, agents)
        if agent is not None and share.turn is not None:
            calls |= _calls(share, share.turn, agent)
        elif agent is not None and share.waiting:
            calls |= dict.fromkeys(_first_look(share, agent, folders, share.waiting[0].items[0]))
    return Questions(
        tenant=state.tenant,
        principal=state.principal,
        folders=folders,
        sources=_sources(state),
        calls=tuple(calls),
        accounts=accounts,
        request=request if request and request not in state.requests else "",
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


def _calls(state: State, turn: Turn, agent: AgentSpec) -> dict[CallQuestion, None]:
    asked: dict[CallQuestion, None] = {}
    for step in [turn.steps[id] for id in turn.live]:
        if step.spec.kind == "tool" and step.call not in turn.open:
            found = call_question(state, agent, step)
            if found is not None:
                asked[found] = None
        elif step.spec.kind == "model" and step.call in turn.calls and turn.calls[step.call].outcome == "completed":
            for item in (turn.items[id] for id in turn.calls[step.call].items):
                if isinstance(item.body, ToolCall):
                    asked.update(dict.fromkeys(_of_move(state, agent, item.body)))
    if not turn.steps:
        asked.update(dict.fromkeys(_first_look(state, agent, turn.folders, turn.items[turn.question])))
    return asked


def _undone(state: State, turn: Turn, agents: dict[str, AgentSpec]) -> dict[CallQuestion, None]:
    """Of what is to be taken back: whether it may."""
    live = (turn.steps[id].spec for id in turn.live if turn.steps[id].call not in turn.open)
    found = (undo_question(state, agents, turn.deeds[step.undoes]) for step in live if step.kind == "undo")
    return dict.fromkeys(question for question in found if question is not None)


def _of_move(state: State, agent: AgentSpec, move: ToolCall) -> list[CallQuestion]:
    moves = [move] if move.name not in CONTROL else []
    for planned in (*_listed(move, "steps"), *_listed(move, "add")):
        if (
            isinstance(planned, dict)
            and isinstance(planned.get("tool"), str)
            and isinstance(planned.get("arguments", {}), dict)
        ):
            moves.append(ToolCall(planned["tool"], planned.get("arguments", {})))
    found = []
    for one in moves:
        tool = permit.tool_of(agent, one.name)
        question = permit.question(state.principal, agent, tool, one.arguments) if tool is not None else None
        if question is not None:
            found.append(question)
    return found


def _listed(move: ToolCall, name: str) -> list[object]:
    value = move.arguments.get(name, ()) if move.name in CONTROL else ()
    return list(value) if isinstance(value, list | tuple) else []


def _first_look(state: State, agent: AgentSpec, folders: tuple[str, ...], question: Item) -> list[CallQuestion]:
    """The first look is decided in the same round in which the turn starts."""
    look = first_look(agent, folders, question.body.text if isinstance(question.body, Text) else "")
    return _of_move(state, agent, ToolCall("search", look)) if look is not None else []
