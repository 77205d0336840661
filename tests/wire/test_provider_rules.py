"""The strict server refuses what some real server would, so that what it accepts is accepted everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from standpipe.core.items import Draft, Text, ToolCall, place
from standpipe.core.world import ModelSpec
from standpipe.drivers.models.http import ChatModels, Endpoint
from standpipe.ports import Failed, Prompt
from standpipe.testing.provider import ChatProvider
from standpipe.testing.provider_rules import problem
from standpipe.wire.openai_chat import Target, render

ITEMS = (
    place(Draft(Text("Why?")), "2.0", "user"),
    place(Draft(ToolCall("look", {"x": 1})), "5.0", "large"),
    place(Draft(ToolCall("look", {"x": 2})), "5.1", "large"),
)
PROMPT = Prompt("Say.", ITEMS, (), 9)
FUNCTION = {"name": "look", "description": "", "parameters": {"type": "object"}}


def good() -> dict[str, Any]:
    """A request with everything in it."""
    request = render(PROMPT, Target("m"))
    return {**request, "tools": [{"type": "function", "function": FUNCTION}]}


def call(request: dict[str, Any], index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = request["messages"][2]["tool_calls"][index]
    return found


def same_id(request: dict[str, Any]) -> None:
    call(request, 1)["id"] = request["messages"][4]["tool_call_id"] = call(request)["id"]


BREAKS: list[Callable[[dict[str, Any]], object]] = [
    lambda r: r.pop("max_tokens"),
    lambda r: r.update(max_tokens=0),
    lambda r: r.update(max_completion_tokens=9),
    lambda r: r.update(model=""),
    lambda r: r.pop("stream"),
    lambda r: r.update(temperature=3),
    lambda r: r.update(unknown=1),
    lambda r: r.update(tools=[]),
    lambda r: r["tools"].append(r["tools"][0]),
    lambda r: r.update(tools=[{"type": "function", "function": {**FUNCTION, "name": "a.b"}}]),
    lambda r: r.update(tools=[{"type": "function", "function": {**FUNCTION, "parameters": {}}}]),
    lambda r: r["messages"].append(r["messages"][0]),
    lambda r: r["messages"].pop(1),
    lambda r: r["messages"].insert(1, r["messages"][1]),
    lambda r: r["messages"][1].update(content=None),
    lambda r: r["messages"][1].update(tool_call_id="x"),
    lambda r: r["messages"][1].update(tool_calls=r["messages"][2]["tool_calls"]),
    lambda r: r["messages"][2].update(tool_calls=[]),
    lambda r: r["messages"].pop(4),
    lambda r: r["messages"].insert(3, {"role": "user", "content": "x"}),
    lambda r: r["messages"].append(r["messages"][4]),
    lambda r: r["messages"][4].pop("tool_call_id"),
    lambda r: call(r).update(id="call_1"),
    same_id,
    lambda r: call(r)["function"].update(name="a.b"),
    lambda r: call(r)["function"].update(arguments="[]"),
    lambda r: call(r)["function"].update(arguments="{"),
    lambda r: r["messages"].pop(),
]


def test_a_good_request_is_accepted() -> None:
    assert problem(msgspec.json.encode(good())) == ""


@pytest.mark.parametrize("broken", BREAKS, ids=range(len(BREAKS)))
def test_a_broken_request_is_refused(broken: Callable[[dict[str, Any]], object]) -> None:
    request = msgspec.json.decode(msgspec.json.encode(good()))
    broken(request)
    assert problem(msgspec.json.encode(request))


def test_bytes_that_are_no_json_are_refused() -> None:
    assert problem(b"{") and problem(b"\xff") and problem(b"")


def served(provider: ChatProvider) -> Failed:
    async def main() -> Failed:
        async with provider, ChatModels(Endpoint(provider.base_url)) as models:
            came = await models.call(ModelSpec("m", "p"), PROMPT)
            assert isinstance(came, Failed)
            return came

    return asyncio.run(main())


def test_the_server_wants_its_key() -> None:
    provider = ChatProvider(lambda request: "Yes.", key="sk-other")
    assert served(provider).fault.code == "auth" and len(provider.refused) == 1 and not provider.requests


def test_what_the_model_behind_the_server_raises_is_seen() -> None:
    with pytest.raises(ZeroDivisionError):
        served(ChatProvider(lambda request: str(1 // 0)))
