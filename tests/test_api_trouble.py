"""A drive that breaks off: whoever follows the turn hears of it at once, whatever happens to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.scripts import Script, called, run

import standpipe as sp
from standpipe import wiring
from standpipe.core.events import CallCompleted
from standpipe.core.items import Data, Draft, Text
from standpipe.core.world import ModelSpec
from standpipe.drivers.tools.python import tool
from standpipe.engine.house import House, Turn
from standpipe.engine.verify import verify
from standpipe.entrypoints.http.events import Heard, turn_parts
from standpipe.errors import StoreError
from standpipe.ports import Hear, Log, Prompt, Reply, ToolRequest, Tools
from standpipe.settings import load


class Deaf:
    """A log whose readers hear of nothing new."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def wait(self, session: str, after: int, timeout_ms: int) -> None:
        await asyncio.Event().wait()

    def listen(self, session: str, hear: Hear) -> Callable[[], None]:
        return lambda: None


class Breaks:
    """A model in whose call the store breaks, as soon as it may."""

    def __init__(self) -> None:
        self.now, self.mended = asyncio.Event(), False

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply:
        await self.now.wait()
        if self.mended:
            return Reply((Draft(Text("It is.")),))
        raise StoreError("The disk is full.")


def broken(model: Breaks) -> House:
    """A house without news, whose only model is this one."""
    kept = wiring.stores("memory:")
    log = cast(Log, Deaf(kept.log))
    return wiring.build(load({}, ("breaks",)), replace(kept, log=log), (wiring.COORDINATOR,), {"breaks": model}, None)


def test_everybody_who_follows_a_turn_hears_at_once_that_its_drive_broke_off() -> None:
    async def main() -> None:
        model = Breaks()
        house = broken(model)
        turn = await house.ask("Is it?", request="r")
        again = await house.ask("Is it?", session=turn.session, request="r")
        following = asyncio.gather(turn.wait(), again.wait(), streamed(house, turn), return_exceptions=True)
        await asyncio.sleep(0.05)
        model.now.set()
        heard = await asyncio.wait_for(following, 10)
        assert [str(trouble) for trouble in heard] == ["The disk is full."] * 3
        await house.close()

    run(main)


async def streamed(house: House, turn: Turn) -> None:
    async for _ in turn_parts(Heard(house.ports.log, "local", turn.session, 15, house.ports.spoken), turn, 0):
        pass


def test_who_follows_later_hears_how_it_goes_then() -> None:
    async def main() -> None:
        model = Breaks()
        model.now.set()
        house = broken(model)
        turn = await house.ask("Is it?")
        while house.driving:
            await asyncio.sleep(0)
        for _ in range(2):
            with pytest.raises(sp.StandpipeError, match="disk"):
                await asyncio.wait_for(turn.wait(), 10)
        model.mended = True
        again = await house.ask("Is it?", session=turn.session)
        while house.driving:
            await asyncio.sleep(0)
        assert [(await one.wait()).answer.text for one in (turn, again)] == ["It is.", "It is."]
        await house.close()

    run(main)


class Together:
    """Two tools that come back at the same instant: one did its work, the other met a store that is broken."""

    def __init__(self) -> None:
        self.go, self.done, self.mended = asyncio.Event(), 0, False

    async def call(self, request: ToolRequest) -> Reply:
        await self.go.wait()
        if request.tool == "look" and not self.mended:
            raise StoreError("The disk is full.")
        self.done += request.tool == "note"
        return Reply((Draft(Data("done")),))


def test_what_was_recorded_as_a_drive_broke_off_is_not_recorded_again() -> None:
    async def main() -> None:
        async def never() -> None:
            """Is called elsewhere."""

        both = Together()
        agents = [sp.Agent("a", tools=[tool(name="note", effect="write")(never), tool(name="look")(never)])]
        script = Script([called("note"), called("look")], "It is.")
        async with sp.open({}, agents=agents, models=script.models, store="memory:") as house:
            cast(dict[str, Tools], house.ports.tools).update(note=both, look=both)
            turn = await house.ask("Is it?")
            asyncio.get_running_loop().call_later(0.05, both.go.set)
            with pytest.raises(StoreError):
                await turn.wait()
            both.mended = True
            again = await house.resume(turn.session)
            assert again is not None and (await again.wait()).answer.text == "It is."
            facts = [e.fact for frame in await house.ports.log.read(turn.session) for e in frame.events]
            assert [f.call for f in facts if isinstance(f, CallCompleted) and f.call.startswith("t1.st2.")] == ["t1.st2.a1"]
            assert both.done == 1 and (await verify(house.ports.log)).violations == ()

    run(main)
