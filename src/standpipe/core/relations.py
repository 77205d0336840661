"""Who may do what with which thing: the text of relations, what they add up to for a principal, and why.

A relation `document:hr/*#reader@group:hr#member` reads: whoever is a `member` of `group:hr` is a `reader` of every
document under `hr/`. Relations only ever grant; taking a right away is removing a relation. This is the model of Zanzibar
(Pang et al., USENIX ATC 2019) without rewrite rules, with `*` in place of a hierarchy of objects.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator

import msgspec

_NAME = r"[a-z][a-z0-9_-]*"
_THING = re.compile(rf"{_NAME}:(?P<id>.+)", re.DOTALL)
_SPLIT = re.compile(rf"(?P<object>.+?)#(?P<relation>{_NAME})@(?P<subject>{_NAME}:[^#]*)(?:#(?P<via>.*))?", re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s)//.*$")
_FORM = "TYPE:ID#RELATION@SUBJECT, as in document:hr/*#reader@group:hr#member"
_SHOWN = 100


class Relation(msgspec.Struct, frozen=True, order=True):
    """`subject` (with `via`: whoever has relation `via` to it) has `relation` to `object`. Canonical: equal means same."""

    object: str
    relation: str
    subject: str
    via: str = ""

    @property
    def text(self) -> str:
        """The canonical text, which `parse` turns back into this relation."""
        return f"{self.object}#{self.relation}@{self.subject}{'#' if self.via else ''}{self.via}"


class Problem(msgspec.Struct, frozen=True):
    """Why a text is no relation: on which line (from 1), what stands there and what was expected."""

    line: int
    found: str
    expected: str


def parse(text: str, line: int = 1) -> Relation | Problem:
    """One relation. `*` stands for any characters, `/` too, in the object; as the whole id of a subject, for everybody
    of that type (`user:*`)."""
    text = text.strip()
    split = _SPLIT.fullmatch(text)
    if split is None:
        return Problem(line, _shown(text), _FORM)
    relation = Relation(_collapsed(split["object"]), split["relation"], _collapsed(split["subject"]), split["via"] or "")
    wrong = _wrong_object(relation.object) or _wrong_subject(relation, split["via"])
    return Problem(line, _shown(text), wrong) if wrong else relation


def parse_access_file(text: str) -> tuple[str, ...] | Problem:
    """The relations of an access.rel in canonical text, sorted, each once; or what is wrong with its first bad line."""
    relations: set[str] = set()
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        bare = _COMMENT.sub("", line.rstrip("\r")).strip()
        if not bare:
            continue
        parsed = parse(bare, number)
        if isinstance(parsed, Problem):
            return parsed
        relations.add(parsed.text)
    return tuple(sorted(relations))


def difference(
    applied: Collection[str] | None, says: Collection[str], in_force: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a new access.rel grants and revokes: only what it says differently from when it was last applied (None: never).

    So a relation that a command revoked stays revoked while the file goes on saying it, and one that a command granted
    stays granted as long as the file never said it.
    """
    before = frozenset(applied or ())
    granted = {relation for relation in says if relation not in before and relation not in in_force}
    revoked = {relation for relation in before if relation not in says and relation in in_force}
    return tuple(sorted(granted)), tuple(sorted(revoked))


def type_of(thing: str) -> str:
    """`document` of `document:hr/plan.md`."""
    return thing.partition(":")[0]


class Graph(msgspec.Struct, frozen=True):
    """Relations by their subject, and the (object, relation) pairs that stand as subjects of others."""

    by_subject: dict[tuple[str, str], tuple[Relation, ...]]
    usersets: tuple[tuple[str, str], ...]


def graph(relations: Iterable[str]) -> Graph:
    """The graph of relations in canonical text; raises ValueError for one that is not a relation."""
    found: dict[tuple[str, str], list[Relation]] = {}
    for text in sorted(relations):
        parsed = parse(text)
        if isinstance(parsed, Problem):
            raise ValueError(f"not a relation: {text!r}")
        found.setdefault((parsed.subject, parsed.via), []).append(parsed)
    return Graph(
        by_subject={subject: tuple(sorted(these)) for subject, these in found.items()},
        usersets=tuple(sorted(subject for subject in found if subject[1])),
    )


class Reach(msgspec.Struct):  # not frozen only because the port's Rights has a revision that could be set
    """What one principal may do in one namespace at one revision.

    A folder's documents need a relation once the folder is governed. In the namespace of the whole tenant (empty), a type
    of object is governed as soon as a relation of it was ever recorded there, and open to everybody before.
    """

    revision: int
    namespace: str
    governed: frozenset[str]
    exact: dict[str, frozenset[str]]
    prefixes: dict[str, dict[int, frozenset[str]]]
    patterns: dict[str, tuple[tuple[str, ...], ...]]

    def allows(self, object: str, relation: str = "reader") -> bool:
        """Whether the principal has `relation` to `object`."""
        kind = type_of(object)
        if kind not in self.governed and (not self.namespace or kind == "document"):
            return True
        if object in self.exact.get(relation, ()):
            return True
        for length, prefixes in self.prefixes.get(relation, _NO_PREFIXES).items():
            if object[:length] in prefixes:
                return True
        return any(_matches(pattern, object) for pattern in self.patterns.get(relation, ()))


