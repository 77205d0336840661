"""What relations and definitions add up to for one principal at one instant, and why."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from standpipe.core.definitions import Definition, Node, Rule, levels
from standpipe.core.relations import Relation, matches, read, type_of

FOREVER = 2**63 - 1
"""The end of what does not end."""

Userset = tuple[str, str]
"""An object and a relation: everybody who has it."""


class Graph(msgspec.Struct, frozen=True):
    """A namespace's relations at one revision of its tenant, ready to be asked.

    Relations by their subject; the usersets that stand as subjects of others, by type and relation, and those of them that
    are defined, by their object; definitions, how many exclusions stand below each, and these numbers in order;
    the instants at which relations end, in order; and the governed types.
    """

    revision: int
    namespace: str
    governed: frozenset[str]
    by_subject: dict[Userset, tuple[Relation, ...]]
    usersets: dict[Node, list[Userset]]
    defined: dict[str, list[Userset]]
    definitions: dict[Node, Definition]
    levels: dict[Node, int]
    heights: tuple[int, ...]
    ends: tuple[int, ...]


def graph(texts: Iterable[str], revision: int = 0, namespace: str = "", governed: Iterable[str] = ()) -> Graph:
    """The graph of relations and definitions in canonical text.

    Raises ValueError for a text that is neither, and for definitions that have no meaning together.
    """
    found: dict[Userset, list[Relation]] = {}
    definitions: dict[Node, Definition] = {}
    for text in sorted(texts):
        match read(text):
            case Relation() as relation:
                found.setdefault((relation.subject, relation.via), []).append(relation)
            case Definition() as definition:
                if definition.node in definitions:
                    raise ValueError(f"defined twice: {text!r}")
                definitions[definition.node] = definition
            case _:
                raise ValueError(f"not a relation: {text!r}")
    usersets: dict[Node, list[Userset]] = {}
    defined: dict[str, list[Userset]] = {}
    for userset in sorted(subject for subject in found if subject[1]):
        node = (type_of(userset[0]), userset[1])
        usersets.setdefault(node, []).append(userset)
        if node in definitions:
            defined.setdefault(userset[0], []).append(userset)
    height = _levels(found, definitions) if definitions else {}
    return Graph(
        revision=revision,
        namespace=namespace,
        governed=frozenset(governed),
        by_subject={subject: tuple(sorted(these)) for subject, these in found.items()},
        usersets=usersets,
        defined=defined,
        definitions=definitions,
        levels=height,
        heights=tuple(sorted(set(height.values()))),
        ends=tuple(sorted({relation.until for these in found.values() for relation in these if relation.until})),
    )


def _levels(found: dict[Userset, list[Relation]], definitions: dict[Node, Definition]) -> dict[Node, int]:
    edges = {
        ((type_of(one.object), one.relation), (type_of(subject), via))
        for (subject, via), these in found.items()
        if via
        for one in these
    }
    height = levels(definitions, edges)
    return {node: height.get(node, 0) for node in definitions}


class Link(msgspec.Struct, frozen=True, gc=False):
    """A relation that grants the principal something, and what leads to it: another link, or for who is a subject by a
    definition the chain that shows it. `length` counts relations and definitions."""

    step: Relation
    before: Link | None
    shown: tuple[str, ...]
    length: int

    @property
    def chain(self) -> tuple[str, ...]:
        """The texts from this relation to the principal."""
        return (self.step.text, *(self.before.chain if self.before is not None else self.shown))


class Reach(msgspec.Struct):  # not frozen only because the port's Rights has a revision that could be set
    """What one principal may do in one namespace at one revision, before the instant `until`.

    A folder's documents need a relation once the folder is governed. In the namespace of the whole tenant (empty), a type
    of object is governed as soon as a relation of it was ever recorded there, and open to everybody before.
    """

    revision: int
    namespace: str
    governed: frozenset[str]
    until: int
    definitions: dict[Node, Definition]
    exact: dict[str, dict[str, Link]]
    prefixes: dict[str, dict[int, dict[str, Link]]]
    patterns: dict[str, list[tuple[tuple[str, ...], Link]]]

    def allows(self, object: str, relation: str = "reader") -> bool:
        """Whether the principal has `relation` to `object`."""
        kind = type_of(object)
        return self.open(kind) or self._follows(relation, object, kind, "")

    def filter(self, objects: Iterable[str], relation: str = "reader") -> list[str]:
        """Those of the objects that the principal has `relation` to, in their order."""
        return [object for object in objects if self.allows(object, relation)]

    def open(self, kind: str) -> bool:
        """Whether things of this type need no relation."""
        return kind not in self.governed and (not self.namespace or kind == "document")

    def has(self, object: str, relation: str) -> bool:
        """Whether relations and definitions make the principal `relation` of `object`."""
        return self._follows(relation, object, type_of(object), "")

    def granted(self, object: str, relation: str) -> bool:
        """Whether relations say so directly, or through sets of principals."""
        if object in self.exact.get(relation, ()):
            return True
        for length, prefixes in self.prefixes.get(relation, _NO_PREFIXES).items():
            if object[:length] in prefixes:
                return True
        return any(matches(pattern, object) for pattern, _ in self.patterns.get(relation, ()))

    def _follows(self, rule: Rule, object: str, kind: str, defined: str) -> bool:
        """Whether a rule holds, in the definition of `defined`."""
        if isinstance(rule, str):
            definition = self.definitions.get((kind, rule)) if self.definitions and rule != defined else None
            return self.granted(object, rule) if definition is None else self._follows(definition.rule, object, kind, rule)
        left = self._follows(rule.left, object, kind, defined)
        if left is (rule.sign == "+"):
            return left
        return self._follows(rule.right, object, kind, defined) != (rule.sign == "-")

    def nearest(self, object: str, relation: str) -> Link | None:
        """The link with the shortest chain that grants this without a definition."""
        found = [link for pattern, link in self.patterns.get(relation, ()) if matches(pattern, object)]
        for length, prefixes in self.prefixes.get(relation, _NO_PREFIXES).items():
            found += [prefixes[object[:length]]] if object[:length] in prefixes else []
        found += [self.exact[relation][object]] if object in self.exact.get(relation, ()) else []
        return min(found, key=lambda link: link.length, default=None)

    def take(self, link: Link) -> None:
        """Count what a link grants; of two that grant the same the first stays."""
        relation, parts = link.step.relation, link.step.object.split("*")
        if len(parts) == 1:
            self.exact.setdefault(relation, {}).setdefault(parts[0], link)
        elif len(parts) == 2 and not parts[1]:
            self.prefixes.setdefault(relation, {}).setdefault(len(parts[0]), {}).setdefault(parts[0], link)
        else:
            self.patterns.setdefault(relation, []).append((tuple(parts), link))


_NO_PREFIXES: dict[int, dict[str, Link]] = {}


def reach(relations: Graph, principal: str, now: int = 0, *, explained: bool = False) -> Reach:
    """All that `principal` has by these relations at `now` (ms), through any depth of groups, circles included.

    `explained` keeps for `explain` also why somebody belongs to a set that is defined; without it that is left out.
    """
    end = bisect_right(relations.ends, now)
    until = relations.ends[end] if end < len(relations.ends) else FOREVER
    found = Reach(
        revision=relations.revision,
        namespace=relations.namespace,
        governed=relations.governed,
        until=until,
        definitions=relations.definitions,
        exact={},
        prefixes={},
        patterns={},
    )
    walk = _Walk(found, now, deque(), set(), {})
    # A principal is a plain thing: no relation has `group:hr#member`, a set of principals, as a subject of that name.
    for subject in dict.fromkeys((principal, f"{type_of(principal)}:*")):
        walk.waiting.append(((subject, ""), None, ()))
    _spread(relations, walk)
    for level in relations.heights:  # what a level excludes is of lower ones, and so known in full
        while more := [one for one, of in walk.likely.items() if of == level and found.has(*one)]:
            walk.seen.update(more)
            for one in more:
                del walk.likely[one]
            walk.waiting.extend((one, None, _by_relations(found, *one).chain if explained else ()) for one in more)
            _spread(relations, walk)
    return found


class _Walk(NamedTuple):
    """On the way: the usersets that wait with what led there, those seen, and those that are defined and may have come true."""

    found: Reach
    now: int
    waiting: deque[tuple[Userset, Link | None, tuple[str, ...]]]
    seen: set[Userset]
    likely: dict[Userset, int]


def _spread(relations: Graph, walk: _Walk) -> None:
    """Take all that follows from the usersets that wait, nearest first, up to sets that are defined."""
    while walk.waiting:
        subject, before, shown = walk.waiting.popleft()
        length = 1 + (before.length if before is not None else len(shown))
        for step in relations.by_subject.get(subject, ()):
            if step.until and step.until <= walk.now:
                continue
            link = Link(step, before, shown, length)
            walk.found.take(link)
            for userset in _held(relations, step, walk):
                if userset not in walk.seen:
                    walk.seen.add(userset)
                    walk.waiting.append((userset, link, ()))


def _held(relations: Graph, step: Relation, walk: _Walk) -> Iterable[Userset]:
    """The usersets that a relation puts the principal into; those it may, by definitions, are noted as likely."""
    object = step.object
    if relations.definitions:
        kind = type_of(object)
        for one in relations.defined.get(object, ()) if "*" not in object else _fitting(relations, object, kind):
            if one not in walk.seen:
                walk.likely[one] = relations.levels[kind, one[1]]
        if (kind, step.relation) in relations.definitions:
            return ()
    if "*" not in object:
        return ((object, step.relation),)
    parts = tuple(object.split("*"))
    return [one for one in relations.usersets.get((type_of(object), step.relation), ()) if matches(parts, one[0])]


def _fitting(relations: Graph, pattern: str, kind: str) -> Iterator[Userset]:
    """The defined usersets of this type whose object fits."""
    parts = tuple(pattern.split("*"))
    for node in relations.levels:
        if node[0] == kind:
            yield from (one for one in relations.usersets.get(node, ()) if matches(parts, one[0]))


class Why(msgspec.Struct, frozen=True):
    """Why somebody has a relation to an object, or not.

    `because` is `open` (nothing governs it), `granted` (`chain` shows how), `excluded` (`chain` shows by what), `missing`
    (the definitions in `chain` also ask for the relation `missing`) or `nothing` (that is granted leads there). A chain begins
    at the object and ends at the principal; none is shorter, unless it goes through a set of principals that is defined.
    """

    allowed: bool
    because: str
    chain: tuple[str, ...] = ()
    missing: str = ""


def explain(held: Reach, object: str, relation: str = "reader") -> Why:
    """Why the principal has `relation` to `object`, or not; `held` is what `reach` found with `explained`."""
    return Why(True, "open") if held.open(type_of(object)) else _by_relations(held, object, relation)


def _by_relations(held: Reach, object: str, relation: str) -> Why:
    definition = held.definitions.get((type_of(object), relation))
    if definition is None:
        return _directly(held, object, relation)
    why = _by_rule(held, definition.rule, object, relation)
    return msgspec.structs.replace(why, chain=(definition.text, *why.chain))


def _directly(held: Reach, object: str, relation: str) -> Why:
    link = held.nearest(object, relation)
    return Why(True, "granted", link.chain) if link is not None else Why(False, "nothing")


def _by_rule(held: Reach, rule: Rule, object: str, defined: str) -> Why:
    if isinstance(rule, str):
        why = _directly(held, object, rule) if rule == defined else _by_relations(held, object, rule)
        return why if why.because != "nothing" else Why(False, "missing", why.chain, rule)
    left, right = (_by_rule(held, side, object, defined) for side in (rule.left, rule.right))
    if rule.sign == "+":
        ways = [why for why in (left, right) if why.allowed] or [w for w in (left, right) if w.because == "excluded"]
        return min(ways, key=lambda why: len(why.chain)) if ways else left
    if not left.allowed or rule.sign == "-":
        return Why(False, "excluded", right.chain) if left.allowed and right.allowed else left
    return Why(True, "granted", left.chain + right.chain) if right.allowed else right
