"""Cancelling and interrupting over HTTP: levels, turns that wait, one specialist, whole sessions; and who only goes away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.ends.http_serving import QUESTION, Client, House, run, served

import standpipe as sp
from standpipe.core.tools import ToolSpec
from standpipe.drivers.tools.python import tool


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


class Looking:
    """A model that looks something up, which takes until it is told to go on, and then answers."""

    def __init__(self) -> None:
        self.go, self.looking = asyncio.Event(), asyncio.Event()

    async def __call__(self, conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
        asked = max(n for n, item in enumerate(conversation) if item.origin == "user")
        looked = any(item.kind in ("data", "failure") for item in conversation[asked:])
        return "It was seen." if looked else [sp.ToolCall("look", {})]

    @property
    def tools(self) -> list[Any]:
        @tool()
        async def look() -> str:
            """Look it up."""
            self.looking.set()
            await self.go.wait()
            return "seen"

        return [look]


async def asked(client: Client, session: str, **given: Any) -> dict[str, Any]:
    """What a turn came to."""
    status, told = await client.post(f"/v1/sessions/{session}/turns", {**QUESTION, **given})
    assert status == 200
    return dict(told)


@pytest.mark.parametrize(
    ("level", "outcome"), [("soft", ("partial", "cancelled")), ("firm", ("cancelled", "user")), ("hard", ("cancelled", "user"))]
)
def test_a_turn_is_cancelled_at_a_level(store: str, level: str, outcome: tuple[str, str]) -> None:
    async def main() -> None:
        model = Looking()
        async with served(House(store, model, model.tools)) as client:
            session = await client.open()
            turn = asyncio.ensure_future(asked(client, session))
            await model.looking.wait()
            told = {"session": session, "turn": "t1", "scope": ""}
            assert await client.post(f"/v1/sessions/{session}/cancel", {"level": level}) == (202, told)
            model.go.set()
            done = await turn
            assert (done["outcome"], done["reason"]) == outcome

    run(main)


def test_the_turn_that_runs_is_interrupted_and_one_that_waits_is_called_off(store: str) -> None:
    async def main() -> None:
        model = Looking()
        async with served(House(store, model, model.tools)) as client:
            session = await client.open()
            first = asyncio.ensure_future(asked(client, session))
            await model.looking.wait()
            second = asyncio.ensure_future(asked(client, session))
            while (await client.post(f"/v1/sessions/{session}/cancel", {"turn": "t2"}))[0] == 409:
                await asyncio.sleep(0.01)
            assert (await second)["reason"] == "user"
            third = asyncio.ensure_future(asked(client, session, interrupt=True))
            assert (await first)["reason"] == "interrupted by t3"
            model.go.set()
            done = await third
            assert (done["turn"], done["outcome"]) == ("t3", "completed")

    run(main)


def test_a_session_is_cancelled_as_a_whole(store: str) -> None:
    async def main() -> None:
        model = Looking()
        async with served(House(store, model, model.tools)) as client:
            session = await client.open()
            turns = [asyncio.ensure_future(asked(client, session)) for _ in range(3)]
            await model.looking.wait()
            while (await client.post(f"/v1/sessions/{session}/cancel", {"turn": "t3", "level": "soft"}))[0] == 409:
                await asyncio.sleep(0.01)
            answer = await client.post(f"/v1/sessions/{session}/cancel", {"scope": "session"})
            assert answer == (202, {"session": session, "turn": "t3", "scope": "session"})
            assert {done["outcome"] for done in await asyncio.gather(*turns)} == {"cancelled"}

    run(main)


@pytest.mark.parametrize("body", [{"level": "gently"}, {"level": None}, {"levle": "soft"}, {"scope": 1}])
def test_what_is_no_way_to_cancel_is_told_so(body: dict[str, Any]) -> None:
    async def main() -> None:
        async with served(House("memory:")) as client:
            assert (await client.post(f"/v1/sessions/{await client.open()}/cancel", body))[0] == 422

    run(main)


def test_a_specialist_that_does_not_work_cannot_be_cancelled() -> None:
    async def main() -> None:
        model = Looking()
        async with served(House("memory:", model, model.tools)) as client:
            session = await client.open()
            turn = asyncio.ensure_future(asked(client, session))
            await model.looking.wait()
            assert (await client.post(f"/v1/sessions/{session}/cancel", {"scope": "t1.st2.a1"}))[0] == 409
            model.go.set()
            assert (await turn)["outcome"] == "completed"

    run(main)


def test_who_goes_away_cancels_nothing(store: str) -> None:
    async def main() -> None:
        model = Looking()
        async with served(House(store, model, model.tools)) as client:
            session = await client.open()
            async with client.stream(f"/v1/sessions/{session}/turns", QUESTION) as stream:
                await anext(stream)
                await model.looking.wait()
            await asyncio.sleep(0.1)
            model.go.set()
            async with client.stream(f"/v1/sessions/{session}/events?after=0") as stream:
                kinds = []
                async for message in stream:
                    kinds.append(message.data["kind"])
                    if kinds[-1] == "TurnEnded":
                        assert message.data["data"]["outcome"] == "completed"
                        break
            assert "CancelRequested" not in kinds

    run(main)
