"""Which model performs a step: task class -> ordered models, minus those that cannot, with the reason for each."""

from __future__ import annotations

from standpipe.core.details import Passed
from standpipe.core.state import Tried
from standpipe.core.world import ModelSpec, Policy

PROVIDER_FAILURES_MAX = 4
"""Calls per turn to a provider that only fails (promise P8)."""


IN_FLIGHT = "its provider has not answered yet"
"""Why a model is passed over for now: it may be tried once it is known what becomes of the calls that its provider has."""


def rule_for(policy: Policy, agent: str, task: str) -> str:
    """The name of the route that decides: the agent's own, that of the task class, or the default."""
    return next((f"routes.{name}" for name in (agent, task) if name in policy.routes), "routes.default")


def _ladder(policy: Policy, agent: str, task: str) -> tuple[str, ...]:
    return policy.routes.get(rule_for(policy, agent, task).removeprefix("routes."), ())


def models_for(policy: Policy, agent: str, task: str) -> tuple[str, ...]:
    """The models an agent may use for a task class, in order of preference, by the policy alone."""
    names = _ladder(policy, agent, task)
    return tuple(n for n in names if n in policy.models and _capable(policy.models[n], task))


def route(policy: Policy, agent: str, task: str, failed: list[str], tried: Tried) -> tuple[list[ModelSpec], tuple[Passed, ...]]:
    """The candidates for a call in the order to try, and who was passed over and why.

    A model that `failed` in this step is out; one that failed earlier in the turn is not tried first again; a provider that
    failed PROVIDER_FAILURES_MAX times in this turn and never succeeded is out, and waited for while open calls may yet be
    that many failures.
    """
    fresh: list[ModelSpec] = []
    stale: list[ModelSpec] = []
    passed: list[Passed] = []
    for name in _ladder(policy, agent, task):
        model = policy.models.get(name)
        failures = tried.failures.get(model.provider, 0) if model is not None else 0
        unproven = model is not None and not tried.successes.get(model.provider)
        if model is None:
            passed.append(Passed(name, "not defined"))
        elif not _capable(model, task):
            passed.append(Passed(name, f"not capable of {task}"))
        elif name in failed:
            passed.append(Passed(name, "failed in this step"))
        elif unproven and failures >= PROVIDER_FAILURES_MAX:
            passed.append(Passed(name, f"provider failed {failures} times in this turn"))
        elif unproven and failures + tried.flying.get(model.provider, 0) >= PROVIDER_FAILURES_MAX:
            passed.append(Passed(name, IN_FLIGHT))
        elif name in tried.models:
            stale.append(model)
        else:
            fresh.append(model)
    if fresh:
        passed.extend(Passed(model.name, "failed earlier in this turn") for model in stale)
    return fresh + stale, tuple(passed)


def _capable(model: ModelSpec, task: str) -> bool:
    return not model.capabilities or task in model.capabilities
