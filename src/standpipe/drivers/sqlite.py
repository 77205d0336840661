"""One SQLite store: writes that commit in groups, and reader connections.

A durable commit costs an fsync, so whatever waits while one commit is under way goes into the next one. Each write runs in a
savepoint of its own, so a write that raises leaves nothing behind and touches no other; its caller goes on only after the
group's COMMIT has returned, hence after its bytes are on the disk.

The statements of short writes run on the event loop, and only their COMMIT, which waits for the disk, in the writer thread.
In a thread each statement gives the interpreter's lock away and must win it back: beside a busy loop that made 1,300
appends/s where this way makes 5,400 (64 sessions, 2 cores). Writes that take long run in the writer thread as a whole, and so
does a group that meets another process at the file's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from standpipe.drivers.sqlite_file import MEMORY, SYNC_FAILED, Schema, connect, patience, prepare, store_error
from standpipe.errors import StoreError

__all__ = ["MEMORY", "Schema", "Store"]

T = TypeVar("T")

BATCH_MAX = 128
"""Writes in one group at most: some 5 ms of statements."""

SWITCH_S = 0.000_5
"""How long a thread may keep the interpreter's lock while another wants it. With Python's 5 ms the writer thread starves
beside a busy event loop: each turn of the loop that is shorter restarts its wait (measured: commits late by over a second)."""

CHECKPOINT_PAGES = 1000
"""A checkpoint runs when the WAL has grown by this many pages (8 MB), after the group's callers were told."""

WAL_PAGES_MAX = 8 * CHECKPOINT_PAGES
"""Beyond this a checkpoint keeps other writers out until it is complete; else two busy processes would starve it."""


Lane = Callable[[apsw.Connection, Sequence[Any]], Sequence[Any]]
"""Writes all of one kind that a group brings: for each, what came of it, or the exception that it alone failed with."""


class _Job(msgspec.Struct, frozen=True, eq=False):
    """A write that waits for its turn, who waits for it, and whether it takes long; in a lane it is a value, not a function."""

    fn: Any
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Any] | None = None
    long: bool = False
    lane: Lane | None = None


_Outcome = tuple[Any, BaseException | None]


