"""A turn with two specialists, as its log tells it: one lost at first and tried again, and two that say different things."""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec.structs import replace
from tests.simulate.planted import Log

from standpipe.core import events as e
from standpipe.core import ids
from standpipe.core.amounts import Amounts, Limits
from standpipe.core.details import Chosen, Fault, Manifest, Permit, Route, Step, Usage, Verdict, Why
from standpipe.core.items import (
    Answer,
    Body,
    Checked,
    Citation,
    Claim,
    Conflict,
    ConflictValue,
    Draft,
    Item,
    Label,
    Passage,
    Sentence,
    Source,
    Text,
    ToolCall,
    place,
)

JULY, POOL = Source("docs", "july.md", "v1"), Source("docs", "pool.md", "v1")
WORDS = {JULY: "The pool had 20 connections.", POOL: "The pool allows 50 connections."}
VALUES = {JULY: "20", POOL: "50"}
SLICE, RESERVE = Amounts(100, 100, 3, 2, 4), Amounts(20, 20, 1, 0, 1)
ANALYST, AUDITOR, SECOND = "t1.st2.a1", "t1.st3.a1", "t1.st2.a2"


def cited(source: Source) -> Citation:
    """All that the document says."""
    return Citation(source.path, source.version, WORDS[source], source.folder)


def claim(source: Source) -> Claim:
    """How many connections the document gives the pool."""
    return Claim("pool", "connections", VALUES[source], cited(source), "connections")


