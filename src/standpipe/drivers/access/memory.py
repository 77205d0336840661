"""Relations in memory: what the house log's facts add up to, for tests and simulation."""

from __future__ import annotations

from collections.abc import Callable

from standpipe.core.events import Event
from standpipe.core.rights import graph
from standpipe.drivers.access.effects import Effect, Granted, effects
from standpipe.drivers.access.recent import Recent, now_ms
from standpipe.ports import Heads, Rights

_Namespace = tuple[str, str]


class MemoryAccess:
    """The AccessStore port without a store; give `project` to the log."""

    def __init__(self, clock: Callable[[], int] = now_ms) -> None:
        self._clock = clock
        self._heads: dict[str, Heads] = {}
        self._relations: dict[_Namespace, dict[str, Granted]] = {}
        self._ends: dict[str, list[int]] = {}
        self._governed: dict[_Namespace, frozenset[str]] = {}
        self._applied: dict[_Namespace, tuple[str, ...]] = {}
        self._recent = Recent()

    def project(self, _con: object, _tenant: str, events: tuple[Event, ...]) -> dict[str, int]:
        """Take up house events, in the append that writes them; by tenant, the newest of them that took a right away."""
        losses = {}
        for effect in effects(events, lambda *namespace: self._governed.get(namespace, frozenset())):
            namespace = (effect.tenant, effect.namespace)
            self._take_up(effect)
            self._governed[namespace] = self._governed.get(namespace, frozenset()).union(effect.governs)
            if effect.applied is not None:
                self._applied[namespace] = effect.applied
            loses = effect.takes_away(any(one.excludes for one in self._relations.get(namespace, {}).values()))
            revoked = effect.revision if loses else self._heads.get(effect.tenant, Heads()).revoked
            self._heads[effect.tenant] = Heads(effect.revision, revoked)
            if loses:
                losses[effect.tenant] = effect.revision
        return losses

    def _take_up(self, effect: Effect) -> None:
        in_force = self._relations.setdefault((effect.tenant, effect.namespace), {})
        for text in effect.revoked:
            in_force.pop(text, None)
        in_force |= {one.text: one for one in effect.granted}
        if effect.ended is not None:
            for these in self._of(effect.tenant):
                for one in [one for one in these.values() if 0 < one.until <= effect.ended]:
                    del these[one.text]
        self._ends[effect.tenant] = [one.until for these in self._of(effect.tenant) for one in these.values() if one.until]

    def _of(self, tenant: str) -> list[dict[str, Granted]]:
        return [these for (owner, _), these in self._relations.items() if owner == tenant]

    def heads(self, tenant: str) -> Heads:
        """The tenant's newest revision, revocation and end that no fact tells."""
        kept, now = self._heads.get(tenant, Heads()), self._clock()
        ends = [end for end in self._ends.get(tenant, ()) if end <= now]
        return Heads(kept.revision, kept.revoked, max(ends)) if ends else kept

    async def rights(self, tenant: str, namespace: str, principal: str, revision: int | None = None) -> Rights:
        """The principal's rights in a namespace, current at the time of the call."""
        if revision is None:
            revision = self.heads(tenant).revision
        place, now = (tenant, namespace, principal), self._clock()
        known = self._recent.rights(place, revision, now)
        if known is not None:
            return known
        snapshot = self._recent.snapshot(tenant, namespace, revision)
        if snapshot is None:
            revision = self.heads(tenant).revision
            in_force = self._relations.get((tenant, namespace), ())
            snapshot = graph(in_force, revision, namespace, self._governed.get((tenant, namespace), ()))
        return self._recent.work_out(place, snapshot, now)

    async def relations(self, tenant: str, namespace: str) -> list[str]:
        """All relations and definitions in force, in canonical text, sorted."""
        return sorted(self._relations.get((tenant, namespace), ()))

    async def applied(self, tenant: str, namespace: str) -> list[str] | None:
        """What the namespace's access.rel said when it was last applied; None if it never had one."""
        applied = self._applied.get((tenant, namespace))
        return None if applied is None else list(applied)
