"""A session's log by name: where each turn, step, call and item stands in it, and the words for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from standpipe.core.amounts import Amounts
from standpipe.core.details import ASK, Route, Step, Verdict
from standpipe.core.events import (
    Answered,
    AnswerJudged,
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallGranted,
    CallInterrupted,
    CallRefused,
    CancelRequested,
    Event,
    Fact,
    Frame,
    HoldSettled,
    ItemsWithdrawn,
    PlanPatched,
    ScopeCancelled,
    ScopeEnded,
    ScopeStarted,
    SessionOpened,
    SessionParked,
    SessionUnparked,
    StepEnded,
    TurnEnded,
    TurnRequested,
    UnwindStarted,
)
from standpipe.core.ids import ask_id
from standpipe.core.items import Answer, Citation, Claim, Data, Failure, Item, Label, Passage, Text, ToolCall
from standpipe.core.plan import listed
from standpipe.core.shares import Shares

F = TypeVar("F", bound=Fact)

NO_LIMIT = 2**40
"""So many of anything are as many as one likes: a share of what has no limit."""
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
    "unwind": "what was done is taken back before the end",
}

PASSED = {
    ("pass", ""): "word for word in the versions cited",
    ("pass", "repaired"): "word for word in the versions cited, after its quotes were set right",
    ("abstain", "nothing to cite"): "there are no documents to hold it against",
}
"""What a verdict says, by its status and code."""


class Past:
    """Where things stand: `began` and `over` map the ids of turns, steps (`t2.st4`, `t2.st4.a1/st1`) and calls to seqs.

    A share is a turn, or a scope of it by its name (`t2.st4.a1`): `home` tells that of each event, `scopes` where each began.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.principal = ""
        self.turns: list[str] = []
        self.events: dict[int, Event] = {}
        self.home: dict[int, str] = {}
        self.items: dict[str, Item] = {}
        self.began: dict[str, int] = {}
        self.over: dict[str, int] = {}
        self.steps: dict[str, Step] = {}
        self.granted: dict[str, CallGranted] = {}
        self.scopes: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.settled: dict[str, Amounts] = {}
        self.answered: dict[str, int] = {}
        self.judged: dict[str, int] = {}
        self.withdrawn: dict[str, list[int]] = {}
        self._shares = Shares()
        for frame in frames:
            for event in frame.events:
                self.events[event.seq] = event
                self.items |= {item.id: item for item in getattr(event.fact, "items", ())}
                self.home[event.seq] = self._shares.take(event.fact)
                self._take(event.fact, event.seq)

    def _take(self, fact: Fact, seq: int) -> None:
        turn = self._shares.turn
        match fact:
            case SessionOpened():
                self.principal = fact.principal
            case TurnRequested():
                self.turns.append(fact.turn)
                self.began[fact.turn] = seq
            case TurnEnded():
                self.over[fact.turn] = seq
            case PlanPatched():
                self.steps |= {ask_id(turn, step.id): step for step in fact.add}
                self.began |= {ask_id(turn, step.id): seq for step in fact.add}
            case CallGranted():
                self.granted[fact.call] = fact
                self.began[fact.call] = seq
            case CallCompleted() | CallFailed() | CallCancelled() | CallInterrupted():
                self.over[fact.call] = seq
            case ScopeStarted():
                self.scopes[fact.scope] = seq
            case ScopeEnded():
                self.over[fact.scope] = seq
            case Answered():
                self.answered[fact.ask] = seq
            case HoldSettled():
                self.settled[fact.call] = fact.spent
            case CallRefused() if fact.step:
                self.refused[ask_id(turn, fact.step)] = seq
            case StepEnded():
                self.over[ask_id(turn, fact.step)] = seq
            case AnswerJudged():
                self.judged[self.home[seq]] = seq
            case ItemsWithdrawn():
                for share in dict.fromkeys(self._shares.owner.get(id, turn) for id in fact.ids):
                    self.withdrawn.setdefault(share, []).append(seq)
            case _:
                pass

    def fact(self, seq: int, kind: type[F]) -> F:
        """The fact at `seq`, which is of this kind."""
        fact = self.events[seq].fact
        assert isinstance(fact, kind)
        return fact

    def call_of(self, item: str) -> str:
        """The call that brought an item (for the answer of a specialist, the one that delegated to it), or nothing."""
        fact = self.events[int(item.split(".", maxsplit=1)[0])].fact if item else None
        return fact.scope if isinstance(fact, ScopeEnded) else getattr(fact, "call", "")

    def answered_by(self, share: str) -> str:
        """The call whose answer was judged last in a turn or a scope, or nothing."""
        return self.call_of(self.fact(self.judged[share], AnswerJudged).call_item) if share in self.judged else ""

    def verdicts(self, call: str) -> tuple[Verdict, ...]:
        """What the checks said of what a call brought."""
        fact = self.events[self.over[call]].fact if call in self.over else None
        return fact.verdicts if isinstance(fact, CallCompleted) else ()

    def calls_in(self, share: str) -> list[str]:
        """The calls of a share in the order in which they were granted."""
        return [id for id in self.granted if self.home[self.began[id]] == share]

    def shown(self, call: str) -> list[str]:
        """What a model call was shown: the manifests of its share up to it, added up."""
        shown: dict[str, None] = {}
        last = self.began.get(call, 0)
        for grant in (self.granted[id] for id in self.calls_in(self.home.get(last, "")) if self.began[id] <= last):
            if grant.manifest is not None:
                for gone in grant.manifest.dropped:
                    shown.pop(gone.item, None)
                shown |= {new.item: None for new in grant.manifest.added}
        return list(shown)

    def rejoined(self, share: str) -> list[ScopeEnded]:
        """The ends of the scopes of a share."""
        ends = (self.over[scope] for scope in self.scopes if scope in self.over)
        return [self.fact(seq, ScopeEnded) for seq in ends if self.home[seq] == share]

    def model_before(self, share: str, seq: int) -> str:
        """The model call of a share that was over last before `seq`, or nothing."""
        models = [id for id in self.calls_in(share) if self.granted[id].route is not None]
        return max(((self.over[id], id) for id in models if self.over.get(id, seq) < seq), default=(0, ""))[1]

    def trail(self, id: str, *, short: bool = False) -> tuple[str, Label]:
        """In one line: a call's route and permission, its step, and the reason and the maker of the plan that has the step."""
        grant = self.granted[id]
        on = f" of {grant.target} by {grant.route.rule}" if grant.route is not None else f" of {grant.target}"
        line = f"call {id}{on}, permission by {grant.permit.rule} at revision {grant.permit.revision}"
        if short:
            return line, Label()
        fact = self.fact(self.began[id.rsplit(".", 1)[0]], PlanPatched)
        said, label = self.reason(fact)
        maker = self.call_of(fact.why.item)
        asked = f", asked for by {self.trail(maker, short=True)[0]}" if maker else ""
        return f"{line}, step {grant.step} of plan {fact.epoch}: {said}{asked}", label

    def called(self, id: str) -> str:
        """What a call is, in words and with its arguments where it does what its step says."""
        grant = self.granted[id]
        if grant.purpose:
            return f"{'question what came' if grant.purpose == ASK else 'taking back'} of {grant.target}"
        said = self.move(self.steps[id.rsplit(".", 1)[0]])[0] if grant.route is None else ""
        taken = f", answered by event {grant.recorded} of the session forked from" if grant.recorded else ""
        return f"call of {grant.target}{said}{taken}"

    @staticmethod
    def doing(step: Step) -> str:
        """What a step does, in words."""
        if step.kind == "undo":
            return f"to take back what step {step.undoes} did by {step.does}"
        return f"{step.does}{', the final one' if step.final else ''}"

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
        said = "the specialist began" if code == "begin" and fact.turn in self.scopes else said
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
            by = f" of {item.origin.removeprefix('agent:')}" if item.origin.startswith("agent:") else ""
            said = body.text or "; ".join(map(said_of_claim, body.claims))
            return f"the answer{by}: “{_cut(said)}”"
        case None:
            return f"({item.kind}: {'erased' if item.hash else 'not for you to see'})"
        case _:
            return f"{item.kind} of {item.origin}"


