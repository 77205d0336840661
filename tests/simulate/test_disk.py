"""The disk that fails when it is told to: what is on it after a crash, and what SQLite says of each fault."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from standpipe.drivers.sqlite_file import connect
from standpipe.testing.disk import Disk, Fault, Tear

PATH = Path("/notes.db")


@contextlib.contextmanager
def a_disk() -> Iterator[Disk]:
    with contextlib.closing(Disk("test")) as disk:
        yield disk


@contextlib.contextmanager
def opened(disk: Disk) -> Iterator[apsw.Connection]:
    with contextlib.closing(connect(PATH, disk.name)) as con:
        con.execute("PRAGMA journal_mode = WAL").fetchall()
        con.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text)")
        yield con


def add(con: apsw.Connection, notes: int = 1) -> None:
    for _ in range(notes):
        con.execute("INSERT INTO notes (text) VALUES (zeroblob(3000))")


def count(con: apsw.Connection) -> int:
    return len(con.execute("SELECT id FROM notes").fetchall())


def left(disk: Disk) -> int:
    with opened(disk) as con:
        assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return count(con)


def test_what_was_committed_survives_a_crash_and_its_connection_is_dead() -> None:
    with a_disk() as disk:
        with opened(disk) as con:
            add(con, 5)
            disk.crash()
            with pytest.raises(apsw.IOError):
                add(con)
        assert left(disk) == 5


def test_without_syncs_a_crash_loses_it_unless_only_the_process_died() -> None:
    survives: dict[Tear, int] = {"lost": 0, "kept": 5}
    for tear, found in survives.items():
        with a_disk() as disk:
            with opened(disk):
                pass  # what makes the file is synced, and checkpointed as it is closed
            with opened(disk) as con:
                con.execute("PRAGMA synchronous = OFF")
                add(con, 5)
                disk.crash(tear)
            assert left(disk) == found


def test_what_a_crash_leaves_follows_from_its_seed() -> None:
    def story(tear: Tear, seed: int) -> int:
        with a_disk() as disk:
            with opened(disk):
                pass
            with opened(disk) as con:
                con.execute("PRAGMA synchronous = OFF")
                add(con, 8)
                disk.crash(tear, seed)
            return left(disk)

    torn: tuple[Tear, ...] = ("prefix", "sectors")
    for tear in torn:
        assert [story(tear, seed) for seed in range(5)] == [story(tear, seed) for seed in range(5)]
    assert len({story("prefix", seed) for seed in range(12)}) > 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("full", apsw.FullError),
        ("write", apsw.IOError),
        ("sync", apsw.IOError),
        ("locked", apsw.BusyError),
        ("gone", apsw.IOError),
    ],
)
def test_a_fault_strikes_from_then_on_until_it_is_relieved(fault: Fault, error: type[apsw.Error]) -> None:
    told: list[Fault] = []
    with contextlib.closing(Disk("test", told.append)) as disk, opened(disk) as con:
        add(con)
        disk.strike(fault, after=1)
        before = 0
        with pytest.raises(error):
            for _ in range(5):
                add(con)
                before += 1
        with contextlib.suppress(apsw.SQLError):
            con.execute("ROLLBACK")
        assert told and set(told) == {fault} and disk.struck[fault] == len(told)
        disk.relieve()
        add(con)
        assert count(con) == 2 + before


def test_a_fault_may_strike_a_number_of_times() -> None:
    with a_disk() as disk, opened(disk) as con:
        disk.strike("full", times=1)
        with pytest.raises(apsw.FullError):
            add(con)
        add(con)
        assert count(con) == 1


def test_nobody_opens_a_file_that_is_gone_or_in_use() -> None:
    with a_disk() as disk, opened(disk):
        with pytest.raises(apsw.BusyError), opened(disk):
            pass
        disk.strike("gone")
        with pytest.raises(apsw.CantOpenError), opened(disk):
            pass
        disk.relieve()


@pytest.mark.parametrize("tear", ["lost", "kept", "prefix", "sectors"])
def test_whenever_power_goes_what_was_committed_is_there_and_nothing_by_halves(tear: Tear) -> None:
    for cut in range(1, 60):
        with a_disk() as disk:
            with opened(disk):
                pass
            committed = 0
            with contextlib.suppress(apsw.IOError), opened(disk) as con:
                disk.cut(cut, tear, seed=cut)
                for _ in range(10):
                    add(con)
                    committed += 1
                    con.wal_checkpoint()
            assert committed <= left(disk) <= committed + 1


def test_what_a_failed_sync_leaves_behind_is_never_on_the_platter() -> None:
    with a_disk() as disk:
        with opened(disk) as con:
            con.execute("PRAGMA synchronous = NORMAL")
            add(con, 3)
            disk.strike("sync", times=1)
            with pytest.raises(apsw.IOError):
                con.wal_checkpoint()
            con.execute("PRAGMA synchronous = FULL")
            add(con)  # its own sync goes well, and yet it stands behind what is lost
            assert count(con) == 4
            disk.crash()
        assert left(disk) == 0
