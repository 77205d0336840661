"""What a log must never show of effects: a doubt not told or not heeded, an effect taken back that was none, or forgotten.

Like `verify`, it shares only the vocabulary with the rules it watches; that nothing acts twice under one key is held there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from standpipe.core import events as e
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import ABSENT, ASK, NOT_SENT, UNDO, Effect, Step

TRIES = 3
ASK_MS, UNWIND_MS = 10_000, 60_000
"""What asking and taking back may take, in attempts and in time: they may run after a deadline."""


class _Intent(msgspec.Struct):
    """A step that was granted, and what is known of it: `doubt` that it may have acted."""

    effect: Effect | None
    kept: Amounts = NOTHING
    asked: int = 0
    doubt: bool = False


class _Share(msgspec.Struct):
    steps: dict[str, Step] = {}
    intents: dict[str, _Intent] = {}
    calls: dict[str, e.CallGranted] = {}
    tries: dict[str, int] = {}
    over: dict[str, str] = {}
    deeds: dict[str, Effect] = {}
    standing: set[str] = set()
    later: dict[str, Amounts] = {}
    extra: Amounts = NOTHING
    until: int = 0


class Deeds:
    """One pass over a session's events in order, beside that of `verify`, whose `must` it uses."""

    def __init__(self, must: Callable[[object, str], None]) -> None:
        """Nothing has been read yet."""
        self.must, self.at = must, 0
        self.open: dict[str, _Share] = {}
        self.doubts: set[str] = set()
        self.allowed: set[str] = set()

    def take(self, event: e.Event, home: str, at: int) -> None:
        """Judge the next event, which stands in the share `home` and was written at `at` (ms since 1970)."""
        fact, self.at = event.fact, at
        if isinstance(fact, e.TurnStarted):
            self.open, self.doubts, self.allowed = {fact.turn: _Share()}, set(), set()
        elif isinstance(fact, e.SessionForked):
            for one in self.open.values():
                _fork(one, fact.later_ms)
            self.allowed = set()
        elif (share := self.open.get(home)) is not None and (rule := _RULES.get(type(fact))) is not None:
            rule(self, share, fact)

    def kept(self, home: str) -> Amounts:
        """What is set aside in a share for what may have to follow its effects."""
        share = self.open.get(home)
        if share is None or share.until:
            return NOTHING
        own = sum((intent.kept for step, intent in share.intents.items() if step not in share.over), share.extra)
        return sum((effect.undoing for step, effect in share.deeds.items() if step in share.steps), own)

    def scoped(self, share: _Share, fact: e.ScopeStarted) -> None:
        self.open[fact.scope] = _Share()

    def patched(self, share: _Share, fact: e.PlanPatched) -> None:
        undoes = [step.undoes for step in fact.add if step.kind == "undo"]
        new = not {s.undoes for s in share.steps.values()} & set(undoes) and len(set(undoes)) == len(undoes)
        self.must(not undoes or (share.until and set(undoes) <= share.deeds.keys() and new), "it takes back what was not done")
        self.must(len(undoes) == len(fact.add) or not share.until, "it plans something new while it takes back")
        share.steps |= {step.id: step for step in fact.add}

    def granted(self, share: _Share, fact: e.CallGranted) -> None:
        step = share.steps.get(fact.step, Step(fact.step, "", ""))
        share.calls[fact.call] = fact
        share.tries[fact.step] = share.tries.get(fact.step, 0) + 1
        self.must((step.kind == "undo") == (fact.purpose == UNDO), f"{fact.call} is for something else than {fact.step}")
        if fact.purpose == UNDO:
            effect = share.deeds.get(step.undoes)
            self.must(
                effect is not None and effect.undo == fact.key, f"nothing was registered that would take back {step.undoes}"
            )
            self.must(fact.deadline_at <= share.until, "it has more time than is left to take back")
            self.must(share.tries[fact.step] <= TRIES, f"{fact.step} is tried more than {TRIES} times")
        elif fact.purpose == ASK:
            self._asked(share, fact)
        else:
            self.must(not share.until, "it begins something new while it takes back")
            self._intended(share, fact)

    def _asked(self, share: _Share, fact: e.CallGranted) -> None:
        intent = share.intents.get(fact.step)
        if intent is None or not intent.doubt:
            self.must(False, f"it asks about {fact.step}, of which nothing is in doubt")
            return
        intent.asked += 1
        intent.kept = intent.kept - fact.hold if not fact.hold.short(intent.kept) else intent.kept
        self.must(intent.asked <= TRIES and fact.deadline_at <= self.at + ASK_MS, f"it asks about {fact.step} without end")

    def _intended(self, share: _Share, fact: e.CallGranted) -> None:
        effect, before = fact.effect, share.intents.get(fact.step)
        doubt = before is not None and before.doubt
        if effect is None:
            share.intents[fact.step] = _Intent(before.effect if before is not None else None, doubt=doubt)
            return
        again = effect.intent in self.doubts and fact.step not in self.allowed
        self.must(not again, "the same call may have taken effect before, and nobody allowed it again")
        share.intents[fact.step] = _Intent(effect, effect.asking + effect.undoing, doubt=doubt)

    def came(self, share: _Share, fact: e.CallCompleted | e.CallFailed | e.CallCancelled | e.CallInterrupted) -> None:
        grant = share.calls.get(fact.call)
        intent = share.intents.get(grant.step) if grant is not None else None
        if grant is None or (isinstance(fact, e.CallCancelled) and fact.cause == NOT_SENT):
            if grant is not None:
                share.tries[grant.step] -= 1
            return
        if intent is None or intent.effect is None:
            return
        unclear = isinstance(fact, e.CallInterrupted) or getattr(fact, "unknown", False)
        absent = grant.purpose == ASK and isinstance(fact, e.CallFailed) and fact.fault.code == ABSENT
        if isinstance(fact, e.CallCompleted) or absent:
            intent.doubt = False
        elif not grant.purpose and unclear:
            intent.doubt = True

    def stepped(self, share: _Share, fact: e.StepEnded) -> None:
        share.over[fact.step] = fact.outcome
        step, intent = share.steps.get(fact.step), share.intents.get(fact.step)
        if step is not None and step.kind == "undo" and fact.outcome != "done":
            share.standing.add(step.undoes)
        if intent is None or intent.effect is None:
            return
        self.must(fact.outcome == "unknown" or not intent.doubt, f"{fact.step} is in doubt, which is not told")
        if fact.outcome == "unknown":
            self.doubts.add(intent.effect.intent)
        elif fact.outcome == "done" and intent.effect.undo:
            share.deeds[fact.step] = intent.effect

    def unwound(self, share: _Share, fact: e.UnwindStarted) -> None:
        self.must(share.deeds and not share.until, "there is nothing to take back, or it is being done already")
        self.must(fact.outcome in ("failed", "cancelled") and fact.reason, "only what fails or is cancelled takes back")
        self.must(fact.until <= self.at + UNWIND_MS, "it would take back without end")
        self.must(share.steps.keys() <= share.over.keys(), "a step has not ended")
        share.until = max(fact.until, 1)

    def rejoined(self, share: _Share, fact: e.ScopeEnded) -> None:
        scope = self.open.pop(fact.scope, _Share())
        self._closed(scope, fact.outcome)
        share.standing |= scope.standing
        if fact.outcome in ("completed", "partial"):
            share.deeds |= scope.deeds
            share.later[fact.scope] = sum((effect.undoing for effect in scope.deeds.values()), NOTHING)

    def settled(self, share: _Share, fact: e.HoldSettled) -> None:
        share.extra = share.extra + share.later.pop(fact.call, NOTHING)

    def _closed(self, share: _Share, outcome: str) -> None:
        tried = {s.undoes for s in share.steps.values() if s.kind == "undo" and s.id in share.over}
        left = ", ".join(sorted(share.deeds.keys() - tried))
        if outcome in ("failed", "cancelled"):
            self.must(not left, f"it ends {outcome} and does not take back {left}")
        else:
            self.must(not share.until, f"it ends {outcome} though it took back what it did")

    def ended(self, share: _Share, fact: e.TurnEnded) -> None:
        self._closed(share, fact.outcome)
        self.must(set(fact.standing) == share.standing, "it does not tell which effects could not be taken back")

    def answered(self, share: _Share, fact: e.Answered) -> None:
        self.allowed |= {fact.ask.partition(".")[2]} if fact.allow else set()


def _fork(share: _Share, later_ms: int) -> None:
    """What the parent did is the parent's to ask about and to take back."""
    share.deeds, share.extra = {}, NOTHING
    share.until += later_ms if share.until else 0
    for intent in share.intents.values():
        if intent.effect is not None:
            intent.kept, intent.effect = NOTHING, msgspec.structs.replace(intent.effect, undo="", undoing=NOTHING)


_RULES: dict[type, Callable[[Deeds, _Share, Any], None]] = {
    e.ScopeStarted: Deeds.scoped,
    e.PlanPatched: Deeds.patched,
    e.CallGranted: Deeds.granted,
    **dict.fromkeys((e.CallCompleted, e.CallFailed, e.CallCancelled, e.CallInterrupted), Deeds.came),
    e.HoldSettled: Deeds.settled,
    e.StepEnded: Deeds.stepped,
    e.UnwindStarted: Deeds.unwound,
    e.ScopeEnded: Deeds.rejoined,
    e.TurnEnded: Deeds.ended,
    e.Answered: Deeds.answered,
}