class Book:
    """A log as it is written, each event in a frame of its own."""

    def __init__(self) -> None:
        self.frames: list[e.Frame] = []
        self.shown: dict[str, str] = {}

    @property
    def next(self) -> int:
        """The seq of the next event."""
        return len(self.frames) + 1

    def add(self, fact: e.AnyFact, *causes: int) -> int:
        """The seq that a fact gets."""
        event = e.Event(self.next, "test", causes, fact)
        world = e.WorldRecord({"agents": "known"})
        self.frames.append(e.Frame(event.seq, 1_000 + 10 * event.seq, "test", "rules", world, (event,)))
        return event.seq

    def item(self, body: Body, *sources: Source, n: int = 0, **given: str) -> Item:
        """The n-th item of the next event."""
        draft = Draft(body, Label(tuple(sorted(sources))), given.get("answers", ""))
        return place(draft, ids.item_id(self.next, n), given.get("origin", "m"), given.get("step", ""))

    def model(self, call: str, added: int, *shown: str) -> int:
        """A model call that is shown some items."""
        share = ids.scope_of(call) or call.partition(".")[0]
        base, self.shown[share] = self.shown.get(share, ""), call
        manifest = Manifest(base, call, tuple(Chosen(id, "asked") for id in shown))
        route = Route("plan", "m", "acme", "routes.default")
        hold, permit = Amounts(10, 10, 1), Permit("labels", 1)
        until = 7_000 if ids.scope_of(call) else 9_000
        return self.add(
            e.CallGranted(call, ids.step_of(call), "m", hold, until, permit, ids.step_of(call), route, manifest), added
        )

    def came(self, call: str, granted: int, *items: Item, checks: tuple[Verdict, ...] = (), tool: bool = False) -> int:
        """What came of a call, settled, and the end of its step."""
        usage = None if tool else Usage(4, 3)
        verdicts = (Verdict("shape", "answer", "pass"), *checks)
        done = self.add(e.CallCompleted(call, items, usage, verdicts), granted)
        self.add(e.HoldSettled(call, Amounts(tool_calls=1) if tool else Amounts(5, 7, 1)), done)
        return done

    def delegated(self, call: str, agent: str, *causes: int) -> None:
        """A specialist begins."""
        granted = e.CallGranted(
            call, ids.step_of(call), agent, SLICE, 8_000, Permit("given to the agent", 1), ids.step_of(call)
        )
        seq = self.add(granted, *causes)
        task = self.item(Text(f"How many connections, {agent}?"), origin="task")
        self.add(e.ScopeStarted(call, agent, Limits(SLICE, 7_000), RESERVE, 6_000, 7_000, (task,)), seq)

    def specialist(self, scope: str, agent: str, source: Source, move: str) -> int:
        """A specialist reads a document and answers with what it says."""
        started = next(f.events[0] for f in self.frames if getattr(f.events[0].fact, "scope", "") == scope)
        task, within = started.fact.items[0].id, scope.partition(".")[2]  # type: ignore[union-attr]
        one, two, three = (f"{within}/st{n}" for n in (1, 2, 3))
        patch = self.add(e.PlanPatched(scope, 1, Why("begin"), (Step(one, "model", "plan"),)), started.seq)
        granted = self.model(f"{scope}/st1.a1", patch, task)
        read = self.item(ToolCall("read", {"source": source.path}), step=one)
        done = self.came(f"{scope}/st1.a1", granted, read)
        ends = [self.add(e.StepEnded(one, "done"), done)]
        steps = (Step(two, "tool", "read", read.id), Step(three, "model", "synthesize", needs=(two,)))
        patch = self.add(e.PlanPatched(scope, 2, Why("called by the model", read.id), steps), done)
        granted = self.add(
            e.CallGranted(f"{scope}/st2.a1", two, "read", Amounts(tool_calls=1), 6_000, Permit("relation", 1), two), patch
        )
        page = Passage(source.path, source.version, WORDS[source], folder=source.folder)
        passage = self.item(page, source, answers=read.id, step=two)
        done = self.came(f"{scope}/st2.a1", granted, passage, tool=True)
        ends.append(self.add(e.StepEnded(two, "done"), done))
        granted = self.model(f"{scope}/st3.a1", patch, passage.id)
        said = {"subject": "pool", "predicate": "connections", "value": VALUES[source], "unit": "connections"}
        answer = self.item(ToolCall("answer", {"claims": [said]}), source, step=three)
        checked = self.item(Checked(((cited(source),),), claims=(cited(source),)), source, n=1, step=three)
        checks = (Verdict("citation", "s0", "pass"), Verdict("claim", "k0", "pass"))
        done = self.came(f"{scope}/st3.a1", granted, answer, checked, checks=checks)
        self.add(e.AnswerJudged(answer.id, "accept", (0,)), done)
        ends.append(self.add(e.StepEnded(three, "done"), done))
        body = Answer((Sentence(WORDS[source], (cited(source),)),), claims=(claim(source),))
        result = self.item(body, source, origin=f"agent:{agent}", answers=move, step=ids.step_of(scope))
        ended = self.add(e.ScopeEnded(scope, "completed", "answered", Amounts(10, 14, 2, 1, 3), items=(result,)), *ends)
        return self.add(e.HoldSettled(scope, Amounts(10, 14, 2, 1, 3)), ended) - 1


@cache
def scoped() -> tuple[e.Frame, ...]:
    """The log of a turn that is complete, with a conflict."""
    book = Book()
    book.add(e.SessionOpened("s", "acme", "user:ana", "coordinator"))
    question = book.item(Text("How many connections has the pool?"), origin="user")
    begun = book.add(e.TurnRequested("t1", "r1", (question,), ("docs",)))
    begun = book.add(e.TurnStarted("t1", Limits(Amounts(1_000, 1_000, 20, 20, 30), 8_000), RESERVE, 8_000, 9_000), begun)
    patch = book.add(e.PlanPatched("t1", 1, Why("begin"), (Step("st1", "model", "plan"),)), begun)
    granted = book.model("t1.st1.a1", patch, question.id)
    moves = [book.item(ToolCall("delegate", {"to": to}), n=n, step="st1") for n, to in enumerate(("analyst", "auditor"))]
    first, second = (move.id for move in moves)
    done = book.came("t1.st1.a1", granted, *moves)
    steps = (Step("st2", "agent", "analyst", first), Step("st3", "agent", "auditor", second, optional=True))
    patch = book.add(e.PlanPatched("t1", 2, Why("called by the model", first), steps), done)
    ends = [book.add(e.StepEnded("st1", "done"), done)]
    book.delegated(ANALYST, "analyst", patch)
    book.delegated(AUDITOR, "auditor", patch)
    lost = _broken(book, ANALYST)
    book.delegated(SECOND, "analyst", patch, lost)
    over = book.specialist(SECOND, "analyst", JULY, first)
    ends.append(book.add(e.StepEnded("st2", "done"), lost, over))
    over = book.specialist(AUDITOR, "auditor", POOL, second)
    ends.append(book.add(e.StepEnded("st3", "done"), over))
    return _answered(book, ends)


