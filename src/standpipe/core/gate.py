"""The one place where a call becomes irrevocable: permit, reserve, route, deadline, slot; a grant or a refusal with reasons.

A step about which the world does not hold every answer is left alone: nothing is decided about it.
"""

from __future__ import annotations

import msgspec

from standpipe.core import aftermath, budget, check, consent, context, effects, intents, permit, plan, reply
from standpipe.core.amounts import Amounts, Limits
from standpipe.core.details import Passed, Permit, Route
from standpipe.core.events import Asked, CallGranted, CallRefused, ScopeStarted, StepEnded
from standpipe.core.ids import ask_id, call_id, digest, item_id
from standpipe.core.items import ITEM_OVERHEAD_BYTES, Draft, Item, Text, place
from standpipe.core.record import REFUSALS, Recorder
from standpipe.core.route import IN_FLIGHT, models_for, route, rule_for
from standpipe.core.state import State, StepState, Turn
from standpipe.core.tools import AgentSpec
from standpipe.core.world import CallQuestion, Policy, World

NOT_FOUND_TEXT = "Nothing by that name was found."
"""What is said of anything that is not there or may not be seen, tools included."""


def knock(state: State, world: World, now: int) -> Recorder:
    """Judge every ready step once; the facts that follow."""
    turn = state.turn
    assert turn is not None
    record = Recorder(state.seq)
    slots = (plan.SCOPE_CALLS_MAX if turn.agent else plan.OPEN_CALLS_MAX) - len(turn.open)
    spent = Amounts()
    for step in plan.ready(turn):
        if _follows(state, world, step, record, now):
            continue
        if turn.level and not step.spec.final:
            _refuse(record, turn, step, "cancelled", "The work was told to stop: nothing new is begun.")
            continue
        if slots <= 0:
            break
        if step.spec.kind == "person":
            continue
        before = len(record.events)
        if step.spec.kind == "model":
            hold = _judge_model(state, world, step, record, (now, spent))
        elif step.spec.kind == "agent":
            hold = _judge_agent(state, world, step, record, (now, spent))
        else:
            hold = _judge_tool(state, world, step, record, (now, spent))
        spent = spent + hold
        slots -= len(record.events) > before
    return record


def _follows(state: State, world: World, step: StepState, record: Recorder, now: int) -> bool:
    """Whether a step only waits for what follows an effect, which is judged here, whatever else the turn may still do."""
    turn = state.turn
    assert turn is not None
    if step.spec.kind == "undo":
        aftermath.judge_undo(state, world, step, record, now)
        return True
    if not step.call or step.spec.kind != "tool":
        return False
    if not effects.asks(turn, step, permit.tool_of(world.agent(state.agent), step.spec.does)):
        return False
    aftermath.judge_ask(state, world, step, record, now)
    return True


def call_question(state: State, agent: AgentSpec, policy: Policy, step: StepState) -> CallQuestion | None:
    """What must be asked before a tool step can be judged; None where no answer could let it through."""
    turn = state.turn
    assert turn is not None
    move = plan.move_of(turn, step.spec)
    tool = permit.tool_of(agent, step.spec.does)
    if move is None or tool is None:
        return None
    return permit.question(state.principal, agent, tool, move.arguments, policy.label(turn.items.get(step.spec.item)))


def _refuse(record: Recorder, turn: Turn, step: StepState, code: str, text: str) -> Amounts:
    assert code in REFUSALS
    if step.effect is not None and effects.in_doubt(turn, step, None):
        effects.leave_in_doubt(record, turn, step, record.add(CallRefused(step.spec.id, code), step.added))
        return Amounts()
    source = turn.items.get(step.spec.item)
    items: tuple[Item, ...] = ()
    if source is not None and source.id not in turn.withdrawn:
        items = (reply.failure(record, source, code, text, step.spec.id),)
    refused = record.add(CallRefused(step.spec.id, code, items=items), step.added)
    record.add(StepEnded(step.spec.id, "refused", code), refused)
    return Amounts()


