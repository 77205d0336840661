"""What a session's log must never show: the promises, held against the facts by a model that knows none of the rules.

It shares only the vocabulary with the rules it watches (facts, items, amounts), so that a mistake there is not made here too.
Here stand order, plan, calls, scopes, money, people and endings; `verify_content` knows prompts, labels and answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from standpipe.core import events as e
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import ASK, Step
from standpipe.core.verify_content import Content
from standpipe.core.verify_effects import Deeds

REPEATABLE, ONCE = "repeatable", "once"
"""What a tool that changes the world may be: called again with the same key after an unknown outcome, or never."""

Effects = Mapping[str, Mapping[str, str]]
"""By digest of a world's agents part: REPEATABLE or ONCE by tool name; tools that only read are left out."""

LEVELS, NEVER = ("", "soft", "firm", "hard"), 2**63
OUTCOMES = ("completed", "partial", "failed", "cancelled")


def violations(frames: Iterable[e.Frame], effects: Effects | None = None) -> list[str]:
    """What these frames (one session's whole log, one by one) break, a sentence each; empty: nothing.

    Without `effects` nothing is said about repeated effects. What an erased body hid is not judged.
    """
    content = Content()
    deeds = Deeds(content.must)
    audit = _Audit(effects or {}, content.must)
    for frame in frames:
        audit.frame(frame)
        for event in frame.events:
            home = content.take(event)
            deeds.take(event, home, frame.at)
            audit.event(event, home, deeds.kept(home))
    return content.found


class _Call(msgspec.Struct):
    grant: e.CallGranted
    seq: int
    hold: Amounts | None
    agent: bool
    ended: int = 0
    outcome: str = ""
    used: Amounts | None = None
    acted: bool = False


class _Share(msgspec.Struct):
    name: str
    limit: Amounts
    reserve: Amounts
    deadline_at: int
    spent: Amounts = NOTHING
    epoch: int = 0
    steps: dict[str, tuple[Step, int]] = {}
    over: dict[str, tuple[str, int]] = {}
    calls: dict[str, _Call] = {}
    asks: dict[str, bool] = {}
    parked: bool = False
    soft: bool = False
    cancelled: str = ""
    until: int = 0

    def used(self) -> Amounts:
        return sum((c.hold for c in self.calls.values() if c.hold is not None), self.spent)

    def of(self, step: str) -> list[_Call]:
        return [c for c in self.calls.values() if c.grant.step == step]


