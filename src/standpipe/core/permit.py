"""May this principal, through this agent, make this call now: from the answers in the world, never from a guess."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from standpipe.core.details import Permit
from standpipe.core.ids import digest, digest_bytes
from standpipe.core.items import Label
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import Access, CallQuestion

_PLACE = re.compile(r"\{(\w+)\}")

NOT_FOUND = "not_found"
"""The one code for what is forbidden and what does not exist: a principal cannot tell them apart."""


def tool_of(agent: AgentSpec, name: str) -> ToolSpec | None:
    """The agent's tool of that name, matched exactly."""
    return next((tool for tool in agent.tools if tool.name == name), None)


def resources(tool: ToolSpec, arguments: dict[str, Any]) -> tuple[str, ...] | None:
    """What a call touches: the tool's resource template filled from the arguments, in one pass; None if one is missing."""
    if any(name not in arguments for name in _PLACE.findall(tool.resource)):
        return None
    return (_PLACE.sub(lambda m: str(arguments[m[1]]), tool.resource),) if tool.resource else ()


def question(
    principal: str, agent: AgentSpec, tool: ToolSpec, arguments: dict[str, Any], label: Label | None = None
) -> CallQuestion | None:
    """The question that must be answered before the call can be judged; None if the arguments do not name its resource.

    `label` is that of the call, given where there are tool rules to look at it and at the arguments.
    """
    touched = resources(tool, arguments)
    if touched is None:
        return None
    given = msgspec.json.encode(arguments, order="deterministic")
    asked = CallQuestion(principal, agent.name, tool.name, touched, digest_bytes(given))
    if label is None:
        return asked
    return msgspec.structs.replace(asked, given=given.decode(), sources=label.sources)


def permit(access: Access, asked: CallQuestion) -> Permit | str:
    """The permit for a call, `NOT_FOUND`, or the empty string while the question has not been answered."""
    key = digest(asked)
    if key in access.refused:
        return NOT_FOUND
    if key not in access.allowed:
        return ""
    named = access.by.get(key)
    rule = f"rule {named}" if named else "relation" if asked.resources else "given to the agent"
    return Permit(rule=rule, revision=access.revision)
