"""What facts about effects change: what is set aside for them, in doubt, to be taken back; no rule stands here."""

from __future__ import annotations

from standpipe.core import events as e
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import ASK
from standpipe.core.state import Deed, State, StepState, Turn, share_named


def granted(turn: Turn, step: StepState, fact: e.CallGranted) -> None:
    """A call that asks is paid from what its effect had set aside; one that may act sets aside what may have to follow it."""
    if fact.purpose == ASK:
        step.asked += 1
        if step.effect is not None and step.effect.asking != NOTHING and not fact.hold.short(step.kept):
            _keep(turn, step, step.kept - fact.hold)
    elif fact.effect is not None:
        step.effect, step.asked = fact.effect, 0
        _keep(turn, step, fact.effect.asking + fact.effect.undoing)


def _keep(turn: Turn, step: StepState, kept: Amounts) -> None:
    turn.kept, step.kept = turn.kept - step.kept + kept, kept


def ended(state: State, turn: Turn, step: StepState, seq: int) -> None:
    """A step that may have acted is over: what it did can be taken back, or is in doubt, or there is nothing to say of it."""
    effect = step.effect
    assert effect is not None, "only a step that may have acted"
    _keep(turn, step, NOTHING)
    if step.outcome == "unknown":
        state.doubts[effect.intent] = None
    call = turn.calls[step.call]
    if step.outcome == "done" and effect.undo:
        brought = tuple(turn.items[id] for id in call.items if id in turn.items)
        turn.deeds[step.spec.id] = Deed(
            agent=turn.agent or state.agent,
            step=step.spec,
            key=call.key,
            undo=effect.undo,
            keep=effect.undoing,
            move=turn.items.get(step.spec.item),
            items=brought,
            ended=seq,
        )
        turn.kept = turn.kept + effect.undoing


def rejoined(turn: Turn, scope: Turn, outcome: str) -> None:
    """What a specialist did that did its work is now the turn's to take back; what another could not take back still stands."""
    turn.standing |= left_standing(scope)
    if outcome in ("completed", "partial") and scope.deeds:
        turn.deeds |= scope.deeds
        turn.kept = turn.kept + scope.kept


def left_standing(turn: Turn) -> dict[str, str]:
    """The steps, and their tools, whose effect should have been taken back and was not, or not for certain."""
    undone = [s for s in turn.steps.values() if s.spec.kind == "undo" and s.outcome != "done"]
    return turn.standing | {s.spec.undoes: s.spec.does for s in undone}


def unwound(state: State, fact: e.UnwindStarted, seq: int) -> None:
    """From here on a turn or a scope only takes back what it did: what was set aside for that may be used."""
    turn = share_named(state, fact.turn)
    turn.unwind, turn.unwind_until, turn.kept = (fact.outcome, fact.reason), fact.until, NOTHING
