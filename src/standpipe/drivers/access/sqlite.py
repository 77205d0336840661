"""Relations in SQLite: tables that follow the house log, written in its appends and in no other way."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from standpipe.core.events import Event
from standpipe.core.relations import graph
from standpipe.drivers.access.effects import Effect, effects
from standpipe.drivers.access.recent import Recent, Snapshot
from standpipe.drivers.sqlite import Schema, Store
from standpipe.ports import Heads, Rights

_TABLES = """
CREATE TABLE access_heads (       -- seqs of the house log: the tenant's newest change of rights, and newest loss of one
  tenant TEXT PRIMARY KEY, revision INTEGER NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE relations (          -- in force, in canonical text; `revision` is the seq that granted it
  tenant TEXT, namespace TEXT, relation TEXT, revision INTEGER NOT NULL,
  PRIMARY KEY (tenant, namespace, relation)) WITHOUT ROWID;
CREATE TABLE governed (           -- types of object that need a relation to be read
  tenant TEXT, namespace TEXT, type TEXT, revision INTEGER NOT NULL, PRIMARY KEY (tenant, namespace, type)) WITHOUT ROWID;
CREATE TABLE applied (            -- what an access.rel said when it was last applied, a JSON array of relations
  tenant TEXT, namespace TEXT, relations TEXT NOT NULL, revision INTEGER NOT NULL,
  PRIMARY KEY (tenant, namespace)) WITHOUT ROWID;
"""

_HEADS = "SELECT revision, revoked FROM access_heads WHERE tenant = ?"
_SET_HEADS = (
    "INSERT INTO access_heads VALUES (?1, ?2, iif(?3, ?2, 0)) ON CONFLICT DO UPDATE"
    " SET revision = ?2, revoked = iif(?3, ?2, revoked)"
)
_RELATIONS = "SELECT relation FROM relations WHERE tenant = ? AND namespace = ? ORDER BY relation"
_REVOKE = "DELETE FROM relations WHERE tenant = ? AND namespace = ? AND relation = ?"
_GRANT = "INSERT OR IGNORE INTO relations VALUES (?, ?, ?, ?)"
_GOVERNED = "SELECT type FROM governed WHERE tenant = ? AND namespace = ?"
_GOVERN = "INSERT OR IGNORE INTO governed VALUES (?, ?, ?, ?)"
_APPLIED = "SELECT relations FROM applied WHERE tenant = ? AND namespace = ?"
_APPLY = "INSERT OR REPLACE INTO applied VALUES (?, ?, ?, ?)"


class SqliteAccess:
    """The AccessStore port on a store that was opened with `SCHEMA`; give `project` to the log."""

    SCHEMA = (Schema("access", (_TABLES,)),)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent = Recent()

    def project(self, con: apsw.Connection, _tenant: str, events: tuple[Event, ...]) -> dict[str, int]:
        """Take up house events, in the transaction of the append that writes them; by tenant, the newest of them that took a
        right away."""
        losses = {}
        for effect in effects(events, lambda *namespace: _governed(con, *namespace)):
            _take_up(con, effect)
            if effect.takes_away:
                losses[effect.tenant] = effect.revision
        return losses

    def heads(self, tenant: str) -> Heads:
        """The tenant's newest revision and revocation in the store now, over all processes: one synchronous read."""
        return self._store.read_one(lambda con: _heads(con, tenant))

    async def rights(self, tenant: str, namespace: str, principal: str, revision: int | None = None) -> Rights:
        """The principal's rights in a namespace, current at the time of the call (cached by revision)."""
        if revision is None:
            revision = self.heads(tenant).revision
        known = self._recent.rights(tenant, namespace, principal, revision)
        if known is not None:
            return known
        snapshot = self._recent.snapshot(tenant, namespace, revision)
        if snapshot is None:
            snapshot = await self._store.read_off(lambda con: _snapshot(con, tenant, namespace))
        return self._recent.work_out(tenant, namespace, principal, snapshot)

    async def relations(self, tenant: str, namespace: str) -> list[str]:
        """All relations in force, in canonical text, sorted."""
        return await self._store.read_off(lambda con: _texts(con, _RELATIONS, tenant, namespace))

    async def applied(self, tenant: str, namespace: str) -> list[str] | None:
        """What the namespace's access.rel said when it was last applied; None if it never had one."""
        found = self._store.read(lambda con: _texts(con, _APPLIED, tenant, namespace))
        return msgspec.json.decode(found[0], type=list[str]) if found else None


def _take_up(con: apsw.Connection, effect: Effect) -> None:
    place = (effect.tenant, effect.namespace)
    con.executemany(_REVOKE, [(*place, relation) for relation in effect.revoked])
    con.executemany(_GRANT, [(*place, relation, effect.revision) for relation in effect.granted])
    con.executemany(_GOVERN, [(*place, type, effect.revision) for type in effect.governs])
    if effect.applied is not None:
        con.execute(_APPLY, (*place, msgspec.json.encode(effect.applied).decode(), effect.revision))
    con.execute(_SET_HEADS, (effect.tenant, effect.revision, effect.takes_away))


def _heads(con: apsw.Connection, tenant: str) -> Heads:
    row: Any = con.execute(_HEADS, (tenant,)).fetchone()
    return Heads(*row) if row is not None else Heads()


def _governed(con: apsw.Connection, tenant: str, namespace: str) -> frozenset[str]:
    return frozenset(_texts(con, _GOVERNED, tenant, namespace))


def _snapshot(con: apsw.Connection, tenant: str, namespace: str) -> Snapshot:
    in_force = graph(_texts(con, _RELATIONS, tenant, namespace))
    return Snapshot(_heads(con, tenant).revision, in_force, _governed(con, tenant, namespace))


def _texts(con: apsw.Connection, sql: str, tenant: str, namespace: str) -> list[str]:
    rows: Any = con.execute(sql, (tenant, namespace))
    return [text for (text,) in rows]
