"""What every access store promises: it follows the house log exactly, and a check is of the moment it is made at."""

from __future__ import annotations

import asyncio
import contextlib
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.core.events import Event, FolderSynced, HouseFact, RelationsChanged
from standpipe.core.ids import HOUSE
from standpipe.core.rights import graph, reach
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.access.sqlite import SqliteAccess
from standpipe.drivers.log import tables
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import MEMORY, Store
from standpipe.ports import AccessStore, Append, Appended, Heads, Log

HR = "document:hr/*#reader@group:hr#member"
ANA = "group:hr#member@user:ana"
BOB = "group:hr#member@user:bob"


class Opened:
    """An access store and the house log it follows."""

    def __init__(self, log: Log, access: AccessStore) -> None:
        self.log, self.access = log, access

    async def append(self, *facts: HouseFact) -> int:
        """Append house facts in one frame; the seq of the last."""
        seq, _ = await self.log.heads(HOUSE)
        events = tuple(Event(seq + n, "test", (), fact) for n, fact in enumerate(facts, 1))
        answer = await self.log.append(
            Append(session=HOUSE, tenant="acme", at=1, by="p1", rules="", expect_seq=seq, events=events)
        )
        assert isinstance(answer, Appended)
        return answer.seq

    async def may(self, principal: str, object: str, namespace: str = "f", tenant: str = "acme") -> bool:
        return (await self.access.rights(tenant, namespace, principal)).allows(object)


@contextlib.contextmanager
def memory(_folder: Path) -> Iterator[Opened]:
    access = MemoryAccess()
    yield Opened(MemoryLog([access.project]), access)


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Opened]:
    with on_store(Store.open(folder / "standpipe.db", [tables.SCHEMA, *SqliteAccess.SCHEMA])) as opened:
        yield opened


@contextlib.contextmanager
def inline(_folder: Path) -> Iterator[Opened]:
    with on_store(Store.open(MEMORY, [tables.SCHEMA, *SqliteAccess.SCHEMA])) as opened:
        yield opened


@contextlib.contextmanager
def on_store(store: Store) -> Iterator[Opened]:
    access = SqliteAccess(store)
    try:
        yield Opened(SqliteLog(store, [access.project]), access)
    finally:
        store.close()


STORES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Opened]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "inline": inline,
}


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with STORES[request.param](tmp_path) as opened:
        yield opened


def changed(granted: tuple[str, ...] = (), revoked: tuple[str, ...] = (), **other: Any) -> RelationsChanged:
    """A change of the folder `f` of the tenant acme by a command."""
    return RelationsChanged(
        **{"tenant": "acme", "namespace": "f", "origin": "command", **other}, granted=granted, revoked=revoked
    )


def synced(governed: bool, folder: str = "f", tenant: str = "acme") -> FolderSynced:
    return FolderSynced(tenant=tenant, folder=folder, root="/docs", changed=(("a.md", "v1"),), governed=governed)


def test_an_empty_store_knows_nothing(opened: Opened) -> None:
    async def run() -> None:
        assert opened.access.heads("acme") == Heads(0, 0)
        assert await opened.access.relations("acme", "f") == []
        assert await opened.access.applied("acme", "f") is None
        assert await opened.may("user:ana", "document:a.md")

    asyncio.run(run())


def test_a_folder_is_open_until_it_is_governed_and_then_for_good(opened: Opened) -> None:
    async def run() -> None:
        await opened.append(synced(False))
        assert await opened.may("user:ana", "document:hr/a.md")

        at = await opened.append(synced(True))
        assert not await opened.may("user:ana", "document:hr/a.md")
        assert opened.access.heads("acme") == Heads(at, at)

        await opened.append(synced(False))
        assert not await opened.may("user:ana", "document:hr/a.md")
        assert opened.access.heads("acme") == Heads(at, at)

    asyncio.run(run())


