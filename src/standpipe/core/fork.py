"""How a session is forked: what must be held anew, and which calls of the parent answer the same calls of the fork."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from standpipe.core import budget, intents, permit, plan
from standpipe.core.admit import Refusal
from standpipe.core.apply import apply
from standpipe.core.details import NOT_SENT, Recorded
from standpipe.core.events import (
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallGranted,
    Event,
    Frame,
    SessionForked,
    TurnEnded,
)
from standpipe.core.ids import step_of
from standpipe.core.inherit import spent_before
from standpipe.core.record import Recorder
from standpipe.core.state import Call, State, share_of
from standpipe.core.tools import AgentSpec
from standpipe.core.world import World


class Fork(msgspec.Struct, frozen=True):
    """The wish for a session of its own that shares a log up to its frame with digest `head`, written at `at_ms`."""

    session: str
    head: str
    at_ms: int
    by: str
    recorded: tuple[Recorded, ...] = ()


def accounts(state: State, wish: Fork, world: World, now: int) -> tuple[str, ...]:
    """The ledger rows that the turn open at the cut draws on in the fork; none where no turn is open."""
    own = msgspec.structs.replace(state, session=wish.session)
    day = datetime.fromtimestamp(now / 1000, UTC).date().isoformat()
    return budget.accounts(world.policy, own, day) if state.turn is not None else ()


def forked(state: State, wish: Fork, world: World, now: int) -> list[Event] | Refusal:
    """The fact that a fork of `state`, the session at the cut, begins with; or why it cannot. `world` has the balances of
    `accounts`. What is left of the open turn's slice is held anew, as far as there is any."""
    names, turn, held = accounts(state, wish, world, now), state.turn, 0
    if turn is not None:
        left = turn.limits.amounts.microusd - spent_before(turn).microusd
        open_slices = sum(scope.limits.amounts.microusd - scope.spent.microusd for scope in turn.scopes.values())
        needed = min(left, turn.reserve.microusd + open_slices)
        room = budget.account_room(world.policy, state, world.balances, names)
        held = left if room is None else min(left, room)
        if held < needed:
            return Refusal(
                "budget",
                f"The turn that is open at seq {state.seq} needs {needed} micro-dollars to come to an end, and {max(held, 0)} "
                "are left to this session: raise a limit, or fork at the end of a turn.",
            )
    later_ms = max(0, now - wish.at_ms)
    fact = SessionForked(wish.session, state.session, state.seq, wish.head, later_ms, held, names, wish.recorded)
    record = Recorder(state.seq)
    record.add(fact, state.seq, by=wish.by)
    return record.events


# --- what the parent's calls came to -----------------------------------------------------------------------------------


def changes_the_world(agents: Mapping[str, AgentSpec], agent: str, call: Call) -> bool:
    """Whether a call may change the world; one of a tool that is gone may have."""
    spec = agents.get(agent)
    tool = permit.tool_of(spec, call.target) if spec is not None else None
    return call.route is None and not call.scope and (tool is None or tool.effect != "read")


def rest(
    state: State, frames: Iterable[Frame], agents: Mapping[str, AgentSpec], *, every: bool
) -> tuple[tuple[Recorded, ...], dict[str, int]]:
    """What calls of the turn that is open or next at the cut came to after it: by intent, and by call those that were open.

    `state` is the session at the cut and is folded on. Without `every` only calls that may change the world are told: where
    nothing is recorded of one that was sent, by the event of its grant, as nobody knows whether it acted.
    """
    name = state.turn.id if state.turn is not None else state.waiting[0].turn if state.waiting else ""
    known: dict[str, str] = {}
    found: dict[str, int] = {}
    for event in (event for frame in frames for event in frame.events):
        apply(state, event)
        match event.fact:
            case CallGranted(call=id):
                known[id] = _intent(state, id, agents, every=every)
                if known[id] and changes_the_world(agents, share_of(state, id).agent, _call(state, id)):
                    found[id] = event.seq
            case CallCancelled(call=id, cause=cause, unknown=unknown):
                if cause == NOT_SENT or not unknown:
                    found.pop(id, None)
            case CallCompleted(call=id):
                found[id] = event.seq
            case CallFailed(call=id) if id in found or id not in known:
                found[id] = event.seq
            case TurnEnded(turn=ended) if ended == name:
                break
            case _:
                pass
    last = {step_of(id): id for id in found if known.get(id)}
    return tuple(Recorded(known[id], found[id]) for id in last.values()), found


def _call(state: State, id: str) -> Call:
    turn = share_of(state, id).turn
    assert turn is not None
    return turn.calls[id]


def _intent(state: State, id: str, agents: Mapping[str, AgentSpec], *, every: bool) -> str:
    """The intent of a call that was just granted; empty for one that answers no other."""
    share, call = share_of(state, id), _call(state, id)
    turn = share.turn
    assert turn is not None
    if call.scope or not (every or changes_the_world(agents, share.agent, call)):
        return ""
    if call.route is None:
        move = plan.move_of(turn, turn.steps[call.step].spec)
        return intents.of_tool(share.agent, call.target, move.arguments) if move is not None else ""
    closed = {item.id: item for c in state.closed for item in (c.question, c.answer) if item is not None}
    shown = [item for id in turn.shown if (item := turn.items.get(id) or closed.get(id)) is not None]
    return intents.of_model(share.agent, call.target, shown, final=call.manifest is not None and call.manifest.final)
