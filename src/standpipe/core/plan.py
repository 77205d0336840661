"""The plan of a turn: a DAG of steps that only patches change; what is ready, what a patch may add, what comes next."""

from __future__ import annotations

from typing import Any

from standpipe.core.control import PlannedStep
from standpipe.core.details import Step
from standpipe.core.ids import step_id
from standpipe.core.items import Item, ToolCall
from standpipe.core.state import StepState, Turn
from standpipe.core.tools import AgentSpec

DELEGATE = "delegate"
"""The move that gives a task to a specialist; in a plan it stands where a tool does."""

OPEN_CALLS_MAX = 8
"""Calls of one turn that run at the same time, those of its scopes not counted."""
SCOPE_CALLS_MAX = 4
"""Calls of one scope that run at the same time."""


def ready(turn: Turn) -> list[StepState]:
    """Live steps with no open call whose needs have all ended, in the order they were added."""
    steps = (turn.steps[id] for id in turn.live)
    return [s for s in steps if s.call not in turn.open and all(n not in turn.live for n in s.spec.needs)]


def move_of(turn: Turn, step: Step) -> ToolCall | None:
    """The tool and arguments a step performs, from the call item it came from; None if that was withdrawn or erased."""
    item = turn.items.get(step.item)
    return moved(item, step) if item is not None and item.id not in turn.withdrawn else None


def moved(item: Item, step: Step) -> ToolCall | None:
    """The tool and arguments of a step in the call item that it came from; None if that was erased."""
    if not isinstance(item.body, ToolCall):
        return None
    if not step.planned:
        return item.body
    steps, index = listed(item.body), int(step.planned)
    return ToolCall(steps[index]["tool"], steps[index].get("arguments", {})) if index < len(steps) else None


def listed(move: ToolCall) -> list[dict[str, Any]]:
    """The steps that a plan or revise call lays out, as it wrote them."""
    return [*move.arguments.get("steps", ()), *move.arguments.get("add", ())]


def names(turn: Turn) -> dict[str, str]:
    """What the plans of this turn called their steps -> the ids those have here; the latest use of a name counts."""
    found = {}
    for step in turn.steps.values():
        item = turn.items.get(step.spec.item)
        if step.spec.planned and item is not None and isinstance(item.body, ToolCall):
            steps, index = listed(item.body), int(step.spec.planned)
            if index < len(steps):
                found[str(steps[index]["id"])] = step.spec.id
    return found


def room(turn: Turn) -> int:
    """How many steps the plan can still grow by while one is kept for the final call."""
    return turn.limits.amounts.steps - turn.spent.steps - turn.reserve.steps - turn.kept.steps


def contracted(planned: tuple[PlannedStep, ...], steps_max: int) -> tuple[int, ...]:
    """The indexes of the planned steps that fit: optional ones give way first, then the last ones."""
    order = [n for n, s in enumerate(planned) if not s.optional] + [n for n, s in enumerate(planned) if s.optional]
    return tuple(sorted(order[: max(steps_max, 0)]))


def target(agent: AgentSpec, tool: str, arguments: dict[str, Any]) -> tuple[str, str]:
    """What kind of step a call is, and what it does: one of the agent's own names, "?" for one it does not have."""
    if tool != DELEGATE:
        return "tool", tool if any(t.name == tool for t in agent.tools) else "?"
    to = arguments.get("to")
    return "agent", to if isinstance(to, str) and to in agent.specialists else "?"


def placed(turn: Turn, planned: dict[int, PlannedStep], item: str, offset: int, agent: AgentSpec) -> tuple[Step, ...]:
    """Planned steps (by their index in the call `item`) as steps of this turn, `offset` more having been added already.

    `after` may name steps of this patch or of earlier ones; other names are ignored.
    """
    first = len(turn.steps) + offset + 1
    own = {index: step_id(turn.id, first + n) for n, index in enumerate(planned)}
    ids = {**names(turn), **{p.id: own[index] for index, p in planned.items()}}
    return tuple(
        Step(
            id=own[index],
            kind=target(agent, p.tool, p.arguments)[0],
            does=target(agent, p.tool, p.arguments)[1],
            item=item,
            planned=str(index),
            needs=tuple(dict.fromkeys(ids[a] for a in p.after if a in ids and ids[a] != own[index])),
            optional=p.optional or (p.tool == DELEGATE and p.arguments.get("optional") is True),
        )
        for index, p in planned.items()
    )


def cyclic(steps: tuple[Step, ...]) -> bool:
    """Whether the needs among these steps go round in a circle."""
    left = {s.id: {n for n in s.needs if any(o.id == n for o in steps)} for s in steps}
    while left:
        free = [id for id, needs in left.items() if not needs]
        if not free:
            return True
        for id in free:
            del left[id]
        for needs in left.values():
            needs.difference_update(free)
    return False
