"""Writes the appends of one group commit: each judged on its own, all stored with a few statements.

What an append depends on (head and fence of its log, the newest revocation, the commit before it) is remembered from one
group to the next, for as long as no other process has written to the store: SQLite's `data_version` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw
import msgspec

from standpipe.core.amounts import Balance
from standpipe.core.events import Event
from standpipe.core.frames import digest_commit, link
from standpipe.core.ids import HOUSE, digest_bytes
from standpipe.drivers.log import tables
from standpipe.drivers.log.judge import Found, fork_in, moved, refusal
from standpipe.drivers.sqlite import Store
from standpipe.ports import Append, Appended, Fenced, Short, Stale

Projection = Callable[[apsw.Connection, str, tuple[Event, ...]], dict[str, int]]
"""Keeps a table in step with the house log: called with each house append's tenant and events, in its transaction; returns
by tenant the seq of the newest of them that took a right away."""

KNOWN_MAX = 20_000
"""Sessions, tenants and parts remembered at most; some 5 MB."""
TOGETHER = (32, 8, 1)
"""Rows that go into one statement: around each statement the interpreter's lock changes hands, which costs more than a row,
and of few sizes few statements are prepared."""

Answer = Appended | Stale | Fenced | Short

_ENCODER = msgspec.json.Encoder()


class Ready(msgspec.Struct, frozen=True):
    """An append, with the bytes of its frame (still without `prev`) and of its item bodies by hash."""

    append: Append
    data: bytes
    bodies: dict[str, bytes]


class _Log(msgspec.Struct):
    """A session as the store has it: its row, head, and the fence in force; `id` None if it has no row yet."""

    id: int | None
    seq: int
    head: str
    fence: int


class _Group(msgspec.Struct):
    """The rows that a group is about to write; `heads` are the digests of its frames by session, in their order."""

    frames: list[tuple[object, ...]] = []
    sessions: dict[int, tuple[object, ...]] = {}
    bodies: list[tuple[object, ...]] = []
    parts: dict[str, bytes] = {}
    heads: list[tuple[str, str]] = []


class Appender:
    """What is known of the store's logs, and how appends are written to them."""

    def __init__(self, store: Store, projections: Sequence[Projection]) -> None:
        self._store, self._projections = store, tuple(projections)
        self._known_at: tuple[int, int] = (-1, -1)
        self._logs: dict[str, _Log] = {}
        self._revoked: dict[str, int] = {}
        self._parts: set[str] = set()
        self._commit: tuple[int, int, str] = (0, 0, "")
        self.others = 0
        """How often it turned out that another process had written."""

    @property
    def last_frame(self) -> int:
        """The id of the last frame that this process wrote or knew of when it wrote; 0 if that is not certain."""
        return self._commit[1] if self._known_at[1] == self._store.rollbacks else 0

    def forget(self, session: str) -> None:
        """The session's lease is about to change."""
        self._logs.pop(session, None)

    def write(self, con: apsw.Connection, group: Sequence[Ready]) -> list[Answer | Exception]:
        """Judge and write the appends in a transaction that holds the store's write lock."""
        self._refresh(con)
        rows = _Group()
        try:
            answers = [self._one(con, ready, rows) for ready in group]
            if rows.frames:
                self._store_rows(con, rows)
        except BaseException:
            self._known_at = (-1, -1)
            raise
        return answers

    def _refresh(self, con: apsw.Connection) -> None:
        at = (_row(con, "PRAGMA data_version")[0], self._store.rollbacks)
        if at != self._known_at:
            self.others += 1
            self._known_at = at
            self._commit = _row(con, tables.LAST_COMMIT) or (0, 0, "")
            self._clear()
        elif len(self._logs) + len(self._parts) > KNOWN_MAX:
            self._clear()

    def _clear(self) -> None:
        self._logs.clear()
        self._revoked.clear()
        self._parts.clear()

    def _one(self, con: apsw.Connection, ready: Ready, rows: _Group) -> Answer | Exception:
        """The answer to one append; what it writes at once it writes after it can no longer be refused."""
        append = ready.append
        log = self._logs.get(append.session) or self._look(con, append.session)
        fork = fork_in(append) if log.id is None else None
        if fork is not None and end(con, fork.parent, fork.at) == fork.head:
            log.seq, log.head = fork.at, fork.head
        found = Found(
            seq=log.seq,
            fence=log.fence,
            revoked=self._newest_loss(con, append.tenant),
            repeated=any(_row(con, tables.REQUEST, append.session, request) for request in append.requests),
            balances={account: balance(con, account) for account in {move.account for move in append.moves}},
        )
        refused = refusal(append, found)
        if refused is not None:
            return refused
        try:
            changes = moved(append.moves, found.balances)
            if append.session == HOUSE:
                self._project(con, append)
        except Exception as trouble:  # a bug of one append is no bug of the others
            return trouble
        if log.id is None:
            con.execute(tables.ADD_SESSION, (append.session, append.tenant))
            log.id = con.last_insert_rowid()
            if fork is not None:
                con.execute(tables.ADD_FORK, (append.session, fork.parent, fork.at))
        for request in append.requests:
            con.execute(tables.ADD_REQUEST, (append.session, request))
        for account, row in changes.items():
            con.execute(tables.SET_BALANCE, (account, row.held, row.spent))
        return self._put(log, ready, rows)

    def _put(self, log: _Log, ready: Ready, rows: _Group) -> Appended:
        append = ready.append
        assert log.id is not None
        stored = link(ready.data, log.head)
        log.seq, log.head = append.events[-1].seq, digest_bytes(stored)
        frame = self._commit[1] + len(rows.frames) + 1
        rows.frames.append((frame, log.id, append.expect_seq + 1, log.seq, log.head, stored))
        row = _ENCODER.encode(append.row).decode() if append.row else rows.sessions.get(log.id, (None,))[-1]
        rows.sessions[log.id] = (log.id, log.seq, log.head, frame, row)
        rows.bodies += [(append.tenant, hash, body) for hash, body in ready.bodies.items()]
        rows.parts.update({name: part for name, part in append.parts.items() if name not in self._parts})
        rows.heads.append((append.session, log.head))
        return Appended(log.seq, log.head)

    def _look(self, con: apsw.Connection, session: str) -> _Log:
        log = self._logs[session] = _Log(*_row(con, tables.SESSION, session))
        return log

    def _newest_loss(self, con: apsw.Connection, tenant: str) -> int:
        if tenant not in self._revoked:
            (self._revoked[tenant],) = _row(con, tables.REVOKED, tenant) or (0,)
        return self._revoked[tenant]

    def _project(self, con: apsw.Connection, append: Append) -> None:
        con.execute("SAVEPOINT house")
        try:
            for projection in self._projections:
                losses = projection(con, append.tenant, append.events)
                con.executemany(tables.SET_REVOKED, losses.items())
                self._revoked |= losses
        except BaseException:
            self._revoked.clear()
            if con.in_transaction:
                con.execute("ROLLBACK TO house")
            raise
        finally:
            if con.in_transaction:
                con.execute("RELEASE house")

    def _store_rows(self, con: apsw.Connection, rows: _Group) -> None:
        number, _, prev = self._commit
        _together(con, tables.ADD_FRAMES, rows.frames)
        _together(con, tables.SET_HEADS, list(rows.sessions.values()))
        _together(con, tables.ADD_BODIES, rows.bodies)
        _together(con, tables.ADD_PARTS, list(rows.parts.items()))
        self._parts |= rows.parts.keys()
        self._commit = (number + 1, self._commit[1] + len(rows.frames), digest_commit(prev, rows.heads))
        con.execute(tables.ADD_COMMIT, self._commit)


def end(con: apsw.Connection, session: str, seq: int) -> str:
    """The digest of the frame of a session, or of what it shares, that ends at `seq`; empty for none."""
    found, fork = _row(con, tables.END, session, seq), _row(con, tables.FORK, session)
    if found is not None:
        return str(found[0])
    return end(con, fork[0], seq) if fork is not None and seq <= fork[1] else ""


def balance(con: apsw.Connection, account: str) -> Balance:
    """A ledger row."""
    return Balance(*(_row(con, tables.BALANCE, account) or (0, 0)))


def _together(con: apsw.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Have a statement with a list of values work on these rows."""
    first = 0
    for size in TOGETHER:
        while len(rows) - first >= size:
            some = rows[first : first + size]
            places = f"({', '.join('?' * len(some[0]))})"
            con.execute(statement.replace("$", ", ".join([places] * size)), [value for row in some for value in row])
            first += size


def _row(con: apsw.Connection, sql: str, *bindings: object) -> Any:
    """The only row of an answer as a tuple, or None."""
    return con.execute(sql, bindings).fetchone()
