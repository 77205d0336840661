"""Serves a house on a real socket of this machine, with a scripted model, and speaks to it as a client does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

import standpipe as sp
from standpipe.core.tools import ToolSpec
from standpipe.drivers.tools.python import Tool
from standpipe.entrypoints.http.auth import Door
from standpipe.entrypoints.http.connections import Patience
from standpipe.entrypoints.http.front import Front
from standpipe.entrypoints.http.serving import Server, folders_of, listening, running, url_of
from standpipe.ports import Approvals
from standpipe.settings import Key

QUESTION = {"question": "Is it?"}
Respond = Callable[[list[sp.Item], list[ToolSpec]], Coroutine[Any, Any, str | list[sp.ToolCall]]]


def run(main: Callable[[], Coroutine[Any, Any, None]], seconds: float = 20) -> None:
    """Run a test's coroutine; afterwards none of its tasks is left."""

    async def bounded() -> None:
        await asyncio.wait_for(main(), seconds)
        await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, left

    asyncio.run(bounded())


async def yes(conversation: list[sp.Item], tools: list[ToolSpec]) -> str:
    """The model that says yes."""
    return "Yes."


class House(NamedTuple):
    """What a test serves: `models` by one function, tools, keys, folders, patience, policy, specialists."""

    store: str = "memory:"
    respond: Respond = yes
    tools: Sequence[Tool] = ()
    keys: Sequence[Key] | None = None
    docs: Sequence[Path] = ()
    patience: Patience = Patience(stop_s=1)
    approve: Approvals | None = None
    policy: Mapping[str, object] = {}
    specialists: Sequence[sp.Agent] = ()


class Message(NamedTuple):
    """One server-sent message."""

    id: int | None
    event: str
    data: Any


class Client:
    """A client of a served house; `house` and `server` are there to look behind the curtain."""

    def __init__(self, http: aiohttp.ClientSession, house: sp.House, server: Server, port: int) -> None:
        self.http, self.house, self.server, self.port = http, house, server, port

    async def open(self, **headers: str) -> str:
        """A new session."""
        async with self.http.post("/v1/sessions", headers=named(headers)) as answer:
            assert answer.status == 201, await answer.text()
            return str((await answer.json())["session"])

    async def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the document that a POST is answered with."""
        data = None if body is None else json.dumps(body)
        given = {"Content-Type": "application/json"} | named(headers)
        async with self.http.post(path, data=data, headers=given) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """The status and the document that a GET is answered with."""
        async with self.http.get(path, headers=named(headers)) as answer:
            return answer.status, await answer.json(content_type=None)

    @asynccontextmanager
    async def stream(self, path: str, body: Any = None, last: int | None = None) -> AsyncIterator[AsyncIterator[Message]]:
        """The messages of an event stream: of a GET, or of a POST where there is a body."""
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": str(last)})
        sent = self.http.get(path, headers=headers) if body is None else self.http.post(path, json=body, headers=headers)
        async with sent as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "text/event-stream"
            yield messages(answer.content)


def named(headers: dict[str, str]) -> dict[str, str]:
    """Header names from Python names."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


async def messages(content: aiohttp.StreamReader) -> AsyncIterator[Message]:
    """The messages in a stream of bytes, comments left out."""
    fields: dict[str, str] = {}
    async for raw in content:
        line = raw.decode().rstrip("\n")
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Message(int(fields["id"]) if "id" in fields else None, fields.get("event", ""), json.loads(fields["data"]))
            fields = {}


@asynccontextmanager
async def served(wanted: House) -> AsyncIterator[Client]:
    """A house, served; at the end no connection is left."""
    agents = [sp.Agent("coordinator", tools=wanted.tools, specialists=wanted.specialists)]
    models = {"scripted": sp.testing.ScriptedModel(wanted.respond)}
    policy = dict(wanted.policy)
    opened = sp.open(policy, agents=agents, models=models, store=wanted.store, approve=wanted.approve)
    async with opened as house, served_by(house, wanted) as client:
        yield client


@asynccontextmanager
async def served_by(house: sp.House, wanted: House) -> AsyncIterator[Client]:
    """This house, served."""
    with listening("127.0.0.1", 0) as sock:
        door = Door(wanted.keys)
        front = Front(house, door, await folders_of(house, door, wanted.docs), wanted.patience.ping_s)
        url = url_of(sock)
        timeout = aiohttp.ClientTimeout(total=15)
        async with running(front, sock, wanted.patience) as server, aiohttp.ClientSession(url, timeout=timeout) as http:
            yield Client(http, house, server, sock.getsockname()[1])
    assert not server.server_state.connections and not server.server_state.tasks


async def until(holds: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until something holds; fail if it does not in time."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)
