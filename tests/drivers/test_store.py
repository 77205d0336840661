"""The store: groups that commit as one and fail one by one, readers, migrations, and what a person is told."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from standpipe.drivers.sqlite import MEMORY, Schema, Store
from standpipe.errors import StoreError

NOTES = Schema("notes", ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text UNIQUE)",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "standpipe.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with contextlib.closing(Store.open(path, [NOTES])) as store:
        yield store


def note(text: str) -> Callable[[apsw.Connection], str]:
    def write(con: apsw.Connection) -> str:
        con.execute("INSERT INTO notes (text) VALUES (?)", (text,))
        return text

    return write


def notes(con: apsw.Connection) -> list[Any]:
    return [text for (text,) in con.execute("SELECT text FROM notes ORDER BY id")]


def on_disk(path: Path) -> list[Any]:
    """What another process would read."""
    with contextlib.closing(apsw.Connection(str(path))) as con:
        return notes(con)


def test_writes_of_one_turn_of_the_loop_are_one_commit(store: Store) -> None:
    commits: list[int] = []

    def lane(con: apsw.Connection, some: Sequence[str]) -> list[str]:
        commits.append(len(some) + len(notes(con)))
        return [note(one)(con) for one in some]

    async def run() -> None:
        alike = [store.write_in(lane, str(n)) for n in range(50)]
        assert await asyncio.gather(*alike, store.write(note("other"))) == [*map(str, range(50)), "other"]
        await store.write_in(lane, "alone")

    asyncio.run(run())
    assert commits == [51, 52]


def test_of_a_lane_one_may_fail_alone_or_all_together(store: Store) -> None:
    def lane(con: apsw.Connection, some: Sequence[str]) -> list[object]:
        if "all" in some:
            note("lost")(con)
            raise LookupError("all")
        return [LookupError(one) if one == "alone" else note(one)(con) for one in some]

    async def run(*some: str) -> list[object]:
        return list(await asyncio.gather(*(store.write_in(lane, one) for one in some), return_exceptions=True))

    mine, others = asyncio.run(run("alone", "fine"))
    assert isinstance(mine, LookupError) and others == "fine"
    before = store.rollbacks
    assert all(isinstance(one, LookupError) for one in asyncio.run(run("fine too", "all")))
    assert store.rollbacks == before + 1
    assert on_disk(store.path) == ["fine"]


def test_a_caller_goes_on_when_its_bytes_are_there_for_others(store: Store, path: Path) -> None:
    async def one(n: int) -> None:
        for turn in range(5):
            text = await (store.write_off if n % 2 else store.write)(note(f"{n} {turn}"))
            assert text in on_disk(path)

    async def run() -> None:
        await asyncio.gather(*map(one, range(20)))

    asyncio.run(run())


def test_a_write_that_raises_leaves_nothing_and_touches_no_other(store: Store) -> None:
    def half(con: apsw.Connection) -> None:
        note("half")(con)
        raise LookupError("a bug")

    async def run() -> None:
        writes = [note("a"), half, note("a"), note("b")]
        answers = await asyncio.gather(*map(store.write, writes), return_exceptions=True)

        assert [type(answer).__name__ for answer in answers] == ["str", "LookupError", "ConstraintError", "str"]
        assert store.read(notes) == ["a", "b"]

    asyncio.run(run())


def test_a_full_disk_is_told_and_survived(store: Store, path: Path) -> None:
    async def run() -> None:
        await store.write(note("before"))
        await store.write(lambda con: con.execute("PRAGMA max_page_count = 10").fetchall())
        with pytest.raises(StoreError, match=f"{path} cannot grow because the disk is full; free some space"):
            await store.write(note("x" * 100_000))
        await store.write(lambda con: con.execute("PRAGMA max_page_count = 100000").fetchall())
        await store.write(note("after"))

    asyncio.run(run())
    assert on_disk(path) == ["before", "after"]


class FailingSync(apsw.VFS):
    """The file system, until `broken`: from then on no fsync succeeds."""

    def __init__(self) -> None:
        super().__init__("failing-sync", "unix", makedefault=True)
        self.broken = False

    def xOpen(self, name: Any, flags: Any) -> FailingSyncFile:
        return FailingSyncFile(self, name, flags)


class FailingSyncFile(apsw.VFSFile):
    """A file of it."""

    def __init__(self, vfs: FailingSync, name: Any, flags: Any) -> None:
        super().__init__("unix", name, flags)
        self.vfs = vfs

    def xSync(self, flags: int) -> None:
        if self.vfs.broken:
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)


@pytest.mark.parametrize("off", [False, True])
def test_after_a_failed_fsync_nobody_is_acknowledged_any_more(path: Path, off: bool) -> None:
    vfs = FailingSync()

    async def run(store: Store) -> None:
        write = store.write_off if off else store.write
        await write(note("acknowledged"))
        vfs.broken = True
        answers = await asyncio.gather(*(write(note(text)) for text in "ab"), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreError] * 2
        vfs.broken = False
        with pytest.raises(StoreError, match="check the disk, then start again"):
            await write(note("late"))
        assert store.read(notes) == ["acknowledged"]

    try:
        with contextlib.closing(Store.open(path, [NOTES])) as store:
            asyncio.run(run(store))
    finally:
        vfs.unregister()
    with contextlib.closing(Store.open(path, [NOTES])) as again:
        assert again.read(notes) == ["acknowledged"]


@pytest.mark.parametrize("off", [False, True])
def test_another_process_at_the_lock_delays_writes_but_not_the_loop(store: Store, path: Path, off: bool) -> None:
    async def run() -> None:
        with contextlib.closing(apsw.Connection(str(path))) as other:
            other.execute("BEGIN IMMEDIATE")
            write = asyncio.create_task((store.write_off if off else store.write)(note("patient")))
            turns, started = 0, time.monotonic()
            while time.monotonic() - started < 0.3:
                await asyncio.sleep(0.001)
                turns += 1
            assert not write.done()
            assert turns > 50
            other.execute("COMMIT")
            assert await write == "patient"

    asyncio.run(run())


def test_a_busy_loop_does_not_keep_the_writer_thread_from_working(store: Store) -> None:
    assert sys.getswitchinterval() < 0.001

    async def run() -> None:
        writes = asyncio.gather(*(store.write(note(str(n))) for n in range(100)))
        while not writes.done():
            until = time.monotonic() + 0.001
            while time.monotonic() < until:
                pass
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(run(), 20))


@pytest.mark.slow
def test_a_lock_that_is_never_given_back_is_told(store: Store, path: Path) -> None:
    async def run() -> None:
        with contextlib.closing(apsw.Connection(str(path))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked by another process; wait until"):
                await store.write(note("never"))
        await store.write(note("later"))

    asyncio.run(run())
    assert on_disk(path) == ["later"]


def test_closing_finishes_what_was_handed_in(path: Path) -> None:
    store = Store.open(path, [NOTES])

    async def run() -> None:
        writes = [asyncio.ensure_future(store.write(note(str(n)))) for n in range(300)]
        writes += [asyncio.ensure_future(store.write_off(note("off")))]
        await asyncio.sleep(0)
        store.close()
        store.close()
        await asyncio.gather(*writes)
        with pytest.raises(StoreError, match="is closed"):
            await store.write(note("late"))

    asyncio.run(run())
    assert on_disk(path) == [*(str(n) for n in range(300)), "off"]


def test_loops_follow_each_other_and_may_die_with_writes_in_hand(store: Store) -> None:
    for n in range(20):
        loop, write = asyncio.new_event_loop(), store.write(note(f"left behind {n}"))
        loop.call_soon(write.send, None)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        write.close()
        assert asyncio.run(asyncio.wait_for(store.write(note(str(n))), 10)) == str(n)


def test_loops_of_several_threads_share_a_store(store: Store) -> None:
    async def run(name: str) -> None:
        await asyncio.gather(*(store.write(note(f"{name} {n}")) for n in range(50)))
        for n in range(50, 70):
            await store.write(note(f"{name} {n}"))
            assert f"{name} {n}" in store.read(notes)

    threads = [threading.Thread(target=lambda name=name: asyncio.run(run(name))) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read(notes)) == 210


async def pour(store: Store, megabytes: int) -> int:
    """Write so much; the largest size of the WAL on the way, in bytes."""
    largest = 0
    for n in range(megabytes * 10):
        await store.write(note(f"{threading.get_ident()} {n} " + "x" * 100_000))
        largest = max(largest, store.path.with_name(store.path.name + "-wal").stat().st_size)
    return largest


def test_the_wal_does_not_grow_with_what_is_written(store: Store) -> None:
    assert asyncio.run(pour(store, 30)) < 12_000_000


@pytest.mark.slow
def test_the_wal_stays_bounded_under_two_busy_writers(path: Path) -> None:
    with contextlib.closing(Store.open(path, [NOTES])) as one, contextlib.closing(Store.open(path, [NOTES])) as two:
        largest: list[int] = []
        threads = [threading.Thread(target=lambda s=s: largest.append(asyncio.run(pour(s, 60)))) for s in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(largest) == 2
    assert max(largest) < 80_000_000


def test_a_read_sees_one_moment(store: Store, path: Path) -> None:
    def twice(con: apsw.Connection) -> tuple[list[Any], list[Any]]:
        first = notes(con)
        with contextlib.closing(apsw.Connection(str(path))) as other:
            note(f"between {len(first)}")(other)
        return first, notes(con)

    async def run() -> None:
        assert store.read(twice) == ([], [])
        assert await store.read_off(twice) == (["between 0"],) * 2
        assert store.read(notes) == ["between 0", "between 1"]

    asyncio.run(run())


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError):
        store.read(note("by the back door"))


def test_without_threads_a_write_is_there_when_it_returns() -> None:
    with contextlib.closing(Store.open(MEMORY, [NOTES])) as store:
        threads = threading.active_count()
        write = store.write(note("at once"))
        with pytest.raises(StopIteration, match="at once"):  # it never waited
            write.send(None)
        assert store.read(notes) == ["at once"]
        assert asyncio.run(store.read_off(notes)) == ["at once"]
        assert threading.active_count() == threads


def test_a_store_can_be_opened_while_another_process_makes_it(path: Path) -> None:
    path.parent.mkdir()
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")  # as when that one makes the store
    threading.Timer(0.1, other.close).start()

    Store.open(path, [NOTES]).close()


def test_each_step_of_a_schema_is_applied_once(path: Path) -> None:
    steps = (*NOTES.steps, "INSERT INTO notes (text) VALUES ('by a step')")
    for schema in (NOTES, Schema("notes", steps), Schema("notes", steps)):
        Store.open(path, [schema, Schema("other", ("CREATE TABLE others (id)",))]).close()

    assert on_disk(path) == ["by a step"]


def test_a_step_that_fails_leaves_the_store_as_it_was(path: Path) -> None:
    Store.open(path, [NOTES]).close()
    broken = Schema("notes", (*NOTES.steps, "INSERT INTO notes (text) VALUES ('half'); SELECT nothing FROM nowhere"))
    with pytest.raises(apsw.SQLError):
        Store.open(path, [broken])

    assert on_disk(path) == []
    Store.open(path, [NOTES]).close()


def test_a_newer_store_is_refused(path: Path) -> None:
    Store.open(path, [Schema("notes", (*NOTES.steps, "CREATE TABLE more (id)"))]).close()

    with pytest.raises(StoreError, match=f"{path} was made by a newer Standpipe; install that one"):
        Store.open(path, [NOTES])
