"""What may be spent: bounds that nothing a call uses can exceed, and a reserve that pays for the end of every turn."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.desk import AGENT, PRICED, bare_turn, policy

from standpipe.core import budget
from standpipe.core.amounts import NOTHING, Amounts, Balance, Limits, Move
from standpipe.core.control import CONTROL
from standpipe.core.details import NOT_SENT, Fault, Permit, Route
from standpipe.core.events import StepEnded, TurnEnded, TurnStarted
from standpipe.core.items import ITEM_OVERHEAD_BYTES
from standpipe.core.state import Call, State
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import EXTRACTIVE, ModelSpec, Policy
from standpipe.drivers.tools.python import plain_schema

NAMES = ("microusd", "tokens", "model_calls", "tool_calls", "steps")
counts = st.integers(0, 10**7)
prices = st.integers(0, 10**9)
models = st.builds(
    lambda context, output, price_in, price_out: ModelSpec("m", "p", (), context, output, price_in, price_out),
    st.integers(1, 2_000_000),
    st.integers(1, 200_000),
    prices,
    prices,
)


def a_call(model: ModelSpec | None, hold: Amounts, read: int = -1, written: int = -1, fault: Fault | None = None) -> Call:
    """A call that is over."""
    route = Route("plan", model.name, model.provider, "routes.default") if model is not None else None
    call = Call("t1.st1.a1", "st1", "target", 1, hold, 0, "key", Permit("labels", 1), 5, route, ended=6)
    return msgspec.structs.replace(call, input_tokens=read, output_tokens=written, fault=fault)


# --- bounds and settlement ---------------------------------------------------------------------------------------------


def test_a_bound_rounds_up() -> None:
    one = ModelSpec("m", "p", input_microusd_per_mtok=1, output_microusd_per_mtok=3)
    assert budget.bound(one, 0, 0) == Amounts(model_calls=1)
    assert budget.bound(one, 1, 0) == Amounts(microusd=1, tokens=1, model_calls=1)
    assert budget.bound(one, 400_000, 200_000) == Amounts(microusd=1, tokens=600_000, model_calls=1)
    assert budget.bound(one, 400_001, 200_000) == Amounts(microusd=2, tokens=600_001, model_calls=1)
    assert budget.bound(PRICED, 10_000_000, 0).microusd == 10_000_000
    assert budget.bound(PRICED, 1_000, 10) == Amounts(microusd=1_040, tokens=1_010, model_calls=1)


@given(models, counts, counts, st.data())
def test_no_usage_within_the_bounds_costs_more_than_the_bound(
    model: ModelSpec, size: int, output: int, data: st.DataObject
) -> None:
    hold = budget.bound(model, size, output)
    read, written = data.draw(st.integers(0, size)), data.draw(st.integers(0, output))
    spent = budget.settled(a_call(model, hold, read, written), model)
    micro = read * model.input_microusd_per_mtok + written * model.output_microusd_per_mtok
    assert spent == Amounts(microusd=-(-micro // 1_000_000), tokens=read + written, model_calls=1)
    assert spent.short(hold) == ""


@settings(max_examples=50)
@given(models, counts, counts, st.integers(-5, 10**9), st.integers(-5, 10**9), st.sampled_from(["", "timeout", "unavailable"]))
def test_no_settlement_is_above_its_hold_whatever_was_reported(
    model: ModelSpec, size: int, output: int, read: int, written: int, code: str
) -> None:
    hold = budget.bound(model, size, output)
    spent = budget.settled(a_call(model, hold, read, written, Fault(code) if code else None), model)
    assert spent.short(hold) == ""
    assert NOTHING.short(spent) == ""


def test_what_a_call_costs_that_says_nothing_of_its_usage() -> None:
    hold = budget.bound(PRICED, 1_000, 100)
    assert budget.settled(a_call(PRICED, hold), PRICED) == hold
    assert budget.settled(a_call(PRICED, hold, fault=Fault("timeout")), PRICED) == hold
    assert budget.settled(a_call(PRICED, hold, fault=Fault("no longer wanted")), PRICED) == hold
    assert budget.settled(a_call(PRICED, hold, fault=Fault("unavailable")), PRICED) == Amounts(model_calls=1)
    assert budget.settled(a_call(PRICED, hold, fault=Fault(NOT_SENT)), PRICED) == NOTHING


def test_half_a_report_of_usage_is_none() -> None:
    hold = budget.bound(PRICED, 1_000, 100)
    assert budget.settled(a_call(PRICED, hold, -1, 5), PRICED) == hold
    assert budget.settled(a_call(PRICED, hold, 5, -1), PRICED) == hold
    assert budget.settled(a_call(PRICED, hold, 5, 0), PRICED) == Amounts(microusd=5, tokens=5, model_calls=1)
    assert budget.settled(a_call(PRICED, hold, 0, 5), PRICED) == Amounts(microusd=20, tokens=5, model_calls=1)


def test_a_model_that_the_policy_knows_no_more_costs_the_hold() -> None:
    hold = budget.bound(PRICED, 1_000, 100)
    assert budget.settled(a_call(PRICED, hold, 10, 10), None) == hold


def test_a_tool_call_costs_what_was_held_for_it_unless_it_was_never_sent() -> None:
    hold = Amounts(tool_calls=1)
    assert budget.settled(a_call(None, hold), None) == hold
    assert budget.settled(a_call(None, hold, fault=Fault("unavailable")), None) == hold
    assert budget.settled(a_call(None, hold, fault=Fault(NOT_SENT)), None) == NOTHING


@given(models, st.integers(0, 300_000), st.integers(-(10**6), 10**9))
def test_what_is_affordable_can_be_paid_and_one_token_more_can_not(model: ModelSpec, size: int, money: int) -> None:
    output = budget.output_affordable(model, size, money)
    assert output <= model.output_tokens_max
    if output >= 0:
        assert budget.bound(model, size, output).microusd <= money
    else:
        assert budget.bound(model, size, 0).microusd > money
    if 0 <= output < model.output_tokens_max:
        assert budget.bound(model, size, output + 1).microusd > money


def test_what_money_can_pay_is_exact() -> None:
    wordy = msgspec.structs.replace(PRICED, output_tokens_max=10**12)
    assert budget.output_affordable(wordy, 0, 4 * 10**9) == 10**9
    assert budget.output_affordable(wordy, 5, 4 * 10**9) == 10**9 - 2
    assert budget.output_affordable(wordy, 5, 4) == -1


# --- sizes -------------------------------------------------------------------------------------------------------------


SMALL = AgentSpec("a", "")


def test_a_prompt_is_bounded_by_the_house_and_by_the_model() -> None:
    big = ModelSpec("m", "p", context_tokens=1_000_000, output_tokens_max=10_000)
    small = ModelSpec("m", "p", context_tokens=100_000, output_tokens_max=10_000)
    own = budget.agent_bytes(SMALL)
    assert budget.prompt_bytes_max(big, SMALL, 100, final=False) == budget.PROMPT_BYTES
    assert budget.prompt_bytes_max(small, SMALL, 100, final=False) == 90_000 - own
    wordy = ModelSpec("m", "p", context_tokens=100_000, output_tokens_max=90_000)
    assert budget.prompt_bytes_max(wordy, SMALL, 100, final=False) == 50_000 - own
    assert budget.prompt_bytes_max(big, SMALL, 100, final=True) == budget.FINAL_INPUT_BYTES
    assert budget.prompt_bytes_max(big, SMALL, 50_000, final=True) == 50_000 + ITEM_OVERHEAD_BYTES


@given(models, st.integers(0, 40_000), st.booleans())
def test_prompt_agent_and_output_fit_into_the_window(model: ModelSpec, question: int, final: bool) -> None:
    most = budget.prompt_bytes_max(model, SMALL, question, final=final)
    output = min(model.output_tokens_max, model.context_tokens // 2)
    assert most + budget.agent_bytes(SMALL) + output <= model.context_tokens
    assert most <= (budget.final_bytes(question) if final else budget.PROMPT_BYTES)


words = st.text(max_size=20)
values = st.recursive(words | st.booleans() | st.none() | st.integers(), lambda inner: st.lists(inner, max_size=3))
tools = st.builds(ToolSpec, st.from_regex(r"[a-z]{1,8}", fullmatch=True), words, st.dictionaries(words, values, max_size=4))


@settings(max_examples=25)
@given(words, st.lists(tools, max_size=4), st.none() | st.dictionaries(words, words, max_size=3))
def test_what_an_agent_adds_to_a_prompt_is_not_underestimated(
    instructions: str, own: list[ToolSpec], answer: dict[str, str] | None
) -> None:
    agent = AgentSpec("a", instructions, tuple(own), answer)
    shown = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in own]
    assert budget.agent_bytes(agent) >= len(instructions.encode()) + len(msgspec.json.encode([shown, answer]))


def test_the_size_of_an_agent_is_that_of_its_parts() -> None:
    tool = ToolSpec("abc", "Tüv.", {"a": 1})
    agent = AgentSpec("a", "Ünder", (tool, tool), {"b": 2})
    assert (
        budget.agent_bytes(agent) == 6 + 2 * (3 + 5 + 7 + budget.TOOL_OVERHEAD_BYTES) + 7 + 2 * 2 + budget.CALL_OVERHEAD_BYTES
    )


def test_the_overhead_of_a_call_holds_the_control_tools() -> None:
    shown = [{"name": n, "description": k.__doc__, "parameters": plain_schema(k)} for n, k in CONTROL.items()]
    assert len(msgspec.json.encode(shown)) + 512 <= budget.CALL_OVERHEAD_BYTES


# --- limits ------------------------------------------------------------------------------------------------------------


def test_the_reserve_pays_the_cheapest_model_and_an_attempt_at_each() -> None:
    dear = msgspec.structs.replace(PRICED, name="dear", output_microusd_per_mtok=40_000_000)
    both = policy(dear, PRICED)
    size = budget.FINAL_INPUT_BYTES + budget.agent_bytes(AGENT)
    reserve = budget.reserve(both, ("dear", "priced"), AGENT, 100, 24)
    assert reserve.microusd == budget.bound(PRICED, size, budget.FINAL_OUTPUT_TOKENS).microusd
    assert reserve.tokens == size + budget.FINAL_OUTPUT_TOKENS
    assert (reserve.model_calls, reserve.tool_calls, reserve.steps) == (2, 0, 1)


def test_the_reserve_has_tokens_for_the_wordiest_model() -> None:
    terse = ModelSpec("terse", "p", output_tokens_max=10)
    size = budget.FINAL_INPUT_BYTES + budget.agent_bytes(AGENT)
    for models in ((PRICED, terse), (terse, PRICED)):
        names = tuple(m.name for m in models)
        assert budget.reserve(policy(*models), names, AGENT, 100, 9).tokens == size + budget.FINAL_OUTPUT_TOKENS
    assert budget.reserve(policy(terse), ("terse",), AGENT, 100, 9).tokens == size + 10


def test_the_reserve_keeps_no_more_calls_than_the_turn_may_make() -> None:
    other = msgspec.structs.replace(PRICED, name="other")
    assert budget.reserve(policy(PRICED, other), ("priced", "other"), AGENT, 100, 1).model_calls == 1


def test_the_reserve_keeps_a_call_and_a_step_even_without_models() -> None:
    reserve = budget.reserve(policy(PRICED), (), AGENT, 100, 24)
    assert reserve == Amounts(model_calls=1, steps=1)


@given(models, st.integers(0, 200_000))
def test_the_reserve_pays_for_a_final_call_however_long_the_question(model: ModelSpec, question: int) -> None:
    reserve = budget.reserve(policy(model), ("m",), AGENT, question, 1)
    size = min(budget.final_bytes(question), question + ITEM_OVERHEAD_BYTES) + budget.agent_bytes(AGENT)
    output = min(budget.output_affordable(model, size, reserve.microusd), budget.FINAL_OUTPUT_TOKENS)
    assert output >= min(budget.OUTPUT_TOKENS_MIN, model.output_tokens_max)
    assert budget.bound(model, size, output).short(msgspec.structs.replace(reserve, steps=0)) == ""


def test_only_the_final_call_may_use_the_reserve() -> None:
    turn = bare_turn(
        limits=Limits(Amounts(100, 90, 80, 70, 60), 1),
        spent=Amounts(1, 2, 3, 4, 5),
        held=Amounts(10, 20, 30, 40, 50),
        reserve=Amounts(7, 6, 5, 4, 3),
    )
    assert budget.free(turn, final=True) == Amounts(89, 68, 47, 26, 5)
    assert budget.free(turn, final=False) == Amounts(82, 62, 42, 22, 2)


@settings(max_examples=40)
@given(
    st.builds(Amounts, *[counts] * 5),
    st.none() | st.builds(Amounts, *[counts] * 5),
    st.integers(1, 10**6),
    st.none() | st.integers(1, 10**6),
)
def test_limits_only_ever_get_narrower(wide: Amounts, wish: Amounts | None, deadline: int, sooner: int | None) -> None:
    got = budget.narrowed(Limits(wide, deadline), wish, sooner)
    assert got.amounts.short(wide) == ""
    assert got.deadline_ms == min(deadline, sooner or deadline)
    for name in NAMES:
        wished = getattr(wish, name) if wish is not None else 0
        assert getattr(got.amounts, name) == (min(getattr(wide, name), wished) if wished else getattr(wide, name))


def test_the_narrowest_level_that_is_named_gives_the_limits() -> None:
    default, tenant, user = (Limits(Amounts(microusd=n), 1) for n in (1, 2, 3))
    levels = Policy(turn={"default": default, "tenant:acme": tenant, "user:ana": user})
    assert budget.turn_limits(levels, "acme", "user:ana") == user
    assert budget.turn_limits(levels, "acme", "user:bob") == tenant
    assert budget.turn_limits(levels, "other", "user:bob") == default


# --- ledger rows -------------------------------------------------------------------------------------------------------

ANA = State(session="s", tenant="acme", principal="user:ana")
ROWS = ("t:acme@2026-01-02", "p:acme/user:ana@2026-01-02", "s:s")


def limits_of(levels: Policy, state: State = ANA) -> list[int | None]:
    """The limits of the rows that a turn of this session draws on."""
    return [budget.account_limit(levels, state, row) for row in budget.accounts(levels, state, "2026-01-02")]


def test_a_turn_draws_on_the_rows_of_tenant_principal_and_session() -> None:
    assert budget.accounts(Policy(), ANA, "2026-01-02") == ROWS


def test_the_limits_of_rows() -> None:
    levels = Policy(day={"default": 9, "tenant:acme": 7, "user:ana": 5}, session={"default": 3})
    assert limits_of(levels) == [7, 5, 3]
    assert limits_of(levels, State(session="s", tenant="other", principal="user:bob")) == [9, None, 3]
    assert limits_of(Policy()) == [None, None, None]


def test_the_limit_of_a_session_is_the_narrowest_that_is_named() -> None:
    levels = Policy(session={"default": 3, "tenant:acme": 2, "user:ana": 1})
    assert limits_of(levels)[2] == 1
    assert limits_of(levels, State(session="s", tenant="acme", principal="user:bob"))[2] == 2
    assert limits_of(levels, State(session="s", tenant="other", principal="user:bob"))[2] == 3


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_no_name_can_take_the_limit_of_another_level(session: str, tenant: str, principal: str) -> None:
    levels = Policy(day={"default": 7, principal: 5}, session={"default": 3})
    if principal != "default":
        assert limits_of(levels, State(session=session, tenant=tenant, principal=principal)) == [
            5 if f"tenant:{tenant}" == principal else 7,
            5,
            3,
        ]


def test_the_least_room_of_all_rows_counts() -> None:
    levels = Policy(day={"tenant:acme": 100, "user:ana": 50})
    balances = {ROWS[0]: Balance(held=30, spent=40), ROWS[1]: Balance(held=5, spent=5)}
    assert budget.account_room(levels, ANA, balances, ROWS) == 30
    assert budget.account_room(levels, ANA, {}, ROWS) == 50
    assert budget.account_room(Policy(), ANA, balances, ROWS) is None
    assert budget.account_room(levels, ANA, {ROWS[0]: Balance(spent=130)}, ROWS) == -30


def test_a_turn_holds_its_slice_when_it_starts_and_settles_it_when_it_ends() -> None:
    levels = Policy(day={"tenant:acme": 100})
    limits = Limits(Amounts(microusd=60), 1)
    started = TurnStarted("t1", limits, NOTHING, 1, 2, ROWS)
    assert budget.moves(levels, ANA, started) == (
        Move(ROWS[0], held=60, limit=100),
        Move(ROWS[1], held=60),
        Move(ROWS[2], held=60),
    )
    running = State(session="s", tenant="acme", principal="user:ana", turn=bare_turn(limits=limits, accounts=ROWS))
    ended = TurnEnded("t1", "completed", "answered", Amounts(microusd=20, tokens=5))
    assert budget.moves(levels, running, ended) == tuple(Move(row, held=-60, spent=20) for row in ROWS)


def test_a_turn_that_never_started_and_every_other_fact_move_nothing() -> None:
    assert budget.moves(Policy(), ANA, TurnEnded("t1", "failed", "budget")) == ()
    assert budget.moves(Policy(), State(turn=bare_turn(accounts=ROWS)), StepEnded("st1", "done")) == ()


def test_the_keyless_model_costs_nothing() -> None:
    assert budget.bound(EXTRACTIVE, 10**6, 10**5).microusd == 0
    assert budget.output_affordable(EXTRACTIVE, 10**6, 0) == EXTRACTIVE.output_tokens_max
    assert budget.output_affordable(EXTRACTIVE, 10**6, -1) == -1
