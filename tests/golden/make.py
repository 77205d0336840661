"""Makes the golden logs of this version: `python -m tests.golden.make`. Those of older versions are never made again.

Together they hold every kind of fact. A log that was made stays as it is: where later rules decide otherwise, its name goes
into `test_golden.RETIRED`, and new ones are made under another prefix.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from tests.golden.kept import Golden, file, kept
from tests.simulate.sessions import FOLDER, TENANT, Stage
from tests.simulate.sessions import told as played
from tests.simulate.stories import QUESTION, Revising
from tests.simulate.test_forks import forking
from tests.simulate.test_poison import crashed, left_behind, resumed, says_yes
from tests.simulate.virtual_house import Virtual

from standpipe.core.events import RelationsChanged
from standpipe.engine.access import change
from standpipe.engine.erase import erase
from standpipe.engine.house import House, Turn
from standpipe.testing.quiet import QuietLoop
from standpipe.testing.scenario import draw
from standpipe.testing.world import World

PREFIX = "v1"


def forks(seed: int) -> Golden:
    """A drawn session that was forked at several places."""
    return asyncio.run(kept(f"forks of drawn session {seed}", forking(seed).log))


def life(seed: int, crashes: Sequence[int] = ()) -> Golden:
    """A simulated life, with specialists, and a crash at each of these boundaries."""
    world = World(draw(seed), crashes, "plain", ())
    loop = QuietLoop(world.look)
    loop.set_task_factory(world.task)
    loop.set_exception_handler(world.trouble)
    world.clock = loop
    try:
        loop.run_until_complete(world.live())
    finally:
        loop.close()
    return asyncio.run(kept(f"simulated life {seed}", world.machine.log))


def poison() -> Golden:
    """A session that was parked because three processes died at one place of it, and was driven again."""
    world = Virtual(says_yes)

    async def main() -> None:
        [name] = await left_behind(world)
        await crashed(world, name, 3)
        house = world.house(2)
        await resumed(house, name)
        await resumed(house, name)

    world.run(main)
    return asyncio.run(kept("a poison session", world.log))


def erased() -> Golden:
    """A session whose right to a document came to its end between two turns, and which was erased afterwards."""

    async def story(stage: Stage, house: House) -> Turn:
        ending = "document:incidents/june.md#reader@user:local until 2023-11-14T22:15Z"
        await stage.set_right(revoked=["incidents/june.md"])
        await change(house.setup, RelationsChanged(TENANT, FOLDER, "command", (ending,)), "test")
        await settled(house, await house.ask(QUESTION, docs=["docs"]))
        await asyncio.sleep(300)
        turn = await house.ask("And what did the checkout fail of in June?", session=(await stage.log.rows())[0].session)
        await settled(house, turn)
        (row,) = await stage.log.rows()
        await erase(house.setup, row, None, "user:local")
        return turn

    stage, _ = played(Revising(), story)
    return asyncio.run(kept("a right that ended, and a session that was erased", stage.log))


async def settled(house: House, turn: Turn) -> None:
    """Wait until a turn is over and remembered."""
    await turn.wait()
    while await house.resume(turn.session) is not None:
        await asyncio.sleep(1)


MADE: dict[str, Callable[[], Golden]] = {
    "forks": lambda: forks(57),
    "taken-back": lambda: life(18),
    "specialists": lambda: life(20),
    "cancelled": lambda: life(28, (30,)),
    "crashed": lambda: life(29, (30,)),
    "poison": poison,
    "erased": erased,
}
"""The golden logs by name."""


def main() -> None:
    """Make them all."""
    for name, make in MADE.items():
        path = file(f"{PREFIX}-{name}")
        data = msgspec.json.format(msgspec.json.encode(make()), indent=1)
        path.write_bytes(data + b"\n")
        print(f"{path}: {len(data)} bytes")


if __name__ == "__main__":
    main()
