"""What a Chat Completions server accepts, told more strictly than any real one: who passes here passes everywhere.

Servers differ in what they forgive; this one forgives nothing: unknown fields, calls without exactly one result each right
after them, ids or names that only some vendors take, a conversation that does not begin with the user.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")  # Mistral's rule; the others take more
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class _Called(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    type: Literal["function"]
    function: _Called


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _Function(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    description: str
    parameters: dict[str, Any]


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: _Function


class _StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    messages: list[_Message]
    tools: list[_Tool] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None


def problem(body: bytes) -> str:
    """What is wrong with the body of a request, in a sentence; nothing if it is fine."""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"The body does not fit: {error}."
    return next(iter([*_settings(request), *_tools(request.tools), *_order(request.messages), *_pairs(request.messages)]), "")


def _settings(request: _Request) -> Iterator[str]:
    limits = [n for n in (request.max_tokens, request.max_completion_tokens) if n is not None]
    if len(limits) != 1 or limits[0] < 1:
        yield "Exactly one of max_tokens and max_completion_tokens must be there, and positive."
    if not request.model:
        yield "The model has no name."
    if request.stream_options is not None and not request.stream:
        yield "stream_options without stream."
    if request.temperature is not None and not 0 <= request.temperature <= 2:
        yield "The temperature is out of range."


def _tools(tools: list[_Tool] | None) -> Iterator[str]:
    if tools is None:
        return
    names = [tool.function.name for tool in tools]
    if not names or len(set(names)) < len(names):
        yield "tools is empty, or names one twice."
    for tool in tools:
        if not _NAME.fullmatch(tool.function.name):
            yield "The name of a tool is not legal."
        if tool.function.parameters.get("type") != "object":
            yield f"The parameters of {tool.function.name} are no object schema."


def _order(messages: list[_Message]) -> Iterator[str]:
    roles = [message.role for message in messages]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if "system" in spoken:
        yield "A system message is not at the beginning."
    if spoken[:1] != ["user"]:
        yield "The conversation does not begin with the user."
    if any(a == b == "user" for a, b in itertools.pairwise(spoken)):
        yield "Two user messages follow each other."
    for message in messages:
        if message.role != "assistant" and message.tool_calls is not None:
            yield "Only the assistant calls tools."
        if message.content is None and not message.tool_calls:
            yield "A message without content."
        if message.tool_calls == []:
            yield "tool_calls is empty."
        if (message.role == "tool") != (message.tool_call_id is not None):
            yield "tool_call_id belongs to tool messages, to each of them."


def _pairs(messages: list[_Message]) -> Iterator[str]:
    """Each call has one result, among the tool messages right after it; no id and no result comes twice."""
    seen: set[str] = set()
    due: list[str] = []
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in due:
                yield "A result answers no call of the message before it."
            else:
                due.remove(message.tool_call_id)
            continue
        if due:
            yield "A call has no result."
        due = []
        for call in message.tool_calls or ():
            if not _CALL_ID.fullmatch(call.id) or call.id in seen:
                yield "The id of a call is not legal, or was used before."
            if not _NAME.fullmatch(call.function.name):
                yield "The name of a called tool is not legal."
            if not _is_object(call.function.arguments):
                yield "The arguments of a call are no JSON object."
            seen.add(call.id)
            due.append(call.id)
    if due:
        yield "A call has no result."


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False
