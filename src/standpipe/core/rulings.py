"""What is asked of tool rules, and what they answer; how they are written and judged is a driver's. See docs/adr/0011."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from standpipe.core.items import Source


class RuleQuestion(msgspec.Struct, frozen=True, gc=False):
    """May a principal that is in these groups, through an agent, call a tool with these arguments (canonical JSON)?

    Without arguments: could it ever, whatever they are. `sources` are those of the label of the call.
    """

    tenant: str
    principal: str
    groups: tuple[str, ...]
    agent: str
    tool: str
    effect: str
    given: str | None = None
    sources: tuple[Source, ...] = ()


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """What tool rules say: whether the call may be made, by which of them, and whether one forbids it."""

    allowed: bool
    by: str = ""
    forbidden: bool = False


class ToolRules(msgspec.Struct, frozen=True):
    """A rule file that was read: its digest and text, the names of its rules and of the groups it speaks of, its judgement,
    which is always the same for the same question."""

    digest: str
    text: bytes
    names: tuple[str, ...]
    groups: tuple[str, ...]
    judge: Callable[[RuleQuestion], Ruling]
