"""How tests call tools, and documents to call them on."""

from __future__ import annotations

import asyncio
from typing import Any

from standpipe.core.events import Event, FolderSynced, HouseFact, RelationsChanged
from standpipe.core.ids import HOUSE
from standpipe.core.items import Source
from standpipe.core.tools import AgentSpec
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.tools.documents import DocumentTools
from standpipe.ports import Append, Appended, Document, Failed, Memory, Reply, ToolRequest, Tools

AGENT = AgentSpec("coordinator", "Answer.")


def request(name: str, principal: str = "user:ana", **arguments: Any) -> ToolRequest:
    """A call of tenant acme that may look into folder `f`."""
    return ToolRequest(name, arguments, "key-1", "acme", principal, ("f",), AGENT)


def called(tools: Tools, asked: ToolRequest) -> Reply | Failed:
    """What one attempt gives."""
    return asyncio.run(tools.call(asked))


async def documents() -> DocumentTools:
    """Documents that everybody may read but for `hr/*`, which only ana may."""
    access, search = MemoryAccess(), MemorySearch()
    says = ("document:hr/*#reader@user:ana", "document:ops/*#reader@user:ana", "document:ops/*#reader@user:bob")
    facts: tuple[HouseFact, ...] = (
        RelationsChanged("acme", "f", "file", says, applied=says),
        FolderSynced("acme", "f", "/docs", governed=True),
    )
    log = MemoryLog([access.project])
    events = tuple(Event(n, "test", (), fact) for n, fact in enumerate(facts, 1))
    assert isinstance(await log.append(Append(HOUSE, "acme", 1, "test", "", 0, events)), Appended)
    pages = [
        Document("hr/pay.md", "v1", "# Pay\n\nThe leader is paid 90 a day.\n"),
        Document(
            "ops/etcd.md", "v2", "# etcd\n\n## Leader\n\nThe leader is elected in 5 s.\n\n## Disk\n\nThe disk is small.\n"
        ),
        Document("ops/empty.md", "v3", ""),
        Document("ops/long.md", "v4", "".join(f"# Part {n}\n\n{'long words ' * 500}\n\n" for n in range(20))),
    ]
    await search.write("acme", "f", pages, [])
    await search.remember(Memory("s.t1", "acme", "user:ana", ("f",), "The leader costs 90.", (Source("f", "hr/pay.md", "v1"),)))
    return DocumentTools(search, access)
