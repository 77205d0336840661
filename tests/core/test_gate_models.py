"""The gate before model calls: route, hold, manifest, time; and that a turn that starts can pay for its end."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.desk import AGENT, NOW, PRICED, Desk, bare_turn, call_of, passage, policy, source
from tests.core.gates import DEAR, OTHER, granted, moved, read, refused

from standpipe.core import budget
from standpipe.core.admit import Cancel
from standpipe.core.amounts import Amounts, Balance, Limits
from standpipe.core.details import Fault, Passed, Permit, Route
from standpipe.core.events import (
    CallGranted,
    CallRefused,
    HoldSettled,
    PlanPatched,
    StepEnded,
    TurnEnded,
    TurnStarted,
)
from standpipe.core.gate import fits_normal
from standpipe.core.world import ModelSpec

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
