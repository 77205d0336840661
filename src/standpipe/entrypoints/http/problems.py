"""What goes wrong, as problem documents (RFC 9457): each error has one status, and its words never hold content."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import msgspec
from starlette.responses import Response

from standpipe.entrypoints.output import trouble
from standpipe.errors import NotFound, Refused, StandpipeError, StoreError, UsageError

MEDIA_TYPE = "application/problem+json"
RETRY = {"Retry-After": "1"}


class Problem(msgspec.Struct, frozen=True):
    """A problem document; `detail` says what happened and what to do."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


class Wrong(Exception):
    """A request that cannot be answered as it is: its status, a sentence, and headers that belong to it."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, headers


def document(status: HTTPStatus, detail: str) -> bytes:
    """The bytes of a problem document."""
    return msgspec.json.encode(Problem(status.phrase, status.value, detail))


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The response that tells of a problem."""
    return Response(document(status, detail), status.value, headers, MEDIA_TYPE)


def told(error: Exception) -> Response:
    """The response that an error becomes. What is no error of ours is a bug: its place is told on stderr, to the caller
    nothing of it."""
    match error:
        case Wrong():
            return problem(error.status, str(error), error.headers)
        case UsageError():
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        case NotFound():
            return problem(HTTPStatus.NOT_FOUND, str(error))
        case Refused():
            return problem(HTTPStatus.CONFLICT, str(error))
        case StoreError():
            trouble(str(error))
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The store cannot be used at the moment; try again.", RETRY)
        case StandpipeError():
            return problem(HTTPStatus.CONFLICT, str(error))
        case _:
            trouble(place_of(error))
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a bug of Standpipe; its log says where.")


def place_of(bug: BaseException) -> str:
    """Where a bug is, in one sentence without content: an exception's text may quote what it met."""
    at = bug.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f"{Path(at.tb_frame.f_code.co_filename).name}, line {at.tb_lineno}" if at is not None else "an unknown place"
    return f"A request met a bug: {type(bug).__name__} in {where}; please report it."