def _judge_tool(state: State, world: World, step: StepState, record: Recorder, at: tuple[int, Amounts]) -> Amounts:
    now, taken = at
    turn = state.turn
    assert turn is not None
    agent = world.agent(state.agent)
    move = plan.move_of(turn, step.spec)
    if move is None:
        doubt = step.effect is not None and effects.in_doubt(turn, step, None)
        how = "unknown" if doubt else "withdrawn"
        record.add(StepEnded(step.spec.id, how, "what asked for it may no longer be read"), step.added)
        return Amounts()
    tool = permit.tool_of(agent, step.spec.does)
    if tool is None:
        return _refuse(record, turn, step, permit.NOT_FOUND, NOT_FOUND_TEXT)
    problem = check.schema_problem(tool.parameters, move.arguments)
    question = call_question(state, agent, world.policy, step)
    if question is None:
        problem = problem or "what they should name"
    if problem or question is None:
        return _refuse(record, turn, step, "arguments", f"The arguments of `{tool.name}` do not fit its schema at {problem}.")
    permitted = permit.permit(world.access, question)
    if permitted == permit.NOT_FOUND:
        return _refuse(record, turn, step, permit.NOT_FOUND, NOT_FOUND_TEXT)
    if not isinstance(permitted, Permit):
        return Amounts()
    hold, effect = Amounts(tool_calls=1), effects.effect_of(state, step, tool, move)
    kept = effect.asking + effect.undoing - step.kept if effect is not None else Amounts()
    if turn.soft or now >= turn.soft_at:
        return _refuse(record, turn, step, "deadline", "There is no time left for this step.")
    if (hold + kept + taken).short(budget.free(turn, final=False)):
        return _refuse(record, turn, step, "budget", "There is no budget left for this step.")
    intent = intents.of_tool(agent.name, tool.name, move.arguments) if state.recorded else ""
    found = intents.recorded(state, intent, record.events)
    wanted = consent.wanted(state, tool)
    if effect is not None and effect.intent in state.doubts and not wanted:
        return _refuse(record, turn, step, effects.IN_DOUBT, effects.SAME_TEXT)
    if wanted and not found and not _approved(state, world, step, record, now):
        return Amounts()
    record.add(
        CallGranted(
            call=call_id(turn.id, step.spec.id, step.attempts + 1),
            step=step.spec.id,
            target=tool.name,
            hold=hold,
            deadline_at=min(now + tool.timeout_ms, turn.soft_at),
            permit=permitted,
            key=_key(state, turn, step),
            recorded=found,
            effect=effect if not found else None,
        ),
        *_led(turn, step),
    )
    return hold + kept


def _key(state: State, turn: Turn, step: StepState) -> str:
    return digest([step.session or state.session, turn.id, step.spec.id])


def _led(turn: Turn, step: StepState) -> tuple[int, ...]:
    """What led to an attempt: the patch that added the step, the steps it needed, the attempt before it."""
    needed = (turn.steps[n].ended for n in step.spec.needs if n in turn.steps)
    return (step.added, *needed, turn.calls[step.call].ended if step.call else 0)


