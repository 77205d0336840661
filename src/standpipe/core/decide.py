"""decide(state, world, now): what should be true next, as facts. Here stands the order of the rules, and nothing else.

It looks at the state, never at the last event: a missed wake-up or a second worker changes nothing. One rule speaks at a
time; `conclude` asks again until nobody has anything to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from standpipe.core import aftermath, budget, context, endings, gate, plan, reply, stopping, supervise
from standpipe.core import events as e
from standpipe.core.amounts import Limits, Move
from standpipe.core.apply import apply
from standpipe.core.deeds import left_standing
from standpipe.core.details import NOT_SENT, Step, Why
from standpipe.core.ids import item_id, step_id
from standpipe.core.items import Draft, Item, Text, ToolCall, place
from standpipe.core.record import Recorder
from standpipe.core.route import models_for
from standpipe.core.state import State, Turn, shares
from standpipe.core.world import World

FINISH = "finish: "
"""The code of a patch that asks for the answer with what there is begins so; what follows is the turn's reason."""
CUT_SHORT = "It was told to stop before everything was done."
"""The gap of an answer that was asked for only because of a cancellation."""
EVENTS_MAX = 10_000
"""More than any decision can have; a bound that turns a livelock into a crash that says where."""


Facts = Sequence[e.Event]
"""What a rule says; nothing most of the time, and then it is quick about it."""


def decide(state: State, world: World, now: int) -> list[e.Event]:
    """The facts of the first rule that has any; empty when all is as it should be. `now` is wall time in ms.

    What holds for a turn holds for every open scope of it: each is judged like a state of its own, the turn last. But first
    those are told to stop whom nobody needs any more.
    """
    if state.called_off:
        return [*stopping.call_off(state)]
    if state.turn is None:
        return [*_start(state, world, now)]
    for share, rules in ((state, _ORDER[:1]), *((share, _ORDER) for share in shares(state))):
        for rule in rules:
            events = rule(share, world, now)
            if events:
                return [*events]
    return []


def conclude(state: State, world: World, now: int) -> tuple[list[e.Event], list[Move]]:
    """Decide and apply until nothing more follows; all facts, and the ledger moves that go with them.

    A rule is asked until it has no more to say, then the next; what it left behind it may be heard on in the next round.
    """
    events: list[e.Event] = []
    moves: list[Move] = []

    def take(new: Facts) -> bool:
        for event in new:
            moves.extend(budget.moves(world.policy, state, event.fact))
            apply(state, event)
        events.extend(new)
        assert len(events) < EVENTS_MAX, f"the rules do not come to an end after {events[0].seq}: {events[-1].fact}"
        return True

    said = True
    while said:
        said = False
        if state.turn is None or state.turn.scopes or state.called_off:
            new: Facts = decide(state, world, now)
            said = bool(new) and take(new)
            continue
        for rule in _ORDER:  # what `decide` would come to, asked less often
            while state.turn is not None and not state.turn.scopes and (new := rule(state, world, now)):
                said = take(new)
    return events, moves


def _turn(state: State) -> Turn:
    assert state.turn is not None
    return state.turn


def _settle(state: State, world: World, now: int) -> Facts:
    """What a call cost is known as soon as it is over."""
    turn = _turn(state)
    over = [call for id in turn.unsettled if (call := turn.calls[id]).ended]
    if not over:
        return ()
    record = Recorder(state.seq)
    for call in over:
        record.add(e.HoldSettled(call.id, budget.settled(call, world.policy.models.get(call.target))), call.ended)
    return record.events


def _withdraw(state: State, world: World, now: int) -> Facts:
    """What the principal may no longer read leaves the turn, with all that derives from it.

    So does what a model said that was shown such a thing, also if it may be read again by then: nobody wanted that reply.
    """
    turn = _turn(state)
    if not world.access.denied and not turn.withdrawn:
        return ()
    record = Recorder(state.seq)
    denied = [source for source in world.access.denied if source in turn.sources]
    if denied:
        gone = tuple(
            i.id for i in turn.items.values() if i.id not in turn.withdrawn and any(s in denied for s in i.label.sources)
        )
        record.add(e.ItemsWithdrawn(gone, tuple(denied), world.access.revision), f"house:{world.access.revoked}")
    elif any(id in turn.shown for id in turn.withdrawn):
        replied = [call for id in turn.live if (call := turn.calls.get(turn.steps[id].call)) and call.route and call.ended]
        said = tuple(id for call in replied for id in call.items if id not in turn.withdrawn)
        if said:
            record.add(e.ItemsWithdrawn(said, (), world.access.revision), *(call.ended for call in replied))
    return record.events


def _over(turn: Turn) -> bool:
    return turn.stopped or turn.hard


