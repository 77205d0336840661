"""apply(state, event): what a fact changes. Total and silent: history is never argued with, and no rule stands here.

`apply` changes the state in place and returns it; whoever wants the old one folds again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from standpipe.core import deeds
from standpipe.core import events as e
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import NOT_SENT, Fault
from standpipe.core.halts import HALTS, remember_request
from standpipe.core.ids import step_of
from standpipe.core.inherit import inherit
from standpipe.core.items import Item
from standpipe.core.state import CLOSED_KEPT, Ask, Call, Closed, State, StepState, Tried, Turn
from standpipe.core.state import open_turn as _open
from standpipe.core.state import share_named as _share


def apply(state: State, event: e.Event) -> State:
    """The state after one more event, changed in place."""
    _ROWS[type(event.fact)](state, event.fact, event.seq)
    state.seq = event.seq
    return state


def fold(frames: Iterable[e.Frame], state: State | None = None) -> State:
    """The state after these frames, from the beginning or from `state`."""
    state = state if state is not None else State()
    for frame in frames:
        for event in frame.events:
            apply(state, event)
    return state


def _planning(state: State, step: str) -> Turn:
    """The share that a step stands in."""
    turn = _open(state)
    return _share(state, f"{turn.id}.{step}")


def _holding(state: State, item: str) -> Turn:
    """The share that an item belongs to."""
    turn = _open(state)
    return next((scope for scope in turn.scopes.values() if item in scope.items), turn)


def _take(turn: Turn, items: tuple[Item, ...], seq: int) -> None:
    for item in items:
        turn.items[item.id] = item
        turn.item_seq[item.id] = seq
        if item.step in turn.steps:
            turn.steps[item.step].items.append(item.id)
        for source in item.label.sources:
            turn.sources[source] = turn.sources.get(source, 0) + 1


def _session_opened(state: State, fact: e.SessionOpened, seq: int) -> None:
    state.session, state.tenant, state.principal, state.agent = fact.session, fact.tenant, fact.principal, fact.agent


def _turn_requested(state: State, fact: e.TurnRequested, seq: int) -> None:
    state.turns += 1
    state.folders = fact.folders
    state.waiting.append(fact)
    state.waiting_seq.append(seq)
    remember_request(state, fact.request)


def _turn_started(state: State, fact: e.TurnStarted, seq: int) -> None:
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
    state.turn, state.tried = turn, Tried()


def _plan_patched(state: State, fact: e.PlanPatched, seq: int) -> None:
    turn = _share(state, fact.turn)
    turn.epoch = fact.epoch
    for step in fact.add:
        turn.steps[step.id] = StepState(spec=step, added=seq, epoch=fact.epoch, why=fact.why.code)
        turn.live[step.id] = None
    if fact.why.code == "plan":
        turn.parts_item = fact.why.item
    turn.spent = turn.spent + Amounts(steps=len(fact.add))
    _take(turn, fact.items, seq)


def _call_granted(state: State, fact: e.CallGranted, seq: int) -> None:
    turn = _share(state, fact.call)
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
        scope=step.spec.kind == "agent",
        route=fact.route,
        manifest=fact.manifest,
        purpose=fact.purpose,
        recorded=fact.recorded,
    )
    if fact.purpose or fact.effect is not None:
        deeds.granted(turn, step, fact)
    if fact.recorded:
        state.recorded = {i: [seq for seq in seqs if seq != fact.recorded] for i, seqs in state.recorded.items()}
    turn.open[fact.call] = None
    turn.unsettled[fact.call] = None
    turn.held = turn.held + fact.hold
    if fact.route is not None:
        _count(state.tried.flying, fact.route.provider, 1)
    if fact.manifest is not None:
        for gone in fact.manifest.dropped:
            turn.shown.pop(gone.item, None)
        for new in fact.manifest.added:
            turn.shown[new.item] = new.why
        turn.shown_digest = fact.manifest.digest


def _scope_started(state: State, fact: e.ScopeStarted, seq: int) -> None:
    turn = _open(state)
    scope = Turn(
        id=fact.scope,
        request=turn.request,
        question=fact.items[0].id,
        requested=seq,
        folders=turn.folders,
        limits=fact.limits,
        reserve=fact.reserve,
        accounts=(),
        soft_at=fact.soft_at,
        deadline_at=fact.deadline_at,
        started=seq,
        agent=fact.agent,
        delegated=(turn.steps[step_of(fact.scope)].spec.item, step_of(fact.scope)),
    )
    _take(scope, fact.items, seq)
    turn.scopes[fact.scope] = scope


def _scope_ended(state: State, fact: e.ScopeEnded, seq: int) -> None:
    turn = _open(state)
    scope = turn.scopes.pop(fact.scope)
    turn.unknown |= {s.spec.id: s.spec.does for s in scope.steps.values() if s.outcome == "unknown"}
    deeds.rejoined(turn, scope, fact.outcome)
    outcome = "completed" if fact.outcome in ("completed", "partial") else fact.outcome
    call = _end_call(state, turn, fact.scope, outcome, seq)
    call.acted, call.spent, call.items = fact.acted, fact.spent, tuple(item.id for item in fact.items)
    call.fault = Fault(fact.reason) if outcome != "completed" else None
    _take(turn, fact.items, seq)


def _call_refused(state: State, fact: e.CallRefused, seq: int) -> None:
    turn = _planning(state, fact.step) if fact.step else _holding(state, fact.items[0].answers if fact.items else "")
    if fact.step in turn.steps:
        turn.steps[fact.step].refused = fact.code
    _take(turn, fact.items, seq)


def _count(counts: dict[str, int], name: str, by: int) -> None:
    counts[name] = counts.get(name, 0) + by


def _end_call(state: State, turn: Turn, id: str, outcome: str, seq: int) -> Call:
    call = turn.calls[id]
    call.outcome, call.ended = outcome, seq
    turn.open.pop(id, None)
    if call.route is not None:
        _count(state.tried.flying, call.route.provider, -1)
    return call


def _call_completed(state: State, fact: e.CallCompleted, seq: int) -> None:
    turn = _share(state, fact.call)
    call = _end_call(state, turn, fact.call, "completed", seq)
    call.verdicts = fact.verdicts
    if fact.usage is not None:
        call.input_tokens, call.output_tokens = fact.usage.input_tokens, fact.usage.output_tokens
    call.items = tuple(item.id for item in fact.items)
    if call.route is not None:
        _count(state.tried.successes, call.route.provider, 1)
    _take(turn, fact.items, seq)


def _call_failed(state: State, fact: e.CallFailed, seq: int) -> None:
    turn = _share(state, fact.call)
    call = _end_call(state, turn, fact.call, "failed", seq)
    call.fault, call.unknown = fact.fault, fact.unknown
    if fact.usage is not None:
        call.input_tokens, call.output_tokens = fact.usage.input_tokens, fact.usage.output_tokens
    if call.route is not None:
        turn.steps[call.step].failed.append(call.target)
        _count(state.tried.failures, call.route.provider, 1)
        state.tried.models[call.target] = None
    _take(turn, fact.items, seq)


def _call_cancelled(state: State, fact: e.CallCancelled, seq: int) -> None:
    turn = _share(state, fact.call)
    call = _end_call(state, turn, fact.call, "cancelled", seq)
    call.fault, call.unknown = Fault(fact.cause), fact.unknown
    turn.steps[call.step].unsent += fact.cause == NOT_SENT


def _call_interrupted(state: State, fact: e.CallInterrupted, seq: int) -> None:
    turn = _share(state, fact.call)
    _end_call(state, turn, fact.call, "interrupted", seq)
    turn.steps[step_of(fact.call)].interrupted += 1


def _hold_settled(state: State, fact: e.HoldSettled, seq: int) -> None:
    turn = _share(state, fact.call)
    call = turn.calls[fact.call]
    call.settled = True
    turn.unsettled.pop(fact.call, None)
    turn.held = turn.held - call.hold
    turn.spent = turn.spent + fact.spent


def _step_ended(state: State, fact: e.StepEnded, seq: int) -> None:
    turn = _planning(state, fact.step)
    step = turn.steps[fact.step]
    step.outcome, step.reason, step.ended = fact.outcome, fact.reason, seq
    turn.live.pop(fact.step, None)
    if step.effect is not None:
        deeds.ended(state, turn, step, seq)
    _take(turn, fact.items, seq)


def _items_withdrawn(state: State, fact: e.ItemsWithdrawn, seq: int) -> None:
    root = _open(state)
    for id in fact.ids:
        turn = _holding(state, id)
        turn.withdrawn[id] = None
        for source in turn.items[id].label.sources:
            turn.sources[source] -= 1
            if not turn.sources[source]:
                del turn.sources[source]
        if turn.parts_item == id:
            turn.parts_item = ""
    for source in fact.sources:
        root.withdrawn_sources[source] = None


def _answer_judged(state: State, fact: e.AnswerJudged, seq: int) -> None:
    turn = _holding(state, fact.call_item)
    if fact.action == "resample":
        turn.resampled += 1
    else:
        turn.answer_call, turn.judged = fact.call_item, seq
    _take(turn, fact.items, seq)


def _asked(state: State, fact: e.Asked, seq: int) -> None:
    _share(state, fact.ask).asks[fact.ask] = Ask(
        id=fact.ask, step=fact.step, kind=fact.kind, until=fact.until, asked=seq, intent=fact.intent, sources=fact.sources
    )


def _answered(state: State, fact: e.Answered, seq: int) -> None:
    turn = _share(state, fact.ask)
    turn.asks[fact.ask].outcome = "allowed" if fact.allow else "denied"
    remember_request(state, fact.request)
    _take(turn, fact.items, seq)


def _ask_expired(state: State, fact: e.AskExpired, seq: int) -> None:
    _share(state, fact.ask).asks[fact.ask].outcome = "expired"


def _turn_ended(state: State, fact: e.TurnEnded, seq: int) -> None:
    turn = state.turn
    if turn is None or turn.id != fact.turn:
        place = [asked.turn for asked in state.waiting].index(fact.turn)
        asked, _ = state.waiting.pop(place), state.waiting_seq.pop(place)
        question = asked.items[0]
        state.called_off.pop(fact.turn, None)
    else:
        question = turn.items[turn.question]
        state.turn, state.doubts, state.recorded = None, {}, {}
    state.spent = state.spent + fact.spent - (turn.before if turn is not None and turn.id == fact.turn else NOTHING)
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


def _memory_kept(state: State, fact: e.MemoryKept, seq: int) -> None:
    state.closed = [msgspec.structs.replace(c, remembered=True) if c.turn == fact.turn else c for c in state.closed]


def _items_erased(state: State, fact: e.ItemsErased, seq: int) -> None:
    gone = frozenset(fact.ids)
    for n, closed in enumerate(state.closed):
        kept = [item if item is not None and item.id not in gone else None for item in (closed.question, closed.answer)]
        state.closed[n] = msgspec.structs.replace(closed, question=kept[0], answer=kept[1])


def _of_the_house(state: State, fact: e.Fact, seq: int) -> None:
    """House facts change tables, not a session's state."""


