"""The world that one session is decided in, and what tool rules leave of it: the tools its principal could ever call.

See docs/adr/0011. A tool that no rule could let it call is left out of the agents that its sessions are decided with, so that
it behaves in every way like one that does not exist.
"""

from __future__ import annotations

import msgspec

from standpipe.core.lookups import lookups, nothing_new
from standpipe.core.rulings import RuleQuestion, ToolRules
from standpipe.core.state import State
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import Questions, World
from standpipe.engine.lookup import Static, look_up, ruling, static
from standpipe.engine.perform import Ports
from standpipe.ports import Rights

MEMBER = "member"
KEPT_MAX = 256
"""Principals whose tools are kept; then they are worked out anew."""


class Round(msgspec.Struct, frozen=True):
    """What the rules asked of a state, the answers, and the static world that both are of, all at one revision."""

    fixed: Static
    asked: Questions
    world: World

    def answers(self, state: State, now: int) -> bool:
        """Whether all that the rules could ask of a state that came of this one is answered here."""
        return nothing_new(state) or self.asked.covers(lookups(state, self.fixed.agents, self.fixed.policy, "", now))


async def look(ports: Ports, fixed: Static, state: State, now: int) -> Round:
    """Ask what the rules would know of this state, and answer it; `fixed` holds all tools there are, and the rules, if any."""
    while True:
        seen, revision = fixed, None
        if fixed.rules is not None:
            revision = ports.access.heads(state.tenant).revision
            rights = await ports.access.rights(state.tenant, "", state.principal, revision)
            seen, revision = _narrowed(fixed, fixed.rules, state, groups(rights, fixed.rules)), rights.revision
        asked = lookups(state, seen.agents, seen.policy, "", now)
        world = await look_up(ports.log, ports.search, ports.access, seen, asked)
        if revision in (None, world.access.revision):
            return Round(seen, asked, world)


def groups(rights: Rights, rules: ToolRules) -> tuple[str, ...]:
    """Which of the groups that the rules speak of (as relations name them) the principal is in, tenant-wide.

    A kind of thing that no relation was ever about is open to everybody: for that of a group it means that nobody is in one.
    No relation has an empty name, so who has that one is told what is open.
    """
    return tuple(name for name in rules.groups if rights.allows(name, MEMBER) and not rights.allows(name, ""))


def _narrowed(fixed: Static, rules: ToolRules, state: State, groups: tuple[str, ...]) -> Static:
    """The static world of the principal of a session, worked out once for the groups it is in."""
    key = (state.tenant, state.principal, state.agent, groups)
    if key not in fixed.kept:
        if len(fixed.kept) >= KEPT_MAX:
            fixed.kept.clear()
        who = RuleQuestion(state.tenant, state.principal, groups, "", "", "")
        agents = {name: _could(rules, agent, who, state.agent) for name, agent in fixed.agents.items()}
        fixed.kept[key] = msgspec.structs.replace(static(fixed.policy, agents, rules), groups=groups)
    return fixed.kept[key]


def _could(rules: ToolRules, agent: AgentSpec, who: RuleQuestion, root: str) -> AgentSpec:
    def ever(tool: ToolSpec) -> bool:
        of = msgspec.structs.replace(who, agent=agent.name, tool=tool.name, effect=tool.effect)
        return ruling(rules, of, root).allowed

    return msgspec.structs.replace(agent, tools=tuple(tool for tool in agent.tools if ever(tool)))
