"""Stories that `why` is asked about: each a script for the model, and what happens around it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.simulate.sessions import BREAKS, HANGS, Moves, Stage

from standpipe.core.details import Fault
from standpipe.core.items import Failure, Item, Passage, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.engine.house import House, Turn

QUESTION = "Why did the checkout fail, and how many connections has the pool?"
JULY, POOL = "The checkout failed because the pool had 20 connections.", "The pool allows 50 connections since June."


def cited(text: str, source: str, part: int = 0) -> dict[str, Any]:
    """A sentence that is its own quote."""
    return {"text": text, "citations": [{"source": source, "quote": text}], "part": part}


class Revising:
    """Plans to read the incident; what that says makes it read the page of the pool; answers from both."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> Moves:
        """The next move."""
        self.calls += 1
        read = [i.body.source for i in items if isinstance(i.body, Passage) and not i.body.score]
        await asyncio.sleep(0.2)
        if self.calls == 1:
            return Fault("rate", "Too many requests.")
        if "incidents/july.md" not in read:
            steps = [
                {"id": "july", "tool": "read", "arguments": {"source": "incidents/july.md"}, "why": "the newest incident"},
                {"id": "gone", "tool": "read", "arguments": {"source": "incidents/may.md"}, "optional": True},
            ]
            return [ToolCall("plan", {"steps": steps, "parts": ["cause", "connections"], "reason": "incidents tell causes"})]
        if "services/pool.md" not in read:
            add = [{"id": "pool", "tool": "read", "arguments": {"source": "services/pool.md"}, "why": "what the pool allows"}]
            return [ToolCall("revise", {"reason": "it blames the pool", "add": add, "because": ["incidents/july.md"]})]
        values = [
            {"value": "20", "source": "incidents/july.md", "quote": JULY},
            {"value": "50", "source": "services/pool.md", "quote": POOL},
        ]
        sentences = [cited(JULY, "incidents/july.md"), cited(POOL, "services/pool.md", 1)]
        if not any(isinstance(i.body, Failure) and i.body.code == "check" for i in items):
            sentences.append({"text": "The lake is deep.", "citations": [{"source": "services/pool.md", "quote": "The lake"}]})
        conflicts = [{"about": "connections of the pool", "values": values}]
        return [ToolCall("answer", {"sentences": sentences, "conflicts": conflicts, "gaps": [{"text": "Nobody says when."}]})]


async def asked(stage: Stage, house: House) -> Turn:
    """The question over all documents."""
    return await (await house.ask(QUESTION, docs=["docs"])).wait()


class Writing:
    """Writes twice, tells what came of it."""

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> Moves:
        """The next move."""
        if any(item.kind == "failure" for item in items):
            return [ToolCall("answer", {"sentences": [{"text": "It may be written."}]})]
        return [ToolCall("write", {"n": HANGS}), ToolCall("write", {"n": BREAKS})]


async def crashed(stage: Stage, house: House) -> Turn:
    """One write broke off, the other was under way when the process died; the session is resumed."""
    turn = await house.ask("Write it down.")
    await asyncio.sleep(1.5)
    resumed = await (await stage.open()).resume(turn.session)
    assert resumed is not None
    return await resumed.wait()
