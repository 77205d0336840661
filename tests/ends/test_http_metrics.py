"""The numbers of a server as Prometheus reads them: what is counted, once, by whom it may be read, and no names."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.ends.http_serving import QUESTION, Client, House, run, served, until

import standpipe as sp
from standpipe.core.items import Text
from standpipe.core.tools import ToolSpec
from standpipe.drivers.tools.python import tool
from standpipe.settings import Key

PRICED = {
    "models": {"priced": {"provider": "scripted", "input_microusd_per_mtok": 1_000_000, "output_microusd_per_mtok": 1_000_000}},
    "routes": {"default": {"models": ["priced"]}},
}


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


@tool(effect="read")
async def dial(place: str) -> str:
    """Read a dial; the one in the cellar is broken."""
    if place == "cellar":
        raise ValueError(place)
    return "4 bar"


@tool(effect="irreversible")
async def launch() -> None:
    """Launch it."""


async def looks(conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
    """A model that reads two dials first."""
    looked = any(item.kind == "data" for item in conversation)
    return "It is." if looked else [sp.ToolCall("dial", {"place": place}) for place in ("roof", "cellar")]


async def launches(conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
    """A model that wants what needs an approval."""
    return [sp.ToolCall("launch", {})]


async def numbers(client: Client, **headers: str) -> dict[str, float]:
    """Every sample by its name and labels, without times and buckets."""
    async with client.http.get(
        "/metrics", headers={name.replace("_", "-"): value for name, value in headers.items()}
    ) as answer:
        assert answer.status == 200 and answer.content_type == "text/plain"
        families = text_string_to_metric_families(await answer.text())
    samples = (sample for family in families for sample in family.samples)
    named = {" ".join((sample.name.removeprefix("standpipe_"), *sample.labels.values())): sample.value for sample in samples}
    return {name: value for name, value in named.items() if not name.startswith(("call_seconds_bucket", "call_seconds_sum"))}


def test_what_turns_and_calls_came_to_is_counted_once(store: str) -> None:
    async def main() -> None:
        async with served(House(store, looks, [dial], policy=PRICED)) as client:
            costs, tokens = 0, 0
            for turns in (1, 2):
                session = await client.open()
                _, done = await client.post(f"/v1/sessions/{session}/turns", QUESTION)
                costs, tokens = costs + done["cost_microusd"], tokens + done["tokens"]
                await until(lambda: not client.house.driving)
                first, again = await numbers(client), await numbers(client)
                assert first == again
                expected = {
                    "turns_total partial": turns,
                    "calls_total model completed": 2 * turns,
                    "calls_total tool completed": turns,
                    "calls_total tool failed": turns,
                    "call_seconds_count model": 2 * turns,
                    "call_seconds_count tool": 2 * turns,
                    "tokens_total": tokens,
                    "cost_microusd_total": costs,
                    "running_sessions": 0,
                    "parked_sessions": 0,
                    "open_connections": 1,
                }
                assert {name: first[name] for name in expected} == expected and costs > 0 and tokens > 0

    run(main)


def test_a_turn_that_runs_is_counted_as_it_goes(store: str) -> None:
    go = asyncio.Event()

    async def waits(conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
        said = await looks(conversation, tools)
        if isinstance(said, str):
            await go.wait()
        return said

    async def main() -> None:
        async with served(House(store, waits, [dial])) as client:
            session = await client.open()
            async with client.stream(f"/v1/sessions/{session}/turns", QUESTION) as stream:
                asked = 0
                while asked < 2:
                    message = await anext(stream)
                    asked += message.data["kind"] == "CallGranted" and "route" in message.data["data"]
                halfway = await numbers(client)
                assert halfway["calls_total model completed"] == halfway["running_sessions"] == 1
                assert "turns_total partial" not in halfway
                go.set()
                assert [message async for message in stream][-1].data["outcome"] == "partial"
            await until(lambda: not client.house.driving)
            after = await numbers(client)
            assert (after["calls_total model completed"], after["turns_total partial"]) == (2, 1)

    run(main)


async def delegates(conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
    """A model that asks two specialists, of whom one has nothing to say."""
    origins = {item.origin: item.body for item in conversation}
    if isinstance(task := origins.get("task"), Text):
        return "It is." if task.text == "Is it?" else []
    came = any(item.kind in ("answer", "failure") for item in conversation)
    asked = [sp.ToolCall("delegate", {"to": "knower", "task": task, "optional": True}) for task in ("Is it?", "What is it?")]
    return "It is." if came else asked


def test_a_specialist_is_a_call_too_and_nothing_is_counted_twice(store: str) -> None:
    async def main() -> None:
        knower = sp.Agent("knower", description="Knows.")
        async with served(House(store, delegates, policy=PRICED, specialists=[knower])) as client:
            session = await client.open()
            _, done = await client.post(f"/v1/sessions/{session}/turns", QUESTION)
            await until(lambda: not client.house.driving)
            seen = await numbers(client)
            assert seen["calls_total agent completed"] == seen["calls_total agent failed"] == 1
            calls = ("completed", "failed")
            assert sum(seen.get(f"calls_total model {outcome}", 0) for outcome in calls) == done["model_calls"]
            assert (seen["tokens_total"], seen["cost_microusd_total"]) == (done["tokens"], done["cost_microusd"])

    run(main)


def test_what_waits_for_a_person_is_parked_and_each_server_counts_its_own(store: str) -> None:
    async def main() -> None:
        async with served(House(store, launches, [launch])) as client, served(House()) as other:
            session = await client.open()
            assert (await client.post(f"/v1/sessions/{session}/turns", QUESTION))[1]["outcome"] == "parked"
            await until(lambda: not client.house.driving)
            seen = await numbers(client)
            assert (seen["parked_sessions"], seen["running_sessions"]) == (1, 0)
            assert seen["calls_total model completed"] == 1
            elsewhere = await numbers(other)
            assert elsewhere["parked_sessions"] == 0 and "calls_total model completed" not in elsewhere

    run(main)


def test_only_who_has_a_key_reads_them_and_they_name_nobody(store: str, docs: Path) -> None:
    async def main() -> None:
        key = Key(hashlib.sha256(b"one").hexdigest(), "user:ana", "acme")
        async with served(House(store, looks, [dial], keys=[key], docs=[docs])) as client:
            for headers in ({}, {"Authorization": "Bearer two"}, {"X-Principal": "user:ana"}):
                assert (await client.get("/metrics", **headers))[0] == 401
            session = await client.open(Authorization="Bearer one")
            path = f"/v1/sessions/{session}/turns"
            assert (await client.post(path, {"question": "How high is the intake?"}, Authorization="Bearer one"))[0] == 200
            await until(lambda: not client.house.driving)
            async with client.http.get("/metrics", headers={"Authorization": "Bearer one"}) as answer:
                text = await answer.text()
            assert 'standpipe_turns_total{outcome="partial"} 1.0' in text
            for name in ("ana", "acme", session, "dial", "cellar", "scripted", "coordinator", "intake", ".md", str(docs)):
                assert name not in text.replace("standpipe_", ""), name

    run(main)
