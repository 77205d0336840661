"""decide(state, world, now): what should be true next, as facts. Here stands the order of the rules, and nothing else.

It looks at the state, never at the last event: a missed wake-up or a second worker changes nothing. One rule speaks at a
time; `conclude` asks again until nobody has anything to say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from standpipe.core import budget, context, gate, plan, reply
from standpipe.core.amounts import Limits, Move
from standpipe.core.apply import apply
from standpipe.core.details import Step, Why
from standpipe.core.events import (
    AskExpired,
    DeadlinePassed,
    Event,
    HoldSettled,
    ItemsWithdrawn,
    PlanPatched,
    StepEnded,
    TurnEnded,
    TurnParked,
    TurnStarted,
    TurnUnparked,
)
from standpipe.core.ids import item_id, step_id, turn_id
from standpipe.core.items import Answer, Draft, Item, Label, Text, ToolCall, place
from standpipe.core.record import Recorder
from standpipe.core.route import models_for
from standpipe.core.state import Call, State, StepState, Turn
from standpipe.core.world import World

ATTEMPTS_MAX = 2
"""Attempts at a tool step that may be repeated."""
INTERRUPTIONS_MAX = 3
"""After so many crashes at one step it is not tried again (a poison step)."""
FINAL_MS_MAX = 10_000
"""At most this much of a deadline is kept for the final call; otherwise a quarter of it."""


def decide(state: State, world: World, now: int) -> list[Event]:
    """The facts of the first rule that has any; empty when all is as it should be. `now` is wall time in ms."""
    for rule in _ORDER if state.turn is not None else (_start,):
        events = rule(state, world, now).events
        if events:
            return events
    return []


def conclude(state: State, world: World, now: int) -> tuple[list[Event], list[Move]]:
    """Decide and apply until nothing more follows; all facts, and the ledger moves that go with them."""
    events: list[Event] = []
    moves: list[Move] = []
    while new := decide(state, world, now):
        for event in new:
            moves.extend(budget.moves(world.policy, state.turn, event.fact))
            apply(state, event)
        events.extend(new)
    return events, moves


def _turn(state: State) -> Turn:
    assert state.turn is not None
    return state.turn


def _settle(state: State, world: World, now: int) -> Recorder:
    """What a call cost is known as soon as it is over."""
    turn, record = _turn(state), Recorder(state.seq)
    for call in (turn.calls[id] for id in turn.unsettled):
        if call.ended:
            record.add(HoldSettled(call.id, budget.settled(call, world.policy.models.get(call.target))), call.ended)
    return record


def _watch_time(state: State, world: World, now: int) -> Recorder:
    """Deadlines stand still while the turn is parked; what a person was asked expires on its own."""
    turn, record = _turn(state), Recorder(state.seq)
    for ask in turn.asks.values():
        if not ask.outcome and now >= ask.until:
            record.add(AskExpired(ask.id), ask.asked)
    if turn.parked_at:
        return record
    if now >= turn.deadline_at and not turn.hard:
        record.add(DeadlinePassed(turn.id, "hard"), turn.started)
    elif now >= turn.soft_at and not turn.soft:
        record.add(DeadlinePassed(turn.id, "soft"), turn.started)
    return record


def _withdraw(state: State, world: World, now: int) -> Recorder:
    """What the principal may no longer read leaves the turn, with all that derives from it."""
    turn, record = _turn(state), Recorder(state.seq)
    denied = [source for source in world.access.denied if source in turn.sources]
    if denied:
        gone = tuple(
            i.id for i in turn.items.values() if i.id not in turn.withdrawn and any(s in denied for s in i.label.sources)
        )
        record.add(ItemsWithdrawn(gone, tuple(denied), world.access.revision), f"house:{world.access.revoked}")
    return record


def _over(turn: Turn) -> bool:
    return bool(turn.cancel) or turn.hard


def _end_steps(state: State, world: World, now: int) -> Recorder:
    """A step whose call is over is done, tried again (it stays live, the gate sees it), or given up."""
    turn, record = _turn(state), Recorder(state.seq)
    for step in [turn.steps[id] for id in turn.live]:
        if step.call in turn.open:
            continue
        call = turn.calls.get(step.call)
        if _over(turn):
            record.add(
                StepEnded(step.spec.id, _cut_off(step, call), turn.cancel or "deadline"), turn.cancelled_at or turn.started
            )
        elif call is None:
            _end_asked(turn, step, record)
        elif step.spec.kind == "model":
            if call.outcome == "completed" and not any(id in turn.withdrawn for id in call.items):
                return reply.interpret(state, world, step, call, now) if not record.events else record
            if step.interrupted > INTERRUPTIONS_MAX or step.attempts > INTERRUPTIONS_MAX + len(world.policy.models):
                record.add(StepEnded(step.spec.id, "failed", call.outcome), call.ended)
        else:
            _end_tool(state, world, step, call, record)
    return record


def _cut_off(step: StepState, call: Call | None) -> str:
    if call is not None and call.outcome == "completed" and step.spec.kind == "tool":
        return "done"
    return "unknown" if call is not None and call.unknown else "cancelled"


def _end_asked(turn: Turn, step: StepState, record: Recorder) -> None:
    ask = turn.asks.get(f"{turn.id}.{step.spec.id}")
    if step.spec.kind == "person" and ask is not None and ask.outcome:
        items: tuple[Item, ...] = ()
        source = turn.items.get(step.spec.item)
        if ask.outcome != "allowed" and source is not None:
            items = (reply.failure(record, source, ask.outcome, "Nobody answered.", step.spec.id),)
        record.add(StepEnded(step.spec.id, "done" if ask.outcome == "allowed" else "failed", ask.outcome, items), ask.asked)


def _end_tool(state: State, world: World, step: StepState, call: Call, record: Recorder) -> None:
    turn = _turn(state)
    if call.outcome == "completed":
        record.add(StepEnded(step.spec.id, "done"), call.ended)
        return
    tool = next((t for t in world.agents[state.agent].tools if t.name == step.spec.does), None)
    repeatable = tool is not None and (tool.effect == "read" or tool.idempotent)
    if call.outcome == "interrupted":
        if repeatable and step.interrupted <= INTERRUPTIONS_MAX:
            return
        outcome, code, text = "unknown", "unknown", "It is not known whether this call took effect; do not repeat it blindly."
        if repeatable:
            outcome, code, text = "failed", "interrupted", "The call was cut off too often."
    elif call.unknown and not repeatable:
        outcome, code, text = "unknown", "unknown", "It is not known whether this call took effect; do not repeat it blindly."
    else:
        retryable = call.fault is not None and call.fault.retryable
        if retryable and repeatable and step.attempts - step.interrupted < ATTEMPTS_MAX and not turn.soft:
            return
        code = call.fault.code if call.fault is not None else call.outcome
        outcome, text = "failed", call.fault.text if call.fault is not None and call.fault.text else "The call failed."
    source = turn.items.get(step.spec.item)
    told = (
        source is not None and source.id not in turn.withdrawn and not any(turn.items[i].kind == "failure" for i in step.items)
    )
    items = (reply.failure(record, source, code, text, step.spec.id),) if source is not None and told else ()
    record.add(StepEnded(step.spec.id, outcome, code, items), call.ended)


def _unpark(state: State, world: World, now: int) -> Recorder:
    """A parked turn goes on as soon as one of its questions is closed, or when it is cancelled."""
    turn, record = _turn(state), Recorder(state.seq)
    closed = [a for a in turn.asks.values() if a.outcome and a.step in turn.live]
    ended = [a for a in turn.asks.values() if a.outcome]
    if turn.parked_at and (closed or turn.cancel or len(ended) == len(turn.asks)):
        shift = now - turn.parked_at
        record.add(TurnUnparked(turn.id, turn.soft_at + shift, turn.deadline_at + shift), *(a.asked for a in closed))
    return record


def _finish(state: State, world: World, now: int) -> Recorder:
    """A turn ends when it has a checked answer, was cancelled, is out of time, or nothing can be said any more."""
    turn, record = _turn(state), Recorder(state.seq)
    if turn.open or turn.parked_at:
        return record
    answered = turn.answer_call and turn.answer_call not in turn.withdrawn
    if turn.cancel:
        _end(turn, record, "cancelled", turn.cancel)
    elif answered:
        for id in turn.live:
            record.add(StepEnded(id, "dropped", "answered"), turn.judged)
        if not record.events:
            _end_answered(turn, record)
    elif turn.hard:
        _end(turn, record, "failed", "deadline")
    elif not turn.live:
        last = turn.last_model_step
        if last is not None and last.spec.final and last.ended:
            _end(turn, record, "failed", last.refused or "no model could answer")
    return record


def _end(turn: Turn, record: Recorder, outcome: str, reason: str) -> None:
    last = turn.last_model_step
    cause = turn.cancelled_at or (last.ended if last is not None else 0) or turn.started
    record.add(TurnEnded(turn.id, outcome, reason, turn.spent, (), tuple(turn.withdrawn_sources)), cause)


def _end_answered(turn: Turn, record: Recorder) -> None:
    lost = [
        f"The step `{s.spec.does}` {'may or may not have taken effect' if s.outcome == 'unknown' else 'failed'}."
        for s in turn.steps.values()
        if s.outcome in ("failed", "unknown") and s.spec.kind == "tool" and (not s.spec.optional or s.outcome == "unknown")
    ]
    step = turn.steps[turn.items[turn.answer_call].step]
    move, answer = reply.composed(turn, turn.calls[step.call], lost)
    item = place(Draft(answer, move.label, move.id), item_id(record.next, 0), move.origin, step.spec.id)
    outcome = "partial" if answer.gaps or not answer.sentences else "completed"
    record.add(
        TurnEnded(turn.id, outcome, _reason(turn, answer), turn.spent, (item,), tuple(turn.withdrawn_sources)), turn.judged
    )


def _reason(turn: Turn, answer: Answer) -> str:
    if turn.soft:
        return "deadline"
    last = turn.last_model_step
    if last is not None and last.spec.final:
        return "budget"
    return "gaps" if answer.gaps else "answered"


def _extend(state: State, world: World, now: int) -> Recorder:
    """When no step is left and no answer is there, the model is asked again; the last time with what there is."""
    turn, record = _turn(state), Recorder(state.seq)
    if turn.live or turn.parked_at or _over(turn) or (turn.answer_call and turn.answer_call not in turn.withdrawn):
        return record
    if not turn.steps:
        return _first_patch(state, world)
    last = turn.last_model_step
    if last is not None and last.spec.final:
        return record
    task = "synthesize" if any(s.spec.kind == "model" and s.outcome == "done" for s in turn.steps.values()) else "plan"
    models = [world.policy.models[m] for m in models_for(world.policy, task)]
    out = turn.soft or not gate.fits_normal(turn, models) or (last is not None and last.outcome in ("refused", "failed"))
    step = Step(id=step_id(len(turn.steps) + 1), kind="model", does="synthesize" if out else task, final=out)
    code = "finish with what there is" if out else "continue"
    causes = [s.ended for s in list(turn.steps.values())[-8:]]
    record.add(PlanPatched(turn.id, turn.epoch + 1, Why(code), (step,)), *causes)
    return record


def _first_patch(state: State, world: World) -> Recorder:
    turn, record = _turn(state), Recorder(state.seq)
    question = turn.items[turn.question]
    text = question.body.text if isinstance(question.body, Text) else ""
    look = context.first_look(world.agents[state.agent], turn.folders, text) if plan.room(turn) > 1 else None
    items: tuple[Item, ...] = ()
    steps: tuple[Step, ...] = ()
    if look is not None:
        move = Draft(ToolCall("search", look), Label(integrity="user"))
        items = (place(move, item_id(record.next, 0), "runtime"),)
        steps = (Step(id=step_id(1), kind="tool", does="search", item=items[0].id, optional=True),)
    final = plan.room(turn) <= 0 or not gate.fits_normal(
        turn, [world.policy.models[m] for m in models_for(world.policy, "plan")]
    )
    first = Step(
        id=step_id(len(steps) + 1),
        kind="model",
        does="synthesize" if final else "plan",
        needs=tuple(s.id for s in steps),
        final=final,
    )
    record.add(PlanPatched(turn.id, 1, Why("first look" if steps else "begin"), (*steps, first), items=items), turn.started)
    return record


def _knock(state: State, world: World, now: int) -> Recorder:
    """Ready steps come to the gate."""
    turn = _turn(state)
    if turn.parked_at or _over(turn) or turn.answer_call:
        return Recorder(state.seq)
    return gate.knock(state, world, now)


def _park(state: State, world: World, now: int) -> Recorder:
    """When only people can go on, the turn waits for them without holding anything but its slice."""
    turn, record = _turn(state), Recorder(state.seq)
    asks = [a for a in turn.asks.values() if not a.outcome]
    waits = {a.step for a in asks}
    if asks and not turn.parked_at and not turn.open and all(s.spec.id in waits for s in plan.ready(turn)):
        record.add(TurnParked(turn.id, now, min(a.until for a in asks)), *(a.asked for a in asks))
    return record


_ORDER: tuple[Callable[[State, World, int], Recorder], ...] = (
    _settle,
    _withdraw,
    _unpark,
    _watch_time,
    _end_steps,
    _finish,
    _extend,
    _knock,
    _park,
)


def _start(state: State, world: World, now: int) -> Recorder:
    """The oldest waiting message becomes the open turn, if it can be paid to its end."""
    record = Recorder(state.seq)
    if not state.waiting:
        return record
    asked, requested = state.waiting[0], state.waiting_seq[0]
    agent = world.agents.get(state.agent)
    if agent is None:
        record.add(TurnEnded(asked.turn, "failed", f"there is no agent named {state.agent}"), requested)
        return record
    policy = world.policy
    limits = budget.narrowed(budget.turn_limits(policy, state.tenant, state.principal), asked.limits, asked.deadline_ms)
    names = budget.accounts(policy, state, datetime.fromtimestamp(now / 1000, UTC).date().isoformat())
    if any(name not in world.balances for name in names):
        return record
    room = budget.account_room(policy, world.balances, names)
    if room is not None:
        limits = Limits(limits.amounts.capped(microusd=max(room, 0)), limits.deadline_ms)
    reserve = budget.reserve(policy, models_for(policy, "synthesize"), agent)
    short = reserve.short(limits.amounts)
    if short:
        record.add(TurnEnded(asked.turn, "failed", f"budget: {short} cannot pay for an answer"), requested)
        return record
    kept = min(FINAL_MS_MAX, limits.deadline_ms // 4)
    deadline_at = now + limits.deadline_ms
    record.add(TurnStarted(asked.turn, limits, reserve, deadline_at - kept, deadline_at, names), requested)
    return record


def next_turn(state: State) -> str:
    """The id of the turn that the next admitted message becomes."""
    return turn_id(state.turns + 1)
