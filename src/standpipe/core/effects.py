"""What is known of an effect, and what may follow: it is asked about, tried again with the same key, or left in doubt.

See docs/adr/0006. An attempt is in doubt while nobody can say whether it changed the world; an attempt that only asks settles
the doubt of those before it, or leaves it.
"""

from __future__ import annotations

from standpipe.core import budget, reply
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import ABSENT, ASK, HANGING, NOT_SENT, Effect
from standpipe.core.events import StepEnded
from standpipe.core.ids import call_id, digest
from standpipe.core.items import Item, ToolCall
from standpipe.core.record import Recorder
from standpipe.core.state import Call, State, StepState, Turn
from standpipe.core.tools import ToolSpec

TRIES = 3
"""So often it is asked what came of an attempt, an attempt that did not happen is made, and a compensation is tried."""
ASK_MS = 10_000
"""What one attempt to ask may take at most: it may run after the turn's deadline."""
SETTLE_MS = 1_000
"""So long after its deadline nothing is under way any more of an attempt whose process is gone, or is not ours any more."""
ASKING = Amounts(tool_calls=TRIES)
UNDOING = Amounts(tool_calls=TRIES, steps=1)
"""What stays set aside for a compensation: its step and all its attempts."""
IN_DOUBT = "in doubt"
"""The code of a refusal: the same call may have taken effect before."""
UNKNOWN_TEXT = "It is not known whether this call took effect; do not repeat it blindly."
SAME_TEXT = (
    "It is not known whether the same call took effect before, so it is not made again in this turn. "
    "Find out by other means, or tell the user."
)

_ORDER = ("read", "idempotent", "once")


def effect_of(state: State, step: StepState, tool: ToolSpec, move: ToolCall) -> Effect | None:
    """What goes on record before this call is made; None for one that only reads."""
    turn = state.turn
    if tool.effect == "read" or turn is None:
        return None
    return Effect(
        repeat="idempotent" if tool.idempotent else "once",
        intent=digest([tool.name, move.arguments]),
        asking=ASKING if tool.reconcile else NOTHING,
        undo=digest([state.session, turn.id, step.spec.id, "undo"]) if tool.compensate else "",
        undoing=UNDOING if tool.compensate else NOTHING,
    )


def kind_of(tool: ToolSpec | None, step: StepState) -> str:
    """How a step may be repeated: "read", "idempotent" or "once", whatever is more of what it was granted as and what its tool
    is now."""
    now = "read" if tool is None or tool.effect == "read" else "idempotent" if tool.idempotent else "once"
    then = step.effect.repeat if step.effect is not None else "read"
    return max(now, then, key=_ORDER.index)


def in_doubt(turn: Turn, step: StepState, tool: ToolSpec | None) -> bool:
    """Whether a step that no call of is open may have changed the world without anybody knowing."""
    if kind_of(tool, step) == "read":
        return False
    for call in _attempts(turn, step):
        sure = not call.unknown and call.outcome != "interrupted"
        if call.outcome == "completed":
            return False
        if call.purpose == ASK and call.fault is not None and call.fault.code == ABSENT:
            return any(c.fault is not None and c.fault.code == HANGING for c in _attempts(turn, step))
        if call.purpose != ASK and not sure:
            return True
    return False


def asks(turn: Turn, step: StepState, tool: ToolSpec | None) -> bool:
    """Whether what came of a step is asked next, before anything else."""
    if tool is None or not tool.reconcile or turn.let_go or step.asked >= TRIES or step.call not in turn.calls:
        return False
    last = turn.calls[step.call]
    told = last.purpose == ASK and last.fault is not None and not (last.fault.retryable or last.fault.code == NOT_SENT)
    paid = step.kept.tool_calls > 0 or budget.free(turn, final=True).tool_calls > 0
    return not told and paid and in_doubt(turn, step, tool)


def asked_from(turn: Turn, step: StepState) -> int:
    """The moment (ms since 1970) from which on an answer about a step is final: nothing of its last attempt is under way."""
    call = turn.calls.get(step.call)
    gone = call is not None and call.outcome == "interrupted" and call.purpose != ASK
    return call.deadline_at + SETTLE_MS if call is not None and gone else 0


def repeats(turn: Turn, step: StepState) -> bool:
    """Whether a step that was asked about and did not happen is tried again."""
    tried = [c for c in _attempts(turn, step) if c.purpose != ASK and not _unsent(c)]
    return len(tried) < TRIES and not turn.soft


def leave_in_doubt(record: Recorder, turn: Turn, step: StepState, *causes: int) -> None:
    """The step ends unknown, which the planner is told."""
    source = turn.items.get(step.spec.item)
    items: tuple[Item, ...] = ()
    if source is not None and source.id not in turn.withdrawn:
        items = (reply.failure(record, source, "unknown", UNKNOWN_TEXT, step.spec.id),)
    record.add(StepEnded(step.spec.id, "unknown", "unknown", items), *causes)


def _attempts(turn: Turn, step: StepState) -> list[Call]:
    """The calls of a step, the latest first."""
    names = (call_id(turn.id, step.spec.id, n) for n in range(step.attempts, 0, -1))
    return [turn.calls[name] for name in names if name in turn.calls]


def _unsent(call: Call) -> bool:
    return call.fault is not None and call.fault.code == NOT_SENT
