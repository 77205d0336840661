"""One SQLite store: a writer thread that commits in groups, reader connections, migrations, and what its errors mean.

Why a group: a durable commit costs an fsync, so whatever waits while one commit is under way goes into the next one. Each
write runs in a savepoint of its own, so a write that raises leaves nothing behind and touches no other; its caller goes
on only after the group's COMMIT has returned, hence after its bytes are on the disk.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from standpipe.drivers.sqlite_file import MEMORY, Schema, connect, prepare, store_error
from standpipe.errors import StoreError

__all__ = ["MEMORY", "Schema", "Store"]

T = TypeVar("T")

BATCH_MAX = 512
"""Writes in one group at most, so that nobody waits for more than a few dozen ms of other people's work."""

CHECKPOINT_PAGES = 2000
"""A checkpoint runs when the WAL has grown by this many pages (8 MB), after the group's callers were told."""

WAL_PAGES_MAX = 8 * CHECKPOINT_PAGES
"""Beyond this a checkpoint keeps other writers out until it is complete; else two busy processes would starve it."""


class _Job(msgspec.Struct, frozen=True, eq=False):
    """A write that waits for its turn, and who waits for it."""

    fn: Callable[[apsw.Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


_Outcome = tuple[Any, BaseException | None]


class Store:
    """An open store. All methods but `close` may be called from any event loop; close it when nobody uses it any more."""

    def __init__(self, path: Path, writer: apsw.Connection, inline: bool) -> None:
        """Use `Store.open`."""
        self.path = path
        self.inline = inline
        self._writer = writer
        self._seals: list[Callable[[apsw.Connection], None]] = []
        self._failed: StoreError | None = None
        self._wal_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        writer.set_wal_hook(self._grown)
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[_Job] = deque()
        self._handing_over: asyncio.AbstractEventLoop | None = None
        self._batches: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="standpipe-writer", daemon=True)
        if not inline:
            self._thread.start()

    @classmethod
    def open(cls, path: Path, schemas: Sequence[Schema], *, inline: bool = False) -> Store:
        """Open the store at `path`, making it and its folder if there is none, and bring its tables up to date.

        `inline` (for simulation) uses no thread: a write commits at once, on the calling thread.
        Raises StoreError where the store cannot be used, or was made by a newer version.
        """
        try:
            if path != MEMORY:
                path.parent.mkdir(parents=True, exist_ok=True)
            writer = connect(path)
            try:
                prepare(writer, path, schemas)
            except BaseException:
                writer.close()
                raise
        except (apsw.Error, OSError) as error:
            raise store_error(path, error) from error
        return cls(path, writer, inline or path == MEMORY)

    def before_commit(self, seal: Callable[[apsw.Connection], None]) -> None:
        """Have `seal` run in every group's transaction, after its writes and before its COMMIT."""
        self._seals.append(seal)

    async def write(self, fn: Callable[[apsw.Connection], T]) -> T:
        """What `fn` returns, once all it wrote is durable; if it raises, nothing of it is written.

        `fn` runs in the writer thread, shares its transaction with other writes and must not wait for anything. A caller
        that is cancelled does not learn whether its write took place. Raises StoreError.
        """
        if self.inline:
            value, error = self._transact([fn])[0]
            self._checkpoint()
            if error is not None:
                raise error
            return value  # type: ignore[no-any-return]
        if not self._thread.is_alive():
            raise StoreError(f"The store {self.path} is closed; open it again.")
        loop = asyncio.get_running_loop()
        job = _Job(fn, loop, loop.create_future())
        self._waiting.append(job)
        # All writes of one turn of the loop are handed over together; else the first would commit alone.
        if self._handing_over is not loop:
            self._handing_over = loop
            loop.call_soon(self._hand_over)
        return await job.future  # type: ignore[no-any-return]

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

    async def read_off(self, fn: Callable[[apsw.Connection], T]) -> T:
        """What `fn` reads, from one snapshot, in another thread: for reads that take longer than a few ms."""
        if self.inline:
            return self.read(fn)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(2, thread_name_prefix="standpipe-reader")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.read, fn)

    def close(self) -> None:
        """Finish every write that was handed in, then let go of the file. Twice is once."""
        if self._thread.is_alive():
            self._hand_over()
            self._batches.put(None)
            self._thread.join()
        if self._pool is not None:
            self._pool.shutdown()
        for con in (*self._readers, self._writer):
            con.close()

    # --- the writer ----------------------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        self._handing_over = None  # before taking: who appends after this schedules anew
        jobs: list[_Job] = []
        while self._waiting:
            jobs.append(self._waiting.popleft())
        if jobs:
            self._batches.put(jobs)

    def _run(self) -> None:
        while (jobs := self._batches.get()) is not None:
            stop = False
            while len(jobs) < BATCH_MAX and not stop:
                try:
                    more = self._batches.get_nowait()
                except queue.Empty:
                    break
                stop = more is None
                jobs += more or []
            for first in range(0, len(jobs), BATCH_MAX):
                batch = jobs[first : first + BATCH_MAX]
                _tell(batch, self._transact([job.fn for job in batch]))
                self._checkpoint()
            if stop:
                return

    def _transact(self, fns: Sequence[Callable[[apsw.Connection], Any]]) -> list[_Outcome]:
        """One transaction: what each write returned or raised. If the transaction as a whole fails, all of them failed."""
        con = self._writer
        if self._failed is not None:
            return [(None, StoreError(str(self._failed))) for _ in fns]
        committing = False
        try:
            con.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(fn) for fn in fns]
            for seal in self._seals:
                seal(con)
            committing = True
            con.execute("COMMIT")
        except BaseException as error:
            if con.in_transaction:
                con.execute("ROLLBACK")
            if not isinstance(error, Exception):
                raise
            if committing:
                self._judge_disk(error)
            return [(None, store_error(self.path, error)) for _ in fns]
        return outcomes

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
            return None, store_error(self.path, error)
        con.execute("RELEASE one")
        return value, None

    def _judge_disk(self, error: BaseException) -> None:
        """After a failed fsync nobody knows what is on the disk, and trying again would lie: no more writes by this process."""
        if isinstance(error, apsw.IOError):
            self._failed = StoreError(
                f"The store {self.path} could not be made durable by the operating system; check the disk, then start again."
            )

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
            self._judge_disk(error)
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
