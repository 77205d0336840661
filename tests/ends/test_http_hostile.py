"""What no well-meaning client sends: every operation answers with a problem document or lets go, and goes on serving."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.ends.http_serving import QUESTION, Client, House, run, served, until

import standpipe as sp
from standpipe.core.tools import ToolSpec
from standpipe.entrypoints.http.connections import Patience
from standpipe.settings import Key

JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def raw(client: Client, sent: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection that has sent something, and does not read unless it is told to."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
    writer.write(sent)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def well(client: Client) -> bool:
    """Whether the server still serves."""
    return (await client.get("/v1/health"))[0] == 200


# --- bodies ------------------------------------------------------------------------------------------------------------

WRONG = [
    (b"{", 400),
    (b"\xff", 400),
    (b"null", 422),
    (b"[]", 422),
    (b'"words"', 422),
    (b"1e999", 422),
    (b'{"fly": 1}', 422),
    (b"{" + b'"a":{' * 50_000, 422),
    (b'{"agent": 1, "turn": 1, "session": 1, "ask": 1, "allow": "yes"}', 422),
]


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/sessions/{id}/turns", "/v1/sessions/{id}/cancel", "/v1/approvals"])
def test_no_operation_takes_a_body_of_the_wrong_form(path: str) -> None:
    async def main() -> None:
        async with served(House()) as client:
            session = await client.open()
            before = await client.house.ports.log.rows()
            for data, status in WRONG:
                async with client.http.post(path.replace("{id}", session), data=data, headers=JSON) as answer:
                    told = await answer.json(content_type="application/problem+json")
                    assert (answer.status, told["status"]) == (status, status), (data[:40], told)
            assert await client.house.ports.log.rows() == before

    run(main)


@pytest.mark.parametrize("megabytes", [10, 100_000])
def test_large_bodies_in_pieces_are_refused_and_not_kept(megabytes: int) -> None:
    sent: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(megabytes):
            sent.append(number)
            yield b"[" * 1_000_000

    async def refused(client: Client, path: str) -> int:
        try:
            async with client.http.post(path, data=pieces(), headers=JSON) as answer:
                return answer.status
        except (OSError, sp.StandpipeError):  # it was let go of while it still sent
            return 413

    async def main() -> None:
        async with served(House()) as client:
            session = await client.open()
            gc.collect()
            tracemalloc.start()
            statuses = await asyncio.gather(*(refused(client, f"/v1/sessions/{session}/turns") for _ in range(8)))
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert set(statuses) == {413}
            assert most < 8 * 5_000_000, f"{most} bytes were kept at once"
            assert len(sent) < 8 * 100, "somebody could send for ever"
            assert await well(client)

    run(main)


# --- places and parameters ---------------------------------------------------------------------------------------------

ODD = ["%00", "%ff", "..", "%2e%2e", "%2f", "a%2fb", "%E2%80%AE", "*", "house", "a" * 5_000, "'%20OR%201=1--"]


def test_odd_names_of_sessions_are_sessions_that_do_not_exist() -> None:
    async def main() -> None:
        async with served(House()) as client:
            for name in ODD:
                for method, rest in (("GET", "events"), ("GET", "why"), ("POST", "turns"), ("POST", "cancel")):
                    head = f"{method} /v1/sessions/{name}/{rest} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                    body = json.dumps(QUESTION) if rest == "turns" else ""
                    sent = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                    async with raw(client, sent.encode()) as (reader, _):
                        told = await reader.read()
                    assert told.startswith(b"HTTP/1.1 404") and b"application/problem+json" in told, (name, method, rest, told)

    run(main)


def test_odd_parts_of_an_answer_are_parts_that_do_not_exist() -> None:
    async def main() -> None:
        async with served(House()) as client:
            session = await client.open()
            assert (await client.post(f"/v1/sessions/{session}/turns", QUESTION))[0] == 200
            for of in (
                "%00",
                "%ff",
                "s0",
                "s-1",
                "s" + "9" * 5_000,
                "9" * 5_000,
                "17.0.0",
                "st",
                "t.st.a",
                "٣",
                "s٣",
                "²",
                "s²",
            ):
                status, told = await client.get(f"/v1/sessions/{session}/why?of={of}")
                assert (status, told["status"]) == (404, 404), of[:20]

    run(main)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_methods_that_nothing_here_knows_are_refused_on_a_connection_that_lives_on(method: str) -> None:
    async def main() -> None:
        async with served(House()) as client:
            once = f"{method} /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            last = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n"
            async with raw(client, once + once + last) as (reader, _):
                told = await reader.read()
            assert told.count(b"HTTP/1.1 405") == 2 and told.count(b"HTTP/1.1 200") == 1

    run(main)


# --- clients that take their time --------------------------------------------------------------------------------------


def test_many_who_trickle_keep_nobody_waiting() -> None:
    async def main() -> None:
        async with served(House(patience=Patience(request_s=0.5, stop_s=1))) as client, AsyncExitStack() as stack:
            for n in range(200):
                begun = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
                await stack.enter_async_context(raw(client, begun[: n % len(begun)]))
            session = await client.open()
            assert (await client.post(f"/v1/sessions/{session}/turns", QUESTION))[1]["outcome"] == "completed"
            await client.http.close()
            await until(lambda: not client.server.server_state.connections)

    run(main)


def test_who_never_reads_the_stream_of_a_turn_loses_nothing_of_it() -> None:
    async def talks(conversation: list[sp.Item], tools: list[ToolSpec]) -> str:
        return "Yes. " * 2_000

    async def main() -> None:
        async with served(House(respond=talks, patience=Patience(reading_s=0.3, stop_s=1))) as client:
            session = await client.open()
            body = json.dumps(QUESTION)
            head = f"POST /v1/sessions/{session}/turns HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
            sent = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            async with raw(client, sent):
                async with client.stream(f"/v1/sessions/{session}/events") as stream:
                    seen = []
                    async for message in stream:
                        seen.append(message.id)
                        if message.data["kind"] == "TurnEnded":
                            break
                assert seen == list(range(1, len(seen) + 1)) and message.data["data"]["outcome"] == "completed"

    run(main)


def test_a_flood_of_requests_on_one_connection_that_is_never_read_is_let_go_of() -> None:
    async def main() -> None:
        async with served(House(patience=Patience(reading_s=0.5, stop_s=1))) as client:
            _, described = await client.get("/openapi.json")
            await client.http.close()
            await until(lambda: not client.server.server_state.connections)
            gc.collect()
            tracemalloc.start()
            async with raw(client, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5_000):
                await until(lambda: bool(client.server.server_state.connections))
                await until(lambda: not client.server.server_state.connections, 10)
                _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert most < 500 * len(json.dumps(described)), f"{most} bytes were kept for answers nobody reads"

    run(main)


# --- whose session it is -----------------------------------------------------------------------------------------------


def test_a_principal_of_the_same_name_in_another_tenant_is_somebody_else() -> None:
    async def main() -> None:
        keys = [Key(hashlib.sha256(name.encode()).hexdigest(), "user:ana", name) for name in ("acme", "other")]
        async with served(House(keys=keys)) as client:
            mine, theirs = ({"Authorization": f"Bearer {name}"} for name in ("acme", "other"))
            session = await client.open(**mine, Idempotency_Key="k")
            assert await client.open(**theirs, Idempotency_Key="k") != session
            path = f"/v1/sessions/{session}"
            assert (await client.post(f"{path}/turns", QUESTION, **mine))[0] == 200
            unknown = await client.get(f"/v1/sessions/{'0' * 32}/why", **theirs)
            assert unknown[0] == 404
            for told in (
                await client.post(f"{path}/turns", QUESTION, **theirs),
                await client.post(f"{path}/cancel", {}, **theirs),
                await client.get(f"{path}/events", **theirs),
                await client.get(f"{path}/why", **theirs),
                await client.post("/v1/approvals", {"session": session, "ask": "a1", "allow": True}, **theirs),
            ):
                assert told == unknown
            [row] = [row for row in await client.house.ports.log.rows() if row.session == session]
            assert (row.turns, row.tenant) == (1, "acme")

    run(main)
