"""A coordinator with specialists on the stage: a story that is told, and sessions that are drawn."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import msgspec
from tests.simulate.drawn import WHOLE_S, Babbler, _policy, _session
from tests.simulate.sessions import POLICY, TOOLS, Moves, Script, Stage
from tests.simulate.stories import JULY, POOL, cited

from standpipe.core.amounts import Amounts, Limits
from standpipe.core.details import Fault
from standpipe.core.items import Answer, Item, Passage, ToolCall
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import Policy
from standpipe.engine.lookup import static
from standpipe.testing.clock import run

SPECIALISTS = {"analyst": "Reads incidents.", "auditor": "Reads pages of services.", "typist": "Gives a number."}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
AGENTS = {
    "coordinator": AgentSpec("coordinator", "Answer.", TOOLS, specialists=SPECIALISTS),
    "analyst": AgentSpec("analyst", "Look.", TOOLS),
    "auditor": AgentSpec("auditor", "Look.", TOOLS),
    "typist": AgentSpec("typist", "Count.", TOOLS, answer=NUMBER),
}


ROOMY = msgspec.structs.replace(POLICY, turn={"default": Limits(Amounts(1_000_000, 2**53, 40, 40, 60), 60_000)})
"""Room for three specialists to plan, and to be tried again."""


class Team(Stage):
    """A stage whose agent has specialists."""

    def __init__(self, script: Script, random: Random | None = None, policy: Policy | None = None) -> None:
        super().__init__(script, random, policy)
        self._fixed = static(policy or POLICY, AGENTS)


def claimed(value: str, source: str, quote: str) -> dict[str, Any]:
    """How many connections the pool has."""
    return {"subject": "pool", "predicate": "connections", "value": value, "source": source, "quote": quote}


FACTS = {
    "analyst": ("20", "incidents/july.md", JULY),
    "auditor": ("50", "services/pool.md", POOL),
}


class Delegating:
    """The coordinator asks three specialists: one finds, one does at the second attempt, one never does."""

    def __init__(self) -> None:
        self.broken = 0

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> Moves:
        """The next move of whoever is asked."""
        await asyncio.sleep(0.2)
        if items[0].origin == "task":
            return self._specialist(items)
        if not any(isinstance(item.body, Answer) for item in items):
            moves = [("analyst", False), ("auditor", False), ("typist", True)]
            return [ToolCall("delegate", {"to": to, "task": f"{to}: how many?", "optional": may}) for to, may in moves]
        return [ToolCall("answer", {"sentences": [cited(JULY, "incidents/july.md")]})]

    def _specialist(self, items: list[Item]) -> Moves:
        name = getattr(items[0].body, "text", "").partition(":")[0]
        if name == "typist":
            return [ToolCall("answer", {"sentences": [], "value": "many"})]
        value, source, quote = FACTS[name]
        if not any(isinstance(item.body, Passage) and not item.body.score for item in items):
            return [
                ToolCall("plan", {"steps": [{"id": "p", "tool": "read", "arguments": {"source": source}, "why": "it may say"}]})
            ]
        self.broken += name == "auditor"
        if name == "auditor" and self.broken <= 4:
            return Fault("garbage", "No words.")
        return [ToolCall("answer", {"sentences": [cited(quote, source)], "claims": [claimed(value, source, quote)]})]


class DrawnTeam(Babbler):
    """A model that also delegates, and claims, as `random` has it."""

    def _move(self, items: list[Item]) -> ToolCall:
        return ToolCall("delegate", self._task()) if self._random.random() < 0.35 else super()._move(items)

    def _task(self) -> dict[str, Any]:
        to = self._random.choice([*SPECIALISTS, *SPECIALISTS, "nobody"])
        return {"to": to, "task": f"What of it, {to}?", "optional": self._random.random() < 0.3}

    def _tool(self) -> tuple[str, dict[str, Any]]:
        return ("delegate", self._task()) if self._random.random() < 0.1 else super()._tool()

    def _answer(self, items: list[Item]) -> ToolCall:
        move, random = super()._answer(items), self._random
        claims = [claimed(*random.choice(list(FACTS.values()))) for _ in range(random.randrange(3))]
        value = {"value": {"n": 1}} if random.random() < 0.5 else {}
        return ToolCall("answer", {**move.arguments, "claims": claims, **value})


def drawn_team(seed: int) -> Team:
    """The stage that the seed's session leaves, in which specialists were at work."""
    random = Random(seed)
    policy = _policy(random)
    if random.random() < 0.8:
        policy = msgspec.structs.replace(policy, turn=ROOMY.turn)
    stage = Team(DrawnTeam(Random(seed + 1)), random, policy)

    async def main() -> None:
        async with asyncio.timeout(WHOLE_S):
            await _session(stage, random)

    try:
        run(main(), stage.loop)
    finally:
        stage.loop.close()
    return stage
