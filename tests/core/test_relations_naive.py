"""Rights against an evaluator that knows nothing of them: backwards from the object by the definition of each sign, over random
graphs of nested groups, wildcards, intersections, exclusions and ends."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from random import Random
from typing import NamedTuple

import pytest

from standpipe.core.relations import inconsistent, instant_text, read
from standpipe.core.rights import explain, graph, reach

DAY = 86_400_000
ENDS = (0, 0, 0, 0, 20_000 * DAY, 20_001 * DAY)
NOWS = (20_000 * DAY - 1, 20_000 * DAY, 20_001 * DAY)
USERS = ("user:ana", "user:bob", "service:bot")
GROUPS = ("group:a", "group:b", "group:a-eu", "team:x")
DOCUMENTS = ("document:hr/a.md", "document:hr/eu/b.md", "document:plan.md")
PATTERNS = ("document:*", "document:hr/*", "document:*.md", "document:h*u*", "group:a*")
NAMES = {"document": ("reader", "viewer", "employee", "blocked"), "group": ("member", "banned"), "team": ("member", "banned")}

Tree = str | tuple[str, "Tree", "Tree"]


class Edge(NamedTuple):
    """One relation, as the drawing made it."""

    object: str
    relation: str
    subject: str
    via: str
    until: int

    @property
    def text(self) -> str:
        """As an access.rel would say it."""
        end = f" until {instant_text(self.until)}" if self.until else ""
        return f"{self.object}#{self.relation}@{self.subject}{'#' if self.via else ''}{self.via}{end}"


class World(NamedTuple):
    """Relations and definitions of one drawing."""

    edges: list[Edge]
    rules: dict[tuple[str, str], Tree]

    @property
    def texts(self) -> list[str]:
        """All of it as text, in canonical form."""
        said = [edge.text for edge in self.edges]
        said += [f"{kind}#{name} = {written(tree)}" for (kind, name), tree in self.rules.items()]
        return [read(text).text for text in said]  # type: ignore[union-attr]


def written(tree: Tree) -> str:
    """A rule with every parenthesis it can have."""
    return tree if isinstance(tree, str) else f"({written(tree[1])}) {tree[0]} ({written(tree[2])})"


def draw(random: Random) -> World:
    """Up to eighteen relations and four definitions; those that make no sense together are left to the caller."""
    edges = [_edge(random) for _ in range(random.randint(3, 18))]
    rules: dict[tuple[str, str], Tree] = {}
    for _ in range(random.randint(0, 4)):
        kind = random.choice(("document", "document", "group", "team"))
        rules[kind, random.choice(NAMES[kind][:3])] = _tree(random, NAMES[kind], 2)
    return World(edges, rules)


def _edge(random: Random) -> Edge:
    object = random.choice(GROUPS + GROUPS + DOCUMENTS + PATTERNS)
    relation = random.choice(NAMES[object.split(":", maxsplit=1)[0]])
    if random.random() < 0.5:
        return Edge(object, relation, random.choice((*USERS, "user:*")), "", random.choice(ENDS))
    subject = random.choice((*GROUPS, *GROUPS, DOCUMENTS[0]))
    return Edge(object, relation, subject, random.choice(NAMES[subject.split(":", maxsplit=1)[0]]), random.choice(ENDS))


def _tree(random: Random, names: tuple[str, ...], depth: int) -> Tree:
    if not depth or random.random() < 0.3:
        return random.choice(names)
    return random.choice("+&--"), _tree(random, names, depth - 1), _tree(random, names, depth - 1)


def has(world: World, now: int, principal: str, object: str, relation: str, asked: frozenset[tuple[str, str]]) -> bool:
    """Whether relations in force at `now` make the principal `relation` of the object; what is asked already adds nothing."""
    if (object, relation) in asked:
        return False
    below = asked | {(object, relation)}

    def named(name: str, fresh: bool) -> bool:
        if name != relation:
            return has(world, now, principal, object, name, frozenset() if fresh else below)
        return any(
            has(world, now, principal, edge.subject, edge.via, below)
            if edge.via
            else edge.subject in (principal, principal.split(":", maxsplit=1)[0] + ":*")
            for edge in world.edges
            if edge.relation == name and (not edge.until or now < edge.until) and fits(edge.object, object)
        )

    def holds(tree: Tree, fresh: bool) -> bool:
        if isinstance(tree, str):
            return named(tree, fresh)
        sign, left, right = tree
        if sign == "+":
            return holds(left, fresh) or holds(right, fresh)
        if sign == "&":
            return holds(left, fresh) and holds(right, fresh)
        return holds(left, fresh) and not holds(right, True)

    return holds(world.rules.get((object.split(":", maxsplit=1)[0], relation), relation), False)


@cache
def fits(pattern: str, object: str) -> bool:
    """Whether `*` in the pattern can stand for what is there."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), object) is not None


