"""Relations in SQLite: tables that follow the house log, written in its appends and in no other way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import msgspec

from standpipe.core.events import Event
from standpipe.core.rights import Graph, graph
from standpipe.drivers.access.effects import Effect, effects
from standpipe.drivers.access.recent import Recent, now_ms
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

_ENDS = """
ALTER TABLE relations ADD COLUMN until INTEGER NOT NULL DEFAULT 0;      -- ms since 1970, 0: it does not end
ALTER TABLE relations ADD COLUMN excludes INTEGER NOT NULL DEFAULT 0;   -- 1: a definition by which a relation can take away
CREATE INDEX relations_that_end ON relations (tenant, until) WHERE until > 0;
CREATE INDEX relations_that_exclude ON relations (tenant, namespace) WHERE excludes = 1;
"""

_HEADS = (
    "SELECT revision, revoked,"
    " (SELECT coalesce(max(until), 0) FROM relations WHERE tenant = ?1 AND until > 0 AND until <= ?2)"
    " FROM access_heads WHERE tenant = ?1"
)
_SET_HEADS = (
    "INSERT INTO access_heads VALUES (?1, ?2, iif(?3, ?2, 0)) ON CONFLICT DO UPDATE"
    " SET revision = ?2, revoked = iif(?3, ?2, revoked)"
)
_RELATIONS = "SELECT relation FROM relations WHERE tenant = ? AND namespace = ? ORDER BY relation"
_REVOKE = "DELETE FROM relations WHERE tenant = ? AND namespace = ? AND relation = ?"
_GRANT = "INSERT OR IGNORE INTO relations VALUES (?, ?, ?, ?, ?, ?)"
_END = "DELETE FROM relations WHERE tenant = ? AND until > 0 AND until <= ?"
_EXCLUDES = "SELECT 1 FROM relations WHERE tenant = ? AND namespace = ? AND excludes = 1 LIMIT 1"
_GOVERNED = "SELECT type FROM governed WHERE tenant = ? AND namespace = ?"
_GOVERN = "INSERT OR IGNORE INTO governed VALUES (?, ?, ?, ?)"
_APPLIED = "SELECT relations FROM applied WHERE tenant = ? AND namespace = ?"
_APPLY = "INSERT OR REPLACE INTO applied VALUES (?, ?, ?, ?)"


class SqliteAccess:
    """The AccessStore port on a store that was opened with `SCHEMA`; give `project` to the log."""

    SCHEMA = (Schema("access", (_TABLES, _ENDS)),)

    def __init__(self, store: Store, clock: Callable[[], int] = now_ms) -> None:
        self._store, self._clock = store, clock
        self._recent = Recent()

    def project(self, con: apsw.Connection, _tenant: str, events: tuple[Event, ...]) -> dict[str, int]:
        """Take up house events, in the transaction of the append that writes them; by tenant, the newest of them that took a
        right away."""
        losses = {}
        for effect in effects(events, lambda *namespace: _governed(con, *namespace)):
            if _take_up(con, effect):
                losses[effect.tenant] = effect.revision
        return losses

    def heads(self, tenant: str) -> Heads:
        """The tenant's newest revision, revocation and end that no fact tells, in the store now, over all processes: one
        synchronous read."""
        now = self._clock()
        return self._store.read_one(lambda con: _heads(con, tenant, now))

    async def rights(self, tenant: str, namespace: str, principal: str, revision: int | None = None) -> Rights:
        """The principal's rights in a namespace, current at the time of the call (cached by revision)."""
        if revision is None:
            revision = self.heads(tenant).revision
        place, now = (tenant, namespace, principal), self._clock()
        known = self._recent.rights(place, revision, now)
        if known is not None:
            return known
        snapshot = self._recent.snapshot(tenant, namespace, revision)
        if snapshot is None:
            snapshot = await self._store.read_off(lambda con: _snapshot(con, tenant, namespace))
        return self._recent.work_out(place, snapshot, self._clock())

    async def relations(self, tenant: str, namespace: str) -> list[str]:
        """All relations and definitions in force, in canonical text, sorted."""
        return await self._store.read_off(lambda con: _texts(con, _RELATIONS, tenant, namespace))

    async def applied(self, tenant: str, namespace: str) -> list[str] | None:
        """What the namespace's access.rel said when it was last applied; None if it never had one."""
        found = self._store.read(lambda con: _texts(con, _APPLIED, tenant, namespace))
        return msgspec.json.decode(found[0], type=list[str]) if found else None


def _take_up(con: apsw.Connection, effect: Effect) -> bool:
    """Whether it took a right away."""
    place = (effect.tenant, effect.namespace)
    con.executemany(_REVOKE, [(*place, relation) for relation in effect.revoked])
    con.executemany(_GRANT, [(*place, one.text, effect.revision, one.until, one.excludes) for one in effect.granted])
    con.executemany(_GOVERN, [(*place, type, effect.revision) for type in effect.governs])
    if effect.applied is not None:
        con.execute(_APPLY, (*place, msgspec.json.encode(effect.applied).decode(), effect.revision))
    if effect.ended is not None:
        con.execute(_END, (effect.tenant, effect.ended))
    loses = effect.takes_away(con.execute(_EXCLUDES, place).fetchone() is not None)
    con.execute(_SET_HEADS, (effect.tenant, effect.revision, loses))
    return loses


def _heads(con: apsw.Connection, tenant: str, now: int = 0) -> Heads:
    row: Any = con.execute(_HEADS, (tenant, now)).fetchone()
    return Heads(*row) if row is not None else Heads()


def _governed(con: apsw.Connection, tenant: str, namespace: str) -> frozenset[str]:
    return frozenset(_texts(con, _GOVERNED, tenant, namespace))


def _snapshot(con: apsw.Connection, tenant: str, namespace: str) -> Graph:
    revision, governed = _heads(con, tenant).revision, _governed(con, tenant, namespace)
    return graph(_texts(con, _RELATIONS, tenant, namespace), revision, namespace, governed)


def _texts(con: apsw.Connection, sql: str, tenant: str, namespace: str) -> list[str]:
    rows: Any = con.execute(sql, (tenant, namespace))
    return [text for (text,) in rows]
