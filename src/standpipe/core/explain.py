"""Log -> answers about the log: what a turn came to, and the causal chain behind a sentence, a step or an item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from standpipe.core.details import Usage
from standpipe.core.events import (
    CallCompleted,
    CallFailed,
    CallGranted,
    Event,
    Frame,
    PlanPatched,
    TurnEnded,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.items import Answer, Item, Source


class Summary(msgspec.Struct, frozen=True):
    """What one turn came to; `outcome` is empty while it runs. Times are wall time in ms since 1970."""

    turn: str
    outcome: str = ""
    reason: str = ""
    answer: Item | None = None
    withdrawn: tuple[Source, ...] = ()
    cost_microusd: int = 0
    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    plan_epochs: int = 0
    requested_at: int = 0
    ended_at: int = 0

    @property
    def body(self) -> Answer | None:
        """The answer itself, if there is one and its body was not erased."""
        body = self.answer.body if self.answer is not None else None
        return body if isinstance(body, Answer) else None


def summarise(frames: Iterable[Frame], turn: str) -> Summary:
    """The summary of a turn from frames that hold all of its events."""
    seen = Summary(turn)
    current = ""
    for frame in frames:
        for event in frame.events:
            if isinstance(event.fact, TurnStarted):
                current = event.fact.turn
            seen = _counted(seen, event, frame.at, current)
    return seen


def _counted(seen: Summary, event: Event, at: int, current: str) -> Summary:
    fact = event.fact
    match fact:
        case TurnRequested(turn=turn) if turn == seen.turn:
            return msgspec.structs.replace(seen, requested_at=at)
        case TurnEnded(turn=turn) if turn == seen.turn:
            return msgspec.structs.replace(
                seen,
                outcome=fact.outcome,
                reason=fact.reason,
                answer=fact.items[0] if fact.items else None,
                withdrawn=fact.withdrawn,
                cost_microusd=fact.spent.microusd,
                ended_at=at,
            )
        case _ if current != seen.turn or seen.outcome:
            return seen
        case CallGranted(route=route):
            models = seen.model_calls + (route is not None)
            return msgspec.structs.replace(seen, model_calls=models, tool_calls=seen.tool_calls + (route is None))
        case CallCompleted(usage=usage) | CallFailed(usage=usage):
            return msgspec.structs.replace(seen, tokens=seen.tokens + _tokens(usage))
        case PlanPatched(epoch=epoch):
            return msgspec.structs.replace(seen, plan_epochs=epoch)
        case _:
            return seen


def _tokens(usage: Usage | None) -> int:
    return usage.input_tokens + usage.output_tokens if usage is not None else 0


def turns_of(frames: Sequence[Frame]) -> list[str]:
    """The ids of the turns that were ever asked for, in order."""
    return [e.fact.turn for f in frames for e in f.events if isinstance(e.fact, TurnRequested)]