class _Audit:
    """One pass over a log, each event looked at once its content was."""

    def __init__(self, effects: Effects, must: Callable[[object, str], None]) -> None:
        self.must = must
        self.at, self.seq, self.causes = 0, 0, tuple[e.Cause, ...]()
        self.effects, self.acts = effects, effects.get("", {})
        self.turn: _Share | None = None
        self.open: dict[str, _Share] = {}
        self.unknown: set[str] = set()
        self.turns: set[str] = set()
        self.asked: dict[str, bool] = {}
        self.parked = False
        self.over: dict[str, bool] = {}
        self.keys: dict[str, str] = {}
        self.forked, self.allowed, self.recorded = 0, set[str](), set[int]()
        self.approvals = dict[str, int]()

    def frame(self, frame: e.Frame) -> None:
        """Judge the next frame, and then its events."""
        self.at, self.acts = frame.at, self.effects.get(frame.world.parts.get("agents", ""), {})
        self.must(frame.events and frame.first_seq == frame.events[0].seq, "its frame says that it begins elsewhere")

    def event(self, event: e.Event, home: str, kept: Amounts) -> None:
        """Judge the next event, which stands in the share `home`, where `kept` is set aside for what may follow effects."""
        before, self.seq, self.causes, fact = self.seq, event.seq, event.causes, event.fact
        self.must(event.seq == before + 1, f"it follows seq {before}")
        self.must(isinstance(fact, e.SessionOpened) == (before == 0), "a log begins with SessionOpened and has no other")
        name = type(fact).__name__
        for c in self.causes:
            self.must(0 < c < self.seq if isinstance(c, int) else c.startswith("house:"), f"its cause {c} is not before it")
        self.must(self.causes or isinstance(fact, e.INPUTS), f"nothing led to this {name}")
        share, rule = self.open.get(home), _INSIDE.get(type(fact))
        if type(fact) in _OUTSIDE:
            _OUTSIDE[type(fact)](self, fact)
        elif self.turn is None or rule is None:
            self.must(False, f"{name} outside of a turn" if rule else f"{name} does not belong to a session")
        elif share is None:
            self.must(False, f"{home} is not open")
        else:
            rule(self, share, fact)
            short = (share.used() + kept).short(share.limit)
            self.must(not short, f"{short} of {home} is above its limit")

    def spares(self, share: _Share) -> None:
        """What is set aside to end a turn or a scope is there until its last call."""
        short = share.used().short(share.limit - share.reserve)
        self.must(not short, f"{short} of what is set aside to end {share.name} is used before its end")

    def opened(self, fact: e.SessionOpened) -> None:
        self.must(fact.session and fact.tenant and fact.principal, "the session belongs to nobody")

    def fork(self, fact: e.SessionForked) -> None:
        """What the parent holds is the parent's, what is left of an open turn's slice is held anew, nothing is allowed yet."""
        self.must(fact.at == self.seq - 1 and fact.session and fact.parent and fact.head, "it shares something else")
        self.forked, self.parked = fact.at, False
        self.recorded = {one.seq for one in fact.recorded}
        self.must(min(self.recorded, default=NEVER) > fact.at, "what it shares is no answer to what follows")
        for share in self.open.values():
            for call in share.calls.values():
                call.hold = NOTHING if call.hold is not None and not call.agent else call.hold
            share.deadline_at, share.until = share.deadline_at + fact.later_ms, share.until and share.until + fact.later_ms
            share.asks = {ask: waits or ask in self.allowed for ask, waits in share.asks.items()}
        self.allowed, self.approvals = set(), {ask: until + fact.later_ms for ask, until in self.approvals.items()}
        spent = sum((share.spent for share in self.open.values()), NOTHING).microusd
        left = self.turn.limit.microusd - spent if self.turn is not None else 0
        self.must(0 <= fact.microusd <= left and (fact.accounts or self.turn is None), "it holds more than is left, or nowhere")
        if self.turn is not None:
            self.turn.limit = self.turn.limit.capped(microusd=spent + fact.microusd)

    def answered(self, turn: _Share, fact: e.CallGranted) -> None:
        """In a fork the parent answers, each answer once, or somebody allows that it may change the world."""
        self.must(not fact.recorded or fact.recorded in self.recorded, f"seq {fact.recorded} of no parent answers it")
        self.recorded.discard(fact.recorded)
        acts = self.forked and fact.target in self.acts and not (fact.recorded or fact.purpose)
        allowed = f"{turn.name}.{fact.step}" in self.allowed
        free = fact.recorded or fact.purpose or f"{turn.name}.{fact.step}" not in self.approvals
        in_time = allowed and self.at < self.approvals.get(f"{turn.name}.{fact.step}", 0)
        self.must(free or in_time, "a person was asked about it, and did not say yes, or no longer")
        self.must(not acts or allowed, "it may change the world, and nobody allowed it since the session was forked")

    def requested(self, fact: e.TurnRequested) -> None:
        self.must(fact.items and fact.turn not in self.turns, f"{fact.turn} asks nothing, or did before")
        self.turns.add(fact.turn)
        self.asked[fact.turn] = False

    def begun(self, fact: e.TurnStarted) -> None:
        self.must(self.turn is None, "another turn is still open")
        self.must(next(iter(self.asked), "") == fact.turn, f"{fact.turn} is not the oldest message that waits")
        self.asked.pop(fact.turn, None)
        self.open, self.unknown = {}, set()
        self.turn = self._begin(fact.turn, fact)

    def _begin(self, name: str, fact: e.TurnStarted | e.ScopeStarted) -> _Share:
        limit = fact.limits.amounts
        self.must(not fact.reserve.short(limit), f"more is set aside to end {name} than it may use")
        self.open[name] = _Share(name, limit, fact.reserve, fact.deadline_at)
        return self.open[name]

    def patched(self, share: _Share, fact: e.PlanPatched) -> None:
        self.must(fact.epoch == share.epoch + 1, f"the epoch before it is {share.epoch}")
        self.must(not share.steps.keys() & {step.id for step in fact.add}, "it adds a step that is there already")
        within = share.name.partition(".")[2]
        self.must(all(step.id.rpartition("/")[0] == within for step in fact.add), f"it adds a step that is not of {share.name}")
        share.epoch, share.spent = fact.epoch, share.spent + Amounts(steps=len(fact.add))
        share.steps |= {step.id: (step, self.seq) for step in fact.add}
        self.must(all(need in share.steps for step in fact.add for need in step.needs), "a step needs one that is not there")
        if not all(step.final or step.kind == "undo" for step in fact.add):
            self.spares(share)

    def granted(self, share: _Share, fact: e.CallGranted) -> None:
        turn = self.turn or share
        step, added = share.steps.get(fact.step, (Step(fact.step, "", ""), 0))
        before = share.of(fact.step)
        self.must(added and added in self.causes and fact.step not in share.over, f"{fact.step} is not planned, or over")
        self.must(share.over.keys() >= set(step.needs), f"{fact.step} still waits for another step")
        self.must(fact.call not in share.calls and all(c.ended for c in before), f"{fact.call} is under way already")
        self.must(fact.permit.rule, "nothing permits it")
        self.answered(turn, fact)
        self.must(fact.hold != NOTHING, "nothing is held for it")
        owner = self.keys.setdefault(fact.key, f"{turn.name}.{fact.step}")
        self.must(fact.key and owner == f"{turn.name}.{fact.step}", f"it has no key, or that of {owner}")
        stopped = {share.cancelled, turn.cancelled} & {"firm", "hard"}
        self.must(fact.purpose or not (stopped or turn.parked or self.parked), f"{share.name} is parked or cancelled")
        self.must(fact.purpose or fact.deadline_at <= share.deadline_at, f"{share.name} ends before it")
        clear = max((n for n, c in enumerate(before) if c.grant.purpose == ASK and c.outcome == "failed"), default=-1)
        for call in (c for c in before[clear + 1 :] if not fact.purpose and (c.acted or fact.target in self.acts)):
            doubtful = self.acts.get(fact.target) == ONCE and call.outcome in _DOUBTFUL
            acted = call.acted or call.outcome == "completed" or doubtful
            self.must(not acted, f"{call.grant.call} took effect, or may have; it would again")
        if step.kind == "model":
            route = fact.route
            told = route is not None and route.rule and route.task and route.provider and route.model == fact.target
            self.must(told and fact.manifest, "a model call without a route, its rule and task, or without a manifest")
            self.must(route is None or all(p.model and p.reason for p in route.passed), "a model is passed over for no reason")
        elif step.kind == "agent":
            self.must(share is turn, "a specialist has no specialists")
            again = not step.optional and len(before) == 1 and before[0].outcome == "failed"
            self.must(again or not before, f"{fact.step} is tried again: it may be once, where it is required and failed")
        share.calls[fact.call] = _Call(fact, self.seq, fact.hold, step.kind == "agent")
        if not fact.purpose and (fact.manifest is None or not fact.manifest.final):
            self.must(not share.soft, "only the final call may begin after the soft deadline")
            self.spares(share)

    def came(self, share: _Share, fact: e.CallCompleted | e.CallFailed | e.CallCancelled | e.CallInterrupted) -> None:
        call = share.calls.get(fact.call)
        if call is None or call.ended or call.agent:
            self.must(False, f"{fact.call} was never granted, or ended before, or ends as a scope does")
            return
        self.must(call.seq in self.causes, "its grant is no cause")
        call.ended, call.outcome = self.seq, "unknown" if getattr(fact, "unknown", False) else type(fact).__name__[4:].lower()

    def settled(self, share: _Share, fact: e.HoldSettled) -> None:
        call = share.calls.get(fact.call)
        if call is None or call.hold is None:
            self.must(False, f"nothing is held for {fact.call}")
            return
        self.must(call.ended in self.causes, "it is settled before it is over")
        self.must(not fact.spent.short(call.hold) and not NOTHING.short(fact.spent), "it cost more than was held for it")
        self.must(call.used in (None, fact.spent), "its cost is not what its scope used")
        share.spent, call.hold = share.spent + fact.spent, None

    def stepped(self, share: _Share, fact: e.StepEnded) -> None:
        calls = share.of(fact.step)
        self.must(fact.step in share.steps and fact.step not in share.over, f"{fact.step} is not planned, or over")
        self.must(all(c.ended for c in calls), f"a call of {fact.step} is still open")
        share.over[fact.step] = (fact.outcome, self.seq)
        self.unknown |= {fact.step} if fact.outcome == "unknown" else set()
        for last in calls[-1:]:
            done, doubtful = last.outcome == "completed", last.outcome in _DOUBTFUL and self.acts.get(last.grant.target) == ONCE
            self.must(fact.outcome != "done" or done, f"{fact.step} is done though its call did not complete")
            self.must(fact.outcome == "unknown" or not doubtful, f"{fact.step} may have taken effect, which is not shown")

    def scoped(self, share: _Share, fact: e.ScopeStarted) -> None:
        call = share.calls.get(fact.scope)
        if call is None or not call.agent or call.ended or fact.scope in self.open:
            self.must(False, f"{fact.scope} is no call that a specialist could begin under")
            return
        self.must(call.seq in self.causes and fact.agent == call.grant.target, "it does not follow from its grant")
        self.must(fact.limits.amounts == call.hold, "its limits are not what its call holds")
        self.must(fact.deadline_at <= call.grant.deadline_at, "its call ends before it")
        self._begin(fact.scope, fact)

    def unwanted(self, share: _Share, fact: e.ScopeCancelled) -> None:
        scope = self.open.get(fact.scope, share)
        raised = scope is not share and fact.level in LEVELS[LEVELS.index(scope.cancelled) + 1 :]
        self.must(raised and fact.cause, f"{fact.scope} is not open, or cancelled before")
        if raised:
            scope.cancelled, scope.soft = fact.level, True

    def rejoined(self, share: _Share, fact: e.ScopeEnded) -> None:
        call = share.calls.get(fact.scope)
        scope = self.open.pop(fact.scope, None) if call is not None else None
        if call is None or scope is None:
            self.must(False, f"{fact.scope} is not open")
            return
        self._closed(scope, fact)
        self.must(fact.outcome in OUTCOMES and fact.reason, "no such outcome, or no reason")
        self.must({seq for _, seq in scope.over.values()} <= set(self.causes), "a step that ended in it is no cause")
        call.ended, call.used = self.seq, fact.spent
        call.outcome = "completed" if fact.outcome == "partial" else fact.outcome
        call.acted = any(c.grant.target in self.acts and c.outcome in ("completed", *_DOUBTFUL) for c in scope.calls.values())
        self.must(fact.acted or not call.acted, "it does not tell that it may have changed the world")

    def _closed(self, share: _Share, fact: e.TurnEnded | e.ScopeEnded) -> None:
        self.must(all(c.ended and c.hold is None for c in share.calls.values()), "a call is not over, or not settled")
        self.must(share.steps.keys() <= share.over.keys() and not share.parked, "it is parked, or a step has not ended")
        self.must(fact.spent == share.spent, "its cost is not the sum of what was settled")
        never = "cancelled" if not share.cancelled else "failed"
        said = fact.outcome == "cancelled" or share.cancelled in ("", "soft")
        self.must(fact.outcome != never and said, "cancelled is what somebody cancelled, and nothing else")

    def people(self, share: _Share, fact: e.Asked | e.Answered | e.AskExpired) -> None:
        fits = fact.ask not in share.asks if isinstance(fact, e.Asked) else share.asks.get(fact.ask)
        self.must(fits, f"{fact.ask} is {'asked twice' if isinstance(fact, e.Asked) else 'not open'}")
        share.asks[fact.ask] = isinstance(fact, e.Asked)
        self.approvals |= {fact.ask: fact.until} if isinstance(fact, e.Asked) and fact.kind == "approval" else {}
        self.allowed |= {fact.ask} if isinstance(fact, e.Answered) and fact.allow else set()

    def parking(self, turn: _Share, fact: e.TurnParked | e.TurnUnparked) -> None:
        parked = isinstance(fact, e.TurnParked)
        self.must(turn.parked != parked, "a turn is parked and goes on by turns")
        self.must(not parked or any(any(s.asks.values()) for s in self.open.values()), "it is parked though nobody is asked")
        shift = getattr(fact, "deadline_at", turn.deadline_at) - turn.deadline_at
        turn.parked = parked
        for share in self.open.values():
            share.deadline_at += shift

    def timed(self, share: _Share, fact: e.DeadlinePassed) -> None:
        until = {"soft": 0, "hard": share.deadline_at, "grace": share.until or NEVER}[fact.which]
        self.must(self.at >= until, "the deadline has not passed")
        share.soft = True

    def cancelling(self, fact: e.CancelRequested) -> None:
        if fact.turn in self.asked:
            self.asked[fact.turn] = True
            return
        share = self.open.get(fact.turn if fact.scope in ("", "session") else fact.scope)
        known = share is not None and fact.level in LEVELS[1:]
        self.must(known, f"{fact.scope or fact.turn} is not open, or there is no level {fact.level}")
        if share is not None and fact.level in LEVELS[LEVELS.index(share.cancelled) or 1 :]:
            share.cancelled, share.soft, share.until = fact.level, True, fact.until

    def halted(self, fact: e.SessionParked | e.SessionUnparked) -> None:
        self.must(self.parked == isinstance(fact, e.SessionUnparked), "a session is parked and driven again by turns")
        self.parked = not self.parked

    def ended(self, fact: e.TurnEnded) -> None:
        self.must(fact.turn not in self.over, f"{fact.turn} ended before")
        self.must(fact.outcome in OUTCOMES and fact.reason, "no such outcome, or no reason")
        self.over[fact.turn] = bool(fact.items)
        turn, wanted = self.turn, "cancelled" if self.asked.get(fact.turn) else "failed"
        if turn is None or fact.turn in self.asked:
            early = fact.turn in self.asked and fact.outcome == wanted and (turn is None or wanted == "cancelled")
            self.must(early, f"{fact.turn} ends without having begun")
            self.must(fact.spent == NOTHING and not fact.items, "what never began costs nothing and answers nothing")
            self.asked.pop(fact.turn, None)
            return
        self.turn = None
        self.open.pop(turn.name)
        self.must(fact.turn == turn.name, f"the open turn is {turn.name}")
        self.must(not self.open, f"{', '.join(self.open)} is still open")
        self._closed(turn, fact)
        self.must(set(fact.unknown) == self.unknown, "it does not tell which steps may have taken effect")

    def erased(self, fact: e.ItemsErased) -> None:
        self.must(fact.ids and self.turn is None and not self.asked, "nothing is erased, or something while a turn is at work")

    def kept(self, fact: e.MemoryKept) -> None:
        self.must(self.over.get(fact.turn), f"{fact.turn} has no answer to be kept, or it was kept before")
        self.over[fact.turn] = False


