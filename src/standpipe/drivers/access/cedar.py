"""Tool rules in Cedar: reads a rule file, and says by which rule a call may be made, or whether it ever could.

See docs/adr/0011 for the entities and the context that rules can speak of.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import cedarpy
import msgspec

from standpipe.core.ids import digest_bytes
from standpipe.core.items import Source
from standpipe.core.rulings import RuleQuestion, Ruling, ToolRules
from standpipe.errors import UsageError

RULINGS_KEPT = 4_096
ENTITIES_KEPT = 1_024
FORM = 'permit (principal, action, resource == Tool::"search");'
_KINDS = {"user": "User", "service": "Service"}
_GROUPS = {"Group": "group", "Role": "role"}
"""What a principal can be in, and what relations call that: `role:support#member@user:ana`."""
_TYPES = {"User", "Service", "Principal", "Tool", "Action", *_GROUPS}
_ATTRIBUTES = {
    "context": ("agent", "tenant", "arguments", "sources"),
    "resource": ("effect",),
    "principal": (),
    "action": (),
}
_TOKEN = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|;|[^";/]+|.', re.DOTALL)
_POLICY = re.compile(r"policy `(\w+)`")
_INTEGER_MAX = 2**63 - 1
_DECIMAL_MAX = 900_000_000_000_000


class _Rule(msgspec.Struct, frozen=True):
    """One rule: its name, the line it begins in, whether it forbids."""

    name: str
    line: int
    forbids: bool


class _Inexpressible(Exception):
    """A value that Cedar has no form for: what cannot be judged is not permitted."""


def read(text: str, file: str) -> ToolRules:
    """The rules of a file (its name is for messages). Raises UsageError with the line and what was expected there."""
    rules: dict[str, _Rule] = {}
    groups: dict[str, None] = {}
    for line, piece in _pieces(text):
        rule = _rule(piece, f"{file}, line {line}", line, groups)
        if rule.name != f"line {line}" and any(rule.name == other.name for other in rules.values()):
            raise UsageError(f'{file}, line {line}: expected a name of its own, there is another rule @id("{rule.name}").')
        rules[f"policy{len(rules)}"] = rule
    judging = _Judging(cedarpy.PolicySet.from_str(text), rules)
    data, names = text.encode(), tuple(rule.name for rule in rules.values())
    return ToolRules(digest_bytes(data), data, names, tuple(sorted(groups)), lru_cache(RULINGS_KEPT)(judging.judge))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Each rule of the file, and the line in which it begins."""
    piece, line, begun = "", 1, 0
    for token in _TOKEN.findall(text):
        blank = token.startswith("//") or not token.strip()
        if not begun and not blank:
            begun = line + token[: len(token) - len(token.lstrip())].count("\n")
        piece, line = piece + token, line + token.count("\n")
        if token == ";":
            yield begun, piece
            piece, begun = "", 0
    if begun:
        yield begun, piece


def _rule(piece: str, place: str, line: int, groups: dict[str, None]) -> _Rule:
    try:
        parsed = cedarpy.PolicySet.from_str(piece)
        told = json.loads(cedarpy.policies_to_json_str(piece))
    except ValueError as error:
        raise UsageError(f"{place}: expected a Cedar rule like `{FORM}`; {error}.") from None
    if len(parsed) != 1 or parsed.templates():
        raise UsageError(f"{place}: expected a Cedar rule like `{FORM}`, without a place to be filled in.")
    (rule,) = told["staticPolicies"].values()
    for problem in _problems(rule, groups):
        raise UsageError(f"{place}: {problem}.")
    return _Rule(rule.get("annotations", {}).get("id") or f"line {line}", line, rule["effect"] == "forbid")


def _problems(node: Any, groups: dict[str, None]) -> Iterator[str]:
    """What a rule speaks of that is never there, so that it could never hold; `groups` takes up those it names."""
    if isinstance(node, list):
        for one in node:
            yield from _problems(one, groups)
    if not isinstance(node, dict):
        return
    kind, id = node.get("entity_type", node.get("type")), node.get("id")
    if isinstance(kind, str) and (isinstance(id, str) or "entity_type" in node):
        if kind not in _TYPES:
            yield f"expected one of {', '.join(sorted(_TYPES))} before the `::`, got `{kind}`"
        if kind == "Action" and id not in ("call", None):
            yield f'expected Action::"call", the only one there is, got `{id}`'
        if kind in _GROUPS and isinstance(id, str):
            groups[f"{_GROUPS[kind]}:{id}"] = None
    of = node["left"].get("Var") if isinstance(node.get("left"), dict) else None
    if isinstance(of, str) and isinstance(node.get("attr"), str) and node["attr"] not in _ATTRIBUTES[of]:
        yield f"expected {_listed(of)}, got `{of}.{node['attr']}`"
    for one in node.values():
        yield from _problems(one, groups)


def _listed(of: str) -> str:
    return f"one of {', '.join(f'{of}.{name}' for name in _ATTRIBUTES[of])}" if _ATTRIBUTES[of] else f"{of} without attributes"


