"""What becomes of a step whose specialist is done: its result stands, it is tried once more, or the turn goes on without it."""

from __future__ import annotations

from standpipe.core.items import Answer, Body, ToolCall
from standpipe.core.state import Call, StepState, Turn

LOST = ("dropped", "failed", "refused", "withdrawn")
"""How a step ends whose specialist is done without."""
RETRIES_MAX = 1
"""Further attempts at a required step (one restart, as a supervisor of one_for_one would with intensity 1)."""

NOTHING_FOUND = "nothing found"
"""The reason of a scope whose specialist says itself that it has nothing to say."""
UNSUPPORTED = "unsupported"
"""The reason of a scope that answered, but with nothing that its checks let pass."""
SCHEMA = "schema"
"""The reason of a scope whose result does not fit the schema that its agent declares."""
TOLD_TO_STOP = "it was told to stop"

_FINAL = frozenset(("budget", "not_found", "arguments", "steps", "withdrawn", NOTHING_FOUND))
_WORDS = {
    "timeout": "it did not answer in time",
    "deadline": "it did not answer in time",
    "budget": "there was no budget left for it",
    "bug": "it broke off",
    "withdrawn": "what it was asked may no longer be read",
    "not_found": "there is no such specialist",
    NOTHING_FOUND: "it found nothing",
    UNSUPPORTED: "nothing it said passed the checks",
    SCHEMA: "its result did not fit its schema",
}


def supervise(step: StepState, call: Call, *, late: bool) -> str:
    """How the step ends after this attempt: "done", "dropped" (an optional one is done without), "failed" or "cancelled";
    empty if it is tried again.

    Another attempt is worth its cost where chance was at work (a model, a provider, a crash), not where the same would come
    of it; never when the turn is `late`, or when what the first one changed in the world could happen twice.
    """
    if call.outcome == "completed":
        return "done"
    if call.outcome == "cancelled" and reason_of(call) == "answered":
        return "cancelled"
    if step.spec.optional:
        return "dropped"
    called_off = call.outcome == "cancelled" or late
    again = step.attempts <= RETRIES_MAX and reason_of(call) not in _FINAL and not called_off and not call.acted
    return "" if again else "failed"


def emptiness(answer: Answer, move: Body | None, *, typed: bool) -> str:
    """Why an answer that was accepted serves nobody, as the reason its scope fails with; empty if it does.

    `move` is the answer call, `typed` says that the agent declares a schema for its result.
    """
    if typed and answer.value is None:
        return SCHEMA
    if answer.sentences or answer.claims or answer.value is not None:
        return ""
    said = move.arguments if isinstance(move, ToolCall) else {}
    return UNSUPPORTED if said.get("sentences") or said.get("claims") else NOTHING_FOUND


def reason_of(call: Call) -> str:
    """Why an attempt came to nothing, as a code."""
    return call.fault.code if call.fault is not None else call.outcome


def losses(turn: Turn) -> list[str]:
    """In a sentence each, what an answer lacks without the specialists that were lost."""
    lost = [s for s in turn.steps.values() if s.spec.kind == "agent" and s.outcome in LOST and s.reason != "answered"]
    names = ((f"The specialist `{s.spec.does}`" if s.spec.does != "?" else "A specialist", _why(turn, s)) for s in lost)
    return [f"{name} was lost: {why}." for name, why in names]


def _why(turn: Turn, step: StepState) -> str:
    call = turn.calls.get(step.call)
    return words(step.reason) if call is None else words_of(call, step.reason)


def words_of(call: Call, reason: str) -> str:
    """Why an attempt that is over came to nothing, in words."""
    return TOLD_TO_STOP if call.outcome == "cancelled" and reason != "withdrawn" else words(reason)


def words(reason: str) -> str:
    """The reason of a loss in words."""
    return _WORDS.get(reason, "no model could do its work")
