"""How a step ends whose call is over: done, tried again (it stays live), given up, or left in doubt."""

from __future__ import annotations

from standpipe.core import effects, reply, supervise
from standpipe.core.details import ABSENT, NOT_SENT
from standpipe.core.events import StepEnded
from standpipe.core.ids import ask_id
from standpipe.core.items import Item
from standpipe.core.permit import tool_of
from standpipe.core.record import Recorder
from standpipe.core.state import Call, State, StepState, Turn
from standpipe.core.world import World

UNSENT_MAX = 8
"""A call that could not be sent this often (revocations in between, deadlines too short to begin) is given up."""
ATTEMPTS_MAX = 2
"""Attempts at a tool step that may be repeated."""
INTERRUPTIONS_MAX = 3
"""After so many crashes at one step it is not tried again (a poison step)."""


def still_asked(state: State, world: World, step: StepState) -> bool:
    """Whether a step goes on in a turn or scope that is over, since it is not yet known what it did."""
    assert state.turn is not None
    return step.spec.kind == "tool" and effects.asks(state.turn, step, tool_of(world.agent(state.agent), step.spec.does))


def cut_off(state: State, world: World, step: StepState, call: Call | None) -> str:
    """How a step ends in a turn or scope that is over."""
    if call is None or step.spec.kind not in ("tool", "agent"):
        return "cancelled"
    if call.outcome == "completed":
        return "done"
    assert state.turn is not None
    tool = tool_of(world.agent(state.agent), step.spec.does)
    return "unknown" if step.spec.kind == "tool" and effects.in_doubt(state.turn, step, tool) else "cancelled"


def end_undo(turn: Turn, step: StepState, call: Call | None, record: Recorder) -> None:
    """A compensation may be tried again with its key until it is done or has had its tries; the gate knows when it is late."""
    if call is None:
        return
    tries, faults = step.attempts - step.unsent, [c for c in turn.calls.values() if c.step == step.spec.id]
    if call.outcome == "completed":
        record.add(StepEnded(step.spec.id, "done"), call.ended)
    elif tries >= effects.TRIES or step.unsent > UNSENT_MAX:
        doubtful = any(c.unknown or c.outcome == "interrupted" for c in faults)
        code = call.fault.code if call.fault is not None else call.outcome
        record.add(StepEnded(step.spec.id, "unknown" if doubtful else "failed", code), call.ended)


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
    doubt, kind = effects.in_doubt(turn, step, tool), effects.kind_of(tool, step)
    if doubt and effects.asks(turn, step, tool):
        return
    if doubt and kind == "once":
        effects.leave_in_doubt(record, turn, step, call.ended)
        return
    if call.outcome == "cancelled" and fault == NOT_SENT and step.unsent <= UNSENT_MAX:
        return
    if fault == ABSENT and effects.repeats(turn, step):
        return
    if tool is not None and kind != "once":
        if call.outcome == "interrupted" and step.interrupted <= INTERRUPTIONS_MAX:
            return
        if call.fault is not None and call.fault.retryable and tries < ATTEMPTS_MAX and not turn.soft:
            return
    if doubt:
        effects.leave_in_doubt(record, turn, step, call.ended)
        return
    text = call.fault.text if call.fault is not None else ""
    source = turn.items.get(step.spec.item)
    told = any(turn.items[i].kind == "failure" and i not in turn.withdrawn for i in step.items)
    items: tuple[Item, ...] = ()
    if source is not None and source.id not in turn.withdrawn and (not told or fault == ABSENT):
        items = (reply.failure(record, source, fault, text or "The call failed.", step.spec.id),)
    record.add(StepEnded(step.spec.id, "failed", fault, items), call.ended)
