"""One connection: what its client may take its time for, and what becomes of one that does not send or does not read."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from standpipe.entrypoints.http.problems import MEDIA_TYPE, document


class Patience(msgspec.Struct, frozen=True):
    """How long, in seconds, a client may take to send a whole request, or to take what was written for it; how long an
    event stream stays silent; and how long requests under way may go on once the server stops."""

    request_s: float = 20.0
    reading_s: float = 30.0
    ping_s: float = 15.0
    stop_s: float = 5.0


class Connection(H11Protocol):
    """uvicorn's connection with an end for a client that sends too slowly, and for one that does not read."""

    def __init__(self, patience: Patience, **given: Any) -> None:
        super().__init__(**given)
        self._patience = patience
        self._sending: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._sent()
        self._taken()
        self._unset_keepalive_if_required()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(self._patience.reading_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def _watch(self) -> None:
        """The clock runs from the first moment a request is waited for until all of it is here; between two requests on
        one connection uvicorn's own clock runs."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._sent()
        elif self._sending is None:
            self._sending = self.loop.call_later(self._patience.request_s, self.transport.abort)

    def _sent(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _taken(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so and let go."""
        if self.conn.our_state is h11.IDLE or self.conn.our_state is h11.SEND_RESPONSE:
            head = h11.Response(status_code=400, headers=[("content-type", MEDIA_TYPE), ("connection", "close")])
            data = h11.Data(data=document(HTTPStatus.BAD_REQUEST, msg))
            self.transport.write(b"".join(self.conn.send(e) or b"" for e in (head, data, h11.EndOfMessage())))
        self.transport.close()


def connection(patience: Patience) -> Any:
    """What uvicorn makes connections with."""
    return partial(Connection, patience)
