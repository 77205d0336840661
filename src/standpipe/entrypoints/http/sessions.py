"""The operations on sessions: open one, ask in it, follow it, cancel a turn, and what led to an answer."""

from __future__ import annotations

import secrets
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from standpipe.core.apply import fold
from standpipe.core.events import Answered, CancelRequested, TurnRequested
from standpipe.core.explain import Node
from standpipe.core.explain import why as explained
from standpipe.core.ids import digest_bytes, turn_id
from standpipe.core.items import Source, Text, encode_body
from standpipe.engine.house import Turn
from standpipe.engine.show import as_erased, hidden, labels_of, without
from standpipe.entrypoints.http import schema
from standpipe.entrypoints.http.auth import Caller
from standpipe.entrypoints.http.events import Heard, answer_parts, session_parts, turn_parts
from standpipe.entrypoints.http.front import Front, plain
from standpipe.entrypoints.http.problems import Wrong
from standpipe.entrypoints.http.requests import NO_PART, body_of, key_of, part_of, seq_of
from standpipe.entrypoints.http.streams import EVENT_STREAM, Part, one
from standpipe.errors import NotFound
from standpipe.ports import Log, SessionRow


async def open_one(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """Open a session; its id follows from the Idempotency-Key, if there is one."""
    key, wanted = key_of(request), await body_of(request, schema.NewSession)
    named = digest_bytes("\0".join(("session", *caller, key)).encode())
    session = named if key else secrets.token_hex(16)
    agent = await front.house.begin(session, caller.principal, caller.tenant, wanted.agent)
    return plain(schema.Session(session, agent), HTTPStatus.CREATED, {"Location": f"/v1/sessions/{session}"})


async def ask(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """Ask; the turn goes on whether or not anybody waits for it."""
    key, wanted = key_of(request), await body_of(request, schema.NewTurn)
    row = await front.owned(request.path_params["id"], caller)
    name = f"turn:{key}" if key else secrets.token_hex(8)
    turn = await _asked(front, row, wanted, name)
    seq, hash = await _admitted(front.log, row.session, name)
    if hash != digest_bytes(encode_body(Text(wanted.question))):
        raise Wrong(HTTPStatus.UNPROCESSABLE_ENTITY, "This Idempotency-Key came with another question before.")
    if EVENT_STREAM in request.headers.get("accept", ""):
        return front.written(caller, turn_parts(_heard(front, row), turn, seq - 1), EVENT_STREAM)
    return front.written(caller, answer_parts(turn))


async def _asked(front: Front, row: SessionRow, wanted: schema.NewTurn, request: str) -> Turn:
    return await front.house.ask(
        wanted.question,
        principal=row.principal,
        tenant=row.tenant,
        session=row.session,
        folders=front.folders[row.tenant] if row.turns == 0 else (),
        budget_usd=wanted.budget_usd,
        deadline_s=wanted.deadline_s,
        request=request,
        interrupt=wanted.interrupt,
    )


async def _admitted(log: Log, session: str, request: str) -> tuple[int, str]:
    """Where a message was admitted, and the hash of its text."""
    for frame in await log.read(session, bodies=False):
        for event in frame.events:
            if isinstance(event.fact, TurnRequested | Answered) and event.fact.request == request:
                return event.seq, event.fact.items[0].hash
    raise AssertionError("a request that was admitted stands in the log")


async def events(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """The events of a session, those there are and those to come."""
    after, row = seq_of(request), await front.owned(request.path_params["id"], caller)
    return front.written(caller, session_parts(_heard(front, row), after), EVENT_STREAM)


def _heard(front: Front, row: SessionRow) -> Heard:
    return Heard(front.log, row.tenant, row.session, front.ping_s, front.house.ports.spoken)


async def cancel(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """Have a turn end, the latest if none is named, at some level. For one that was cancelled before, this says so again."""
    key_of(request)
    wanted, row = await body_of(request, schema.Cancel), await front.owned(request.path_params["id"], caller)
    turn = wanted.turn or (wanted.scope.partition(".")[0] if "." in wanted.scope else "")
    if not turn:
        turn = turn_id(fold(await front.log.read(row.session, bodies=False)).turns)
    try:
        await front.house.cancel(row.session, turn, caller.principal, level=wanted.level, scope=wanted.scope)
    except NotFound:
        if not await _cancelled(front.log, row.session, turn):
            raise Wrong(HTTPStatus.CONFLICT, "There is no such turn running.") from None
    return plain(schema.Cancelling(row.session, turn, wanted.scope), HTTPStatus.ACCEPTED)


async def _cancelled(log: Log, session: str, turn: str) -> bool:
    facts = (event.fact for frame in await log.read(session, bodies=False) for event in frame.events)
    return any(isinstance(fact, CancelRequested) and fact.turn == turn for fact in facts)


async def why(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """What led to an answer, or to a part of it."""
    row, of = await front.owned(request.path_params["id"], caller), part_of(request)
    frames = as_erased(await front.log.read(row.session))
    labels = {label for frame in frames for event in frame.events for label in labels_of(event)}

    def nodes(closed: frozenset[Source]) -> list[Node]:
        return explained([without(frame, closed) for frame in frames], of)

    if not nodes(await hidden(front.house.ports.access, row.tenant, row.principal, labels)):
        raise Wrong(HTTPStatus.NOT_FOUND, NO_PART)
    return front.written(caller, one(Part(labels, lambda closed: msgspec.json.encode(schema.Why(row.session, nodes(closed))))))
