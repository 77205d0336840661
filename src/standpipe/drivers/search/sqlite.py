"""The index in SQLite: documents in all their versions, the passages of the current ones, and where each term is."""

from __future__ import annotations

import asyncio
import threading
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

import apsw
import msgspec

from standpipe.core.ids import digest_bytes
from standpipe.core.items import Source
from standpipe.core.passages import Piece
from standpipe.core.rank import Indexed, Ranked, Visible, concepts, index, rank, wanted
from standpipe.drivers.search import tables
from standpipe.drivers.search.finding import LIMIT_MAX, Remembered, Stored, hit, in_sight
from standpipe.drivers.sqlite import Store
from standpipe.ports import Document, Hit, Memory

CHUNK_CHARS = 128_000
"""Text that is indexed and written at one go: some 15 ms of the writer thread, so that nobody's append waits long."""
CHUNK_DOCUMENTS = 200
ROWS_MAX = 500
"""Postings of one INSERT: around each statement the interpreter's lock changes hands, which costs more than a row."""
SHELVES_MAX = 64
"""Folders whose list of documents is kept between searches."""

_Place = tuple[str, str, str]
"""Tenant, folder and owner of a shelf."""
_Part = tuple[list[Document], Sequence[str]]
"""Documents that are to be current, and paths that are to be gone."""

_PIECES = msgspec.json.Decoder(tuple[Piece, ...])
_FOLDERS = msgspec.json.Decoder(tuple[str, ...])
_SOURCES = msgspec.json.Decoder(tuple[Source, ...])


class _Chunk(msgspec.Struct, frozen=True):
    """What one transaction writes: documents with their index, paths that go, and the terms of versions that give way.

    `postings` are (term, which of `changed`, pairs) in the order of the table.
    """

    changed: list[tuple[Document, Indexed]]
    postings: list[tuple[str, int, bytes]]
    removed: Sequence[str]
    terms: dict[int, list[str]]


class _Shelf(msgspec.Struct, frozen=True):
    """The current documents of a folder, or the memories of a principal, at one generation."""

    id: int
    generation: int
    documents: dict[int, Visible]
    memories: dict[int, Remembered]


