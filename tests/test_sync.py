"""A folder on its way into the store: facts first, then the index; again after a crash; bad input in one clear sentence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from standpipe.core.events import Event, FolderSynced, HouseFact, RelationsChanged
from standpipe.core.ids import HOUSE, digest_bytes
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.access.sqlite import SqliteAccess
from standpipe.drivers.log import tables
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.search.folder import FILE_BYTES_MAX, folder_id
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.search.sqlite import SqliteSearch
from standpipe.drivers.search.sync import sync
from standpipe.drivers.sqlite import Store
from standpipe.errors import StoreError, UsageError
from standpipe.ports import AccessStore, Append, Appended, Document, Log, Search, Synced

HR = "document:hr/*#reader@group:hr#member"
ANA = "group:hr#member@user:ana"


class House:
    """A log, its relations and its index, and the folder that is brought into them."""

    def __init__(self, root: Path, log: Log, search: Search, access: AccessStore) -> None:
        self.root, self.log, self.search, self.access = root, log, search, access
        self.folder = folder_id("acme", root)

    async def sync(self) -> Synced:
        return await sync(self.log, self.search, self.access, "acme", self.root, 1_764_000_000_000, "p1")

    async def facts(self) -> list[HouseFact]:
        """All facts of the house log."""
        frames = await self.log.read(HOUSE)
        found = [event.fact for frame in frames for event in frame.events]
        return [fact for fact in found if isinstance(fact, RelationsChanged | FolderSynced)]

    async def command(self, granted: tuple[str, ...] = (), revoked: tuple[str, ...] = ()) -> None:
        """Grant and revoke as a command does."""
        seq, _ = await self.log.heads(HOUSE)
        fact = RelationsChanged("acme", self.folder, "command", granted=granted, revoked=revoked)
        events = (Event(seq + 1, "operator", (), fact),)
        answer = await self.log.append(
            Append(session=HOUSE, tenant="acme", at=1, by="p2", rules="", expect_seq=seq, events=events)
        )
        assert isinstance(answer, Appended)

    async def readable(self, principal: str) -> list[str]:
        """The documents that the principal finds, all of which hold the word `secret`."""
        rights = await self.access.rights("acme", self.folder, principal)
        hits = await self.search.find("acme", [self.folder], "secret", 50, lambda _, path: rights.allows(f"document:{path}"))
        return sorted({hit.path for hit in hits})


@contextlib.contextmanager
def on_disk(root: Path, store: Path) -> Iterator[House]:
    """A house on a store of its own."""
    opened = Store.open(store, [tables.SCHEMA, *SqliteAccess.SCHEMA, *SqliteSearch.SCHEMA])
    with contextlib.closing(opened):
        access = SqliteAccess(opened)
        yield House(root, SqliteLog(opened, [access.project]), SqliteSearch(opened), access)


@pytest.fixture(params=["memory", "sqlite"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    root = tmp_path / "docs"
    root.mkdir()
    if request.param == "sqlite":
        with on_disk(root, tmp_path / "store" / "standpipe.db") as house:
            yield house
    else:
        access = MemoryAccess()
        yield House(root, MemoryLog([access.project]), MemorySearch(), access)


def put(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


# --- bad folders -------------------------------------------------------------------------------------------------------


async def trouble(house: House) -> str:
    """The sentence that a sync ends with."""
    with pytest.raises(UsageError) as raised:
        await house.sync()
    return str(raised.value)


def test_a_missing_empty_or_useless_folder_is_told_in_one_sentence(house: House) -> None:
    async def run() -> None:
        assert await trouble(house) == f"The folder {house.root} is empty: name one with .md, .txt, .rst and .html files."

        put(house.root, {"logo.png": b"x", "a.bin": b"y"})
        assert "has no documents" in await trouble(house)
        assert "2 type" in await trouble(house)

        house.root = house.root / "logo.png"
        assert await trouble(house) == f"{house.root} is not a folder: name the folder that the documents are in."
        house.root = house.root.parent / "missing"
        assert await trouble(house) == f"There is no folder {house.root}: name one that exists."
        assert await house.facts() == []

    asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"// fine\n\ngroup:hr member user:ana\n",
            "line 3: found 'group:hr member user:ana'; expected TYPE:ID#RELATION@SUBJECT",
        ),
        (f"{ANA}\n".encode() + b"\xff\n", "line 2: found bytes that are not UTF-8"),
        (b"x" * (FILE_BYTES_MAX + 1), "is no file of at most 5 MB"),
    ],
)
def test_a_malformed_access_file_changes_nothing(house: House, content: bytes, sentence: str) -> None:
    async def run() -> None:
        put(house.root, {"a.md": "secret", "access.rel": content})
        told = await trouble(house)
        assert told.startswith(str(house.root / "access.rel"))
        assert sentence in told
        assert await house.facts() == []
        assert await house.search.versions("acme", house.folder) == {}

    asyncio.run(run())


# --- into the store ----------------------------------------------------------------------------------------------------


def test_a_folder_is_recorded_and_can_be_found(house: House) -> None:
    async def run() -> None:
        put(house.root, {"a.md": "A secret.\n", "hr/b.md": "Another secret.\n", "x.png": b"x"})
        synced = await house.sync()

        assert synced == Synced(house.folder, 2, 2, 0, {"type": 1})
        (fact,) = await house.facts()
        assert fact == FolderSynced(
            tenant="acme",
            folder=house.folder,
            root=str(house.root.resolve()),
            changed=(("a.md", digest_bytes(b"A secret.\n")), ("hr/b.md", digest_bytes(b"Another secret.\n"))),
        )
        assert await house.readable("user:anybody") == ["a.md", "hr/b.md"]

    asyncio.run(run())


def test_what_did_not_change_is_not_written_again(house: House) -> None:
    async def run() -> None:
        put(house.root, {"a.md": "A secret.\n", "b.md": "A secret.\n", "access.rel": f"{HR}\ndocument:*#reader@user:bob\n"})
        await house.sync()
        before = await house.facts()
        assert (await house.sync()).changed == 0
        assert await house.facts() == before

        put(house.root, {"a.md": "A changed secret.\n"})
        (house.root / "b.md").unlink()
        synced = await house.sync()
        assert (synced.documents, synced.changed, synced.removed) == (1, 1, 1)
        assert await house.readable("user:bob") == ["a.md"]

    asyncio.run(run())


def test_a_folder_that_lost_all_its_documents_has_none(house: House) -> None:
    async def run() -> None:
        put(house.root, {"a.md": "A secret.\n"})
        await house.sync()
        (house.root / "a.md").write_bytes(b"now binary\0")

        assert "no documents" in await trouble(house)
        assert await house.readable("user:ana") == []

    asyncio.run(run())


def test_relations_are_in_force_before_the_documents_they_guard(house: House) -> None:
    async def run() -> None:
        put(house.root, {f"hr/{n}.md": f"Secret {n}.\n" for n in range(600)})
        put(house.root, {"access.rel": f"{HR}\n{ANA}\n"})
        await house.sync()

        first, *others = await house.facts()
        assert isinstance(first, RelationsChanged)
        assert (first.origin, first.granted, first.revoked, first.applied) == ("file", (HR, ANA), (), (HR, ANA))
        assert all(isinstance(fact, FolderSynced) and fact.governed for fact in others)
        assert sum(len(fact.changed) for fact in others if isinstance(fact, FolderSynced)) == 600
        assert len(await house.readable("user:ana")) == 50
        assert await house.readable("user:bob") == []

    asyncio.run(run())


def test_a_file_is_applied_once_and_then_by_its_difference(house: House) -> None:
    async def run() -> None:
        put(house.root, {"hr/a.md": "A secret.\n", "access.rel": f"{HR}\n{ANA}\n"})
        await house.sync()
        assert await house.readable("user:ana") == ["hr/a.md"]

        await house.command(revoked=(ANA,))
        await house.sync()
        put(house.root, {"access.rel": f"{HR}\n{ANA}\ngroup:hr#member@user:bob // new\n"})
        await house.sync()
        assert await house.readable("user:ana") == [], "revoked by a command, and the file says nothing new of it"
        assert await house.readable("user:bob") == ["hr/a.md"]

        await house.command(granted=(ANA,))
        put(house.root, {"access.rel": f"{HR}\n{ANA}\n"})
        await house.sync()
        assert await house.readable("user:ana") == ["hr/a.md"]
        assert await house.readable("user:bob") == []

    asyncio.run(run())


def test_a_folder_that_had_rules_never_becomes_open(house: House) -> None:
    async def run() -> None:
        put(house.root, {"hr/a.md": "A secret.\n"})
        await house.sync()
        assert await house.readable("user:bob") == ["hr/a.md"]

        put(house.root, {"access.rel": f"{HR}\n{ANA}\n"})
        await house.sync()
        assert (await house.readable("user:bob"), await house.readable("user:ana")) == ([], ["hr/a.md"])

        (house.root / "access.rel").unlink()
        await house.sync()
        assert (await house.readable("user:bob"), await house.readable("user:ana")) == ([], [])

        await house.command(granted=(HR, ANA))
        await house.sync()
        assert (await house.readable("user:bob"), await house.readable("user:ana")) == ([], ["hr/a.md"])

    asyncio.run(run())


def test_a_second_sync_repairs_what_a_crash_left(house: House) -> None:
    """The house fact was written, the index was not: the next sync finds the index behind the disk."""

    async def run() -> None:
        put(house.root, {"a.md": "A secret.\n"})
        lost = House(house.root, house.log, MemorySearch(), house.access)
        await lost.sync()
        assert await house.readable("user:ana") == []

        await house.sync()
        assert await house.readable("user:ana") == ["a.md"]
        assert len(await house.facts()) == 2

    asyncio.run(run())


def test_the_index_never_knows_more_than_the_house_log(house: House) -> None:
    class Failing(MemorySearch):
        """An index whose disk is full."""

        async def write(self, tenant: str, folder: str, changed: Sequence[Document], removed: Sequence[str]) -> None:
            raise StoreError("full")

    async def run() -> None:
        put(house.root, {"hr/a.md": "A secret.\n", "access.rel": f"{HR}\n{ANA}\n"})
        with pytest.raises(StoreError):
            await House(house.root, house.log, Failing(), house.access).sync()

        assert [type(fact) for fact in await house.facts()] == [RelationsChanged, FolderSynced, FolderSynced]
        assert not (await house.access.rights("acme", house.folder, "user:bob")).allows("document:hr/a.md")

    asyncio.run(run())


def test_syncs_at_the_same_time_end_in_the_same_state(tmp_path: Path) -> None:
    async def run(houses: list[House]) -> None:
        put(houses[0].root, {f"{n}.md": f"Secret {n}.\n" for n in range(300)})
        put(houses[0].root, {"access.rel": "document:*#reader@user:ana\n"})
        await asyncio.gather(*(house.sync() for house in houses))

        assert await houses[0].log.chain() == []
        versions = await houses[1].search.versions("acme", houses[1].folder)
        assert len(versions) == 300
        assert await houses[0].readable("user:bob") == []
        assert len(await houses[0].readable("user:ana")) == 50
        assert (await houses[1].sync()).changed == 0

    root = tmp_path / "docs"
    root.mkdir()
    store = tmp_path / "standpipe.db"
    with on_disk(root, store) as one, on_disk(root, store) as other:
        asyncio.run(run([one, other, one]))
