"""pending(state) and wakes(state): what the world still owes the session, and when to look again. The log is the outbox."""

from __future__ import annotations

import msgspec

from standpipe.core.amounts import NOTHING
from standpipe.core.details import ASK
from standpipe.core.effects import asked_from
from standpipe.core.plan import SCOPE_CALLS_MAX
from standpipe.core.state import Call, State, Turn, shares


class Perform(msgspec.Struct, frozen=True):
    """The world owes us what comes of this call."""

    call: str


class Remember(msgspec.Struct, frozen=True):
    """What this turn produced is not yet to be found by later ones."""

    turn: str


class Approve(msgspec.Struct, frozen=True):
    """A person has not yet answered this."""

    ask: str


Command = Perform | Remember | Approve
"""Something to be done outside; doing it twice is made harmless by its id."""


def pending(state: State) -> list[Command]:
    """All that is owed: calls granted and not over, questions to people, answers to be remembered.

    A call that is not in it any more though it is still open is no longer wanted: whoever performs it gives it up. What a
    specialist does is owed by the calls of its scope.
    """
    owed: list[Command] = [Remember(c.turn) for c in state.closed if not c.remembered]
    for turn in open_turns(state):
        owed += [Perform(call.id) for call in performed(turn) if _wanted(turn, call)]
        owed += [Approve(ask.id) for ask in turn.asks.values() if not ask.outcome and ask.step in turn.live]
    return owed


def open_turns(state: State) -> list[Turn]:
    """The open scopes and the open turn."""
    return [share.turn for share in shares(state) if share.turn is not None]


def performed(turn: Turn) -> list[Call]:
    """The open calls of a share that somebody outside performs."""
    return [call for call in (turn.calls[id] for id in turn.open) if not call.scope]


def _wanted(turn: Turn, call: Call) -> bool:
    if call.purpose:  # what follows an effect comes to its end, however the turn ends
        return not (call.purpose == ASK and turn.let_go)
    if turn.stopped or turn.answered:
        return False
    return call.route is None or not any(id in turn.shown for id in turn.withdrawn)


def wakes(state: State) -> int | None:
    """When to look again, in ms since 1970, if nothing happens before; None if only an event can change anything."""
    turn = state.turn
    if turn is None:
        return None
    times = []
    for share in open_turns(state):
        times += [ask.until for ask in share.asks.values() if not ask.outcome and ask.step in share.live]
        if not share.parked_at and not share.hard:
            times.append(share.deadline_at if share.soft else share.soft_at)
        times += _doubts(share)
        if share.let_go_at and not share.let_go:
            times.append(share.let_go_at)
    return min(times, default=None)


def _doubts(turn: Turn) -> list[int]:
    """When it may be asked what came of attempts whose process is gone; while all slots are taken, it need not be looked."""
    if turn.kept == NOTHING or turn.parked_at or turn.let_go or len(turn.open) >= SCOPE_CALLS_MAX:
        return []
    live = (turn.steps[id] for id in turn.live)
    doubtful = (s for s in live if s.effect is not None and s.effect.asking != NOTHING and s.call not in turn.open)
    return [at for step in doubtful if (at := asked_from(turn, step))]
