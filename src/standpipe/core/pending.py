"""pending(state) and wakes(state): what the world still owes the session, and when to look again. The log is the outbox."""

from __future__ import annotations

import msgspec

from standpipe.core.state import Call, State, Turn


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

    A call that is not in it any more though it is still open is no longer wanted: whoever performs it gives it up.
    """
    owed: list[Command] = [Remember(c.turn) for c in state.closed if not c.remembered]
    turn = state.turn
    if turn is not None:
        owed += [Perform(id) for id in turn.open if _wanted(turn, turn.calls[id])]
        owed += [Approve(ask.id) for ask in turn.asks.values() if not ask.outcome and ask.step in turn.live]
    return owed


def _wanted(turn: Turn, call: Call) -> bool:
    if turn.cancel or turn.answered:
        return False
    return call.route is None or not any(id in turn.shown for id in turn.withdrawn)


def wakes(state: State) -> int | None:
    """When to look again, in ms since 1970, if nothing happens before; None if only an event can change anything."""
    turn = state.turn
    if turn is None:
        return None
    times = [ask.until for ask in turn.asks.values() if not ask.outcome and ask.step in turn.live]
    if not turn.parked_at and not turn.hard:
        times.append(turn.deadline_at if turn.soft else turn.soft_at)
    return min(times, default=None)
