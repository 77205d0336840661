"""Brings a folder into the store: first as facts of the house log, then into the index, and again after any crash.

Level-triggered: what is compared is the disk with the index, and the folder's access.rel with what was applied of it, not
with what was done before. A fact is written before the index follows, and the relations of a folder are in force before
the documents that they guard can be found.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from standpipe.core.events import Event, FolderSynced, HouseFact, RelationsChanged
from standpipe.core.ids import HOUSE
from standpipe.core.relations import difference, inconsistent
from standpipe.drivers.search.folder import RULES, SUFFIXES, Chunk, Folder, folder_id, rules
from standpipe.errors import StoreError, UsageError
from standpipe.ports import AccessStore, Append, Appended, Log, Search, Synced

TRIES_MAX = 100
"""How often the house log may be longer than it was just read to be; more than that is not bad luck."""


class _Stamp(NamedTuple):
    """Who writes, when (ms since 1970), and about which folder of which tenant."""

    tenant: str
    folder: str
    root: Path
    at: int
    by: str


async def sync(log: Log, search: Search, access: AccessStore, tenant: str, root: Path, *made: *tuple[int, str]) -> Synced:
    """Index what changed in the folder `root` since it was last looked at; `made`: the time in ms, and who does it.

    Raises UsageError for a folder that is missing, holds no documents or whose access.rel is malformed (then nothing is
    changed), and StoreError.
    """
    await asyncio.to_thread(rules, root)
    stamp = _Stamp(tenant, folder_id(tenant, root), Path(os.path.realpath(root)), *made)
    known = await search.versions(tenant, stamp.folder)
    folder = await asyncio.to_thread(Folder, root, known)
    chunks = folder.chunks()
    changed = removed = 0
    chunk: Chunk | None = Chunk(())
    while chunk is not None:
        await _record(log, access, stamp, chunk, await asyncio.to_thread(rules, root))
        if chunk.changed or chunk.gone:
            await search.write(tenant, stamp.folder, chunk.changed, chunk.gone)
        changed += len(chunk.changed)
        removed += len(chunk.gone)
        chunk = await asyncio.to_thread(_next, chunks)
    if not folder.documents:
        raise UsageError(_nothing(folder))
    return Synced(stamp.folder, folder.documents, changed, removed, dict(sorted(folder.skipped.items())), folder.replaced)


async def _record(log: Log, access: AccessStore, stamp: _Stamp, chunk: Chunk, says: tuple[str, ...] | None) -> None:
    """Append what a chunk and the access.rel change, if anything; afterwards both are true of the house log."""
    for _ in range(TRIES_MAX):
        seq, _ = await log.heads(HOUSE)
        facts = await _facts(access, stamp, chunk, says)
        if not facts:
            return
        events = tuple(Event(seq + number, stamp.by, (), fact) for number, fact in enumerate(facts, 1))
        answer = await log.append(
            Append(
                session=HOUSE,
                tenant=stamp.tenant,
                at=stamp.at,
                by=stamp.by,
                rules="",
                expect_seq=seq,
                events=events,
            )
        )
        if isinstance(answer, Appended):
            return
    raise StoreError("The house log is written to by so many processes that none gets its turn; stop some of them.")


async def _facts(access: AccessStore, stamp: _Stamp, chunk: Chunk, says: tuple[str, ...] | None) -> list[HouseFact]:
    """A folder that ever had an access.rel is governed by it; one that lost it grants nothing by it any more."""
    applied = await access.applied(stamp.tenant, stamp.folder)
    governed = says is not None or applied is not None
    facts: list[HouseFact] = []
    if governed and (applied is None or set(applied) != set(says or ())):
        in_force = await access.relations(stamp.tenant, stamp.folder)
        granted, revoked = difference(applied, says or (), in_force)
        wrong = inconsistent({*in_force, *granted}.difference(revoked)) if granted else None
        if wrong is not None:
            told = f"with the relations that commands granted, `{wrong.text}` has no meaning: expected {wrong.expected}"
            raise UsageError(f"{stamp.root / RULES}: {told}.")
        facts.append(
            RelationsChanged(
                tenant=stamp.tenant,
                namespace=stamp.folder,
                origin="file",
                granted=granted,
                revoked=revoked,
                applied=tuple(says or ()),
            )
        )
    if facts or chunk.changed or chunk.gone:
        facts.append(
            FolderSynced(
                tenant=stamp.tenant,
                folder=stamp.folder,
                root=str(stamp.root),
                changed=tuple((document.path, document.version) for document in chunk.changed),
                removed=chunk.gone,
                governed=governed,
            )
        )
    return facts


def _next(chunks: Iterator[Chunk]) -> Chunk | None:
    return next(chunks, None)


def _nothing(folder: Folder) -> str:
    kinds = " and ".join([", ".join(SUFFIXES[:-1]), SUFFIXES[-1]])
    if not folder.skipped:
        return f"The folder {folder.root} is empty: name one with {kinds} files."
    others = ", ".join(f"{count} {reason}" for reason, count in sorted(folder.skipped.items()))
    return f"The folder {folder.root} has no documents ({kinds} files; skipped: {others}): name one that has."
