"""The file of a store: how a connection to it is made, how its tables are brought up to date, what its errors mean."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from standpipe.errors import StoreError

MEMORY = Path(":memory:")
"""The path of a store that lives in its process only; such a store is always inline."""

APPLICATION_ID = 0x53_54_50_50
"""What marks an SQLite file as a store of ours: "STPP" in its header."""

PAGE_BYTES = 8192
"""Of a new store: frames and bodies have 1-2 KB, and of SQLite's usual 4 KB a fifth stays empty behind two of them."""

BUSY_S = 5.0
"""How long anything waits for another process before it gives up."""


class Schema(msgspec.Struct, frozen=True):
    """The tables of one driver: `steps` are SQL texts, applied in order, each once; steps are only ever added."""

    part: str
    steps: tuple[str, ...]


_SENTENCES: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.BusyError, "is locked by another process; wait until that one has finished, or stop it"),
    (apsw.LockedError, "is locked by another process; wait until that one has finished, or stop it"),
    (apsw.ReadOnlyError, "is read-only; give this user the right to write the file and its folder, or name another store"),
    (apsw.PermissionsError, "may not be used by this user; change the rights of the file, or name another store"),
    (apsw.AuthError, "may not be used by this user; change the rights of the file, or name another store"),
    (apsw.CantOpenError, "cannot be opened; check that its folder may be written and that it is a file, or name another store"),
    (apsw.NotADBError, "is not a Standpipe store; move the file away and a new store is made, or name another store"),
    (apsw.CorruptError, "is damaged; put a copy back in its place, or move it away and a new store is made"),
    (apsw.FullError, "cannot grow because the disk is full; free some space and try again, nothing acknowledged is lost"),
    (apsw.IOError, "cannot be read or written by the operating system; check the disk and try again"),
    (apsw.TooBigError, "was given a value larger than SQLite can hold; split the document or the answer"),
    (apsw.NoMemError, "could not be used because memory is exhausted; free some memory and try again"),
    (apsw.ProtocolError, "is on a file system whose locks do not work; move it to a local disk"),
)


SYNC_FAILED = (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)
"""The extended results after which nobody knows what is on the disk."""


def store_error(path: Path, error: BaseException) -> BaseException:
    """The sentence for a person about a fault of the store; errors that only a bug can cause stay what they are."""
    sentence = next((text for kind, text in _SENTENCES if isinstance(error, kind)), "")
    if getattr(error, "extendedresult", 0) in SYNC_FAILED:
        sentence = "could not be made durable by the operating system; check the disk, then start again"
    if isinstance(error, OSError):
        sentence = f"cannot be used ({error.strerror or error}); make its folder writable, or name another store"
    if not sentence:
        return error
    mapped = StoreError(f"The store {path} {sentence}.")
    mapped.__cause__ = error
    return mapped


def patience() -> Callable[[int], bool]:
    """A busy handler that looks again every few ms; SQLite's own sleeps up to 100 ms, which is a fleet's p99."""
    since = 0.0

    def wait(tries: int) -> bool:
        nonlocal since
        now = time.monotonic()
        if tries == 0:
            since = now
        time.sleep(min(0.000_5 * (tries + 1), 0.005))
        return now - since < BUSY_S

    return wait


def connect(path: Path, vfs: str = "") -> apsw.Connection:
    """A connection whose commits are on the disk when they return, and which waits for other processes.

    Through a `vfs` of its own it is the only one, which needs no shared memory beside the WAL, and waits for nobody.
    """
    con = apsw.Connection(str(path), vfs=vfs or None)
    if vfs:
        con.execute("PRAGMA locking_mode = EXCLUSIVE")
    else:
        con.set_busy_handler(patience())
    con.execute(
        f"PRAGMA page_size = {PAGE_BYTES}; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY"
    )
    return con


def prepare(con: apsw.Connection, path: Path, schemas: Sequence[Schema]) -> None:
    """Set what is kept in the file and bring the tables up to date; any number of processes may do so at once."""
    con.execute("BEGIN")  # one snapshot: another process may be making the store just now
    (ours,) = con.execute("PRAGMA application_id").fetchall()[0]
    (tables,) = con.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0]
    con.execute("COMMIT")
    if tables and ours != APPLICATION_ID:
        raise apsw.NotADBError(str(path))
    _use_wal(con)
    if _missing(con, path, schemas):
        _migrate(con, path, schemas)
    # What a process left in the WAL whose fsync failed may be in the system's cache alone, taken for written: a commit behind
    # it would be lost with it. Moved into the database it is written anew.
    with contextlib.suppress(apsw.BusyError, apsw.FullError, apsw.ReadOnlyError):
        con.wal_checkpoint()


def _use_wal(con: apsw.Connection) -> None:
    """Have a WAL, which is kept in the file. For the lock this takes on a new file SQLite does not ask the busy handler."""
    wait = patience()
    for tries in itertools.count():
        try:
            con.execute("PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 67108864").fetchall()
            return
        except apsw.BusyError:
            if not wait(tries):
                raise


def _missing(con: apsw.Connection, path: Path, schemas: Sequence[Schema]) -> list[tuple[Schema, int]]:
    """The parts that are behind, with how many of their steps the store has. Raises StoreError if it is ahead of this code."""
    (made,) = con.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'versions'").fetchall()[0]
    rows: list[Any] = con.execute("SELECT part, version FROM versions").fetchall() if made else []
    have: dict[str, int] = dict(rows)
    for schema in schemas:
        if have.get(schema.part, 0) > len(schema.steps):
            raise StoreError(f"The store {path} was made by a newer Standpipe; install that one, or name another store.")
    return [(schema, have.get(schema.part, 0)) for schema in schemas if have.get(schema.part, 0) < len(schema.steps)]


def _migrate(con: apsw.Connection, path: Path, schemas: Sequence[Schema]) -> None:
    con.execute("BEGIN IMMEDIATE")
    try:
        con.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        con.execute("CREATE TABLE IF NOT EXISTS versions (part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID")
        for schema, done in _missing(con, path, schemas):  # again: another process may have been here first
            for step in schema.steps[done:]:
                con.execute(step)
            con.execute("INSERT OR REPLACE INTO versions VALUES (?, ?)", (schema.part, len(schema.steps)))
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise
