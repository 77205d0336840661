"""Sessions that bring down whoever drives them: parked after the third time, told so, and driven again only on demand."""

from __future__ import annotations

import asyncio

import pytest
from tests.simulate.virtual_house import Virtual

from standpipe.core.events import SessionParked, SessionUnparked, TurnEnded
from standpipe.core.items import Item, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.core.verify import violations
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.tools.python import tool
from standpipe.engine.house import House, Turn
from standpipe.engine.parking import CRASHES_MAX, IDLE_FACTOR
from standpipe.errors import Refused
from standpipe.ports import Append, Appended, Fenced, Owner, Short, Stale


async def says_yes(items: list[Item], _: list[ToolSpec]) -> str:
    """A model that takes its time."""
    await asyncio.sleep(10)
    return "Yes."


async def crashed(world: Virtual, session: str, times: int) -> None:
    """So many processes took the session and died before they had done anything with it."""
    for number in range(100, 100 + times):
        assert await world.log.claim(session, Owner("here", number, ""), world.loop.now_ms(), world.loop.now_ms() + 30_000)
        world.gone.add(number)


async def left_behind(world: Virtual, count: int = 1) -> list[str]:
    """Sessions whose turn has begun, and which nobody drives any more."""
    house = world.house()
    turns = await asyncio.gather(*(house.ask("Is it?") for _ in range(count)))
    await asyncio.sleep(5)
    await house.close()
    return [turn.session for turn in turns]


async def resumed(house: House, session: str) -> Turn:
    """Go on with a session that has an unfinished turn."""
    turn = await house.resume(session)
    assert turn is not None
    return await turn.wait()


@pytest.mark.parametrize("times", range(1, CRASHES_MAX + 1))
def test_a_session_is_parked_when_three_processes_died_at_one_place_of_it(times: int) -> None:
    world = Virtual(says_yes)

    async def main() -> None:
        [session] = await left_behind(world)
        await crashed(world, session, times)
        house = world.house(2)
        turn = await resumed(house, session)
        if times < CRASHES_MAX:
            assert turn.outcome == "completed"
            return
        assert turn.outcome == "parked"
        assert turn.reason == "3 processes that drove it died at the same place of its log"
        row = await world.log.row(session)
        assert row is not None and (row.state, row.trouble) == ("parked", turn.reason)
        assert await house.unfinished() == [] and not house.driving
        assert (await (await house.turn(session, "t1")).wait()).outcome == "parked"
        for wish in (house.ask("And?", session=session), house.cancel(session, "", "user:local"), turn.cancel()):
            with pytest.raises(Refused, match=f"standpipe resume {session}"):
                await wish
        assert (await (await house.ask("Is it?")).wait()).outcome == "completed"

        assert (await resumed(house, session)).outcome == "completed"
        row = await world.log.row(session)
        assert row is not None and (row.state, row.trouble) == ("idle", "")
        facts = await world.facts(session)
        assert [type(f).__name__ for f in facts if isinstance(f, SessionParked | SessionUnparked | TurnEnded)] == [
            *("SessionParked", "SessionUnparked", "TurnEnded")
        ]
        assert violations(await world.log.read(session)) == []

    world.run(main)


@pytest.mark.parametrize(("times", "state"), [(CRASHES_MAX, "idle"), (CRASHES_MAX * IDLE_FACTOR, "parked")])
def test_a_session_in_which_nothing_is_to_be_done_is_not_blamed_so_soon(times: int, state: str) -> None:
    world = Virtual(says_yes)

    async def main() -> None:
        house = world.house()
        session = (await (await house.ask("Is it?")).wait()).session
        await house.close()
        await crashed(world, session, times)
        assert await world.house(2).resume(session) is None
        row = await world.log.row(session)
        assert row is not None and row.state == state

    world.run(main)


def test_a_process_that_got_on_before_it_died_is_not_blamed() -> None:
    world = Virtual(says_yes)

    async def main() -> None:
        [session] = await left_behind(world)
        await crashed(world, session, 2)
        house = world.house(2)
        again = await house.resume(session)
        assert again is not None
        await asyncio.sleep(5)
        await house.close()
        await crashed(world, session, 2)
        assert (await resumed(world.house(3), session)).outcome == "completed"

    world.run(main)


class Slow(MemoryLog):
    """A log that takes its time; `blamed` are the most sessions that a crash could have been blamed on at once."""

    blamed = 0

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """As the log does, after a while."""
        await asyncio.sleep(0.3)
        leases = [(self.lease(row.session), (await self.heads(row.session))[0]) for row in await self.rows()]
        held = [lease for lease, seq in leases if lease.owner is not None and lease.seq == seq and lease.crashes > 1]
        Slow.blamed = max(Slow.blamed, len(held))
        return await super().append(append)


def test_of_many_suspects_one_at_a_time_is_driven_until_it_has_got_on() -> None:
    world = Virtual(says_yes, log=Slow)

    async def main() -> None:
        sessions = await left_behind(world, 5)
        for session in sessions:
            await crashed(world, session, CRASHES_MAX - 1)
        house = world.house(2)
        began = world.loop.time()
        turns = await asyncio.gather(*(resumed(house, session) for session in sessions))
        assert [turn.outcome for turn in turns] == ["completed"] * 5
        assert Slow.blamed == 1
        assert world.loop.time() - began < 20  # side by side once they have got on

    world.run(main)


def test_a_drive_that_breaks_off_with_a_bug_three_times_at_one_place_is_not_tried_for_ever() -> None:
    @tool(effect="irreversible")
    async def launch() -> str:
        """Launch."""
        return "launched"

    async def respond(items: list[Item], _: list[ToolSpec]) -> str | list[ToolCall]:
        return "Yes." if items[0].body == items[-1].body and "small" in str(items[0].body) else [ToolCall("launch")]

    async def bug(_ask: str, _tool: str, _item: Item) -> bool:
        raise LookupError("a bug")

    world = Virtual(respond, launch)

    async def main() -> None:
        house = world.house(1, bug)
        session = (await house.ask("Do it.")).session
        for _ in range(CRASHES_MAX - 1):
            with pytest.raises(LookupError):
                await resumed(house, session)
        turn = await resumed(house, session)
        assert turn.outcome == "parked"
        assert turn.reason == "driving it broke off with LookupError 3 times at the same place of its log"
        assert (await (await house.ask("Something small.")).wait()).outcome == "completed"

        async def no(_ask: str, _tool: str, _item: Item) -> bool:
            return False

        assert (await resumed(world.house(2, no), session)).outcome != "parked"

    world.run(main)
