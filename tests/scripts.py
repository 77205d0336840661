"""Models that say one thing after the other, for tests of the Python API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import standpipe as sp
from standpipe.core.items import Failure
from standpipe.core.tools import ToolSpec
from standpipe.drivers.tools.python import tool

Said = str | list[sp.ToolCall]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


class Script:
    """A model that says one thing after the other, and keeps what it was shown."""

    def __init__(self, *said: Said) -> None:
        self.said = list(said)
        self.shown: list[list[sp.Item]] = []
        self.tools: list[list[ToolSpec]] = []

    async def __call__(self, conversation: list[sp.Item], tools: list[ToolSpec]) -> Said:
        self.shown.append(conversation)
        self.tools.append(tools)
        return self.said.pop(0) if self.said else "There is nothing more to say."

    @property
    def models(self) -> dict[str, sp.testing.ScriptedModel]:
        return {"scripted": sp.testing.ScriptedModel(self)}


def called(name: str, **arguments: Any) -> sp.ToolCall:
    return sp.ToolCall(name, arguments)


def answered(*texts: str, **more: Any) -> list[sp.ToolCall]:
    return [called("answer", sentences=[{"text": text} for text in texts], **more)]


@tool(effect="read", resource="incident:{id}")
async def incident(id: str) -> dict[str, str]:
    """One incident report."""
    return {"id": id, "cause": "the pool was full"}


def told(script: Script) -> list[Failure]:
    """What the model was told of calls that gave nothing."""
    return [item.body for item in script.shown[-1] if isinstance(item.body, Failure)]
