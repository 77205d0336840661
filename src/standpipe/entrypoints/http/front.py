"""What all operations share: the house, who may come in, the operator's documents, and whether the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from standpipe.engine.house import House
from standpipe.entrypoints.http.auth import Caller, Door
from standpipe.entrypoints.http.metrics import Metrics
from standpipe.entrypoints.http.streams import JSON, Parts, Written
from standpipe.errors import NotFound
from standpipe.ports import SessionRow

NO_SESSION = "There is no such session."
"""The same words for one that does not exist and for another principal's."""


class Front:
    """`folders` are the ids of those whose documents are searched, by tenant; a stream says each `ping_s` seconds that it is
    still there."""

    def __init__(self, house: House, door: Door, folders: Mapping[str, Sequence[str]], ping_s: float) -> None:
        self.house, self.door, self.folders, self.ping_s = house, door, folders, ping_s
        self.log, self.metrics = house.ports.log, Metrics(house)
        self.stopping = asyncio.Event()

    async def owned(self, session: str, caller: Caller) -> SessionRow:
        """The caller's session. Raises NotFound."""
        row = await self.log.row(session)
        if row is None or (row.tenant, row.principal) != caller:
            raise NotFound(NO_SESSION)
        return row

    def written(self, caller: Caller, parts: Parts, media_type: str = JSON) -> ASGIApp:
        """A response with content, judged as it is written."""
        return Written(self.house.ports.access, caller, parts, media_type, self.stopping)


def plain(value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """A response that derives from no document."""
    return Response(msgspec.json.encode(value), status.value, headers, JSON)