def test_grants_and_revocations_hold_from_their_revision_on(opened: Opened) -> None:
    async def run() -> None:
        governed = await opened.append(synced(True))
        granted = await opened.append(changed(granted=(HR, ANA)))
        before = await opened.access.rights("acme", "f", "user:ana")
        assert (before.revision, before.allows("document:hr/a.md"), before.allows("document:b.md")) == (granted, True, False)
        assert opened.access.heads("acme") == Heads(granted, governed)
        assert await opened.access.relations("acme", "f") == [HR, ANA]

        revoked = await opened.append(changed(revoked=(ANA,)))
        after = await opened.access.rights("acme", "f", "user:ana")
        assert (after.revision, after.allows("document:hr/a.md")) == (revoked, False)
        assert opened.access.heads("acme") == Heads(revoked, revoked)
        assert await opened.access.relations("acme", "f") == [HR]

    asyncio.run(run())


def test_facts_of_one_frame_count_in_their_order(opened: Opened) -> None:
    async def run() -> None:
        await opened.append(changed(granted=(HR, ANA)), changed(revoked=(ANA,)), changed(granted=(BOB,)), synced(True))

        assert await opened.access.relations("acme", "f") == [HR, BOB]
        assert not await opened.may("user:ana", "document:hr/a.md")
        assert await opened.may("user:bob", "document:hr/a.md")

    asyncio.run(run())


def test_tenants_and_namespaces_are_apart(opened: Opened) -> None:
    async def run() -> None:
        await opened.append(synced(True), synced(True, folder="g"), synced(True, tenant="other"), changed(granted=(HR, ANA)))

        assert await opened.may("user:ana", "document:hr/a.md")
        assert not await opened.may("user:ana", "document:hr/a.md", namespace="g")
        assert not await opened.may("user:ana", "document:hr/a.md", tenant="other")
        assert await opened.access.relations("other", "f") == []
        assert opened.access.heads("other") == Heads(3, 3)
        assert opened.access.heads("acme").revision == 4

    asyncio.run(run())


def test_a_tenants_types_are_open_until_a_relation_of_them_is_recorded(opened: Opened) -> None:
    async def run() -> None:
        assert await opened.may("user:ana", "incident:7", namespace="")

        at = await opened.append(changed(granted=("incident:7#reader@user:bob",), namespace=""))
        assert not await opened.may("user:ana", "incident:7", namespace="")
        assert await opened.may("user:bob", "incident:7", namespace="")
        assert not await opened.may("user:bob", "incident:8", namespace="")
        assert await opened.may("user:ana", "invoice:7", namespace="")
        assert opened.access.heads("acme") == Heads(at, at), "what was open is open no more"

        more = await opened.append(changed(granted=("incident:8#reader@user:bob",), namespace=""))
        assert opened.access.heads("acme") == Heads(more, at)

        await opened.append(changed(revoked=("incident:7#reader@user:bob",), namespace=""))
        assert not await opened.may("user:bob", "incident:7", namespace="")

    asyncio.run(run())


def test_a_type_is_also_governed_by_a_relation_that_was_only_ever_revoked(opened: Opened) -> None:
    async def run() -> None:
        await opened.append(changed(revoked=("incident:7#reader@user:bob",), namespace=""))
        assert not await opened.may("user:bob", "incident:7", namespace="")

    asyncio.run(run())


def test_what_a_file_said_is_kept_apart_from_what_commands_did(opened: Opened) -> None:
    async def run() -> None:
        await opened.append(changed(granted=(HR, ANA), origin="file", applied=(HR, ANA)))
        await opened.append(changed(granted=(BOB,), revoked=(ANA,)))
        assert await opened.access.applied("acme", "f") == [HR, ANA]

        await opened.append(changed(origin="file", applied=()))
        assert await opened.access.applied("acme", "f") == []
        assert await opened.access.relations("acme", "f") == [HR, BOB]

    asyncio.run(run())


def test_a_change_that_changes_nothing_still_moves_the_revision(opened: Opened) -> None:
    async def run() -> None:
        await opened.append(changed(granted=(HR,)))
        at = await opened.append(changed(granted=(HR,)))

        assert opened.access.heads("acme").revision == at
        assert await opened.access.relations("acme", "f") == [HR]

    asyncio.run(run())


def test_a_relation_that_is_none_never_enters_the_log(opened: Opened) -> None:
    async def run() -> None:
        with pytest.raises(AssertionError):
            await opened.append(changed(granted=("document:** #reader@user:ana",)))
        assert opened.access.heads("acme") == Heads(0, 0)

    asyncio.run(run())


