"""The gate: permit, reserve, route, deadline, slot; every refusal has its reason, and forbidden looks like missing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.core.desk import NOW, SEARCH, Desk, call_of, passage, policy, source
from tests.core.gates import granted, moved, read, refused, told

from standpipe.core.admit import Reply
from standpipe.core.amounts import Amounts
from standpipe.core.details import Fault, Permit
from standpipe.core.events import (
    Asked,
    CallGranted,
    CallRefused,
    StepEnded,
)
from standpipe.core.gate import NOT_FOUND_TEXT
from standpipe.core.ids import digest
from standpipe.core.items import Draft, Failure, Label, ToolCall
from standpipe.core.plan import OPEN_CALLS_MAX
from standpipe.core.record import REFUSALS
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import CallQuestion, Policy

# --- tools -------------------------------------------------------------------------------------------------------------


def test_a_permitted_call_is_granted_with_what_it_may_use() -> None:
    desk = moved(call_of("search", query="x"))
    grant = granted(desk)
    assert (grant.call, grant.step, grant.target) == ("t1.st2.a1", "st2", "search")
    assert grant.hold == Amounts(tool_calls=1)
    assert grant.permit == Permit("given to the agent", 1)
    assert grant.key == digest(["s", "t1", "st2"])
    assert grant.deadline_at == NOW + SEARCH.timeout_ms and grant.route is None
    assert granted(moved(read("a.md"))).permit == Permit("relation", 1)


def test_a_call_has_no_more_time_than_its_turn() -> None:
    desk = Desk(policy=policy(deadline_ms=20_000))
    assert granted(moved(call_of("search", query="x"), desk=desk)).deadline_at == desk.turn.soft_at == NOW + 15_000


def asked_world(question: CallQuestion) -> bool | None:
    """Everything but secret.md may be read; about unknown.md nothing is known."""
    return {"document:secret.md": False, "document:unknown.md": None}.get((*question.resources, "")[0], True)


def test_what_is_forbidden_is_refused_and_ends_its_step() -> None:
    desk = moved(read("secret.md"), desk=Desk(permits=asked_world))
    assert refused(desk) == [("st2", "not_found")]
    assert told(desk) == [Failure("not_found", NOT_FOUND_TEXT)]
    assert StepEnded("st2", "refused", "not_found") in desk.facts(StepEnded)


def test_forbidden_and_missing_tools_are_refused_with_the_same_facts() -> None:
    def facts(move: ToolCall) -> list[Any]:
        desk = moved(move, desk=Desk(permits=lambda _: False))
        no = [(msgspec.structs.replace(f, items=()), [i.body for i in f.items]) for f in desk.facts(CallRefused)]
        return [*no, *desk.facts(StepEnded)]

    assert facts(read("secret.md")) == facts(call_of("nothing", source="secret.md")) == facts(call_of("search", query="x"))


def test_about_a_call_without_its_answers_nothing_is_decided() -> None:
    desk = moved(read("unknown.md"), read("a.md"), desk=Desk(permits=asked_world))
    assert [c.step for c in desk.open()] == ["st3"]
    assert refused(desk) == [] and "st2" in desk.turn.live


@pytest.mark.parametrize(
    ("move", "where"),
    [
        (call_of("search"), "the top: required"),
        (call_of("read"), "the top: required"),
        (call_of("search", query=5), "query: type"),
        (call_of("read", source="a.md", more=1), "the top: additionalProperties"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anybody_is_asked(move: ToolCall, where: str) -> None:
    desk = moved(move, desk=Desk(permits=lambda _: None))
    assert refused(desk) == [("st2", "arguments")]
    assert told(desk)[0].text == f"The arguments of `{move.name}` do not fit its schema at {where}."


def test_a_call_that_does_not_name_its_resource_is_refused() -> None:
    loose = ToolSpec("incident", "One.", {"type": "object"}, resource="incident:{id}")
    desk = moved(call_of("incident"), desk=Desk(AgentSpec("coordinator", "", (loose,))))
    assert refused(desk) == [("st2", "arguments")]
    assert told(desk)[0].text == "The arguments of `incident` do not fit its schema at what they should name."


def test_a_step_whose_call_was_withdrawn_is_withdrawn() -> None:
    plan = call_of(
        "plan",
        steps=[
            {"id": "a", "tool": "search", "arguments": {"query": "x"}},
            {"id": "b", "tool": "read", "arguments": {"source": "b.md"}, "after": ["a"]},
        ],
    )
    desk = moved(Draft(plan, Label((source("a.md"),))))
    desk.denied = {source("a.md")}
    desk.run().came(passage("b.md", "five"))
    assert [(e.step, e.outcome) for e in desk.facts(StepEnded)][-1] == ("st3", "withdrawn")
    assert [g.step for g in desk.facts(CallGranted)][-1] == "st4"


def test_a_tool_call_needs_budget() -> None:
    desk = moved(call_of("search", query="x"), call_of("search", query="y"), desk=Desk(policy=policy(tool_calls=1)))
    assert [c.step for c in desk.open()] == ["st2"]
    assert refused(desk) == [("st3", "budget")]
    assert told(desk)[0].code == "budget"


def test_what_is_kept_for_the_end_is_not_for_tools() -> None:
    desk = Desk().ask()
    desk.turn.reserve = Amounts(tool_calls=40)
    desk.came(call_of("search", query="x"))
    assert refused(desk) == [("st2", "budget")]


@pytest.mark.parametrize("late", [False, True])
def test_no_tool_is_called_when_only_the_answer_is_still_worked_on(late: bool) -> None:
    desk = Desk().ask()
    desk.now = desk.turn.soft_at - (0 if late else 1)
    desk.came(call_of("search", query="x"))
    assert refused(desk) == ([("st2", "deadline")] if late else [])


def test_only_so_many_calls_run_at_once() -> None:
    desk = moved(*(call_of("search", query=str(n)) for n in range(OPEN_CALLS_MAX + 3)))
    assert len(desk.open()) == OPEN_CALLS_MAX == 8
    desk.came(passage("a.md", "five"))
    assert len(desk.open()) == OPEN_CALLS_MAX and len(desk.facts(CallGranted)) == OPEN_CALLS_MAX + 2


def test_a_call_about_which_nothing_is_known_takes_nobodys_place() -> None:
    unknown = [read("unknown.md")] * OPEN_CALLS_MAX
    desk = moved(*unknown, read("a.md"), desk=Desk(permits=asked_world))
    assert [c.step for c in desk.open()] == [f"st{OPEN_CALLS_MAX + 2}"]


def test_a_call_that_is_tried_again_keeps_its_key() -> None:
    desk = moved(read("a.md")).broke(Fault("error", retryable=True))
    first, second = desk.facts(CallGranted)[1:]
    assert (first.call, second.call) == ("t1.st2.a1", "t1.st2.a2")
    assert first.key == second.key
    assert len({granted(moved(read("a.md"), read("b.md"))).key, first.key}) == 2


def test_a_grant_names_what_led_to_it() -> None:
    steps = [
        {"id": "a", "tool": "search", "arguments": {"query": "x"}},
        {"id": "b", "tool": "read", "arguments": {"source": "b"}, "after": ["a"]},
    ]
    desk = moved(call_of("plan", steps=steps)).came(passage("a.md", "five")).broke(Fault("error", retryable=True))
    turn = desk.turn
    grants = [e for e in desk.events if isinstance(e.fact, CallGranted) and e.fact.step == "st3"]
    assert grants[0].causes == (turn.steps["st3"].added, turn.steps["st2"].ended)
    assert grants[1].causes == (*grants[0].causes, turn.calls["t1.st3.a1"].ended)


# --- approvals ---------------------------------------------------------------------------------------------------------


def answered(desk: Desk, allow: bool) -> Desk:
    """The person who was asked last answers."""
    desk.admit(Reply("y", "acme", "user:ana", desk.facts(Asked)[-1].ask, allow))
    return desk.run()


def test_an_irreversible_call_asks_first_and_is_granted_on_yes() -> None:
    desk = moved(call_of("send"))
    meant = digest(["send", {}, digest(["s", "t1", "st2"])])
    assert desk.facts(Asked) == [Asked("t1.st2", "st2", "approval", NOW + Policy().parked_ms, meant)]
    assert desk.open() == [] and desk.turn.parked_at == NOW
    answered(desk, True)
    assert [c.target for c in desk.open()] == ["send"] and len(desk.facts(Asked)) == 1


def test_no_means_no() -> None:
    desk = answered(moved(call_of("send")), False)
    assert refused(desk) == [("st2", "denied")] and told(desk)[0].text == "The call was denied by a person."
    assert [g.target for g in desk.facts(CallGranted)] == ["extractive", "extractive"]


def test_an_approval_that_nobody_gives_expires() -> None:
    desk = moved(call_of("send"))
    desk.now += Policy().parked_ms - 1
    assert desk.run().turn.parked_at
    desk.now += 1
    assert refused(desk.run()) == [("st2", "expired")]


def test_any_tool_can_ask_first() -> None:
    careful = AgentSpec("coordinator", "", (msgspec.structs.replace(SEARCH, approval=True),))
    assert len(moved(call_of("search", query="x"), desk=Desk(careful)).facts(Asked)) == 1


def test_nobody_is_asked_for_a_call_that_could_not_be_paid_or_may_not_be_made() -> None:
    poor = Desk().ask()
    poor.turn.reserve = Amounts(tool_calls=40)
    assert poor.came(call_of("send")).facts(Asked) == []
    assert moved(call_of("send"), desk=Desk(permits=lambda _: False)).facts(Asked) == []


def test_an_approval_is_no_permit() -> None:
    may = [True]
    desk = moved(call_of("send"), desk=Desk(permits=lambda _: may[0]))
    may[0] = False
    assert refused(answered(desk, True)) == [("st2", "not_found")]


def test_every_code_of_a_refusal_is_known() -> None:
    assert {"not_found", "arguments", "budget", "deadline", "denied", "expired", "no model"} <= REFUSALS
    assert {"not offered", "second answer", "second question", "steps", "contracted", "cancelled", "in doubt"} <= REFUSALS
    assert "void" in REFUSALS and len(REFUSALS) == 15
