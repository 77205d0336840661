"""What a search may look at, and what it gives back: the same in every index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from standpipe.core.items import Source
from standpipe.core.passages import Piece
from standpipe.core.rank import Visible
from standpipe.ports import Hit

LIMIT_MAX = 50
"""Hits of one search at most, whoever asks for more."""


class Remembered(msgspec.Struct, frozen=True):
    """A memory as a document, and what must be visible for it to be found."""

    document: Visible
    folders: tuple[str, ...]
    sources: tuple[Source, ...]


def in_sight(
    shelves: Mapping[str, Mapping[int, Visible]], memories: Mapping[int, Remembered], visible: Callable[[str, str], bool]
) -> dict[int, Visible]:
    """By number, the current documents of these folders that may be seen, and the memories all of whose sources are among
    them: what a source that is gone or forbidden led to is not found any more."""
    seen = {
        number: document
        for folder, documents in shelves.items()
        for number, document in documents.items()
        if visible(folder, document.path)
    }
    if memories:
        places = {(document.folder, document.path) for document in seen.values()}
        for number, memory in memories.items():
            at_home = not memory.folders or not shelves.keys().isdisjoint(memory.folders)
            if at_home and all((source.folder, source.path) in places for source in memory.sources):
                seen[number] = memory.document
    return seen


class Stored(msgspec.Struct, frozen=True):
    """A document as an index keeps it."""

    version: str
    text: str
    pieces: tuple[Piece, ...]


def hit(document: Visible, stored: Stored, passage: int, score: float, sources: Iterable[Source]) -> Hit:
    """What is told of a passage that was found."""
    piece = stored.pieces[passage]
    return Hit(
        folder=document.folder,
        path=document.path,
        version=stored.version,
        heading=piece.heading,
        start=piece.start,
        text=stored.text[piece.start : piece.end],
        score=score,
        sources=tuple(sources),
        memory=document.memory,
    )
