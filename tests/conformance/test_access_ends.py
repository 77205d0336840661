"""Relations that end, and definitions that exclude, in every access store: what a lapse and a grant do to heads and rights."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from tests.conformance.test_access import ANA, HR, Opened, changed, synced

from standpipe.core.events import Event, RelationsLapsed
from standpipe.core.ids import HOUSE
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.access.sqlite import SqliteAccess
from standpipe.drivers.log import tables
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import Schema, Store
from standpipe.engine.lapse import lapse
from standpipe.ports import Append, Appended, Heads

END = 1_796_083_200_000
BOB_ENDS = "group:hr#member@user:bob until 2026-12-01T00:00Z"
EVE_ENDS = "group:hr#member@user:eve until 2026-12-02T00:00Z"


class Clock:
    """An instant that the test sets."""

    now = END - 1

    def __call__(self) -> int:
        return self.now


@contextlib.contextmanager
def memory(_folder: Path, clock: Callable[[], int]) -> Iterator[Opened]:
    access = MemoryAccess(clock)
    yield Opened(MemoryLog([access.project]), access)


@contextlib.contextmanager
def sqlite(folder: Path, clock: Callable[[], int]) -> Iterator[Opened]:
    store = Store.open(folder / "standpipe.db", [tables.SCHEMA, *SqliteAccess.SCHEMA])
    access = SqliteAccess(store, clock)
    try:
        yield Opened(SqliteLog(store, [access.project]), access)
    finally:
        store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[memory, sqlite])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Opened]:
    with request.param(tmp_path, clock) as opened:
        yield opened


def test_a_relation_counts_until_it_ends_whether_or_not_a_fact_says_so(opened: Opened, clock: Clock) -> None:
    async def run() -> None:
        at = await opened.append(synced(True), changed(granted=(HR, ANA, BOB_ENDS, EVE_ENDS)))
        assert [await opened.may(f"user:{who}", "document:hr/a.md") for who in ("ana", "bob", "eve")] == [True, True, True]
        assert opened.access.heads("acme").lapsed == 0

        clock.now = END
        assert [await opened.may(f"user:{who}", "document:hr/a.md") for who in ("ana", "bob", "eve")] == [True, False, True]
        assert opened.access.heads("acme") == Heads(at, 1, END)
        assert opened.access.heads("other") == Heads()

    asyncio.run(run())


def test_an_end_becomes_a_revocation_with_a_revision_once(opened: Opened, clock: Clock) -> None:
    async def run() -> None:
        at = await opened.append(synced(True), changed(granted=(HR, BOB_ENDS, EVE_ENDS)), changed((BOB_ENDS,), namespace="g"))
        clock.now = END + 7
        await lapse(opened.log, opened.access, "acme")
        assert opened.access.heads("acme") == Heads(at + 1, at + 1)
        assert await opened.access.relations("acme", "f") == [HR, EVE_ENDS]
        assert await opened.access.relations("acme", "g") == []

        await lapse(opened.log, opened.access, "acme")
        facts = [event.fact for frame in await opened.log.read(HOUSE) for event in frame.events]
        assert facts[3:] == [RelationsLapsed("acme", END)]

    asyncio.run(run())


def test_an_append_made_by_rights_from_before_the_end_is_stale_once_it_is_told(opened: Opened, clock: Clock) -> None:
    async def run() -> None:
        at = await opened.append(synced(True), changed(granted=(HR, BOB_ENDS)))
        clock.now = END
        await lapse(opened.log, opened.access, "acme")
        event = Event(1, "test", (), synced(False))
        late = Append(session="s", tenant="acme", at=1, by="p1", rules="", expect_seq=0, events=(event,), access_revision=at)
        assert not isinstance(await opened.log.append(late), Appended)

    asyncio.run(run())


def test_a_grant_counts_as_a_loss_where_a_definition_excludes(opened: Opened) -> None:
    async def run() -> None:
        plain = await opened.append(changed(granted=(HR,)))
        assert opened.access.heads("acme") == Heads(plain, 0)

        defined = await opened.append(changed(granted=("document#reader = reader - blocked",)))
        assert opened.access.heads("acme") == Heads(defined, defined)

        elsewhere = await opened.append(changed(granted=(ANA,), namespace="g"))
        assert opened.access.heads("acme") == Heads(elsewhere, defined)

        blocked = await opened.append(changed(granted=("document:hr/a.md#blocked@user:ana",)))
        assert opened.access.heads("acme") == Heads(blocked, blocked)

    asyncio.run(run())


def test_definitions_govern_a_tenants_type_and_are_apart_by_namespace(opened: Opened) -> None:
    async def run() -> None:
        await opened.append(synced(True), changed(granted=(HR, ANA)), synced(True, folder="g"))
        await opened.append(changed(granted=(HR, ANA, "document#reader = reader - reader2"), namespace="g"))
        await opened.append(changed(granted=("document:hr/a.md#reader2@user:ana",), namespace="g"))
        await opened.append(changed(granted=("incident#reader = owner",), namespace=""))

        assert await opened.may("user:ana", "document:hr/a.md", namespace="f")
        assert not await opened.may("user:ana", "document:hr/a.md", namespace="g")
        assert not await opened.may("user:ana", "incident:7", namespace="")
        assert await opened.may("user:ana", "invoice:7", namespace="")

    asyncio.run(run())


def test_a_store_made_before_relations_could_end_reads_the_same(tmp_path: Path) -> None:
    (now,) = SqliteAccess.SCHEMA
    old = Store.open(tmp_path / "standpipe.db", [tables.SCHEMA, Schema(now.part, now.steps[:1])])
    old.close()
    con = apsw.Connection(str(tmp_path / "standpipe.db"))
    con.execute("INSERT INTO relations VALUES ('acme', 'f', ?, 1), ('acme', 'f', ?, 1)", (HR, ANA))
    con.execute("INSERT INTO access_heads VALUES ('acme', 1, 0); INSERT INTO governed VALUES ('acme', 'f', 'document', 1)")
    con.close()

    async def run(opened: Opened) -> None:
        assert await opened.access.relations("acme", "f") == [HR, ANA]
        assert opened.access.heads("acme") == Heads(1, 0)
        assert await opened.may("user:ana", "document:hr/a.md") and not await opened.may("user:bob", "document:hr/a.md")

    with sqlite(tmp_path, Clock()) as opened:
        asyncio.run(run(opened))


def test_two_processes_that_see_an_end_at_once_tell_it_once(tmp_path: Path, clock: Clock) -> None:
    async def run(here: Opened, there: Opened) -> None:
        at = await here.append(synced(True), changed(granted=(HR, BOB_ENDS)))
        assert await there.may("user:bob", "document:hr/a.md")
        clock.now = END
        await asyncio.gather(lapse(here.log, here.access, "acme"), lapse(there.log, there.access, "acme"))
        assert here.access.heads("acme") == there.access.heads("acme") == Heads(at + 1, at + 1)
        assert not await there.may("user:bob", "document:hr/a.md")

    with sqlite(tmp_path, clock) as here, sqlite(tmp_path, clock) as there:
        asyncio.run(run(here, there))