class SqliteSearch:
    """The Search port on a store that was opened with `SCHEMA`."""

    SCHEMA = (tables.SCHEMA,)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shelves: dict[_Place, _Shelf] = {}
        self._lock = threading.Lock()

    async def versions(self, tenant: str, folder: str) -> dict[str, str]:
        """The current version of every document of the folder."""
        return await self._store.read_off(lambda con: dict(_rows(con, tables.VERSIONS, tenant, folder, "")))

    async def write(self, tenant: str, folder: str, changed: Sequence[Document], removed: Sequence[str]) -> None:
        """Make these the current versions; old versions can still be read, but not found. Each document at one go, all of
        them in several: it is for the caller to look again after a crash."""
        place = (tenant, folder, "")
        chunks = list(_chunks(changed, removed))
        # While a chunk is written the next one is worked out.
        prepared = await self._prepare(place, chunks[0]) if chunks else None
        for following in [*chunks[1:], None]:
            if prepared is None:
                return
            writing = self._store.write_off(partial(_write, place=place, chunk=prepared))
            prepared = (await asyncio.gather(self._prepare(place, following), writing))[0]

    async def find(
        self, tenant: str, folders: Sequence[str], query: str, limit: int, visible: Callable[[str, str], bool], owner: str = ""
    ) -> list[Hit]:
        """The best passages, best first, of what is visible, and of `owner`'s memory of it."""
        places = [(tenant, folder, "") for folder in dict.fromkeys(folders)]
        if owner:
            places.append((tenant, "", owner))
        return await self._store.read_off(lambda con: self._find(con, places, query, limit, visible))

    async def document(self, tenant: str, folder: str, path: str, version: str = "") -> Document | None:
        """A version of a document (the current one without `version`), or None."""
        return self._store.read(lambda con: _document(con, (tenant, folder, ""), path, version))

    async def remember(self, memory: Memory) -> None:
        """Keep a memory; the same id twice is once."""
        place = (memory.tenant, "", memory.principal)
        document = Document(memory.id, digest_bytes(memory.text.encode()), memory.text)
        chunk = _chunk([document], (), {})

        def write(con: apsw.Connection) -> None:
            (shelf, _) = _one(con, tables.SHELF, *place) or (0, 0)
            if _one(con, tables.CURRENT_OF, shelf, memory.id) is not None:
                return
            for number in _write(con, place, chunk):
                folders, sources = msgspec.json.encode(memory.folders), msgspec.json.encode(memory.sources)
                con.execute(tables.ADD_MEMORY, (number, folders.decode(), sources.decode()))

        await self._store.write(write)

    async def forget(self, tenant: str, principal: str, ids: Collection[str]) -> None:
        """Delete memories of a principal, so that nothing of them is left in the file."""

        def forget(con: apsw.Connection) -> None:
            shelf, _ = _one(con, tables.SHELF, tenant, "", principal) or (0, 0)
            for row in [_one(con, tables.CURRENT_OF, shelf, id) for id in ids]:
                for statement in tables.FORGET if row is not None else ():
                    con.execute(statement, (row[0],))
            con.execute(tables.TURN, (shelf,))

        if ids:
            await self._store.erase(forget)

    async def _prepare(self, place: _Place, part: _Part | None) -> _Chunk | None:
        return await self._store.read_off(partial(_prepared, place=place, part=part)) if part is not None else None

    def _find(
        self,
        con: apsw.Connection,
        places: list[_Place],
        query: str,
        limit: int,
        visible: Callable[[str, str], bool],
    ) -> list[Hit]:
        asked = concepts(query)
        shelves = {place: self._shelf(con, place) for place in places}
        documents = {folder: shelf.documents for (_, folder, owner), shelf in shelves.items() if not owner}
        memories = {number: memory for shelf in shelves.values() for number, memory in shelf.memories.items()}
        seen = in_sight(documents, memories, visible)
        postings: dict[str, dict[int, Sequence[int]]] = {}
        for term in wanted(asked):
            postings[term] = {number: pairs for s in shelves.values() for number, pairs in _pairs(con, s.id, term)}
        found: list[Hit] = []
        for one in rank(asked, seen, postings, min(limit, LIMIT_MAX)):
            sources = memories[one.document].sources if one.document in memories else ()
            found.append(hit(seen[one.document], _stored(con, one), one.passage, one.score, sources))
        return found

    def _shelf(self, con: apsw.Connection, place: _Place) -> _Shelf:
        """A shelf as it is in this snapshot; kept until somebody, in whatever process, writes to it."""
        row = _one(con, tables.SHELF, *place)
        if row is None:
            return _Shelf(0, 0, {}, {})
        kept = self._shelves.get(place)
        if kept is None or kept.generation != row[1]:
            kept = _loaded(con, place, *row)
            with self._lock:  # searches run in several threads
                self._shelves[place] = kept
                while len(self._shelves) > SHELVES_MAX:
                    del self._shelves[next(iter(self._shelves))]
        return kept


def _chunks(changed: Sequence[Document], removed: Sequence[str]) -> Iterator[_Part]:
    for first in range(0, len(removed), CHUNK_DOCUMENTS):
        yield [], removed[first : first + CHUNK_DOCUMENTS]
    documents: list[Document] = []
    size = 0
    for document in changed:
        if documents and (size + len(document.text) > CHUNK_CHARS or len(documents) == CHUNK_DOCUMENTS):
            yield documents, ()
            documents, size = [], 0
        documents.append(document)
        size += len(document.text)
    if documents:
        yield documents, ()


def _prepared(con: apsw.Connection, place: _Place, part: _Part) -> _Chunk:
    """Everything about a chunk that can be worked out before the transaction that writes it."""
    changed, removed = part
    (shelf, _) = _one(con, tables.SHELF, *place) or (0, 0)
    terms: dict[int, list[str]] = {}
    for path in (*removed, *(document.path for document in changed)) if shelf else ():
        row = _one(con, tables.CURRENT_OF, shelf, path)
        if row is not None:
            (text,) = _one(con, tables.TEXT, row[0])
            terms[row[0]] = list(index(text, path).postings)
    return _chunk(changed, removed, terms)


def _chunk(changed: list[Document], removed: Sequence[str], terms: dict[int, list[str]]) -> _Chunk:
    indexed = [(document, index(document.text, document.path)) for document in changed]
    by_term: dict[str, list[tuple[int, bytes]]] = {}
    for number, (_, made) in enumerate(indexed):
        for term, pairs in made.postings.items():
            by_term.setdefault(term, []).append((number, array("H", pairs).tobytes()))
    postings = [(term, number, pairs) for term in sorted(by_term) for number, pairs in by_term[term]]
    return _Chunk(indexed, postings, removed, terms)


