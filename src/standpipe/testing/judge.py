"""What must hold of every simulated run, and what a crash may change of one that nothing else disturbed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from standpipe.core import events as e
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.apply import apply
from standpipe.core.details import UNDO
from standpipe.core.ids import HOUSE, step_of
from standpipe.core.items import Item
from standpipe.core.shares import Shares
from standpipe.core.state import State, Turn, share_of, shares
from standpipe.core.verify import ONCE, REPEATABLE, violations
from standpipe.testing.bookings import UNDO as TAKEN_BACK
from standpipe.testing.outside import ONCE as ONCE_TOOLS
from standpipe.testing.run import Run
from standpipe.testing.scenario import BOOKINGS

SLACK_MS = 3_000
"""After its deadline a turn may take this long to end: what a tool takes to stop."""
CANCELLED_MS = 8_000
"""A cancelled turn ends within this time: what the slowest effect takes that is not let go of."""
SHAKEN_MS = 100_000
"""After the last fault: until a lease has lapsed, who stood still goes on, and everybody has looked at a clock that was set."""
ASKED_MS = 25_000
"""What asking may add to the end of a turn: until nothing of an attempt is under way any more, and three tries."""
ADDED_MS = {"lag": 20_000, "stall": 400_000}
"""What a slow log may add, and processes that stand still."""
PROVIDER_FAILURES_MAX = 4
OPEN_MAX, SCOPE_OPEN_MAX = 8, 4


def faults(run: Run) -> list[str]:
    """What is wrong with a run, a sentence each; empty: nothing."""
    found = list(run.faults)
    for session, frames in run.logs.items():
        if session == HOUSE:
            continue
        acts = {"put": REPEATABLE, "signed": REPEATABLE, **dict.fromkeys((*ONCE_TOOLS, *BOOKINGS), ONCE)}
        agents = {frame.world.parts["agents"] for frame in frames if "agents" in frame.world.parts}
        found += violations(frames, dict.fromkeys(agents, acts))
        found += [f"{session[-1:]} {text}" for text in _of_session(run, frames)]
    performed = Counter((effect.key, effect.tool) for effect in run.effects if effect.tool in (*ONCE_TOOLS, *BOOKINGS))
    found += [f"{tool} acted {count} times under one key" for (_, tool), count in performed.items() if count > 1]
    found += _taken_back(run)
    for account, row in run.accounts.items():
        if (row.held and run.mode != "safety") or row.spent != _spent(run, account):
            found.append(f"{account} has {row.held} held, {row.spent} spent; its turns spent {_spent(run, account)}")
    return found


def _taken_back(run: Run) -> Iterator[str]:
    """What the logs say was taken back really was."""
    keys = {effect.key for effect in run.effects if effect.tool.endswith(TAKEN_BACK)}
    for session, frames in run.logs.items():
        facts = [event.fact for event in _events(frames)]
        granted = {fact.call: fact.key for fact in facts if isinstance(fact, e.CallGranted) and fact.purpose == UNDO}
        over = (fact.call for fact in facts if isinstance(fact, e.CallCompleted))
        yield from (f"{session[-1:]} {call} took nothing back" for call in over if granted.get(call, "") not in {"", *keys})


def _spent(run: Run, account: str) -> int:
    total = 0
    for frames in run.logs.values():
        turn, started = "", tuple[str, ...]()
        for event in _events(frames):
            if isinstance(event.fact, e.TurnStarted):
                turn, started = event.fact.turn, event.fact.accounts
            elif isinstance(event.fact, e.TurnEnded) and event.fact.turn == turn:
                total += event.fact.spent.microusd * (account in started)
                started = ()
    return total


def _events(frames: Iterable[e.Frame]) -> Iterator[e.Event]:
    return (event for frame in frames for event in frame.events)


def _of_session(run: Run, frames: list[e.Frame]) -> Iterator[str]:
    state, cancelled = State(), dict[str, int]()
    failures: Counter[str] = Counter()
    usual_ms = extra_ms = _extra_ms(run)
    for frame in frames:
        for event in frame.events:
            turn, fact = state.turn, event.fact
            if isinstance(fact, e.TurnStarted):
                failures.clear()
                extra_ms = usual_ms
            if isinstance(fact, e.CancelRequested) and fact.level != "soft" and fact.scope in ("", "session"):
                cancelled.setdefault(fact.turn, frame.at)
            at = cancelled.get(fact.turn, frame.at) if isinstance(fact, e.TurnEnded) else frame.at
            if frame.at > max(at, run.calm_at) + CANCELLED_MS + extra_ms:
                yield f"seq {event.seq}: a turn ended {frame.at - at} ms after it was cancelled"
            late_ms = min(_late_ms(turn, fact, frame.at), frame.at - run.calm_at)
            if late_ms > extra_ms:
                yield f"seq {event.seq}: {type(fact).__name__} {late_ms} ms after its deadline"
            extra_ms += _added_ms(fact, frame.at)
            if isinstance(fact, e.CallFailed) and fact.fault.code == "bug" and "DriverBug" not in fact.fault.text:
                yield f"seq {event.seq}: {fact.fault.text}"
            route = _turn(share_of(state, fact.call)).calls[fact.call].route if isinstance(fact, e.CallFailed) else None
            if route is not None:
                failures[route.provider] += 1
                if failures[route.provider] > PROVIDER_FAILURES_MAX and route.provider not in state.tried.successes:
                    yield f"seq {event.seq}: {route.provider} failed {failures[route.provider]} times in one turn"
            apply(state, event)
            for share in shares(state) if state.turn is not None else ():
                yield from (f"seq {event.seq}: {text}" for text in _of_share(_turn(share)))
    if run.mode != "safety" and (state.turn is not None or state.waiting):
        yield f"{state.turn.id if state.turn is not None else state.waiting[0].turn} never ended"


def _extra_ms(run: Run) -> float:
    """How much later than it should something may come. While faults strike for ever nothing can be said of that; where they
    stop it counts from then."""
    if run.mode == "safety":
        return math.inf
    if run.mode == "liveness":
        return SLACK_MS + SHAKEN_MS + run.skew_ms
    extra_ms = SLACK_MS + len(run.crashes) * run.scenario.restart_ms
    return extra_ms + sum(ms for mood, ms in ADDED_MS.items() if mood in run.scenario.moods)


def _added_ms(fact: e.AnyFact, at: int) -> int:
    """What asking and taking back add to the time of the turn they happen in."""
    match fact:
        case e.CallGranted(purpose="ask"):
            return ASKED_MS
        case e.UnwindStarted(until=until):
            return until - at
        case _:
            return 0


def _turn(state: State) -> Turn:
    assert state.turn is not None
    return state.turn


def _late_ms(turn: Turn | None, fact: e.AnyFact, at: int) -> int:
    """How long after its deadline a turn or a scope ends."""
    if turn is None:
        return 0
    name = fact.scope if isinstance(fact, e.ScopeEnded) else fact.turn if isinstance(fact, e.UnwindStarted) else ""
    over = turn if isinstance(fact, e.TurnEnded) or name == turn.id else turn.scopes.get(name)
    return at - over.deadline_at if over is not None else 0


def _of_share(turn: Turn) -> Iterator[str]:
    used = turn.spent + turn.held
    if used.short(turn.limits.amounts) or NOTHING.short(turn.held) or NOTHING.short(turn.spent):
        yield f"{turn.spent} spent and {turn.held} held of {turn.limits.amounts}"
    if turn.held != sum((turn.calls[id].hold for id in turn.unsettled), Amounts()):
        yield "what is held is not what the calls hold"
    if len(turn.open) > (SCOPE_OPEN_MAX if turn.agent else OPEN_MAX):
        yield f"{len(turn.open)} calls are open"


# --- what a crash may change --------------------------------------------------------------------------------------------


def cut_off(run: Run) -> list[str]:
    """What crashes cut off for good, as SESSION.TURN.STEP: steps that may have acted and must not be repeated, or not before
    somebody was asked, or that were cut off too often."""
    found = []
    for session, frames in run.logs.items():
        turn, interrupted = "", set[str]()
        for event in _events(frames):
            match event.fact:
                case e.TurnStarted():
                    turn = event.fact.turn
                case e.CallInterrupted(call=call):
                    interrupted.add(f"{turn}.{step_of(call)}")
                case e.CallGranted(step=step, purpose="ask" | "undo") if f"{turn}.{step}" in interrupted:
                    found.append(f"{session}.{turn}.{step}")
                case e.StepEnded(step=step, reason="unknown" | "interrupted") if f"{turn}.{step}" in interrupted:
                    found.append(f"{session}.{turn}.{step}")
                case _:
                    pass
    return found


def essence(run: Run) -> dict[str, Any]:
    """A run without what a crash may change: interrupted attempts and their settlement, attempt numbers, places and times.

    Left are the answers, the effects, and the plan with each step's attempts in order. Two runs are alike if these are equal.
    """
    told: dict[str, Any] = {s: _essence(frames) for s, frames in run.logs.items() if s != HOUSE}
    told["effects"] = sorted({(effect.key, effect.tool, effect.what) for effect in run.effects})
    return told


def _essence(frames: list[e.Frame]) -> list[Any]:
    state, places = State(), Shares()
    lines: dict[tuple[str, str], list[Any]] = {}
    lost: dict[str, Amounts] = {}
    cut = {event.fact.call for event in _events(frames) if isinstance(event.fact, e.CallInterrupted)}
    for event in _events(frames):
        fact, home = event.fact, places.take(event.fact)
        before = state.turn
        apply(state, event)
        now = state.turn or before
        name = now.id if now is not None else ""
        if isinstance(fact, e.HoldSettled) and fact.call in cut:
            lost |= {share: lost.get(share, NOTHING) + fact.spent for share in {name, home}}
        place, line = _line(fact, state, home, cut, lost)
        if line is not None:
            lines.setdefault((name, place), []).append(line)
    return sorted(lines.items())


def _line(fact: e.AnyFact, state: State, home: str, cut: set[str], lost: dict[str, Amounts]) -> tuple[str, Any]:
    """Where a fact belongs (its step, or its share as a whole), and what is left of it; None if nothing."""
    name, share = type(fact).__name__, home.partition(".")[2]
    bodies = [_body(item) for item in getattr(fact, "items", ())]
    match fact:
        case e.CallGranted():
            return fact.step, None if fact.call in cut else (
                name,
                fact.target,
                fact.key,
                *_asked(fact, _turn(share_of(state, fact.call))),
            )
        case e.CallCompleted() | e.CallFailed() | e.CallCancelled():
            fault = getattr(fact, "fault", None)
            kept = (name, bodies, fault.code if fault else "", getattr(fact, "unknown", False))
            return step_of(fact.call), (*kept, msgspec.to_builtins(getattr(fact, "verdicts", ())))
        case e.CallRefused():
            return fact.step or share, (name, fact.code, bodies)
        case e.HoldSettled():
            spent = fact.spent - lost.get(fact.call, NOTHING)
            return step_of(fact.call), None if fact.call in cut else (name, msgspec.to_builtins(spent))
        case e.StepEnded():
            return fact.step, (name, fact.outcome, fact.reason, bodies)
        case e.PlanPatched():
            steps = [msgspec.to_builtins(msgspec.structs.replace(s, item="")) for s in fact.add]
            return share, (name, fact.epoch, fact.why.code, steps)
        case e.AnswerJudged():
            return share, (name, fact.action, fact.kept, fact.repaired, fact.dropped, bodies)
        case e.Asked():
            return fact.step, (name, fact.ask, fact.kind)
        case e.Answered():
            return fact.ask.partition(".")[2], (name, fact.allow, bodies)
        case e.AskExpired():
            return fact.ask.partition(".")[2], (name,)
        case e.ScopeStarted():
            return step_of(fact.scope), (name, fact.agent, bodies)
        case e.ScopeCancelled():
            return step_of(fact.scope), (name, fact.cause)
        case e.ScopeEnded():
            spent = fact.spent - lost.get(fact.scope, NOTHING)
            return step_of(fact.scope), (name, fact.outcome, fact.reason, fact.acted, msgspec.to_builtins(spent), bodies)
        case e.TurnEnded():
            spent = fact.spent - lost.get(fact.turn, NOTHING)
            return "", (name, fact.outcome, fact.reason, msgspec.to_builtins(spent), bodies)
        case e.TurnStarted():
            return "", (name, msgspec.to_builtins(fact.limits), msgspec.to_builtins(fact.reserve))
        case e.TurnRequested():
            return "", (name, fact.turn, bodies)
        case _:
            return "", None


def _asked(fact: e.CallGranted, turn: Turn) -> tuple[Any, ...]:
    """What a call was given: a specialist's slice is a part of what interrupted attempts left, so it is left out."""
    shown = sorted(_body(turn.items[id]) for id in turn.shown if id in turn.items) if fact.route is not None else []
    hold = None if turn.calls[fact.call].scope else msgspec.to_builtins(fact.hold)
    return hold, msgspec.to_builtins(fact.route), shown


