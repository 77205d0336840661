"""Search and read as tools: whole documents with their sources, and no trace of what may not be read."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.conformance.tools import called, documents, request

from standpipe.core.items import Failure, Label, Passage, Source, Text
from standpipe.drivers.tools.documents import READ, READ_CHARS_MAX, SEARCH
from standpipe.ports import Reply

# --- documents ---------------------------------------------------------------------------------------------------------


def test_a_read_gives_the_whole_document_with_its_source() -> None:
    reply = called(asyncio.run(documents()), request("read", source="ops/etcd.md"))
    assert isinstance(reply, Reply)
    bodies = [d.body for d in reply.drafts]
    assert "".join(b.text for b in bodies if isinstance(b, Passage)) == (
        "# etcd\n\n## Leader\n\nThe leader is elected in 5 s.\n\n## Disk\n\nThe disk is small.\n"
    )
    label = Label((Source("f", "ops/etcd.md", "v2"),), "document")
    assert all(d.label == label and isinstance(d.body, Passage) and not d.body.score for d in reply.drafts)


def test_a_search_gives_passages_with_scores_each_with_its_own_source() -> None:
    reply = called(asyncio.run(documents()), request("search", query="leader"))
    assert isinstance(reply, Reply)
    found = [(d.body, d.label) for d in reply.drafts]
    assert all(isinstance(b, Passage) and b.score for b, _ in found)
    assert {s.path for b, label in found if isinstance(b, Passage) and not b.memory for s in label.sources} == {
        "hr/pay.md",
        "ops/etcd.md",
    }
    memories = [label.sources for b, label in found if isinstance(b, Passage) and b.memory]
    assert memories == [(Source("f", "hr/pay.md", "v1"),)]


@pytest.mark.parametrize("asked", ["hr/pay.md", "hr/none.md", "none.md", "../x", ""])
def test_what_may_not_be_read_is_answered_like_what_does_not_exist(asked: str) -> None:
    tools = asyncio.run(documents())
    reply = called(tools, request("read", "user:bob", source=asked))
    assert reply == called(tools, request("read", "user:bob", source="nothing/at/all.md"))
    assert isinstance(reply, Reply) and [type(d.body) for d in reply.drafts] == [Failure]


def test_a_search_finds_nothing_that_may_not_be_read() -> None:
    tools = asyncio.run(documents())
    reply = called(tools, request("search", "user:bob", query="leader paid"))
    assert isinstance(reply, Reply)
    assert {s.path for d in reply.drafts for s in d.label.sources} == {"ops/etcd.md"}
    nothing = called(tools, request("search", "user:bob", query="paid"))
    assert nothing == called(tools, request("search", "user:bob", query="zzzzz"))


def test_a_folder_that_is_not_of_the_session_is_not_looked_into() -> None:
    elsewhere = msgspec.structs.replace(request("read", source="ops/etcd.md"), folders=())
    reply = called(asyncio.run(documents()), elsewhere)
    assert isinstance(reply, Reply) and isinstance(reply.drafts[0].body, Failure)


def test_a_long_document_is_read_from_its_beginning_and_says_that_it_goes_on() -> None:
    reply = called(asyncio.run(documents()), request("read", source="ops/long.md"))
    assert isinstance(reply, Reply)
    *pieces, note = [d.body for d in reply.drafts]
    assert sum(len(p.text) for p in pieces if isinstance(p, Passage)) <= READ_CHARS_MAX
    assert isinstance(note, Text) and "goes on" in note.text
    assert all(d.label.sources == (Source("f", "ops/long.md", "v4"),) for d in reply.drafts)


def test_an_empty_document_says_so() -> None:
    reply = called(asyncio.run(documents()), request("read", source="ops/empty.md"))
    assert isinstance(reply, Reply) and isinstance(reply.drafts[0].body, Text)


def test_search_and_read_are_reads() -> None:
    assert (SEARCH.effect, READ.effect, READ.resource) == ("read", "read", "document:{source}")
