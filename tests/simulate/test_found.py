"""What simulated lives found, each as the life or the story that showed it."""

from __future__ import annotations

import asyncio

import pytest
from tests.simulate.sessions import Stage
from tests.simulate.virtual_house import Virtual

from standpipe.core.events import TurnEnded
from standpipe.core.items import Item, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.drivers.log.memory import MemoryLog
from standpipe.engine.schedule import AGAIN_S
from standpipe.errors import StoreError
from standpipe.ports import Append, Appended, Fenced, Short, Snapshot, Stale
from standpipe.testing.clock import run
from standpipe.testing.judge import faults
from standpipe.testing.run import Mode
from standpipe.testing.simulate import simulate


async def answer(_items: list[Item], _tools: list[ToolSpec]) -> list[ToolCall]:
    return [ToolCall("answer", {"gaps": [{"text": "Nothing is known."}]})]


def test_a_house_that_is_closed_as_its_drive_begins_lets_go_of_who_follows() -> None:
    """The drive was cancelled before its first step and counted as running for ever; who followed span, and was never told."""
    stage = Stage(answer)

    async def main() -> None:
        house = await stage.open()
        turn = await house.ask("What is known?")
        following = asyncio.ensure_future(turn.wait())
        await house.close()
        assert list(house.driving) == []
        with pytest.raises(StoreError, match="open it again"):
            await following

    run(main(), stage.loop)
    stage.loop.close()


class Failing(MemoryLog):
    """A log that fails while it is `broken`."""

    broken = False

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        if self.broken:
            raise StoreError("The store is gone.")
        return await super().append(append)

    async def release(self, session: str, fence: int, snapshot: Snapshot | None = None) -> None:
        if self.broken:
            raise StoreError("The store is gone.")
        await super().release(session, fence, snapshot)


def test_a_turn_ends_though_its_store_failed_and_nobody_asks_again() -> None:
    """Nobody drove it any more, and nobody else could: the lease was not given back, and its owner lived."""
    virtual = Virtual(answer, log=Failing)
    log = virtual.log
    assert isinstance(log, Failing)

    async def main() -> None:
        house = virtual.house()
        turn = await house.ask("What is known?")
        log.broken = True
        with pytest.raises(StoreError):
            await turn.wait()
        log.broken = False
        await asyncio.sleep(AGAIN_S + 0.1)
        assert any(isinstance(fact, TurnEnded) for fact in await virtual.facts(turn.session))

    virtual.run(main)


@pytest.mark.parametrize(
    ("seed", "mode"),
    [
        (93, "safety"),  # a process that is told to stop while somebody follows
        (31, "liveness"),  # one clock is set forward and back while a turn is cancelled by another
        (281, "liveness"),  # a session is parked by one process between another's look and its lease
        (720, "liveness"),  # a store that fails at an append and at the lease that is given back, and a clock set back
        (1444, "safety"),  # a specialist is told to stop, and what it says then does not fit its schema
        (2402, "safety"),  # the disk can neither be written nor read, so that not even a rollback goes well
        (2498, "safety"),  # a clock is set back behind a soft deadline that has passed
        (1032, "safety"),  # a tool that does not stop, of a turn that another process has ended meanwhile
    ],
)
def test_lives_that_went_wrong(seed: int, mode: Mode) -> None:
    assert faults(simulate(seed, (), mode)) == []
