"""What a fact of the house log changes in the relations: the one reading of it that every access store shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from standpipe.core.events import Event, FolderSynced, RelationsChanged
from standpipe.core.relations import Problem, parse, type_of


class Effect(msgspec.Struct, frozen=True):
    """The change one fact makes at revision `revision`, in this order: revoked, granted.

    `governs` are the types of object that were open to everybody so far. `applied` is None unless an access.rel was
    applied. `takes_away` says that somebody may have lost a right.
    """

    revision: int
    tenant: str
    namespace: str
    granted: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    governs: tuple[str, ...] = ()
    applied: tuple[str, ...] | None = None

    @property
    def takes_away(self) -> bool:
        """Whether a right may be gone: a relation was revoked, or what was open now asks for one."""
        return bool(self.revoked or self.governs)


def effects(events: tuple[Event, ...], governed: Callable[[str, str], frozenset[str]]) -> Iterator[Effect]:
    """The effects of house events in their order; `governed` gives a tenant's and namespace's governed types so far."""
    for event in events:
        fact = event.fact
        if isinstance(fact, RelationsChanged):
            for text in fact.granted:
                relation = parse(text)
                assert not isinstance(relation, Problem) and relation.text == text, "a relation that is not canonical"
            named = {type_of(text) for text in (*fact.granted, *fact.revoked)} if not fact.namespace else set()
            yield Effect(
                revision=event.seq,
                tenant=fact.tenant,
                namespace=fact.namespace,
                granted=fact.granted,
                revoked=fact.revoked,
                governs=tuple(sorted(named - governed(fact.tenant, fact.namespace))),
                applied=fact.applied if fact.origin == "file" else None,
            )
        elif isinstance(fact, FolderSynced) and fact.governed and "document" not in governed(fact.tenant, fact.folder):
            yield Effect(event.seq, fact.tenant, fact.folder, governs=("document",))
