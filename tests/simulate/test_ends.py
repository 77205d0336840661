"""A right that ends by itself in the middle of a turn: what was read is withdrawn, and no model is shown it afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.simulate.sessions import FOLDER, RULES, TENANT, USER, Moves, Stage, frames_of
from tests.simulate.stories import QUESTION, Revising

from standpipe.core.events import CallGranted, ItemsWithdrawn, RelationsChanged, RelationsLapsed
from standpipe.core.ids import HOUSE
from standpipe.core.items import Item, Passage
from standpipe.core.relations import Relation
from standpipe.core.tools import ToolSpec
from standpipe.core.verify import violations
from standpipe.engine.access import change
from standpipe.engine.house import Turn
from standpipe.engine.lapse import TIME
from standpipe.engine.replay import replay
from standpipe.ports import Append, Appended
from standpipe.testing.clock import run

JULY = "incidents/july.md"


class Watched(Revising):
    """Also says when it was shown the incident."""

    def __init__(self) -> None:
        super().__init__()
        self.shown_at: list[int] = []
        self.stage: Stage | None = None

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> Moves:
        """The next move."""
        if self.stage is not None and any(isinstance(i.body, Passage) and i.body.source == JULY for i in items):
            self.shown_at.append(self.stage.loop.now_ms())
        return await super().__call__(items, tools)


class Standing:
    """A log; once the `nth` call of the session is granted its process stands still for so long."""

    def __init__(self, stage: Stage, nth: int, seconds: float) -> None:
        self._stage, self._log, self._left, self._seconds = stage, stage.log, nth, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, append: Append) -> Any:
        answer = await self._log.append(append)
        if isinstance(answer, Appended) and any(isinstance(event.fact, CallGranted) for event in append.events):
            self._left -= 1
            if self._left == 0:
                self._stage.loop.stand_still(self._seconds)
        return answer


def lived(delay_s: float, nth: int = 0) -> bool:
    """Ask so long after the last full second; the right ends two seconds after that. Whether the turn met the end."""
    model = Watched()
    stage = model.stage = Stage(model)
    stage._ports = msgspec.structs.replace(stage._ports, log=Standing(stage, nth, 2.0))

    async def main() -> tuple[Turn, int]:
        house = await stage.open()
        end = (stage.loop.now_ms() // 1_000 + 2) * 1_000
        relation = Relation(f"document:{JULY}", "reader", USER, "", end).text
        await change(house.setup, RelationsChanged(TENANT, FOLDER, "command", granted=(relation,)), "test")
        await asyncio.sleep(delay_s)
        turn = await (await house.ask(QUESTION, docs=["docs"])).wait()
        await stage.close()
        return turn, end

    try:
        turn, end = run(main(), stage.loop)
    finally:
        stage.loop.close()
    assert all(at < end for at in model.shown_at)
    frames = frames_of(stage, turn.session)
    assert violations(frames) == []
    assert asyncio.run(replay(stage.log, turn.session, RULES)).divergences == ()
    met = any(isinstance(event.fact, ItemsWithdrawn) for frame in frames for event in frame.events)
    ended = [event.fact for frame in frames_of(stage, HOUSE) for event in frame.events if event.by == TIME]
    assert ended in ([RelationsLapsed(TENANT, end)], [] if not met else None)
    assert not met or turn.answer is None or "20 connections" not in turn.answer.text
    return met


def test_what_was_read_is_withdrawn_when_the_right_to_it_ends() -> None:
    met = [lived(tenths / 10) for tenths in range(21)]

    assert 3 < sum(met) < len(met), "ends that fall into the turn, and some after it"


@pytest.mark.parametrize("nth", range(1, 6))
def test_what_was_granted_before_the_end_is_not_handed_over_after_it(nth: int) -> None:
    lived(0.0, nth)
