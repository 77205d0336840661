"""Clients that come and go, that are slow, that never read, that hold a key or none; rights that change under a stream."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import hashlib
import json
import random
import socket
import sys
import termios
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from starlette.types import Message
from tests.ends.http_serving import QUESTION, Client, House, run, served, until

import standpipe as sp
from standpipe.core.events import CallCancelled, Event, RelationsChanged
from standpipe.core.items import Label, Source
from standpipe.core.tools import ToolSpec
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.tools.python import tool
from standpipe.engine.access import change
from standpipe.entrypoints.http.auth import LOCAL
from standpipe.entrypoints.http.connections import Connection, Patience
from standpipe.entrypoints.http.streams import Part, Written, one
from standpipe.ports import Append
from standpipe.settings import Key


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


# --- a hundred at once -------------------------------------------------------------------------------------------------

TURNS = 100


@tool(effect="read")
async def look(place: str) -> str:
    """Look somewhere."""
    await asyncio.sleep(0.01)
    return f"nothing at {place}"


async def looks_around(conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
    """A model that looks somewhere first, and takes its time."""
    await asyncio.sleep(0.01)
    looked = sum(item.kind == "data" for item in conversation)
    return [sp.ToolCall("look", {"place": f"place {looked}"})] if looked < 1 else "There is nothing."


async def watched(client: Client, number: int) -> list[int]:
    """Ask, and see every event of the turn over a connection that is dropped again and again; the seqs that came."""
    chance = random.Random(number)
    session = await client.open()
    path, seen = f"/v1/sessions/{session}/turns", list[int]()
    body: dict[str, str] | None = QUESTION
    while True:
        patience = chance.randrange(1, 12)
        async with client.stream(path, body, seen[-1] if seen else None) as stream:
            async for message in stream:
                if message.id is None:
                    return seen
                seen.append(message.id)
                if message.data["kind"] == "TurnEnded":
                    return seen
                patience -= 1
                if not patience:
                    break
        await asyncio.sleep(chance.random() * 0.05)
        path, body = f"/v1/sessions/{session}/events?after=1", None


def test_a_hundred_turns_whose_clients_drop_and_return(store: str) -> None:
    async def main() -> None:
        async with served(House(store, looks_around, [look])) as client:
            before = set(asyncio.all_tasks())
            everything = await asyncio.gather(*(watched(client, number) for number in range(TURNS)))
            for seen in everything:
                assert seen == list(range(2, len(seen) + 2)), "an event twice, missing or out of order"
            rows = await client.house.ports.log.rows()
            await client.http.close()
            await until(lambda: not client.server.server_state.connections)
            assert [row.outcome for row in rows] == ["completed"] * TURNS
            await until(lambda: set(asyncio.all_tasks()) <= before)

    run(main, 50)


# --- who may come in ---------------------------------------------------------------------------------------------------


def key(secret: str, principal: str, tenant: str = "acme") -> Key:
    return Key(hashlib.sha256(secret.encode()).hexdigest(), principal, tenant)


def test_a_key_says_who_somebody_is() -> None:
    async def main() -> None:
        async with served(House(keys=[key("one", "user:ana"), key("two", "user:bob")])) as client:
            refused = [{}, {"Authorization": "Bearer three"}, {"Authorization": "Basic one"}, {"X-Principal": "user:ana"}]
            for headers in refused:
                async with client.http.post("/v1/sessions", headers=headers) as answer:
                    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
                    assert "three" not in await answer.text()
            session = await client.open(Authorization="Bearer one")
            [row] = await client.house.ports.log.rows()
            assert (row.tenant, row.principal) == ("acme", "user:ana")
            path = f"/v1/sessions/{session}/turns"
            assert (await client.post(path, QUESTION, Authorization="bearer one", X_Principal="user:bob"))[0] == 200
            assert (await client.post(path, QUESTION, Authorization="Bearer two", X_Principal="user:ana"))[0] == 404
            assert (await client.get("/v1/health"))[0] == 401
            _, described = await client.get("/openapi.json")
            assert described["security"] and "X-Principal" not in str(described)

    run(main)


# --- clients that do not behave ----------------------------------------------------------------------------------------


@asynccontextmanager
async def raw(client: Client, sent: bytes = b"") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection that has sent something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(sent)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /v1/health HTT", b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nX-A: ", b"POST /v1/sessions HTTP/1.1\r\n"
     b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"],
    ids=["silence", "line", "headers", "body"],
)  # fmt: skip
def test_a_request_that_trickles_in_is_cut_off(begun: bytes) -> None:
    async def main() -> None:
        async with served(House(patience=Patience(request_s=0.3, stop_s=1))) as client, raw(client, begun) as (reader, writer):

            async def trickle() -> None:
                while begun:
                    writer.write(b" ")
                    await asyncio.sleep(0.05)

            trickling = asyncio.ensure_future(trickle())
            with pytest.raises(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 2) == b""
                raise ConnectionError
            trickling.cancel()
            await asyncio.gather(trickling, return_exceptions=True)
            assert not client.server.server_state.tasks
            assert (await client.get("/v1/health"))[0] == 200

    run(main)


def test_what_is_no_http_is_told_so() -> None:
    async def main() -> None:
        async with served(House()) as client:
            for sent in (
                b"hello\r\n\r\n",
                b"GET / HTTP/1.1\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 70_000,
            ):
                async with raw(client, sent) as (reader, _):
                    told = await reader.read()
                    assert told.startswith(b"HTTP/1.1 4") and b"application/problem+json" in told and b'"status":400' in told

    run(main)


BIG = 200_000


@tool(effect="read")
async def dump(number: int) -> str:
    """A lot of text."""
    return "x" * BIG


async def dumps(conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
    """A model that fills its log."""
    done = sum(item.kind == "data" for item in conversation)
    return [sp.ToolCall("dump", {"number": n}) for n in range(10)] if done == 0 else "Enough."


def test_clients_that_never_read_are_dropped_and_cost_little_memory(tmp_path: Path) -> None:
    async def main() -> None:
        patience = Patience(reading_s=1.0, stop_s=1)
        store = f"sqlite:///{tmp_path / 'standpipe.db'}"
        async with served(House(store, dumps, [dump], patience=patience)) as client:
            session = await client.open()
            assert (await client.post(f"/v1/sessions/{session}/turns", QUESTION))[1]["tool_calls"] >= 10
            head = f"GET /v1/sessions/{session}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            gc.collect()
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
            with ExitStack() as stack:
                for _ in range(20):
                    stack.enter_context(connected(client.port, head))
                await asyncio.sleep(0.5)
                grown = tracemalloc.get_traced_memory()[0] - before
                tracemalloc.stop()
                assert len(client.server.server_state.tasks) == 20
                assert grown < 20 * 5 * BIG, f"{grown} bytes for 20 clients; what each asked for has {10 * BIG}"
                await until(lambda: not client.server.server_state.tasks)
                assert (await client.get("/v1/health"))[0] == 200

    run(main)


def test_a_client_that_never_reads_holds_a_page_of_a_long_log(tmp_path: Path) -> None:
    async def main() -> None:
        frames, words = 1_500, "x" * 2_000
        async with served(House(f"sqlite:///{tmp_path / 'standpipe.db'}")) as client:
            session, setup = await client.open(), client.house.setup
            for seq in range(1, frames + 1):
                event = Event(seq + 1, "test", (), CallCancelled(f"t1.st{seq}.a1", words))
                await setup.ports.log.append(
                    Append(session, "local", seq, "test", "", expect_seq=seq, events=(event,), row=None)
                )
            head = f"GET /v1/sessions/{session}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            gc.collect()
            tracemalloc.start()
            with connected(client.port, head):
                await until(lambda: bool(client.server.server_state.tasks))
                await asyncio.sleep(0.5)
                _, most = tracemalloc.get_traced_memory()
                tracemalloc.stop()
            assert most < frames * len(words) / 3, f"{most} bytes at most; the log has {frames * len(words)}"

    run(main)


@contextmanager
def connected(port: int, sent: bytes = b"") -> Iterator[socket.socket]:
    """A connection with the smallest of buffers that has sent something and does not read."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(sent)
        yield one


