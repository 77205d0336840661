"""OpenAI Chat Completions, as spoken by many servers: the request that shows a prompt to a model.

A pure function of the items: the same prompt gives the same bytes, and an item appended leaves what stood before it as it
was. Every call has exactly one tool message right after it; calls are named after the place of their item in the log, in
nine letters and digits, which every server of the dialect accepts, so a conversation may move between vendors.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

import msgspec

from standpipe.core.items import Answer, Checked, Item, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.wire.shown import NO_RESULT, SPECIALIST, answer, evidence, plain

OPENING = "(What came before is not shown.)"
"""The user message in front of a conversation whose beginning gave way: servers want a user to speak first."""
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ASKING = ("user", "task", "runtime")
"""Origins of what a model is told: by the user, by the agent that delegates to it, by the runtime."""


class Asked(Protocol):
    """A prompt, whoever defines it: instructions, items oldest first, the tools offered, and how much may be said."""

    @property
    def instructions(self) -> str: ...
    @property
    def items(self) -> Sequence[Item]: ...
    @property
    def tools(self) -> Sequence[ToolSpec]: ...
    @property
    def output_tokens_max(self) -> int: ...


class Target(msgspec.Struct, frozen=True):
    """Where a request goes: the provider's name of the model, and what it is to be called with.

    `limit` names the field that bounds the reply (`limit_field`). A `reasoning` model takes no temperature.
    """

    model: str
    stream: bool = True
    limit: str = "max_tokens"
    reasoning: bool = False


def render(asked: Asked, target: Target) -> dict[str, Any]:
    """The body of the request that shows `asked` to `target`."""
    request: dict[str, Any] = {"model": target.model, "messages": _messages(asked.instructions, asked.items)}
    if asked.tools:
        request["tools"] = [_function(tool) for tool in asked.tools]
    request[target.limit] = asked.output_tokens_max
    if not target.reasoning:
        request["temperature"] = 0
    if target.stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    return request


def limit_field(host: str) -> str:
    """The field that bounds a reply at this host: OpenAI refuses the old one for new models, others know only that."""
    return "max_completion_tokens" if host == "api.openai.com" else "max_tokens"


def encode(request: Mapping[str, Any]) -> bytes:
    """The bytes of a request."""
    return msgspec.json.encode(request)


def names(tools: Sequence[ToolSpec]) -> dict[str, str]:
    """What the dialect calls these tools -> their own names."""
    return {wire_name(tool.name): tool.name for tool in tools}


def wire_name(name: str) -> str:
    """A name that the dialect allows: the name itself, or its legal characters and a digest that keeps it apart."""
    if _NAME.fullmatch(name):
        return name
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', name)[:48]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def call_name(item: str) -> str:
    """The id of the call that item `item` is, in the dialect; the same wherever the conversation goes on."""
    return base64.b32encode(hashlib.sha256(item.encode()).digest())[:9].decode().lower()


def _function(tool: ToolSpec) -> dict[str, Any]:
    said = {"name": wire_name(tool.name), "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": said}


def _messages(instructions: str, items: Sequence[Item]) -> list[dict[str, Any]]:
    """System, then user, assistant and tool messages in the order of the log; neighbouring user messages are one."""
    moves = {item.id for item in items if isinstance(item.body, ToolCall) and _reply(item)}
    results: dict[str, list[str]] = {id: [] for id in moves}
    shown: list[Item] = []
    for item in items:
        if item.answers in moves:
            results[item.answers].append(evidence(item))
        elif item.body is not None and not isinstance(item.body, Checked):
            shown.append(item)
    messages: list[dict[str, Any]] = []
    for reply, group in groupby(shown, _reply):
        if reply:
            messages += _said(list(group), results)
        else:
            messages.append({"role": "user", "content": "\n\n".join(evidence(item) for item in group)})
    if not messages or messages[0]["role"] != "user":
        messages.insert(0, {"role": "user", "content": OPENING})
    return [{"role": "system", "content": instructions}, *messages] if instructions else messages


def _reply(item: Item) -> str:
    """Which reply of this agent's model an item belongs to; nothing for what users, tools, other agents or the runtime say."""
    by_model = item.origin not in _ASKING and not item.origin.startswith(("tool:", SPECIALIST))
    return item.id.split(".", maxsplit=1)[0] if by_model and isinstance(item.body, Text | ToolCall | Answer) else ""


def _said(items: list[Item], results: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """One reply of a model, and a tool message for each of its calls."""
    texts = [body.text if isinstance(body, Text) else answer(body) for i in items if isinstance(body := i.body, Text | Answer)]
    calls = [(i.id, body) for i in items if isinstance(body := i.body, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": "\n\n".join(texts) if texts else None}
    if calls:
        message["tool_calls"] = [_call(id, body) for id, body in calls]
    told = [("\n\n".join(filter(None, results[id])) or NO_RESULT, call_name(id)) for id, _ in calls]
    return [message, *({"role": "tool", "tool_call_id": name, "content": content} for content, name in told)]


def _call(id: str, body: ToolCall) -> dict[str, Any]:
    function = {"name": wire_name(body.name), "arguments": plain(body.arguments)}
    return {"id": call_name(id), "type": "function", "function": function}
