"""A right that is taken away between two instants: what was granted is not begun, what was said is not handed over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.scripts import Script, answered, called, run

import standpipe as sp
from standpipe import wiring
from standpipe.core.events import CallCancelled, CallGranted, RelationsChanged, TurnEnded
from standpipe.core.items import Data
from standpipe.drivers.tools.python import tool
from standpipe.engine.access import change
from standpipe.engine.house import House
from standpipe.engine.verify import verify
from standpipe.ports import Append, Appended
from standpipe.settings import load

RIGHT = "incident:7#reader@user:local"


class Revoking:
    """A log; when the fact that is waited for is durable, the right is taken away before anybody goes on from there."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.house: House | None = None
        self.target = ""
        self.nth = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, append: Append) -> Any:
        answer = await self._log.append(append)
        facts = [event.fact for event in append.events]
        seen = sum(isinstance(f, CallGranted) and f.target == self.target for f in facts)
        seen += self.target == "end" and any(isinstance(f, TurnEnded) for f in facts)
        if isinstance(answer, Appended) and seen and self.house is not None:
            await self._count(self.house)
        return answer

    async def bodies(self, tenant: str, hashes: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = await self._log.bodies(tenant, hashes)
        if self.target == "bodies" and self.house is not None:
            await self._count(self.house)
        return found

    async def _count(self, house: House) -> None:
        self.nth -= 1
        if self.nth == 0:
            await change(house.setup, RelationsChanged("local", "", "command", revoked=(RIGHT,)), "test")


class Story:
    """A house whose model asks for an incident and says what it was; the right goes when the `nth` call of a target is granted,
    or at the end of the turn."""

    def __init__(self, target: str, nth: int = 1) -> None:
        self.asked: list[str] = []
        self.script = Script([called("incident", id="7")], answered("The pool was full."), answered("Nothing can be said."))
        self.log = Revoking(None)
        self.log.target, self.log.nth = target, nth

    async def opened(self) -> House:
        @tool(effect="read", resource="incident:{id}")
        async def incident(id: str) -> str:
            """One incident report."""
            self.asked.append(id)
            return "The pool was full."

        kept = wiring.stores("memory:")
        self.log._log = kept.log
        log: Any = self.log
        agents = [sp.Agent("a", tools=[incident])]
        house = wiring.build(load({}, ("scripted",)), replace(kept, log=log), agents, self.script.models, None)
        await change(house.setup, RelationsChanged("local", "", "command", granted=(RIGHT,)), "test")
        return house

    async def told(self) -> sp.Turn:
        house = self.log.house = await self.opened()
        turn = await (await house.ask("What?")).wait()
        assert self.log.nth <= 0 and (await verify(house.ports.log)).violations == ()
        facts = [e.fact for frame in await house.ports.log.read(turn.session) for e in frame.events]
        self.cancelled = [fact.call for fact in facts if isinstance(fact, CallCancelled)]
        await house.close()
        return turn


def test_a_tool_is_not_called_when_the_right_went_after_the_grant() -> None:
    async def main() -> None:
        story = Story("incident")
        await story.told()
        assert (story.asked, story.cancelled) == ([], ["t1.st2.a1"])

    run(main)


def test_a_model_is_not_shown_what_was_revoked_after_its_prompt_was_put_together() -> None:
    async def main() -> None:
        story = Story("scripted", 2)
        await story.told()
        assert story.asked == ["7"] and story.cancelled and len(story.script.shown) == 2
        assert not any(isinstance(item.body, Data) for shown in story.script.shown for item in shown)

    run(main)


def test_a_model_is_not_shown_what_was_revoked_while_its_prompt_was_read() -> None:
    """Nothing is awaited between the last look and the hand-over: only the look itself can notice."""

    async def main() -> None:
        story = Story("bodies")
        house = await story.opened()
        first = await (await house.ask("What?")).wait()
        await house.resume(first.session)
        story.log.house = house
        again = await (await house.ask("And then?", session=first.session)).wait()
        assert first.answer.text == "The pool was full." and story.log.nth <= 0
        assert not any("pool" in str(item.body) for shown in story.script.shown[2:] for item in shown)
        assert again.answer.text == "Nothing can be said." and len(story.script.shown) == 3
        await house.close()

    run(main)


def test_an_answer_is_not_handed_over_when_the_right_went_as_the_turn_ended() -> None:
    async def main() -> None:
        story = Story("end")
        turn = await story.told()
        assert (turn.outcome, turn.withheld, turn.answer.text) == ("completed", True, "")

    run(main)


def test_with_the_right_it_is_all_said() -> None:
    async def main() -> None:
        story = Story("nothing", 0)
        turn = await story.told()
        assert (turn.outcome, turn.answer.text, story.asked) == ("completed", "The pool was full.", ["7"])

    run(main)


@pytest.mark.parametrize("kept", ["memory:", "sqlite"])
def test_a_call_under_way_with_a_revoked_source_is_broken_off_at_once(kept: str, tmp_path: Path) -> None:
    """Nobody waits for a model that has been shown what its principal may no longer read."""
    store = f"sqlite:///{tmp_path / 'standpipe.db'}" if kept == "sqlite" else kept

    @tool(effect="read", resource="incident:{id}")
    async def incident(id: str) -> str:
        return "the pool was full"

    async def main() -> None:
        reading = asyncio.Event()

        async def respond(conversation: list[sp.Item], tools: list[Any]) -> Any:
            if not any(item.kind == "call" for item in conversation):
                return [called("incident", id="7")]
            if any(isinstance(item.body, Data) for item in conversation):
                reading.set()
                await asyncio.Event().wait()
            return answered("Nothing can be said.")

        models = {"m": sp.testing.ScriptedModel(respond)}
        async with sp.open({}, agents=[sp.Agent("a", tools=[incident])], models=models, store=store) as house:
            await change(house.setup, RelationsChanged("local", "", "command", granted=(RIGHT,)), "test")
            turn = await house.ask("What?")
            waiting = asyncio.ensure_future(turn.wait())
            await reading.wait()
            await change(house.setup, RelationsChanged("local", "", "command", revoked=(RIGHT,)), "test")
            async with asyncio.timeout(5):
                await waiting
        assert (turn.answer.text, turn.outcome) == ("Nothing can be said.", "completed"), turn.reason

    run(main)
