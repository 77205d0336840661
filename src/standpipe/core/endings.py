"""How a step ends whose call is over: done, tried again (it stays live), given up, or left in doubt."""

from __future__ import annotations

from standpipe.core import reply, supervise
from standpipe.core.details import NOT_SENT
from standpipe.core.events import StepEnded
from standpipe.core.ids import ask_id
from standpipe.core.items import Item
from standpipe.core.permit import tool_of
from standpipe.core.record import Recorder
from standpipe.core.state import Call, State, StepState, Turn
from standpipe.core.tools import ToolSpec
from standpipe.core.world import World

UNSENT_MAX = 8
"""A call that could not be sent this often (revocations in between, deadlines too short to begin) is given up."""
ATTEMPTS_MAX = 2
"""Attempts at a tool step that may be repeated."""
INTERRUPTIONS_MAX = 3
"""After so many crashes at one step it is not tried again (a poison step)."""


def _doubtful(tool: ToolSpec | None, call: Call) -> bool:
    """Whether a call that is over may have changed the world without saying so."""
    if call.outcome == "completed" or (tool is not None and tool.effect == "read"):
        return False
    return call.unknown or call.outcome == "interrupted"


def cut_off(state: State, world: World, step: StepState, call: Call | None) -> str:
    """How a step ends in a turn or scope that is over."""
    if call is None or step.spec.kind not in ("tool", "agent"):
        return "cancelled"
    if call.outcome == "completed":
        return "done"
    doubtful = step.spec.kind == "tool" and _doubtful(tool_of(world.agent(state.agent), step.spec.does), call)
    return "unknown" if doubtful else "cancelled"


def end_asked(turn: Turn, step: StepState, record: Recorder) -> None:
    """A step without a call ends only where it is a question that was answered, or that nobody answered."""
    ask = turn.asks.get(ask_id(turn.id, step.spec.id))
    if step.spec.kind == "person" and ask is not None and ask.outcome:
        items: tuple[Item, ...] = ()
        source = turn.items.get(step.spec.item)
        if ask.outcome != "allowed" and source is not None and source.id not in turn.withdrawn:
            items = (reply.failure(record, source, ask.outcome, "Nobody answered.", step.spec.id),)
        record.add(StepEnded(step.spec.id, "done" if ask.outcome == "allowed" else "failed", ask.outcome, items), ask.asked)


def end_agent(turn: Turn, step: StepState, call: Call, record: Recorder) -> None:
    """A specialist is done; `supervise` says what that means."""
    outcome, reason = supervise.supervise(step, call, late=turn.soft), supervise.reason_of(call)
    if not outcome:
        return
    source = turn.items.get(step.spec.item)
    items: tuple[Item, ...] = ()
    if outcome != "done" and not call.items and source is not None and source.id not in turn.withdrawn:
        said = supervise.words_of(call, reason)
        items = (reply.failure(record, source, reason, f"{said[0].upper()}{said[1:]}.", step.spec.id),)
    record.add(StepEnded(step.spec.id, outcome, "" if outcome == "done" else reason, items), call.ended)


def end_tool(state: State, world: World, step: StepState, call: Call, record: Recorder) -> None:
    """A tool's call is over: repeated where that does no harm and may help, else its failure or its doubt is told."""
    turn = state.turn
    assert turn is not None
    tool = tool_of(world.agent(state.agent), step.spec.does)
    fault = call.fault.code if call.fault is not None else call.outcome
    tries = step.attempts - step.interrupted - step.unsent
    if call.outcome == "completed":
        record.add(StepEnded(step.spec.id, "done"), call.ended)
        return
    if call.outcome == "cancelled" and fault == NOT_SENT and step.unsent <= UNSENT_MAX:
        return
    if tool is not None and (tool.effect == "read" or tool.idempotent):
        if call.outcome == "interrupted" and step.interrupted <= INTERRUPTIONS_MAX:
            return
        if call.fault is not None and call.fault.retryable and tries < ATTEMPTS_MAX and not turn.soft:
            return
    if _doubtful(tool, call):
        outcome, code, text = "unknown", "unknown", "It is not known whether this call took effect; do not repeat it blindly."
    else:
        outcome, code, text = "failed", fault, call.fault.text if call.fault is not None else ""
    source = turn.items.get(step.spec.item)
    told = any(turn.items[i].kind == "failure" and i not in turn.withdrawn for i in step.items)
    items: tuple[Item, ...] = ()
    if source is not None and source.id not in turn.withdrawn and (not told or outcome == "unknown"):
        items = (reply.failure(record, source, code, text or "The call failed.", step.spec.id),)
    record.add(StepEnded(step.spec.id, outcome, code, items), call.ended)
