"""What facts about stopping change: deadlines that passed, cancellation and its levels, parking; no rule stands here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from standpipe.core import events as e
from standpipe.core.details import outranks
from standpipe.core.state import REQUESTS_KEPT, State, Turn, open_turn, share_named


def remember_request(state: State, request: str) -> None:
    """The request id was admitted; the oldest remembered one gives way."""
    state.requests.append(request)
    del state.requests[:-REQUESTS_KEPT]


def _stop(turn: Turn, fact: e.CancelRequested | e.ScopeCancelled, seq: int) -> None:
    """A turn or a scope is told to stop; what was told before it at a higher level stands."""
    if not outranks(turn.level, fact.level):
        turn.level, turn.cancel, turn.cancelled_at = fact.level, fact.cause, seq
        turn.soft = True
        turn.let_go_at = fact.until if isinstance(fact, e.CancelRequested) else 0


def _cancel_requested(state: State, fact: e.CancelRequested, seq: int) -> None:
    remember_request(state, fact.request)
    turn = state.turn
    if turn is None or turn.id != fact.turn:
        if any(asked.turn == fact.turn for asked in state.waiting):
            state.called_off[fact.turn] = (fact.cause, seq)
    elif fact.scope in ("", "session") or fact.scope in turn.scopes:
        _stop(turn.scopes.get(fact.scope, turn), fact, seq)


def _scope_cancelled(state: State, fact: e.ScopeCancelled, seq: int) -> None:
    _stop(open_turn(state).scopes[fact.scope], fact, seq)


def _deadline_passed(state: State, fact: e.DeadlinePassed, seq: int) -> None:
    turn = share_named(state, fact.turn)
    turn.soft = True
    turn.hard = turn.hard or fact.which == "hard"
    if fact.which == "grace":
        for share in (turn, *turn.scopes.values()):
            share.let_go = True


def _turn_parked(state: State, fact: e.TurnParked, seq: int) -> None:
    turn = open_turn(state)
    turn.parked_until = fact.until
    for share in (turn, *turn.scopes.values()):
        share.parked_at = fact.at


def _turn_unparked(state: State, fact: e.TurnUnparked, seq: int) -> None:
    turn = open_turn(state)
    shift = fact.deadline_at - turn.deadline_at
    turn.parked_until = 0
    for share in (turn, *turn.scopes.values()):
        share.parked_at = 0
        share.soft_at, share.deadline_at = share.soft_at + shift, share.deadline_at + shift


def _session_parked(state: State, fact: e.SessionParked, seq: int) -> None:
    state.parked = fact.reason


def _session_unparked(state: State, fact: e.SessionUnparked, seq: int) -> None:
    remember_request(state, fact.request)
    state.parked = ""


HALTS: dict[type, Callable[[State, Any, int], None]] = {
    e.CancelRequested: _cancel_requested,
    e.ScopeCancelled: _scope_cancelled,
    e.DeadlinePassed: _deadline_passed,
    e.TurnParked: _turn_parked,
    e.TurnUnparked: _turn_unparked,
    e.SessionParked: _session_parked,
    e.SessionUnparked: _session_unparked,
}
"""The row of each such fact in the table of `apply`."""
