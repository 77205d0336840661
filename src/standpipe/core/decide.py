"""decide(state, world, now): what should be true next, as facts. Here stands the order of the rules, and nothing else.

It looks at the state, never at the last event: a missed wake-up or a second worker changes nothing. One rule speaks at a
time; `conclude` asks again until nobody has anything to say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from standpipe.core import budget, context, gate, pending, plan, reply, supervise
from standpipe.core import events as e
from standpipe.core.amounts import Limits, Move
from standpipe.core.apply import apply
from standpipe.core.details import NOT_SENT, Step, Why
from standpipe.core.ids import ask_id, item_id, step_id
from standpipe.core.items import Draft, Item, Label, Text, ToolCall, place
from standpipe.core.permit import tool_of
from standpipe.core.record import Recorder
from standpipe.core.route import models_for
from standpipe.core.state import Call, State, StepState, Turn, shares
from standpipe.core.tools import ToolSpec
from standpipe.core.world import World

UNSENT_MAX = 8
"""A call that could not be sent this often (revocations in between, deadlines too short to begin) is given up."""
FINISH = "finish: "
"""The code of a patch that asks for the answer with what there is begins so; what follows is the turn's reason."""
ATTEMPTS_MAX = 2
"""Attempts at a tool step that may be repeated."""
INTERRUPTIONS_MAX = 3
"""After so many crashes at one step it is not tried again (a poison step)."""
EVENTS_MAX = 10_000
"""More than any decision can have; a bound that turns a livelock into a crash that says where."""


def decide(state: State, world: World, now: int) -> list[e.Event]:
    """The facts of the first rule that has any; empty when all is as it should be. `now` is wall time in ms.

    What holds for a turn holds for every open scope of it: each is judged like a state of its own, the turn last. But first
    those are told to stop whom nobody needs any more.
    """
    if state.turn is None:
        return _start(state, world, now).events
    for share, rules in ((state, _ORDER[:1]), *((share, _ORDER) for share in shares(state))):
        for rule in rules:
            events = rule(share, world, now).events
            if events:
                return events
    return []


def conclude(state: State, world: World, now: int) -> tuple[list[e.Event], list[Move]]:
    """Decide and apply until nothing more follows; all facts, and the ledger moves that go with them."""
    events: list[e.Event] = []
    moves: list[Move] = []
    while new := decide(state, world, now):
        for event in new:
            moves.extend(budget.moves(world.policy, state, event.fact))
            apply(state, event)
        events.extend(new)
        assert len(events) < EVENTS_MAX, f"the rules do not come to an end after {events[0].seq}: {events[-1].fact}"
    return events, moves


def _turn(state: State) -> Turn:
    assert state.turn is not None
    return state.turn


def _settle(state: State, world: World, now: int) -> Recorder:
    """What a call cost is known as soon as it is over."""
    turn, record = _turn(state), Recorder(state.seq)
    for call in (turn.calls[id] for id in turn.unsettled):
        if call.ended:
            record.add(e.HoldSettled(call.id, budget.settled(call, world.policy.models.get(call.target))), call.ended)
    return record


def _watch_time(state: State, world: World, now: int) -> Recorder:
    """Deadlines stand still while the turn is parked; what a person was asked expires on its own."""
    turn, record = _turn(state), Recorder(state.seq)
    for ask in turn.asks.values():
        if not ask.outcome and ask.step in turn.live and now >= ask.until:
            record.add(e.AskExpired(ask.id), ask.asked)
    if turn.parked_at:
        return record
    if now >= turn.deadline_at and not turn.hard:
        record.add(e.DeadlinePassed(turn.id, "hard"), turn.started)
    elif now >= turn.soft_at and not turn.soft:
        record.add(e.DeadlinePassed(turn.id, "soft"), turn.started)
    return record


def _withdraw(state: State, world: World, now: int) -> Recorder:
    """What the principal may no longer read leaves the turn, with all that derives from it."""
    turn, record = _turn(state), Recorder(state.seq)
    denied = [source for source in world.access.denied if source in turn.sources]
    if denied:
        gone = tuple(
            i.id for i in turn.items.values() if i.id not in turn.withdrawn and any(s in denied for s in i.label.sources)
        )
        record.add(e.ItemsWithdrawn(gone, tuple(denied), world.access.revision), f"house:{world.access.revoked}")
    return record


def _over(turn: Turn) -> bool:
    return bool(turn.cancel) or turn.hard


