"""Model providers behind HTTP: one attempt over one connection, watched at every moment, and told as a reply or a fault.

It never retries, follows no redirect, takes no proxy from the environment, and keeps nothing of a broken reply. What a
provider sends is trusted for nothing: an answer that holds the key itself is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from yarl import URL

from standpipe.core.items import Draft, encode_body
from standpipe.core.world import ModelSpec
from standpipe.drivers.models.secret import Secret
from standpipe.ports import Failed, Prompt, Reply
from standpipe.wire import openai_chat
from standpipe.wire.openai_chat_reply import Parser
from standpipe.wire.openai_errors import of_status
from standpipe.wire.outcome import Broken, fault

ERROR_BYTES_MAX = 65_536
"""As much of an error's body as is looked at for its code."""
ERROR_BODY_S = 1.0
"""How long that may take to come."""
LINGER_S = 0.1
"""How long a connection may take to end its reply after the last word of it, to be used again."""
KEEP_ALIVE_S = 4.0
"""Less than the 5 s after which common servers close an idle connection: who writes into a closing one loses a call."""


class Deadlines(msgspec.Struct, frozen=True):
    """How long a provider may take, in ms: to accept the connection, to send headers after that, to send the first content
    after the call began, and between one piece of content and the next. The whole call has the model's `timeout_ms`."""

    connect_ms: int = 3_000
    headers_ms: int = 10_000
    first_content_ms: int = 15_000
    idle_ms: int = 10_000


class Endpoint(msgspec.Struct, frozen=True):
    """Where a provider is and how it is to be called. `names` maps our models to its names of them (the same where absent);
    `reasoning` are those that take no temperature; `key` None: no Authorization header."""

    base_url: str
    key: Secret | None = None
    names: Mapping[str, str] = {}
    reasoning: frozenset[str] = frozenset()
    stream: bool = True
    deadlines: Deadlines = Deadlines()
    concurrency_max: int = 64


class ChatModels:
    """The Models port over OpenAI Chat Completions. `close` it, or use it as a context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises ValueError for an address that nothing can be called at."""
        given = URL(endpoint.base_url)
        if given.scheme not in ("http", "https") or not given.host or given.user or given.password:
            raise ValueError("a base_url is http:// or https:// with a host, and without a user or a password")
        self._to = endpoint
        self._url = URL(endpoint.base_url.rstrip("/") + "/chat/completions")
        self._limit = openai_chat.limit_field(self._url.host or "")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply | Failed:
        """One attempt. Cancelling it closes its connection."""
        target = openai_chat.Target(
            self._to.names.get(model.name, model.name), self._to.stream, self._limit, model.name in self._to.reasoning
        )
        body = openai_chat.encode(openai_chat.render(prompt, target))
        watch = _Watch(self._to, model.timeout_ms)
        try:
            async with asyncio.timeout(None) as watch.timeout:
                return await self._attempt(prompt, body, watch)
        except TimeoutError:
            return Failed(fault("timeout", watch.phase))

    async def _attempt(self, prompt: Prompt, body: bytes, watch: _Watch) -> Reply | Failed:
        watch.headers()
        try:
            response = await self._connections().post(self._url, data=body, headers=self._headers(), allow_redirects=False)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Failed(fault("unavailable"))
        except aiohttp.ClientResponseError:
            return Failed(fault("protocol", "it is not HTTP"))
        except (aiohttp.ClientError, OSError):
            return Failed(fault("truncated", "the connection ended before the headers"))
        try:
            if response.status != 200:
                return await _refused(response)
            return await self._read(response, prompt, watch)
        except (aiohttp.ClientError, OSError):
            return Failed(fault("truncated", "the connection broke"))
        finally:
            response.close()  # of no effect where the reply was read to its end and the connection is free again

    async def _read(self, response: aiohttp.ClientResponse, prompt: Prompt, watch: _Watch) -> Reply | Failed:
        kinds = {"text/event-stream": True, "application/json": False}
        if response.content_type not in kinds:
            return Failed(fault("protocol", "neither JSON nor an event stream"))
        parser = Parser(prompt.tools, streamed=kinds[response.content_type])
        watch.first_content()
        async for chunk in response.content.iter_any():
            if parser.feed(chunk):
                watch.progress()
                if prompt.hear is not None and (told := parser.answering) and not self._holds_key(told.encode()):
                    prompt.hear(told)
            if parser.over:
                break
        came = parser.end()
        if isinstance(came, Broken):
            return Failed(came.fault, came.usage)
        watch.done()
        await _drained(response)
        return self._checked(Reply(tuple(Draft(body) for body in came.bodies), came.usage, watch.first_content_ms))

    def _checked(self, reply: Reply) -> Reply | Failed:
        """The reply, if it can be stored and does not hold the key."""
        try:
            bodies = [encode_body(draft.body) for draft in reply.drafts]
        except (ValueError, OverflowError, RecursionError):
            return Failed(fault("protocol", "values that cannot be stored"), reply.usage)
        if any(map(self._holds_key, bodies)):
            return Failed(fault("protocol", "it repeats the key it was called with"), reply.usage)
        return reply

    def _holds_key(self, data: bytes) -> bool:
        return self._to.key is not None and self._to.key.reveal().encode() in data

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        headers["Accept-Encoding"] = "identity"
        if self._to.key is not None:
            headers["Authorization"] = f"Bearer {self._to.key.reveal()}"
        return headers

    def _connections(self) -> aiohttp.ClientSession:
        """The session with this provider, made inside the loop that uses it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._to.concurrency_max, keepalive_timeout=KEEP_ALIVE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._to.deadlines.connect_ms / 1_000),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


class _Watch:
    """The one clock of a call: what it waits for, and until when. A whole body is only there when all is said, so that a
    call that does not stream has no other deadline than its last."""

    timeout: asyncio.Timeout

    def __init__(self, to: Endpoint, total_ms: int) -> None:
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._ends = self._began + total_ms / 1_000
        self._to = to
        self.phase = ""
        self.first_content_ms = 0

    def headers(self) -> None:
        """A connection and headers must come."""
        within = self._to.deadlines.connect_ms + self._to.deadlines.headers_ms
        self._until("no headers came", self._began, within)

    def first_content(self) -> None:
        """Content must come, counted from the beginning of the call."""
        self._until("no content came", self._began, self._to.deadlines.first_content_ms)

    def progress(self) -> None:
        """Content came, and more of it must."""
        self.first_content_ms = self.first_content_ms or max(1, round((self._now() - self._began) * 1_000))
        self._until("no more content came", self._now(), self._to.deadlines.idle_ms)

    def done(self) -> None:
        """Everything came."""
        self.timeout.reschedule(None)

    def _until(self, phase: str, since: float, within_ms: int) -> None:
        moment = since + within_ms / 1_000
        watched = self._to.stream and moment < self._ends
        self.phase = phase if watched else "the time for the whole call is over"
        self.timeout.reschedule(moment if watched else self._ends)


async def _refused(response: aiohttp.ClientResponse) -> Failed:
    """What an answer with another status than 200 means; its body matters only for its code, and only if it comes soon."""
    body = b""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(ERROR_BODY_S):
            while len(body) < ERROR_BYTES_MAX and (chunk := await response.content.readany()):
                body += chunk
    broken = of_status(response.status, {name.lower(): value for name, value in response.headers.items()}, body)
    return Failed(broken.fault, broken.usage)


async def _drained(response: aiohttp.ClientResponse) -> None:
    """Read what follows the last word of a reply, if it follows at once: then the connection can be used again."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(LINGER_S):
            async for _ in response.content.iter_any():
                pass