_ROWS: dict[type, Callable[[State, Any, int], None]] = {
    e.SessionOpened: _session_opened,
    e.SessionForked: inherit,
    e.TurnRequested: _turn_requested,
    e.TurnStarted: _turn_started,
    e.PlanPatched: _plan_patched,
    e.CallGranted: _call_granted,
    e.CallRefused: _call_refused,
    e.CallCompleted: _call_completed,
    e.CallFailed: _call_failed,
    e.CallCancelled: _call_cancelled,
    e.CallInterrupted: _call_interrupted,
    e.HoldSettled: _hold_settled,
    e.StepEnded: _step_ended,
    e.ItemsWithdrawn: _items_withdrawn,
    e.ScopeStarted: _scope_started,
    e.ScopeEnded: _scope_ended,
    e.UnwindStarted: deeds.unwound,
    e.AnswerJudged: _answer_judged,
    e.Asked: _asked,
    e.Answered: _answered,
    e.AskExpired: _ask_expired,
    e.TurnEnded: _turn_ended,
    e.MemoryKept: _memory_kept,
    e.ItemsErased: _items_erased,
    e.RelationsChanged: _of_the_house,
    e.RelationsLapsed: _of_the_house,
    e.FolderSynced: _of_the_house,
    **HALTS,
}
