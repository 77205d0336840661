"""A coordinator with two specialists, driven by hand."""

from __future__ import annotations

import msgspec
from tests.core.desk import AGENT, PRICED, PUT, READ, SEARCH, SEND, Desk, call_of, policy

from standpipe.core.details import Verdict
from standpipe.core.events import (
    TurnEnded,
)
from standpipe.core.items import Answer, ToolCall
from standpipe.core.tools import AgentSpec

ANALYST = AgentSpec("analyst", "Analyse.", (SEARCH, READ, PUT, SEND))
CLERK = AgentSpec("clerk", "Count.", (SEARCH, READ), answer={"type": "object", "required": ["total"]})
LEAD = msgspec.structs.replace(AGENT, specialists={"analyst": "Knows limits.", "clerk": "Counts."})

ANSWER = call_of("answer", sentences=[{"text": "It is 3."}])
PASSED = (Verdict("citation", "s0", "abstain"),)
FAILED = (Verdict("citation", "s0", "fail", code="uncited"),)
SHAPE = (Verdict("shape", "answer", "pass"),)


def desk(**limits: int) -> Desk:
    """A coordinator with two specialists."""
    made = Desk(LEAD, policy=policy(PRICED, **limits))
    made.agents |= {"analyst": ANALYST, "clerk": CLERK}
    return made


def task(to: str = "analyst", *, optional: bool = False) -> ToolCall:
    return call_of("delegate", to=to, task=f"What does {to} know?", optional=optional)


def delegated(*moves: ToolCall, **limits: int) -> Desk:
    """The coordinator has delegated; every specialist's first model call is open."""
    return desk(**limits).ask().came(*moves or (task(),))


def final(desk: Desk) -> TurnEnded:
    """The coordinator answers; how the turn ended."""
    desk.came(ANSWER, verdicts=PASSED)
    return desk.facts(TurnEnded)[0]


def gaps(ended: TurnEnded) -> list[str]:
    body = ended.items[0].body
    assert isinstance(body, Answer)
    return [gap.text for gap in body.gaps]


def valued(good: bool) -> tuple[Verdict, ...]:
    return (
        Verdict("shape", "answer", "pass"),
        Verdict("schema", "value", "pass" if good else "fail", code="" if good else "schema"),
    )
