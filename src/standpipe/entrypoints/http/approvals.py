"""The operations on approvals: which tool calls of a principal wait for its yes or no, and saying it."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from standpipe.core.items import Source
from standpipe.engine.approvals import seen, waiting
from standpipe.entrypoints.http import schema
from standpipe.entrypoints.http.auth import Caller
from standpipe.entrypoints.http.front import Front, plain
from standpipe.entrypoints.http.requests import body_of, key_of
from standpipe.entrypoints.http.streams import Part, one


async def listed(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """What waits for the caller's yes or no."""
    rows = [row for row in await front.log.rows() if (row.tenant, row.principal) == caller]
    found = await waiting(front.log, front.house.setup.rules, rows)

    def render(closed: frozenset[Source]) -> bytes:
        return msgspec.json.encode(schema.Approvals([seen(approval, label, closed) for approval, label in found]))

    return front.written(caller, one(Part([label for _, label in found], render)))


async def decide(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """Say yes or no to an approval."""
    key_of(request)
    said = await body_of(request, schema.Decision)
    row = await front.owned(said.session, caller)
    await front.house.approve(row.session, said.ask, caller.principal, allow=said.allow, intent=said.intent)
    return plain(schema.Decided(row.session, said.ask, said.allow))
