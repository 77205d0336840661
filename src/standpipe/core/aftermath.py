"""The gate for what follows effects: asking what came of one, and taking back those of a turn that ends failed or cancelled."""

from __future__ import annotations

from standpipe.core import effects, permit, plan
from standpipe.core.amounts import Amounts
from standpipe.core.details import ASK, UNDO, Permit, Step, Why
from standpipe.core.events import CallGranted, CallRefused, PlanPatched, StepEnded, UnwindStarted
from standpipe.core.ids import call_id, step_id
from standpipe.core.record import Recorder
from standpipe.core.state import Deed, State, StepState, Turn
from standpipe.core.tools import AgentSpec
from standpipe.core.world import CallQuestion, Policy, World

UNWIND_MS = 60_000
"""What taking back may take, all of it: it may begin at the turn's deadline."""
ONE = Amounts(tool_calls=1)


def judge_ask(state: State, world: World, step: StepState, record: Recorder, now: int) -> None:
    """Let through what asks about a step, once its last attempt is over for certain; it asks about a key and brings no content.

    Who may not make the call any more is not told what came of it: then it is not known.
    """
    turn = state.turn
    assert turn is not None
    agent = world.agent(state.agent)
    tool, move = permit.tool_of(agent, step.spec.does), plan.move_of(turn, step.spec)
    last = turn.calls[step.call]
    question = None
    if tool is not None and move is not None:
        label = world.policy.label(turn.items.get(step.spec.item))
        question = permit.question(state.principal, agent, tool, move.arguments, label)
    permitted = permit.permit(world.access, question) if question is not None else permit.NOT_FOUND
    if now < effects.asked_from(turn, step) or permitted == "":
        return
    if tool is None or not isinstance(permitted, Permit):
        effects.leave_in_doubt(record, turn, step, last.ended)
        return
    record.add(
        CallGranted(
            call=call_id(turn.id, step.spec.id, step.attempts + 1),
            step=step.spec.id,
            target=tool.name,
            hold=ONE,
            deadline_at=now + min(tool.timeout_ms, effects.ASK_MS),
            permit=permitted,
            key=last.key,
            purpose=ASK,
        ),
        step.added,
        last.ended,
    )


def unwind(turn: Turn, how: tuple[str, str], record: Recorder, now: int, *causes: int) -> bool:
    """Begin to take back what a turn or a scope did that ends in this way; whether there is anything to wait for.

    One after the other, what was done last first: what came later may rest on what came before it.
    """
    if turn.unwind is not None or not turn.deeds or how[0] not in ("failed", "cancelled"):
        return False
    deeds = sorted(turn.deeds.values(), key=lambda deed: -deed.ended)
    names = [step_id(turn.id, len(turn.steps) + n) for n in range(1, len(deeds) + 1)]
    steps = tuple(
        Step(
            id=names[n],
            kind="undo",
            does=deed.step.does,
            item=deed.step.item,
            planned=deed.step.planned,
            needs=tuple(names[n - 1 : n]),
            undoes=deed.step.id,
        )
        for n, deed in enumerate(deeds)
    )
    seq = record.add(UnwindStarted(turn.id, *how, now + UNWIND_MS), *causes)
    record.add(PlanPatched(turn.id, turn.epoch + 1, Why("unwind"), steps), seq, *(deed.ended for deed in deeds))
    return True


def undo_question(state: State, agents: dict[str, AgentSpec], policy: Policy, deed: Deed) -> CallQuestion | None:
    """What must be asked before an effect may be taken back: whether its call may still be made."""
    agent = agents.get(deed.agent)
    tool = permit.tool_of(agent, deed.step.does) if agent is not None else None
    move = plan.moved(deed.move, deed.step) if deed.move is not None else None
    if agent is None or tool is None or not tool.compensate or move is None:
        return None
    return permit.question(state.principal, agent, tool, move.arguments, policy.label(deed.move))


def judge_undo(state: State, world: World, step: StepState, record: Recorder, now: int) -> None:
    """Let a compensation through, or say why the effect stays. Nobody is asked again: that it may be taken back is what its
    tool declared."""
    turn = state.turn
    assert turn is not None
    deed = turn.deeds[step.spec.undoes]
    led = (step.added, *(turn.steps[n].ended for n in step.spec.needs), turn.calls[step.call].ended if step.call else 0)
    closed = any(i is None or i.body is None or world.access.withholds(i.label) for i in (deed.move, *deed.items))
    question = undo_question(state, world.agents, world.policy, deed)
    permitted = permit.permit(world.access, question) if question is not None else permit.NOT_FOUND
    if permitted == "":
        return
    tool = permit.tool_of(world.agent(deed.agent), deed.step.does)
    late = now >= turn.unwind_until
    if late or closed or tool is None or not isinstance(permitted, Permit):
        code = "deadline" if late else permit.NOT_FOUND
        refused = record.add(CallRefused(step.spec.id, code), *led)
        own = (call for call in turn.calls.values() if call.step == step.spec.id)
        tried = any(call.unknown or call.outcome == "interrupted" for call in own)
        record.add(StepEnded(step.spec.id, "unknown" if tried else "refused", code), refused)
        return
    record.add(
        CallGranted(
            call=call_id(turn.id, step.spec.id, step.attempts + 1),
            step=step.spec.id,
            target=tool.name,
            hold=ONE,
            deadline_at=min(now + tool.timeout_ms, turn.unwind_until),
            permit=permitted,
            key=deed.undo,
            purpose=UNDO,
        ),
        *led,
    )
