"""What a person says yes to: one call, with exactly these arguments, on these versions of what it was made from, for a while.

See docs/adr/0011. A yes is no permit: when the turn goes on, the call is judged like any other, and this beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from standpipe.core.details import Step
from standpipe.core.ids import digest
from standpipe.core.items import Item, Label, Source
from standpipe.core.plan import move_of
from standpipe.core.state import Ask, State, Turn
from standpipe.core.tools import ToolSpec
from standpipe.core.world import Access

VOID = "void"
"""The code of a refusal: what was approved is not what would be done, or not made from what it was made from."""
SAID = {
    "denied": "The call was denied by a person.",
    "expired": "Nobody approved the call in time.",
    VOID: "What the call was approved on has changed since. Look at it again, and call it anew if it is still wanted.",
}
"""What the planner is told, by code."""


def wanted(state: State, tool: ToolSpec) -> bool:
    """Whether a person is asked before this tool is called; in a fork, before anything is changed."""
    return tool.approval or tool.effect == "irreversible" or bool(state.parent and tool.effect != "read")


def intent(tool: str, arguments: Mapping[str, object], key: str) -> str:
    """The digest of exactly one call: the tool, its canonical arguments, and the key that makes it happen once."""
    return digest([tool, arguments, key])


def shown(turn: Turn, step: Step) -> Item:
    """The item of a call with exactly what would be done in it, also where it is one of the steps of a plan."""
    item, move = turn.items[step.item], move_of(turn, step)
    return replace(item, body=move) if move is not None else item


def documents(label: Label) -> tuple[Source, ...]:
    """The documents that a call derives from, without their versions."""
    return tuple(dict.fromkeys(Source(source.folder, source.path, "") for source in label.sources if source.folder))


def current(access: Access, label: Label) -> tuple[Source, ...] | None:
    """The versions that these have now; None while one of them has not been looked up."""
    known = {(source.folder, source.path): source for source in access.versions}
    found = [known.get((source.folder, source.path)) for source in documents(label)]
    return tuple(source for source in found if source is not None) if None not in found else None


def judge(ask: Ask, meant: str, versions: tuple[Source, ...], now: int) -> str:
    """What is left of an answer that was given: "allowed", or the code of its refusal. `now` is wall time in ms."""
    if ask.outcome != "allowed":
        return ask.outcome
    if now >= ask.until:
        return "expired"
    if ask.intent and (ask.intent, ask.sources) != (meant, versions):
        return VOID
    return "allowed"