def _end_steps(state: State, world: World, now: int) -> Facts:
    """A step whose call is over is done, tried again (it stays live, the gate sees it), or given up."""
    turn = _turn(state)
    quiet = [step for id in turn.live if (step := turn.steps[id]).call not in turn.open]
    if not quiet:
        return ()
    record = Recorder(state.seq)
    for step in quiet:
        call = turn.calls.get(step.call)
        if step.spec.kind == "undo":
            endings.end_undo(turn, step, call, record)
        elif _over(turn) and endings.still_asked(state, world, step):
            continue
        elif _over(turn):
            outcome = endings.cut_off(state, world, step, call)
            record.add(e.StepEnded(step.spec.id, outcome, turn.cancel or "deadline"), turn.cancelled_at or turn.started)
        elif call is None:
            endings.end_asked(turn, step, record)
        elif step.spec.kind == "agent":
            endings.end_agent(turn, step, call, record)
        elif step.spec.kind == "model":
            if call.outcome == "completed" and not any(id in turn.withdrawn for id in call.items):
                return record.events or reply.interpret(state, world, step, call, now).events
            tries = step.attempts - step.unsent
            if (
                step.unsent > endings.UNSENT_MAX
                or step.interrupted > endings.INTERRUPTIONS_MAX
                or tries > endings.INTERRUPTIONS_MAX + len(world.policy.models)
            ):
                record.add(e.StepEnded(step.spec.id, "failed", call.outcome), call.ended)
        else:
            endings.end_tool(state, world, step, call, record)
    return record.events


def _finish(state: State, world: World, now: int) -> Facts:
    """A turn ends when it has a checked answer, was cancelled, is out of time, or nothing can be said any more."""
    turn = _turn(state)
    if turn.open or turn.parked_at or (turn.live and (turn.unwind is not None or _over(turn))):
        return ()
    record, last = Recorder(state.seq), turn.last_model_step
    if turn.stopped or (turn.cancel and not turn.live and not turn.answered and not _found(turn)):
        _end(state, world, record, ("cancelled", turn.cancel), now)
    elif turn.answered:
        for id in turn.live:
            record.add(e.StepEnded(id, "dropped", "answered"), turn.judged)
        if not record.events:
            _end_answered(state, world, record, now)
    elif turn.unwind is not None:
        _end(state, world, record, _unsaid(turn, turn.unwind[1]), now)
    elif turn.hard:
        _end(state, world, record, _unsaid(turn, "deadline"), now)
    elif not turn.live and last is not None and last.spec.final and last.ended:
        fault = turn.calls[last.call].fault if last.call else None
        why = fault.code if turn.agent and fault is not None else last.refused or "no model could answer"
        _end(state, world, record, _unsaid(turn, why), now)
    return record.events


def _found(turn: Turn) -> bool:
    """Whether there is anything that an answer could be made from."""
    return any(i.kind in ("passage", "data", "answer") and i.id not in turn.withdrawn for i in turn.items.values())


def _unsaid(turn: Turn, why: str) -> tuple[str, str]:
    """How a turn ends that has no answer: as cancelled where it was told to stop, else as failed, and why."""
    return ("cancelled", turn.cancel) if turn.cancel else ("failed", why)


def _end(state: State, world: World, record: Recorder, how: tuple[str, str], now: int, item: Item | None = None) -> None:
    """A turn is over, or a scope of one: then the call that delegated is. But first it takes back what it has to."""
    turn = _turn(state)
    items = (item,) if item is not None else ()
    last = turn.last_model_step
    said = turn.judged if items else 0
    cause = said or turn.cancelled_at or turn.judged or (last.ended if last is not None else 0) or turn.started
    if aftermath.unwind(turn, how, record, now, cause, turn.cancelled_at):
        return
    if turn.agent:
        tools = {t.name for t in world.agent(turn.agent).tools if t.effect != "read"}
        tools |= {s.spec.does for s in turn.steps.values() if s.effect is not None}
        acted = any(c.target in tools and not (c.fault and c.fault.code == NOT_SENT) for c in turn.calls.values())
        ended = e.ScopeEnded(turn.id, *how, turn.spent, acted, items)
        record.add(ended, cause, turn.cancelled_at, *(step.ended for step in turn.steps.values()))
        return
    unknown = (*(s.spec.id for s in turn.steps.values() if s.outcome == "unknown"), *turn.unknown)
    gone, standing = tuple(turn.withdrawn_sources), tuple(left_standing(turn))
    record.add(e.TurnEnded(turn.id, *how, turn.spent, items, gone, unknown, standing), cause, turn.cancelled_at)


def _lost(turn: Turn) -> list[str]:
    """In a sentence each, what the turn did without."""
    tools = [s for s in turn.steps.values() if s.spec.kind == "tool"]
    doubtful = [*(s.spec.does for s in tools if s.outcome == "unknown"), *turn.unknown.values()]
    failed = [s.spec.does for s in tools if s.outcome == "failed" and not s.spec.optional]
    said = [f"The step `{does}` may or may not have taken effect." for does in doubtful]
    said += [f"What the step `{does}` did could not be taken back." for does in left_standing(turn).values()]
    return said + [f"The step `{does}` failed." for does in failed] + supervise.losses(turn)


