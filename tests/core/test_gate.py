"""The gate: permit, reserve, route, deadline, slot; every refusal has its reason, and forbidden looks like missing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.desk import AGENT, NOW, PRICED, SEARCH, Desk, bare_turn, call_of, passage, policy, source

from standpipe.core import budget
from standpipe.core.admit import Cancel, Reply
from standpipe.core.amounts import Amounts, Balance, Limits
from standpipe.core.details import Fault, Passed, Permit, Route
from standpipe.core.events import (
    Asked,
    CallGranted,
    CallRefused,
    HoldSettled,
    PlanPatched,
    StepEnded,
    TurnEnded,
    TurnStarted,
)
from standpipe.core.gate import NOT_FOUND_TEXT, fits_normal
from standpipe.core.ids import digest
from standpipe.core.items import Draft, Failure, Label, ToolCall
from standpipe.core.plan import OPEN_CALLS_MAX
from standpipe.core.record import REFUSALS
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import CallQuestion, ModelSpec, Policy

OTHER = msgspec.structs.replace(PRICED, name="other", provider="elsewhere")
DEAR = msgspec.structs.replace(PRICED, name="dear", provider="dear", output_microusd_per_mtok=40_000_000)


def moved(*moves: ToolCall | Draft, desk: Desk | None = None) -> Desk:
    """A session whose model made these moves."""
    return (desk or Desk()).ask().came(*moves)


def read(path: str) -> ToolCall:
    return call_of("read", source=path)


def refused(desk: Desk) -> list[tuple[str, str]]:
    """Step and code of every refused step."""
    return [(f.step, f.code) for f in desk.facts(CallRefused)]


def told(desk: Desk) -> list[Failure]:
    """What models are told of refused steps."""
    return [i.body for f in desk.facts(CallRefused) for i in f.items if isinstance(i.body, Failure)]


def granted(desk: Desk) -> CallGranted:
    """The latest grant."""
    return desk.facts(CallGranted)[-1]


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
    assert desk.facts(Asked) == [Asked("t1.st2", "st2", "approval", NOW + Policy().parked_ms)]
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


# --- models ------------------------------------------------------------------------------------------------------------


def test_a_model_call_is_granted_with_route_hold_and_manifest() -> None:
    desk = Desk(policy=policy(PRICED, OTHER)).ask()
    grant = granted(desk)
    size = desk.turn.items[desk.turn.question].bytes + 256 + budget.agent_bytes(AGENT)
    assert grant.route == Route("plan", "priced", "acme", "routes.default")
    assert grant.permit == Permit("labels", 1) and grant.deadline_at == NOW + PRICED.timeout_ms
    assert grant.manifest is not None and [c.item for c in grant.manifest.added] == ["2.0"]
    assert grant.manifest.output_tokens_max == PRICED.output_tokens_max and not grant.manifest.final
    assert grant.hold == budget.bound(PRICED, size, PRICED.output_tokens_max)


def test_a_route_falls_through_to_the_next_model() -> None:
    desk = Desk(policy=policy(PRICED, OTHER)).ask().broke(Fault("error"))
    assert granted(desk).route == Route(
        "plan", "other", "elsewhere", "routes.default", (Passed("priced", "failed in this step"),)
    )
    desk.broke(Fault("error"))
    assert ("st1", "no model") in refused(desk)
    assert StepEnded("st1", "failed", "no model") in desk.facts(StepEnded)
    assert [g.call for g in desk.facts(CallGranted)] == ["t1.st1.a1", "t1.st1.a2", "t1.st2.a1"]
    assert desk.facts(PlanPatched)[-1].why.code == "finish: no model"


def test_what_was_withdrawn_enters_no_prompt() -> None:
    desk = moved(read("a.md")).came(passage("a.md", "five"))
    assert [c.why for c in granted(desk).manifest.added] == ["move", "result: st2"]  # type: ignore[union-attr]
    desk.denied = {source("a.md")}
    desk.broke(Fault("error"))
    manifest = granted(desk).manifest
    assert manifest is not None and [c.why for c in manifest.dropped][-1] == "withdrawn"
    assert desk.turn.sources == {}


def test_a_model_gets_no_more_output_than_can_be_paid() -> None:
    desk = Desk(policy=policy(PRICED, microusd=80_000)).ask()
    grant = granted(desk)
    assert grant.manifest is not None
    assert 256 <= grant.manifest.output_tokens_max < PRICED.output_tokens_max
    assert grant.hold.microusd <= 80_000 - desk.turn.reserve.microusd < grant.hold.microusd + 4


def test_a_model_that_cannot_be_paid_is_passed_over() -> None:
    free = ModelSpec("free", "home")
    desk = Desk(policy=policy(DEAR, free, microusd=100)).ask()
    assert granted(desk).target == "free"
    assert granted(desk).route.passed == (Passed("dear", "budget: microusd"),)  # type: ignore[union-attr]


def test_a_call_that_could_say_next_to_nothing_is_not_made() -> None:
    base = Desk(policy=policy(PRICED)).ask()
    size = granted(base).hold.tokens - PRICED.output_tokens_max
    for output, target in ((256, False), (255, True)):
        need = base.turn.reserve.microusd + size + 4 * output
        desk = Desk(policy=policy(PRICED, microusd=need)).ask()
        assert desk.turn.steps[desk.open()[0].step].spec.final is target
        passed = (Passed("priced", "budget: microusd"),)
        assert desk.facts(CallRefused) == ([CallRefused("st1", "budget", passed=passed)] if target else [])
        assert [(e.step, e.outcome, e.reason) for e in desk.facts(StepEnded)] == (
            [("st1", "refused", "budget")] if target else []
        )


def test_a_model_of_few_words_may_say_them() -> None:
    terse = msgspec.structs.replace(PRICED, output_tokens_max=10)
    assert granted(Desk(policy=policy(terse)).ask()).manifest.output_tokens_max == 10  # type: ignore[union-attr]


def test_a_step_that_cannot_be_paid_is_refused_for_its_budget_whoever_else_failed() -> None:
    desk = Desk(policy=policy(OTHER, DEAR, microusd=Desk(policy=policy(OTHER)).ask().turn.reserve.microusd + 20_000)).ask()
    assert granted(desk).target == "other"
    desk.broke(Fault("error"))
    no = desk.facts(CallRefused)[0]
    assert (no.code, no.passed) == ("budget", (Passed("other", "failed in this step"), Passed("dear", "budget: microusd")))


def test_a_dear_model_may_plan_with_all_but_the_reserve() -> None:
    reserve = Desk(policy=policy(DEAR, PRICED)).ask().turn.reserve.microusd
    desk = Desk(policy=policy(DEAR, PRICED, microusd=reserve + 40_000)).ask()
    assert granted(desk).target == "dear" and not granted(desk).manifest.final  # type: ignore[union-attr]
    assert granted(desk).hold.microusd <= 40_000 < reserve


def test_a_grant_to_a_model_names_what_led_to_it() -> None:
    desk = Desk(policy=policy(PRICED, OTHER)).ask(folders=("f",)).came(passage("a.md", "five", score=0.5)).broke(Fault("error"))
    turn = desk.turn
    first, second = [e for e in desk.events if isinstance(e.fact, CallGranted) and e.fact.step == "st2"]
    assert first.causes == (turn.steps["st2"].added, turn.steps["st1"].ended)
    assert second.causes == (*first.causes, turn.calls["t1.st2.a1"].ended)


@pytest.mark.parametrize(("calls", "steps", "fits"), [(3, 3, True), (2, 3, False), (3, 2, False), (9, 9, True)])
def test_another_round_needs_a_call_and_a_step_beside_those_kept(calls: int, steps: int, fits: bool) -> None:
    limits = Limits(Amounts(model_calls=calls, steps=steps), 1)
    turn = bare_turn(limits=limits, spent=Amounts(model_calls=1, steps=1), reserve=Amounts(model_calls=1, steps=1))
    assert fits_normal(turn) is fits


def test_counts_are_limits_too() -> None:
    reserve = Desk(policy=policy(PRICED)).ask().turn.reserve

    def final(**limits: int) -> tuple[bool, list[CallRefused]]:
        desk = Desk(policy=policy(PRICED, **limits)).ask()
        return desk.turn.steps[desk.open()[0].step].spec.final, desk.facts(CallRefused)

    assert final(model_calls=reserve.model_calls + 1) == (False, [])
    assert final(model_calls=reserve.model_calls) == (True, [])
    no = CallRefused("st1", "budget", passed=(Passed("priced", "budget: tokens"),))
    assert final(tokens=reserve.tokens + 1) == final(tokens=reserve.tokens) == (True, [no])


def test_a_step_that_no_model_can_take_is_refused_with_all_reasons() -> None:
    desk = Desk(policy=policy(PRICED)).ask()
    desk.turn.limits = msgspec.structs.replace(
        desk.turn.limits, amounts=msgspec.structs.replace(desk.turn.limits.amounts, microusd=0)
    )
    desk.broke(Fault("unavailable"))
    last = desk.facts(CallRefused)[-1]
    assert desk.state.turn is None and desk.facts(TurnEnded)[0].outcome == "failed"
    assert (last.code, last.passed) == ("budget", (Passed("priced", "budget: microusd"),))


def test_a_model_step_has_until_the_answer_is_due_and_the_final_one_to_the_end() -> None:
    desk = Desk(policy=policy(msgspec.structs.replace(PRICED, timeout_ms=10**9))).ask()
    assert granted(desk).deadline_at == desk.turn.soft_at
    desk.now = desk.turn.soft_at
    desk.broke(Fault("timeout"))
    assert granted(desk).manifest.final and granted(desk).deadline_at == desk.turn.deadline_at  # type: ignore[union-attr]


def test_without_time_no_model_is_asked() -> None:
    desk = Desk(policy=policy(PRICED, OTHER)).ask()
    desk.now = desk.turn.soft_at - 1
    assert granted(desk.broke(Fault("rate"))).target == "other" and not granted(desk).manifest.final  # type: ignore[union-attr]
    desk = Desk(policy=policy(PRICED, OTHER)).ask()
    desk.now = desk.turn.soft_at
    desk.broke(Fault("rate"))
    assert desk.facts(CallRefused) == [
        CallRefused("st1", "no model", passed=(Passed("priced", "failed in this step"), Passed("other", "no time left")))
    ]
    desk.now = desk.turn.soft_at + 1
    assert granted(desk).target == "other" and granted(desk).manifest.final  # type: ignore[union-attr]


# --- the end can be paid -----------------------------------------------------------------------------------------------


def test_the_final_call_may_use_what_was_kept_for_it_and_only_that_much_is_needed() -> None:
    least = Desk(policy=policy(PRICED)).ask().turn.reserve
    desk = Desk(policy=policy(PRICED, microusd=least.microusd)).ask()
    grant = granted(desk)
    assert grant.manifest is not None and grant.manifest.final
    assert grant.manifest.output_tokens_max == budget.FINAL_OUTPUT_TOKENS
    short = Desk(policy=policy(PRICED, microusd=least.microusd - 1)).ask()
    assert short.facts(TurnStarted) == []
    assert short.facts(TurnEnded)[0].reason == "budget: microusd cannot pay for an answer"


@settings(max_examples=40)
@given(st.text(st.sampled_from("xü\n\x01"), min_size=1, max_size=5_000), st.integers(0, 50_000))
def test_a_turn_that_starts_can_pay_for_its_end_however_long_the_question(text: str, over: int) -> None:
    least = Desk(policy=policy(PRICED)).ask("x" + text).turn.reserve
    desk = Desk(policy=policy(PRICED, microusd=least.microusd + over)).ask("x" + text)
    while desk.state.turn is not None and not desk.turn.steps[desk.open()[0].step].spec.final:
        desk.broke(Fault("error"))
    if desk.state.turn is not None:
        assert granted(desk).manifest.final  # type: ignore[union-attr]
    assert all(f.code != "budget" or f.step == "st1" for f in desk.facts(CallRefused))


def test_the_dear_model_leaves_enough_for_the_cheap_one_to_end_with() -> None:
    least = Desk(policy=policy(DEAR, PRICED)).ask().turn.reserve.microusd
    dear = budget.final_cost(DEAR, AGENT, 100).microusd
    desk = Desk(policy=policy(DEAR, PRICED, microusd=least + dear, steps=1)).ask()
    assert granted(desk).target == "dear"
    assert granted(desk.broke(Fault("error"))).target == "priced"
    assert granted(desk).manifest.final  # type: ignore[union-attr]
    for little in (0, 256 * 40):
        desk = Desk(policy=policy(DEAR, PRICED, microusd=least + little, steps=1)).ask()
        assert granted(desk).target == "priced"
        assert granted(desk).route.passed == (Passed("dear", "budget: microusd"),)  # type: ignore[union-attr]


def test_of_the_final_candidates_only_the_cheapest_that_is_left_uses_the_reserve() -> None:
    desk = Desk(policy=policy(DEAR, steps=1)).ask()
    assert granted(desk).target == "dear"
    least = desk.turn.reserve
    assert granted(Desk(policy=policy(DEAR, steps=1, microusd=least.microusd)).ask()).target == "dear"


def test_rows_above_the_turn_narrow_it() -> None:
    day = msgspec.structs.replace(policy(PRICED), day={"tenant:acme": 200_000})
    desk = Desk(policy=day)
    desk.balances = {"t:acme@2025-11-24": Balance(held=20_000, spent=30_000)}
    desk.ask()
    (row,) = [m for m in desk.moves if m.limit is not None]
    assert desk.turn.limits.amounts.microusd == 150_000 == row.held and row.account == "t:acme@2025-11-24"


def test_spent_and_held_never_exceed_the_limit_and_everything_is_settled() -> None:
    desk = Desk(policy=policy(PRICED, OTHER, microusd=400_000, steps=6)).ask()
    while desk.state.turn is not None:
        turn = desk.turn
        assert (turn.spent + turn.held).short(turn.limits.amounts) == ""
        call = desk.open()[0]
        if call.route is None:
            desk.came(passage("a.md", "five", score=0.5))
        elif call.attempt == 1 and call.step == "st1":
            desk.broke(Fault("error"))
        else:
            desk.came(call_of("search", query="x"), call_of("search", query="y"))
    assert len(desk.facts(HoldSettled)) == len(desk.facts(CallGranted))
    (ended,) = desk.facts(TurnEnded)
    holds = sum((s.spent.microusd for s in desk.facts(HoldSettled)), 0)
    assert ended.spent.microusd == holds <= 400_000


def test_a_step_of_the_plan_is_not_judged_before_what_it_needs() -> None:
    steps = [
        {"id": "a", "tool": "search", "arguments": {"query": "x"}},
        {"id": "b", "tool": "nothing", "after": ["a"]},
    ]
    desk = moved(call_of("plan", steps=steps))
    assert refused(desk) == []
    assert refused(desk.came(passage("a.md", "five"))) == [("st3", "not_found")]


def test_what_a_cancelled_turn_asked_for_is_not_granted() -> None:
    desk = Desk().ask()
    desk.admit(Cancel("c", "acme", "user:ana", "t1", "user"))
    before = len(desk.facts(CallGranted))
    desk.came(call_of("search", query="x"))
    assert len(desk.facts(CallGranted)) == before and desk.facts(TurnEnded)[0].outcome == "cancelled"


def test_every_code_of_a_refusal_is_known() -> None:
    assert {"not_found", "arguments", "budget", "deadline", "denied", "expired", "no model"} <= REFUSALS
    assert {"not offered", "second answer", "second question", "steps", "contracted"} <= REFUSALS
    assert len(REFUSALS) == 12