def test_a_check_costs_microseconds_while_nothing_changes(opened: Opened) -> None:
    async def run() -> None:
        await opened.append(synced(True), changed(granted=(HR, ANA)))
        rights = await opened.access.rights("acme", "f", "user:ana")
        assert await opened.access.rights("acme", "f", "user:ana") is rights

        assert min(timeit.repeat(lambda: rights.allows("document:hr/a.md"), number=1_000, repeat=5)) / 1_000 < 20e-6
        assert min(timeit.repeat(lambda: opened.access.heads("acme"), number=100, repeat=5)) / 100 < 500e-6

    asyncio.run(run())


def test_another_process_sees_a_revocation_at_once(tmp_path: Path) -> None:
    async def run(here: Opened, there: Opened) -> None:
        await here.append(synced(True), changed(granted=(HR, ANA)))
        assert await there.may("user:ana", "document:hr/a.md")

        at = await here.append(changed(revoked=(ANA,)))
        assert there.access.heads("acme") == Heads(at, at)
        assert not await there.may("user:ana", "document:hr/a.md")

    with sqlite(tmp_path) as here, sqlite(tmp_path) as there:
        asyncio.run(run(here, there))


TEXTS = [HR, ANA, BOB, "document:a.md#reader@user:*", "incident:7#reader@user:ana"]
some = st.lists(st.sampled_from(TEXTS), max_size=3, unique=True).map(tuple)
facts = st.one_of(
    st.builds(
        lambda granted, revoked, namespace, file: changed(
            granted, revoked, namespace=namespace, origin="file" if file else "command", applied=granted if file else ()
        ),
        some, some, st.sampled_from(["f", "g", ""]), st.booleans(),
    ),
    st.builds(synced, st.booleans(), st.sampled_from(["f", "g"]), st.sampled_from(["acme", "other"])),
)  # fmt: skip


@given(st.lists(st.lists(facts, min_size=1, max_size=3), max_size=8))
def test_both_stores_add_up_to_what_the_log_says(frames: list[list[HouseFact]]) -> None:
    async def run(opened: Opened) -> list[object]:
        found: list[object] = []
        for frame in frames:
            await opened.append(*frame)
            for tenant in ("acme", "other"):
                found.append(opened.access.heads(tenant))
                for namespace in ("f", "g", ""):
                    found.append(await opened.access.relations(tenant, namespace))
                    found.append(await opened.access.applied(tenant, namespace))
                    for object in ("document:hr/a.md", "document:a.md", "incident:7"):
                        found.append(await opened.may("user:ana", object, namespace, tenant))
        return found

    with memory(Path()) as one, inline(Path()) as other:
        found = asyncio.run(run(one))
        assert asyncio.run(run(other)) == found
        assert not frames or found[-32:] == expected(frames)


def expected(frames: list[list[HouseFact]]) -> list[object]:
    """The last round of answers, straight from the definition."""
    events = [fact for frame in frames for fact in frame]
    found: list[object] = []
    for tenant in ("acme", "other"):
        open_before: set[tuple[str, str]] = set()
        revision = revoked = 0
        in_force: dict[str, set[str]] = {"f": set(), "g": set(), "": set()}
        applied: dict[str, list[str]] = {}
        for seq, fact in enumerate(events, 1):
            if fact.tenant != tenant:
                continue
            closes: set[tuple[str, str]] = set()
            if isinstance(fact, FolderSynced):
                closes = {(fact.folder, "document")} if fact.governed else set()
            elif isinstance(fact, RelationsChanged):
                in_force[fact.namespace] = (in_force[fact.namespace] - set(fact.revoked)) | set(fact.granted)
                closes = {("", text.split(":")[0]) for text in (*fact.granted, *fact.revoked)} if not fact.namespace else set()
                revision = seq
                revoked = seq if fact.revoked else revoked
                if fact.origin == "file":
                    applied[fact.namespace] = list(fact.applied)
            if closes - open_before:
                revision = revoked = seq
            open_before |= closes
        found.append(Heads(revision, revoked))
        for namespace in ("f", "g", ""):
            found.append(sorted(in_force[namespace]))
            found.append(applied.get(namespace))
            governed = [kind for place, kind in open_before if place == namespace]
            held = reach(graph(in_force[namespace], 0, namespace, governed), "user:ana")
            found += [held.allows(object) for object in ("document:hr/a.md", "document:a.md", "incident:7")]
    return found