class _Judging:
    """A parsed rule file that answers questions."""

    def __init__(self, policies: cedarpy.PolicySet, rules: dict[str, _Rule]) -> None:
        self._policies, self._rules = policies, rules

    def judge(self, asked: RuleQuestion) -> Ruling:
        """Whether the call is permitted, and by which rules; without arguments, whether it ever could be."""
        return self._ever(asked) if asked.given is None else self._now(asked, asked.given)

    def _now(self, asked: RuleQuestion, given: str) -> Ruling:
        try:
            arguments = _value(msgspec.json.decode(given))
        except _Inexpressible:
            return Ruling(False)
        said = cedarpy.is_authorized(_request(asked, arguments), self._policies, _entities_of(asked))
        by = [self._rules[name] for name in said.diagnostics.reasons]
        # Cedar leaves out a rule that breaks off. For one that forbids that would be a permit by mistake.
        broken = [_POLICY.search(error) for error in said.diagnostics.errors]
        if any(found is None or self._rules[found[1]].forbids for found in broken):
            return Ruling(False, forbidden=True)
        named = ", ".join(rule.name for rule in sorted(by, key=lambda rule: rule.line))
        return Ruling(said.allowed, named, forbidden=any(rule.forbids for rule in by))

    def _ever(self, asked: RuleQuestion) -> Ruling:
        unknown = {name: {"__extn": {"fn": "unknown", "arg": name}} for name in ("arguments", "sources")}
        request = _request(asked, unknown["arguments"])
        request |= {name: f"{of['type']}::{json.dumps(of['id'])}" for name, of in request.items() if name != "context"}
        request["context"] = json.dumps({**request["context"], **unknown})
        said = cedarpy.is_authorized_partial(request, self._policies, _entities_of(asked))
        told = said.diagnostics
        forbidden = any(self._rules[name].forbids for name in told.must_be_determining)
        perhaps = {*told.must_be_determining, *told.may_be_determining}
        hopes = [name for name in perhaps if not self._rules[name].forbids and not _never(said.residuals.get(name))]
        return Ruling(bool(hopes), forbidden=forbidden)


def _never(residual: Any) -> bool:
    """Whether what is left of a rule, whose arguments are not known, can hold for none: one of its conditions is false."""
    conditions = residual.get("conditions", ()) if isinstance(residual, dict) else ()
    return any(_false(one["body"]) for one in conditions if one["kind"] == "when")


def _false(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    if "&&" in body:
        return _false(body["&&"]["left"]) or _false(body["&&"]["right"])
    if "||" in body:
        return _false(body["||"]["left"]) and _false(body["||"]["right"])
    return body.get("Value") is False


def _request(asked: RuleQuestion, arguments: Any) -> dict[str, Any]:
    return {
        "principal": _principal(asked.principal),
        "action": {"type": "Action", "id": "call"},
        "resource": {"type": "Tool", "id": asked.tool},
        "context": {
            "agent": asked.agent,
            "tenant": asked.tenant,
            "arguments": arguments,
            "sources": [_named(source) for source in asked.sources],
        },
    }


def _principal(name: str) -> dict[str, str]:
    """`user:ana` is User::"ana", `service:x` Service::"x", anything else Principal::"…" with its whole name."""
    kind, _, id = name.partition(":")
    return {"type": _KINDS[kind], "id": id} if kind in _KINDS and id else {"type": "Principal", "id": name}


def _named(source: Source) -> str:
    return f"document:{source.path}" if source.folder else source.path


def _entities_of(asked: RuleQuestion) -> cedarpy.Entities:
    return _entities(asked.principal, asked.groups, asked.tool, asked.effect)


@lru_cache(ENTITIES_KEPT)
def _entities(principal: str, groups: tuple[str, ...], tool: str, effect: str) -> cedarpy.Entities:
    types = {relation: kind for kind, relation in _GROUPS.items()}
    parents = [{"type": types[kind], "id": id} for kind, _, id in (name.partition(":") for name in groups)]
    who = {"uid": _principal(principal), "attrs": {}, "parents": parents}
    what = {"uid": {"type": "Tool", "id": tool}, "attrs": {"effect": effect}, "parents": []}
    return cedarpy.Entities.from_json_str(json.dumps([who, what]))


def _value(value: Any) -> Any:
    """A JSON value in Cedar: null is left out of a record, a whole number is one however it was written, other numbers are
    decimals of four places at most. A name that begins with two underscores would be an instruction to Cedar."""
    match value:
        case bool() | str():
            return value
        case float() if math.isfinite(value) and not value.is_integer():
            if abs(value) > _DECIMAL_MAX or round(value, 4) != value:
                raise _Inexpressible
            return {"__extn": {"fn": "decimal", "arg": f"{value:.4f}"}}
        case int() | float() if abs(value) <= _INTEGER_MAX:
            return int(value)
        case dict() if not any(name.startswith("__") for name in value):
            return {name: _value(one) for name, one in value.items() if one is not None}
        case list():
            return [_value(one) for one in value]
        case _:
            raise _Inexpressible
