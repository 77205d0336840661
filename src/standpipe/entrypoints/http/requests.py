"""What comes in: bodies within their limit and of their type, and the few headers and parameters there are."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.requests import Request

from standpipe.entrypoints.http.problems import Wrong
from standpipe.entrypoints.http.schema import PART, REQUEST_KEY, SEQ
from standpipe.entrypoints.http.streams import JSON

BODY_BYTES_MAX = 1_048_576
DRAINED_BYTES_MAX = 16 * BODY_BYTES_MAX
"""A larger body is read so far and thrown away, so that its sender hears why, not only that the connection is gone."""

Body = TypeVar("Body")


async def body_of(request: Request, type: type[Body]) -> Body:
    """The request's body. Raises Wrong, and ClientDisconnect if it never came whole."""
    data = await _bytes(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not data and not any(field.required for field in msgspec.structs.fields(type)):  # type: ignore[arg-type]
        return type()
    if media_type != JSON:
        raise Wrong(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the body as `Content-Type: {JSON}`.")
    try:
        return msgspec.json.decode(data, type=type)
    except msgspec.ValidationError as error:
        raise Wrong(HTTPStatus.UNPROCESSABLE_ENTITY, f"The body is not what is expected: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Wrong(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None


async def _bytes(request: Request) -> bytes:
    taken, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > DRAINED_BYTES_MAX:
            break
        if size <= BODY_BYTES_MAX:
            taken += chunk
    if size > BODY_BYTES_MAX:
        raise Wrong(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {BODY_BYTES_MAX:,} bytes.", CLOSE)
    return bytes(taken)


CLOSE = {"Connection": "close"}
NO_PART = "There is no such item, step or sentence, or no answer yet."


def key_of(request: Request) -> str:
    """The request's Idempotency-Key, or nothing. Raises Wrong."""
    key = request.headers.get("idempotency-key")
    if key is not None and not re.fullmatch(REQUEST_KEY, key):
        raise Wrong(HTTPStatus.BAD_REQUEST, "An Idempotency-Key has 1 to 200 visible ASCII characters.")
    return key or ""


def seq_of(request: Request) -> int:
    """The seq after which a stream begins: the last one seen before a reconnect, or what the URL says. Raises Wrong."""
    text = request.headers.get("last-event-id", request.query_params.get("after", "0"))
    if not re.fullmatch(SEQ, text, re.ASCII):
        raise Wrong(HTTPStatus.BAD_REQUEST, "`after` and Last-Event-ID are the seq of an event, a whole number.")
    return int(text)


def part_of(request: Request) -> str | None:
    """The item, step, call or sentence that is asked for. Raises Wrong for what can be the name of none."""
    of = request.query_params.get("of")
    if of is not None and not re.fullmatch(PART, of):
        raise Wrong(HTTPStatus.NOT_FOUND, NO_PART)
    return of