def _body(item: Item) -> tuple[str, str, str]:
    return item.kind, item.hash, item.step


def reached(run: Run) -> Counter[str]:
    """Which kinds of facts, endings, refusals, step outcomes and reasons a run came by."""
    seen: Counter[str] = Counter()
    for event in _events(f for s, frames in run.logs.items() if s != HOUSE for f in frames):
        fact = event.fact
        seen[type(fact).__name__] += 1
        match fact:
            case e.TurnEnded():
                seen[f"turn {fact.outcome}"] += 1
                seen["an effect that stands"] += bool(fact.standing)
                seen[f"turn {fact.outcome}: {fact.reason.split(':')[0]}"] += 1
            case e.CallGranted() if fact.purpose:
                seen[f"for {fact.purpose}"] += 1
            case e.CallRefused():
                seen[f"refused {fact.code}"] += 1
            case e.StepEnded():
                seen[f"step {fact.outcome}"] += 1
            case e.DeadlinePassed():
                seen[f"deadline {fact.which}"] += 1
            case e.AnswerJudged():
                seen[f"judged {fact.action}"] += 1
            case e.CallFailed() | e.CallCancelled():
                seen[f"call {fact.fault.code if isinstance(fact, e.CallFailed) else fact.cause}"] += 1
            case e.PlanPatched():
                seen[f"plan {fact.why.code}"] += 1
            case e.ScopeEnded():
                seen[f"scope {fact.outcome}: {fact.reason}"] += 1
            case e.ScopeCancelled():
                seen[f"scope cancelled: {fact.cause}"] += 1
            case e.CancelRequested():
                seen[f"cancel {fact.level}"] += 1
                seen["cancel of a specialist"] += fact.scope not in ("", "session")
                seen["cancel of a session"] += fact.scope == "session"
                seen["interrupted"] += fact.cause.startswith("interrupted")
            case _:
                pass
    return seen
