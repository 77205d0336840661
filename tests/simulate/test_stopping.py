"""Turns that are told to stop while their calls take time, and processes that let go while effects are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.simulate.virtual_house import Virtual

from standpipe.core.admit import GRACE_MS
from standpipe.core.events import (
    CallCancelled,
    CallCompleted,
    CallGranted,
    CallInterrupted,
    DeadlinePassed,
    ScopeEnded,
    TurnEnded,
)
from standpipe.core.items import Item, ToolCall
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.tools.python import Tool, tool
from standpipe.engine.drive import LEASE_MS, LET_GO_S
from standpipe.engine.works import GRACE_MS as STOP_MS
from standpipe.ports import Append, Appended, Fenced, Short, Stale
from standpipe.testing.clock import VirtualLoop

Said = str | list[ToolCall]


def calls(*names: str) -> Callable[[list[Item], list[ToolSpec]], object]:
    """A model that calls these tools, and then says that it is done; asked for something else, it says so at once."""

    async def respond(items: list[Item], _: list[ToolSpec]) -> Said:
        came = any(item.kind in ("data", "failure") for item in items)
        return "It is done." if came or len(items) > 1 else [ToolCall(name) for name in names]

    return respond


def slow(name: str, seconds: float, done: list[str], *, effect: str = "write", stubborn: bool = False) -> Tool:
    """A tool that takes its time, and may not let itself be told to stop."""

    @tool(name=name, effect=effect, timeout_s=200)
    async def work() -> str:
        """Works."""
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if not stubborn:
                    raise
        done.append(name)
        return name

    return work


def test_an_effect_that_is_cancelled_firmly_is_finished_and_recorded_before_it_is_let_go_of() -> None:
    done: list[str] = []
    world = Virtual(calls("write", "look"), slow("write", 3, done), slow("look", 100, done, effect="read"))

    async def main() -> None:
        turn = await world.house().ask("Do it.")
        await asyncio.sleep(1)
        await turn.cancel()
        await turn.wait()
        assert (turn.outcome, turn.reason, round(world.loop.time())) == ("cancelled", "user", 3)
        facts = await world.facts(turn.session)
        assert done == ["write"]
        assert [f.call for f in facts if isinstance(f, CallCompleted)] == ["t1.st1.a1", "t1.st2.a1"]
        assert [(f.call, f.unknown) for f in facts if isinstance(f, CallCancelled)] == [("t1.st3.a1", False)]
        assert [f.unknown for f in facts if isinstance(f, TurnEnded)] == [()]

    world.run(main)


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_effect_that_is_cancelled_hard_is_let_go_of_after_a_grace(stubborn: bool) -> None:
    done: list[str] = []
    world = Virtual(calls("write"), slow("write", 60, done, stubborn=stubborn))

    async def main() -> None:
        turn = await world.house().ask("Do it.")
        await asyncio.sleep(1)
        await turn.cancel(level="hard")
        await turn.wait()
        took_ms = (world.loop.time() - 1) * 1000
        assert took_ms == pytest.approx(GRACE_MS + STOP_MS * stubborn, abs=100)
        facts = await world.facts(turn.session)
        assert (turn.outcome, done) == ("cancelled", [])
        assert [f.which for f in facts if isinstance(f, DeadlinePassed)] == ["grace"]
        assert [(f.call, f.unknown) for f in facts if isinstance(f, CallCancelled)] == [("t1.st2.a1", True)]
        assert [f.unknown for f in facts if isinstance(f, TurnEnded)] == [("st2",)]

    world.run(main)


def test_a_read_that_does_not_let_itself_be_stopped_holds_nobody_up() -> None:
    world = Virtual(calls("look"), slow("look", 60, [], effect="read", stubborn=True))

    async def main() -> None:
        turn = await world.house().ask("Do it.")
        await asyncio.sleep(1)
        await turn.cancel()
        await turn.wait()
        assert (turn.outcome, round(world.loop.time())) == ("cancelled", 1 + STOP_MS // 1000)

    world.run(main)


def test_a_turn_told_softly_finishes_what_is_under_way_and_answers() -> None:
    done: list[str] = []
    world = Virtual(calls("write"), slow("write", 3, done))

    async def main() -> None:
        turn = await world.house().ask("Do it.")
        await asyncio.sleep(1)
        await turn.cancel(level="soft")
        await turn.wait()
        assert (turn.outcome, turn.reason, turn.answer.text) == ("partial", "cancelled", "It is done.")
        assert (done, round(world.loop.time())) == (["write"], 3)

    world.run(main)


def test_a_message_that_interrupts_is_answered_next() -> None:
    done: list[str] = []
    world = Virtual(calls("look"), slow("look", 100, done, effect="read"))

    async def main() -> None:
        house = world.house()
        first = await house.ask("Do it.", principal="user:ana")
        await asyncio.sleep(1)
        waits = await house.ask("And this?", session=first.session, principal="user:ana")
        second = await house.ask("Stop, this!", session=first.session, principal="user:ana", interrupt=True)
        await waits.cancel()
        for turn in (first, waits, second):
            await turn.wait()
        ends = [(turn.id, turn.outcome, turn.reason) for turn in (first, waits, second)]
        assert ends[:2] == [("t1", "cancelled", "interrupted by t3"), ("t2", "cancelled", "user")]
        assert (ends[2], round(world.loop.time())) == (("t3", "completed", "answered"), 1)

    world.run(main)


# --- processes that let go -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("takes_s", "closes_s"), [(3, 2), (100, LET_GO_S)])
def test_a_process_that_lets_go_finishes_and_records_the_effects_that_are_under_way(takes_s: float, closes_s: float) -> None:
    done: list[str] = []
    world = Virtual(calls("write"), slow("write", takes_s, done))

    async def main() -> None:
        house = world.house()
        turn = await house.ask("Do it.")
        await asyncio.sleep(1)
        await house.close()
        assert world.loop.time() - 1 == pytest.approx(closes_s, abs=0.1)
        recorded = [f.call for f in await world.facts(turn.session) if isinstance(f, CallCompleted)]
        assert recorded == ["t1.st1.a1", *["t1.st2.a1"] * (done == ["write"])]
        again = await world.house(2).resume(turn.session)
        assert again is not None
        assert (await again.wait()).outcome == ("completed" if done else "partial")
        cut = [f.call for f in await world.facts(turn.session) if isinstance(f, CallInterrupted)]
        assert (cut, done) == (([], ["write"]) if takes_s == 3 else (["t1.st2.a1"], []))

    world.run(main)


def test_what_was_said_while_a_process_let_go_is_not_lost() -> None:
    """The outcome of an effect is just being appended when the process is told to let go."""
    done: list[str] = []
    world = Virtual(calls("write"), slow("write", 3, done))

    async def main() -> None:
        house = world.house()
        turn = await house.ask("Do it.")
        while not done:
            await asyncio.sleep(0.5)
        await house.close()
        assert [f.call for f in await world.facts(turn.session) if isinstance(f, CallCompleted)][-1] == "t1.st2.a1"

    world.run(main)


class Standing(MemoryLog):
    """A log after which the process stands still, for longer than its lease lasts, when a call of `write` was granted."""

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """As the log does."""
        answer = await super().append(append)
        if any(isinstance(event.fact, CallGranted) and event.fact.target == "write" for event in append.events):
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.stand_still(LEASE_MS / 1000 + 5)
        return answer


def test_a_process_that_stood_still_renews_its_lease_before_it_begins_an_effect() -> None:
    done: list[str] = []
    world = Virtual(calls("write"), slow("write", 1, done), log=Standing)

    async def main() -> None:
        turn = await (await world.house().ask("Do it.")).wait()
        assert (turn.outcome, done) == ("completed", ["write"])
        assert not [f for f in await world.facts(turn.session) if isinstance(f, CallCancelled)]

    world.run(main)


# --- deadlines -----------------------------------------------------------------------------------------------------------


def test_a_deadline_passes_though_every_specialist_hangs_and_will_not_stop() -> None:
    async def respond(items: list[Item], _: list[ToolSpec]) -> Said:
        if items[0].origin == "task":
            return [ToolCall("hang")]
        if len(items) > 1:
            return "Nobody answered."
        return [ToolCall("delegate", {"to": name, "task": "Do it."}) for name in ("one", "two")]

    hang = slow("hang", 10_000, [], effect="read", stubborn=True)
    agents = [AgentSpec(name, "Hang.", (hang.spec,)) for name in ("one", "two")]
    world = Virtual(respond, hang, specialists=agents)

    async def main() -> None:
        turn = await (await world.house().ask("Do it.", deadline_s=20)).wait()
        assert world.loop.time() <= 20 + 2 * STOP_MS / 1000
        assert turn.outcome == "partial"
        ended = [(f.scope, f.reason) for f in await world.facts(turn.session) if isinstance(f, ScopeEnded)]
        assert {reason for _, reason in ended} <= {"deadline", "no model could answer"} and len(ended) >= 2

    world.run(main)