class Store:
    """An open store. All methods but `close` may be called from any event loop; close it when nobody uses it any more."""

    def __init__(self, path: Path, writer: apsw.Connection, inline: bool) -> None:
        """Use `Store.open`."""
        self.path = path
        self.inline = inline
        self._writer = writer
        self.rollbacks = 0  # groups of which nothing remained; what was remembered of the store's content is void then
        self._failed: StoreError | None = None
        self._wal_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        writer.set_wal_hook(self._grown)
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[_Job] = deque()
        self._starting: asyncio.AbstractEventLoop | None = None
        self._group = threading.Lock()  # held while a group is under way; taken by a loop, given back by the thread
        self._hurried = False  # on an event loop: nobody may wait there
        self._wait = patience()
        self._closed = False
        self._groups: queue.SimpleQueue[tuple[list[_Job], list[_Outcome] | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="standpipe-writer", daemon=True)
        writer.set_busy_handler(self._patience)
        if not inline:
            sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
            self._thread.start()

    @classmethod
    def open(cls, path: Path, schemas: Sequence[Schema], *, inline: bool = False, vfs: str = "") -> Store:
        """Open the store at `path`, making it and its folder if there is none, and bring its tables up to date.

        `inline` (for simulation) uses no thread: a write commits at once, on the calling thread. `vfs` names one of SQLite's
        virtual file systems for it, for another disk than the operating system's.
        Raises StoreError where the store cannot be used, or was made by a newer version.
        """
        try:
            if path != MEMORY and not vfs:
                path.parent.mkdir(parents=True, exist_ok=True)
            writer = connect(path, vfs)
            try:
                prepare(writer, path, schemas)
            except BaseException:
                writer.close()
                raise
        except (apsw.Error, OSError) as error:
            raise store_error(path, error) from error
        return cls(path, writer, inline or path == MEMORY)

    async def write(self, fn: Callable[[apsw.Connection], T]) -> T:
        """What `fn` returns, once all it wrote is durable; if it raises, nothing of it is written.

        For short writes: `fn` runs on the event loop, within a transaction that it shares with other writes. A caller that
        is cancelled does not learn whether its write took place. Raises StoreError.
        """
        return await self._submit(_Job(fn))  # type: ignore[no-any-return]

    async def write_in(self, lane: Lane, one: object) -> Any:
        """Like `write`, for many writes alike: all that go into one group are handed to `lane` together, after the others."""
        return await self._submit(_Job(one, lane=lane))

    async def write_off(self, fn: Callable[[apsw.Connection], T]) -> T:
        """Like `write`, for writes that take longer than a few ms: `fn` runs in the writer thread."""
        return await self._submit(_Job(fn, long=True))  # type: ignore[no-any-return]

    def read(self, fn: Callable[[apsw.Connection], T]) -> T:
        """What `fn` reads, at once, from one snapshot of the store; for short reads. Raises StoreError."""
        con = self._reader()
        try:
            if self.inline:
                return fn(con)
            con.execute("BEGIN")
            try:
                return fn(con)
            finally:
                con.execute("COMMIT")
        except apsw.Error as error:
            raise store_error(self.path, error) from error

    def read_one(self, fn: Callable[[apsw.Connection], T]) -> T:
        """What `fn` reads with a single statement, which is a snapshot by itself. Raises StoreError."""
        try:
            return fn(self._reader())
        except apsw.Error as error:
            raise store_error(self.path, error) from error

    async def erase(self, fn: Callable[[apsw.Connection], T]) -> T:
        """Like `write_off`, for a `fn` that deletes: no byte of what it deleted is left in the file, nor in the WAL unless
        another process reads an old snapshot for long."""

        def overwriting(con: apsw.Connection) -> T:
            con.execute("PRAGMA secure_delete = ON").fetchall()
            try:
                return fn(con)
            finally:
                con.execute("PRAGMA secure_delete = OFF").fetchall()

        done = await self.write_off(overwriting)
        await asyncio.to_thread(self._cut) if not self.inline else self._cut()
        return done

    def _cut(self) -> None:
        """Move the whole WAL into the database and leave it empty."""
        with contextlib.nullcontext(self._writer) if self.inline else contextlib.closing(connect(self.path)) as con:
            try:
                con.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                return  # the next checkpoint that gets to the end leaves it behind
            except apsw.Error as error:
                raise store_error(self.path, error) from error

    async def read_off(self, fn: Callable[[apsw.Connection], T]) -> T:
        """What `fn` reads, from one snapshot, in another thread: for reads that take longer than a few ms."""
        if self.inline:
            return self.read(fn)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(2, thread_name_prefix="standpipe-reader")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.read, fn)

    def close(self) -> None:
        """Finish every write that was handed in, then let go of the file. Twice is once."""
        if self._closed:
            return
        self._closed = True
        if not self.inline:
            with self._group:  # after the group under way
                while jobs := self._take():
                    _tell(jobs, self._commit(self._fill(jobs)))
            self._groups.put(None)
            self._thread.join()
        if self._pool is not None:
            self._pool.shutdown()
        for con in (*self._readers, self._writer):
            con.close()

    # --- groups --------------------------------------------------------------------------------------------------------

    async def _submit(self, job: _Job) -> Any:
        if self._closed:
            raise StoreError(f"The store {self.path} is closed; open it again.")
        if self.inline:
            value, error = self._commit(self._fill([job]))[0]
            self._checkpoint()
            if error is not None:
                raise error
            return value
        assert self._thread.is_alive(), "the writer thread is gone: a bug ended it"
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(msgspec.structs.replace(job, loop=loop, future=future))
        # Not at once: all writes of one turn of the loop go together. Under way already: its end looks at what waits.
        if self._starting is not loop and not self._group.locked():
            self._starting = loop
            loop.call_soon(self._start)
        return await future

    def _start(self) -> None:
        """Open a group on the event loop, run its writes and leave the COMMIT to the writer thread."""
        self._starting = None
        if not self._waiting or not self._group.acquire(blocking=False):
            return
        jobs = self._take()
        if not jobs:
            return self._end()
        if jobs[0].long:
            return self._groups.put((jobs, None))
        self._hurried = True
        outcomes = None
        try:
            outcomes = self._fill(jobs)
        except apsw.BusyError:
            pass  # another process writes: the thread can wait for it
        except BaseException:
            self._end()
            raise
        finally:
            self._hurried = False
        self._groups.put((jobs, outcomes))

    def _run(self) -> None:
        """The writer thread."""
        while (group := self._groups.get()) is not None:
            jobs, outcomes = group
            try:
                _tell(jobs, self._commit(outcomes or self._fill(jobs)))
                self._checkpoint()
            finally:
                self._end()

    def _end(self) -> None:
        self._group.release()
        for job in self._waiting.copy():
            assert job.loop is not None
            with contextlib.suppress(RuntimeError):  # a loop that is closed; the next one takes its writes along
                job.loop.call_soon_threadsafe(self._start)
                return

    def _take(self) -> list[_Job]:
        """The next group: writes of one kind, in their order."""
        jobs: list[_Job] = []
        while self._waiting and len(jobs) < BATCH_MAX and self._waiting[0].long == (jobs or self._waiting)[0].long:
            jobs.append(self._waiting.popleft())
        return jobs

    def _fill(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        """Begin a transaction and run the writes in it: what each returned or raised.

        If the transaction is lost, all of them failed. Raises BusyError where waiting for another process is out of question.
        """
        con = self._writer
        if self._failed is not None:
            return [(None, StoreError(str(self._failed))) for _ in jobs]
        try:
            con.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(job.fn) if job.lane is None else None for job in jobs]
            for lane in {job.lane: None for job in jobs if job.lane is not None}:
                places = [n for n, job in enumerate(jobs) if job.lane == lane]
                for n, came in zip(places, lane(con, [jobs[n].fn for n in places]), strict=True):
                    outcomes[n] = (None, self._told(came)) if isinstance(came, Exception) else (came, None)
        except BaseException as error:
            self._roll_back(con)
            if not isinstance(error, Exception) or (self._hurried and isinstance(error, apsw.BusyError)):
                raise
            return [(None, self._told(error)) for _ in jobs]
        return [one for one in outcomes if one is not None]

    def _attempt(self, fn: Callable[[apsw.Connection], Any]) -> _Outcome:
        con = self._writer
        con.execute("SAVEPOINT one")
        try:
            value = fn(con)
        except Exception as error:
            if not con.in_transaction:
                raise  # SQLite gave the whole transaction up: nothing of the group is left
            con.execute("ROLLBACK TO one")
            con.execute("RELEASE one")
            return None, self._told(error)
        con.execute("RELEASE one")
        return value, None

    def _commit(self, outcomes: list[_Outcome]) -> list[_Outcome]:
        con = self._writer
        if not con.in_transaction:
            return outcomes
        try:
            con.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back(con)
            return [(None, self._told(error)) for _ in outcomes]
        return outcomes

    def _roll_back(self, con: apsw.Connection) -> None:
        """Leave nothing of a group. On a disk that cannot be read SQLite complains, and ends the transaction all the same."""
        self.rollbacks += 1
        if con.in_transaction:
            with contextlib.suppress(apsw.Error):
                con.execute("ROLLBACK")

    def _told(self, error: BaseException) -> BaseException:
        """The error as its caller hears of it. After a failed fsync there are no more writes by this process: nobody knows
        what is on the disk, and the next fsync would lie about it (https://www.usenix.org/conference/atc20/presentation/rebello).
        """
        mapped = store_error(self.path, error)
        if getattr(error, "extendedresult", 0) in SYNC_FAILED:
            self._failed = StoreError(str(mapped))
        return mapped

    def _patience(self, tries: int) -> bool:
        return not self._hurried and not self.inline and self._wait(tries)

    # --- the write-ahead log -------------------------------------------------------------------------------------------

    def _grown(self, _con: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Move the WAL into the database when it has grown enough, in the writer thread so that it can get to the end."""
        if self._wal_pages < self._checkpoint_at:
            return
        urgent = self._wal_pages >= WAL_PAGES_MAX
        mode = apsw.SQLITE_CHECKPOINT_RESTART if urgent else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            total, moved = self._writer.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            total, moved = self._wal_pages, 0
        except apsw.Error as error:
            self._told(error)
            total, moved = self._wal_pages, 0
        # A reader may hold the rest back; trying again at every commit would cost an fsync each.
        self._checkpoint_at = CHECKPOINT_PAGES if moved >= total else total + CHECKPOINT_PAGES
        self._wal_pages = 0

    # --- readers -------------------------------------------------------------------------------------------------------

    def _reader(self) -> apsw.Connection:
        if self.inline:
            return self._writer
        con: apsw.Connection | None = getattr(self._local, "con", None)
        if con is None:
            try:
                con = connect(self.path)
                con.execute("PRAGMA query_only = 1")
            except apsw.Error as error:
                raise store_error(self.path, error) from error
            self._local.con = con
            self._readers.append(con)
        return con


def _tell(batch: Sequence[_Job], outcomes: Sequence[_Outcome]) -> None:
    """Resume the callers, with one wake-up per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], _Outcome]]] = {}
    for job, outcome in zip(batch, outcomes, strict=True):
        assert job.loop is not None and job.future is not None
        by_loop.setdefault(job.loop, []).append((job.future, outcome))
    for loop, told in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, told)
        except RuntimeError:
            continue  # that loop is closed: nobody waits there any more


def _resolve(told: Sequence[tuple[asyncio.Future[Any], _Outcome]]) -> None:
    for future, (value, error) in told:
        if future.done():
            continue  # its caller was cancelled
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