def _broken(book: Book, scope: str) -> int:
    """A specialist whose only model fails."""
    step = f"{scope.partition('.')[2]}/st1"
    started = book.next - 3
    task = book.frames[started - 1].events[0].fact.items[0].id  # type: ignore[union-attr]
    patch = book.add(e.PlanPatched(scope, 1, Why("begin"), (Step(step, "model", "plan"),)), started)
    granted = book.model(f"{scope}/st1.a1", patch, task)
    failed = book.add(e.CallFailed(f"{scope}/st1.a1", Fault("garbage", "No words."), usage=Usage(1, 0)), granted)
    book.add(e.HoldSettled(f"{scope}/st1.a1", Amounts(1, 1, 1)), failed)
    ended = book.add(e.StepEnded(step, "failed", "garbage"), failed)
    over = book.add(e.ScopeEnded(scope, "failed", "no model", Amounts(1, 1, 1, 0, 1)), ended)
    book.add(e.HoldSettled(scope, Amounts(1, 1, 1, 0, 1)), over)
    return over


def _answered(book: Book, ends: list[int]) -> tuple[e.Frame, ...]:
    """The turn ends with the first specialist's sentence, and a conflict that the claims make."""
    patch = book.add(e.PlanPatched("t1", 3, Why("continue"), (Step("st4", "model", "synthesize"),)), *ends)
    answers = [i.id for f in book.frames for i in getattr(f.events[0].fact, "items", ()) if isinstance(i.body, Answer)]
    granted = book.model("t1.st4.a1", patch, *answers)
    answer = book.item(ToolCall("answer", {}), JULY, POOL, step="st4")
    checked = book.item(Checked(((cited(JULY),),)), JULY, POOL, n=1, step="st4")
    done = book.came("t1.st4.a1", granted, answer, checked, checks=(Verdict("citation", "s0", "pass"),))
    judged = book.add(e.AnswerJudged(answer.id, "accept", (0,)), done)
    book.add(e.StepEnded("st4", "done"), done)
    sides = tuple(ConflictValue(f"{VALUES[s]} connections", cited(s)) for s in (JULY, POOL))
    body = Answer((Sentence(WORDS[JULY], (cited(JULY),)),), conflicts=(Conflict("connections of pool", sides),))
    result = book.item(body, JULY, POOL, answers=answer.id, step="st4")
    spent = Amounts(5, 7, 1) + Amounts(1, 1, 1, 0, 1) + Amounts(20, 28, 4, 2, 6) + Amounts(5, 7, 1) + Amounts(steps=4)
    book.add(e.TurnEnded("t1", "completed", "answered", spent, (result,)), judged)
    return tuple(book.frames)


# --- where faults are planted


def at(log: Log, kind: type, name: str) -> int:
    """The place of the first such fact whose scope, call, share or step begins so."""
    return log.where(kind, lambda f: any(getattr(f, field, "").startswith(name) for field in ("scope", "call", "turn", "step")))


def step_of(log: Log, id: str, **changes: Any) -> None:
    """Change a step where the plan has it."""
    place = log.where(e.PlanPatched, lambda f: any(step.id == id for step in f.add))
    log.put(place, add=tuple(replace(step, **changes) if step.id == id else step for step in log.fact(place).add))


def item_of(log: Log, place: int, n: int = 0, **changes: Any) -> None:
    """Change an item that a fact brings."""
    items = list(log.fact(place).items)
    items[n] = replace(items[n], **changes)
    log.put(place, items=tuple(items))


def passage(log: Log, scope: str) -> Any:
    """What the specialist read."""
    place = log.where(e.CallCompleted, lambda f: f.call.startswith(scope) and isinstance(f.items[0].body, Passage))
    return log.fact(place).items[0]