def _end_answered(state: State, world: World, record: Recorder, now: int) -> None:
    turn = _turn(state)
    step = turn.steps[turn.items[turn.answer_call].step]
    cut_short = step.why == f"{FINISH}cancelled"
    move, answer, label = reply.composed(turn, turn.calls[step.call], _lost(turn) + [CUT_SHORT] * cut_short)
    origin = f"agent:{turn.agent}" if turn.agent else move.origin
    reason = step.why.removeprefix(FINISH) if step.spec.final else "gaps" if answer.gaps else "answered"
    how = ("partial" if answer.gaps or not answer.sentences else "completed", reason)
    answers, at = move.id, step.spec.id
    if turn.cancel and not (answer.sentences or answer.claims or answer.value is not None):
        return _end(state, world, record, ("cancelled", turn.cancel), now)
    empty = ""
    if turn.agent:
        empty = supervise.emptiness(answer, move.body, typed=world.agent(turn.agent).answer is not None)
        how = _unsaid(turn, empty) if empty else how
        answers, at = turn.delegated
    item = place(Draft(answer, label, answers), item_id(record.next, 0), origin, at)
    _end(state, world, record, how, now, item if empty not in (supervise.UNSUPPORTED, supervise.SCHEMA) else None)


def _extend(state: State, world: World, now: int) -> Facts:
    """When no step is left and no answer is there, the model is asked again; the last time with what there is."""
    turn = _turn(state)
    if turn.live or turn.parked_at or _over(turn) or turn.answered:
        return ()
    record = Recorder(state.seq)
    if not turn.steps:
        return _first_patch(state, world)
    last = turn.last_model_step
    if last is not None and last.spec.final:
        return record.events
    task = "synthesize" if any(s.spec.kind == "model" and s.outcome == "done" for s in turn.steps.values()) else "plan"
    out = ""
    if turn.level:
        out = "cancelled"
    elif turn.soft:
        out = "deadline"
    elif last is not None and last.outcome in ("refused", "failed"):
        out = last.refused or "no model"
    elif not gate.fits_normal(turn):
        out = "budget"
    step = Step(id=step_id(turn.id, len(turn.steps) + 1), kind="model", does="synthesize" if out else task, final=bool(out))
    since = last.added if last is not None else 0
    causes = [turn.cancelled_at, *(s.ended for s in turn.steps.values() if s.added >= since)]
    record.add(e.PlanPatched(turn.id, turn.epoch + 1, Why(FINISH + out if out else "continue"), (step,)), *causes)
    return record.events


def _first_patch(state: State, world: World) -> Facts:
    turn, record = _turn(state), Recorder(state.seq)
    question = turn.items[turn.question]
    text = question.body.text if isinstance(question.body, Text) else ""
    look = context.first_look(world.agent(state.agent), turn.folders, text) if plan.room(turn) > 1 else None
    items: tuple[Item, ...] = ()
    steps: tuple[Step, ...] = ()
    if look is not None:
        move = Draft(ToolCall("search", look), context.FIRST_LOOK)
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
    return record.events


def _knock(state: State, world: World, now: int) -> Facts:
    """Ready steps come to the gate."""
    turn = _turn(state)
    if len(turn.live) == len(turn.open) or turn.parked_at or (turn.answered and turn.unwind is None):
        return ()
    return gate.knock(state, world, now).events


_ORDER: tuple[Callable[[State, World, int], Facts], ...] = (
    stopping.recall,
    _settle,
    _withdraw,
    stopping.watch_time,
    stopping.unpark,
    _end_steps,
    _finish,
    _extend,
    _knock,
    stopping.park,
)


def _start(state: State, world: World, now: int) -> Facts:
    """The oldest waiting message becomes the open turn, if it can be paid to its end."""
    if not state.waiting or state.agent not in world.agents:
        return ()
    record = Recorder(state.seq)
    asked, requested = state.waiting[0], state.waiting_seq[0]
    agent, policy = world.agents[state.agent], world.policy
    limits = budget.narrowed(budget.turn_limits(policy, state.tenant, state.principal), asked.limits, asked.deadline_ms)
    names = budget.accounts(policy, state, datetime.fromtimestamp(now / 1000, UTC).date().isoformat())
    if any(name not in world.balances for name in names):
        return record.events
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
        return record.events
    deadline_at = now + limits.deadline_ms
    soft_at = deadline_at - budget.final_ms(limits.deadline_ms)
    record.add(e.TurnStarted(asked.turn, limits, reserve, soft_at, deadline_at, names), requested)
    return record.events
