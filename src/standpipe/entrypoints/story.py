"""What a turn's events add up to for a reader: the plan, the calls, what was refused and withdrawn, what is left to spend.

What a specialist does belongs to its scope, which is named as its steps are (`st4.a1`), and under the step that delegated.
`take` also says each piece of news in a line, for those who read along without a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from standpipe.core.admit import WAITING_MAX
from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import Passed, Step
from standpipe.core.events import (
    AnswerJudged,
    Asked,
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallGranted,
    CallInterrupted,
    CallRefused,
    CancelRequested,
    DeadlinePassed,
    Event,
    Frame,
    HoldSettled,
    ItemsWithdrawn,
    PlanPatched,
    ScopeCancelled,
    ScopeEnded,
    ScopeStarted,
    SessionForked,
    StepEnded,
    TurnEnded,
    TurnRequested,
    TurnStarted,
    TurnUnparked,
    UnwindStarted,
)
from standpipe.core.frames import items_of
from standpipe.core.ids import scope_of
from standpipe.core.items import Item, Source, Text, ToolCall
from standpipe.core.supervise import LOST
from standpipe.entrypoints.places import depth_of, place_of
from standpipe.entrypoints.words import plural, shortened

TURNS_OPEN_MAX = WAITING_MAX + 1
"""The turn that runs and those that wait for it."""
_TIMES = {
    "soft": "time is nearly up: only the answer is still worked on",
    "grace": "effects under way are let go of",
}
ERASED = "(erased)"
"""What stands in the place of an item whose body was erased."""
ABOUT_CHARS = 72
"""A step is named by its arguments up to this length."""


@dataclass
class StepLine:
    """A step of the plan as it stands: `state` is waiting, running, or how it ended."""

    id: str
    kind: str
    does: str
    about: str
    epoch: int
    item: str = ""
    state: str = "waiting"
    note: str = ""

    @property
    def scope(self) -> str:
        """The scope it stands in, empty for the turn itself."""
        return scope_of(self.id)


@dataclass
class CallLine:
    """One attempt, or with a `purpose` what followed one: `state` is running, done, partial, failed, cancelled or interrupted;
    its cost is known once settled."""

    id: str
    step: str
    target: str
    granted_at: int
    task: str = ""
    rule: str = ""
    passed: tuple[Passed, ...] = ()
    state: str = "running"
    note: str = ""
    elapsed_ms: int = 0
    tokens: int = 0
    cost_microusd: int = 0
    purpose: str = ""

    @property
    def place(self) -> str:
        """`st4.a1`: its id within the turn, which is the name of its scope where it delegates."""
        return self.id.partition(".")[2]

    @property
    def scope(self) -> str:
        """The scope it stands in, empty for the turn itself."""
        return scope_of(self.place)


@dataclass
class PatchLine:
    """One change of the plan of a turn or a scope: why, in a code and in the model's own words where there are any."""

    epoch: int
    code: str
    reason: str
    item: str
    added: tuple[str, ...]
    scope: str = ""


@dataclass(kw_only=True)
class Share:
    """What a turn, or a scope of it, may use, has used, and holds for calls under way; and how it ended.

    A scope is one call to the turn: what it uses counts in the turn when its hold there is settled, and only then.
    """

    limits: Amounts = NOTHING
    spent: Amounts = NOTHING
    held: dict[str, Amounts] = field(default_factory=dict)
    outcome: str = ""
    reason: str = ""


@dataclass
class ScopeLine(Share):
    """A specialist's share of the turn: one attempt at the step that delegated, which is `call`."""

    call: str
    agent: str


