"""What a session's log must never show: the promises, held against the facts by a model that knows none of the rules.

It shares only the vocabulary with the rules it watches (facts, items, amounts), so that a mistake there is not made here too.
Here stand order, plan, calls, money, people and endings; `verify_content` knows prompts, labels and answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from standpipe.core import events as e
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import Step
from standpipe.core.verify_content import Content

REPEATABLE, ONCE = "repeatable", "once"
"""What a tool that changes the world may be: called again with the same key after an unknown outcome, or never."""

Effects = Mapping[str, Mapping[str, str]]
"""By digest of a world's agents part: REPEATABLE or ONCE by tool name; tools that only read are left out."""

OUTCOMES = ("completed", "partial", "failed", "cancelled")


def violations(frames: Iterable[e.Frame], effects: Effects | None = None) -> list[str]:
    """What these frames (one session's whole log, one by one) break, a sentence each; empty: nothing.

    Without `effects` nothing is said about repeated effects. What an erased body hid is not judged.
    """
    audit, content = _Audit(effects or {}), Content()
    for frame in frames:
        audit.frame(frame)
        for event in frame.events:
            content.take(event)
    return audit.found + content.found


class _Call(msgspec.Struct):
    grant: e.CallGranted
    seq: int
    hold: Amounts | None
    ended: int = 0
    outcome: str = ""


class _Turn(msgspec.Struct):
    started: e.TurnStarted
    deadline_at: int
    spent: Amounts = NOTHING
    epoch: int = 0
    steps: dict[str, tuple[Step, int]] = {}
    over: dict[str, str] = {}
    calls: dict[str, _Call] = {}
    asks: dict[str, bool] = {}
    parked: bool = False
    soft: bool = False
    cancelled: bool = False

    def used(self) -> Amounts:
        """Spent and held."""
        return sum((c.hold for c in self.calls.values() if c.hold is not None), self.spent)

    def of(self, step: str) -> list[_Call]:
        """The attempts at a step."""
        return [c for c in self.calls.values() if c.grant.step == step]


