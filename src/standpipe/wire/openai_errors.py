"""What the errors of OpenAI's dialects mean: by HTTP status and error code alone, never by the words of a message.

Sources: OpenAI's error reference, and what servers that speak its dialect were seen to send. Messages are not looked at:
they echo prompts, and a bare 429 in one may be a token id.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from standpipe.core.details import Usage
from standpipe.wire.outcome import Broken, fault

RETRY_AFTER_MS_MAX = 120_000
"""Whoever asks for more patience than this is not waited for (OpenAI's own client refuses more, too)."""

CODES: dict[str, str] = {
    **dict.fromkeys(("rate_limit_exceeded", "rate_limit_error", "slow_down"), "rate"),
    **dict.fromkeys(("server_is_overloaded", "service_unavailable_error", "overloaded_error", "engine_overloaded"), "overload"),
    **dict.fromkeys(("server_error", "internal_error", "internal_server_error", "api_error"), "server"),
    **dict.fromkeys(("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"), "billing"),
    **dict.fromkeys(("billing_not_active", "billing_error", "organization_spend_limit_exceeded"), "billing"),
    **dict.fromkeys(("project_spend_limit_exceeded", "organization_usage_limit_exceeded"), "billing"),
    **dict.fromkeys(("context_length_exceeded", "exceed_context_size_error", "string_above_max_length"), "context"),
    **dict.fromkeys(("content_policy_violation", "content_filter", "invalid_prompt"), "policy"),
    **dict.fromkeys(("invalid_api_key", "authentication_error", "permission_error", "invalid_organization"), "auth"),
    **dict.fromkeys(("model_not_found", "not_found_error"), "not_found"),
}
"""Error codes and types -> class. A code that is not here says nothing; the status does."""

STATUSES: dict[int, str] = {
    400: "bad_request",
    401: "auth",
    402: "billing",
    403: "auth",
    404: "not_found",
    408: "timeout",
    413: "context",
    422: "bad_request",
    429: "rate",
    503: "overload",
    529: "overload",
}
_UNBILLED = frozenset({400, 401, 402, 403, 404, 413, 422, 429, 503, 529})
"""Statuses of requests that no model has worked on: they used nothing. Behind any other the work may have been done."""


def of_status(status: int, headers: Mapping[str, str], body: bytes) -> Broken:
    """What an answer with another status than 200 means; `headers` by lower-case name."""
    told = _decoded(body) if "json" in headers.get("content-type", "") else None
    code = _code(told.get("error")) if isinstance(told, dict) else ""
    if not code:
        code = STATUSES.get(status) or ("server" if status >= 500 else "bad_request" if status >= 400 else "protocol")
    wait = retry_after_ms(headers)
    detail = f"status {status}" + (f", to be called again in {wait} ms" if wait is not None and code in _WAITS else "")
    again = False if headers.get("x-should-retry", "").strip().lower() == "false" else None
    return Broken(fault(code, detail, retryable=again), Usage() if status in _UNBILLED else None)


_WAITS = frozenset({"rate", "overload", "server"})


def of_error(error: Any) -> Broken:
    """What an error object in a reply with status 200 means, in a body or in a stream."""
    return Broken(fault(_code(error) or "server", "an error inside a reply"))


def _code(error: Any) -> str:
    """The class that the code or the type of an error object stands for; nothing if both are unknown."""
    if not isinstance(error, dict):
        return ""
    for name in ("code", "type"):
        told = error.get(name)
        if isinstance(told, str) and told in CODES:
            return CODES[told]
        number = int(told) if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) == 3 else told
        if isinstance(number, int) and not isinstance(number, bool) and (number in STATUSES or 500 <= number < 600):
            return STATUSES.get(number, "server")
    return ""


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """How long the provider asks to be left alone, within 0 and RETRY_AFTER_MS_MAX; None if it does not say.

    A date counts from the provider's own `date`, so that clocks need not agree.
    """
    for name, unit in (("retry-after-ms", 1), ("retry-after", 1_000)):
        try:
            given = float(headers[name])
        except (KeyError, ValueError):
            continue
        if not math.isnan(given):
            return round(min(max(given * unit, 0), RETRY_AFTER_MS_MAX))
    try:
        until, now = parsedate_to_datetime(headers["retry-after"]), parsedate_to_datetime(headers["date"])
        return round(min(max((until - now).total_seconds() * 1_000, 0), RETRY_AFTER_MS_MAX))
    except (KeyError, ValueError, TypeError):
        return None


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