def _recall(state: State, world: World, now: int) -> Recorder:
    """A specialist whose result can serve nobody any more is told to stop."""
    turn, record = _turn(state), Recorder(state.seq)
    ending = turn.cancel or ("deadline" if turn.hard else "answered" if turn.answered else "")
    for scope in turn.scopes.values():
        gone = turn.steps[turn.calls[scope.id].step].spec.item in turn.withdrawn
        cause = ending or ("withdrawn" if gone else "")
        if cause and not scope.cancel:
            record.add(e.ScopeCancelled(scope.id, cause), turn.cancelled_at or turn.judged, scope.started)
    return record


def _end_steps(state: State, world: World, now: int) -> Recorder:
    """A step whose call is over is done, tried again (it stays live, the gate sees it), or given up."""
    turn, record = _turn(state), Recorder(state.seq)
    for step in [turn.steps[id] for id in turn.live]:
        if step.call in turn.open:
            continue
        call = turn.calls.get(step.call)
        if _over(turn):
            outcome = _cut_off(state, world, step, call)
            record.add(e.StepEnded(step.spec.id, outcome, turn.cancel or "deadline"), turn.cancelled_at or turn.started)
        elif call is None:
            _end_asked(turn, step, record)
        elif step.spec.kind == "agent":
            _end_agent(turn, step, call, record)
        elif step.spec.kind == "model":
            if call.outcome == "completed" and not any(id in turn.withdrawn for id in call.items):
                return reply.interpret(state, world, step, call, now) if not record.events else record
            tries = step.attempts - step.unsent
            if (
                step.unsent > UNSENT_MAX
                or step.interrupted > INTERRUPTIONS_MAX
                or tries > INTERRUPTIONS_MAX + len(world.policy.models)
            ):
                record.add(e.StepEnded(step.spec.id, "failed", call.outcome), call.ended)
        else:
            _end_tool(state, world, step, call, record)
    return record


def _doubtful(tool: ToolSpec | None, call: Call) -> bool:
    """Whether a call that is over may have changed the world without saying so."""
    if call.outcome == "completed" or (tool is not None and tool.effect == "read"):
        return False
    return call.unknown or call.outcome == "interrupted"


def _cut_off(state: State, world: World, step: StepState, call: Call | None) -> str:
    if call is None or step.spec.kind not in ("tool", "agent"):
        return "cancelled"
    if call.outcome == "completed":
        return "done"
    doubtful = step.spec.kind == "tool" and _doubtful(tool_of(world.agent(state.agent), step.spec.does), call)
    return "unknown" if doubtful else "cancelled"


def _end_asked(turn: Turn, step: StepState, record: Recorder) -> None:
    ask = turn.asks.get(ask_id(turn.id, step.spec.id))
    if step.spec.kind == "person" and ask is not None and ask.outcome:
        items: tuple[Item, ...] = ()
        source = turn.items.get(step.spec.item)
        if ask.outcome != "allowed" and source is not None and source.id not in turn.withdrawn:
            items = (reply.failure(record, source, ask.outcome, "Nobody answered.", step.spec.id),)
        record.add(e.StepEnded(step.spec.id, "done" if ask.outcome == "allowed" else "failed", ask.outcome, items), ask.asked)


def _end_agent(turn: Turn, step: StepState, call: Call, record: Recorder) -> None:
    outcome, reason = supervise.supervise(step, call, late=turn.soft), supervise.reason_of(call)
    if not outcome:
        return
    source = turn.items.get(step.spec.item)
    items: tuple[Item, ...] = ()
    if outcome != "done" and not call.items and source is not None and source.id not in turn.withdrawn:
        said = supervise.words(reason)
        items = (reply.failure(record, source, reason, f"{said[0].upper()}{said[1:]}.", step.spec.id),)
    record.add(e.StepEnded(step.spec.id, outcome, "" if outcome == "done" else reason, items), call.ended)


def _end_tool(state: State, world: World, step: StepState, call: Call, record: Recorder) -> None:
    turn = _turn(state)
    tool = tool_of(world.agent(state.agent), step.spec.does)
    fault = call.fault.code if call.fault is not None else call.outcome
    tries = step.attempts - step.interrupted - step.unsent
    if call.outcome == "completed":
        record.add(e.StepEnded(step.spec.id, "done"), call.ended)
        return
    if call.outcome == "cancelled" and fault == NOT_SENT and step.unsent <= UNSENT_MAX:
        return
    if tool is not None and (tool.effect == "read" or tool.idempotent):
        if call.outcome == "interrupted" and step.interrupted <= INTERRUPTIONS_MAX:
            return
        if call.fault is not None and call.fault.retryable and tries < ATTEMPTS_MAX and not turn.soft:
            return
    if _doubtful(tool, call):
        outcome, code, text = "unknown", "unknown", "It is not known whether this call took effect; do not repeat it blindly."
    else:
        outcome, code, text = "failed", fault, call.fault.text if call.fault is not None else ""
    source = turn.items.get(step.spec.item)
    told = any(turn.items[i].kind == "failure" and i not in turn.withdrawn for i in step.items)
    items: tuple[Item, ...] = ()
    if source is not None and source.id not in turn.withdrawn and (not told or outcome == "unknown"):
        items = (reply.failure(record, source, code, text or "The call failed.", step.spec.id),)
    record.add(e.StepEnded(step.spec.id, outcome, code, items), call.ended)


