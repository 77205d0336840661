"""May this principal, through this agent, make this call now: from the answers in the world, never from a guess."""

from __future__ import annotations

from typing import Any

from standpipe.core.details import Permit
from standpipe.core.ids import digest
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import Access, CallQuestion

NOT_FOUND = "not_found"
"""The one code for what is forbidden and what does not exist: a principal cannot tell them apart."""


def tool_of(agent: AgentSpec, name: str) -> ToolSpec | None:
    """The agent's tool of that name, matched exactly."""
    return next((tool for tool in agent.tools if tool.name == name), None)


def resources(tool: ToolSpec, arguments: dict[str, Any]) -> tuple[str, ...]:
    """What a call touches: the tool's resource template filled from the arguments, by plain replacement."""
    if not tool.resource:
        return ()
    filled = tool.resource
    for name, value in arguments.items():
        filled = filled.replace("{" + name + "}", str(value))
    return (filled,)


def question(principal: str, agent: AgentSpec, tool: ToolSpec, arguments: dict[str, Any]) -> CallQuestion:
    """The question that must be answered before the call can be judged."""
    return CallQuestion(principal, agent.name, tool.name, resources(tool, arguments), digest(arguments))


def permit(access: Access, asked: CallQuestion) -> Permit | str:
    """The permit for a call, `NOT_FOUND`, or the empty string while the question has not been answered."""
    key = digest(asked)
    if key in access.refused:
        return NOT_FOUND
    if key not in access.allowed:
        return ""
    rule = "relation" if asked.resources else "given to the agent"
    return Permit(rule=rule, revision=access.revision, resources=asked.resources)
