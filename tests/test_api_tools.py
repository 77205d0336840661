"""Tools of one's own through the Python API: effects, rights, faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.scripts import Said, Script, answered, called, incident, run, told

import standpipe as sp
from standpipe.core.events import CallGranted, CallRefused, RelationsChanged, TurnEnded
from standpipe.core.items import Failure
from standpipe.core.tools import ToolSpec
from standpipe.drivers.tools.python import tool
from standpipe.engine.access import change


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


# --- tools -------------------------------------------------------------------------------------------------------------


def test_a_tool_can_be_made_at_run_time_from_a_schema(store: str) -> None:
    async def main() -> None:
        got: list[dict[str, Any]] = []

        async def call(**arguments: Any) -> str:
            got.append(arguments)
            return "ok"

        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
        made = sp.Tool(name="count", description="Counts.", parameters=schema, call=call, effect="write")
        script = Script([called("count", n="7")], [called("count", n=7)], "Done.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[made])], models=script.models, store=store) as house:
            turn = await (await house.ask("Count.")).wait()
        assert (turn.outcome, got) == ("completed", [{"n": 7}])
        offered = next(tool for tool in script.tools[0] if tool.name == "count")
        assert (offered.description, offered.parameters) == ("Counts.", schema)
        assert [f.code for f in told(script)] == ["arguments"]

    run(main)


def test_a_tool_that_breaks_is_told_and_the_turn_goes_on(store: str) -> None:
    async def main() -> None:
        @tool(effect="read")
        async def broken(id: str) -> str:
            """Broken."""
            raise ValueError(f"no {id}")

        script = Script([called("broken", id="x")], "It could not be read.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[broken])], models=script.models, store=store) as house:
            turn = await (await house.ask("What?")).wait()
        assert told(script) == [Failure("error", "ValueError: no x")]
        assert turn.outcome == "partial" and [g.text for g in turn.gaps] == ["The step `broken` failed."]

    run(main)


def test_a_resource_that_may_not_be_used_is_like_one_that_is_not_there(store: str) -> None:
    async def main() -> None:
        script = Script([called("incident", id="7")], [called("nothing", id="7")], "Nothing.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[incident])], models=script.models, store=store) as house:
            grant = RelationsChanged("local", "", "command", granted=("incident:8#reader@user:local",))
            await change(house.setup, grant, "test")
            turn = await house.ask("What?")
            refused = [e.fact async for e in turn if isinstance(e.fact, CallRefused)]
        assert [(f.code, f.items[0].body) for f in refused] == [("not_found", told(script)[0])] * 2

    run(main)


def test_a_right_withdrawn_between_two_steps_withdraws_what_was_read(store: str) -> None:
    async def main() -> None:
        async def respond(conversation: list[sp.Item], tools: list[ToolSpec]) -> Said:
            shown.append([type(item.body).__name__ for item in conversation])
            if len(shown) == 1:
                return [called("incident", id="7")]
            if len(shown) == 2:
                await change(houses[0].setup, RelationsChanged("local", "", "command", revoked=(right,)), "test")
                return answered("The pool was full.")
            return answered("Nothing can be said.")

        shown: list[list[str]] = []
        houses: list[sp.House] = []
        right = "incident:7#reader@user:local"
        models = {"scripted": sp.testing.ScriptedModel(respond)}
        async with sp.open({}, agents=[sp.Agent("a", tools=[incident])], models=models, store=store) as house:
            houses.append(house)
            await change(house.setup, RelationsChanged("local", "", "command", granted=(right,)), "test")
            turn = await (await house.ask("What?")).wait()
        assert shown[1] == ["Text", "ToolCall", "Data"] and shown[-1] == ["Text", "ToolCall"]
        assert "pool" not in turn.answer.text and turn.summary.withdrawn

    run(main)


def test_effects_that_end_while_others_are_recorded_happen_once(store: str) -> None:
    async def main() -> None:
        done: list[int] = []

        @tool(effect="write")
        async def write(n: int) -> int:
            """Writes."""
            await asyncio.sleep(n * 0.002)
            done.append(n)
            return n

        calls = [called("write", n=n) for n in range(8)]
        script = Script(calls, calls[::-1], "Done.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[write])], models=script.models, store=store) as house:
            turn = await house.ask("Write.")
            granted = [e.fact.call async for e in turn if isinstance(e.fact, CallGranted) and e.fact.route is None]
        assert len(granted) == len(set(granted)) == len(done) >= 13

    run(main)


def test_an_effect_whose_result_cannot_be_used_is_not_said_to_have_failed(store: str) -> None:
    async def main() -> None:
        @tool(effect="write")
        async def write() -> str:
            """Writes."""
            return "x" * 2_000_000

        script = Script([called("write")], "Done.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[write])], models=script.models, store=store) as house:
            turn = await house.ask("Write.")
            ended = [e.fact async for e in turn if isinstance(e.fact, TurnEnded)]
        assert ended[0].unknown == ("st2",)
        assert [g.text for g in turn.gaps] == ["The step `write` may or may not have taken effect."]

    run(main)


def test_a_tool_with_next_to_no_time_is_not_tried_without_end() -> None:
    async def main() -> None:
        @tool(effect="read", timeout_s=0.0001)
        async def hasty() -> str:
            """Hasty."""
            return "x"

        script = Script([called("hasty")], "Done.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[hasty])], models=script.models, store="memory:") as house:
            turn = await house.ask("What?", deadline_s=0.5)
            granted = [e.fact.call async for e in turn if isinstance(e.fact, CallGranted)]
        assert len(granted) < 10

    run(main)


def test_a_tool_that_will_not_stop_does_not_keep_its_turn() -> None:
    async def main() -> None:
        stop = asyncio.Event()

        @tool(effect="read")
        async def stubborn() -> None:
            """Does not stop."""
            while not stop.is_set():
                try:
                    await stop.wait()
                except asyncio.CancelledError:
                    continue

        script = Script([called("stubborn")], "It did not answer.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[stubborn])], models=script.models, store="memory:") as house:
            turn = await (await house.ask("What?", deadline_s=0.4)).wait()
            assert turn.elapsed_ms < 3_000 and turn.outcome in ("partial", "failed")
            stop.set()
            await asyncio.sleep(0)

    run(main)


def test_a_provider_that_fails_is_passed_over_for_the_next(store: str) -> None:
    async def main() -> None:
        async def down(conversation: list[sp.Item], tools: Sequence[ToolSpec]) -> str:
            raise ConnectionError("down")

        models = {"first": sp.testing.ScriptedModel(down), "second": sp.testing.ScriptedModel(Script("Yes."))}
        async with sp.open({}, models=models, store=store) as house:
            turn = await house.ask("Is it?")
            routes = [e.fact.route async for e in turn if isinstance(e.fact, CallGranted)]
        assert [r.model for r in routes if r is not None] == ["first", "second"]
        assert (turn.outcome, turn.answer.text) == ("completed", "Yes.")

    run(main)
