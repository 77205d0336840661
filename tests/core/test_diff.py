"""Two logs are compared by what they say, not by when, where and under which ids they say it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from standpipe.core.amounts import NOTHING, Amounts
from standpipe.core.details import Fault, Permit, Step, Verdict, Why
from standpipe.core.diff import Divergence, diff
from standpipe.core.events import (
    AnyFact,
    CallCompleted,
    CallFailed,
    CallGranted,
    Event,
    Frame,
    HoldSettled,
    PlanPatched,
    SessionForked,
    SessionOpened,
    StepEnded,
    TurnRequested,
    WorldRecord,
)
from standpipe.core.items import Body, Data, Draft, Item, Label, Source, Text, ToolCall, place


def item(id: str, body: Body, *sources: Source, answers: str = "", origin: str = "tool:look") -> Item:
    return place(Draft(body, Label(sources), answers), id, origin, "st1")


def story(first: int = 1, value: object = "low", session: str = "s") -> list[AnyFact]:
    """A turn with one tool call, whose events begin at seq `first`."""
    question, move = item(f"{first + 1}.0", Text("How low?"), origin="user"), item(f"{first + 2}.0", ToolCall("look", {"n": 1}))
    came = item(f"{first + 4}.0", Data(value), answers=f"{first + 2}.0")
    step = Step("st1", "tool", "look", item=f"{first + 2}.0")
    granted = CallGranted(
        *("t1.st1.a1", "st1", "look"), hold=NOTHING, deadline_at=first, permit=Permit("relation", first), key=session
    )
    return [
        SessionOpened(session, "acme", "user:ana", "agent"),
        TurnRequested("t1", f"r{session}", (question,)),
        PlanPatched("t1", 1, Why("called by the model", f"{first + 2}.0"), (step,), (move,)),
        granted,
        CallCompleted("t1.st1.a1", (came,), elapsed_ms=first, verdicts=(Verdict("size", "result", "pass"),)),
        HoldSettled("t1.st1.a1", NOTHING),
        StepEnded("st1", "done"),
    ]


def log(facts: list[AnyFact], first: int = 1) -> list[Frame]:
    """One frame for each fact, from seq `first` on."""
    frames = []
    for seq, fact in enumerate(facts, first):
        frames.append(Frame(seq, 1000 * seq, "here", "rules", WorldRecord(), (Event(seq, f"by {first}", (seq - 1,), fact),)))
    return frames


def test_the_same_story_at_another_time_and_place_is_the_same() -> None:
    assert diff(log(story()), log(story())) == ()
    assert diff(log(story()), log(story(40, session="other"), 40)) == ()
    forked = [*story(), SessionForked("other", "s", 7, "head")]
    assert diff(log(story()), log(forked)) == ()


def test_what_came_back_is_told_in_words_on_both_sides() -> None:
    (found,) = diff(log(story()), log(story(40, "high"), 40))
    assert (found.kind, found.about, found.a, found.b) == ("CallCompleted", "t1.st1.a1", 5, 44)
    (field,) = found.fields
    assert (field.field, field.a, field.b) == ("items", ['"low", a result of tool:look'], ['"high", a result of tool:look'])


def test_what_only_one_of_them_says_stands_behind_what_was_before_it() -> None:
    facts = story()
    failed = CallFailed("t1.st1.a1", Fault("timeout"))
    there = [*facts[:4], failed, *facts[5:], StepEnded("st2", "done")]
    told = diff(log(facts), log(there))
    assert [(d.kind, d.a, d.b) for d in told] == [("CallFailed", 0, 5), ("CallCompleted", 5, 0), ("StepEnded", 0, 8)]
    assert "timeout" in next(d.says for d in told if d.kind == "CallFailed")


def test_the_order_of_what_runs_side_by_side_does_not_count() -> None:
    one = [HoldSettled("t1.st1.a1", NOTHING), HoldSettled("t1.st2.a1", NOTHING)]
    assert diff(log([*story(), *one]), log([*story(), *one[::-1]])) == ()


@pytest.mark.parametrize(
    ("place", "field", "changed"),
    [
        (0, "principal", lambda fact: replace(fact, principal="user:bo")),
        (2, "why", lambda fact: replace(fact, why=Why("plan", fact.why.item))),
        (2, "why", lambda fact: replace(fact, why=Why(fact.why.code))),
        (2, "add", lambda fact: replace(fact, add=())),
        (3, "permit", lambda fact: replace(fact, permit=Permit("given to the agent", 1))),
        (3, "target", lambda fact: replace(fact, target="put")),
        (4, "verdicts", lambda fact: replace(fact, verdicts=())),
        (4, "items", lambda fact: replace(fact, items=(replace(fact.items[0], label=Label((Source("", "incident:1", ""),))),))),
        (4, "items", lambda fact: replace(fact, items=(replace(fact.items[0], answers=""),))),
        (5, "spent", lambda fact: replace(fact, spent=Amounts(microusd=1))),
        (6, "outcome", lambda fact: replace(fact, outcome="failed")),
    ],
)
def test_every_field_that_says_something_counts(place: int, field: str, changed: Callable[[AnyFact], AnyFact]) -> None:
    facts = story()
    facts[place] = changed(facts[place])
    (found,) = diff(log(story()), log(facts))
    assert [one.field for one in found.fields] == [field]
    (back,) = diff(log(facts), log(story()))
    assert back.fields == tuple(replace(one, a=one.b, b=one.a) for one in found.fields)


def test_what_nobody_may_see_is_no_difference() -> None:
    def hidden(facts: list[AnyFact]) -> list[Frame]:
        came = facts[4]
        assert isinstance(came, CallCompleted)
        facts[4] = replace(came, items=(replace(came.items[0], body=None, hash="", bytes=0),))
        return log(facts)

    assert diff(hidden(story()), hidden(story(value="high"))) == ()
    (found,) = diff(hidden(story()), log(story()))
    assert isinstance(found, Divergence) and found.fields[0].a == ["(data: not for you to see)"]
