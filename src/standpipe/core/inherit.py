"""What a fork takes over of the session it was forked from: everything but what that one holds and did; no rule stands here."""

from __future__ import annotations

from msgspec.structs import replace

from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.events import SessionForked
from standpipe.core.state import State, Turn


def spent_before(turn: Turn) -> Amounts:
    """What a turn and its open scopes have used so far."""
    return sum((share.spent for share in turn.scopes.values()), turn.spent)


def inherit(state: State, fact: SessionForked, seq: int) -> None:
    """The row of SessionForked in the table of `apply`: the session is another one, which has spent nothing yet."""
    of, turn = state.session, state.turn
    state.session, state.parent, state.spent, state.parked = fact.session, fact.parent, NOTHING, ""
    state.recorded = {}
    for one in fact.recorded:
        state.recorded.setdefault(one.intent, []).append(one.seq)
    if turn is None:
        return
    for share in (turn, *turn.scopes.values()):
        _let_go(share)
        _move(share, fact.later_ms)
        for step in (share.steps[id] for id in share.live):
            step.session = step.session or of
    turn.before = spent_before(turn)
    amounts = turn.limits.amounts.capped(microusd=turn.before.microusd + fact.microusd)
    turn.limits, turn.accounts = replace(turn.limits, amounts=amounts), fact.accounts


def _let_go(share: Turn) -> None:
    """What is held for calls that the parent made is the parent's, and so are its effects to take back; nobody has
    approved anything yet."""
    for call in (share.calls[id] for id in share.unsettled):
        if not call.scope:
            share.held = share.held - call.hold
            call.hold = NOTHING
    for step in share.steps.values():
        step.kept = NOTHING
        if step.effect is not None:
            step.effect = replace(step.effect, asking=NOTHING, undo="", undoing=NOTHING)
    share.kept, share.deeds = NOTHING, {}
    for ask in share.asks.values():
        if (ask.kind, ask.outcome) == ("approval", "allowed") and ask.step in share.live:
            ask.outcome = ""


def _move(share: Turn, by_ms: int) -> None:
    """Every instant of the share, moved by the time that passed since the cut: none of it was the fork's."""
    share.soft_at += by_ms
    share.deadline_at += by_ms
    for name in ("parked_at", "parked_until", "let_go_at", "unwind_until"):
        if at := getattr(share, name):
            setattr(share, name, at + by_ms)
    for ask in share.asks.values():
        ask.until += by_ms