def _judge_agent(state: State, world: World, step: StepState, record: Recorder, at: tuple[int, Amounts]) -> Amounts:
    """A specialist gets its share of what is free, half of the time that is left, and must be able to end with them."""
    now, taken = at
    turn = state.turn
    assert turn is not None
    move = plan.move_of(turn, step.spec)
    if move is None:
        record.add(StepEnded(step.spec.id, "withdrawn", "what asked for it may no longer be read"), step.added)
        return Amounts()
    agent = world.agents.get(step.spec.does)
    asked = reply.delegated(move)
    if isinstance(asked, str):
        return _refuse(record, turn, step, "arguments", f"The arguments of `{plan.DELEGATE}` do not fit: {asked}")
    if agent is None:
        return _refuse(record, turn, step, permit.NOT_FOUND, NOT_FOUND_TEXT)
    left_ms = turn.soft_at - now
    if turn.soft or left_ms <= 0:
        return _refuse(record, turn, step, "deadline", "There is no time left for this step.")
    live = [turn.steps[id] for id in turn.live]
    waiting = [s for s in live if s.call not in turn.open]
    claimants = sum(s.spec.kind == "agent" for s in waiting) - sum(isinstance(e.fact, ScopeStarted) for e in record.events)
    hold = budget.share(turn, taken, claimants, sum(s.spec.kind == "tool" for s in (*live, *live, *waiting)))
    source = turn.items[step.spec.item]
    models = models_for(world.policy, agent.name, "synthesize")
    task = Draft(Text(asked.task), msgspec.structs.replace(source.label, integrity="agent"))
    reserve = budget.reserve(world.policy, models, agent, len(asked.task.encode()) + ITEM_OVERHEAD_BYTES, hold.model_calls)
    if reserve.short(hold):
        return _refuse(record, turn, step, "budget", "There is no budget left for this step.")
    deadline_at, name = now + max(left_ms // 2, 1), call_id(turn.id, step.spec.id, step.attempts + 1)
    permitted = Permit("given to the agent", world.access.revision)
    granted = CallGranted(name, step.spec.id, agent.name, hold, deadline_at, permitted, _key(state, turn, step))
    seq = record.add(granted, *_led(turn, step))
    record.add(
        ScopeStarted(
            scope=name,
            agent=agent.name,
            limits=Limits(hold, deadline_at - now),
            reserve=reserve,
            soft_at=deadline_at - budget.final_ms(deadline_at - now),
            deadline_at=deadline_at,
            items=(place(task, item_id(record.next, 0), "task"),),
        ),
        seq,
    )
    return hold


def _approved(state: State, world: World, step: StepState, record: Recorder, now: int) -> bool:
    """Whether a person said yes to exactly this call, and nothing it was asked on has changed; if nobody was asked, one is."""
    turn = state.turn
    assert turn is not None
    name, move = ask_id(turn.id, step.spec.id), plan.move_of(turn, step.spec)
    ask, versions = turn.asks.get(name), consent.current(world.access, turn.items[step.spec.item].label)
    if move is None or versions is None or (ask is not None and not ask.outcome):
        return False
    meant = consent.intent(step.spec.does, move.arguments, _key(state, turn, step))
    if ask is None:
        record.add(Asked(name, step.spec.id, "approval", now + world.policy.parked_ms, meant, versions), step.added)
        return False
    code = consent.judge(ask, meant, versions, now)
    if code != "allowed":
        _refuse(record, turn, step, code, consent.SAID[code])
    return code == "allowed"


def _judge_model(state: State, world: World, step: StepState, record: Recorder, at: tuple[int, Amounts]) -> Amounts:
    now, taken = at
    turn = state.turn
    assert turn is not None
    task, final = step.spec.does, step.spec.final
    agent = world.agent(state.agent)
    candidates, passed = route(world.policy, agent.name, task, step.failed, state.tried)
    asked_bytes = turn.items[turn.question].bytes
    until = turn.deadline_at if final else 0 if turn.soft else turn.soft_at  # soft, though a clock that was set says otherwise
    cheapest = None
    if final:  # the reserve is for one final call: only the cheapest candidate may touch it, or nothing is left to fall back to
        cheapest = min(candidates, key=lambda m: budget.final_cost(m, agent, asked_bytes).microusd, default=None)
    for model in candidates:
        if until - now <= 0:
            passed += (Passed(model.name, "no time left"),)
            continue
        entries = context.select(
            turn, state.closed, world.access, budget.prompt_bytes_max(model, agent, asked_bytes, final=final)
        )
        size = sum(i.bytes + ITEM_OVERHEAD_BYTES for i, _ in entries) + budget.agent_bytes(agent)
        spare = 0 if not final or model is cheapest else turn.reserve.microusd
        room = budget.free(turn, final=final) - taken - Amounts(microusd=spare)
        output = min(budget.output_affordable(model, size, room.microusd), budget.FINAL_OUTPUT_TOKENS if final else 2**31)
        hold = budget.bound(model, size, max(output, 0))
        short = hold.short(room)
        if output < min(budget.OUTPUT_TOKENS_MIN, model.output_tokens_max) or short:
            passed += (Passed(model.name, f"budget: {short or 'microusd'}"),)
            continue
        manifest = context.manifest(turn, entries, final=final, output_tokens_max=output)
        intent = intents.of_model(agent.name, model.name, (i for i, _ in entries), final=final) if state.recorded else ""
        record.add(
            CallGranted(
                call=call_id(turn.id, step.spec.id, step.attempts + 1),
                step=step.spec.id,
                target=model.name,
                hold=hold,
                deadline_at=min(now + model.timeout_ms, until),
                permit=Permit("labels", world.access.revision),
                key=_key(state, turn, step),
                route=Route(task, model.name, model.provider, rule_for(world.policy, agent.name, task), passed),
                manifest=manifest,
                recorded=intents.recorded(state, intent, record.events),
            ),
            *_led(turn, step),
        )
        return hold
    if any(p.reason == IN_FLIGHT for p in passed):
        return Amounts()
    code = "budget" if any(p.reason.startswith("budget") for p in passed) else "no model"
    refused = record.add(CallRefused(step.spec.id, code, passed=passed), step.added)
    record.add(StepEnded(step.spec.id, "failed" if step.failed else "refused", code), refused)
    return Amounts()


def fits_normal(turn: Turn) -> bool:
    """Whether the counts leave room for one more model call that is not the final one."""
    left = budget.free(turn, final=False)
    return left.model_calls > 0 and left.steps > 0
