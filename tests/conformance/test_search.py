"""What every index promises: versions, what is found and what is not, and that forbidden documents leave no trace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict, Unpack

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.core.items import Source
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.search.sqlite import SqliteSearch
from standpipe.drivers.sqlite import MEMORY, Store
from standpipe.ports import Document, Hit, Memory, Search


@contextlib.contextmanager
def memory(_folder: Path) -> Iterator[Search]:
    yield MemorySearch()


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Search]:
    with contextlib.closing(Store.open(folder / "standpipe.db", SqliteSearch.SCHEMA)) as store:
        yield SqliteSearch(store)


@contextlib.contextmanager
def inline(_folder: Path) -> Iterator[Search]:
    with contextlib.closing(Store.open(MEMORY, SqliteSearch.SCHEMA)) as store:
        yield SqliteSearch(store)


INDEXES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Search]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "inline": inline,
}


@pytest.fixture(params=INDEXES)
def search(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Search]:
    with INDEXES[request.param](tmp_path) as search:
        yield search


def anything(_folder: str, _path: str) -> bool:
    """Everything may be seen."""
    return True


def page(path: str, text: str, version: str = "v1") -> Document:
    return Document(path, version, text)


ETCD = page(
    "etcd/lost.md", "# No leader\n\n## Meaning\n\nThe cluster has lost its leader.\n\n## Mitigation\n\nRestore a member.\n"
)
CLOCK = page("node/clock.md", "# Clock skew\n\nTime on the node is wrong.\n")


class Asking(TypedDict, total=False):
    """How a search may differ from the usual one."""

    folders: tuple[str, ...]
    limit: int
    visible: Callable[[str, str], bool]
    owner: str


async def hits(search: Search, query: str, **asking: Unpack[Asking]) -> list[Hit]:
    """The hits of a query, of tenant acme, and in folder `f` unless told otherwise."""
    how: Asking = {"folders": ("f",), "limit": 8, "visible": anything, "owner": "", **asking}
    return await search.find("acme", how["folders"], query, how["limit"], how["visible"], how["owner"])


async def found(search: Search, query: str, **asking: Unpack[Asking]) -> list[str]:
    """The paths of the hits, each once."""
    return list(dict.fromkeys(hit.path for hit in await hits(search, query, **asking)))


def test_a_hit_is_a_piece_of_a_version(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [ETCD, CLOCK], [])
        (hit, *_) = await hits(search, "the leader of the cluster")

        assert (hit.folder, hit.path, hit.version, hit.memory, hit.sources) == ("f", ETCD.path, "v1", False, ())
        assert hit.heading == ("No leader", "Meaning")
        assert hit.text == "The cluster has lost its leader."
        assert ETCD.text[hit.start :].startswith(hit.text)
        assert hit.score > 0
        assert await hits(search, "salmon") == []
        assert await hits(search, "") == []

    asyncio.run(run())


def test_the_limit_is_kept(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [page(f"{n}.md", "The leader.\n") for n in range(90)], [])

        assert await found(search, "leader", limit=3) == ["0.md", "1.md", "10.md"]
        assert len(await found(search, "leader", limit=10_000)) == 50

    asyncio.run(run())


def test_only_the_current_version_is_found_and_every_version_can_be_read(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [ETCD, CLOCK], [])
        await search.write("acme", "f", [page(ETCD.path, "# Quorum\n\nHalf of the members are gone.\n", "v2")], [])

        assert await found(search, "leader of the cluster") == []
        assert await found(search, "quorum members") == [ETCD.path]
        assert await search.versions("acme", "f") == {ETCD.path: "v2", CLOCK.path: "v1"}
        assert await search.document("acme", "f", ETCD.path, "v1") == ETCD
        current = await search.document("acme", "f", ETCD.path)
        assert current is not None and current.version == "v2"
        assert await search.document("acme", "f", ETCD.path, "v3") is None

        await search.write("acme", "f", [ETCD], [])
        assert await found(search, "leader of the cluster") == [ETCD.path]
        assert await found(search, "quorum members") == [ETCD.path]  # "Restore a member."
        assert await search.document("acme", "f", ETCD.path) == ETCD

    asyncio.run(run())


def test_a_removed_document_is_not_found_but_its_versions_can_be_read(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [ETCD, CLOCK], [])
        await search.write("acme", "f", [], [ETCD.path, "never/there.md"])

        assert await found(search, "leader") == []
        assert await search.versions("acme", "f") == {CLOCK.path: "v1"}
        assert await search.document("acme", "f", ETCD.path) is None
        assert await search.document("acme", "f", ETCD.path, "v1") == ETCD

    asyncio.run(run())


def test_writing_the_same_again_changes_nothing(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [ETCD, CLOCK], [])
        before = await hits(search, "leader time")
        await search.write("acme", "f", [ETCD, CLOCK], [])

        assert await hits(search, "leader time") == before

    asyncio.run(run())


def test_tenants_and_folders_are_apart(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [ETCD], [])
        await search.write("acme", "g", [CLOCK], [])
        await search.write("other", "f", [page("secret.md", "The leader.\n")], [])

        assert await found(search, "leader time") == [ETCD.path]
        assert set(await found(search, "leader time", folders=("f", "g", "f"))) == {ETCD.path, CLOCK.path}
        assert await found(search, "leader", folders=()) == []
        assert await search.document("acme", "f", "secret.md") is None
        assert await search.document("acme", "none", ETCD.path) is None
        assert await search.versions("other", "g") == {}

    asyncio.run(run())


def test_one_path_in_two_folders_is_two_documents(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [page("a.md", "The leader.\n")], [])
        await search.write("acme", "g", [page("a.md", "The leader.\n")], [])

        assert [(h.folder, h.path) for h in await hits(search, "leader", folders=("g", "f"))] == [("f", "a.md"), ("g", "a.md")]
        assert [h.folder for h in await hits(search, "leader", folders=("f", "g"), visible=lambda f, _: f == "g")] == ["g"]

    asyncio.run(run())


def test_a_large_document_and_many_small_ones(search: Search) -> None:
    async def run() -> None:
        long = "# Long\n\n" + "".join(f"Paragraph {n} tells of nothing.\n\n" for n in range(9_000)) + "The leader is here.\n"
        many = [page(f"{n:04}.md", f"Page {n}.\n") for n in range(450)]
        await search.write("acme", "f", [page("long.md", long), *many, ETCD], [])

        assert (await found(search, "where is the leader", limit=2))[0] in ("long.md", ETCD.path)
        assert len(await search.versions("acme", "f")) == 452

        await search.write("acme", "f", [], [f"{n:04}.md" for n in range(450)])
        assert await search.versions("acme", "f") == {"long.md": "v1", ETCD.path: "v1"}

    asyncio.run(run())


# --- memory ------------------------------------------------------------------------------------------------------------

KEPT = Memory(
    id="s1.t1",
    tenant="acme",
    principal="user:ana",
    folders=("f",),
    text="Restore the lost leader by adding a member.",
    sources=(Source("f", ETCD.path, "v1"), Source("f", CLOCK.path, "v1")),
)


def test_memory_is_found_by_its_owner_with_its_sources(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [ETCD, CLOCK], [])
        await search.remember(KEPT)
        await search.remember(KEPT)

        (memory,) = [hit for hit in await hits(search, "adding a member", owner="user:ana") if hit.memory]
        assert (memory.path, memory.text, memory.sources) == ("s1.t1", KEPT.text, KEPT.sources)
        assert not any(hit.memory for hit in await hits(search, "adding a member", owner="user:bob"))
        assert not any(hit.memory for hit in await hits(search, "adding a member"))
        assert not [h for h in await search.find("other", ["f"], "adding a member", 8, anything, "user:ana") if h.memory]

    asyncio.run(run())


def test_memory_is_found_only_while_all_its_sources_are(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [ETCD, CLOCK], [])
        await search.remember(KEPT)

        async def remembered(**asking: Unpack[Asking]) -> bool:
            asking["owner"] = "user:ana"
            return any(hit.memory for hit in await hits(search, "adding a member", **asking))

        assert await remembered()
        assert not await remembered(visible=lambda _, path: path != CLOCK.path)
        assert not await remembered(folders=("g",))
        assert await remembered(folders=("g", "f"))

        await search.write("acme", "f", [page(CLOCK.path, "Changed.\n", "v2")], [])
        assert await remembered()
        await search.write("acme", "f", [], [CLOCK.path])
        assert not await remembered()

    asyncio.run(run())


def test_memory_without_sources_stays_in_its_folders(search: Search) -> None:
    async def run() -> None:
        await search.write("acme", "f", [CLOCK], [])
        await search.remember(Memory("m", "acme", "user:ana", ("f",), "The answer is known.", ()))

        assert await found(search, "known answer", owner="user:ana") == ["m"]
        assert await found(search, "known answer", owner="user:ana", folders=("g",)) == []

    asyncio.run(run())


# --- forbidden is absent -----------------------------------------------------------------------------------------------

WORDS = ["leader", "quota", "node", "clock", "host", "slow", "etcdNoLeader", "time", "stamps", "timestamps", "salary", "the"]
texts = st.lists(st.sampled_from([*WORDS, "\n\n", "\n\n# Part\n\n"]), max_size=25).map(" ".join)
folders = st.dictionaries(st.sampled_from([f"{d}/{n}.md" for d in "ab" for n in range(3)]), texts, max_size=5)
memories = st.lists(st.tuples(texts, st.lists(st.sampled_from(["a/0.md", "b/1.md", "secret/a/0.md"]), max_size=2)), max_size=3)


@given(folders, folders, memories, st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join), st.booleans())
def test_forbidden_documents_change_nothing_in_any_index(
    visible: dict[str, str], forbidden: dict[str, str], memories: list[tuple[str, list[str]]], query: str, rewritten: bool
) -> None:
    secret = {f"secret/{path}": text for path, text in forbidden.items()}

    async def world(search: Search, pages: dict[str, str]) -> list[Hit]:
        await search.write("acme", "f", [page(path, text) for path, text in pages.items()], [])
        if rewritten:
            await search.write("acme", "f", [page(path, text + " more", "v2") for path, text in pages.items()], [])
        for number, (text, sources) in enumerate(memories):
            kept = tuple(Source("f", path, "v1") for path in sources)
            await search.remember(Memory(f"m{number}", "acme", "user:ana", ("f",), text, kept))
        return await hits(search, query, visible=lambda _, path: not path.startswith("secret/"), owner="user:ana")

    with inline(Path()) as a, inline(Path()) as b, memory(Path()) as c, memory(Path()) as d:
        without = asyncio.run(world(a, visible))
        assert asyncio.run(world(b, {**secret, **visible})) == without
        assert asyncio.run(world(c, visible)) == without
        assert asyncio.run(world(d, {**secret, **visible})) == without


def test_another_process_finds_what_this_one_wrote(tmp_path: Path) -> None:
    async def run(here: Search, there: Search) -> None:
        await here.write("acme", "f", [ETCD], [])
        assert await found(there, "leader time") == [ETCD.path]
        await here.write("acme", "f", [CLOCK], [ETCD.path])
        assert await found(there, "leader time") == [CLOCK.path]

    with sqlite(tmp_path) as here, sqlite(tmp_path) as there:
        asyncio.run(run(here, there))


def test_versions_that_are_not_current_leave_no_postings() -> None:
    def count(con: apsw.Connection) -> object:
        return con.execute("SELECT count(*) FROM postings").fetchone()

    async def run(store: Store) -> None:
        search = SqliteSearch(store)
        await search.write("acme", "f", [ETCD], [])
        before = store.read(count)
        for number in range(9):
            await search.write("acme", "f", [page(ETCD.path, f"Words of version {number}.\n", f"v{number + 2}")], [])
        await search.write("acme", "f", [ETCD], [])
        assert store.read(count) == before
        await search.write("acme", "f", [], [ETCD.path])
        assert store.read(count) == (0,)

    with contextlib.closing(Store.open(MEMORY, SqliteSearch.SCHEMA)) as store:
        asyncio.run(run(store))
