"""What may be spent: upper bounds before a call, settlement after it, and the reserve that lets every turn end.

Bounds need no I/O: a byte-level tokenizer never makes more tokens than there are bytes, so bytes bound input tokens, and
the output is clamped to what the hold can pay.
"""

from __future__ import annotations

from standpipe.core.amounts import NOTHING, Amounts, Balance, Limits, Move
from standpipe.core.details import NOT_SENT
from standpipe.core.events import Fact, SessionForked, TurnEnded, TurnStarted
from standpipe.core.items import ITEM_OVERHEAD_BYTES
from standpipe.core.state import Call, State, Turn
from standpipe.core.tools import AgentSpec
from standpipe.core.world import ModelSpec, Policy

FINAL_INPUT_BYTES = 24_000
"""The prompt of a final call fits into this, so that the reserve can be computed before anything is known."""
FINAL_OUTPUT_TOKENS = 4_096
"""What a final call may say."""
OUTPUT_TOKENS_MIN = 256
"""A call that could say less than this is not worth its input."""
PROMPT_BYTES = 200_000
"""What the items of a prompt may weigh, whatever the model could take."""
TOOL_OVERHEAD_BYTES = 128
"""More than any dialect adds around one tool."""
CALL_OVERHEAD_BYTES = 12_288
"""More than any dialect adds around a request, control tools included."""


