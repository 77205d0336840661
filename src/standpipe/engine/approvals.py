"""Which tool calls wait for a person's yes or no: with their arguments, who asks for them, and what these come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from standpipe.core.consent import shown
from standpipe.core.items import Label, Source, ToolCall
from standpipe.core.pending import open_turns
from standpipe.core.state import State
from standpipe.engine.opening import opened
from standpipe.ports import Log, SessionRow


class Origin(msgspec.Struct, frozen=True):
    """A version of a document, or a resource, that the arguments derive from."""

    source: str
    version: str


class Approval(msgspec.Struct, frozen=True):
    """A tool call that waits for a yes or no until `until` (ms since 1970); without `arguments` they may not be seen.

    `intent` is the digest of exactly this call. `origin` is who made it, `sources` what it had been shown.
    """

    session: str
    ask: str
    tool: str
    until: int
    arguments: dict[str, Any] | None
    intent: str = ""
    origin: str = ""
    sources: tuple[Origin, ...] = ()


async def waiting(log: Log, rules: str, rows: Iterable[SessionRow]) -> list[tuple[Approval, Label]]:
    """The open approvals of these sessions, each with the label of its arguments; `rules` is the digest of the rules of now."""
    parked = [row.session for row in rows if row.state == "parked" and not row.trouble]
    return [pair for session in parked for pair in _open(await opened(log, session, rules))]


def _open(state: State) -> list[tuple[Approval, Label]]:
    found = []
    for turn in open_turns(state):
        for ask in turn.asks.values():
            step = turn.steps[ask.step].spec
            if ask.kind != "approval" or ask.outcome or ask.step not in turn.live:
                continue
            item = shown(turn, step)
            approval = Approval(
                session=state.session,
                ask=ask.id,
                tool=step.does,
                until=ask.until,
                arguments=item.body.arguments if isinstance(item.body, ToolCall) else None,
                intent=ask.intent,
                origin=item.origin,
                sources=tuple(Origin(source.path, source.version) for source in item.label.sources),
            )
            found.append((approval, item.label))
    return found


def seen(approval: Approval, label: Label, closed: frozenset[Source]) -> Approval:
    """The approval as somebody sees it who may not read the sources `closed`."""
    if closed.isdisjoint(label.sources):
        return approval
    return msgspec.structs.replace(approval, arguments=None, origin="", sources=())
