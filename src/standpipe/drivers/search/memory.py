"""The index in memory: the same passages and the same ranking, for tests and simulation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import count

import msgspec

from standpipe.core.ids import digest_bytes
from standpipe.core.rank import Visible, concepts, index, rank, wanted
from standpipe.drivers.search.finding import LIMIT_MAX, Remembered, Stored, hit, in_sight
from standpipe.ports import Document, Hit, Memory

_Folder = tuple[str, str]


class MemorySearch:
    """The Search port without a store. Nothing in it waits, so it runs under a virtual clock."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._stored: dict[int, Stored] = {}
        self._versions: dict[tuple[str, str, str, str], int] = {}
        self._current: dict[_Folder, dict[str, int]] = {}
        self._documents: dict[int, Visible] = {}
        self._memories: dict[tuple[str, str], dict[int, Remembered]] = {}
        self._postings: dict[str, dict[int, list[int]]] = {}

    async def versions(self, tenant: str, folder: str) -> dict[str, str]:
        """The current version of every document of the folder."""
        current = self._current.get((tenant, folder), {})
        return {path: self._stored[number].version for path, number in current.items()}

    async def write(self, tenant: str, folder: str, changed: Sequence[Document], removed: Sequence[str]) -> None:
        """Make these the current versions; old versions can still be read, but not found."""
        current = self._current.setdefault((tenant, folder), {})
        for path in removed:
            current.pop(path, None)
        for document in changed:
            place = (tenant, folder, document.path, document.version)
            if place not in self._versions:
                self._versions[place] = self._add(folder, document)
            current[document.path] = self._versions[place]

    async def find(
        self, tenant: str, folders: Sequence[str], query: str, limit: int, visible: Callable[[str, str], bool], owner: str = ""
    ) -> list[Hit]:
        """The best passages, best first, of what is visible, and of `owner`'s memory of it."""
        asked = concepts(query)
        shelves = {
            folder: {number: self._documents[number] for number in self._current.get((tenant, folder), {}).values()}
            for folder in folders
        }
        memories = self._memories.get((tenant, owner), {}) if owner else {}
        seen = in_sight(shelves, memories, visible)
        postings = {term: self._postings[term] for term in wanted(asked) if term in self._postings}
        return [
            hit(
                seen[one.document],
                self._stored[one.document],
                one.passage,
                one.score,
                memories[one.document].sources if one.document in memories else (),
            )
            for one in rank(asked, seen, postings, min(limit, LIMIT_MAX))
        ]

    async def document(self, tenant: str, folder: str, path: str, version: str = "") -> Document | None:
        """A version of a document (the current one without `version`), or None."""
        if version:
            number = self._versions.get((tenant, folder, path, version))
        else:
            number = self._current.get((tenant, folder), {}).get(path)
        if number is None:
            return None
        return Document(path, self._stored[number].version, self._stored[number].text)

    async def remember(self, memory: Memory) -> None:
        """Keep a memory; the same id twice is once."""
        kept = self._memories.setdefault((memory.tenant, memory.principal), {})
        if any(other.document.path == memory.id for other in kept.values()):
            return
        number = self._add("", Document(memory.id, digest_bytes(memory.text.encode()), memory.text))
        document = msgspec.structs.replace(self._documents[number], memory=True)
        kept[number] = Remembered(document, memory.folders, memory.sources)

    async def forget(self, tenant: str, principal: str, ids: Collection[str]) -> None:
        """Delete memories of a principal."""
        kept = self._memories.get((tenant, principal), {})
        for number in [number for number, memory in kept.items() if memory.document.path in ids]:
            del kept[number], self._stored[number], self._documents[number]
            for postings in self._postings.values():
                postings.pop(number, None)

    def _add(self, folder: str, document: Document) -> int:
        number = next(self._numbers)
        indexed = index(document.text, document.path)
        self._stored[number] = Stored(document.version, document.text, indexed.pieces)
        self._documents[number] = Visible(folder, document.path, indexed.lengths)
        for term, pairs in indexed.postings.items():
            self._postings.setdefault(term, {})[number] = pairs
        return number