def _unpark(state: State, world: World, now: int) -> Recorder:
    """A parked turn goes on as soon as one of its questions is closed, or when it, or a specialist, is told to stop."""
    turn, record = _turn(state), Recorder(state.seq)
    closed = [a for t in pending.open_turns(state) for a in t.asks.values() if a.outcome and a.step in t.live]
    called_off = [scope.cancelled_at for scope in turn.scopes.values() if scope.cancel]
    if turn.parked_at and not turn.agent and (closed or called_off or turn.cancel):
        shift = now - turn.parked_at
        causes = (*(a.asked for a in closed), *called_off, turn.cancelled_at)
        record.add(e.TurnUnparked(turn.id, turn.soft_at + shift, turn.deadline_at + shift), *causes)
    return record


def _finish(state: State, world: World, now: int) -> Recorder:
    """A turn ends when it has a checked answer, was cancelled, is out of time, or nothing can be said any more."""
    turn, record = _turn(state), Recorder(state.seq)
    last = turn.last_model_step
    if turn.open or turn.parked_at:
        return record
    if turn.cancel:
        _end(state, world, record, ("cancelled", turn.cancel))
    elif turn.answered:
        for id in turn.live:
            record.add(e.StepEnded(id, "dropped", "answered"), turn.judged)
        if not record.events:
            _end_answered(state, world, record)
    elif turn.hard:
        _end(state, world, record, ("failed", "deadline"))
    elif not turn.live and last is not None and last.spec.final and last.ended:
        fault = turn.calls[last.call].fault if last.call else None
        why = fault.code if turn.agent and fault is not None else last.refused or "no model could answer"
        _end(state, world, record, ("failed", why))
    return record


def _end(state: State, world: World, record: Recorder, how: tuple[str, str], item: Item | None = None) -> None:
    """A turn is over, or a scope of one: then the call that delegated is."""
    turn = _turn(state)
    items = (item,) if item is not None else ()
    last = turn.last_model_step
    cause = turn.cancelled_at or turn.judged or (last.ended if last is not None else 0) or turn.started
    if turn.agent:
        tools = {t.name for t in world.agent(turn.agent).tools if t.effect != "read"}
        acted = any(c.target in tools and not (c.fault and c.fault.code == NOT_SENT) for c in turn.calls.values())
        ended = e.ScopeEnded(turn.id, *how, turn.spent, acted, items)
        record.add(ended, cause, *(step.ended for step in turn.steps.values()))
        return
    unknown = (*(s.spec.id for s in turn.steps.values() if s.outcome == "unknown"), *turn.unknown)
    record.add(e.TurnEnded(turn.id, *how, turn.spent, items, tuple(turn.withdrawn_sources), unknown), cause)


def _lost(turn: Turn) -> list[str]:
    """In a sentence each, what the turn did without."""
    tools = [s for s in turn.steps.values() if s.spec.kind == "tool"]
    doubtful = [*(s.spec.does for s in tools if s.outcome == "unknown"), *turn.unknown.values()]
    failed = [s.spec.does for s in tools if s.outcome == "failed" and not s.spec.optional]
    said = [f"The step `{does}` may or may not have taken effect." for does in doubtful]
    return said + [f"The step `{does}` failed." for does in failed] + supervise.losses(turn)


def _end_answered(state: State, world: World, record: Recorder) -> None:
    turn = _turn(state)
    step = turn.steps[turn.items[turn.answer_call].step]
    move, answer, label = reply.composed(turn, turn.calls[step.call], _lost(turn))
    origin = f"agent:{turn.agent}" if turn.agent else move.origin
    reason = step.why.removeprefix(FINISH) if step.spec.final else "gaps" if answer.gaps else "answered"
    how = ("partial" if answer.gaps or not answer.sentences else "completed", reason)
    answers, at = move.id, step.spec.id
    if turn.agent:
        empty = supervise.emptiness(answer, move.body, typed=world.agent(turn.agent).answer is not None)
        how = ("failed", empty) if empty else how
        answers, at = turn.delegated
    item = place(Draft(answer, label, answers), item_id(record.next, 0), origin, at)
    _end(state, world, record, how, item if how[1] not in (supervise.UNSUPPORTED, supervise.SCHEMA) else None)


