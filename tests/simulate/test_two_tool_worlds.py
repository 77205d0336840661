"""A tool that the rules keep from a principal cannot be told from one that does not exist: the same session, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import msgspec
from tests.simulate.test_two_worlds import AGENTS, ANA, EVE, WORDS, Seen, Stage, furnish, sender

from standpipe.core.items import Item, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.drivers.access.cedar import read
from standpipe.engine.house import House
from standpipe.engine.lookup import static
from standpipe.testing.clock import run

RULES = read(
    """
    @id("read") permit (principal, action, resource) when { [Tool::"search", Tool::"read"].contains(resource) };
    @id("eve") permit (principal == User::"eve", action, resource);
    @id("never") permit (principal, action, resource == Tool::"burn")
    when { context.arguments.x == 1 && context.tenant == "none" };
    """,
    "rules.cedar",
)
SCHEMA = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
HIDDEN = (
    ToolSpec("refund", "Give money back.", SCHEMA, effect="irreversible"),
    ToolSpec("burn", "Burn it.", {"type": "object"}, effect="write", resource="incident:{id}", compensate=True),
)
Script = Callable[[list[Item], list[ToolSpec]], Sequence[ToolCall]]


def pest(random: Random) -> Script:
    """A model that calls what it was not offered, with good and bad arguments, directly, in plans and through specialists."""
    others = sender(random)

    def moves(items: list[Item], tools: list[ToolSpec]) -> Sequence[ToolCall]:
        if len(tools) == 1 or random.random() < 0.5:
            return others(items, tools)
        calls = [ToolCall(random.choice(["refund", "burn"]), random.choice(ARGUMENTS)) for _ in range(random.randint(1, 3))]
        steps = [{"id": str(n), "tool": call.name, "arguments": call.arguments} for n, call in enumerate(calls)]
        return random.choice((calls, [ToolCall("plan", {"steps": steps})], [ToolCall("revise", {"reason": "x", "add": steps})]))

    return moves


ARGUMENTS: list[dict[str, object]] = [{}, {"amount": 5}, {"amount": "five"}, {"id": "7"}, {"id": "7", "x": 1}, {"__entity": 1}]


def lived(root: Path, seed: int, who: str, hidden: tuple[ToolSpec, ...]) -> Seen:
    """The session of a seed, where every agent also has the tools `hidden`."""
    furnish(root, seed, restricted=True)
    random = Random(seed)
    questions = [f"What does the {random.choice(WORDS)} read when the {random.choice(WORDS)} is open?" for _ in range(3)]
    stage = Stage(pest(Random(seed + 1)), who)
    agents = {name: msgspec.structs.replace(agent, tools=(*agent.tools, *hidden)) for name, agent in AGENTS.items()}
    fixed = static(stage.setup.fixed.policy, agents, RULES)
    stage.setup = msgspec.structs.replace(stage.setup, fixed=fixed)
    stage.house = House(stage.setup, stage._sync, stage._close)
    asyncio.run(stage.furnish(root))
    try:
        return run(stage.live(questions), stage.loop)
    finally:
        stage.loop.close()


def test_forbidden_and_missing_tools_cannot_be_told_apart(tmp_path: Path) -> None:
    called = False
    for seed in range(5):
        there, missing = lived(tmp_path, seed, ANA, HIDDEN), lived(tmp_path, seed, ANA, ())

        assert there.answers == missing.answers
        assert there.counts == missing.counts
        assert there.events == missing.events
        assert there.log == missing.log
        called = called or b'"not_found"' in b"".join(there.log)
    assert called


def test_who_may_call_them_can_tell(tmp_path: Path) -> None:
    there, missing = lived(tmp_path, 1, EVE, HIDDEN), lived(tmp_path, 1, EVE, ())

    assert there.log != missing.log
