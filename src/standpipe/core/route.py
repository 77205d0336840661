"""Which model performs a step: task class -> ordered models, minus those that cannot, with the reason for each."""

from __future__ import annotations

from standpipe.core.details import Passed
from standpipe.core.world import ModelSpec, Policy

PROVIDER_FAILURES_MAX = 4
"""Calls per turn to a provider that only fails (promise P8)."""


def models_for(policy: Policy, task: str) -> tuple[str, ...]:
    """The models a task class may use, in order of preference, by the policy alone."""
    names = policy.routes.get(task, policy.routes.get("default", ()))
    return tuple(n for n in names if n in policy.models and _capable(policy.models[n], task))


def rule_for(policy: Policy, task: str) -> str:
    """The name of the route that decides for a task class."""
    return f"routes.{task}" if task in policy.routes else "routes.default"


def route(
    policy: Policy, task: str, tried: list[str], failed: dict[str, None], failures: dict[str, int], successes: dict[str, int]
) -> tuple[list[ModelSpec], tuple[Passed, ...]]:
    """The candidates for a call in the order to try, and who was passed over and why.

    A model tried in this step is out; one that failed earlier in the turn is not tried first again; a provider that
    failed PROVIDER_FAILURES_MAX times in this turn and never succeeded is out.
    """
    fresh: list[ModelSpec] = []
    stale: list[ModelSpec] = []
    passed: list[Passed] = []
    for name in policy.routes.get(task, policy.routes.get("default", ())):
        model = policy.models.get(name)
        if model is None:
            passed.append(Passed(name, "not defined"))
        elif not _capable(model, task):
            passed.append(Passed(name, f"not capable of {task}"))
        elif name in tried:
            passed.append(Passed(name, "failed in this step"))
        elif not successes.get(model.provider) and failures.get(model.provider, 0) >= PROVIDER_FAILURES_MAX:
            passed.append(Passed(name, f"provider failed {failures[model.provider]} times in this turn"))
        elif name in failed:
            stale.append(model)
        else:
            fresh.append(model)
    if fresh:
        passed.extend(Passed(model.name, "failed earlier in this turn") for model in stale)
    return fresh + stale, tuple(passed)


def _capable(model: ModelSpec, task: str) -> bool:
    return not model.capabilities or task in model.capabilities
