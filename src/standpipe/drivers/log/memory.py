"""The log in memory: the same rules and the same stored bytes, for tests and simulation; nothing survives the process."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from standpipe.core.amounts import Balance
from standpipe.core.events import Event, Frame
from standpipe.core.frames import digest_commit, fill, hashes_of, link
from standpipe.core.ids import HOUSE, digest_bytes
from standpipe.drivers.log.chain import Commit, StoredFrame, content_faults, frame_faults
from standpipe.drivers.log.judge import Found, fork_in, frame_of, moved, prepare, read_back, refusal, taken
from standpipe.drivers.log.owner import dead
from standpipe.drivers.log.waiters import Listeners
from standpipe.ports import Append, Appended, Fenced, Hear, Lease, Owner, SessionRow, Short, Snapshot, Stale

Projection = Callable[[None, str, tuple[Event, ...]], dict[str, int]]
"""Keeps something in step with the house log: called with each house append's tenant and events (None stands for no table);
returns by tenant the seq of the newest of them that took a right away."""

_NOTHING = Balance()


class _Session:
    """One log: its tenant, the places of its frames among all frames, its head, and when it was written to last."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.frames: list[int] = []
        self.seq = 0
        self.head = ""
        self.row: SessionRow | None = None


class MemoryLog:
    """The Log port without a store. Nothing in it waits, so it runs under a virtual clock; one event loop at a time."""

    def __init__(self, projections: Sequence[Projection] = (), gone: Callable[[Owner], bool] = dead) -> None:
        """`gone` says whether an owner is dead for certain; simulation brings its own."""
        self._projections = tuple(projections)
        self._gone = gone
        self._listeners = Listeners()
        self._sessions: dict[str, _Session] = {}
        self._frames: list[StoredFrame] = []
        self._commits: list[Commit] = []
        self._bodies: dict[tuple[str, str], bytes] = {}
        self._parts: dict[str, bytes] = {}
        self._requests: set[tuple[str, str]] = set()
        self._accounts: dict[str, Balance] = {}
        self._leases: dict[str, Lease] = {}
        self._revoked: dict[str, int] = {}
        self._snapshots: dict[str, Snapshot] = {}

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """Write one frame with its moves, bodies and world, all or nothing."""
        data, bodies = prepare(append)
        found = self._found(append)
        refused = refusal(append, found)
        if refused is not None:
            return refused
        rows = moved(append.moves, found.balances)
        if append.session == HOUSE:
            for projection in self._projections:
                self._revoked |= projection(None, append.tenant, append.events)
        self._accounts |= rows
        self._bodies |= {(append.tenant, hash): body for hash, body in bodies.items()}
        self._parts.update(append.parts)
        self._requests |= {(append.session, request) for request in append.requests}
        return self._write(append, data)

    def _write(self, append: Append, data: bytes) -> Appended:
        session = self._sessions.pop(append.session, None) or self._begun(append)
        self._sessions[append.session] = session  # at the end: the one written to last
        stored = link(data, session.head)
        session.seq, session.head = append.events[-1].seq, digest_bytes(stored)
        session.row = append.row or session.row
        session.frames.append(len(self._frames))
        number = len(self._frames) + 1
        frame = StoredFrame(number, append.session, append.expect_seq + 1, session.seq, session.head, stored)
        prev = self._commits[-1].digest if self._commits else ""
        self._frames.append(frame)
        self._commits.append(Commit(number, number, digest_commit(prev, [(append.session, session.head)])))
        self._listeners.tell(append.session, frame_of(append))
        return Appended(session.seq, session.head)

    def _begun(self, append: Append) -> _Session:
        """A session before its first own frame: a fork stands where its parent stood at the cut, if that is there."""
        session, fork = _Session(append.tenant), fork_in(append)
        if fork is not None and self._end(fork.parent, fork.at) == fork.head:
            past = self._sessions[fork.parent].frames
            session.frames = past[: bisect_right(past, fork.at, key=lambda place: self._frames[place].last_seq)]
            session.seq, session.head = fork.at, fork.head
        return session

    def _end(self, session: str, seq: int) -> str:
        """The digest of the frame of a session, or of what it shares, that ends at `seq`; empty for none."""
        log = self._sessions.get(session)
        ends = (self._frames[place] for place in log.frames) if log is not None else ()
        return next((frame.digest for frame in ends if frame.last_seq == seq), "")

    def _found(self, append: Append) -> Found:
        session = self._sessions.get(append.session) or self._begun(append)
        lease = self._leases.get(append.session, Lease())
        return Found(
            seq=session.seq,
            fence=lease.fence if lease.owner else 0,
            revoked=self._revoked.get(append.tenant, 0),
            repeated=any((append.session, request) in self._requests for request in append.requests),
            balances={move.account: self._accounts.get(move.account, _NOTHING) for move in append.moves},
        )

    async def read(self, session: str, after: int = 0, *, bodies: bool = True, limit: int | None = None) -> list[Frame]:
        """The frames that hold events after seq `after`, oldest first and `limit` at most; with item bodies unless they are
        not wanted."""
        log = self._sessions.get(session)
        if log is None:
            return []
        first = bisect_right(log.frames, after, key=lambda place: self._frames[place].last_seq)
        frames = read_back(session, (self._frames[place].data for place in log.frames[first:][:limit]))
        if not bodies:
            return frames
        kept = await self.bodies(log.tenant, sorted(hashes_of(frames)))
        return [fill(frame, kept) for frame in frames]

    async def parts(self, digests: Sequence[str]) -> dict[str, bytes]:
        """World parts by digest; unknown ones are left out."""
        return {digest: self._parts[digest] for digest in digests if digest in self._parts}

    async def bodies(self, tenant: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """Item bodies of a tenant by hash; unknown ones are left out."""
        return {hash: self._bodies[tenant, hash] for hash in hashes if (tenant, hash) in self._bodies}

    async def row(self, session: str) -> SessionRow | None:
        """One session's row."""
        log = self._sessions.get(session)
        return log.row if log else None

    async def rows(self) -> list[SessionRow]:
        """All sessions, the one written to last first."""
        return [log.row for log in reversed(self._sessions.values()) if log.row is not None]

    async def seen(self, session: str, request: str) -> bool:
        """Whether a request id was ever admitted to this session."""
        return (session, request) in self._requests

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """Ledger rows; those that do not exist yet read as nothing."""
        return {account: self._accounts.get(account, _NOTHING) for account in accounts}

    async def claim(self, session: str, owner: Owner, now: int, until: int) -> int | None:
        """Take or renew the lease: the fence, or None while a live owner holds it. A dead one is replaced at once."""
        head, _ = await self.heads(session)
        lease = taken(self.lease(session), owner, (now, until), head, self._gone)
        if lease is None:
            return None
        self._leases[session] = lease
        return lease.fence

    def lease(self, session: str) -> Lease:
        """The lease as it is now."""
        return self._leases.get(session, Lease())

    async def release(self, session: str, fence: int, snapshot: Snapshot | None = None) -> None:
        """Give the lease back, if it is still this one, and keep the snapshot that was taken under it."""
        lease = self.lease(session)
        if lease.fence == fence:
            self._leases[session] = msgspec.structs.replace(lease, owner=None, crashes=0)
            if snapshot is not None:
                self._snapshots[session] = snapshot

    async def snapshot(self, session: str) -> Snapshot | None:
        """The session's last snapshot."""
        return self._snapshots.get(session)

    async def heads(self, session: str) -> tuple[int, str]:
        """The last seq of a log and the digest of its last stored frame; (0, "") for none."""
        log = self._sessions.get(session)
        return (log.seq, log.head) if log else (0, "")

    async def erase(self, tenant: str, hashes: Collection[str], seen: Mapping[str, int]) -> int:
        """Delete item bodies; how many there were. What frames behind the seqs in `seen` name stays."""
        late: set[str] = set()
        for session in [name for name, log in self._sessions.items() if log.tenant == tenant]:
            late |= hashes_of(await self.read(session, seen.get(session, 0), bodies=False))
        gone = [self._bodies.pop((tenant, hash), None) for hash in set(hashes) - late]
        return sum(body is not None for body in gone)

    def listen(self, session: str, hear: Hear) -> Callable[[], None]:
        """Have `hear` told of each frame of the session from now on, until what is returned is called."""
        return self._listeners.listen(session, hear)

    async def wait(self, session: str, after: int, timeout_ms: int) -> None:
        """Return when the log holds events after seq `after`, or after `timeout_ms`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        while (await self.heads(session))[0] <= after and (left := deadline - loop.time()) > 0:
            await self._listeners.sleep(session, left)

    async def chain(self) -> list[str]:
        """What is wrong with the stored chains of all logs, a sentence each; empty: nothing."""
        heads = {name: (log.seq, log.head) for name, log in self._sessions.items()}
        faults = frame_faults(self._frames, heads, self._commits, self._parts.keys(), self._end)
        faults += content_faults("item body", ((hash, body) for (_, hash), body in self._bodies.items()))
        faults += content_faults("world part", self._parts.items())
        return faults
