"""Replies of Chat Completions: whole and true, or nothing; whatever is cut, repeated, missing or made up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.core.details import Usage
from standpipe.core.items import Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.testing.provider import streamed, whole
from standpipe.testing.provider_faults import FAULTS, HARMLESS, frame
from standpipe.wire.openai_chat import wire_name
from standpipe.wire.openai_chat_reply import BODY_BYTES_MAX, CALLS_MAX, CONTENT_CHARS_MAX, Parser
from standpipe.wire.outcome import CLASSES, Broken, Said

REQUEST = {"model": "m", "messages": []}
DONE = b"data: [DONE]\n\n"
CALLS = [ToolCall("search", {"query": "why ü", "limit": 3}, "call_a"), ToolCall("read", {"source": "a.md"}, "call_b")]


def parsed(*pieces: bytes, streamed: bool = True, tools: tuple[ToolSpec, ...] = ()) -> Said | Broken:
    parser = Parser(tools, streamed=streamed)
    for piece in pieces:
        parser.feed(piece)
    return parser.end()


def bodies(*pieces: bytes) -> list[Text | ToolCall]:
    came = parsed(*pieces)
    assert isinstance(came, Said), came
    return list(came.bodies)


def code(*pieces: bytes, streamed: bool = True) -> str:
    came = parsed(*pieces, streamed=streamed)
    return came.fault.code if isinstance(came, Broken) else "said"


def delta(finish: str | None = None, **said: Any) -> bytes:
    return frame({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


def piece(index: int | None = None, id: str | None = None, name: str | None = None, arguments: Any = None) -> bytes:
    """A piece of a tool call, with only what is given in it."""
    function = {k: v for k, v in {"name": name, "arguments": arguments}.items() if v is not None}
    call = {k: v for k, v in {"index": index, "id": id, "function": function or None}.items() if v is not None}
    return delta(tool_calls=[call])


END = delta("tool_calls") + DONE
STOP = delta("stop") + DONE


def test_text_and_calls_come_whole_with_their_usage() -> None:
    assert parsed(*streamed("It is so.", REQUEST)) == Said((Text("It is so."),), Usage(0, 3))
    came = parsed(*streamed(CALLS, REQUEST))
    assert isinstance(came, Said) and list(came.bodies) == CALLS and came.usage is not None
    assert parsed(whole(CALLS, REQUEST), streamed=False) == came
    assert bodies(delta(content="So: "), piece(0, "c", "search", "{}"), END) == [Text("So: "), ToolCall("search", {}, "c")]


def test_names_that_the_dialect_does_not_allow_come_back_as_they_were() -> None:
    tools = (ToolSpec("files.list", "", {}),)
    came = parsed(piece(0, "c", wire_name("files.list"), "{}"), END, tools=tools)
    assert isinstance(came, Said) and isinstance(call := came.bodies[0], ToolCall) and call.name == "files.list"


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(0, "a", "search", '{"x"'), piece(0, arguments=":1}"), piece(1, "b", "read", "{}")],
        [piece(3, "a", "search", '{"x":1}'), piece(7, "b", "read", "{}")],
        [piece(1, "b", "read", "{}"), piece(0, "a", "search", '{"x":1}')][::-1],
        [piece(0, "a", "search", '{"x"'), piece(1, "b", "read", "{"), piece(0, arguments=":1}"), piece(1, arguments="}")],
        [piece(0, "a", "search", '{"x":1}'), piece(0, "b", "read", "{}")],
        [piece(None, "a", "search", '{"x":'), piece(None, arguments="1}"), piece(None, "b", "read", "{}")],
        [piece(None, "a", "search", '{"x":'), piece(None, "b", "read", "{}"), piece(None, "a", arguments="1}")],
        [piece(0, "a", arguments='{"x"'), piece(0, "a", "search", ":1}"), piece(1, "b", "read")],
        [piece(0, "a", "search", '{"x"'), piece(0, "a", "search", ":1}"), piece(1, "b", "read", "")],
        [piece(0, "a", "search", {"x": 1}), piece(1, "b", "read", {})],
    ],
)
def test_pieces_of_calls_are_joined_however_servers_number_them(pieces: list[bytes]) -> None:
    assert bodies(*pieces, END) == [ToolCall("search", {"x": 1}, "a"), ToolCall("read", {}, "b")]
    assert bodies(*pieces, STOP) == bodies(*pieces, END)


def test_calls_with_the_same_id_or_none_are_still_two() -> None:
    two = [{"type": "function", "function": {"name": "read", "arguments": f'{{"n":{n}}}'}} for n in (1, 2)]
    came = parsed(frame({"choices": [{"message": {"tool_calls": two}, "finish_reason": "stop"}]})[6:], streamed=False)
    assert isinstance(came, Said) and came.bodies == (ToolCall("read", {"n": 1}), ToolCall("read", {"n": 2}))
    for id in ("", "same", None):
        first, second = bodies(piece(0, id, "read", '{"n":1}'), piece(1, id, "read", '{"n":2}'), END)
        assert isinstance(first, ToolCall) and isinstance(second, ToolCall)
        assert (first.arguments, second.arguments) == ({"n": 1}, {"n": 2})


def test_an_id_that_is_a_book_is_not_kept() -> None:
    assert bodies(piece(0, "c" * 65, "read", "{}"), END) == [ToolCall("read")]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([piece(None, None, "read", "{}"), piece(None, None, "search", "{}"), END], "protocol"),
        ([piece(None, None, "read", "{}"), piece(None, None, "read", "{}"), END], "protocol"),
        ([piece(0, "a", "read", "{}"), piece(0, "a", "read", "{}"), END], "protocol"),
        ([piece(0, "a", "read", "{}"), piece(0, "a", "search"), END], "protocol"),
        ([piece(0, "a", arguments="{}"), END], "protocol"),
        (
            [delta(tool_calls=[{"index": 0, "type": "custom", "function": {"name": "read", "arguments": "{}"}}]), END],
            "protocol",
        ),
        ([piece(0, "a", "read", "[]"), END], "protocol"),
        ([piece(0, "a", "read", '{"source": "a'), END], "protocol"),
        ([piece(0, "a", "read", "[" * 5_000), END], "protocol"),
        ([piece(0, "a", "read", "{}"), piece(1, "b", "read", '{"s'), END], "protocol"),
        ([piece(0, "a", "read", '{"s'), delta("length"), DONE], "length"),
        ([delta(content="It is"), delta("length"), DONE], "length"),
        ([delta(tool_calls=[{"index": 0, "type": "custom", "custom": {}}]), END], "protocol"),
        ([delta(function_call={"name": "read"}), END], "protocol"),
        ([delta(content="Well"), END], "protocol"),
        ([delta(content="Well"), delta("stop")], "truncated"),
        ([delta(content="Well"), DONE], "truncated"),
        ([delta(content="Well"), delta("stop"), b"data: [DONE]\n"], "truncated"),
        ([delta(content="Well"), delta("stop"), delta(content="more"), DONE], "protocol"),
        ([delta(content="Well"), delta("stop"), delta("length"), DONE], "protocol"),
        ([delta(content="Well"), delta("brand_new"), DONE], "protocol"),
        ([delta(content="Well"), delta("content_filter"), DONE], "policy"),
        ([delta(refusal="No."), STOP], "policy"),
        ([delta(content="Well", refusal="No."), STOP], "policy"),
        ([delta(content=""), STOP], "empty"),
        ([delta(content=" \n"), STOP], "empty"),
        ([delta(role="user", content="Well"), STOP], "protocol"),
        ([delta(content=["Well"]), STOP], "protocol"),
        ([frame({"choices": [{"index": 1, "delta": {"content": "Well"}}]}), STOP], "protocol"),
        ([frame({}), STOP], "protocol"),
        ([frame([]), STOP], "protocol"),
        ([b"data: {\n\n", STOP], "protocol"),
        ([b"data: \xff\n\n", STOP], "protocol"),
        ([frame({"error": {"code": "server_is_overloaded"}}), STOP], "overload"),
        ([delta(content="Well"), frame({"error": {"message": "rate limit 429"}}), STOP], "server"),
        ([b'event: error\ndata: {"message": "x"}\n\n', STOP], "server"),
        ([delta(content="x" * 50_000)] * (CONTENT_CHARS_MAX // 50_000 + 1) + [STOP], "protocol"),
        ([piece(n, f"c{n}", "read", "{}") for n in range(CALLS_MAX + 1)] + [END], "protocol"),
        ([], "truncated"),
    ],
)
def test_what_is_no_reply_is_a_fault(pieces: list[bytes], expected: str) -> None:
    assert code(*pieces) == expected
    assert expected in CLASSES


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "truncated"),
        (whole("Yes.", REQUEST)[:-1], "truncated"),
        (b"\xff", "truncated"),
        (b"[]", "protocol"),
        (b'"x"', "protocol"),
        (b"{}", "truncated"),
        (b'{"choices": []}', "truncated"),
        (b'{"choices": [{"message": {"content": "x"}}]}', "truncated"),
        (b'{"choices": [{"finish_reason": "stop"}]}', "empty"),
        (b'{"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}', "protocol"),
        (b'{"error": {"code": 429}}', "rate"),
        (b'{"error": "no", "choices": []}', "server"),
        (b" " * (BODY_BYTES_MAX + 1), "protocol"),
    ],
)
def test_a_body_that_is_no_reply_is_a_fault(body: bytes, expected: str) -> None:
    assert code(body, streamed=False) == expected


def test_what_is_strange_and_allowed_changes_nothing() -> None:
    calm = bodies(*streamed(CALLS, REQUEST))
    for name in HARMLESS:
        assert bodies(*FAULTS[name].change(streamed(CALLS, REQUEST))) == calm
    noise = [frame({"choices": []} | {"prompt_filter_results": []}), b"event: ping\ndata: {}\n\n", b": x\n\n", delta()]
    assert bodies(*noise, *streamed(CALLS, REQUEST)) == calm
    assert bodies(delta(content="Well"), delta("stop"), delta("stop", content=""), DONE, b"data: {\n\n") == [Text("Well")]


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (None, None),
        ({"prompt_tokens": 5, "completion_tokens": 2, "more": {}}, Usage(5, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 0}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": -5, "completion_tokens": 2}, None),
        ({"prompt_tokens": 5.5, "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ("many", None),
    ],
)
def test_usage_is_what_was_told_or_not_known(told: object, usage: Usage | None) -> None:
    came = parsed(delta(content="Well"), delta("stop"), frame({"choices": [], "usage": told}), DONE)
    assert came == Said((Text("Well"),), usage)


def test_what_a_broken_reply_used_is_told_as_far_as_it_is_known() -> None:
    usage = frame({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
    came = parsed(delta(content="We"), delta("length"), usage, DONE)
    assert isinstance(came, Broken) and came.usage == Usage(5, 2)
    came = parsed(delta(content="We"), delta("length"))
    assert isinstance(came, Broken) and came.usage is None


def test_only_what_a_model_says_is_progress() -> None:
    parser = Parser((), streamed=True)
    idle = [b": ping\n\n", b"\n", delta(role="assistant", content=""), delta(), frame({"choices": [], "usage": {}}), b"data: {"]
    assert [parser.feed(data) for data in idle[:-1]] == [False] * 5
    said = [delta(content="x"), delta(reasoning_content="x"), piece(0, "a", "read"), piece(0, "a", arguments="{")]
    assert [parser.feed(data) for data in said] == [True] * 4
    assert not parser.feed(idle[-1]) and not parser.over
    assert not parser.feed(b"}}\n\n") and parser.over and not parser.feed(delta(content="x"))
    body = Parser((), streamed=False)
    assert [body.feed(data) for data in (b" \n", b"{")] == [False, True]


replies = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip),
    st.lists(
        st.builds(
            ToolCall, st.sampled_from(["read", "search"]), st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=2)
        ),
        min_size=1,
        max_size=3,
    ),
)
endings = st.sampled_from([b"\n", b"\r\n", b"\r"])


@settings(max_examples=60)
@given(replies, endings, st.lists(st.integers(0, 5_000), max_size=10))
def test_the_same_bytes_are_the_same_reply_however_they_are_cut(
    said: str | list[ToolCall], end: bytes, cuts: list[int]
) -> None:
    stream = b"".join(streamed(said, REQUEST)).replace(b"\n", end)
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    pieces = [stream[a:b] for a, b in zip(places, [*places[1:], len(stream)], strict=True)]

    assert parsed(*pieces) == parsed(*streamed(said, REQUEST)) == parsed(*(bytes([b]) for b in stream))
    assert isinstance(parsed(*pieces), Said)


@settings(max_examples=60)
@given(replies, endings, st.booleans(), st.data())
def test_no_part_of_a_reply_is_a_reply(said: str | list[ToolCall], end: bytes, streams: bool, data: st.DataObject) -> None:
    sent = b"".join(streamed(said, REQUEST)).replace(b"\n", end) if streams else whole(said, REQUEST)
    for at in (data.draw(st.integers(0, len(sent) - 1)), len(sent) - 1):
        assert code(sent[:at], streamed=streams) == "truncated"
    assert code(sent, streamed=streams) == "said"


@settings(max_examples=100)
@given(st.binary(max_size=60), st.integers(0, 400), st.booleans(), replies)
def test_garbage_is_never_an_exception(noise: bytes, at: int, streams: bool, said: str | list[ToolCall]) -> None:
    sent = b"".join(streamed(said, REQUEST)) if streams else whole(said, REQUEST)
    came = parsed(sent[:at] + noise + sent[at:], streamed=streams)
    assert isinstance(came, Said | Broken)
    assert isinstance(came, Said) or came.fault.code in CLASSES
    assert msgspec.json.encode(came)
