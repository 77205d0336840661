"""The log in SQLite: one append is one row of `frames` and what goes with it, in the group's transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from standpipe.core.amounts import Balance
from standpipe.core.events import Frame
from standpipe.core.frames import fill, hashes_of
from standpipe.drivers.log import tables
from standpipe.drivers.log.appending import Answer, Appender, Projection, Ready, balance, end
from standpipe.drivers.log.chain import Commit, StoredFrame, content_faults, fork_faults, frame_faults
from standpipe.drivers.log.judge import frame_of, prepare, read_back, taken
from standpipe.drivers.log.owner import dead
from standpipe.drivers.log.waiters import Listeners
from standpipe.drivers.sqlite import Store
from standpipe.errors import StoreError
from standpipe.ports import Append, Appended, Fenced, Hear, Lease, Owner, SessionRow, Short, Snapshot, Stale

POLL_S = 0.05
"""How often the log looks for what other processes wrote, while anybody waits for it."""

SHORT_READ = 200
"""Up to so many events a log is read at once; more are read in another thread."""

SEQ_MAX = 2**62
"""No log is longer."""

_ENCODER = msgspec.json.Encoder()
_ROW = msgspec.json.Decoder(SessionRow)
_OWNER = msgspec.json.Decoder(Owner)


class SqliteLog:
    """The Log port on a store that was opened with `tables.SCHEMA`."""

    def __init__(self, store: Store, projections: Sequence[Projection] = (), gone: Callable[[Owner], bool] = dead) -> None:
        """`gone` says whether an owner is dead for certain; simulation brings its own."""
        self._store = store
        self._appender = Appender(store, projections)
        self._gone = gone
        self._listeners = Listeners()
        self._watching: asyncio.AbstractEventLoop | None = None
        self._last_frame = 0
        self._others = 0

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """Write one frame with its moves, bodies and world, all or nothing; returns when it is durable."""
        data, bodies = prepare(append)
        answer: Answer = await self._store.write_in(self._appender.write, Ready(append, data, bodies))
        if isinstance(answer, Appended):
            self._listeners.tell(append.session, frame_of(append))
        return answer

    async def read(self, session: str, after: int = 0, *, bodies: bool = True, limit: int | None = None) -> list[Frame]:
        """The frames that hold events after seq `after`, oldest first and `limit` at most; with item bodies unless they are
        not wanted."""

        def frames(con: apsw.Connection) -> list[Frame]:
            return _frames(con, session, (after, limit), bodies)

        length = (await self.heads(session))[0] - after
        if length <= SHORT_READ:
            return self._store.read(frames) if length > 0 else []
        return await self._store.read_off(frames)

    async def parts(self, digests: Sequence[str]) -> dict[str, bytes]:
        """World parts by digest; unknown ones are left out."""
        return self._store.read(lambda con: _parts(con, digests))

    async def bodies(self, tenant: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """Item bodies of a tenant by hash; erased or unknown ones are left out."""
        return self._store.read(lambda con: _bodies(con, tenant, hashes))

    async def row(self, session: str) -> SessionRow | None:
        """One session's row."""
        row = self._store.read_one(lambda con: _one(con, tables.ROW, session))
        return _ROW.decode(row[0]) if row is not None and row[0] is not None else None

    async def rows(self) -> list[SessionRow]:
        """All sessions, the one written to last first."""
        rows = await self._store.read_off(lambda con: con.execute(tables.ROWS).fetchall())
        return [_ROW.decode(row) for (row,) in _typed(rows)]

    async def seen(self, session: str, request: str) -> bool:
        """Whether a request id was ever admitted to this session."""
        return self._store.read_one(lambda con: _one(con, tables.REQUEST, session, request)) is not None

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """Ledger rows; those that do not exist yet read as nothing."""
        return self._store.read(lambda con: {account: balance(con, account) for account in accounts})

    async def claim(self, session: str, owner: Owner, now: int, until: int) -> int | None:
        """Take or renew the lease: the fence, or None while a live owner holds it. A dead one is replaced at once."""

        def claim(con: apsw.Connection) -> int | None:
            head, _ = _one(con, tables.HEAD, session) or (0, "")
            lease = taken(_lease(con, session), owner, (now, until), head, self._gone)
            if lease is None:
                return None
            self._appender.forget(session)
            con.execute(tables.SET_LEASE, (session, lease.fence, until, _text(owner), lease.seq, lease.crashes))
            return lease.fence

        return await self._store.write(claim)

    def lease(self, session: str) -> Lease:
        """The lease as the store has it now, over all processes: one synchronous read."""
        return self._store.read_one(lambda con: _lease(con, session))

    async def release(self, session: str, fence: int, snapshot: Snapshot | None = None) -> None:
        """Give the lease back, if it is still this one, and keep the snapshot that was taken under it."""

        def give(con: apsw.Connection) -> None:
            self._appender.forget(session)
            con.execute(tables.RELEASE, (session, fence))
            if snapshot is not None and con.changes():
                con.execute(tables.SET_SNAPSHOT, (session, snapshot.seq, snapshot.rules, snapshot.state))

        await self._store.write(give)

    async def snapshot(self, session: str) -> Snapshot | None:
        """The session's last snapshot; none that goes beyond its log."""
        row = self._store.read_one(lambda con: _one(con, tables.SNAPSHOT, session))
        return Snapshot(*row) if row is not None else None

    async def heads(self, session: str) -> tuple[int, str]:
        """The last seq of a log and the digest of its last stored frame; (0, "") for none."""
        seq, head = self._store.read_one(lambda con: _one(con, tables.HEAD, session)) or (0, "")
        return seq, head

    async def erase(self, tenant: str, hashes: Collection[str], seen: Mapping[str, int]) -> int:
        """Delete item bodies, so that nothing of them is left in the file; how many there were. What frames behind the seqs in
        `seen` name stays."""

        def erase(con: apsw.Connection) -> int:
            late: set[str] = set()
            for session, seq in _typed(con.execute(tables.HEADS_OF, (tenant,)).fetchall()):
                if seq > seen.get(session, 0):
                    late |= hashes_of(_stored(con, session, (seen.get(session, 0), None), SEQ_MAX))
            before = con.total_changes()
            con.executemany(tables.ERASE_BODY, [(tenant, hash) for hash in set(hashes) - late])
            return con.total_changes() - before

        return await self._store.erase(erase)

    async def wait(self, session: str, after: int, timeout_ms: int) -> None:
        """Return when the log holds events after seq `after` (written by any process), or after `timeout_ms`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        while True:
            self._look_out(loop)  # before looking: what is written after the look must be seen
            if (await self.heads(session))[0] > after or (left := deadline - loop.time()) <= 0:
                return
            await self._listeners.sleep(session, left)

    def listen(self, session: str, hear: Hear) -> Callable[[], None]:
        """Have `hear` told of all that is written to the session from now on, until what is returned is called; of what
        another process writes within POLL_S. Raises StoreError."""
        self._look_out(asyncio.get_running_loop())
        return self._listeners.listen(session, hear)

    async def chain(self) -> list[str]:
        """What is wrong with the stored chains (frames and commits) of all logs, a sentence each; empty: nothing."""
        return await self._store.read_off(_faults)

    def _look_out(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look for what other processes write, on this loop."""
        if self._watching is not loop:
            self._watching = loop
            self._last_frame = self._store.read_one(_last_frame)
            loop.call_later(POLL_S, self._watch)

    def _watch(self) -> None:
        """Tell those to whose log another process wrote, as long as anybody listens."""
        loop, self._watching = self._watching, None
        if loop is None or not self._listeners:
            return
        try:
            last = self._store.read_one(_last_frame)
            alone = last <= self._appender.last_frame and self._others == self._appender.others
            written = self._store.read_one(_written_after(self._last_frame)) if last > self._last_frame and not alone else []
        except StoreError:
            self._listeners.stir()  # whoever looks learns what is the matter
        else:
            self._last_frame, self._others = last, self._appender.others
            self._listeners.stir({session for _, session, _ in written})
        self._watching = loop
        loop.call_later(POLL_S, self._watch)


