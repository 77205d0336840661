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
    (None: nothing is said about it), and the file of tool rules, if there is one."""

    store: str = STORE
    policy: Policy = msgspec.field(default_factory=Policy)
    keys: tuple[Key, ...] | None = None
    providers: dict[str, Remote] = {}
    rules: Path | None = None


class Remote(msgspec.Struct, frozen=True):
    """What only the driver of a provider behind HTTP needs: its file section, the variable with its key, and the provider's
    names of our models."""

    section: _Provider
    key_env: str
    names: dict[str, str]
    reasoning: frozenset[str]


Positive = Annotated[float, msgspec.Meta(gt=0, lt=1e12)]
Count = Annotated[int, msgspec.Meta(gt=0, lt=2**50)]
Price = Annotated[int, msgspec.Meta(ge=0, lt=2**50)]


_ORIGINS = ("user", "task", "runtime", "tool", "agent")
"""Where an item comes from is told by these words, or by the name of a model."""


class _Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = STORE


class _Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dialect: Literal["extractive", "openai-chat"] = "extractive"
    base_url: str = ""
    keys_env: tuple[str, ...] = ()
    concurrency_max: Count = 64
    stream: bool = True
    connect_ms: Count = 3_000
    headers_ms: Count = 10_000
    first_content_ms: Count = 15_000
    idle_ms: Count = 10_000


class _Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: str
    name: str = ""
    reasoning: bool = False
    capabilities: tuple[str, ...] = ()
    context_tokens: Count = EXTRACTIVE.context_tokens
    output_tokens_max: Count | None = None
    input_microusd_per_mtok: Price | None = None
    output_microusd_per_mtok: Price | None = None
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


class _Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    store: _Store = _Store()
    auth: _Auth | None = None
    access: _Access = _Access()
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
        keys = file.auth.keys if file.auth is not None else None
        rules = Path(name).parent / file.access.rules if file.access.rules else None
        return Settings(file.store.url, _policy(file, given), keys, _remotes(file), rules)
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
        if name.partition(":")[0] in _ORIGINS:
            raise _Wrong(f"models.{name}", f"expected a name that does not begin like what others say ({', '.join(_ORIGINS)})")
        if m.provider not in ("extractive", *given, *file.providers):
            raise _Wrong(f"models.{name}.provider", f"expected one of the providers, got `{m.provider}`")
        section = file.providers.get(m.provider, _Provider())
        remote = section.dialect != "extractive"
        if remote and (m.input_microusd_per_mtok is None or m.output_microusd_per_mtok is None):
            raise _Wrong(
                f"models.{name}", "expected input_microusd_per_mtok and output_microusd_per_mtok (0 for a local server)"
            )
        spec = ModelSpec(
            name=name,
            provider=m.provider,
            capabilities=m.capabilities,
            context_tokens=m.context_tokens,
            output_tokens_max=m.output_tokens_max or (4_096 if remote else EXTRACTIVE.output_tokens_max),
            input_microusd_per_mtok=m.input_microusd_per_mtok or 0,
            output_microusd_per_mtok=m.output_microusd_per_mtok or 0,
            timeout_ms=max(1, round(m.timeout_s * 1000)),
        )
        for key, _ in _keyed(section):  # several keys are several routes, tried one after the other
            models[name + key] = msgspec.structs.replace(spec, name=name + key, provider=m.provider + key)
    for task, route in file.routes.items():
        unknown = next((m for m in route.models if m not in models), None)
        if unknown is not None or not route.models:
            raise _Wrong(f"routes.{task}.models", f"expected names of models that are defined, got `{unknown or 'none'}`")
    keyed = {n: tuple(n + k for k, _ in _keyed(file.providers.get(m.provider, _Provider()))) for n, m in file.models.items()}
    asked = {task: tuple(k for n in route.models for k in keyed.get(n, (n,))) for task, route in file.routes.items()}
    routes = {"default": given or ("extractive",), **asked}
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


def _keyed(section: _Provider) -> list[tuple[str, str]]:
    """The suffix that tells the routes of a provider's keys apart, and the variable of each key."""
    names = section.keys_env or ("",)
    return [("" if n == 1 else f"#{n}", name) for n, name in enumerate(names, 1)]


def _remotes(file: _File) -> dict[str, Remote]:
    found = {}
    for provider, section in file.providers.items():
        if section.dialect == "extractive":
            continue
        if not section.base_url.startswith(("http://", "https://")) or "@" in section.base_url:
            raise _Wrong(f"providers.{provider}.base_url", "expected http:// or https:// and a host, without a password")
        own = {n: m for n, m in file.models.items() if m.provider == provider}
        for suffix, key_env in _keyed(section):
            names = {n + suffix: m.name or n for n, m in own.items()}
            found[provider + suffix] = Remote(
                section, key_env, names, frozenset(n + suffix for n, m in own.items() if m.reasoning)
            )
    return found


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