_NO_PREFIXES: dict[int, frozenset[str]] = {}


def reach(relations: Graph, principal: str, revision: int, namespace: str, governed: Iterable[str]) -> Reach:
    """All that `principal` has by these relations, through any depth of groups, circles included."""
    exact: dict[str, set[str]] = {}
    prefixes: dict[str, dict[int, set[str]]] = {}
    patterns: dict[str, list[tuple[str, ...]]] = {}
    for step, _ in _reached(relations, principal):
        parts = step.object.split("*")
        if len(parts) == 1:
            exact.setdefault(step.relation, set()).add(step.object)
        elif len(parts) == 2 and not parts[1]:
            prefixes.setdefault(step.relation, {}).setdefault(len(parts[0]), set()).add(parts[0])
        else:
            patterns.setdefault(step.relation, []).append(tuple(parts))
    return Reach(
        revision=revision,
        namespace=namespace,
        governed=frozenset(governed),
        exact={relation: frozenset(objects) for relation, objects in exact.items()},
        prefixes={relation: {n: frozenset(p) for n, p in by_length.items()} for relation, by_length in prefixes.items()},
        patterns={relation: tuple(these) for relation, these in patterns.items()},
    )


def explain(relations: Graph, principal: str, object: str, relation: str = "reader") -> tuple[str, ...]:
    """A shortest chain of relations by which `principal` has `relation` to `object`, the granting one first; empty: none."""
    came: dict[Relation, Relation | None] = {}
    for step, before in _reached(relations, principal):
        came[step] = before
        if step.relation == relation and _matches(tuple(step.object.split("*")), object):
            chain: list[str] = []
            link: Relation | None = step
            while link is not None:
                chain.append(link.text)
                link = came[link]
            return tuple(chain)
    return ()


def within(patterns: Iterable[str], path: str) -> bool:
    """Whether a path fits one of the patterns (`*` is any characters, `/` too); without patterns all do."""
    some = tuple(patterns)
    return not some or any(_matches(tuple(_collapsed(pattern).split("*")), path) for pattern in some)


def _reached(relations: Graph, principal: str) -> Iterator[tuple[Relation, Relation | None]]:
    """Every relation that grants the principal something, nearest first, and the one that led to it."""
    seen: set[tuple[str, str]] = set()
    # A principal is a plain thing: no relation has `group:hr#member`, a set of principals, as a subject of that name.
    waiting: deque[tuple[tuple[str, str], Relation | None]] = deque()
    for subject in dict.fromkeys((principal, f"{type_of(principal)}:*")):
        seen.add((subject, ""))
        waiting.append(((subject, ""), None))
    while waiting:
        subject_key, before = waiting.popleft()
        for step in relations.by_subject.get(subject_key, ()):
            yield step, before
            held = [(step.object, step.relation)]
            if "*" in step.object:
                parts = tuple(step.object.split("*"))
                held = [u for u in relations.usersets if u[1] == step.relation and _matches(parts, u[0])]
            for userset in held:
                if userset not in seen:
                    seen.add(userset)
                    waiting.append((userset, step))


def _matches(parts: tuple[str, ...], text: str) -> bool:
    """Whether `text` is the parts with anything between them; greedy from the left, so never more than linear in parts."""
    first, *middle = parts
    if not middle:
        return text == first
    last = middle.pop()
    if not (text.startswith(first) and text.endswith(last)) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _collapsed(thing: str) -> str:
    return re.sub(r"\*{2,}", "*", thing)


def _wrong_object(thing: str) -> str:
    if _THING.fullmatch(thing) is None:
        return f"TYPE:ID with a lower-case type before the `#`; the whole form is {_FORM}"
    if _unprintable(thing):
        return "an object without control characters or surrounding spaces"
    if thing.startswith(("document:/", "document:./", "document:../")):
        return "a document's path relative to its folder, as in document:hr/plan.md"
    return ""


def _wrong_subject(relation: Relation, via: str | None) -> str:
    subject = relation.subject
    id = subject.partition(":")[2]
    if not id or _unprintable(subject):
        return "after the `@` a subject TYPE:ID, as in user:ana or group:hr#member"
    if via is not None and re.fullmatch(_NAME, via) is None:
        return "after the subject's `#` the name of a relation, as in group:hr#member"
    if "*" in id and (id != "*" or via is not None):
        return "`*` in a subject only as its whole id, as in user:*"
    return ""


def _unprintable(thing: str) -> bool:
    id = thing.partition(":")[2]
    return id != id.strip() or any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in thing)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
