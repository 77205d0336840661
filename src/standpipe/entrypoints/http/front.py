"""What all operations share: the house, who may come in, the operator's documents, and whether the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp

from standpipe.engine.house import House
from standpipe.entrypoints.http.auth import Caller, Door
from standpipe.entrypoints.http.problems import RETRY, Wrong
from standpipe.entrypoints.http.streams import JSON, Parts, Written
from standpipe.entrypoints.output import trouble
from standpipe.errors import NotFound, UsageError
from standpipe.ports import SessionRow

NO_SESSION = "There is no such session."
"""The same words for one that does not exist and for another principal's."""


class Front:
    """`docs` are the folders whose documents are searched; a stream says each `ping_s` seconds that it is still there."""

    def __init__(self, house: House, door: Door, docs: Sequence[Path] = (), ping_s: float = 15.0) -> None:
        self.house, self.door, self.docs, self.ping_s = house, door, tuple(docs), ping_s
        self.log = house.ports.log
        self.stopping = asyncio.Event()

    async def owned(self, session: str, caller: Caller) -> SessionRow:
        """The caller's session. Raises NotFound."""
        row = await self.log.row(session)
        if row is None or (row.tenant, row.principal) != caller:
            raise NotFound(NO_SESSION)
        return row

    async def look_into(self, folder: Path, tenant: str) -> None:
        """Raises Wrong if a folder of the operator is what is wrong; only the operator is told which."""
        try:
            await self.house.sync(folder, tenant)
        except UsageError as error:
            trouble(str(error))
            detail = "The documents cannot be read at the moment; try again later."
            raise Wrong(HTTPStatus.SERVICE_UNAVAILABLE, detail, RETRY) from None

    def written(self, caller: Caller, parts: Parts, media_type: str = JSON) -> ASGIApp:
        """A response with content, judged as it is written."""
        return Written(self.house.ports.access, caller, parts, media_type, self.stopping)


def plain(value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """A response that derives from no document."""
    return Response(msgspec.json.encode(value), status.value, headers, JSON)