# --- rights that change ------------------------------------------------------------------------------------------------

SECRET = "b7f3"


@tool(effect="read", resource="incident:{id}")
async def incident(id: str) -> str:
    """One incident report."""
    return f"{id}: {SECRET * 10_000}"


async def reads(conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
    """A model that reads an incident again and again, and repeats a part of it."""
    done = sum(item.kind == "data" for item in conversation)
    return [sp.ToolCall("incident", {"id": "7"}) for n in range(8)] if done == 0 else f"It says {SECRET}."


async def allow(client: Client, *, granted: bool) -> None:
    relation = ("incident:7#reader@user:local",)
    by_command = RelationsChanged("local", "", "command")
    wanted = {"granted": relation} if granted else {"revoked": relation}
    await change(client.house.setup, replace(by_command, **wanted), "operator")


def test_what_may_no_longer_be_read_is_nowhere_in_what_is_asked_for_later(store: str) -> None:
    async def main() -> None:
        async with served(House(store, reads, [incident])) as client:
            await allow(client, granted=True)
            session = await client.open()
            path = f"/v1/sessions/{session}"
            _, done = await client.post(f"{path}/turns", QUESTION, Idempotency_Key="k")
            assert SECRET in done["answer"]
            assert SECRET in json.dumps(await client.get(f"{path}/why"))
            await allow(client, granted=False)
            status, again = await client.post(f"{path}/turns", QUESTION, Idempotency_Key="k")
            assert (status, again["turn"], again["answer"]) == (200, "t1", "")
            _, why = await client.get(f"{path}/why")
            async with client.stream(f"{path}/events") as stream:
                events = []
                async for message in stream:
                    events.append(message.data)
                    if message.data["kind"] == "TurnEnded":
                        break
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            assert SECRET not in json.dumps([again, why, events])

    run(main)


def test_nothing_is_written_after_a_revocation_that_was_rendered_before_it(store: str) -> None:
    async def main() -> None:
        async with served(House(store, reads, [incident])) as client:
            await allow(client, granted=True)
            session = await client.open()
            assert (await client.post(f"/v1/sessions/{session}/turns", QUESTION))[0] == 200
            await client.http.close()
            await until(lambda: not client.server.server_state.connections)
            with connected(client.port) as reader:
                await until(lambda: len(client.server.server_state.connections) == 1)
                [connection] = client.server.server_state.connections
                assert isinstance(connection, Connection)
                sender = connection.transport.get_extra_info("socket")
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                reader.sendall(f"GET /v1/sessions/{session}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                await until(lambda: connection.flow.write_paused)
                await asyncio.sleep(0.1)
                await allow(client, granted=False)
                buffered = connection.transport.get_write_buffer_size()
                handed = buffered + queued(sender.fileno(), termios.TIOCOUTQ) + queued(reader.fileno(), termios.FIONREAD)
                received = await read_until(reader, b"TurnEnded")
                assert SECRET.encode() in received[:handed]
                assert SECRET.encode() not in received[handed:]

    run(main)


def queued(file: int, what: int) -> int:
    """How many bytes a socket still holds, to be sent or to be read."""
    return int.from_bytes(fcntl.ioctl(file, what, bytes(4)), sys.byteorder)


async def read_until(reader: socket.socket, end: bytes) -> bytes:
    """All that comes until something came."""
    reader.setblocking(False)
    received = b""
    while end not in received:
        received += await asyncio.get_running_loop().sock_recv(reader, 65_536)
    return received


def test_a_right_withdrawn_while_a_part_is_rendered_is_seen_before_it_is_written() -> None:
    async def main() -> None:
        relations, written = MemoryAccess(), list[bytes]()
        granted = RelationsChanged("local", "", "command", granted=("incident:7#reader@user:local",))
        revoked = RelationsChanged("local", "", "command", revoked=("incident:7#reader@user:local",))
        relations.project(None, "local", (Event(1, "operator", (), granted),))

        def render(closed: frozenset[Source]) -> bytes:
            if not closed:  # what another process may do at any moment
                relations.project(None, "local", (Event(2, "operator", (), revoked),))
            return b"hidden" if closed else SECRET.encode()

        async def receive() -> Message:
            await asyncio.sleep(10)
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            written.append(message.get("body", b""))

        part = Part([Label((Source("", "incident:7", ""),))], render)
        await Written(relations, LOCAL, one(part), "text/plain", asyncio.Event())({}, receive, send)
        assert b"".join(written) == b"hidden"

    run(main)
