"""Replies of models, and what became of them."""

from __future__ import annotations

from typing import Any

from tests.core.desk import Desk, call_of

from standpipe.core.details import Verdict
from standpipe.core.events import (
    CallRefused,
    PlanPatched,
)
from standpipe.core.items import (
    Citation,
    Failure,
    ToolCall,
)

OK = Verdict("citation", "s0", "pass")
BAD = Verdict("citation", "s0", "fail", "quote not found")
CITED = Citation("a.md", "v1", "five", "f")


def an_answer(*texts: str, **more: Any) -> ToolCall:
    """An answer call of these sentences."""
    return call_of("answer", sentences=[{"text": text} for text in texts], **more)


def a_plan(*steps: dict[str, Any], **more: Any) -> ToolCall:
    return call_of(
        "plan", steps=[{"id": f"p{n}", "tool": "search", "arguments": {"query": "x"}, **s} for n, s in enumerate(steps)], **more
    )


def refusals(desk: Desk) -> list[tuple[str, str]]:
    """Code and words of every refused move, in order."""
    told = []
    for refused in desk.facts(CallRefused):
        (item,) = refused.items
        assert isinstance(item.body, Failure) and item.body.code == refused.code
        told.append((refused.code, item.body.text))
    return told


def patches(desk: Desk) -> list[tuple[str, list[str]]]:
    """Why each patch was made and which steps it added."""
    return [(p.why.code, [f"{s.id} {s.does}" for s in p.add]) for p in desk.facts(PlanPatched)]
