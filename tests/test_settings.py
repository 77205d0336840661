"""The policy file: what it means, and that every mistake in it is told with file, line, key and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from standpipe.core.amounts import Amounts
from standpipe.core.world import DEFAULT_LIMITS, EXTRACTIVE, ModelSpec, Policy
from standpipe.errors import UsageError
from standpipe.settings import Settings, load

WIDE = DEFAULT_LIMITS.amounts


def refused(policy: str | Path | dict[str, Any], *given: str) -> str:
    """The sentence with which settings are refused."""
    with pytest.raises(UsageError) as error:
        load(policy, given)
    return str(error.value)


def written(folder: Path, text: str) -> Path:
    """A policy file."""
    path = folder / "standpipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


# --- what it means -----------------------------------------------------------------------------------------------------


def test_no_policy_is_the_keyless_one() -> None:
    assert load({}) == Settings("sqlite:///.standpipe/standpipe.db", Policy())
    assert load({}).policy.routes == {"default": ("extractive",)}
    assert load({}).policy.turn == {"default": DEFAULT_LIMITS}


def test_the_limits_that_hold_without_a_policy_are_those_of_the_design() -> None:
    assert (WIDE.microusd, WIDE.model_calls, WIDE.tool_calls, WIDE.steps) == (250_000, 24, 40, 16)
    assert DEFAULT_LIMITS.deadline_ms == 60_000


def test_a_file_and_a_dict_mean_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, '[store]\nurl = "memory:"\n[budgets.default]\nturn = { usd = 0.5 }\n')
    same = load({"store": {"url": "memory:"}, "budgets": {"default": {"turn": {"usd": 0.5}}}})
    assert load(path) == load(str(path)) == same
    assert same.store == "memory:"


def test_models_that_the_caller_brings_are_the_default_route() -> None:
    policy = load({}, ("scripted", "other")).policy
    assert policy.routes == {"default": ("scripted", "other")}
    assert policy.models["scripted"] == ModelSpec("scripted", "scripted")
    assert policy.models["extractive"] == EXTRACTIVE


def test_a_model_and_a_route() -> None:
    model = {
        "provider": "scripted",
        "capabilities": ["plan"],
        "context_tokens": 5_000,
        "output_tokens_max": 600,
        "input_microusd_per_mtok": 7,
        "output_microusd_per_mtok": 8,
        "timeout_s": 1.5,
    }
    policy = load({"models": {"big": model}, "routes": {"plan": {"models": ["big", "extractive"]}}}, ("scripted",)).policy
    assert policy.models["big"] == ModelSpec("big", "scripted", ("plan",), 5_000, 600, 7, 8, 1_500)
    assert policy.routes == {"default": ("scripted",), "plan": ("big", "extractive")}


def test_a_level_inherits_what_it_does_not_say() -> None:
    turns = load(
        {
            "budgets": {
                "default": {"turn": {"usd": 0.5, "deadline_s": 2.5}},
                "tenant": {"acme": {"turn": {"model_calls": 3, "tool_calls": 4, "steps": 5}}},
            }
        }
    ).policy.turn
    assert turns["default"].amounts == Amounts(500_000, WIDE.tokens, WIDE.model_calls, WIDE.tool_calls, WIDE.steps)
    assert turns["tenant:acme"].amounts == Amounts(500_000, WIDE.tokens, 3, 4, 5)
    assert [turn.deadline_ms for turn in turns.values()] == [2_500, 2_500]


def test_money_by_day_and_session_and_level() -> None:
    budgets = {
        "default": {"day": {"usd": 3}, "session": {"usd": 2}},
        "tenant": {"acme": {"day": {"usd": 200}}},
        "user": {"ana": {"day": {"usd": 0.000001}, "session": {"usd": 1}}},
    }
    policy = load({"budgets": budgets}).policy
    assert policy.day == {"default": 3_000_000, "tenant:acme": 200_000_000, "user:ana": 1}
    assert policy.session == {"default": 2_000_000, "user:ana": 1_000_000}


# --- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "key", "expected"),
    [
        ("[store]\nurl = 5\n", 2, "store.url", "expected `str`, got `int`"),
        ("\n[stor]\nurl = 'x'\n", 2, "the top level", "unknown field `stor`"),
        ("[budgets.default]\n# usd\nturn = { usd = 'a' }\n", 3, "budgets.default.turn.usd", "got `str`"),
        ("[budgets.default.turn]\nusd = 1\nsteps = 0\n", 3, "steps", "expected"),
        ("[routes.plan]\nmodels = ['nobody']\n", 2, "routes.plan.models", "models that are defined, got `nobody`"),
        ("[routes.plan]\nmodels = []\n", 2, "routes.plan.models", "got `none`"),
        ("[models.'a/b']\nprovider = 'q'\n", 2, "models.a/b.provider", "one of the providers, got `q`"),
        ("[models.a]\nprovider = 'extractive'\nprize = 1\n", 3, "models", "unknown field `prize`"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_what_was_expected(
    tmp_path: Path, text: str, line: int, key: str, expected: str
) -> None:
    said = refused(written(tmp_path, text))
    assert said.startswith(f"{tmp_path / 'standpipe.toml'}, line {line}: ")
    assert key in said and expected in said
    assert "\n" not in said and said.endswith(".")


def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    said = refused(written(tmp_path, "[store]\nurl =\n"))
    assert "standpipe.toml: this is not TOML" in said and "line 2" in said


def test_a_mistake_in_a_dict_names_the_key() -> None:
    assert refused({"store": {"url": 5}}) == "the policy: store.url: expected `str`, got `int`."


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "There is no policy file" in refused(tmp_path / "none.toml")


def test_a_file_that_cannot_be_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    assert "must be UTF-8 text" in refused(tmp_path / "bytes.toml")
    assert "cannot be read" in refused(tmp_path)


NUMBERS = [
    ("budgets", "default", "turn", "usd"),
    ("budgets", "default", "turn", "model_calls"),
    ("budgets", "default", "turn", "tool_calls"),
    ("budgets", "default", "turn", "steps"),
    ("budgets", "default", "turn", "deadline_s"),
    ("budgets", "default", "day", "usd"),
    ("budgets", "tenant", "acme", "session", "usd"),
    ("models", "m", "context_tokens"),
    ("models", "m", "output_tokens_max"),
    ("models", "m", "input_microusd_per_mtok"),
    ("models", "m", "output_microusd_per_mtok"),
    ("models", "m", "timeout_s"),
]
FLOATS = [path for path in NUMBERS if path[-1] in ("usd", "deadline_s", "timeout_s")]


def at(path: tuple[str, ...], value: object) -> dict[str, Any]:
    """A policy with one number in it."""
    inner: Any = value
    for name in reversed(path):
        inner = {name: inner}
    if path[0] == "models":
        inner["models"]["m"]["provider"] = "extractive"
    policy: dict[str, Any] = inner
    return policy


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_no_number_may_be_negative(path: tuple[str, ...]) -> None:
    assert path[-1] in refused(at(path, -1))


@pytest.mark.parametrize("path", [p for p in NUMBERS if not p[-1].endswith("_per_mtok")], ids=".".join)
def test_a_limit_of_zero_is_no_limit_to_work_with(path: tuple[str, ...]) -> None:
    assert path[-1] in refused(at(path, 0))


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e300])
@pytest.mark.parametrize("path", FLOATS, ids=".".join)
def test_every_number_is_finite(path: tuple[str, ...], value: float) -> None:
    assert path[-1] in refused(at(path, value))


def test_a_number_too_small_to_count_is_the_smallest_that_counts() -> None:
    tiny = {"usd": 1e-9}
    budgets = {"default": {"turn": {**tiny, "deadline_s": 1e-9}, "day": tiny, "session": tiny}}
    policy = load({"budgets": budgets, "models": {"m": {"provider": "extractive", "timeout_s": 1e-9}}}).policy
    assert (policy.turn["default"].amounts.microusd, policy.turn["default"].deadline_ms) == (1, 1)
    assert (policy.day["default"], policy.session["default"], policy.models["m"].timeout_ms) == (1, 1, 1)


def test_a_price_of_zero_is_a_price() -> None:
    assert load(at(("models", "m", "input_microusd_per_mtok"), 0)).policy.models["m"].input_microusd_per_mtok == 0


def test_a_provider_speaks_a_dialect_that_exists() -> None:
    assert "nonsense" in refused({"providers": {"x": {"dialect": "nonsense"}}})
    assert load({"providers": {"x": {"dialect": "extractive"}}}).policy == Policy()
