"""What `why` and `show` tell of turns that were told to stop."""

from __future__ import annotations

import asyncio

from tests.simulate.test_stopping import calls, slow
from tests.simulate.virtual_house import Virtual

from standpipe.core.explain import Node, why
from standpipe.entrypoints.story import stories


def told(nodes: list[Node]) -> str:
    """All that a tree says, a line each."""
    return "\n".join(line for node in nodes for line in (node.text, told(list(node.causes))) if line)


def test_it_is_told_who_was_to_stop_how_and_why() -> None:
    world = Virtual(calls("write"), slow("write", 3, []))

    async def main() -> None:
        house = world.house()
        first = await house.ask("Do it.")
        await asyncio.sleep(1)
        waits = await house.ask("And this?", session=first.session)
        await waits.cancel()
        await first.cancel(level="soft")
        last = await house.ask("Stop, this!", session=first.session, interrupt=True)
        for turn in (first, waits, last):
            await turn.wait()
        frames = await world.log.read(first.session)
        assert "turn t1 ended: cancelled (interrupted by t3)\nturn t1 was to stop: interrupted by t3" in told(why(frames, "t1"))
        assert told(why(frames, "t2")).startswith("turn t2 ended: cancelled (user)\nturn t2 was to stop: user")
        one, two, three = stories(frames)
        assert one.notes == ["to be cancelled, soft (user)", "to be cancelled, firm (interrupted by t3)"]
        assert [(s.outcome, s.reason) for s in (one, two, three)] == [
            ("cancelled", "interrupted by t3"),
            ("cancelled", "user"),
            ("completed", "answered"),
        ]

    world.run(main)


def test_an_answer_that_was_cut_short_leads_back_to_who_wanted_that() -> None:
    world = Virtual(calls("write"), slow("write", 3, []))

    async def main() -> None:
        turn = await world.house().ask("Do it.")
        await asyncio.sleep(1)
        await turn.cancel(level="soft")
        await turn.wait()
        said = told(why(await world.log.read(turn.session), "t1"))
        assert "only the answer was still asked for (cancelled)" in said
        assert "gap: It was told to stop before everything was done." in said

    world.run(main)
