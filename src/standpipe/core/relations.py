"""Who may do what with which thing: the text of relations and of an access.rel, and what a new text of it changes.

A relation `document:hr/*#reader@group:hr#member` reads: whoever is a `member` of `group:hr` is a `reader` of every
document under `hr/`. With ` until 2026-12-01T00:00Z` behind it, it holds before that instant. What definitions (`definitions`)
make of relations, `rights` knows. This is the model of Zanzibar (Pang et al., USENIX ATC 2019), with `*` in place of a
hierarchy of objects.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from standpipe.core.definitions import Contradiction, Definition, Node, contradiction, is_definition, parse_definition

_NAME = r"[a-z][a-z0-9_-]*"
_THING = re.compile(rf"{_NAME}:(?P<id>.+)", re.DOTALL)
_SPLIT = re.compile(rf"(?P<object>.+?)#(?P<relation>{_NAME})@(?P<subject>{_NAME}:[^#]*)(?:#(?P<via>.*))?", re.DOTALL)
_UNTIL = re.compile(r"(?P<bare>.*\S)\s+until\s+(?P<instant>\d{4}-\S*)", re.DOTALL)
_INSTANT = "after `until` an instant, as in 2026-12-01T00:00Z"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMMENT = re.compile(r"(?:^|\s)//.*$")
_FORM = "TYPE:ID#RELATION@SUBJECT, as in document:hr/*#reader@group:hr#member"
_SHOWN = 100


class Relation(msgspec.Struct, frozen=True, order=True):
    """`subject` (with `via`: whoever has relation `via` to it) has `relation` to `object`, before the instant `until` (ms since
    1970, whole seconds; 0: for good). Canonical: equal means same."""

    object: str
    relation: str
    subject: str
    via: str = ""
    until: int = 0

    @property
    def text(self) -> str:
        """The canonical text, which `parse` turns back into this relation."""
        return f"{self.bare}{f' until {instant_text(self.until)}' if self.until else ''}"

    @property
    def bare(self) -> str:
        """The canonical text without its end."""
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
    ends = _UNTIL.fullmatch(text)
    split = _SPLIT.fullmatch(ends["bare"] if ends is not None else text)
    if split is None:
        return Problem(line, _shown(text), _FORM)
    until = _instant(ends["instant"]) if ends is not None else 0
    if until is None:
        return Problem(line, _shown(text), _INSTANT)
    named = _collapsed(split["object"]), split["relation"], _collapsed(split["subject"]), split["via"] or ""
    relation = Relation(*named, until)
    wrong = _wrong_object(relation.object) or _wrong_subject(relation, split["via"])
    return Problem(line, _shown(text), wrong) if wrong else relation


def read(text: str, line: int = 1) -> Relation | Definition | Problem:
    """What a line of an access.rel says: a relation or a definition."""
    if not is_definition(text):
        return parse(text, line)
    found = parse_definition(text)
    return Problem(line, _shown(text.strip()), found) if isinstance(found, str) else found


def parse_access_file(text: str) -> tuple[str, ...] | Problem:
    """What an access.rel says in canonical text, sorted, each once; or what is wrong with its first bad line.

    A thing is defined once, and what it defines has a meaning together with the relations (`contradiction`).
    """
    lines: dict[str, int] = {}
    defined: dict[Node, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        bare = _COMMENT.sub("", line.rstrip("\r")).strip()
        if not bare:
            continue
        said = read(bare, number)
        if isinstance(said, Problem):
            return said
        if isinstance(said, Definition) and defined.setdefault(said.node, said.text) != said.text:
            already = lines[defined[said.node]]
            return Problem(number, _shown(bare), f"one definition of {'#'.join(said.node)}; it is defined in line {already}")
        lines.setdefault(said.text, number)
    wrong = inconsistent(lines)
    if wrong is not None:
        return Problem(lines[wrong.text], _shown(wrong.text), wrong.expected)
    return tuple(sorted(lines))


def inconsistent(texts: Iterable[str]) -> Contradiction | None:
    """Which of these definitions has no meaning together with the relations, or None."""
    if not any(is_definition(text) for text in texts):
        return None
    return contradiction(*_parted(texts))


def _parted(texts: Iterable[str]) -> tuple[Mapping[Node, Definition], Mapping[tuple[Node, Node], str]]:
    """Definitions by what they define, and one relation for each way that sets of principals lead from type to type."""
    definitions: dict[Node, Definition] = {}
    edges: dict[tuple[Node, Node], str] = {}
    for text in texts:
        said = read(text)
        if isinstance(said, Definition):
            definitions[said.node] = said
        elif isinstance(said, Relation) and said.via:
            edges.setdefault(((type_of(said.object), said.relation), (type_of(said.subject), said.via)), text)
    return definitions, edges


def replaced(in_force: Collection[str], granted: Iterable[str]) -> frozenset[str]:
    """What granting these puts out of force: the same relation with another end, another definition of the same."""
    keys = {_key(text) for text in granted}
    return frozenset(text for text in in_force if _key(text) in keys).difference(granted)


def meant(in_force: Collection[str], revoked: Iterable[str]) -> frozenset[str]:
    """What in force is meant by these: a relation without an end means it with any."""
    wanted = frozenset(revoked)
    return frozenset(text for text in in_force if text in wanted or _bare(text) in wanted)


def instant_text(instant: int) -> str:
    """An instant (ms since 1970) in UTC, without seconds where it is a whole minute."""
    moment = datetime.fromtimestamp(instant // 1_000, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='seconds' if moment.second else 'minutes')}Z"


def difference(
    applied: Collection[str] | None, says: Collection[str], in_force: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a new access.rel grants and revokes: only what it says differently from when it was last applied (None: never).

    So a relation that a command revoked stays revoked while the file goes on saying it, and one that a command granted
    stays granted as long as the file never said it, or says it anew with another end.
    """
    before = frozenset(applied or ())
    new = {relation for relation in says if relation not in before}
    granted = {relation for relation in new if relation not in in_force}
    revoked = {relation for relation in before if relation not in says and relation in in_force}
    revoked |= {relation for relation in replaced(in_force, new) if relation not in says}
    return tuple(sorted(granted)), tuple(sorted(revoked))


def type_of(thing: str) -> str:
    """`document` of `document:hr/plan.md`."""
    return thing.partition(":")[0]


def within(patterns: Iterable[str], path: str) -> bool:
    """Whether a path fits one of the patterns (`*` is any characters, `/` too); without patterns all do."""
    some = tuple(patterns)
    return not some or any(matches(tuple(_collapsed(pattern).split("*")), path) for pattern in some)


def matches(parts: tuple[str, ...], text: str) -> bool:
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


def _instant(text: str) -> int | None:
    """Milliseconds since 1970 of a whole second after it, if the text names one with its zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or moment.microsecond or moment <= _EPOCH:
        return None
    return int((moment - _EPOCH).total_seconds()) * 1_000


def _bare(text: str) -> str:
    said = read(text)
    return said.bare if isinstance(said, Relation) else text


def _key(text: str) -> str:
    """The same for all that can only stand in each other's place."""
    said = read(text)
    return "#".join(said.node) if isinstance(said, Definition) else _bare(text)


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
