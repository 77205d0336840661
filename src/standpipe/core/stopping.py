"""When a turn or a scope rests or is told to stop: deadlines, recalls, messages called off, and waiting for people."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe.core import events as e
from standpipe.core import pending, plan
from standpipe.core.details import outranks
from standpipe.core.record import Recorder
from standpipe.core.state import State, open_turn
from standpipe.core.world import World


def watch_time(state: State, world: World, now: int) -> Sequence[e.Event]:
    """Deadlines stand still while the turn is parked; what a person was asked expires on its own."""
    turn = open_turn(state)
    grace = turn.let_go_at and not turn.let_go and now >= turn.let_go_at
    if not turn.asks and not grace and (turn.parked_at or now < turn.soft_at or (now < turn.deadline_at and turn.soft)):
        return ()
    record = Recorder(state.seq)
    if grace:
        record.add(e.DeadlinePassed(turn.id, "grace"), turn.cancelled_at)
    for ask in turn.asks.values():
        if not ask.outcome and ask.step in turn.live and now >= ask.until:
            record.add(e.AskExpired(ask.id), ask.asked)
    if turn.parked_at:
        return record.events
    if now >= turn.deadline_at and not turn.hard:
        record.add(e.DeadlinePassed(turn.id, "hard"), turn.started)
    elif now >= turn.soft_at and not turn.soft:
        record.add(e.DeadlinePassed(turn.id, "soft"), turn.started)
    return record.events


def recall(state: State, world: World, now: int) -> Sequence[e.Event]:
    """A specialist whose result can serve nobody any more is told to stop."""
    turn = open_turn(state)
    if not turn.scopes:
        return ()
    record = Recorder(state.seq)
    ending = turn.cancel if turn.stopped else "deadline" if turn.hard else "answered" if turn.answered else ""
    for scope in turn.scopes.values():
        gone = turn.steps[turn.calls[scope.id].step].spec.item in turn.withdrawn
        firm = ending or ("withdrawn" if gone else "" if scope.agent in world.agents else "not_found")
        level = "firm" if firm else turn.level
        if outranks(level, scope.level):
            told = e.ScopeCancelled(scope.id, firm or turn.cancel, level)
            record.add(told, turn.cancelled_at or turn.judged, scope.started)
    return record.events


def unpark(state: State, world: World, now: int) -> Sequence[e.Event]:
    """A parked turn goes on as soon as one of its questions is closed, or when it, or a specialist, is told to stop."""
    turn = open_turn(state)
    if not turn.parked_at or turn.agent:
        return ()
    record = Recorder(state.seq)
    closed = [a for t in pending.open_turns(state) for a in t.asks.values() if a.outcome and a.step in t.live]
    called_off = [scope.cancelled_at for scope in turn.scopes.values() if scope.cancel]
    if closed or called_off or turn.level:
        shift = now - turn.parked_at
        causes = (*(a.asked for a in closed), *called_off, turn.cancelled_at)
        record.add(e.TurnUnparked(turn.id, turn.soft_at + shift, turn.deadline_at + shift), *causes)
    return record.events


def park(state: State, world: World, now: int) -> Sequence[e.Event]:
    """When only people can go on, the turn waits for them without holding anything but its slice."""
    turn = open_turn(state)
    if turn.parked_at or turn.agent or not (turn.asks or turn.scopes):
        return ()
    record, turns = Recorder(state.seq), pending.open_turns(state)
    asks = [a for t in turns for a in t.asks.values() if not a.outcome and a.step in t.live]
    waits = {a.step for a in asks}
    idle = not any(pending.performed(t) for t in turns) and all(s.spec.id in waits for t in turns for s in plan.ready(t))
    if asks and idle:
        record.add(e.TurnParked(turn.id, now, min(a.until for a in asks)), *(a.asked for a in asks))
    return record.events


def call_off(state: State) -> Sequence[e.Event]:
    """A message that waits and is not wanted any more ends without ever having begun."""
    record = Recorder(state.seq)
    for turn, (cause, seq) in state.called_off.items():
        record.add(e.TurnEnded(turn, "cancelled", cause), seq)
    return record.events
