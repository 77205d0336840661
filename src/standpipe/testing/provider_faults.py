"""How a Chat Completions server fails, each by name: what it sends instead of what it should, and how that ends.

Names follow the catalogue of what real providers were seen to do.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Frames = list[bytes]
"""The events of a streamed reply: the role, pieces of content, the finish reason, the usage, `[DONE]`."""

SSE, JSON, HTML = "text/event-stream; charset=utf-8", "application/json", "text/html"
PAGE = b"<html><body>Log in to use this network.</body></html>"


class Trouble(msgspec.Struct, frozen=True):
    """One way to fail. `body` None: the frames of the proper reply, changed by `change`.

    `then`: "end" as HTTP ends, "cut" without HTTP's end, "reset" the connection, "hang" say nothing more, "ping" send empty
    comments for ever, "drip" repeat the first piece of content for ever, "bytes" send a byte at a time. `mute`: not even
    headers. `{key}` in the body becomes the key that came with the request.
    """

    status: int = 200
    kind: str = SSE
    headers: dict[str, str] = {}
    body: bytes | None = None
    change: Callable[[Frames], Frames] = list
    then: str = "end"
    mute: bool = False


def error(code: str, kind: str = "", message: str = "No.") -> bytes:
    """An error body in OpenAI's form."""
    return msgspec.json.encode({"error": {"message": message, "type": kind or code, "param": None, "code": code}})


def frame(value: object) -> bytes:
    """A value as an event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def _refusal(status: int, code: str, **headers: str) -> Trouble:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Trouble(status, JSON, named, error(code))


def _delta(finish: str | None = None, **delta: object) -> bytes:
    return frame({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _finish(frames: Frames, reason: str, keep: int | None = None, **delta: object) -> Frames:
    """The frames (the first `keep` of the content) with another ending."""
    content = frames[:-3] if keep is None else frames[:keep]
    return [*content, _delta(reason, **delta), *frames[-2:]]


def _half(frames: Frames) -> int:
    """So many frames that some content, but not all, is among them."""
    return max(2, (len(frames) - 3) // 2 + 1)


OVERLOADED = frame({"error": {"message": "Overloaded.", "type": "server_is_overloaded", "code": None}})

FAULTS: dict[str, Trouble] = {
    # refused by status
    "rate_rpm": _refusal(429, "rate_limit_exceeded", retry_after="1", x_ratelimit_remaining_requests="0"),
    "rate_no_hint": Trouble(429, JSON, {}, b"{}"),
    "rate_huge": _refusal(429, "rate_limit_exceeded", retry_after="1e400"),
    "ramp": _refusal(429, "slow_down"),
    "credit": _refusal(429, "insufficient_quota"),
    "overload_503": _refusal(503, "server_is_overloaded"),
    "overload_529": _refusal(529, "overloaded_error", x_should_retry="true"),
    "err_500": _refusal(500, "server_error"),
    "err_500_stuck": Trouble(500, JSON, {}, error("server_error"), then="hang"),
    "html_502": Trouble(502, HTML, {}, PAGE),
    "not_retry": _refusal(500, "server_error", x_should_retry="false"),
    "auth_401": Trouble(401, JSON, {}, error("invalid_api_key", message="Incorrect API key provided: {key}.")),
    "auth_echo": Trouble(401, JSON, {}, error("{key}", "{key}")),
    "model_404": _refusal(404, "model_not_found"),
    "ctx_400": _refusal(400, "context_length_exceeded"),
    "too_large_413": Trouble(413, HTML, {}, PAGE),
    "schema_400": _refusal(400, "invalid_function_parameters"),
    "policy_in": _refusal(400, "content_policy_violation"),
    "redirect": Trouble(307, HTML, {"Location": "/v1/elsewhere"}, b""),
    # not a stream
    "json_err_200": Trouble(200, JSON, {}, error("rate_limit_exceeded")),
    "html_200": Trouble(200, HTML, {}, PAGE),
    "empty_200": Trouble(200, JSON, {}, b""),
    "empty_stream": Trouble(200, SSE, {}, b""),
    # errors inside
    "sse_err_first": Trouble(change=lambda f: [f[0], OVERLOADED]),
    "sse_err_mid": Trouble(change=lambda f: [*f[: _half(f)], OVERLOADED]),
    # ends that are none
    "eof_clean": Trouble(change=lambda f: f[: _half(f)]),
    "eof_frame": Trouble(change=lambda f: [*f[: _half(f)], f[_half(f)][:20]]),
    "eof_before_finish": Trouble(change=lambda f: f[:-3]),
    "done_no_finish": Trouble(change=lambda f: [*f[:-3], f[-1]]),
    "finish_no_done": Trouble(change=lambda f: f[:-1]),
    "chunk_cut": Trouble(change=lambda f: f[: _half(f)], then="cut"),
    "rst": Trouble(change=lambda f: f[: _half(f)], then="reset"),
    "rst_at_once": Trouble(mute=True, then="reset"),
    # no progress
    "headers_hang": Trouble(mute=True, then="hang"),
    "ttft_slow": Trouble(change=lambda f: f[:1], then="hang"),
    "stall": Trouble(change=lambda f: f[: _half(f)], then="hang"),
    "ping_only": Trouble(change=lambda f: f[:1], then="ping"),
    "drip": Trouble(change=lambda f: f[:2], then="drip"),
    # no success
    "unk_finish": Trouble(change=lambda f: _finish(f, "insufficient_system_resource")),
    "len_in_call": Trouble(change=lambda f: _finish(f, "length", _half(f))),
    "filter_mid": Trouble(change=lambda f: _finish(f, "content_filter", _half(f))),
    "refusal": Trouble(change=lambda f: _finish(f[:1] + f[-3:], "stop", refusal="I can not help with that.")),
    "empty_stop": Trouble(change=lambda f: _finish(f[:1] + f[-3:], "stop")),
    # garbage
    "bad_frame": Trouble(change=lambda f: [f[0], b'data: {"choices": [\n\n', *f[1:]]),
    "bad_utf8": Trouble(change=lambda f: [f[0], f[1].replace(b"data", b'data: "\xff'), *f[1:]]),
    "call_badjson": Trouble(change=lambda f: [*f[:-4], *f[-3:]]),
    "after_end": Trouble(change=lambda f: [*f[:-2], f[1], *f[-2:]]),
    "not_http": Trouble(kind="\r\nnot: \x00http\r\n", body=b"?"),
    "key_echo": Trouble(change=lambda f: [f[0], _delta(content="Your key is {key}."), _delta("stop"), f[-2], f[-1]]),
    # strange, and within the rules
    "sse_split": Trouble(then="bytes"),
    "sse_comments": Trouble(change=lambda f: [b": PROCESSING\n\n" + frame for frame in f]),
    "sse_crlf": Trouble(change=lambda f: [frame.replace(b"\n", b"\r\n") for frame in f], then="bytes"),
    "sse_cr": Trouble(change=lambda f: [frame.replace(b"\n", b"\r") for frame in f]),
    "sse_bom": Trouble(change=lambda f: [b"\xef\xbb\xbf" + f[0], *f[1:]], then="bytes"),
    "cookie": Trouble(headers={"Set-Cookie": "who=you; Path=/"}),
    "sse_lines": Trouble(change=lambda f: [f[0].replace(b',"', b',\ndata: "'), *f[1:]]),
}
HARMLESS = frozenset({"sse_split", "sse_comments", "sse_crlf", "sse_cr", "sse_bom", "sse_lines", "cookie"})
"""Those that a client must read as if nothing were strange."""
