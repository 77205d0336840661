"""Which path and method leads to which operation, and what becomes of an error on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from standpipe.core.ids import HOUSE
from standpipe.entrypoints.http import approvals, schema, sessions
from standpipe.entrypoints.http.auth import LOCAL, Caller
from standpipe.entrypoints.http.front import Front, plain
from standpipe.entrypoints.http.metrics import MEDIA_TYPE
from standpipe.entrypoints.http.problems import problem, told
from standpipe.entrypoints.http.streams import JSON

Operation = Callable[[Front, Request, Caller], Awaitable[ASGIApp]]


async def health(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """Whether the store answers, and how many sessions are under way here."""
    await front.log.heads(HOUSE)
    return plain(schema.Health("ok", "ok", len(front.house.driving)))


async def metrics(front: Front, request: Request, caller: Caller) -> ASGIApp:
    """This process in numbers."""
    return Response(await front.metrics.text(), media_type=MEDIA_TYPE)


OPERATIONS: dict[str, dict[str, Operation]] = {
    "/v1/sessions": {"POST": sessions.open_one},
    "/v1/sessions/{id}/turns": {"POST": sessions.ask},
    "/v1/sessions/{id}/events": {"GET": sessions.events},
    "/v1/sessions/{id}/cancel": {"POST": sessions.cancel},
    "/v1/sessions/{id}/why": {"GET": sessions.why},
    "/v1/approvals": {"GET": approvals.listed, "POST": approvals.decide},
    "/v1/health": {"GET": health},
    "/metrics": {"GET": metrics},
}


def app(front: Front) -> ASGIApp:
    """The ASGI application."""
    routes = [Route(path, _Place(front, operations)) for path, operations in OPERATIONS.items()]
    described = schema.openapi(keyed=front.door.callers is not None)

    async def openapi(front: Front, request: Request, caller: Caller) -> ASGIApp:
        return Response(described, media_type=JSON)

    routes.append(Route("/openapi.json", _Place(front, {"GET": openapi}, anybody=True)))
    return Router(routes, redirect_slashes=False, default=_nowhere)


class _Place:
    """One path: its operations by method, for `anybody` or for callers that are known."""

    def __init__(self, front: Front, operations: Mapping[str, Operation], *, anybody: bool = False) -> None:
        self._front, self._operations, self._anybody = front, operations, anybody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        except Exception as error:
            answer = told(error)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> ASGIApp:
        operation = self._operations.get(request.method)
        if operation is None:
            allowed = ", ".join(self._operations)
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, f"Here one can {allowed}.", {"Allow": allowed})
        caller = LOCAL if self._anybody else self._front.door.caller(request.headers)
        return await operation(self._front, request, caller)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    await problem(HTTPStatus.NOT_FOUND, "There is nothing here; /openapi.json says what there is.")(scope, receive, send)