_DOUBTFUL = ("unknown", "interrupted")
_OUTSIDE: dict[type, Callable[[_Audit, Any], None]] = {
    e.SessionOpened: _Audit.opened,
    e.SessionForked: _Audit.fork,
    e.TurnRequested: _Audit.requested,
    e.TurnStarted: _Audit.begun,
    e.TurnEnded: _Audit.ended,
    e.MemoryKept: _Audit.kept,
    e.ItemsErased: _Audit.erased,
    e.CancelRequested: _Audit.cancelling,
    **dict.fromkeys((e.SessionParked, e.SessionUnparked), _Audit.halted),
}
_INSIDE: dict[type, Callable[[_Audit, _Share, Any], None]] = {
    e.PlanPatched: _Audit.patched,
    e.CallGranted: _Audit.granted,
    e.CallRefused: lambda audit, share, fact: audit.must(fact.code, "a refusal without a reason"),
    **dict.fromkeys((e.CallCompleted, e.CallFailed, e.CallCancelled, e.CallInterrupted), _Audit.came),
    e.HoldSettled: _Audit.settled,
    e.StepEnded: _Audit.stepped,
    e.ScopeStarted: _Audit.scoped,
    e.ScopeCancelled: _Audit.unwanted,
    e.ScopeEnded: _Audit.rejoined,
    **dict.fromkeys((e.ItemsWithdrawn, e.AnswerJudged, e.UnwindStarted), lambda audit, share, fact: None),  # left to others
    **dict.fromkeys((e.Asked, e.Answered, e.AskExpired), _Audit.people),
    **dict.fromkeys((e.TurnParked, e.TurnUnparked), _Audit.parking),
    e.DeadlinePassed: _Audit.timed,
}
