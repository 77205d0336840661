"""What statuses and codes mean, and that no word of a provider gets through."""

from __future__ import annotations

import msgspec
import pytest

from standpipe.core.details import Usage
from standpipe.testing.provider_faults import error
from standpipe.wire.openai_errors import RETRY_AFTER_MS_MAX, of_error, of_status, retry_after_ms
from standpipe.wire.outcome import CLASSES

JSON = {"content-type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (429, error("rate_limit_exceeded"), "rate", True),
        (429, b"", "rate", True),
        (429, error("slow_down"), "rate", True),
        (429, error("insufficient_quota"), "billing", False),
        (429, error("nobody_knows", "insufficient_quota"), "billing", False),
        (402, b"{}", "billing", False),
        (401, error("invalid_api_key"), "auth", False),
        (403, b"<html>", "auth", False),
        (404, error("model_not_found"), "not_found", False),
        (400, error("context_length_exceeded"), "context", False),
        (413, b"", "context", False),
        (400, error("content_policy_violation"), "policy", False),
        (400, error("429", message="rate limit"), "rate", True),
        (400, error("x", message="rate_limit_exceeded 429 insufficient_quota"), "bad_request", False),
        (418, b"", "bad_request", False),
        (422, b"[]", "bad_request", False),
        (408, b"", "timeout", True),
        (500, error("server_error"), "server", True),
        (502, b"<html>", "server", True),
        (524, b"", "server", True),
        (503, error("server_is_overloaded"), "overload", True),
        (529, b"", "overload", True),
        (301, b"", "protocol", True),
        (204, b"", "protocol", True),
    ],
)
def test_a_status_and_a_code_are_a_class(status: int, body: bytes, code: str, retryable: bool) -> None:
    fault = of_status(status, JSON, body).fault
    assert (fault.code, fault.retryable) == (code, retryable)
    assert fault.code in CLASSES and f"status {status}" in fault.text


def test_what_no_model_worked_on_used_nothing_and_of_the_rest_nobody_knows() -> None:
    assert all(of_status(s, {}, b"").usage == Usage() for s in (400, 401, 404, 422, 429, 503, 529))
    assert all(of_status(s, {}, b"").usage is None for s in (408, 500, 502, 504, 524, 302))


def test_a_body_that_is_not_json_is_not_looked_at() -> None:
    assert of_status(429, {"content-type": "text/html"}, error("insufficient_quota")).fault.code == "rate"
    assert of_status(500, JSON, b"[" * 100_000).fault.code == "server"
    assert of_status(500, JSON, b"\xff").fault.code == "server"


def test_a_provider_may_say_that_trying_again_is_no_use() -> None:
    assert not of_status(500, {**JSON, "x-should-retry": "false"}, b"").fault.retryable


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"code": 429, "message": "x"}, "rate"),
        ({"code": "503"}, "overload"),
        ({"code": None, "type": "server_is_overloaded"}, "overload"),
        ({"code": True}, "server"),
        ({"code": 7}, "server"),
        ({"code": ["x"], "type": {}}, "server"),
        ("rate_limit_exceeded", "server"),
        (None, "server"),
    ],
)
def test_an_error_inside_a_reply_is_a_class(told: object, code: str) -> None:
    assert of_error(told).fault.code == code


def test_no_word_of_a_provider_is_in_a_fault() -> None:
    canary = "sk-canary"
    for status in (200, 400, 401, 429, 500):
        headers = {**JSON, "retry-after": canary, "x-should-retry": canary}
        broken = of_status(status, headers, error(canary, canary, canary))
        assert canary not in repr(broken) + msgspec.json.encode(broken).decode()


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2_000),
        ({"retry-after": "0.25"}, 250),
        ({"retry-after-ms": "30", "retry-after": "2"}, 30),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "86400"}, RETRY_AFTER_MS_MAX),
        ({"retry-after": "1e400"}, RETRY_AFTER_MS_MAX),
        ({"retry-after": "inf"}, RETRY_AFTER_MS_MAX),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:09 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 9_000),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:09 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_how_long_to_wait_is_within_bounds(headers: dict[str, str], wait: int | None) -> None:
    assert retry_after_ms(headers) == wait
    text = of_status(429, headers, b"").fault.text
    assert (f"{wait} ms" in text) == (wait is not None)
    assert "ms" not in of_status(401, headers, b"").fault.text  # waiting helps nobody whose key is wrong
