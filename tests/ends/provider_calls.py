"""What tests of model providers stand on: short deadlines, a key that must not show, and what each fault has to become."""

from __future__ import annotations

from standpipe.core.items import Draft, Text, ToolCall, place
from standpipe.drivers.models.http import Deadlines, Endpoint
from standpipe.drivers.models.secret import Secret
from standpipe.ports import Prompt
from standpipe.testing.provider import ChatProvider
from standpipe.wiring import CONTROLS

KEY = "sk-canary-0f1e2d3c4b5a"
SHORT = Deadlines(connect_ms=200, headers_ms=200, first_content_ms=300, idle_ms=200)
CALLS = [ToolCall("plan", {"steps": [{"id": "a", "tool": "search", "arguments": {"query": "pump"}}], "reason": "to know"})]
PROMPT = Prompt("Say.", (place(Draft(Text("Why?")), "2.0", "user"),), CONTROLS, 99)

CODES = {
    **dict.fromkeys(("rate_rpm", "rate_no_hint", "rate_huge", "ramp", "json_err_200"), "rate"),
    **dict.fromkeys(("overload_503", "overload_529", "sse_err_first", "sse_err_mid"), "overload"),
    **dict.fromkeys(("err_500", "err_500_stuck", "html_502", "not_retry"), "server"),
    **dict.fromkeys(("auth_401", "auth_echo"), "auth"),
    **dict.fromkeys(("ctx_400", "too_large_413"), "context"),
    **dict.fromkeys(("policy_in", "filter_mid", "refusal"), "policy"),
    **dict.fromkeys(("headers_hang", "ttft_slow", "stall", "ping_only", "drip"), "timeout"),
    **dict.fromkeys(("empty_200", "empty_stream", "eof_clean", "eof_frame", "eof_before_finish"), "truncated"),
    **dict.fromkeys(("done_no_finish", "finish_no_done", "chunk_cut", "rst", "rst_at_once"), "truncated"),
    **dict.fromkeys(("redirect", "html_200", "unk_finish", "bad_frame", "bad_utf8"), "protocol"),
    **dict.fromkeys(("call_badjson", "after_end", "not_http", "key_echo"), "protocol"),
    "credit": "billing",
    "model_404": "not_found",
    "schema_400": "bad_request",
    "len_in_call": "length",
    "empty_stop": "empty",
}
"""Fault of the server -> class of the failed call."""


def endpoint(provider: ChatProvider, *, stream: bool = True, deadlines: Deadlines = SHORT) -> Endpoint:
    """The server as a provider, with the canary as its key."""
    return Endpoint(provider.base_url, Secret(KEY), stream=stream, deadlines=deadlines)
