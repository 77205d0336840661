"""What simulated lives found, each as the life or the story that showed it."""

from __future__ import annotations

import asyncio

import pytest
from tests.simulate.sessions import Stage

from standpipe.core.items import Item, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.errors import StoreError
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


@pytest.mark.parametrize(
    ("seed", "mode"),
    [
        (93, "safety"),  # a process that is told to stop while somebody follows
        (1032, "safety"),  # a tool that does not stop, of a turn that another process has ended meanwhile
    ],
)
def test_lives_that_went_wrong(seed: int, mode: Mode) -> None:
    assert faults(simulate(seed, (), mode)) == []
