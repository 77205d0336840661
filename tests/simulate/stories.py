"""Stories that `why` is asked about: each a script for the model, and what happens around it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.simulate.sessions import BREAKS, HANGS, Moves, Stage

from standpipe.core.details import Fault
from standpipe.core.items import Failure, Item, Passage, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.engine.house import House, Turn

QUESTION = "Why did the checkout fail, and how many connections has the pool?"
JULY, POOL = "The checkout failed because the pool had 20 connections.", "The pool allows 50 connections since June."
RESTART = "Restart it before a deployment."


def cited(text: str, source: str, part: int = 0) -> dict[str, Any]:
    """A sentence that is its own quote."""
    return {"text": text, "citations": [{"source": source, "quote": text}], "part": part}


class Revising:
    """Plans to read the incident; what that says makes it read the page of the pool; answers from both.

    It adds a sentence that no document supports, and insists on it when it is `stubborn`.
    """

    def __init__(self, *, stubborn: bool = False) -> None:
        self.calls = 0
        self.stubborn = stubborn

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> Moves:
        """The next move."""
        self.calls += 1
        read = [i.body.source for i in items if isinstance(i.body, Passage) and not i.body.score]
        await asyncio.sleep(0.2)
        if self.calls == 1:
            return Fault("rate", "Too many requests.")
        if not read:
            steps = [
                {"id": "july", "tool": "read", "arguments": {"source": "incidents/july.md"}, "why": "the newest incident"},
                {"id": "gone", "tool": "read", "arguments": {"source": "incidents/may.md"}, "optional": True},
            ]
            return [ToolCall("plan", {"steps": steps, "parts": ["cause", "connections"], "reason": "incidents tell causes"})]
        if "services/pool.md" not in read:
            add = [{"id": "pool", "tool": "read", "arguments": {"source": "services/pool.md"}, "why": "what the pool allows"}]
            return [ToolCall("revise", {"reason": "it blames the pool", "add": add, "because": ["incidents/july.md"]})]
        return [self._answer(items, read)]

    def _answer(self, items: list[Item], read: list[str]) -> ToolCall:
        sides = [("20", "incidents/july.md", JULY), ("50", "services/pool.md", POOL)]
        said = [(n, *side) for n, side in enumerate(sides) if side[1] in read]
        sentences = [cited(quote, source, n) for n, _, source, quote in said]
        if self.stubborn or not any(isinstance(i.body, Failure) and i.body.code == "check" for i in items):
            sentences.append({"text": "The lake is deep.", "citations": [{"source": "services/pool.md", "quote": "The lake"}]})
        values = [{"value": value, "source": source, "quote": quote} for _, value, source, quote in said]
        conflicts = [{"about": "connections of the pool", "values": values}] if len(values) > 1 else []
        return ToolCall("answer", {"sentences": sentences, "conflicts": conflicts, "gaps": [{"text": "Nobody says when."}]})


async def asked(stage: Stage, house: House) -> Turn:
    """The question over all documents."""
    return await (await house.ask(QUESTION, docs=["docs"])).wait()


async def revoked(stage: Stage, house: House) -> Turn:
    """The question, and the right to read the incident taken away while the model thinks about it."""
    turn = await house.ask(QUESTION, docs=["docs"])
    await asyncio.sleep(0.7)
    await stage.set_right(revoked=["incidents/july.md"])
    return await turn.wait()


class Writing:
    """Writes twice with one tool, and tells what came of it."""

    def __init__(self, tool: str = "write") -> None:
        self.tool = tool

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> Moves:
        """The next move."""
        if any(item.kind in ("failure", "data") for item in items):
            return [ToolCall("answer", {"sentences": [{"text": "It may be written."}]})]
        return [ToolCall(self.tool, {"n": HANGS}), ToolCall(self.tool, {"n": BREAKS})]


async def crashed(stage: Stage, house: House) -> Turn:
    """One write broke off, the other was under way when the process died; the session is resumed."""
    turn = await house.ask("Write it down.")
    await asyncio.sleep(1.5)
    resumed = await (await stage.open()).resume(turn.session)
    assert resumed is not None
    return await resumed.wait()


async def approved(stage: Stage, house: House) -> Turn:
    """Whatever asks a person is allowed."""

    async def yes(_ask: str, _tool: str, _item: Item) -> bool:
        return True

    return await (await (await stage.open(yes)).ask("Send it.")).wait()


class Recalling(Revising):
    """As before; asked again, it answers from its earlier answer alone, and asked for more, from the first look."""

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> Moves:
        """The next move."""
        asked = [i.body.text for i in items if isinstance(i.body, Text) and i.origin == "user"][-1]
        if asked == QUESTION:
            return await super().__call__(items, tools)
        if asked.startswith("Again"):
            return [ToolCall("answer", {"sentences": [cited(JULY, "incidents/july.md")]})]
        return [ToolCall("answer", {"sentences": [cited(POOL, "services/pool.md"), cited(RESTART, "services/pool.md")]})]


async def asked_again(stage: Stage, house: House) -> Turn:
    """The question, then the same again, then what else there is."""
    first = await asked(stage, house)
    await (await house.ask("Again, shorter: why? " + "Really, why? " * 50, session=first.session)).wait()
    return await (await house.ask("What must be done with the pool?", session=first.session)).wait()