class _Audit:
    """One pass over a log."""

    def __init__(self, effects: Effects) -> None:
        self.found: list[str] = []
        self.effects, self.acts = effects, effects.get("", {})
        self.seq, self.at, self.causes = 0, 0, tuple[e.Cause, ...]()
        self.turn: _Turn | None = None
        self.turns: set[str] = set()
        self.asked: dict[str, None] = {}
        self.over: dict[str, bool] = {}
        self.keys: dict[str, str] = {}

    def must(self, holds: object, otherwise: str) -> None:
        """Note a violation at the event looked at, unless it holds."""
        if not holds:
            self.found.append(f"seq {self.seq}: {otherwise}.")

    def frame(self, frame: e.Frame) -> None:
        """Judge the next frame."""
        self.at, self.acts = frame.at, self.effects.get(frame.world.parts.get("agents", ""), {})
        for event in frame.events:
            before, self.seq, self.causes = self.seq, event.seq, event.causes
            self.must(event.seq == before + 1, f"it follows seq {before}")
            begins = isinstance(event.fact, e.SessionOpened)
            self.must(begins == (before == 0), "a log begins with SessionOpened and has no other")
            self._event(event.fact, type(event.fact).__name__)
        self.must(frame.events and frame.first_seq == frame.events[0].seq, "its frame says that it begins elsewhere")

    def _event(self, fact: e.AnyFact, name: str) -> None:
        for c in self.causes:
            self.must(0 < c < self.seq if isinstance(c, int) else c.startswith("house:"), f"its cause {c} is not before it")
        self.must(self.causes or isinstance(fact, e.INPUTS), f"nothing led to this {name}")
        turn, rule = self.turn, _INSIDE.get(type(fact))
        if type(fact) in _OUTSIDE:
            _OUTSIDE[type(fact)](self, fact)
        elif turn is None or rule is None:
            self.must(False, f"{name} outside of a turn" if rule else f"{name} does not belong to a session")
        else:
            named = getattr(fact, "turn", "") or getattr(fact, "call", "") or getattr(fact, "ask", "")
            self.must(named.split(".")[0] in ("", turn.started.turn), f"{named} is not of the open turn {turn.started.turn}")
            rule(self, turn, fact)
            short = turn.used().short(turn.started.limits.amounts)
            self.must(not short, f"{short} spent and held are above the limit of the turn")

    def spares(self, turn: _Turn) -> None:
        """What is set aside to end a turn is there until its last call."""
        short = turn.used().short(turn.started.limits.amounts - turn.started.reserve)
        self.must(not short, f"{short} of what is set aside to end the turn is used before its end")

    # --- requests and plan

    def opened(self, fact: e.SessionOpened) -> None:
        self.must(fact.session and fact.tenant and fact.principal, "the session belongs to nobody")

    def requested(self, fact: e.TurnRequested) -> None:
        self.must(fact.items and fact.turn not in self.turns, f"{fact.turn} asks nothing, or did before")
        self.turns.add(fact.turn)
        self.asked[fact.turn] = None

    def begun(self, fact: e.TurnStarted) -> None:
        self.must(self.turn is None, "another turn is still open")
        self.must(next(iter(self.asked), "") == fact.turn, f"{fact.turn} is not the oldest message that waits")
        self.must(not fact.reserve.short(fact.limits.amounts), "more is set aside to end the turn than it may use")
        self.asked.pop(fact.turn, None)
        self.turn = _Turn(fact, fact.deadline_at)

    def patched(self, turn: _Turn, fact: e.PlanPatched) -> None:
        self.must(fact.epoch == turn.epoch + 1, f"the epoch before it is {turn.epoch}")
        self.must(not turn.steps.keys() & {step.id for step in fact.add}, "it adds a step that is there already")
        turn.epoch, turn.spent = fact.epoch, turn.spent + Amounts(steps=len(fact.add))
        turn.steps |= {step.id: (step, self.seq) for step in fact.add}
        self.must(all(need in turn.steps for step in fact.add for need in step.needs), "a step needs one that is not there")
        if not all(step.final for step in fact.add):
            self.spares(turn)

    # --- calls

    def granted(self, turn: _Turn, fact: e.CallGranted) -> None:
        step, added = turn.steps.get(fact.step, (Step(fact.step, "", ""), 0))
        before = turn.of(fact.step)
        self.must(added and added in self.causes and fact.step not in turn.over, f"{fact.step} is not planned, or over")
        self.must(turn.over.keys() >= set(step.needs), f"{fact.step} still waits for another step")
        self.must(fact.call not in turn.calls and all(c.ended for c in before), f"{fact.call} is under way already")
        self.must(fact.permit.rule, "nothing permits it")
        self.must(fact.hold != NOTHING, "nothing is held for it")
        owner = self.keys.setdefault(fact.key, f"{turn.started.turn}.{fact.step}")
        self.must(fact.key and owner == f"{turn.started.turn}.{fact.step}", f"it has no key, or that of {owner}")
        self.must(not turn.cancelled and not turn.parked, "the turn is parked or cancelled")
        self.must(fact.deadline_at <= turn.deadline_at, "the turn ends before it")
        for call in before if fact.target in self.acts else ():
            done = call.outcome == "completed" or (self.acts[fact.target] == ONCE and call.outcome in _DOUBTFUL)
            self.must(not done, f"{call.grant.call} took effect, or may have; it would again")
        if step.kind == "model":
            route = fact.route
            told = route is not None and route.rule and route.task and route.provider and route.model == fact.target
            self.must(told and fact.manifest, "a model call without a route, its rule and task, or without a manifest")
            self.must(route is None or all(p.model and p.reason for p in route.passed), "a model is passed over for no reason")
        turn.calls[fact.call] = _Call(fact, self.seq, fact.hold)
        if fact.manifest is None or not fact.manifest.final:
            self.must(not turn.soft, "only the final call may begin after the soft deadline")
            self.spares(turn)

    def came(self, turn: _Turn, fact: e.CallCompleted | e.CallFailed | e.CallCancelled | e.CallInterrupted) -> None:
        call = turn.calls.get(fact.call)
        if call is None or call.ended:
            self.must(False, f"{fact.call} {'ended before' if call else 'was never granted'}")
            return
        self.must(call.seq in self.causes, "its grant is no cause")
        call.ended, call.outcome = self.seq, "unknown" if getattr(fact, "unknown", False) else type(fact).__name__[4:].lower()

    def settled(self, turn: _Turn, fact: e.HoldSettled) -> None:
        call = turn.calls.get(fact.call)
        if call is None or call.hold is None:
            self.must(False, f"nothing is held for {fact.call}")
            return
        self.must(call.ended in self.causes, "it is settled before it is over")
        self.must(not fact.spent.short(call.hold) and not NOTHING.short(fact.spent), "it cost more than was held for it")
        turn.spent, call.hold = turn.spent + fact.spent, None

    def stepped(self, turn: _Turn, fact: e.StepEnded) -> None:
        calls = turn.of(fact.step)
        self.must(fact.step in turn.steps and fact.step not in turn.over, f"{fact.step} is not planned, or over")
        self.must(all(c.ended for c in calls), f"a call of {fact.step} is still open")
        turn.over[fact.step] = fact.outcome
        if not calls:
            return
        last = calls[-1]
        self.must(
            fact.outcome != "done" or last.outcome == "completed", f"{fact.step} is done though its call did not complete"
        )
        doubtful = self.acts.get(last.grant.target) == ONCE and last.outcome in _DOUBTFUL
        self.must(fact.outcome == "unknown" or not doubtful, f"{fact.step} may have taken effect, which is not shown")

    # --- people, time, the end

    def people(self, turn: _Turn, fact: e.Asked | e.Answered | e.AskExpired) -> None:
        fits = fact.ask not in turn.asks if isinstance(fact, e.Asked) else turn.asks.get(fact.ask)
        self.must(fits, f"{fact.ask} is {'asked twice' if isinstance(fact, e.Asked) else 'not open'}")
        turn.asks[fact.ask] = isinstance(fact, e.Asked)

    def parking(self, turn: _Turn, fact: e.TurnParked | e.TurnUnparked) -> None:
        parked = isinstance(fact, e.TurnParked)
        self.must(turn.parked != parked, "a turn is parked and goes on by turns")
        self.must(not parked or any(turn.asks.values()), "it is parked though nobody is asked")
        turn.parked, turn.deadline_at = parked, getattr(fact, "deadline_at", turn.deadline_at)

    def timed(self, turn: _Turn, fact: e.DeadlinePassed) -> None:
        self.must(fact.which == "soft" or self.at >= turn.deadline_at, "the deadline has not passed")
        turn.soft = True

    def cancelling(self, turn: _Turn, fact: e.CancelRequested) -> None:
        turn.cancelled = True

    def refused(self, turn: _Turn, fact: e.CallRefused) -> None:
        self.must(fact.code, "a refusal without a reason")

    def left_to_content(self, turn: _Turn, fact: e.Fact) -> None:
        """`verify_content` judges it."""

    def ended(self, fact: e.TurnEnded) -> None:
        turn, self.turn = self.turn, None
        self.must(fact.turn not in self.over, f"{fact.turn} ended before")
        self.must(fact.outcome in OUTCOMES and fact.reason, "no such outcome, or no reason")
        self.over[fact.turn] = bool(fact.items)
        if turn is None:
            self.must(fact.turn in self.asked and fact.outcome == "failed", f"{fact.turn} ends without having begun")
            self.must(fact.spent == NOTHING and not fact.items, "what never began costs nothing and answers nothing")
            self.asked.pop(fact.turn, None)
            return
        self.must(fact.turn == turn.started.turn, f"the open turn is {turn.started.turn}")
        self.must(all(c.ended and c.hold is None for c in turn.calls.values()), "a call is not over, or not settled")
        self.must(turn.steps.keys() <= turn.over.keys() and not turn.parked, "it is parked, or a step has not ended")
        self.must(fact.spent == turn.spent, "its cost is not the sum of what was settled")
        unknown = {step for step, outcome in turn.over.items() if outcome == "unknown"}
        self.must(set(fact.unknown) == unknown, "it does not tell which steps may have taken effect")
        self.must((fact.outcome == "cancelled") == turn.cancelled, "cancelled is what somebody cancelled, and nothing else")

    def kept(self, fact: e.MemoryKept) -> None:
        self.must(self.over.get(fact.turn), f"{fact.turn} has no answer to be kept, or it was kept before")
        self.over[fact.turn] = False


_DOUBTFUL = ("unknown", "interrupted")
_OUTSIDE: dict[type, Callable[[_Audit, Any], None]] = {
    e.SessionOpened: _Audit.opened,
    e.TurnRequested: _Audit.requested,
    e.TurnStarted: _Audit.begun,
    e.TurnEnded: _Audit.ended,
    e.MemoryKept: _Audit.kept,
}
_INSIDE: dict[type, Callable[[_Audit, _Turn, Any], None]] = {
    e.PlanPatched: _Audit.patched,
    e.CallGranted: _Audit.granted,
    e.CallRefused: _Audit.refused,
    **dict.fromkeys((e.CallCompleted, e.CallFailed, e.CallCancelled, e.CallInterrupted), _Audit.came),
    e.HoldSettled: _Audit.settled,
    e.StepEnded: _Audit.stepped,
    **dict.fromkeys((e.ItemsWithdrawn, e.AnswerJudged), _Audit.left_to_content),
    **dict.fromkeys((e.Asked, e.Answered, e.AskExpired), _Audit.people),
    **dict.fromkeys((e.TurnParked, e.TurnUnparked), _Audit.parking),
    e.DeadlinePassed: _Audit.timed,
    e.CancelRequested: _Audit.cancelling,
}
