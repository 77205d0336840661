"""The operations on approvals: which tool calls of a principal wait for its yes or no, and saying it."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from standpipe.core.apply import fold
from standpipe.core.items import Label, Source
from standpipe.core.plan import move_of
from standpipe.core.state import State
from standpipe.entrypoints.http import schema
from standpipe.entrypoints.http.auth import Caller
from standpipe.entrypoints.http.front import Front, plain
from standpipe.entrypoints.http.requests import body_of, key_of
from standpipe.entrypoints.http.streams import Part, one


async def listed(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """What waits for the caller's yes or no."""
    rows = [row for row in await front.log.rows() if (row.tenant, row.principal) == caller and row.state == "parked"]
    waiting = [pair for row in rows for pair in _open(fold(await front.log.read(row.session)))]

    def render(closed: frozenset[Source]) -> bytes:
        return msgspec.json.encode(schema.Approvals([_seen(approval, label, closed) for approval, label in waiting]))

    return front.written(caller, one(Part([label for _, label in waiting], render)))


def _open(state: State) -> list[tuple[schema.Approval, Label]]:
    """The open approvals of a session, each with the label of its arguments."""
    turn, found = state.turn, list[tuple[schema.Approval, Label]]()
    for ask in turn.asks.values() if turn is not None else ():
        if turn is not None and ask.kind == "approval" and not ask.outcome and ask.step in turn.live:
            spec = turn.steps[ask.step].spec
            move, item = move_of(turn, spec), turn.items.get(spec.item)
            approval = schema.Approval(state.session, ask.id, spec.does, ask.until, move.arguments if move else None)
            found.append((approval, item.label if item is not None else Label()))
    return found


def _seen(approval: schema.Approval, label: Label, closed: frozenset[Source]) -> schema.Approval:
    visible = closed.isdisjoint(label.sources)
    return approval if visible else msgspec.structs.replace(approval, arguments=None)


async def decide(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """Say yes or no to an approval."""
    key_of(request)
    said = await body_of(request, schema.Decision)
    row = await front.owned(said.session, caller)
    await front.house.approve(row.session, said.ask, caller.principal, allow=said.allow)
    return plain(schema.Decided(row.session, said.ask, said.allow))
