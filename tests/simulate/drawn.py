"""Sessions drawn from a seed: a model that says anything, tools that fail and hang, crashes, cancellations, revocations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import msgspec
from tests.simulate.sessions import DOCUMENTS, POLICY, TOOLS, USER, Moves, Stage

from standpipe.core.amounts import Amounts, Limits
from standpipe.core.apply import fold
from standpipe.core.details import Fault
from standpipe.core.items import Item, Passage, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.engine.house import House, Turn
from standpipe.errors import NotFound, Refused
from standpipe.ports import SessionRow
from standpipe.testing.clock import run

WHOLE_S = 100_000.0
"""A drawn session that is not over after so much virtual time never ends."""


class Babbler:
    """A model that plans, revises, answers, asks, breaks off or talks nonsense, as `random` has it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._steps = 0

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> Moves:
        """What it says to these items."""
        random = self._random
        await asyncio.sleep(random.choice((0.0, 0.1, 0.1, 0.5, 2.0, 40.0 if random.random() < 0.2 else 1.0)))
        chance = random.random()
        if chance < 0.08:
            return Fault(random.choice(("rate", "unavailable", "error")), "It did not go well.")
        if chance < 0.1:
            raise ValueError("a bug of the driver")
        if chance < 0.12:
            return random.choice(("", "The pool allows 50 connections since June."))
        if len(tools) == 1:
            return [self._answer(items)]
        moves: list[ToolCall | Text] = [self._move(items) for _ in range(random.choice((1, 1, 1, 2, 3)))]
        return [Text("Let me see."), *moves] if chance > 0.8 else moves

    def _move(self, items: list[Item]) -> ToolCall:
        random = self._random
        match random.choice(("plan", "plan", "revise", "answer", "answer", "direct", "direct", "ask_user", "nonsense")):
            case "plan":
                return ToolCall(
                    "plan", {"steps": self._planned(), "parts": ["a", "b"][: random.randrange(3)], "reason": "to see"}
                )
            case "revise":
                return ToolCall("revise", {"reason": "it recurs", "add": self._planned(), "drop": [f"p{self._steps}"]})
            case "answer":
                return self._answer(items)
            case "direct":
                return ToolCall(*self._tool())
            case "ask_user":
                return ToolCall("ask_user", {"question": "Which one?"})
            case _:
                return ToolCall(random.choice(("plan", "answer", "delegate")), {"steps": "many"})

    def _planned(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        for _ in range(self._random.randrange(5)):
            self._steps += 1
            tool, arguments = self._tool()
            after = [f"p{self._random.randint(max(1, self._steps - 4), self._steps)}"] if self._random.random() < 0.4 else []
            optional = self._random.random() < 0.2
            id = f"p{self._steps}"
            steps.append(
                {"id": id, "tool": tool, "arguments": arguments, "after": after, "optional": optional, "why": "to know"}
            )
        return steps

    def _tool(self) -> tuple[str, dict[str, Any]]:
        name = self._random.choice([*(tool.name for tool in TOOLS), "read", "read", "search", "nothing"])
        if name == "read":
            return name, {"source": self._random.choice([*DOCUMENTS, "secret.md"])}
        if name == "search":
            return name, {"query": self._random.choice(("pool connections", "checkout failed", "mail"))}
        return name, {"n": self._random.choice((1, 2, 3, "x" if self._random.random() < 0.2 else 4))}

    def _answer(self, items: list[Item]) -> ToolCall:
        seen = [i.body for i in items if isinstance(i.body, Passage)]
        lines = [(p.source, line) for p in seen for line in p.text.splitlines() if line and not line.startswith("#")]
        sentences = [self._sentence(lines) for _ in range(self._random.randrange(4))]
        gaps = (
            [{"text": "Nothing is said of mail.", "part": self._random.randint(-1, 1)}] if self._random.random() < 0.2 else []
        )
        conflicts = []
        numbers = [(s, q, n) for s, q in lines for n in ("20", "50") if n in q]
        if len({n for *_, n in numbers}) > 1 and self._random.random() < 0.5:
            values = [{"value": n, "source": s, "quote": q} for s, q, n in numbers]
            conflicts = [{"about": "connections of the pool", "values": values}]
        return ToolCall("answer", {"sentences": sentences, "gaps": gaps, "conflicts": conflicts})

    def _sentence(self, lines: Sequence[tuple[str, str]]) -> dict[str, Any]:
        part = self._random.randrange(2)
        if not lines or self._random.random() < 0.1:
            return {"text": "It is said so.", "part": part}
        source, line = self._random.choice(lines)
        quote = line if self._random.random() < 0.8 else line.replace("pool", "lake")
        return {"text": line, "citations": [{"source": source, "quote": quote}], "part": part}


async def _nothing_more(_stage: Stage) -> None:
    """The session was all."""


def drawn(seed: int, then: Callable[[Stage], Awaitable[None]] = _nothing_more) -> Stage:
    """The stage that the seed's session leaves: up to three turns, all over; and then whatever else is to happen on it."""
    random = Random(seed)
    stage = Stage(Babbler(Random(seed + 1)), random, _policy(random))

    async def main() -> None:
        async with asyncio.timeout(WHOLE_S):
            await _session(stage, random)
            await then(stage)

    try:
        run(main(), stage.loop)
    finally:
        stage.loop.close()
    return stage


def _policy(random: Random) -> Any:
    amounts = Amounts(
        microusd=random.choice((250_000, 250_000, 60_000, 40_000)),
        tokens=random.choice((2**53, 2**53, 150_000)),
        model_calls=random.choice((24, 24, 6, 3)),
        tool_calls=random.choice((40, 40, 5)),
        steps=random.choice((16, 16, 16, 6, 3, 1)),
    )
    limits = Limits(amounts, random.choice((60_000, 60_000, 20_000, 5_000)))
    return msgspec.structs.replace(POLICY, turn={"default": limits}, parked_ms=random.choice((5_000, 600_000)))


async def _session(stage: Stage, random: Random) -> None:
    house = await stage.open(_approving(random))
    docs = ("docs",) if random.random() < 0.7 else ()
    turn = await house.ask("Why did the checkout fail, and how many connections has the pool?", docs=docs)
    for n in range(random.randrange(3)):
        if random.random() < 0.7:
            await _over(stage, random, turn)
        try:
            assert stage.house is not None
            turn = await stage.house.ask(f"And the mail, number {n}?", session=turn.session)
        except Refused:
            break
    await _over(stage, random, turn)
    await stage.close()


def _approving(random: Random) -> Any:
    async def approve(_ask: str, _tool: str, _item: Item) -> bool:
        await asyncio.sleep(random.choice((0.1, 3.0)))
        return random.random() < 0.6

    return approve if random.random() < 0.5 else None


async def _over(stage: Stage, random: Random, turn: Turn) -> None:
    """Disturb the session now and then until nothing of it is left to do."""
    house = stage.house
    assert house is not None
    for _ in range(random.choice((0, 0, 1, 2, 4))):
        await asyncio.sleep(random.choice((0.0, 0.05, 0.3, 1.1, 4.0)))
        house = await _disturb(stage, random, house, turn)
    while True:
        unfinished = await house.resume(turn.session)
        if unfinished is None:
            return
        await unfinished.wait()
        row = await stage.log.row(turn.session)
        if row is not None and row.state == "parked":
            await _unpark(stage, random, house, row)
        await asyncio.sleep(0.1)


async def _disturb(stage: Stage, random: Random, house: House, turn: Turn) -> House:
    match random.choice(("crash", "crash", "cancel", "revoke", "revoke", "grant")):
        case "crash":
            await house.close()
            await asyncio.sleep(random.choice((0.0, 0.0, 3.0, 70.0)))
            house = await stage.open(_approving(random))
            await house.resume(turn.session)
        case "cancel" if random.random() < 0.4:
            try:
                await house.cancel(turn.session, turn.id, USER)
            except NotFound:
                return house
        case "revoke":
            await stage.set_right(revoked=[random.choice(list(DOCUMENTS))])
        case _:
            await stage.set_right(granted=list(DOCUMENTS))
    return house


async def _unpark(stage: Stage, random: Random, house: House, row: SessionRow) -> None:
    """Answer what a parked turn waits for, or let it expire."""
    chance = random.random()
    turn = fold(await stage.log.read(row.session)).turn
    asks = {ask.kind: ask.id for ask in turn.asks.values() if not ask.outcome} if turn is not None else {}
    if chance < 0.4 and "approval" in asks:
        with contextlib.suppress(NotFound):  # too late, as it may be
            await house.approve(row.session, asks["approval"], USER, allow=chance < 0.3)
    elif chance < 0.7 and "question" in asks:
        await house.ask("The second one.", session=row.session)
    else:
        await asyncio.sleep(max(0, (row.wakes_at or 0) - stage.loop.now_ms()) / 1000)
