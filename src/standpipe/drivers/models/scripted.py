"""A model that is a function of the conversation: stands in for any model in tests, and wraps the keyless one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from standpipe.core.details import Usage
from standpipe.core.items import Draft, Item, Text, ToolCall, encode_body
from standpipe.core.tools import ToolSpec
from standpipe.core.world import ModelSpec
from standpipe.ports import Failed, Prompt, Reply

Respond = Callable[[list[Item], list[ToolSpec]], Awaitable[str | Sequence[ToolCall | Text]]]
"""What a script is: given the conversation and the tools it may call, plain text (an answer) or moves."""


class ScriptedModel:
    """Calls `respond` for every model call. Usage is counted at four bytes a token, as a provider would report it."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply | Failed:
        """One attempt; what `respond` raises is the caller's to see as a bug of the driver."""
        said = await self._respond(list(prompt.items), list(prompt.tools))
        bodies = [Text(said)] if isinstance(said, str) else list(said)
        read = sum(item.bytes for item in prompt.items) + len(prompt.instructions.encode())
        written = sum(len(encode_body(body)) for body in bodies)
        usage = Usage(input_tokens=read // 4, output_tokens=min(written // 4, prompt.output_tokens_max))
        return Reply(tuple(Draft(body) for body in bodies), usage)
