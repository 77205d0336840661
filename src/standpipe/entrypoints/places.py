"""Where in a turn an event stands: in the turn itself, or in the scope of a specialist."""

from __future__ import annotations

from collections.abc import Callable

from standpipe.core.events import AnswerJudged, CallRefused, DeadlinePassed, Event, PlanPatched, UnwindStarted
from standpipe.core.ids import scope_of


def place_of(event: Event, step_of: Callable[[str], str]) -> str:
    """The scope that an event stands in, empty for the turn itself; `step_of` gives the step that brought an item, by id.

    Some facts say it only by the item that they speak of. How a scope begins and ends stands outside of it.
    """
    fact = event.fact
    match fact:
        case PlanPatched(turn=turn) | DeadlinePassed(turn=turn) | UnwindStarted(turn=turn):
            return turn.partition(".")[2]
        case AnswerJudged(call_item=item):
            return scope_of(step_of(item))
        case CallRefused(step="", items=items):
            return scope_of(step_of(items[0].answers)) if items else ""
        case _:
            named = getattr(fact, "call", "") or getattr(fact, "scope", "") or getattr(fact, "ask", "")
            return scope_of(named.partition(".")[2] or getattr(fact, "step", ""))


def depth_of(scope: str) -> int:
    """How far in a scope stands: 0 for the turn itself."""
    return scope.count("/") + 1 if scope else 0
