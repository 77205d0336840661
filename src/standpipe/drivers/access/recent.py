"""The rights that were worked out last, so that a check costs a look-up while no relation of the tenant changes."""

from __future__ import annotations

from typing import TypeVar

from standpipe.core.relations import Graph, Reach, reach

K = TypeVar("K")
V = TypeVar("V")

REACHES_MAX = 8_192
GRAPHS_MAX = 256
"""How many principals' rights and how many namespaces' relations are kept; the ones made first go first."""


class Snapshot:
    """A namespace's relations at one revision of its tenant, ready to be asked."""

    def __init__(self, revision: int, graph: Graph, governed: frozenset[str]) -> None:
        self.revision, self.graph, self.governed = revision, graph, governed


class Recent:
    """Reaches and snapshots by what they are of; one of an older revision is never given out."""

    def __init__(self) -> None:
        self._reaches: dict[tuple[str, str, str], Reach] = {}
        self._snapshots: dict[tuple[str, str], Snapshot] = {}

    def rights(self, tenant: str, namespace: str, principal: str, revision: int) -> Reach | None:
        """The principal's rights if they are known at this revision."""
        found = self._reaches.get((tenant, namespace, principal))
        return found if found is not None and found.revision == revision else None

    def snapshot(self, tenant: str, namespace: str, revision: int) -> Snapshot | None:
        """The namespace's relations if they are known at this revision."""
        found = self._snapshots.get((tenant, namespace))
        return found if found is not None and found.revision == revision else None

    def work_out(self, tenant: str, namespace: str, principal: str, snapshot: Snapshot) -> Reach:
        """The principal's rights by a snapshot, kept for the next time."""
        made = reach(snapshot.graph, principal, snapshot.revision, namespace, snapshot.governed)
        _keep(self._snapshots, (tenant, namespace), snapshot, GRAPHS_MAX)
        _keep(self._reaches, (tenant, namespace, principal), made, REACHES_MAX)
        return made


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