def _extend(state: State, world: World, now: int) -> Recorder:
    """When no step is left and no answer is there, the model is asked again; the last time with what there is."""
    turn, record = _turn(state), Recorder(state.seq)
    if turn.live or turn.parked_at or _over(turn) or turn.answered:
        return record
    if not turn.steps:
        return _first_patch(state, world)
    last = turn.last_model_step
    if last is not None and last.spec.final:
        return record
    task = "synthesize" if any(s.spec.kind == "model" and s.outcome == "done" for s in turn.steps.values()) else "plan"
    out = ""
    if turn.soft:
        out = "deadline"
    elif last is not None and last.outcome in ("refused", "failed"):
        out = last.refused or "no model"
    elif not gate.fits_normal(turn):
        out = "budget"
    step = Step(id=step_id(turn.id, len(turn.steps) + 1), kind="model", does="synthesize" if out else task, final=bool(out))
    since = last.added if last is not None else 0
    causes = [s.ended for s in turn.steps.values() if s.added >= since]
    record.add(e.PlanPatched(turn.id, turn.epoch + 1, Why(FINISH + out if out else "continue"), (step,)), *causes)
    return record


def _first_patch(state: State, world: World) -> Recorder:
    turn, record = _turn(state), Recorder(state.seq)
    question = turn.items[turn.question]
    text = question.body.text if isinstance(question.body, Text) else ""
    look = context.first_look(world.agent(state.agent), turn.folders, text) if plan.room(turn) > 1 else None
    items: tuple[Item, ...] = ()
    steps: tuple[Step, ...] = ()
    if look is not None:
        move = Draft(ToolCall("search", look), Label(integrity="user"))
        items = (place(move, item_id(record.next, 0), "runtime"),)
        steps = (Step(id=step_id(turn.id, 1), kind="tool", does="search", item=items[0].id, optional=True),)
    final = plan.room(turn) <= len(steps) or not gate.fits_normal(turn)
    first = Step(
        id=step_id(turn.id, len(steps) + 1),
        kind="model",
        does="synthesize" if final else "plan",
        needs=tuple(s.id for s in steps),
        final=final,
    )
    why = Why(f"{FINISH}budget" if final else "first look" if steps else "begin")
    record.add(e.PlanPatched(turn.id, 1, why, (*steps, first), items=items), turn.started)
    return record


def _knock(state: State, world: World, now: int) -> Recorder:
    """Ready steps come to the gate."""
    turn = _turn(state)
    if turn.parked_at or _over(turn) or turn.answered:
        return Recorder(state.seq)
    return gate.knock(state, world, now)


def _park(state: State, world: World, now: int) -> Recorder:
    """When only people can go on, the turn waits for them without holding anything but its slice."""
    turn, record, turns = _turn(state), Recorder(state.seq), pending.open_turns(state)
    asks = [a for t in turns for a in t.asks.values() if not a.outcome and a.step in t.live]
    waits = {a.step for a in asks}
    idle = not any(pending.performed(t) for t in turns) and all(s.spec.id in waits for t in turns for s in plan.ready(t))
    if asks and idle and not turn.parked_at and not turn.agent:
        record.add(e.TurnParked(turn.id, now, min(a.until for a in asks)), *(a.asked for a in asks))
    return record


_ORDER: tuple[Callable[[State, World, int], Recorder], ...] = (
    _recall,
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
    agent, policy = world.agents[state.agent], world.policy
    limits = budget.narrowed(budget.turn_limits(policy, state.tenant, state.principal), asked.limits, asked.deadline_ms)
    names = budget.accounts(policy, state, datetime.fromtimestamp(now / 1000, UTC).date().isoformat())
    if any(name not in world.balances for name in names):
        return record
    room = budget.account_room(policy, state, world.balances, names)
    if room is not None:
        limits = Limits(limits.amounts.capped(microusd=max(room, 0)), limits.deadline_ms)
    asked_bytes = asked.items[0].bytes
    reserve = budget.reserve(
        policy, models_for(policy, agent.name, "synthesize"), agent, asked_bytes, limits.amounts.model_calls
    )
    short = reserve.short(limits.amounts)
    if short:
        record.add(e.TurnEnded(asked.turn, "failed", f"budget: {short} cannot pay for an answer"), requested)
        return record
    deadline_at = now + limits.deadline_ms
    soft_at = deadline_at - budget.final_ms(limits.deadline_ms)
    record.add(e.TurnStarted(asked.turn, limits, reserve, soft_at, deadline_at, names), requested)
    return record
