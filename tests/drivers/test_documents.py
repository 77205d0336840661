"""The tools `search` and `read`: what they give, and that what may not be seen is answered like what is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from jsonschema_rs import validator_for

from standpipe.core.control import ReadArguments, SearchArguments
from standpipe.core.events import Event, FolderSynced, HouseFact, RelationsChanged
from standpipe.core.items import Draft, Failure, Passage, Source, Text
from standpipe.core.tools import AgentSpec
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.tools.documents import READ, READ_CHARS_MAX, SEARCH, DocumentTools
from standpipe.ports import Document, Failed, Hit, Memory, Reply, ToolRequest

PUBLIC = Document("plan.md", "v1", "# Plan\n\n## Goals\n\nShip the runbook.\n\n## Risks\n\nThe disk is full.\n")
SECRET = Document("hr/pay.md", "v1", "# Pay\n\nThe runbook author earns a lot.\n")
GRANTED = ("document:plan.md#reader@user:*", "document:hr/*#reader@user:ana")


class World:
    """Two folders, `f` governed and `g` open, and the tools over them."""

    def __init__(self) -> None:
        self.access = MemoryAccess()
        self.search: MemorySearch = MemorySearch()
        self.seq = 0
        self.happens(
            RelationsChanged("acme", "f", "file", granted=GRANTED, applied=GRANTED),
            FolderSynced("acme", "f", "/docs", governed=True),
        )

    def happens(self, *facts: HouseFact) -> None:
        self.access.project(None, "acme", tuple(Event(self.seq + n, "p1", (), fact) for n, fact in enumerate(facts, 1)))
        self.seq += len(facts)

    async def fill(self, *documents: Document, folder: str = "f") -> World:
        await self.search.write("acme", folder, documents, [])
        return self

    async def call(self, tool: str, principal: str = "user:bob", **arguments: Any) -> Reply | Failed:
        request = ToolRequest(tool, arguments, "k1", "acme", principal, ("f", "g"), AgentSpec("coordinator", ""))
        return await DocumentTools(self.search, self.access).call(request)


def drafts(reply: Reply | Failed) -> Sequence[Draft]:
    assert isinstance(reply, Reply)
    return reply.drafts


def passages(reply: Reply | Failed) -> list[Passage]:
    return [draft.body for draft in drafts(reply) if isinstance(draft.body, Passage)]


def test_the_schemas_say_what_the_arguments_are() -> None:
    for tool, kind, given in ((SEARCH, SearchArguments, {"query": "a", "limit": 3}), (READ, ReadArguments, {"source": "a.md"})):
        schema = validator_for(tool.parameters)
        assert schema.is_valid(given)
        assert not schema.is_valid({})
        assert not schema.is_valid({**given, "other": 1})
        assert msgspec.convert(given, kind) is not None
        assert "$ref" not in str(tool.parameters)


def test_search_gives_passages_labelled_with_their_source() -> None:
    async def run() -> None:
        world = await World().fill(PUBLIC)
        (draft, *_) = drafts(await world.call("search", query="is the disk full?"))

        assert isinstance(draft.body, Passage)
        assert (draft.body.source, draft.body.version, draft.body.folder) == ("plan.md", "v1", "f")
        assert (draft.body.heading, draft.body.text) == (("Plan", "Risks"), "The disk is full.")
        assert PUBLIC.text[draft.body.start :].startswith("The disk is full.")
        assert draft.body.score > 0
        assert (draft.label.sources, draft.label.integrity) == ((Source("f", "plan.md", "v1"),), "document")

    asyncio.run(run())


def test_search_respects_its_limit() -> None:
    async def run() -> None:
        world = await World().fill(*(Document(f"{n}.md", "v1", "The disk.\n") for n in range(20)), folder="g")
        assert len(passages(await world.call("search", query="disk"))) == 8
        assert len(passages(await world.call("search", query="disk", limit=3))) == 3
        assert len(passages(await world.call("search", query="disk", limit=-3))) == 1

    asyncio.run(run())


def test_memory_leads_to_its_sources() -> None:
    async def run() -> None:
        world = await World().fill(PUBLIC, SECRET)
        sources = (Source("f", "plan.md", "v1"), Source("f", "hr/pay.md", "v1"))
        await world.search.remember(Memory("s1.t1", "acme", "user:ana", ("f",), "Authors of runbooks are paid well.", sources))

        found = drafts(await world.call("search", "user:ana", query="are authors paid well?"))
        (memory,) = [draft for draft in found if isinstance(draft.body, Passage) and draft.body.memory]
        assert (memory.label.sources, memory.label.integrity) == (tuple(sorted(sources)), "agent")
        assert not any(passage.memory for passage in passages(await world.call("search", query="are authors paid well?")))

    asyncio.run(run())


def test_a_whole_document_is_read_in_order() -> None:
    async def run() -> None:
        text = "# Long\n\n" + "".join(f"## Part {n}\n\n" + "Words and more words. " * 40 + "\n\n" for n in range(20))
        world = await World().fill(Document("long.md", "v1", text), folder="g")
        reply = await world.call("read", source="long.md")

        assert "".join(passage.text for passage in passages(reply)) == text
        assert all(text[p.start :].startswith(p.text) and p.score == 0 for p in passages(reply))
        assert {draft.label.sources for draft in drafts(reply)} == {(Source("g", "long.md", "v1"),)}
        assert len(passages(reply)) > 5

    asyncio.run(run())


def test_a_very_long_document_ends_with_a_note() -> None:
    async def run() -> None:
        world = await World().fill(
            Document("long.md", "v1", "Some words. " * 50_000), Document("empty.md", "v1", ""), folder="g"
        )
        reply = await world.call("read", source="long.md")
        last = drafts(reply)[-1]

        assert isinstance(last.body, Text) and "of 600000 characters were read" in last.body.text
        assert READ_CHARS_MAX - 4_000 < sum(len(passage.text) for passage in passages(reply)) <= READ_CHARS_MAX
        (empty,) = drafts(await world.call("read", source="empty.md"))
        assert empty.body == Text("The document is empty.")
        assert empty.label.sources == (Source("g", "empty.md", "v1"),)

    asyncio.run(run())


def test_the_first_folder_that_shows_a_document_is_read() -> None:
    async def run() -> None:
        other = Document("hr/pay.md", "v2", "What everybody may know of pay.\n")
        world = await (await World().fill(SECRET)).fill(other, folder="g")

        assert passages(await world.call("read", "user:ana", source="hr/pay.md"))[0].version == "v1"
        assert passages(await world.call("read", "user:bob", source="hr/pay.md"))[0].version == "v2"

    asyncio.run(run())


@pytest.mark.parametrize("query", ["runbook", "what does the author earn?", "Pay", "hr/pay.md"])
def test_what_is_forbidden_is_answered_like_what_is_not_there(query: str) -> None:
    async def run() -> None:
        there, gone = await World().fill(PUBLIC, SECRET), await World().fill(PUBLIC)

        assert await there.call("search", query=query) == await gone.call("search", query=query)
        assert await there.call("read", source="hr/pay.md") == await gone.call("read", source="hr/pay.md")
        assert await there.call("read", source="hr/pay.md") == await gone.call("read", source="no/such.md")
        (refused,) = drafts(await there.call("read", source="hr/pay.md"))
        assert isinstance(refused.body, Failure) and refused.body.code == "not_found"
        assert refused.label.sources == ()
        assert await there.call("search", "user:ana", query=query) != await gone.call("search", "user:ana", query=query)

    asyncio.run(run())


def test_a_right_that_goes_while_we_look_is_gone() -> None:
    """The relations change between the search and its answer: the answer is of the time after."""

    class Slow(MemorySearch):
        """An index during whose first look something happens."""

        def __init__(self, meanwhile: Callable[[], None]) -> None:
            super().__init__()
            self.meanwhile: Callable[[], None] | None = meanwhile

        def _once(self) -> None:
            if self.meanwhile is not None:
                meanwhile, self.meanwhile = self.meanwhile, None
                meanwhile()

        async def find(self, *args: Any, **other: Any) -> list[Hit]:
            found = await super().find(*args, **other)
            self._once()
            return found

        async def document(self, *args: Any, **other: Any) -> Document | None:
            found = await super().document(*args, **other)
            self._once()
            return found

    async def run(tool: str, **arguments: Any) -> None:
        world = World()
        world.search = Slow(lambda: world.happens(RelationsChanged("acme", "f", "command", revoked=(GRANTED[1],))))
        await world.fill(SECRET)
        (refused,) = drafts(await world.call(tool, "user:ana", **arguments))
        assert isinstance(refused.body, Failure) and refused.body.code == "not_found"

    asyncio.run(run("search", query="runbook author"))
    asyncio.run(run("read", source="hr/pay.md"))


def test_relations_that_never_rest_give_a_failure_that_can_be_tried_again() -> None:
    class Restless(MemorySearch):
        """An index during whose every look a relation changes."""

        world: World

        async def find(self, *args: Any, **other: Any) -> list[Hit]:
            self.world.happens(RelationsChanged("acme", "f", "command", granted=GRANTED[:1]))
            return await super().find(*args, **other)

    async def run() -> None:
        world = World()
        search = Restless()
        search.world, world.search = world, search
        failed = await world.call("search", query="plan")
        assert isinstance(failed, Failed) and failed.fault.retryable

    asyncio.run(run())


@pytest.mark.parametrize("arguments", [{}, {"query": 7}, {"query": "a", "limit": "b"}, {"query": "a", "more": 1}])
def test_arguments_that_do_not_fit_are_told(arguments: dict[str, Any]) -> None:
    async def run() -> None:
        (told,) = drafts(await World().call("search", **arguments))
        assert isinstance(told.body, Failure) and told.body.code == "bad_arguments"

    asyncio.run(run())
