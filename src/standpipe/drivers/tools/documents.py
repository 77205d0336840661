"""The tools that look into documents: `search` and `read`, each checked for the asking principal at the moment of use.

What may not be read is answered exactly like what does not exist, and nothing that is told (scores, order, counts) depends
on it. An answer is given only if no relation of the tenant changed while it was looked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from standpipe.core.control import ReadArguments, SearchArguments
from standpipe.core.details import Fault
from standpipe.core.items import Draft, Failure, Label, Passage, Source, Text
from standpipe.core.passages import sections
from standpipe.core.relations import within
from standpipe.core.tools import ToolSpec
from standpipe.ports import AccessStore, Document, Failed, Hit, Reply, Rights, Search, ToolRequest

READ_CHARS_MAX = 64_000
"""What of a document is read at one go: a long chapter, and what a model can take beside everything else."""
TRIES_MAX = 10
"""How often a look is repeated because relations changed meanwhile."""


def _schema(arguments: type) -> dict[str, Any]:
    """The JSON Schema of a type of arguments that names no other type."""
    (_, components) = msgspec.json.schema_components([arguments])
    schema = components[arguments.__name__]
    return {name: value for name, value in schema.items() if name not in ("title", "description")}


SEARCH = ToolSpec(
    name="search",
    description="Find passages in the documents and in what earlier turns produced. Ask for what you want to know in words "
    "that a document would use; several short searches find more than one long one.",
    parameters=_schema(SearchArguments),
    idempotent=True,
)
READ = ToolSpec(
    name="read",
    description="Read a whole document, named as search results name their source.",
    parameters=_schema(ReadArguments),
    resource="document:{source}",
    idempotent=True,
)


class DocumentTools:
    """The Tools port over an index and the relations that say who may see what of it."""

    def __init__(self, search: Search, access: AccessStore) -> None:
        self._search = search
        self._access = access

    async def call(self, request: ToolRequest) -> Reply | Failed:
        """One search or one read."""
        try:
            if request.tool == SEARCH.name:
                found = msgspec.convert(request.arguments, SearchArguments)
                return await self._settled(request, lambda rights: self._find(request, found, rights))
            wanted = msgspec.convert(request.arguments, ReadArguments)
        except msgspec.ValidationError as error:
            return _failure("bad_arguments", f"These arguments do not fit: {error}.")
        return await self._settled(request, lambda rights: self._read(request, wanted.source, rights))

    async def _settled(self, request: ToolRequest, look: Callable[[Mapping[str, Rights]], Awaitable[Reply]]) -> Reply | Failed:
        """What a look finds with rights that are still in force when it is over."""
        for _ in range(TRIES_MAX):
            heads = self._access.heads(request.tenant)
            rights = {
                folder: await self._access.rights(request.tenant, folder, request.principal) for folder in request.folders
            }
            reply = await look(rights)
            if self._access.heads(request.tenant) == heads:
                return reply
        return Failed(Fault("unavailable", "Relations changed all the time; try again.", retryable=True))

    async def _find(self, request: ToolRequest, asked: SearchArguments, rights: Mapping[str, Rights]) -> Reply:
        def visible(folder: str, path: str) -> bool:
            return rights[folder].allows(f"document:{path}") and within(request.agent.documents, path)

        limit = max(1, asked.limit)
        hits = await self._search.find(request.tenant, request.folders, asked.query, limit, visible, owner=request.principal)
        if not hits:
            return _failure("not_found", "Nothing was found for this query.")
        return Reply(tuple(_found(hit) for hit in hits))

    async def _read(self, request: ToolRequest, source: str, rights: Mapping[str, Rights]) -> Reply:
        for folder in request.folders:
            if rights[folder].allows(f"document:{source}") and within(request.agent.documents, source):
                document = await self._search.document(request.tenant, folder, source)
                if document is not None:
                    return Reply(_whole(folder, document))
        return _failure("not_found", "There is no such document. Search for it, and name it as the results do.")


def _failure(code: str, text: str) -> Reply:
    return Reply((Draft(Failure(code, text), Label(integrity="tool")),))


def _found(hit: Hit) -> Draft:
    passage = Passage(
        source=hit.path,
        version=hit.version,
        text=hit.text,
        heading=hit.heading,
        start=hit.start,
        score=hit.score,
        folder=hit.folder,
        memory=hit.memory,
    )
    if hit.memory:
        return Draft(passage, Label(sources=tuple(sorted(hit.sources)), integrity="agent"))
    return Draft(passage, Label(sources=(Source(hit.folder, hit.path, hit.version),), integrity="document"))


def _whole(folder: str, document: Document) -> tuple[Draft, ...]:
    """A document from its beginning, in order, and a note where it had to end early."""
    text = document.text
    label = Label(sources=(Source(folder, document.path, document.version),), integrity="document")
    drafts: list[Draft] = []
    for piece in sections(text, document.path):
        if piece.end > READ_CHARS_MAX:
            note = f"The document goes on: {piece.start} of {len(text)} characters were read. Search for what you miss."
            drafts.append(Draft(Text(note), msgspec.structs.replace(label, integrity="tool")))
            break
        passage = Passage(
            source=document.path,
            version=document.version,
            text=text[piece.start : piece.end],
            heading=piece.heading,
            start=piece.start,
            folder=folder,
        )
        drafts.append(Draft(passage, label))
    return tuple(drafts) or (Draft(Text("The document is empty."), msgspec.structs.replace(label, integrity="tool")),)
