"""Workload W1 on a house: a stub model and a stub tool in this process, and a policy under which nothing is off.

A turn has 10 steps; a step is one model call returning ~1 KB and one tool call returning ~2 KB, then the next model call.
Every call is permitted, paid for, routed and judged as any other, and the store is a file with `synchronous=FULL`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec

import standpipe as sp
from bench.payload import MODEL_BYTES, STEPS, TOOL_BYTES, text
from standpipe import ToolCall
from standpipe.core.items import Text

Said = str | Sequence[ToolCall | Text]
Respond = Callable[[list[sp.Item], list[Any]], Awaitable[Said]]

LONGEST = 2.5
"""A measurement is broken off after so many times the time it was given."""
SETTLE_S = 10.0
"""The longest wait for the end of what follows the answers."""

POLICY: dict[str, Any] = {
    "models": {
        "first": {"provider": "stub", "input_microusd_per_mtok": 250, "output_microusd_per_mtok": 1_000, "timeout_s": 600},
        "spare": {"provider": "stub", "input_microusd_per_mtok": 500, "output_microusd_per_mtok": 2_000, "timeout_s": 600},
    },
    "routes": {"default": {"models": ["first", "spare"]}},
    "budgets": {
        "default": {
            "turn": {"usd": 0.5, "model_calls": 40, "tool_calls": 40, "steps": 60, "deadline_s": 600},
            "session": {"usd": 100_000},
            "day": {"usd": 10_000_000},
        }
    },
}
"""Limits that W1 fits into, on every level that has some, and a second model that could take over."""


class Progress(msgspec.Struct):
    """How far a turn is: model calls that began, and when the last one did (seconds of the monotonic clock)."""

    calls: int = 0
    at: float = 0.0


def asked(conversation: list[sp.Item]) -> str:
    """The question of the turn that this conversation belongs to."""
    body = next(item.body for item in reversed(conversation) if item.origin == "user")
    assert isinstance(body, Text)
    return body.text


class Stub:
    """The model of W1, and the watch: a step lasts from the beginning of one model call to the beginning of the next."""

    def __init__(self) -> None:
        """Nothing was asked yet; `first_at` will be when the first call of all begins."""
        self.steps_ms: list[float] = []
        self.first_at = 0.0
        self._turns: dict[str, Progress] = {}

    async def __call__(self, conversation: list[sp.Item], tools: list[Any]) -> Said:
        """The next move of the turn whose question this conversation ends with."""
        now = time.perf_counter()
        self.first_at = self.first_at or now
        question = asked(conversation)
        turn = self._turns.setdefault(question, Progress())
        if turn.calls:
            self.steps_ms.append((now - turn.at) * 1000)
        turn.calls, turn.at = turn.calls + 1, now
        if turn.calls > STEPS:
            del self._turns[question]
            return "All records were read."
        key = f"{question.partition(' ')[0]}.{turn.calls}"
        return [Text(text(key, MODEL_BYTES)), ToolCall("record", {"id": key, "shelf": turn.calls})]


@sp.tool(effect="read", resource="shelf:{shelf}")
async def record(id: str, shelf: int) -> dict[str, str]:
    """One record, by its id and where it stands; whoever may see the shelf may read it."""
    return {"id": id, "text": text(id, TOOL_BYTES)}


AGENT = sp.Agent("reader", instructions="Read the records one after the other.", tools=[record])


class Tally(msgspec.Struct):
    """What came of the turns that were asked: how many ended completed, and how many otherwise."""

    turns: int = 0
    errors: int = 0

    def count(self, turn: sp.Turn) -> None:
        """One more turn that is over."""
        self.turns += 1
        self.errors += turn.outcome != "completed"


def opened(path: Path, respond: Respond, agent: sp.Agent = AGENT) -> AbstractAsyncContextManager[sp.House]:
    """A house over the store at `path`, as a user opens one."""
    models = {"stub": sp.testing.ScriptedModel(respond)}
    return sp.open(POLICY, agents=[agent], models=models, store=f"sqlite:///{path}")


async def settled(tasks: int) -> None:
    """Wait until no more than `tasks` tasks run: what follows a turn's answer (memory, the lease) belongs to its cost."""
    until = time.perf_counter() + SETTLE_S
    while len(asyncio.all_tasks()) > tasks and time.perf_counter() < until:
        await asyncio.sleep(0.002)


async def turns(house: sp.House, sessions: int, seconds: float, prefix: str) -> Tally:
    """Ask one turn after the other, `sessions` at a time, each in a session of its own, until `seconds` have passed.

    All begin at the same moment, and each asks at least once unless that takes longer than LONGEST times `seconds`: then
    it is broken off, and the steps that were made count.
    """
    tally, until, before = Tally(), time.perf_counter() + seconds, len(asyncio.all_tasks())

    async def asking(number: int) -> None:
        for again in range(1_000_000):
            name = f"{prefix}{number}-{again}"
            tally.count(await (await house.ask(f"{name} reads its records.", principal=f"user:{number}")).wait())
            if time.perf_counter() >= until:
                return

    try:
        async with asyncio.timeout(LONGEST * seconds or None), asyncio.TaskGroup() as group:
            for number in range(sessions):
                group.create_task(asking(number))
        await settled(before)
    except TimeoutError:
        pass
    return tally
