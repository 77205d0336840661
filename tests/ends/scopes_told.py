"""A log with specialists, written by hand: one is tried twice, an optional one is lost."""

from __future__ import annotations

import msgspec

from standpipe.core.amounts import Amounts, Limits
from standpipe.core.details import Fault, Manifest, Permit, Route, Step, Usage, Why
from standpipe.core.events import (
    AnswerJudged,
    AnyFact,
    CallCompleted,
    CallFailed,
    CallGranted,
    CallRefused,
    DeadlinePassed,
    Event,
    HoldSettled,
    PlanPatched,
    ScopeCancelled,
    ScopeEnded,
    ScopeStarted,
    SessionOpened,
    StepEnded,
    TurnEnded,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.items import Answer, Body, Data, Draft, Failure, Gap, Item, Label, Sentence, Source, Text, ToolCall, place
from standpipe.entrypoints.story import Story

TURN, INNER = Amounts(250_000, 900_000, 24, 40, 16), Amounts(60_000, 90_000, 6, 8, 4)
NOW = 1_000_000
DUTY = Source("", "incident:7", "v1")


class Told:
    """A log written by hand: each fact gets the next place, 100 ms after the one before."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def item(self, body: Body, origin: str, answers: str = "", step: str = "", label: Label | None = None) -> Item:
        """An item of the next fact."""
        return place(Draft(body, label or Label(), answers), f"{len(self.events) + 1}.0", origin, step)

    def add(self, *facts: AnyFact) -> None:
        """Facts, one after the other."""
        for fact in facts:
            self.events.append(Event(len(self.events) + 1, "runtime", (), fact))

    def model_call(self, call: str, hold: int, outcome: CallCompleted | CallFailed, spent: int) -> None:
        """A granted model call, its outcome and what it cost."""
        step, route = call.partition(".")[2].rpartition(".")[0], Route("plan", "large", "p", "default")
        self.add(
            CallGranted(call, step, "large", Amounts(hold, 9_000, 1), NOW, Permit("p", 0), "k", route, Manifest("", "d")),
            outcome,
            HoldSettled(call, Amounts(spent, 500, 1)),
        )

    def begin(self, call: str, agent: str, task: str) -> None:
        """A specialist begins."""
        step = call.partition(".")[2].rpartition(".")[0]
        self.add(CallGranted(call, step, agent, INNER, NOW, Permit("given to the agent", 0), "k"))
        asked = self.item(Text(task), "task", label=Label((DUTY,)))
        self.add(ScopeStarted(call, agent, Limits(INNER, 9_000), Amounts(), NOW, NOW, (asked,)))

    def end(self, call: str, outcome: str, reason: str, spent: Amounts, *items: Item) -> None:
        """A specialist is done."""
        self.add(ScopeEnded(call, outcome, reason, spent, items=items), HoldSettled(call, spent))


def two_specialists() -> Told:
    """One is tried twice and finds something, an optional one beside it is lost."""
    told = Told()
    told.add(SessionOpened("s", "local", "user:ana", "coordinator"))
    told.add(TurnRequested("t1", "r", (told.item(Text("Why did it break?"), "user"),)))
    told.add(TurnStarted("t1", Limits(TURN, 60_000), Amounts(), NOW + 50_000, NOW + 60_000))
    told.add(PlanPatched("t1", 1, Why("next"), (Step("st1", "model", "plan"),)))
    moves = [("analyst", "Read the reports.", False), ("auditor", "Check the duty.", True)]
    calls = tuple(
        place(
            Draft(ToolCall("delegate", {"to": to, "task": task, "optional": o}), Label((DUTY,))),
            f"{len(told.events) + 2}.{n}",
            "large",
            "st1",
        )
        for n, (to, task, o) in enumerate(moves)
    )
    told.model_call("t1.st1.a1", 5_000, CallCompleted("t1.st1.a1", calls, Usage(400, 100), (), 5, 900), 1_000)
    told.add(StepEnded("st1", "done"))
    steps = (Step("st2", "agent", "analyst", calls[0].id), Step("st3", "agent", "auditor", calls[1].id, optional=True))
    told.add(PlanPatched("t1", 2, Why("called by the model", calls[0].id), steps))
    told.begin("t1.st2.a1", "analyst", "Read the reports.")
    told.begin("t1.st3.a1", "auditor", "Check the duty.")
    told.add(PlanPatched("t1.st2.a1", 1, Why("first look"), (Step("st2.a1/st1", "model", "plan"),)))
    told.model_call("t1.st2.a1/st1.a1", 7_000, CallFailed("t1.st2.a1/st1.a1", Fault("timeout", "too slow")), 2_000)
    told.add(StepEnded("st2.a1/st1", "failed"))
    told.end("t1.st2.a1", "failed", "timeout", Amounts(2_000, 500, 1, 0, 1))
    return told


def continued(told: Told) -> Told:
    """The same to its end."""
    told.begin("t1.st2.a2", "analyst", "Read the reports.")
    planned = {"id": "a", "tool": "search", "arguments": {"query": "july"}}
    look = told.item(ToolCall("plan", {"reason": "inner reason", "parts": ["inner part"], "steps": [planned]}), "large")
    told.add(PlanPatched("t1.st2.a2", 1, Why("plan", look.id), (Step("st2.a2/st1", "tool", "search", look.id, "0"),), (look,)))
    grant = CallGranted("t1.st2.a2/st1.a1", "st2.a2/st1", "search", Amounts(0, 0, 0, 1), NOW, Permit("p", 0), "k")
    told.add(grant)
    told.add(CallCompleted(grant.call, (told.item(Data(7), "tool:search", step="st2.a2/st1"),), elapsed_ms=12))
    told.add(HoldSettled(grant.call, Amounts(0, 0, 0, 1)), StepEnded("st2.a2/st1", "done"))
    answered = told.item(Answer((Sentence("It broke."),), (Gap("Since when?"),)), "agent:analyst", "6.0", "st2")
    told.end("t1.st2.a2", "partial", "gaps", Amounts(3_000, 700, 2, 1, 2), answered)
    told.add(StepEnded("st2", "done"))
    move = told.item(ToolCall("answer", {"sentences": []}), "large", step="st3.a1/st1")
    told.add(PlanPatched("t1.st3.a1", 1, Why("first look"), (Step("st3.a1/st1", "model", "plan"),)))
    move = msgspec.structs.replace(move, id=f"{len(told.events) + 2}.0")
    told.model_call("t1.st3.a1/st1.a1", 7_000, CallCompleted("t1.st3.a1/st1.a1", (move,), Usage(10, 5)), 1_500)
    no = told.item(Failure("not offered", "No."), "runtime", move.id)
    told.add(AnswerJudged(move.id, "resample"), CallRefused("", "not offered", items=(msgspec.structs.replace(no),)))
    told.add(StepEnded("st3.a1/st1", "done"))
    told.add(DeadlinePassed("t1.st3.a1", "hard"), ScopeCancelled("t1.st3.a1", "late"))
    told.end("t1.st3.a1", "failed", "deadline", Amounts(1_500, 500, 1, 0, 1))
    told.add(StepEnded("st3", "dropped", "deadline"))
    told.add(TurnEnded("t1", "partial", "gaps", Amounts(7_500, 2_200, 5, 1, 7)))
    return told


def heard(told: Told, story: Story | None = None) -> tuple[Story, list[str]]:
    """The story of it, and each piece of its news."""
    story = story or Story("t1")
    return story, [line for event in told.events for line in story.take(event, event.seq * 100)]
