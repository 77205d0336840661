"""How a session is forked: what must be held anew, and which calls of the parent answer the same calls of the fork."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from standpipe.core import budget, intents, permit, plan
from standpipe.core.admit import Refusal
from standpipe.core.apply import apply
from standpipe.core.details import ABSENT, Recorded
from standpipe.core.events import (
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallGranted,
    CallInterrupted,
    Event,
    Frame,
    SessionForked,
    StepEnded,
    TurnEnded,
)
from standpipe.core.ids import step_of
from standpipe.core.inherit import spent_before
from standpipe.core.record import Recorder
from standpipe.core.state import Call, State, share_of
from standpipe.core.tools import AgentSpec
from standpipe.core.world import World


class Fork(msgspec.Struct, frozen=True):
    """The wish for a session that shares the log of `parent` up to its frame with digest `head`, written at `at_ms`."""

    session: str
    parent: str
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
    if turn is not None and any(share.unwind is not None for share in (turn, *turn.scopes.values())):
        text = f"At seq {state.seq} what was done is being taken back, which only the session itself may do: fork before that."
        return Refusal("unwinding", text)
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
    fact = SessionForked(wish.session, wish.parent, state.seq, wish.head, later_ms, held, names, wish.recorded)
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
    """What calls of the turn that is open or next at the cut came to after it: by intent, and by step the event that says it.

    `state` is the session at the cut and is folded on. Of each step its last attempt that was sent counts. Without `every` only
    calls that may change the world are told by intent: where nothing is recorded of one, by an event that says so, as nobody
    knows whether it acted.
    """
    name = state.turn.id if state.turn is not None else state.waiting[0].turn if state.waiting else ""
    rest = _Rest()
    for event in (event for frame in frames for event in frame.events):
        apply(state, event)
        match event.fact:
            case CallGranted(purpose="", call=call):
                acts = changes_the_world(agents, share_of(state, call).agent, _call(state, call))
                rest.granted(call, event.seq, _intent(state, call) if acts or every else "", acts=acts)
            case CallCompleted() | CallFailed() | CallCancelled() | CallInterrupted() as fact:
                rest.over(fact, event.seq)
            case StepEnded(outcome="done", step=step) if (undone := _undone(state, step)) is not None:
                rest.found.pop(undone, None)
            case TurnEnded(turn=ended) if ended == name:
                break
            case _:
                pass
    return tuple(Recorded(rest.intents[step], seq) for step, seq in rest.found.items()), rest.ended


class _Rest:
    """By step: its intent, the event that answers it, the event that ended it, and the attempts that may have acted."""

    def __init__(self) -> None:
        self.intents: dict[str, str] = {}
        self.found: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.sent: dict[str, set[str]] = {}

    def granted(self, call: str, seq: int, intent: str, *, acts: bool) -> None:
        """An attempt to do what the step says."""
        step = step_of(call)
        if intent:
            self.intents[step] = intent
        if intent and acts:
            self.found[step] = seq
            self.sent.setdefault(step, set()).add(call)

    def over(self, fact: CallCompleted | CallFailed | CallCancelled | CallInterrupted, seq: int) -> None:
        """An attempt, or a question what came of one, came to an end."""
        step = step_of(fact.call)
        sent = self.sent.get(step, set())
        if isinstance(fact, CallCancelled) and not fact.unknown:
            self.ended.setdefault(step, seq)
            sent.discard(fact.call)
            if not sent:
                self.found.pop(step, None)
        elif isinstance(fact, CallFailed) and fact.fault.code == ABSENT:
            self.found.pop(step, None)
        elif isinstance(fact, CallCompleted) or not isinstance(fact, CallFailed) or fact.call in sent:
            self.ended[step] = seq
            if step in self.intents and (fact.call in sent or isinstance(fact, CallCompleted)):
                self.found[step] = seq


def _undone(state: State, step: str) -> str | None:
    """The step whose effect this one took back, if it is one that does."""
    turn = share_of(state, f"{state.turn.id}.{step}").turn if state.turn is not None else None
    spec = turn.steps[step].spec if turn is not None and step in turn.steps else None
    return spec.undoes if spec is not None and spec.kind == "undo" else None


def _call(state: State, id: str) -> Call:
    turn = share_of(state, id).turn
    assert turn is not None
    return turn.calls[id]


def _intent(state: State, id: str) -> str:
    """The intent of a call that was just granted; empty for one that answers no other."""
    share, call = share_of(state, id), _call(state, id)
    turn = share.turn
    assert turn is not None
    if call.scope:
        return ""
    if call.route is None:
        move = plan.move_of(turn, turn.steps[call.step].spec)
        return intents.of_tool(share.agent, call.target, move.arguments) if move is not None else ""
    closed = {item.id: item for c in state.closed for item in (c.question, c.answer) if item is not None}
    shown = [item for id in turn.shown if (item := turn.items.get(id) or closed.get(id)) is not None]
    return intents.of_model(share.agent, call.target, shown, final=call.manifest is not None and call.manifest.final)