def _frames(con: apsw.Connection, session: str, wanted: tuple[int, int | None], bodies: bool) -> list[Frame]:
    frames = _stored(con, session, wanted, SEQ_MAX)
    if not bodies:
        return frames
    (tenant,) = _one(con, tables.TENANT, session) or ("",)
    loaded = _bodies(con, tenant, hashes_of(frames))
    return [fill(frame, loaded) for frame in frames]


def _stored(con: apsw.Connection, session: str, wanted: tuple[int, int | None], upto: int) -> list[Frame]:
    """The frames after a seq, so many at most, that end by `upto`: where its own begin later, those that it shares first."""
    after, limit = wanted
    stored = _typed(con.execute(tables.FRAMES, (session, after, upto, -1 if limit is None else limit)).fetchall())
    own = read_back(session, (data for (data,) in stored))
    if own and own[0].first_seq <= after + 1:
        return own
    fork = _one(con, tables.FORK, session)
    if fork is None or after >= fork[1]:
        return own
    return [*_stored(con, fork[0], wanted, min(fork[1], upto)), *own][:limit]


def _bodies(con: apsw.Connection, tenant: str, hashes: Iterable[str]) -> dict[str, bytes]:
    found = ((hash, _one(con, tables.BODY, tenant, hash)) for hash in hashes)
    return {hash: row[0] for hash, row in found if row is not None}


