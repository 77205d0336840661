"""One seed, one life of a house on virtual time; or many of them, what they met, and what they never came by."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from standpipe.testing.quiet import QuietLoop
from standpipe.testing.run import Mode, Run
from standpipe.testing.scenario import Scenario, draw
from standpipe.testing.world import World


def simulate(seed: int, crashes: Sequence[int] = (), mode: Mode = "plain", without: Collection[str] = ()) -> Run:
    """Live through the scenario of a seed, with a crash at each of these boundaries (counted from 1 over the whole run).

    `without` are faults that do not happen (injectors.CLASSES); in a plain life none strikes but those of the scenario.
    """
    world = World(_spared(draw(seed), without), crashes, mode, without)
    loop = QuietLoop(world.look)
    loop.set_task_factory(world.task)
    loop.set_exception_handler(world.trouble)
    world.clock = loop
    try:
        return loop.run_until_complete(world.live())
    finally:
        loop.close()
        world.machine.close()


def _spared(scenario: Scenario, without: Collection[str]) -> Scenario:
    """The scenario without what some faults would be in it."""
    binding = {"delay": {"lag", "stall"}, "two workers": {"two", "stall"}, "cancel": {"cancel"}, "revocation": {"revoke"}}
    gone = {name for fault in without for name in binding.get(fault, ())}
    moods = tuple(mood for mood in scenario.moods if mood not in gone)
    acts = tuple(act for act in scenario.acts if act.kind not in gone)
    return msgspec.structs.replace(scenario, moods=moods, acts=acts)