def compare(seeds: range) -> Counter[str]:
    """All answers of the graphs of these seeds by both; how many there were of each kind."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        random = Random(seed)
        while inconsistent((world := draw(random)).texts) is not None:
            seen["refused"] += 1
        texts = world.texts
        made, now = graph(texts, 1, "folder", ("document",)), NOWS[seed % len(NOWS)]
        texts_of = frozenset(texts)
        for principal in USERS:
            held = reach(made, principal, now, explained=True)
            plain = reach(made, principal, now)
            for object in (*GROUPS, *DOCUMENTS):
                for relation in NAMES[object.split(":", maxsplit=1)[0]]:
                    expected = has(world, now, principal, object, relation, frozenset())
                    asked = (seed, principal, relation, object, now, texts)
                    assert plain.allows(object, relation) == held.allows(object, relation) == expected, asked
                    why = explain(held, object, relation)
                    assert (why.allowed, why.because == "granted") == (expected, expected), asked
                    assert texts_of.issuperset(why.chain), asked
                    seen[why.because] += 1
    return seen


def test_rights_agree_with_the_naive_evaluator() -> None:
    seen = compare(range(300))

    assert min(seen[kind] for kind in ("granted", "excluded", "missing", "nothing")) > 50, seen
    assert seen["refused"] > 10, seen


@pytest.mark.slow
def test_rights_agree_with_the_naive_evaluator_over_two_thousand_graphs() -> None:
    compare(range(2_000))


def test_what_is_refused_is_what_leads_to_itself_or_back_to_what_excludes_it() -> None:
    """Against a search for such a way in all graphs of the drawing, by types alone."""
    for seed in range(500):
        world = draw(Random(seed))
        assert (inconsistent(world.texts) is not None) == _circular(world), world.texts


def _circular(world: World) -> bool:
    needs: dict[tuple[str, str], set[tuple[str, str]]] = {}
    inner: dict[tuple[str, str], set[tuple[str, str]]] = {}
    excluded: list[tuple[tuple[str, str], tuple[str, str]]] = []
    for (kind, name), tree in world.rules.items():
        for leaf, negative in _leaves(tree, False):
            if negative:
                excluded.append(((kind, name), (kind, leaf)))
            if leaf != name:
                inner.setdefault((kind, name), set()).add((kind, leaf))
                needs.setdefault((kind, name), set()).add((kind, leaf))
    for edge in world.edges:
        if edge.via:
            node = (edge.object.split(":", maxsplit=1)[0], edge.relation)
            needs.setdefault(node, set()).add((edge.subject.split(":", maxsplit=1)[0], edge.via))
    defined_by_itself = any(_leads(inner, other, node) for node, others in inner.items() for other in others)
    return defined_by_itself or any(_leads(needs, other, node) for node, other in excluded)


def _leaves(tree: Tree, negative: bool) -> list[tuple[str, bool]]:
    if isinstance(tree, str):
        return [(tree, negative)]
    return _leaves(tree[1], negative) + _leaves(tree[2], negative or tree[0] == "-")


def _leads(needs: dict[tuple[str, str], set[tuple[str, str]]], start: tuple[str, str], goal: tuple[str, str]) -> bool:
    reached = {start}
    while more := {other for node in reached for other in needs.get(node, ())} - reached:
        reached |= more
    return goal in reached
