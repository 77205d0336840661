"""A session's log by name: where each turn, step, call and item stands in it, and the words for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from standpipe.core.amounts import Amounts
from standpipe.core.details import Step, Verdict
from standpipe.core.events import (
    Answered,
    AnswerJudged,
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallGranted,
    CallInterrupted,
    CallRefused,
    Event,
    Fact,
    Frame,
    HoldSettled,
    ItemsWithdrawn,
    PlanPatched,
    SessionOpened,
    StepEnded,
    TurnEnded,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.items import Answer, Data, Failure, Item, Label, Passage, Text, ToolCall
from standpipe.core.plan import listed

F = TypeVar("F", bound=Fact)

SHOWN_CHARS = 300
"""A longer text is cut: who wants it whole asks for the item."""
_REASONS = {
    "begin": "the turn began",
    "first look": "a look with the question's own words, so that the first plan is not blind",
    "continue": "every step had ended and there was no answer yet",
    "called by the model": "the model called tools itself",
    "asked by the model": "the model has a question",
    "plan": "planned",
    "revise": "revised",
}


class Past:
    """Where things stand: `began` and `over` map the ids of turns, steps (`t2.st4`) and calls to seqs."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.principal = ""
        self.turns: list[str] = []
        self.events: dict[int, Event] = {}
        self.items: dict[str, Item] = {}
        self.began: dict[str, int] = {}
        self.over: dict[str, int] = {}
        self.steps: dict[str, Step] = {}
        self.refused: dict[str, int] = {}
        self.settled: dict[str, Amounts] = {}
        self.answered: dict[str, int] = {}
        self.judged: dict[str, AnswerJudged] = {}
        self.withdrawn: dict[str, list[int]] = {}
        self._turn = ""
        for frame in frames:
            for event in frame.events:
                self.events[event.seq] = event
                self.items |= {item.id: item for item in getattr(event.fact, "items", ())}
                self._take(event.fact, event.seq)

    def _take(self, fact: Fact, seq: int) -> None:
        match fact:
            case SessionOpened():
                self.principal = fact.principal
            case TurnRequested():
                self.turns.append(fact.turn)
                self.began[fact.turn] = seq
            case TurnStarted():
                self._turn = fact.turn
            case TurnEnded():
                self.over[fact.turn] = seq
            case PlanPatched():
                self.steps |= {f"{fact.turn}.{step.id}": step for step in fact.add}
                self.began |= {f"{fact.turn}.{step.id}": seq for step in fact.add}
            case CallGranted():
                self.began[fact.call] = seq
            case CallCompleted() | CallFailed() | CallCancelled() | CallInterrupted():
                self.over[fact.call] = seq
            case Answered():
                self.answered[fact.ask] = seq
            case HoldSettled():
                self.settled[fact.call] = fact.spent
            case CallRefused() if fact.step:
                self.refused[f"{self._turn}.{fact.step}"] = seq
            case StepEnded():
                self.over[f"{self._turn}.{fact.step}"] = seq
            case AnswerJudged():
                self.judged[self._turn] = fact
            case ItemsWithdrawn():
                self.withdrawn.setdefault(self._turn, []).append(seq)
            case _:
                pass

    def fact(self, seq: int, kind: type[F]) -> F:
        """The fact at `seq`, which is of this kind."""
        fact = self.events[seq].fact
        assert isinstance(fact, kind)
        return fact

    def call_of(self, item: str) -> str:
        """The call that brought an item, or nothing."""
        event = self.events.get(int(item.split(".", maxsplit=1)[0])) if item else None
        return getattr(event.fact, "call", "") if event is not None else ""

    def verdicts(self, call: str) -> tuple[Verdict, ...]:
        """What the checks said of what a call brought."""
        fact = self.events[self.over[call]].fact if call in self.over else None
        return fact.verdicts if isinstance(fact, CallCompleted) else ()

    def shown(self, call: str) -> list[str]:
        """What a model call was shown: the manifests of its turn up to it, added up."""
        shown: dict[str, None] = {}
        turn, last = call.split(".", maxsplit=1)[0], self.began.get(call, 0)
        for seq in (s for id, s in self.began.items() if id.startswith(f"{turn}.") and s <= last):
            fact = self.events[seq].fact
            if isinstance(fact, CallGranted) and fact.manifest is not None:
                for gone in fact.manifest.dropped:
                    shown.pop(gone.item, None)
                shown |= {new.item: None for new in fact.manifest.added}
        return list(shown)

    def model_before(self, turn: str, seq: int) -> str:
        """The model call of the turn that was over last before `seq`, or nothing."""
        calls = [(s, id) for id, s in self.over.items() if id.startswith(f"{turn}.") and id.count(".") == 2 and s < seq]
        models = [(s, id) for s, id in calls if self.fact(self.began[id], CallGranted).route is not None]
        return max(models, default=(0, ""))[1]

    def move(self, step: Step) -> tuple[str, str, Label]:
        """The arguments of a tool step and why it was planned, in words, and the label of these."""
        item = self.items.get(step.item)
        if item is None or not isinstance(item.body, ToolCall):
            return "", "", Label()
        arguments, reason = item.body.arguments, ""
        if step.planned:
            steps = listed(item.body)
            planned = steps[int(step.planned)] if int(step.planned) < len(steps) else {}
            arguments, reason = planned.get("arguments", {}), str(planned.get("why", ""))
        return f"({_cut(_plain(arguments))})", reason, item.label

    def reason(self, fact: PlanPatched) -> tuple[str, Label]:
        """Why the plan changed, in words, and the label of these."""
        code = fact.why.code.removeprefix("finish: ")
        said = _REASONS.get(code, code) if code == fact.why.code else f"only the answer was still asked for ({code})"
        item = self.items.get(fact.why.item)
        if item is None or not isinstance(item.body, ToolCall):
            return said, Label()
        reason, because = item.body.arguments.get("reason"), ", ".join(self.because(fact.why.item))
        words = f", because: “{_cut(str(reason))}”" if reason else ""
        return said + words + (f" (from {because})" if because else ""), item.label

    def because(self, item: str) -> list[str]:
        """The sources that a plan or revise move names as its reason."""
        body = self.items[item].body if item in self.items else None
        named = body.arguments.get("because", ()) if isinstance(body, ToolCall) else ()
        return [str(name) for name in named] if isinstance(named, list | tuple) else []


