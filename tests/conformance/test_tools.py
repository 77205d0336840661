"""What every driver of tools promises: one attempt, an answer that can be stored, no exception for what a tool does."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.tools import called, documents, request

from standpipe.core.items import Data, Failure, Label, Passage, decode_body, encode_body
from standpipe.drivers.tools.python import PythonTools, Tool, tool
from standpipe.ports import Failed, Reply, ToolRequest, Tools

# --- implementations ---------------------------------------------------------------------------------------------------


class Weather(msgspec.Struct):
    """What `weather` takes and gives beside plain values."""

    city: str
    day: datetime.date


@tool(effect="read")
async def weather(city: str, days: int = 1) -> dict[str, Any]:
    """The weather of a city."""
    if days < 0:
        raise ValueError(f"{days} days")
    return {"city": city, "days": days}


@tool(effect="read")
async def echo(value: Any) -> Any:
    """Gives back what it gets."""
    return value


IMPLEMENTATIONS: dict[str, tuple[Callable[[], Tools], ToolRequest, ToolRequest]] = {
    "python": (lambda: PythonTools({"weather": weather}), request("weather", city="Graz"), request("weather", town="Graz")),
    "search": (lambda: asyncio.run(documents()), request("search", query="leader"), request("search", question="leader")),
    "read": (lambda: asyncio.run(documents()), request("read", source="ops/etcd.md"), request("read", source=7)),
}
"""How to make one, a request that it can serve, and one whose arguments do not fit."""


@pytest.fixture(params=IMPLEMENTATIONS)
def case(request: pytest.FixtureRequest) -> tuple[Tools, ToolRequest, ToolRequest]:
    make, good, bad = IMPLEMENTATIONS[request.param]
    return make(), good, bad


Case = tuple[Tools, ToolRequest, ToolRequest]


def test_a_served_request_gives_items(case: Case) -> None:
    tools, good, _ = case
    reply = called(tools, good)
    assert isinstance(reply, Reply) and reply.drafts


def test_the_same_request_gives_the_same_items(case: Case) -> None:
    tools, good, _ = case
    assert called(tools, good) == called(tools, good)


def test_what_comes_back_is_the_same_after_storage(case: Case) -> None:
    tools, good, bad = case
    for one in (good, bad):
        reply = called(tools, one)
        for draft in reply.drafts if isinstance(reply, Reply) else ():
            assert decode_body(encode_body(draft.body)) == draft.body


def test_every_item_says_who_chose_its_bytes(case: Case) -> None:
    tools, good, _ = case
    reply = called(tools, good)
    assert isinstance(reply, Reply)
    assert {d.label.integrity for d in reply.drafts} <= {"tool", "document", "agent"}
    assert all(d.label.sources for d in reply.drafts if isinstance(d.body, Passage))


def test_arguments_that_do_not_fit_are_a_failure_and_no_exception(case: Case) -> None:
    tools, _, bad = case
    reply = called(tools, bad)
    assert isinstance(reply, Failed) or any(isinstance(d.body, Failure) for d in reply.drafts)


def test_a_request_is_not_changed_by_being_served(case: Case) -> None:
    tools, good, _ = case
    before = msgspec.json.encode(good)
    called(tools, good)
    assert msgspec.json.encode(good) == before


# --- functions ---------------------------------------------------------------------------------------------------------


def python(function: Callable[..., Awaitable[Any]], **options: Any) -> Tools:
    """One function as a driver of tools."""
    made = tool(**options)(function)
    return PythonTools({made.name: made})


def test_what_a_function_returns_is_data() -> None:
    reply = called(PythonTools({"weather": weather}), request("weather", city="Graz", days=2))
    assert isinstance(reply, Reply)
    assert [d.body for d in reply.drafts] == [Data({"city": "Graz", "days": 2})]
    assert reply.drafts[0].label == Label(integrity="tool")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        (Weather("Graz", datetime.date(2026, 1, 2)), {"city": "Graz", "day": "2026-01-02"}),
        ({1: "a"}, {"1": "a"}),
        ((1, (2, 3)), [1, [2, 3]]),
        (float("nan"), None),
        (2**70, 2**70),
    ],
)
def test_any_value_becomes_one_that_can_be_stored(value: Any, stored: Any) -> None:
    reply = called(PythonTools({"echo": echo}), request("echo", value=value))
    assert isinstance(reply, Reply)
    body = reply.drafts[0].body
    assert body == Data(stored) and decode_body(encode_body(body)) == body


words = st.text(st.characters(codec="utf-8"), max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(json_values)
def test_what_a_function_returns_is_the_same_live_and_after_storage(value: Any) -> None:
    with pytest.raises(StopIteration) as done:  # nothing in it waits, and an event loop for each example would be slow
        PythonTools({"echo": echo}).call(request("echo", value=value)).send(None)
    reply = done.value.value
    assert isinstance(reply, Reply)
    assert decode_body(encode_body(reply.drafts[0].body)) == reply.drafts[0].body


@pytest.mark.parametrize("value", [object(), "\ud800", {(1, 2): 3}], ids=["object", "surrogate", "tuple key"])
def test_a_value_that_cannot_be_stored_is_a_failure(value: Any) -> None:
    reply = called(PythonTools({"echo": echo}), request("echo", value=value))
    assert isinstance(reply, Failed) and reply.fault.code == "error"


def test_what_a_function_raises_is_told_beside_the_log() -> None:
    reply = called(PythonTools({"weather": weather}), request("weather", city="Graz", days=-7))
    assert isinstance(reply, Failed)
    assert (reply.fault.code, reply.fault.retryable, reply.unknown) == ("error", False, False)
    assert "-7" not in reply.fault.text and "ValueError" in reply.fault.text
    assert reply.told == "ValueError: -7 days"


@pytest.mark.parametrize("error", [OSError("x"), ConnectionResetError("x"), TimeoutError("x")], ids=repr)
def test_trouble_that_may_pass_can_be_tried_again(error: Exception) -> None:
    async def broken() -> None:
        raise error

    reply = called(python(broken), request("broken"))
    assert isinstance(reply, Failed) and reply.fault.retryable


@pytest.mark.parametrize(
    ("options", "unknown"),
    [
        ({"effect": "read"}, False),
        ({"effect": "write"}, True),
        ({"effect": "irreversible"}, True),
        ({"effect": "write", "idempotent": True}, True),
    ],
)
def test_an_effect_that_broke_off_may_have_happened(options: dict[str, Any], unknown: bool) -> None:
    async def broken() -> None:
        raise RuntimeError

    reply = called(python(broken, **options), request("broken"))
    assert isinstance(reply, Failed) and reply.unknown is unknown


def test_a_failure_is_told_at_bounded_length() -> None:
    async def loud() -> None:
        raise RuntimeError("x" * 100_000)

    reply = called(python(loud), request("loud"))
    assert isinstance(reply, Failed) and len(reply.told) <= 2_000


def test_a_cancelled_call_is_cancelled() -> None:
    async def slow() -> None:
        await asyncio.sleep(60)

    async def cancelled() -> bool:
        task = asyncio.ensure_future(python(slow).call(request("slow")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert asyncio.run(cancelled())


def test_the_idempotency_key_is_ours_to_fill() -> None:
    @tool(effect="write", idempotent=True)
    async def pay(amount: int, idempotency_key: str) -> str:
        """Pay."""
        return f"{amount} {idempotency_key}"

    assert set(pay.parameters["properties"]) == {"amount"}
    tools = PythonTools({"pay": pay})
    for asked in (request("pay", amount=1), request("pay", amount=1, idempotency_key="forged")):
        reply = called(tools, asked)
        assert isinstance(reply, Reply) and reply.drafts[0].body == Data("1 key-1")


def test_arguments_arrive_as_the_types_that_the_function_names() -> None:
    @tool(effect="read")
    async def forecast(asked: Weather, until: datetime.datetime) -> str:
        """A forecast."""
        return f"{asked.city} {asked.day.year} {until.hour}"

    reply = called(
        PythonTools({"forecast": forecast}),
        request("forecast", asked={"city": "Graz", "day": "2026-01-02"}, until="2026-01-02T03:00:00Z"),
    )
    assert isinstance(reply, Reply) and reply.drafts[0].body == Data("Graz 2026 3")


# --- what the decorator makes ------------------------------------------------------------------------------------------


def test_a_function_says_what_a_model_is_told() -> None:
    spec = weather.spec
    assert (spec.name, spec.description, spec.effect) == ("weather", "The weather of a city.", "read")
    assert spec.parameters["properties"]["city"] == {"type": "string"}
    assert spec.parameters["required"] == ["city"] and spec.parameters["additionalProperties"] is False


def test_options_reach_the_rules() -> None:
    async def plain(id: str) -> None: ...

    made = tool(
        name="close",
        description="Close it.",
        effect="write",
        resource="incident:{id}",
        idempotent=True,
        timeout_s=1.5,
        approval=True,
    )(plain)
    spec = made.spec
    assert (spec.name, spec.description, spec.effect, spec.resource) == ("close", "Close it.", "write", "incident:{id}")
    assert (spec.idempotent, spec.approval, spec.timeout_ms) == (True, True, 1_500)


def test_types_with_parts_have_a_schema_of_one_piece() -> None:
    async def forecast(asked: Weather) -> None: ...

    schema = tool()(forecast).parameters
    assert schema["properties"]["asked"] == {"$ref": "#/$defs/Weather"} and "Weather" in schema["$defs"]


def test_a_function_that_is_not_async_is_no_tool() -> None:
    def plain() -> None: ...

    with pytest.raises(TypeError, match="must be async"):
        tool()(plain)  # type: ignore[arg-type]


def test_an_effect_has_one_of_three_names() -> None:
    with pytest.raises(ValueError, match="read, write or irreversible"):
        Tool(name="x", description="", parameters={}, call=weather.call, effect="delete")


def test_parameters_of_any_number_have_no_schema() -> None:
    async def loose(*many: int) -> None: ...

    async def looser(**named: int) -> None: ...

    for function in (loose, looser):
        with pytest.raises(TypeError):
            tool()(function)