@dataclass
class Story(Share):
    """One turn, as far as its events were taken."""

    turn: str
    question: str = ""
    steps: dict[str, StepLine] = field(default_factory=dict)
    calls: dict[str, CallLine] = field(default_factory=dict)
    scopes: dict[str, ScopeLine] = field(default_factory=dict)
    patches: list[PatchLine] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    withdrawn: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parts: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()
    deadline_at: int = 0
    _items: dict[str, Item] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)
    _begun: bool = False

    @property
    def running(self) -> list[CallLine]:
        """Calls that are under way."""
        return [call for call in self.calls.values() if call.state == "running"]

    @property
    def lost(self) -> list[StepLine]:
        """Steps whose specialist's work the turn did without, though nobody had answered yet."""
        agents = [step for step in self.steps.values() if step.kind == "agent"]
        return [step for step in agents if step.state in LOST and step.note != "answered"]

    def take(self, event: Event, at: int) -> list[str]:
        """One more event of the session, written at `at` (ms since 1970); what is new in it, a line each."""
        fact = event.fact
        if isinstance(fact, TurnRequested | TurnStarted | TurnEnded) and fact.turn == self.turn:
            return self._turn(fact)
        if not self._begun or self.outcome:
            return []
        self._items |= {item.id: item for item in items_of(event)}
        scope = place_of(event, lambda id: self._items[id].step if id in self._items else "")
        return [f"{'  ' * depth_of(scope)}{line}" for line in self._news(event, at, scope)]

    def _news(self, event: Event, at: int, scope: str) -> list[str]:
        fact = event.fact
        match fact:
            case PlanPatched():
                return self._patched(fact, scope)
            case CallGranted() | CallCompleted() | CallFailed() | CallCancelled() | CallInterrupted() | HoldSettled():
                return self._call(fact, at, self._share(scope))
            case ScopeStarted() | ScopeEnded():
                return self._scope(fact, at)
            case CallRefused() | StepEnded():
                return self._step(fact, scope)
            case ItemsWithdrawn(ids=ids, sources=sources, revision=revision):
                self.withdrawn += [s for s in sources if s not in self.withdrawn]
                names = ", ".join(s.path for s in sources) or "what may not be named"
                return [f"withdrawn at revision {revision}: {names}, and {plural(len(ids), 'item')} that came from it"]
            case _:
                return self._note(fact, scope)

    def _share(self, scope: str) -> Share:
        return self.scopes[scope] if scope else self

    def forget(self, ids: Iterable[str]) -> None:
        """The words of these items are shown no more, nor ever, also where a step or a reason came from them."""
        self._gone.update(ids)
        for step in self.steps.values():
            if step.item in self._gone:
                step.about = ""
        for patch in self.patches:
            if patch.item in self._gone:
                patch.reason = ""
                self.parts = () if patch.code == "plan" and not patch.scope else self.parts

    def _turn(self, fact: TurnRequested | TurnStarted | TurnEnded) -> list[str]:
        match fact:
            case TurnRequested(items=items):
                body = items[0].body
                erased = ERASED if body is None and fact.items[0].hash else ""
                self.question = body.text if isinstance(body, Text) else erased
                return []
            case TurnStarted(limits=limits, deadline_at=deadline_at):
                self._begun, self.limits, self.deadline_at = True, limits.amounts, deadline_at
                return []
            case _:
                self.outcome, self.reason, self.standing = fact.outcome, fact.reason, fact.standing
                return [f"ended: {fact.outcome} ({fact.reason})"]

    def _patched(self, fact: PlanPatched, scope: str) -> list[str]:
        for step in fact.add:
            does = f"take back {step.undoes}:" if step.kind == "undo" else step.does
            does = f"{does} {step.does}" if step.kind == "undo" else does
            self.steps[step.id] = StepLine(step.id, step.kind, does, self._about(step), fact.epoch, step.item)
        self._share(scope).spent += Amounts(steps=len(fact.add))
        item, added = fact.why.item, tuple(step.id for step in fact.add)
        patch = PatchLine(fact.epoch, fact.why.code, str(self._arguments(item).get("reason", "")), item, added, scope)
        self.patches.append(patch)
        why = f"{patch.code}: {patch.reason}" if patch.reason else patch.code
        if patch.code == "plan" and not scope:
            self.parts = tuple(map(str, self._arguments(item).get("parts", ())))
        return [f"{scope} plan {patch.epoch} ({why})".lstrip(), *(f"  + {id} {name_of(self.steps[id])}" for id in added)]

    def _arguments(self, item: str) -> Mapping[str, Any]:
        body = self._items[item].body if item in self._items and item not in self._gone else None
        return body.arguments if isinstance(body, ToolCall) else {}

    def _about(self, step: Step) -> str:
        arguments = self._arguments(step.item)
        if step.planned:
            arguments = _planned(arguments, step.planned)
        if step.kind != "agent":
            return about(arguments)
        named = [str(arguments[name]) for name in (("to", "task") if step.does == "?" else ("task",)) if name in arguments]
        return shortened(": ".join(named), ABOUT_CHARS)

    def _call(self, fact: Any, at: int, share: Share) -> list[str]:
        if isinstance(fact, CallGranted):
            route = fact.route
            call = CallLine(fact.call, fact.step, fact.target, at, purpose=fact.purpose)
            if route is not None:
                call.task, call.rule, call.passed = route.task, route.rule, route.passed
            self.calls[fact.call] = call
            share.held[fact.call] = fact.hold
            self.steps[fact.step].state = "running"
            return []
        call = self.calls[fact.call]
        match fact:
            case CallCompleted(usage=usage, elapsed_ms=elapsed_ms):
                call.state, call.elapsed_ms = "done", elapsed_ms
                how = dict.fromkeys(item.origin.partition(", ")[2] for item in fact.items)  # recorded, or set by somebody
                call.note = ", ".join(filter(None, (_brought(fact.items), *how)))
            case CallFailed(usage=usage, elapsed_ms=elapsed_ms, fault=fault):
                call.state, call.elapsed_ms, call.note = "failed", elapsed_ms, f"{fault.code}: {fault.text}".rstrip(": ")
            case CallCancelled(cause=cause):
                usage, call.state, call.note = None, "cancelled", cause
            case CallInterrupted():
                usage, call.state = None, "interrupted"
            case _:
                share.held.pop(fact.call, None)
                share.spent += fact.spent
                call.cost_microusd = fact.spent.microusd
                return []
        call.tokens = usage.input_tokens + usage.output_tokens if usage is not None else 0
        step = self.steps[call.step]
        step.note = call.note
        took = f" in {call.elapsed_ms} ms" if call.elapsed_ms else ""
        return [f"{step.id} {name_of(step)}: {call.state}{took} by {call.target}{_after(call.note)}"]

    def _scope(self, fact: ScopeStarted | ScopeEnded, at: int) -> list[str]:
        call = self.calls[fact.scope]
        step = self.steps[call.step]
        if isinstance(fact, ScopeStarted):
            self.scopes[call.place], step.note = ScopeLine(call.id, fact.agent, limits=fact.limits.amounts), ""
            attempt = sum(other.step == step.id for other in self.calls.values())
            return [f"{step.id} {name_of(step)}: {'begun' if attempt == 1 else f'begun again, attempt {attempt}'}"]
        scope = self.scopes[call.place]
        scope.outcome, scope.reason, scope.spent = fact.outcome, fact.reason, fact.spent
        call.state = "done" if fact.outcome == "completed" else fact.outcome
        call.elapsed_ms, call.tokens = at - call.granted_at, fact.spent.tokens
        call.note = "" if fact.outcome == "completed" else fact.reason
        step.note = f"partial: {call.note}".rstrip(": ") if call.state == "partial" else call.note
        return [f"{step.id} {name_of(step)}: {call.state} in {call.elapsed_ms} ms{_after(call.note)}"]

    def _step(self, fact: CallRefused | StepEnded, scope: str) -> list[str]:
        step = self.steps.get(fact.step)
        if isinstance(fact, StepEnded):
            if step is None:
                return []
            step.state = fact.outcome
            kept = "" if fact.outcome == "dropped" else step.note
            step.note = kept or ("" if fact.outcome == "done" else fact.reason)
            return [f"lost: {lost_line(step)}"] if step in self.lost else []
        text = fact.code + _after("; ".join(f"{p.model}: {p.reason}" for p in fact.passed) or fact.detail)
        move = f"a move in {scope}" if scope else "a move"
        self.refusals.append(f"{fact.step or move} {text}")
        if step is not None:
            step.note = text
        return [f"refused: {f'{step.id} {name_of(step)}' if step is not None else f'{move} of the model'}: {text}"]

    def _note(self, fact: object, scope: str) -> list[str]:
        match fact:
            case Asked(step=step, kind=kind):
                text = f"waits for a person: {kind}: {name_of(self.steps[step])}"
            case DeadlinePassed(which=which):
                text = _TIMES.get(which, "time is up")
            case SessionForked(parent=parent, at=at):
                self.deadline_at += fact.later_ms
                text = f"forked from {parent} at seq {at}"
            case UnwindStarted(outcome=outcome, reason=reason):
                text = f"what was done is taken back before it ends: {outcome} ({reason})"
            case CancelRequested(turn=turn, scope=call) if turn == self.turn:
                what = self.calls[call].place if call in self.calls else ""
                text = f"{what} to be cancelled, {fact.level} ({fact.cause})".lstrip()
            case ScopeCancelled(scope=call, cause=cause):
                text = f"{self.calls[call].place} is not wanted any more ({cause})"
            case TurnUnparked(deadline_at=deadline_at):
                self.deadline_at, text = deadline_at, "goes on"
            case AnswerJudged(action="resample"):
                text = "the answer did not pass its checks and is asked for once more"
            case AnswerJudged(dropped=dropped) if dropped:
                text = f"{plural(len(dropped), 'sentence')} did not pass the checks and were left out"
            case _:
                return []
        self.notes.append(f"{scope}: {text}" if scope else text)
        return [self.notes[-1]]


