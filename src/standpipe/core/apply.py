"""apply(state, event): what a fact changes. Total and silent: history is never argued with, and no rule stands here.

`apply` changes the state in place and returns it; whoever wants the old one folds again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from standpipe.core.amounts import Amounts
from standpipe.core.details import NOT_SENT, Fault
from standpipe.core.events import (
    Answered,
    AnswerJudged,
    Asked,
    AskExpired,
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallGranted,
    CallInterrupted,
    CallRefused,
    CancelRequested,
    DeadlinePassed,
    Event,
    Fact,
    FolderSynced,
    Frame,
    HoldSettled,
    ItemsWithdrawn,
    MemoryKept,
    PlanPatched,
    RelationsChanged,
    SessionOpened,
    StepEnded,
    TurnEnded,
    TurnParked,
    TurnRequested,
    TurnStarted,
    TurnUnparked,
)
from standpipe.core.ids import step_of
from standpipe.core.items import Item
from standpipe.core.state import CLOSED_KEPT, REQUESTS_KEPT, Ask, Call, Closed, State, StepState, Turn


def apply(state: State, event: Event) -> State:
    """The state after one more event, changed in place."""
    _ROWS[type(event.fact)](state, event.fact, event.seq)
    state.seq = event.seq
    return state


def fold(frames: Iterable[Frame], state: State | None = None) -> State:
    """The state after these frames, from the beginning or from `state`."""
    state = state if state is not None else State()
    for frame in frames:
        for event in frame.events:
            apply(state, event)
    return state


def _open(state: State) -> Turn:
    assert state.turn is not None, "a fact of a turn outside of one"
    return state.turn


def _take(turn: Turn, items: tuple[Item, ...], seq: int) -> None:
    for item in items:
        turn.items[item.id] = item
        turn.item_seq[item.id] = seq
        if item.step in turn.steps:
            turn.steps[item.step].items.append(item.id)
        for source in item.label.sources:
            turn.sources[source] = turn.sources.get(source, 0) + 1


def _remember_request(state: State, request: str) -> None:
    state.requests.append(request)
    del state.requests[:-REQUESTS_KEPT]


def _session_opened(state: State, fact: SessionOpened, seq: int) -> None:
    state.session, state.tenant, state.principal, state.agent = fact.session, fact.tenant, fact.principal, fact.agent


def _turn_requested(state: State, fact: TurnRequested, seq: int) -> None:
    state.turns += 1
    state.folders = fact.folders
    state.waiting.append(fact)
    state.waiting_seq.append(seq)
    _remember_request(state, fact.request)


def _turn_started(state: State, fact: TurnStarted, seq: int) -> None:
    asked, requested = state.waiting.pop(0), state.waiting_seq.pop(0)
    turn = Turn(
        id=fact.turn,
        request=asked.request,
        question=asked.items[0].id,
        requested=requested,
        folders=asked.folders,
        limits=fact.limits,
        reserve=fact.reserve,
        accounts=fact.accounts,
        soft_at=fact.soft_at,
        deadline_at=fact.deadline_at,
        started=seq,
    )
    _take(turn, asked.items, requested)
    state.turn = turn


def _plan_patched(state: State, fact: PlanPatched, seq: int) -> None:
    turn = _open(state)
    turn.epoch = fact.epoch
    for step in fact.add:
        turn.steps[step.id] = StepState(spec=step, added=seq, epoch=fact.epoch, why=fact.why.code)
        turn.live[step.id] = None
    if fact.why.code == "plan":
        turn.parts_item = fact.why.item
    turn.spent = turn.spent + Amounts(steps=len(fact.add))
    _take(turn, fact.items, seq)


def _call_granted(state: State, fact: CallGranted, seq: int) -> None:
    turn = _open(state)
    step = turn.steps[fact.step]
    step.call = fact.call
    step.attempts += 1
    turn.calls[fact.call] = Call(
        id=fact.call,
        step=fact.step,
        target=fact.target,
        attempt=step.attempts,
        hold=fact.hold,
        deadline_at=fact.deadline_at,
        key=fact.key,
        permit=fact.permit,
        granted=seq,
        route=fact.route,
        manifest=fact.manifest,
    )
    turn.open[fact.call] = None
    turn.unsettled[fact.call] = None
    turn.held = turn.held + fact.hold
    if fact.manifest is not None:
        for gone in fact.manifest.dropped:
            turn.shown.pop(gone.item, None)
        for new in fact.manifest.added:
            turn.shown[new.item] = new.why
        turn.shown_digest = fact.manifest.digest


def _call_refused(state: State, fact: CallRefused, seq: int) -> None:
    turn = _open(state)
    if fact.step in turn.steps:
        turn.steps[fact.step].refused = fact.code
    _take(turn, fact.items, seq)


def _end_call(turn: Turn, id: str, outcome: str, seq: int) -> Call:
    call = turn.calls[id]
    call.outcome, call.ended = outcome, seq
    turn.open.pop(id, None)
    return call


def _call_completed(state: State, fact: CallCompleted, seq: int) -> None:
    turn = _open(state)
    call = _end_call(turn, fact.call, "completed", seq)
    call.verdicts = fact.verdicts
    if fact.usage is not None:
        call.input_tokens, call.output_tokens = fact.usage.input_tokens, fact.usage.output_tokens
    call.items = tuple(item.id for item in fact.items)
    if call.route is not None:
        turn.provider_successes[call.route.provider] = turn.provider_successes.get(call.route.provider, 0) + 1
    _take(turn, fact.items, seq)


def _call_failed(state: State, fact: CallFailed, seq: int) -> None:
    turn = _open(state)
    call = _end_call(turn, fact.call, "failed", seq)
    call.fault, call.unknown = fact.fault, fact.unknown
    if fact.usage is not None:
        call.input_tokens, call.output_tokens = fact.usage.input_tokens, fact.usage.output_tokens
    if call.route is not None:
        turn.steps[call.step].failed.append(call.target)
        turn.provider_failures[call.route.provider] = turn.provider_failures.get(call.route.provider, 0) + 1
        turn.failed_models[call.target] = None
    _take(turn, fact.items, seq)


def _call_cancelled(state: State, fact: CallCancelled, seq: int) -> None:
    turn = _open(state)
    call = _end_call(turn, fact.call, "cancelled", seq)
    call.fault, call.unknown = Fault(fact.cause), fact.unknown
    turn.steps[call.step].unsent += fact.cause == NOT_SENT


def _call_interrupted(state: State, fact: CallInterrupted, seq: int) -> None:
    turn = _open(state)
    _end_call(turn, fact.call, "interrupted", seq)
    turn.steps[step_of(fact.call)].interrupted += 1


def _hold_settled(state: State, fact: HoldSettled, seq: int) -> None:
    turn = _open(state)
    call = turn.calls[fact.call]
    call.settled = True
    turn.unsettled.pop(fact.call, None)
    turn.held = turn.held - call.hold
    turn.spent = turn.spent + fact.spent


def _step_ended(state: State, fact: StepEnded, seq: int) -> None:
    turn = _open(state)
    step = turn.steps[fact.step]
    step.outcome, step.ended = fact.outcome, seq
    turn.live.pop(fact.step, None)
    _take(turn, fact.items, seq)


def _items_withdrawn(state: State, fact: ItemsWithdrawn, seq: int) -> None:
    turn = _open(state)
    for id in fact.ids:
        turn.withdrawn[id] = None
        for source in turn.items[id].label.sources:
            turn.sources[source] -= 1
            if not turn.sources[source]:
                del turn.sources[source]
    for source in fact.sources:
        turn.withdrawn_sources[source] = None
    if turn.parts_item in turn.withdrawn:
        turn.parts_item = ""


def _answer_judged(state: State, fact: AnswerJudged, seq: int) -> None:
    turn = _open(state)
    if fact.action == "resample":
        turn.resampled += 1
    else:
        turn.answer_call, turn.judged = fact.call_item, seq
    _take(turn, fact.items, seq)


def _asked(state: State, fact: Asked, seq: int) -> None:
    _open(state).asks[fact.ask] = Ask(id=fact.ask, step=fact.step, kind=fact.kind, until=fact.until, asked=seq)


def _answered(state: State, fact: Answered, seq: int) -> None:
    turn = _open(state)
    turn.asks[fact.ask].outcome = "allowed" if fact.allow else "denied"
    _remember_request(state, fact.request)
    _take(turn, fact.items, seq)


def _ask_expired(state: State, fact: AskExpired, seq: int) -> None:
    _open(state).asks[fact.ask].outcome = "expired"


def _turn_parked(state: State, fact: TurnParked, seq: int) -> None:
    turn = _open(state)
    turn.parked_at, turn.parked_until = fact.at, fact.until


def _turn_unparked(state: State, fact: TurnUnparked, seq: int) -> None:
    turn = _open(state)
    turn.parked_at = turn.parked_until = 0
    turn.soft_at, turn.deadline_at = fact.soft_at, fact.deadline_at


def _deadline_passed(state: State, fact: DeadlinePassed, seq: int) -> None:
    turn = _open(state)
    turn.soft = True
    turn.hard = turn.hard or fact.which == "hard"


def _cancel_requested(state: State, fact: CancelRequested, seq: int) -> None:
    _remember_request(state, fact.request)
    if state.turn is not None and state.turn.id == fact.turn:
        state.turn.cancel, state.turn.cancelled_at = fact.cause, seq


def _turn_ended(state: State, fact: TurnEnded, seq: int) -> None:
    turn = state.turn
    if turn is None:
        asked, _ = state.waiting.pop(0), state.waiting_seq.pop(0)
        question = asked.items[0]
    else:
        question = turn.items[turn.question]
    state.turn = None
    state.spent = state.spent + fact.spent
    closed = Closed(
        turn=fact.turn,
        question=msgspec.structs.replace(question, body=None),
        answer=msgspec.structs.replace(fact.items[0], body=None) if fact.items else None,
        outcome=fact.outcome,
        reason=fact.reason,
        cost_microusd=fact.spent.microusd,
        ended=seq,
        remembered=not fact.items,
    )
    state.closed.append(closed)
    del state.closed[:-CLOSED_KEPT]


def _memory_kept(state: State, fact: MemoryKept, seq: int) -> None:
    state.closed = [msgspec.structs.replace(c, remembered=True) if c.turn == fact.turn else c for c in state.closed]


def _of_the_house(state: State, fact: Fact, seq: int) -> None:
    """House facts change tables, not a session's state."""


_ROWS: dict[type, Callable[[State, Any, int], None]] = {
    SessionOpened: _session_opened,
    TurnRequested: _turn_requested,
    TurnStarted: _turn_started,
    PlanPatched: _plan_patched,
    CallGranted: _call_granted,
    CallRefused: _call_refused,
    CallCompleted: _call_completed,
    CallFailed: _call_failed,
    CallCancelled: _call_cancelled,
    CallInterrupted: _call_interrupted,
    HoldSettled: _hold_settled,
    StepEnded: _step_ended,
    ItemsWithdrawn: _items_withdrawn,
    AnswerJudged: _answer_judged,
    Asked: _asked,
    Answered: _answered,
    AskExpired: _ask_expired,
    TurnParked: _turn_parked,
    TurnUnparked: _turn_unparked,
    DeadlinePassed: _deadline_passed,
    CancelRequested: _cancel_requested,
    TurnEnded: _turn_ended,
    MemoryKept: _memory_kept,
    RelationsChanged: _of_the_house,
    FolderSynced: _of_the_house,
}
