"""Which model performs a step: in the policy's order, minus those that cannot, each with its reason."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from standpipe.core.details import Passed
from standpipe.core.route import IN_FLIGHT, PROVIDER_FAILURES_MAX, models_for, route, rule_for
from standpipe.core.state import Tried
from standpipe.core.world import ModelSpec, Policy

A, B = ModelSpec("a", "one"), ModelSpec("b", "two")
CODER = ModelSpec("coder", "three", capabilities=("code",))
POLICY = Policy(
    models={m.name: m for m in (A, B, CODER)},
    routes={"default": ("a", "coder", "b", "nowhere"), "code": ("coder", "a")},
)


def chosen(task: str = "plan", policy: Policy = POLICY, **past: Any) -> tuple[list[str], tuple[Passed, ...]]:
    """The names of the candidates and who was passed over."""
    candidates, passed = route(policy, "coordinator", task, past.pop("failed", []), Tried(**past))
    return [m.name for m in candidates], passed


NEVER = (Passed("coder", "not capable of plan"), Passed("nowhere", "not defined"))


def test_the_order_of_the_policy_is_the_order_to_try() -> None:
    assert chosen() == (["a", "b"], NEVER)
    assert chosen("code") == (["coder", "a"], ())


def test_a_task_without_a_route_takes_the_default_and_says_so() -> None:
    assert models_for(POLICY, "coordinator", "plan") == ("a", "b")
    assert models_for(POLICY, "coordinator", "code") == ("coder", "a")
    assert models_for(Policy(routes={}), "coordinator", "plan") == ()
    assert (rule_for(POLICY, "coordinator", "plan"), rule_for(POLICY, "coordinator", "code")) == (
        "routes.default",
        "routes.code",
    )


def test_without_any_route_nobody_is_chosen() -> None:
    assert chosen(policy=Policy(routes={})) == ([], ())


def test_a_model_that_was_tried_in_this_step_is_out() -> None:
    assert chosen(failed=["a"]) == (["b"], (Passed("a", "failed in this step"), *NEVER))


def test_a_model_that_failed_in_this_turn_is_not_tried_first_again() -> None:
    assert chosen(models={"a": None}) == (["b", "a"], (*NEVER, Passed("a", "failed earlier in this turn")))
    assert chosen(models={"a": None, "b": None}) == (["a", "b"], NEVER)


@pytest.mark.parametrize(("failures", "successes", "out"), [(3, 0, False), (4, 0, True), (9, 0, True), (4, 1, False)])
def test_a_provider_that_only_fails_is_out_after_four_calls(failures: int, successes: int, out: bool) -> None:
    names, passed = chosen(failures={"one": failures}, successes={"one": successes})
    assert PROVIDER_FAILURES_MAX == 4
    assert ("a" not in names) is out
    assert (Passed("a", f"provider failed {failures} times in this turn") in passed) is out


@pytest.mark.parametrize(
    ("failures", "flying", "successes", "waits"), [(0, 4, 0, True), (3, 1, 0, True), (3, 0, 0, False), (3, 9, 1, False)]
)
def test_calls_under_way_count_as_failures_until_one_came_back(failures: int, flying: int, successes: int, waits: bool) -> None:
    names, passed = chosen(failures={"one": failures}, flying={"one": flying}, successes={"one": successes})
    assert ("a" not in names) is waits
    assert (Passed("a", IN_FLIGHT) in passed) is waits


def test_a_route_named_after_the_agent_is_its_own() -> None:
    own = msgspec.structs.replace(POLICY, routes={**POLICY.routes, "analyst": ("b",)})
    assert models_for(own, "analyst", "plan") == ("b",) == models_for(own, "analyst", "code")
    assert rule_for(own, "analyst", "plan") == "routes.analyst"
    assert models_for(own, "coordinator", "plan") == ("a", "b")


def test_every_model_of_the_route_is_a_candidate_or_passed_over_with_a_reason() -> None:
    names, passed = chosen(failed=["b"], models={"a": None})
    assert {*names, *(p.model for p in passed)} == set(POLICY.routes["default"])
    assert all(p.reason for p in passed)


def test_a_model_without_named_capabilities_has_all() -> None:
    narrow = msgspec.structs.replace(POLICY, models={"a": msgspec.structs.replace(A, capabilities=("plan",))})
    assert models_for(narrow, "coordinator", "plan") == ("a",)
    assert models_for(narrow, "coordinator", "synthesize") == ()