def said_of(item: Item) -> str:
    """An item in words; its content is under its label."""
    match item.body:
        case Passage() as body:
            under = f", under “{' > '.join(body.heading)}”" if body.heading else ""
            found = f"found with score {body.score:.2f}" if body.score else "read"
            kind = "a memory of an earlier answer" if body.memory else f"passage of {body.source}@{body.version[:12]}{under}"
            return f"{kind}, {found} by {item.origin}"
        case Text() as body:
            return f"“{_cut(body.text)}”"
        case ToolCall() as body:
            return f"{body.name}({_cut(_plain(body.arguments))}), a move of {item.origin}"
        case Data() as body:
            return f"{_cut(_plain(body.value))}, a result of {item.origin}"
        case Failure() as body:
            return f"told the model: {_cut(body.text)}"
        case Answer() as body:
            return f"the answer: “{_cut(body.text)}”"
        case None:
            return f"({item.kind}: erased, or not for you to see)"
        case _:
            return f"{item.kind} of {item.origin}"


def said_of_fact(fact: Fact) -> str:
    """A fact in words, without content."""
    match fact:
        case CallCompleted():
            checks = ", ".join(sorted({f"{v.check} {v.status}" for v in fact.verdicts}))
            return f"{fact.call} came back with {counted(len(fact.items), 'item')} in {fact.elapsed_ms} ms (checks: {checks})"
        case CallFailed():
            doubt = "; it may have taken effect" if fact.unknown else ""
            return f"{fact.call} failed: {fact.fault.code}: {fact.fault.text}{doubt}"
        case CallCancelled():
            return f"{fact.call} was given up: {fact.cause}{'; it may have taken effect' if fact.unknown else ''}"
        case CallInterrupted():
            return f"{fact.call} was cut off: its process is gone"
        case CallRefused():
            return f"{f'step {fact.step}' if fact.step else 'a move'} was refused: {fact.code}"
        case StepEnded():
            return f"step {fact.step} ended: {fact.outcome}{f' ({fact.reason})' if fact.reason else ''}"
        case ItemsWithdrawn():
            paths = ", ".join(source.path for source in fact.sources) or "a source"
            return f"{counted(len(fact.ids), 'item')} withdrawn at revision {fact.revision}: {paths} may no longer be read"
        case Answered():
            return "yes" if fact.allow else "no"
        case AnswerJudged():
            failed = f", {counted(len(fact.dropped), 'sentence')} of it failed the checks" if fact.dropped else ""
            return f"an answer was {'accepted' if fact.action == 'accept' else 'given back'}{failed}"
        case TurnEnded():
            return f"turn {fact.turn} ended: {fact.outcome} ({fact.reason})"
        case _:
            fields = ((name, getattr(fact, name)) for name in fact.__struct_fields__)
            plain = ", ".join(f"{name} {value}" for name, value in fields if isinstance(value, str | int) and value != "")
            return f"{type(fact).__name__}: {plain}"


def counted(number: int, noun: str) -> str:
    """`1 item`, `3 items`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={msgspec.json.encode(given).decode()}" for name, given in value.items())
    return msgspec.json.encode(value).decode()


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
