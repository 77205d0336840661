"""One frozen value of everything a person can set: the policy file, parsed once at the edge; every default is here.

A mistake in the file is told with file, line, key and what was expected.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from standpipe.core.amounts import Amounts, Limits
from standpipe.core.world import DEFAULT_LIMITS, EXTRACTIVE, ModelSpec, Policy
from standpipe.errors import UsageError

STORE = "sqlite:///.standpipe/standpipe.db"
POLICY_FILE = "standpipe.toml"


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whoever shows the key with this SHA-256 acts for `principal` of `tenant`; the key itself is kept nowhere."""

    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    principal: str
    tenant: str = "local"


class Settings(msgspec.Struct, frozen=True):
    """What `load` makes of a policy file: the store's URL, the policy that the rules see, and who may come in over HTTP
    (None: nothing is said about it)."""

    store: str = STORE
    policy: Policy = msgspec.field(default_factory=Policy)
    keys: tuple[Key, ...] | None = None


Positive = Annotated[float, msgspec.Meta(gt=0, lt=1e12)]
Count = Annotated[int, msgspec.Meta(gt=0, lt=2**50)]
Price = Annotated[int, msgspec.Meta(ge=0, lt=2**50)]


class _Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = STORE


class _Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dialect: Literal["extractive"] = "extractive"


class _Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: str
    capabilities: tuple[str, ...] = ()
    context_tokens: Count = EXTRACTIVE.context_tokens
    output_tokens_max: Count = EXTRACTIVE.output_tokens_max
    input_microusd_per_mtok: Price = 0
    output_microusd_per_mtok: Price = 0
    timeout_s: Positive = EXTRACTIVE.timeout_ms / 1000


class _Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[str, ...]


class _Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    usd: Positive | None = None
    model_calls: Count | None = None
    tool_calls: Count | None = None
    steps: Count | None = None
    deadline_s: Positive | None = None


class _Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    usd: Positive


class _Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    turn: _Turn | None = None
    session: _Money | None = None
    day: _Money | None = None


class _Budgets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    default: _Budget = _Budget()
    tenant: dict[str, _Budget] = {}
    user: dict[str, _Budget] = {}


class _Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[Key, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    store: _Store = _Store()
    auth: _Auth | None = None
    providers: dict[str, _Provider] = {}
    models: dict[str, _Model] = {}
    routes: dict[str, _Route] = {}
    budgets: _Budgets = _Budgets()


def load(policy: str | Path | dict[str, Any] | None, given: tuple[str, ...] = ()) -> Settings:
    """The settings from a policy file, a dict of the same shape, or the defaults.

    `given` are names of models that the caller brings along: routes may name them, and without routes they are the default
    route. None reads `standpipe.toml` in the working folder if it is there. Raises UsageError.
    """
    if policy is None:
        path = Path(POLICY_FILE)
        return load(path if path.exists() else {}, given)
    if isinstance(policy, dict):
        return _settings(policy, "the policy", "", given)
    try:
        text = Path(policy).read_text(encoding="utf-8")
        return _settings(tomllib.loads(text), str(policy), text, given)
    except FileNotFoundError:
        raise UsageError(f"There is no policy file {policy}: name one that exists, or leave --policy out.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The policy file {policy} cannot be read ({error.__class__.__name__}): it must be UTF-8 text."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{policy}: this is not TOML: {error}.") from None


def _settings(data: dict[str, Any], name: str, text: str, given: tuple[str, ...]) -> Settings:
    try:
        file = msgspec.convert(data, _File)
        return Settings(file.store.url, _policy(file, given), file.auth.keys if file.auth is not None else None)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise UsageError(_told(name, text, where.rstrip("`").lstrip("."), what)) from None
    except _Wrong as error:
        raise UsageError(_told(name, text, *error.args)) from None


class _Wrong(Exception):
    """A key, and what is wrong with it."""


def _told(name: str, text: str, key: str, what: str) -> str:
    line = _line(text, key, what)
    place = f"{name}, line {line}" if line else name
    return f"{place}: {key or 'the top level'}: {what[:1].lower()}{what[1:]}."


def _line(text: str, key: str, what: str) -> int:
    """The line a dotted key (or an unknown field named in `what`) stands in, as well as a look at the text can tell."""
    names = [n for n in key.replace("[...]", "").split(".") if n] + what.split("`")[1::2][:1]
    lines = text.splitlines()
    for wanted in reversed(names):
        for number, line in enumerate(lines, 1):
            bare = line.split("#")[0].strip()
            head = bare.split("=")[0].strip().strip("[]").replace('"', "")
            if bare and (head == wanted or head.endswith(f".{wanted}") or head.startswith(f"{wanted}.")):
                return number
    return 0


def _policy(file: _File, given: tuple[str, ...]) -> Policy:
    models = {"extractive": EXTRACTIVE} | {name: ModelSpec(name=name, provider=name) for name in given}
    for name, m in file.models.items():
        if m.provider not in ("extractive", *given, *file.providers):
            raise _Wrong(f"models.{name}.provider", f"expected one of the providers, got `{m.provider}`")
        models[name] = ModelSpec(
            name=name,
            provider=m.provider,
            capabilities=m.capabilities,
            context_tokens=m.context_tokens,
            output_tokens_max=m.output_tokens_max,
            input_microusd_per_mtok=m.input_microusd_per_mtok,
            output_microusd_per_mtok=m.output_microusd_per_mtok,
            timeout_ms=max(1, round(m.timeout_s * 1000)),
        )
    for task, route in file.routes.items():
        unknown = next((m for m in route.models if m not in models), None)
        if unknown is not None or not route.models:
            raise _Wrong(f"routes.{task}.models", f"expected names of models that are defined, got `{unknown or 'none'}`")
    routes = {"default": given or ("extractive",), **{task: route.models for task, route in file.routes.items()}}
    levels = {"default": file.budgets.default}
    levels |= {f"tenant:{name}": b for name, b in file.budgets.tenant.items()}
    levels |= {name if ":" in name else f"user:{name}": b for name, b in file.budgets.user.items()}
    default = _limits(file.budgets.default.turn, DEFAULT_LIMITS)
    return Policy(
        models=models,
        routes=routes,
        turn={"default": default} | {name: _limits(b.turn, default) for name, b in levels.items() if b.turn is not None},
        day={name: _micro(b.day.usd) for name, b in levels.items() if b.day is not None},
        session={name: _micro(b.session.usd) for name, b in levels.items() if b.session is not None},
    )


def _micro(usd: float) -> int:
    return max(1, round(usd * 1_000_000))


def _limits(turn: _Turn | None, inherited: Limits) -> Limits:
    if turn is None:
        return inherited
    a = inherited.amounts
    amounts = Amounts(
        microusd=a.microusd if turn.usd is None else _micro(turn.usd),
        tokens=a.tokens,
        model_calls=turn.model_calls or a.model_calls,
        tool_calls=turn.tool_calls or a.tool_calls,
        steps=turn.steps or a.steps,
    )
    return Limits(amounts, max(1, round(turn.deadline_s * 1000)) if turn.deadline_s else inherited.deadline_ms)
