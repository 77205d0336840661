"""The plan of a turn: a DAG of steps that only patches change; what is ready, what a patch may add, what comes next."""

from __future__ import annotations

from typing import Any

from standpipe.core.control import PlannedStep
from standpipe.core.details import Step
from standpipe.core.ids import step_id
from standpipe.core.items import ToolCall
from standpipe.core.state import StepState, Turn

OPEN_CALLS_MAX = 8
"""Calls of one turn that run at the same time."""


def ready(turn: Turn) -> list[StepState]:
    """Live steps with no open call whose needs have all ended, in the order they were added."""
    steps = (turn.steps[id] for id in turn.live)
    return [s for s in steps if s.call not in turn.open and all(n not in turn.live for n in s.spec.needs)]


def move_of(turn: Turn, step: Step) -> ToolCall | None:
    """The tool and arguments a step performs, from the call item it came from; None if that was withdrawn or erased."""
    item = turn.items.get(step.item)
    if item is None or item.id in turn.withdrawn or not isinstance(item.body, ToolCall):
        return None
    if not step.planned:
        return item.body
    return next(
        (ToolCall(s["tool"], s.get("arguments", {})) for s in _listed(item.body.arguments) if s["id"] == step.planned), None
    )


def _listed(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    return [*arguments.get("steps", ()), *arguments.get("add", ())]


def room(turn: Turn) -> int:
    """How many steps the plan can still grow by while one is kept for the final call."""
    return turn.limits.amounts.steps - turn.spent.steps - turn.reserve.steps


def contracted(planned: tuple[PlannedStep, ...], steps_max: int) -> tuple[PlannedStep, ...]:
    """The planned steps that fit: optional ones give way first, then the last ones."""
    kept = list(planned)
    for step in [s for s in reversed(planned) if s.optional] + [s for s in reversed(planned) if not s.optional]:
        if len(kept) <= max(steps_max, 0):
            break
        kept.remove(step)
    return tuple(kept)


def placed(turn: Turn, planned: tuple[PlannedStep, ...], item: str, offset: int = 0) -> tuple[Step, ...]:
    """Planned steps as steps of this turn. `after` may name steps of this patch or of earlier ones; others are ignored."""
    first = len(turn.steps) + offset + 1
    ids = {**turn.planned, **{p.id: step_id(first + n) for n, p in enumerate(planned)}}
    return tuple(
        Step(
            id=ids[p.id],
            kind="tool",
            does=p.tool,
            item=item,
            planned=p.id,
            needs=tuple(ids[a] for a in p.after if a in ids and ids[a] != ids[p.id]),
            optional=p.optional,
        )
        for p in planned
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


def droppable(turn: Turn, names: tuple[str, ...]) -> tuple[str, ...]:
    """Of the steps named (by their own id or the planner's), those that have not begun."""
    ids = (turn.planned.get(name, name) for name in names)
    return tuple(dict.fromkeys(id for id in ids if id in turn.live and not turn.steps[id].call))