def bound(model: ModelSpec, input_bytes: int, output_tokens: int) -> Amounts:
    """The most that one call to `model` can use, for a prompt of `input_bytes` and at most `output_tokens`."""
    micro = input_bytes * model.input_microusd_per_mtok + output_tokens * model.output_microusd_per_mtok
    return Amounts(microusd=-(-micro // 1_000_000), tokens=input_bytes + output_tokens, model_calls=1)


def output_affordable(model: ModelSpec, input_bytes: int, microusd: int) -> int:
    """How many output tokens `microusd` can pay beside the input; negative if not even the input."""
    left = microusd * 1_000_000 - input_bytes * model.input_microusd_per_mtok
    if not model.output_microusd_per_mtok:
        return model.output_tokens_max if left >= 0 else -1
    return min(model.output_tokens_max, left // model.output_microusd_per_mtok)


def final_bytes(question_bytes: int) -> int:
    """What the items of a final prompt may weigh: the question stays in it, whatever its size."""
    return max(FINAL_INPUT_BYTES, question_bytes + ITEM_OVERHEAD_BYTES)


def prompt_bytes_max(model: ModelSpec, agent: AgentSpec, question_bytes: int, *, final: bool) -> int:
    """What the items of a prompt to this model may weigh in bytes, bytes bounding tokens."""
    window = model.context_tokens - min(model.output_tokens_max, model.context_tokens // 2) - agent_bytes(agent)
    return min(final_bytes(question_bytes) if final else PROMPT_BYTES, window)


def agent_bytes(agent: AgentSpec) -> int:
    """What the agent's instructions, tools and specialists add to every prompt, as an upper bound in bytes."""
    return agent.bytes + len(agent.tools) * TOOL_OVERHEAD_BYTES + CALL_OVERHEAD_BYTES


def final_cost(model: ModelSpec, agent: AgentSpec, question_bytes: int) -> Amounts:
    """The most that a final call to this model can use."""
    return bound(model, final_bytes(question_bytes) + agent_bytes(agent), min(FINAL_OUTPUT_TOKENS, model.output_tokens_max))


def reserve(policy: Policy, models: tuple[str, ...], agent: AgentSpec, question_bytes: int, model_calls: int) -> Amounts:
    """What is set aside to end a turn: a final call to the cheapest of `models`, and an attempt for each as far as
    `model_calls` allows."""
    costs = [final_cost(policy.models[m], agent, question_bytes) for m in models]
    least = min((c.microusd for c in costs), default=0)
    tokens = max((c.tokens for c in costs), default=0)
    return Amounts(microusd=least, tokens=tokens, model_calls=max(1, min(len(models), model_calls)), steps=1)


FINAL_MS_MAX = 10_000
"""At most this much of a deadline is kept for the final call; otherwise a quarter of it."""


def final_ms(deadline_ms: int) -> int:
    """How much of the time of a turn or a scope is kept for its final call."""
    return min(FINAL_MS_MAX, deadline_ms // 4)


def free(turn: Turn, *, final: bool) -> Amounts:
    """What a new call may hold: everything not spent, held or kept for effects, the reserve only for the final call."""
    left = turn.limits.amounts - turn.spent - turn.held - turn.kept
    return left if final else left - turn.reserve


def share(turn: Turn, taken: Amounts, claimants: int, others: int) -> Amounts:
    """What one of `claimants` specialists who have not begun may hold: an equal part of what is free and not `taken`.

    Left aside are the reserve, one more move of the turn itself, `others` calls of tools (one for each step that waits for its
    turn, two for each that may be tried again, or cut off by a crash) and one part of the money. What a share leaves returns
    when it is settled.
    """
    left = free(turn, final=False) - taken - Amounts(model_calls=1, tool_calls=others, steps=1)
    return Amounts(
        microusd=left.microusd // (claimants + 1),
        tokens=left.tokens // (claimants + 1),
        model_calls=left.model_calls // claimants,
        tool_calls=max(left.tool_calls, 0) // claimants,
        steps=left.steps // claimants,
    )


def turn_limits(policy: Policy, tenant: str, principal: str) -> Limits:
    """The limits of a turn: of the principal, else of the tenant, else the default."""
    names = (principal, f"tenant:{tenant}")
    return policy.turn[next((name for name in names if name in policy.turn), "default")]


def narrowed(limits: Limits, amounts: Amounts | None, deadline_ms: int | None) -> Limits:
    """The limits, no wider than a request asks for; zero in `amounts` means not narrowed."""
    a, b = limits.amounts, amounts or NOTHING
    pairs = {
        name: (getattr(a, name), getattr(b, name)) for name in ("microusd", "tokens", "model_calls", "tool_calls", "steps")
    }
    least = Amounts(**{name: min(wide, narrow) if narrow else wide for name, (wide, narrow) in pairs.items()})
    return Limits(least, min(limits.deadline_ms, deadline_ms) if deadline_ms else limits.deadline_ms)


def accounts(policy: Policy, state: State, day: str) -> tuple[str, ...]:
    """The ledger rows a turn draws on: tenant and principal by day, and the session. `day` is an ISO date."""
    return (
        f"t:{state.tenant}@{day}",
        f"p:{state.tenant}/{state.principal}@{day}",
        f"s:{state.session}",
    )


def account_limit(policy: Policy, state: State, account: str) -> int | None:
    """The limit of one of this session's ledger rows in micro-dollars, None for none: the narrowest level that has one."""
    tenant = f"tenant:{state.tenant}"
    if account.startswith("t:"):
        return policy.day.get(tenant, policy.day.get("default"))
    if account.startswith("p:"):
        return policy.day.get(state.principal)
    return next((policy.session[n] for n in (state.principal, tenant, "default") if n in policy.session), None)


def account_room(policy: Policy, state: State, balances: dict[str, Balance], names: tuple[str, ...]) -> int | None:
    """The least that is left on these rows, None where none has a limit."""
    rooms = []
    for name in names:
        limit = account_limit(policy, state, name)
        if limit is not None:
            row = balances.get(name, Balance())
            rooms.append(limit - row.spent - row.held)
    return min(rooms, default=None)


def moves(policy: Policy, state: State, fact: Fact) -> tuple[Move, ...]:
    """The ledger moves that belong to a fact: a turn's slice is held when it starts, settled when it ends; in a fork of a
    session with an open turn, what is left of the slice.

    `state` is the one before the fact is applied.
    """
    turn = state.turn
    if isinstance(fact, SessionForked):
        return tuple(Move(name, held=fact.microusd, limit=account_limit(policy, state, name)) for name in fact.accounts)
    if isinstance(fact, TurnStarted):
        held = fact.limits.amounts.microusd
        return tuple(Move(name, held=held, limit=account_limit(policy, state, name)) for name in fact.accounts)
    if isinstance(fact, TurnEnded) and turn is not None and turn.id == fact.turn:
        held = turn.limits.amounts.microusd - turn.before.microusd
        return tuple(Move(name, held=-held, spent=fact.spent.microusd - turn.before.microusd) for name in turn.accounts)
    return ()


def settled(call: Call, model: ModelSpec | None) -> Amounts:
    """What a call that is over really used, never more than its hold.

    Reported usage is priced; without it a model call that may have been worked on costs its whole hold, and one that
    never reached its provider (`unavailable`) nothing but the attempt. What holds nothing, in a fork, costs nothing.
    """
    if (call.fault is not None and call.fault.code == NOT_SENT) or call.hold == NOTHING:
        return NOTHING
    if call.scope:
        return call.spent
    if call.route is None:
        return call.hold
    if call.fault is not None and call.fault.code == "unavailable":
        return Amounts(model_calls=1)
    if model is None or call.input_tokens < 0 or call.output_tokens < 0:
        return call.hold
    micro = call.input_tokens * model.input_microusd_per_mtok + call.output_tokens * model.output_microusd_per_mtok
    return Amounts(
        microusd=min(call.hold.microusd, max(0, -(-micro // 1_000_000))),
        tokens=min(call.hold.tokens, call.input_tokens + call.output_tokens),
        model_calls=1,
    )
