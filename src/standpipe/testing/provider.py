"""A Chat Completions server on a real socket of this machine, for tests: strict about requests, and failing as it is told.

async with ChatProvider(lambda request: "Yes.", faults=["stall", ""]) as provider:
    model = ChatModels(Endpoint(provider.base_url))
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from standpipe.core.items import ToolCall
from standpipe.testing.provider_faults import FAULTS, JSON, SSE, Frames, Trouble, error, frame
from standpipe.testing.provider_rules import problem

Respond = Callable[[dict[str, Any]], str | Sequence[ToolCall]]
"""What the model behind the server says to a request: text, or calls."""

PIECE_CHARS = 8
"""As much of a reply as one event carries."""
PAUSE_S = 0.02
"""Between two signs of life of a server that has nothing to say."""


class ChatProvider:
    """Serves `POST /v1/chat/completions` while it is open. `faults` names what goes wrong with the first request, the second,
    and so on ("": nothing); the last one holds for all that follow. With `key`, only requests that bear it are served.

    `requests` are the bodies that came, `refused` says what was wrong with those that broke the rules. What `respond` raises is
    a server error, and raised again when the server closes.
    """

    def __init__(self, respond: Respond, *, faults: Sequence[str] = (), key: str = "") -> None:
        self._respond = respond
        self._faults = [FAULTS[name] if name else Trouble() for name in faults] or [Trouble()]
        self._key = key
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._raised: Exception | None = None
        self.requests: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.connections = 0
        self.base_url = ""

    @property
    def open_connections(self) -> int:
        """Connections that clients have open now."""
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._raised is not None and error is None:
            raise self._raised

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while (asked := await _request(reader)) is not None:
                if not await self._serve(*asked, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(
        self, head: str, headers: Mapping[str, str], body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One exchange; whether the connection can be used for another."""
        trouble = self._faults[min(len(self.requests) + len(self.refused), len(self._faults) - 1)]
        wrong, status = self._wrong(head, headers, body), 400
        if wrong:
            self.refused.append(wrong)
            status = 401 if "key" in wrong else 400
            return await _send(writer, reader, Trouble(status, JSON, {}, error("invalid_request_error", message=wrong)), [])
        request = msgspec.json.decode(body)
        self.requests.append(request)
        key = headers.get("authorization", "").removeprefix("Bearer ").encode()
        try:
            said = self._respond(request)
        except Exception as raised:
            self._raised = raised
            return await _send(writer, reader, Trouble(500, JSON, {}, error("server_error")), [])
        if not request.get("stream", False) and trouble.body is None:
            trouble = msgspec.structs.replace(trouble, kind=JSON, body=whole(said, request))
        frames = [piece.replace(b"{key}", key) for piece in trouble.change(streamed(said, request))]
        if trouble.body is not None:
            frames = [trouble.body.replace(b"{key}", key)]
        return await _send(writer, reader, trouble, frames)

    def _wrong(self, head: str, headers: Mapping[str, str], body: bytes) -> str:
        if head != "POST /v1/chat/completions HTTP/1.1":
            return "There is only POST /v1/chat/completions."
        if self._key and headers.get("authorization") != f"Bearer {self._key}":
            return "The key is not the right one."
        if headers.get("content-type") != JSON:
            return f"The content type is not {JSON}."
        return "Nobody wants a cookie." if "cookie" in headers else problem(body)


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes] | None:
    """The next request of a connection: its first line, its headers by lower-case name, its body; None at the end."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    head, *lines = raw.decode("latin-1").strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return head, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def _send(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, trouble: Trouble, frames: Frames) -> bool:
    if not trouble.mute:
        more = "".join(f"{name}: {value}\r\n" for name, value in trouble.headers.items())
        head = f"HTTP/1.1 {trouble.status} X\r\nContent-Type: {trouble.kind}\r\n{more}Transfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        pieces = [bytes([b]) for b in b"".join(frames)] if trouble.then == "bytes" else frames
        for piece in pieces:
            _chunk(writer, piece)
            await writer.drain()
            await asyncio.sleep(0)
    if trouble.then in ("end", "bytes"):
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
    if trouble.then == "reset":
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    elif trouble.then == "hang":
        await reader.read()
    elif trouble.then in ("ping", "drip"):
        sign = b": still here\n\n" if trouble.then == "ping" else frames[-1]
        while not reader.at_eof():
            _chunk(writer, sign)
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), PAUSE_S)
    return False


def _chunk(writer: asyncio.StreamWriter, piece: bytes) -> None:
    if piece:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


def _usage(said: str | Sequence[ToolCall], request: Mapping[str, Any]) -> dict[str, int]:
    """Usage at four bytes a token."""
    read = len(msgspec.json.encode(request["messages"])) // 4
    written = len(said if isinstance(said, str) else msgspec.json.encode(list(said))) // 4 + 1
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _calls(said: Sequence[ToolCall]) -> list[dict[str, Any]]:
    return [
        {
            "id": call.native or f"call_{n}",
            "type": "function",
            "function": {"name": call.name, "arguments": msgspec.json.encode(call.arguments).decode()},
        }
        for n, call in enumerate(said)
    ]


def whole(said: str | Sequence[ToolCall], request: Mapping[str, Any]) -> bytes:
    """A reply as one JSON body."""
    text = said if isinstance(said, str) else None
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if text is None:
        message["tool_calls"] = _calls([call for call in said if isinstance(call, ToolCall)])
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop" if text is not None else "tool_calls"}
    told = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": request["model"], "choices": [choice]}
    return msgspec.json.encode(told | {"usage": _usage(said, request)})


def streamed(said: str | Sequence[ToolCall], request: Mapping[str, Any]) -> Frames:
    """A reply as events: the role, pieces of content, the finish reason, the usage, `[DONE]`."""
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": request["model"]}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return frame(
            {**about, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], "usage": None}
        )

    frames = [chunk({"role": "assistant", "content": "" if isinstance(said, str) else None})]
    if isinstance(said, str):
        frames += [chunk({"content": piece}) for piece in _pieces(said)]
    else:
        for n, call in enumerate(_calls(said)):
            function = call["function"]
            frames.append(chunk({"tool_calls": [{**call, "index": n, "function": {**function, "arguments": ""}}]}))
            pieces = _pieces(function["arguments"])
            frames += [chunk({"tool_calls": [{"index": n, "function": {"arguments": piece}}]}) for piece in pieces]
    frames.append(chunk({}, "stop" if isinstance(said, str) else "tool_calls"))
    return [*frames, frame({**about, "choices": [], "usage": _usage(said, request)}), b"data: [DONE]\n\n"]


def _pieces(text: str) -> list[str]:
    return [text[n : n + PIECE_CHARS] for n in range(0, len(text), PIECE_CHARS)]


__all__ = ["SSE", "ChatProvider", "Respond", "streamed", "whole"]
