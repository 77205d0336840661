"""What a tool and an agent are to the rules: names, schemas, effects, limits; never a function."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec


class ToolSpec(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A tool as rules and models see it. `parameters` is a JSON Schema.

    `effect` is "read", "write" or "irreversible"; `idempotent` says that the same key twice acts once; `resource` is a
    template over the arguments ("incident:{id}") of what a call touches; `approval` asks a person first. `reconcile` says
    that it can be asked what came of a key, `compensate` that it can take back what it did.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    effect: str = "read"
    resource: str = ""
    idempotent: bool = False
    approval: bool = False
    timeout_ms: int = 30_000
    reconcile: bool = False
    compensate: bool = False

    @cached_property
    def bytes(self) -> int:
        """What its name, description and parameters weigh as they are shown."""
        return len(self.name) + len(self.description.encode()) + len(msgspec.json.encode(self.parameters))


class AgentSpec(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """An agent as rules and models see it: `answer` is the JSON Schema of its typed result, if it has one.

    `specialists` are the agents it may delegate to: what it is told of each, by name. `documents` are patterns of paths (`*` is
    any characters): it may read no others, whatever its principal may; without any, none are kept from it.
    """

    name: str
    instructions: str
    tools: tuple[ToolSpec, ...] = ()
    answer: dict[str, Any] | None = None
    specialists: dict[str, str] = {}
    documents: tuple[str, ...] = ()

    @cached_property
    def bytes(self) -> int:
        """What its instructions, tools, specialists and the schema of its result weigh as they are shown."""
        others = 2 * len(msgspec.json.encode(self.specialists)) + len(msgspec.json.encode(self.answer))
        return len(self.instructions.encode()) + sum(tool.bytes for tool in self.tools) + others
