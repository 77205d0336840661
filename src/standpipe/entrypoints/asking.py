"""The verbs that run turns: ask and resume."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from standpipe.engine.house import House, Turn
from standpipe.entrypoints.answers import as_json, tell, tell_where_to_look
from standpipe.entrypoints.exits import DONE, FAILED, OUTCOMES
from standpipe.entrypoints.options import Asking
from standpipe.entrypoints.output import say, say_json, trouble
from standpipe.entrypoints.session import find, principal_named, readable
from standpipe.entrypoints.watch import Interrupts, watch
from standpipe.ports import SessionRow

RESUMED_AT_ONCE = 8
"""Sessions that `resume` drives at the same time."""


async def ask(house: House, question: str, how: Asking, *, json: bool) -> int:
    """Ask, watch the turn to its end, and tell the answer."""
    readable("question", question)
    readable("tenant", how.tenant)
    principal_named(how.as_)
    session = None if how.session is None else (await find(house, how.session, (how.tenant, how.as_))).session
    with Interrupts() as interrupts:
        turn = await house.ask(
            question,
            principal=how.as_,
            tenant=how.tenant,
            session=session,
            docs=how.docs,
            budget_usd=how.budget,
            deadline_s=how.deadline,
        )
        story = await watch(house, turn, interrupts, live=not json)
    if json:
        say_json(as_json(turn))
    else:
        tell(turn, story.parts)
        tell_where_to_look(["why last", "show last", "log last"])
    return _concluded(turn)


def _concluded(turn: Turn) -> int:
    """The exit status of a turn that is over, and a sentence where it has no answer."""
    if turn.withheld:
        trouble("The answer is withheld: a source of it may no longer be read.")
        return FAILED
    if turn.outcome == "failed":
        trouble(f"The turn failed: {turn.reason}; `standpipe show {turn.session}` says what was tried.")
    if turn.outcome == "parked":
        trouble(f"The turn waits for a person; answer with `standpipe ask ANSWER --session {turn.session}`.")
    return OUTCOMES[turn.outcome]


async def resume(house: House, session: str | None, *, json: bool) -> int:
    """Go on with one session, or with every one that has an unfinished turn; done when none is left running."""
    if session is not None:
        rows: Sequence[SessionRow] = [await find(house, session)]
    else:
        rows = await house.unfinished()
    slots = asyncio.Semaphore(RESUMED_AT_ONCE)

    async def drive(row: SessionRow) -> Turn | None:
        async with slots:
            turn = await house.resume(row.session)
            return await turn.wait() if turn is not None else None

    turns = [turn for turn in await asyncio.gather(*map(drive, rows)) if turn is not None]
    if json:
        say_json([as_json(turn) for turn in turns])
    for turn in turns if not json else ():
        say(f"{turn.session} {turn.id}: {turn.outcome} ({turn.reason})" if turn.reason else f"{turn.session}: {turn.outcome}")
    if not turns and not json:
        say("No turn is unfinished.")
    return DONE if all(turn.outcome for turn in turns) else FAILED