def _parts(con: apsw.Connection, digests: Iterable[str]) -> dict[str, bytes]:
    found = ((digest, _one(con, tables.PART, digest)) for digest in digests)
    return {digest: row[0] for digest, row in found if row is not None}


def _faults(con: apsw.Connection) -> list[str]:
    heads = {session: (seq, head) for session, seq, head in _typed(con.execute(tables.ALL_HEADS))}
    parts = [digest for digest, _ in _typed(con.execute(tables.ALL_PARTS))]
    faults = frame_faults(
        (StoredFrame(*row) for row in _typed(con.execute(tables.ALL_FRAMES))),
        heads,
        (Commit(*row) for row in _typed(con.execute(tables.ALL_COMMITS))),
        set(parts),
        lambda session, seq: end(con, session, seq),
    )
    faults += fork_faults(_typed(con.execute(tables.ALL_FORKS)))
    faults += content_faults("item body", _typed(con.execute(tables.ALL_BODIES)))
    faults += content_faults("world part", _typed(con.execute(tables.ALL_PARTS)))
    return faults


def _written_after(frame: int) -> Callable[[apsw.Connection], list[Any]]:
    return lambda con: list(_typed(con.execute(tables.WRITTEN_AFTER, (frame,)).fetchall()))


def _last_frame(con: apsw.Connection) -> int:
    (last,) = _one(con, tables.LAST_FRAME) or (0,)
    return last or 0


def _lease(con: apsw.Connection, session: str) -> Lease:
    row = _one(con, tables.LEASE, session)
    if row is None:
        return Lease()
    fence, until, owner, seq, crashes = row
    return Lease(fence, until, None if owner is None else _OWNER.decode(owner), seq, crashes)


def _text(value: object) -> str:
    return _ENCODER.encode(value).decode()


def _one(con: apsw.Connection, sql: str, *bindings: object) -> Any:
    """The only row of an answer as a tuple, or None."""
    return con.execute(sql, bindings).fetchone()


def _typed(rows: Any) -> Any:
    """Rows of SQLite; what stands in them is known from the statement, not from a type."""
    return rows
