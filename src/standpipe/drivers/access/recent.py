"""The rights that were worked out last, so that a check costs a look-up while no relation of the tenant changes."""

from __future__ import annotations

import time
from typing import TypeVar

from standpipe.core.rights import Graph, Reach, reach

K = TypeVar("K")
V = TypeVar("V")

Place = tuple[str, str, str]
"""A tenant, one of its namespaces, and a principal."""

REACHES_MAX = 8_192
GRAPHS_MAX = 256
"""How many principals' rights and how many namespaces' relations are kept; the ones made first go first."""


def now_ms() -> int:
    """The wall clock, in ms since 1970."""
    return time.time_ns() // 1_000_000


class Recent:
    """Reaches and snapshots by what they are of; one of an older revision is never given out."""

    def __init__(self) -> None:
        self._reaches: dict[Place, Reach] = {}
        self._snapshots: dict[tuple[str, str], Graph] = {}

    def rights(self, place: Place, revision: int, now: int) -> Reach | None:
        """The principal's rights if they are known at this revision, and nothing ended since."""
        found = self._reaches.get(place)
        return found if found is not None and found.revision == revision and now < found.until else None

    def snapshot(self, tenant: str, namespace: str, revision: int) -> Graph | None:
        """The namespace's relations if they are known at this revision."""
        found = self._snapshots.get((tenant, namespace))
        return found if found is not None and found.revision == revision else None

    def work_out(self, place: Place, snapshot: Graph, now: int) -> Reach:
        """The principal's rights by a snapshot at `now`, kept for the next time."""
        tenant, namespace, principal = place
        made = reach(snapshot, principal, now)
        _keep(self._snapshots, (tenant, namespace), snapshot, GRAPHS_MAX)
        _keep(self._reaches, place, made, REACHES_MAX)
        return made


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
