"""Hands content over: whatever derives from documents is judged by the rights of this moment, right before it is written.

Between the last look at the store's newest revision and the write to the socket nothing is awaited (P5). So a response is
written part by part: wait until the socket takes more, look what is closed to the principal, render, look whether that
still holds, write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from http import HTTPStatus
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from standpipe.core.items import Label, Source
from standpipe.engine.show import hidden
from standpipe.entrypoints.http.auth import Caller
from standpipe.entrypoints.http.problems import RETRY, problem, told
from standpipe.ports import AccessStore

EVENT_STREAM = "text/event-stream"
JSON = "application/json"


class Part(NamedTuple):
    """A piece of a response: what it derives from, and its bytes for somebody to whom these sources are closed."""

    labels: Iterable[Label]
    render: Callable[[frozenset[Source]], bytes]


Parts = AsyncGenerator[Part | bytes, None]
"""What a response is made of; bytes derive from nothing."""


class Written:
    """A response that is written part by part until it ends, its client is gone, or the server stops."""

    def __init__(self, access: AccessStore, caller: Caller, parts: Parts, media_type: str, stopping: asyncio.Event) -> None:
        self._access, self._caller, self._parts = access, caller, parts
        self._media_type, self._stopping = media_type, stopping
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write it. What goes wrong before the first part is told as a problem; later, the response just ends."""
        writing = asyncio.ensure_future(self._write(send))
        gone = asyncio.ensure_future(_gone(receive))
        stopped = asyncio.ensure_future(self._stopping.wait())
        tasks = (writing, gone, stopped)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        trouble = None if writing.cancelled() else writing.exception()
        if trouble is not None or (writing.cancelled() and gone.cancelled()):
            await self._end(trouble, scope, receive, send)

    async def _end(self, trouble: BaseException | None, scope: Scope, receive: Receive, send: Send) -> None:
        stopping = "The server stops; what was begun goes on when it starts again."
        answer = told(trouble) if isinstance(trouble, Exception) else problem(HTTPStatus.SERVICE_UNAVAILABLE, stopping, RETRY)
        if self._started:
            await send(_body(b"", more=False))
        else:
            await answer(scope, receive, send)

    async def _write(self, send: Send) -> None:
        async with aclosing(self._parts) as parts:
            async for part in parts:
                if not self._started:
                    self._started = True
                    await send(_start(self._media_type))
                await send(_body(b"", more=True))  # returns when the socket takes more, so that the next one need not wait
                await send(_body(part if isinstance(part, bytes) else await self._seen_now(part), more=True))
        await send(_body(b"", more=False))

    async def _seen_now(self, part: Part) -> bytes:
        """The part's bytes as the caller may see them at the moment of return."""
        tenant, principal = self._caller
        while True:
            heads = self._access.heads(tenant)
            data = part.render(await hidden(self._access, tenant, principal, part.labels))
            if self._access.heads(tenant) == heads:
                return data


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(media_type: str) -> dict[str, object]:
    headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
    return {"type": "http.response.start", "status": HTTPStatus.OK.value, "headers": headers}


def _body(data: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def one(part: Part) -> Parts:
    """A response of one part."""
    yield part
