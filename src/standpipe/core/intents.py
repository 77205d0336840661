"""What makes two calls the same, and which event of the session forked from says what a call comes to.

Two calls are the same where the same agent asks the same of the same target: a tool with the same arguments, a model with the
same items in the same order. That is their intent, a digest, so that a fork knows of its parent's calls without their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from standpipe.core.events import CallGranted, Event
from standpipe.core.ids import digest
from standpipe.core.items import Item
from standpipe.core.state import State


def of_tool(agent: str, tool: str, arguments: Mapping[str, object]) -> str:
    """The intent of a tool call."""
    return digest([agent, tool, arguments])


def of_model(agent: str, model: str, shown: Iterable[Item], *, final: bool) -> str:
    """The intent of a model call that is shown these items."""
    ordered = sorted(shown, key=lambda item: tuple(map(int, item.id.split("."))))
    return digest([agent, model, final, [(item.kind, item.hash) for item in ordered]])


def recorded(state: State, intent: str, granted: Iterable[Event]) -> int:
    """The event of the session forked from that answers a call of this intent; 0 for none that is left beside those that the
    calls `granted` in the same decision take."""
    seqs = state.recorded.get(intent)
    if not seqs:
        return 0
    taken = {event.fact.recorded for event in granted if isinstance(event.fact, CallGranted)}
    return next((seq for seq in seqs if seq not in taken), 0)