def _write(con: apsw.Connection, place: _Place, chunk: _Chunk) -> list[int]:
    """The numbers of the documents that are new on the shelf."""
    con.execute(tables.ADD_SHELF, place)
    shelf, _ = _one(con, tables.SHELF, *place)
    for path in chunk.removed:
        _retire(con, shelf, path, chunk)
    numbers = [_put(con, shelf, document, indexed, chunk) for document, indexed in chunk.changed]
    values = [(term, numbers[which], pairs) for term, which, pairs in chunk.postings if numbers[which]]
    for first in range(0, len(values), ROWS_MAX):
        some = values[first : first + ROWS_MAX]
        con.execute(
            tables.ADD_POSTINGS + ", ".join(["(?, ?, ?, ?)"] * len(some)), [field for row in some for field in (shelf, *row)]
        )
    con.execute(tables.TURN, (shelf,))
    return [number for number in numbers if number]


def _put(con: apsw.Connection, shelf: int, document: Document, indexed: Indexed, chunk: _Chunk) -> int:
    """Make a version the current one; its number, or 0 if it was that already."""
    current = _one(con, tables.CURRENT_OF, shelf, document.path)
    if current is not None and current[1] == document.version:
        return 0
    _retire(con, shelf, document.path, chunk)
    known = _one(con, tables.VERSION_OF, shelf, document.path, document.version)
    if known is not None:
        con.execute(tables.SET_CURRENT, (1, known[0]))
        return int(known[0])
    con.execute(tables.ADD_DOCUMENT, (shelf, document.path, document.version, array("I", indexed.lengths).tobytes()))
    number = con.last_insert_rowid()
    con.execute(tables.ADD_TEXT, (number, document.text, msgspec.json.encode(indexed.pieces).decode()))
    return number


def _retire(con: apsw.Connection, shelf: int, path: str, chunk: _Chunk) -> None:
    """Leave a version to be read only. Postings that stay behind, where another process was quicker, are never counted."""
    current = _one(con, tables.CURRENT_OF, shelf, path)
    if current is not None:
        con.execute(tables.SET_CURRENT, (0, current[0]))
        con.execute(tables.DROP_POSTINGS, (shelf, current[0], msgspec.json.encode(chunk.terms.get(current[0], [])).decode()))


def _loaded(con: apsw.Connection, place: _Place, id: int, generation: int) -> _Shelf:
    _, folder, owner = place
    if not owner:
        rows = _rows(con, tables.CURRENT, id)
        return _Shelf(id, generation, {n: Visible(folder, path, _numbers("I", lengths)) for n, path, lengths in rows}, {})
    memories = {}
    for number, path, lengths, folders, sources in _rows(con, tables.MEMORIES, id):
        document = Visible("", path, _numbers("I", lengths), memory=True)
        memories[number] = Remembered(document, _FOLDERS.decode(folders), _SOURCES.decode(sources))
    return _Shelf(id, generation, {}, memories)


def _document(con: apsw.Connection, place: _Place, path: str, version: str) -> Document | None:
    shelf = _one(con, tables.SHELF, *place)
    if shelf is None:
        return None
    found = _one(con, *((tables.VERSION_OF, shelf[0], path, version) if version else (tables.CURRENT_OF, shelf[0], path)))
    if found is None:
        return None
    (text,) = _one(con, tables.TEXT, found[0])
    return Document(path, found[1], text)


def _stored(con: apsw.Connection, one: Ranked) -> Stored:
    version, text, pieces = _one(con, tables.STORED, one.document)
    return Stored(version, text, _PIECES.decode(pieces))


def _pairs(con: apsw.Connection, shelf: int, term: str) -> Iterator[tuple[int, Sequence[int]]]:
    return ((number, _numbers("H", pairs)) for number, pairs in _rows(con, tables.POSTINGS, shelf, term))


def _numbers(kind: str, data: bytes) -> Sequence[int]:
    numbers: array[int] = array(kind)
    numbers.frombytes(data)
    return numbers


def _one(con: apsw.Connection, sql: str, *bindings: Any) -> Any:
    """The only row of an answer as a tuple, or None."""
    return con.execute(sql, bindings).fetchone()


def _rows(con: apsw.Connection, sql: str, *bindings: Any) -> Any:
    return con.execute(sql, bindings)