def said_of_claim(claim: Claim) -> str:
    """A claim as a sentence."""
    when = f" ({claim.time})" if claim.time else ""
    return f"{claim.predicate} of {claim.subject} is {valued(claim)}{when}"


def cited_by(answer: Answer) -> list[Citation]:
    """All that an answer cites, in its sentences, claims and conflicts."""
    sides = (side.citation for conflict in answer.conflicts for side in conflict.values)
    return [*answer.citations, *(claim.citation for claim in answer.claims), *sides]


def valued(claim: Claim) -> str:
    """The value of a claim as a conflict shows it."""
    return f"{claim.value} {claim.unit}".strip()


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
        case ScopeStarted():
            return f"{fact.agent} began, as {fact.scope}"
        case ScopeCancelled():
            return f"{fact.scope} was told to stop{_softly(fact.level)}: {fact.cause}"
        case CancelRequested():
            what = fact.scope if "." in fact.scope else f"turn {fact.turn}"
            return f"{what} was to stop{_softly(fact.level)}: {fact.cause}"
        case SessionParked():
            return f"the session was parked: {fact.reason}"
        case SessionUnparked():
            return "somebody wanted the session to be driven again"
        case ScopeEnded():
            return f"{fact.scope} ended: {fact.outcome} ({fact.reason})"
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
        case UnwindStarted():
            return f"{fact.turn} is to end {fact.outcome} ({fact.reason}) and first takes back what it did"
        case TurnEnded():
            left = f"; what {', '.join(fact.standing)} did could not be taken back" if fact.standing else ""
            return f"turn {fact.turn} ended: {fact.outcome} ({fact.reason}){left}"
        case _:
            fields = ((name, getattr(fact, name)) for name in fact.__struct_fields__)
            plain = ", ".join(f"{name} {value}" for name, value in fields if isinstance(value, str | int) and value != "")
            return f"{type(fact).__name__}: {plain}"


def _softly(level: str) -> str:
    return {"soft": " softly", "hard": " hard"}.get(level, "")


def counted(number: int, noun: str) -> str:
    """`1 item`, `3 items`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def routed(route: Route) -> str:
    """A route in words."""
    passed = "".join(f", passed over {p.model} ({p.reason})" for p in route.passed)
    return f"{route.model} for {route.task} by {route.rule}{passed}"


def amounted(amounts: Amounts) -> str:
    """An amount in words."""
    units = {
        "microusd": "micro-dollar",
        "tokens": "token",
        "model_calls": "model call",
        "tool_calls": "tool call",
        "steps": "step",
    }
    told = [(n, unit) for name, unit in units.items() if (n := getattr(amounts, name))]
    return ", ".join(counted(n, unit) if n < NO_LIMIT else f"any number of {unit}s" for n, unit in told) or "nothing"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={msgspec.json.encode(given).decode()}" for name, given in value.items())
    return msgspec.json.encode(value).decode()


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
