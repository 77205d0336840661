"""What a fact of the house log changes in the relations: the one reading of it that every access store shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from standpipe.core.definitions import Definition
from standpipe.core.events import Event, FolderSynced, RelationsChanged, RelationsLapsed
from standpipe.core.relations import Problem, Relation, read


class Effect(msgspec.Struct, frozen=True):
    """The change one fact makes at revision `revision`, in this order: revoked, granted.

    `governs` are the types of object that were open to everybody so far. `applied` is None unless an access.rel was
    applied. `ended`, if it is there, puts out of force what ended until that instant (ms), in all of the tenant's namespaces.
    """

    revision: int
    tenant: str
    namespace: str
    granted: tuple[Granted, ...] = ()
    revoked: tuple[str, ...] = ()
    governs: tuple[str, ...] = ()
    applied: tuple[str, ...] | None = None
    ended: int | None = None

    def takes_away(self, excludes: bool) -> bool:
        """Whether a right may be gone: a relation was revoked or ended, what was open now asks for one, or a relation was
        granted where definitions exclude who has it (`excludes`), or a definition itself."""
        limits = any(one.defines for one in self.granted) or (excludes and bool(self.granted))
        return bool(self.revoked or self.governs or limits) or self.ended is not None


class Granted(msgspec.Struct, frozen=True):
    """The text of a relation or definition, and what a store keeps beside it: its end (ms, 0: none), whether it is a
    definition, and whether that excludes anybody."""

    text: str
    until: int = 0
    defines: bool = False
    excludes: bool = False


def effects(events: tuple[Event, ...], governed: Callable[[str, str], frozenset[str]]) -> Iterator[Effect]:
    """The effects of house events in their order; `governed` gives a tenant's and namespace's governed types so far."""
    for event in events:
        fact = event.fact
        if isinstance(fact, RelationsChanged):
            named = {_type(text) for text in (*fact.granted, *fact.revoked)} if not fact.namespace else set()
            yield Effect(
                revision=event.seq,
                tenant=fact.tenant,
                namespace=fact.namespace,
                granted=tuple(_granted(text) for text in fact.granted),
                revoked=fact.revoked,
                governs=tuple(sorted(named - governed(fact.tenant, fact.namespace))),
                applied=fact.applied if fact.origin == "file" else None,
            )
        elif isinstance(fact, FolderSynced) and fact.governed and "document" not in governed(fact.tenant, fact.folder):
            yield Effect(event.seq, fact.tenant, fact.folder, governs=("document",))
        elif isinstance(fact, RelationsLapsed):
            yield Effect(event.seq, fact.tenant, "", ended=fact.until)


def _granted(text: str) -> Granted:
    said = read(text)
    assert not isinstance(said, Problem) and said.text == text, "a relation that is not canonical"
    if isinstance(said, Relation):
        return Granted(text, said.until)
    return Granted(text, defines=True, excludes=said.excludes)


def _type(text: str) -> str:
    """The type of object that a relation or definition is about."""
    said = read(text)
    return said.type if isinstance(said, Definition) else text.partition(":")[0]