def stories(frames: Iterable[Frame]) -> list[Story]:
    """All turns of a session's frames, in the order they were asked for."""
    found: list[Story] = []
    for frame in frames:
        for event in frame.events:
            if isinstance(event.fact, TurnRequested):
                found.append(Story(event.fact.turn))
            for story in found[-TURNS_OPEN_MAX:]:
                story.take(event, frame.at)
    return found


def name_of(step: StepLine) -> str:
    """`read services/checkout.md`."""
    return f"{step.does} {step.about}".rstrip()


def about(arguments: Mapping[str, Any]) -> str:
    """A call's arguments in a few words: the one there is, or all with their names."""
    shown = {name: value for name, value in arguments.items() if name != "limit"}
    if len(shown) == 1:
        return shortened(str(next(iter(shown.values()))), ABOUT_CHARS)
    return shortened(", ".join(f"{name}={value}" for name, value in shown.items()), ABOUT_CHARS)


def lost_line(step: StepLine) -> str:
    """A step whose specialist's work is lost: how, and why."""
    return f"{step.id} {name_of(step)}: {step.state}{_after(step.note)}"


def _planned(arguments: Mapping[str, Any], index: str) -> Mapping[str, Any]:
    steps = [*arguments.get("steps", ()), *arguments.get("add", ())]
    planned: Mapping[str, Any] = steps[int(index)].get("arguments", {}) if int(index) < len(steps) else {}
    return planned


def _brought(items: tuple[Item, ...]) -> str:
    """What came back, by its kind: `8 passages`, or the moves a model made."""
    moves = [item.body.name for item in items if isinstance(item.body, ToolCall)]
    if moves:
        return ", ".join(moves)
    kinds = dict.fromkeys(item.kind for item in items if item.kind != "checked")
    return ", ".join(plural(sum(i.kind == kind for i in items), kind) for kind in kinds)


def _after(text: str) -> str:
    return f" ({text})" if text else ""
