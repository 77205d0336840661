"""Relations in memory: what the house log's facts add up to, for tests and simulation."""

from __future__ import annotations

from standpipe.core.events import Event
from standpipe.core.relations import graph
from standpipe.drivers.access.effects import effects
from standpipe.drivers.access.recent import Recent, Snapshot
from standpipe.ports import Heads, Rights

_Namespace = tuple[str, str]


class MemoryAccess:
    """The AccessStore port without a store; give `project` to the log."""

    def __init__(self) -> None:
        self._heads: dict[str, Heads] = {}
        self._relations: dict[_Namespace, set[str]] = {}
        self._governed: dict[_Namespace, frozenset[str]] = {}
        self._applied: dict[_Namespace, tuple[str, ...]] = {}
        self._recent = Recent()

    def project(self, _con: object, _tenant: str, events: tuple[Event, ...]) -> dict[str, int]:
        """Take up house events, in the append that writes them; by tenant, the newest of them that took a right away."""
        losses = {}
        for effect in effects(events, lambda *namespace: self._governed.get(namespace, frozenset())):
            namespace = (effect.tenant, effect.namespace)
            in_force = self._relations.setdefault(namespace, set())
            in_force.difference_update(effect.revoked)
            in_force.update(effect.granted)
            self._governed[namespace] = self._governed.get(namespace, frozenset()).union(effect.governs)
            if effect.applied is not None:
                self._applied[namespace] = effect.applied
            revoked = effect.revision if effect.takes_away else self.heads(effect.tenant).revoked
            self._heads[effect.tenant] = Heads(effect.revision, revoked)
            if effect.takes_away:
                losses[effect.tenant] = effect.revision
        return losses

    def heads(self, tenant: str) -> Heads:
        """The tenant's newest revision and revocation."""
        return self._heads.get(tenant, Heads())

    async def rights(self, tenant: str, namespace: str, principal: str, revision: int | None = None) -> Rights:
        """The principal's rights in a namespace, current at the time of the call."""
        if revision is None:
            revision = self.heads(tenant).revision
        known = self._recent.rights(tenant, namespace, principal, revision)
        if known is not None:
            return known
        snapshot = self._recent.snapshot(tenant, namespace, revision)
        if snapshot is None:
            revision = self.heads(tenant).revision
            in_force = self._relations.get((tenant, namespace), ())
            snapshot = Snapshot(revision, graph(in_force), self._governed.get((tenant, namespace), frozenset()))
        return self._recent.work_out(tenant, namespace, principal, snapshot)

    async def relations(self, tenant: str, namespace: str) -> list[str]:
        """All relations in force, in canonical text, sorted."""
        return sorted(self._relations.get((tenant, namespace), ()))

    async def applied(self, tenant: str, namespace: str) -> list[str] | None:
        """What the namespace's access.rel said when it was last applied; None if it never had one."""
        applied = self._applied.get((tenant, namespace))
        return None if applied is None else list(applied)
