"""Definitions of relations by other relations of the same object: their text, and which of them cannot stand together.

`document#reader = viewer & employee - blocked` reads: a reader of a document is who is its viewer and its employee and is not
blocked there. `+` is one or the other, `&` both, `-` but not; the name that is defined stands, on the right, for what
relations grant directly. These are the set operations of Zanzibar's rewrite rules (Pang et al., USENIX ATC 2019, §2.3.1),
in the signs of SpiceDB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

WORDS_MAX = 64
"""Names and signs in one definition: far more than anybody reads, and few enough to recurse over."""
NAMES_MAX = 256
"""Relations that a definition comes to with those it names written out: what one check may have to look up."""

FORM = "TYPE#RELATION = RULE, as in document#reader = viewer & employee - blocked"
_NAME = r"[a-z][a-z0-9_-]*"
_SPLIT = re.compile(rf"(?P<type>{_NAME})#(?P<relation>{_NAME})\s*=(?P<rule>.*)", re.DOTALL)
_WORD = re.compile(rf"\s*({_NAME}|[-+&()])")

Node = tuple[str, str]
"""A type of object and a relation."""


class Operation(msgspec.Struct, frozen=True):
    """`left` and `right` under a sign: `+` (or), `&` (and), `-` (but not)."""

    sign: str
    left: Rule
    right: Rule


Rule = str | Operation
"""What a definition says: the name of a relation, or an operation."""


class Definition(msgspec.Struct, frozen=True):
    """Who has `relation` to a thing of this type. Canonical: equal means same."""

    type: str
    relation: str
    rule: Rule

    @property
    def node(self) -> Node:
        """What is defined."""
        return (self.type, self.relation)

    @property
    def text(self) -> str:
        """The canonical text, which `parse_definition` turns back into this definition."""
        return f"{self.type}#{self.relation} = {_told(self.rule)}"

    @property
    def excludes(self) -> bool:
        """Whether more relations can mean fewer rights."""
        return any(negative for _, negative in _names(self.rule))


class Contradiction(msgspec.Struct, frozen=True):
    """Which definition cannot stand, and what it would have to be instead."""

    text: str
    expected: str


def is_definition(text: str) -> bool:
    """Whether a text is meant as a definition; no relation looks like one."""
    return _SPLIT.fullmatch(text.strip()) is not None


def parse_definition(text: str) -> Definition | str:
    """A definition, or what was expected. Signs count from left to right; `&` after another sign needs parentheses."""
    split = _SPLIT.fullmatch(text.strip())
    if split is None:
        return FORM
    words, at, rule = list[str](), 0, split["rule"].rstrip()
    while at < len(rule):
        word = _WORD.match(rule, at)
        if word is None:
            return f"names of relations and the signs + & - ( ) after the `=`, as in {FORM}"
        words.append(word[1])
        at = word.end()
    if len(words) > WORDS_MAX:
        return f"a rule of at most {WORDS_MAX} names and signs"
    words.reverse()
    try:
        found = _operation(words)
        if words:
            raise _Unread(f"+, & or -, with spaces around it, before the `{words[-1]}`, as in {FORM}")
    except _Unread as wrong:
        return str(wrong)
    return Definition(split["type"], split["relation"], found)


def contradiction(definitions: Mapping[Node, Definition], edges: Mapping[tuple[Node, Node], str]) -> Contradiction | None:
    """Why these definitions have no meaning together with the relations, or None.

    `edges` are the relations with a set of principals as subject: from what they grant to what they grant it to, and one
    relation that does so. A definition may not name itself by way of others, and nothing it excludes may lead back to it.
    """
    for definition in definitions.values():
        if _written_out(definitions, definition.node, frozenset()) > NAMES_MAX:
            return Contradiction(
                definition.text, f"a definition that does not lead to itself and comes to at most {NAMES_MAX} relations"
            )
    needs: dict[Node, dict[Node, str]] = {}
    for (node, other), text in edges.items():
        needs.setdefault(node, {})[other] = text
    for definition in definitions.values():
        for other, _ in dependencies(definition):
            needs.setdefault(definition.node, {}).setdefault(other, definition.text)
    for definition in definitions.values():
        for other, negative in dependencies(definition):
            back = _way(needs, other, definition.node) if negative else None
            if back is not None:
                leads = f"as {'#'.join(other)} does by `{back or definition.text}`"
                expected = f"after the `-` nothing that leads back to {'#'.join(definition.node)}, {leads}"
                return Contradiction(definition.text, expected)
    return None


def dependencies(definition: Definition) -> Iterator[tuple[Node, bool]]:
    """The other relations that a definition names, and whether by excluding them."""
    for name, negative in _names(definition.rule):
        if name != definition.relation or negative:
            yield (definition.type, name), negative


def levels(definitions: Mapping[Node, Definition], edges: Iterable[tuple[Node, Node]]) -> dict[Node, int]:
    """How many exclusions stand below each relation: who has it is known once all relations of lower levels are.

    Those it does not name have level 0. Raises ValueError where an exclusion leads back to itself.
    """
    needs = [(node, other, False) for node, other in edges]
    needs += [(d.node, other, negative) for d in definitions.values() for other, negative in dependencies(d)]
    found: dict[Node, int] = {}
    changed = True
    while changed:
        changed = False
        for node, other, negative in needs:
            level = found.get(other, 0) + negative
            if level > found.get(node, 0):
                if level > len(definitions):
                    raise ValueError(f"an exclusion leads back to {'#'.join(node)}")
                found[node] = level
                changed = True
    return found


class _Unread(Exception):
    """What was expected where a rule cannot be read."""


def _operation(words: list[str]) -> Rule:
    """The rule that the words (the last one first) begin with, up to a closing parenthesis."""
    found, sign = _operand(words), ""
    while words and words[-1] in ("+", "&", "-"):
        if words[-1] == "&" and sign in ("+", "-"):
            raise _Unread(f"parentheses that say what the `&` after a `{sign}` belongs to")
        sign = words.pop()
        found = Operation(sign, found, _operand(words))
    return found


def _operand(words: list[str]) -> Rule:
    if not words or words[-1] in ("+", "&", "-", ")"):
        raise _Unread(f"the name of a relation {f'before the `{words[-1]}`' if words else 'at the end'}, as in {FORM}")
    word = words.pop()
    if word != "(":
        return word
    inner = _operation(words)
    if not words or words.pop() != ")":
        raise _Unread("a closing parenthesis for each that is opened")
    return inner


def _told(rule: Rule) -> str:
    if isinstance(rule, str):
        return rule
    left = _told(rule.left)
    if rule.sign == "&" and isinstance(rule.left, Operation) and rule.left.sign != "&":
        left = f"({left})"
    right = _told(rule.right)
    return f"{left} {rule.sign} {right if isinstance(rule.right, str) else f'({right})'}"


def _names(rule: Rule, negative: bool = False) -> Iterator[tuple[str, bool]]:
    """The relations a rule names, and whether below a `-`: what is excluded must be known in full, exceptions to it too."""
    if isinstance(rule, str):
        yield rule, negative
        return
    yield from _names(rule.left, negative)
    yield from _names(rule.right, negative or rule.sign == "-")


def _written_out(definitions: Mapping[Node, Definition], node: Node, inside: frozenset[Node]) -> int:
    """How many relations a check of this one comes to; too many where it leads to itself."""
    definition = definitions.get(node)
    if definition is None:
        return 1
    if node in inside:
        return NAMES_MAX + 1
    total = 0
    for name, _ in _names(definition.rule):
        total += 1 if name == node[1] else _written_out(definitions, (node[0], name), inside | {node})
        if total > NAMES_MAX:
            break
    return total


def _way(needs: Mapping[Node, Mapping[Node, str]], start: Node, goal: Node) -> str | None:
    """The first relation or definition on the way from one to the other, or None."""
    seen, waiting = {start}, [(start, "")]
    while waiting:
        node, first = waiting.pop()
        if node == goal:
            return first
        for other, text in needs.get(node, {}).items():
            if other not in seen:
                seen.add(other)
                waiting.append((other, first or text))
    return None
