"""The verbs that run turns: ask and resume."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from standpipe.engine.house import House, Turn
from standpipe.entrypoints.answers import as_json, tell, tell_where_to_look
from standpipe.entrypoints.exits import DONE, FAILED, OUTCOMES, PARKED
from standpipe.entrypoints.options import Asking
from standpipe.entrypoints.output import say, say_json, trouble
from standpipe.entrypoints.session import check_once_more, find, principal_named, readable
from standpipe.entrypoints.story import Story
from standpipe.entrypoints.watch import Interrupts, watch
from standpipe.entrypoints.words import plural
from standpipe.ports import SessionRow, Synced

WHY_LEFT_OUT = {
    "link": "reached by a symbolic link (copy what it points to into the folder)",
    "large": "larger than 5 MB (split it)",
    "binary": "with binary content (save it as UTF-8 text)",
    "unreadable": "unreadable (check its rights)",
    "name": "with control characters in its name (rename it)",
    "special": "that is no plain file (copy its content into one)",
}
"""Reasons to leave a file out that its owner should hear of, and what to do."""

RESUMED_AT_ONCE = 8
"""Sessions that `resume` drives at the same time."""


async def ask(house: House, question: str, how: Asking, *, json: bool) -> int:
    """Ask, watch the turn to its end, and tell the answer."""
    readable("question", question)
    readable("tenant", how.tenant)
    principal_named(how.as_)
    session = None if how.session is None else (await find(house, how.session, (how.tenant, how.as_))).session
    with Interrupts() as interrupts:
        began = house.ports.clock()
        for folder in how.docs:
            left_out = told_of(folder, await house.sync(folder, how.tenant))
            if left_out:
                trouble(left_out)
        indexed_ms = house.ports.clock() - began
        turn = await house.ask(
            question,
            principal=how.as_,
            tenant=how.tenant,
            session=session,
            docs=how.docs,
            budget_usd=how.budget,
            deadline_s=how.deadline,
            interrupt=how.interrupt,
        )
        story = await watch(house, turn, interrupts, live=not json)
    turn.elapsed_ms += indexed_ms
    return await tell_outcome(house, turn, story, {} if json else None)


async def tell_outcome(house: House, turn: Turn, story: Story, head: dict[str, object] | None) -> int:
    """Tell what a turn that was watched came to, as JSON behind what stands in `head` if there is one; its exit status."""
    await check_once_more(house, turn)
    if head is not None:
        say_json(head | as_json(turn))
    else:
        tell(turn, story.parts)
        tell_where_to_look(["why last", "show last", "log last"])
    await remembered(house, turn)
    return _concluded(turn)


async def remembered(house: House, turn: Turn) -> None:
    """Wait until what the turn produced can be found by later ones; the answer is out already."""
    if turn.outcome in ("completed", "partial"):
        await house.resume(turn.session)


def told_of(folder: Path, synced: Synced) -> str:
    """What of a folder could not be used as it is, in one sentence; nothing where all is well.

    Files of other kinds, hidden and empty ones are no trouble.
    """
    counts = [
        f"{plural(count, 'file')} {WHY_LEFT_OUT[reason]}" for reason, count in synced.skipped.items() if reason in WHY_LEFT_OUT
    ]
    parts = [f"left out were {', '.join(counts)}"] if counts else []
    if synced.replaced:
        parts.append(f"bytes that are not UTF-8 were replaced in {plural(synced.replaced, 'document')}")
    return f"Of {folder} {' and '.join(parts)}: the rest is indexed." if parts else ""


def _concluded(turn: Turn) -> int:
    """The exit status of a turn that is over, and a sentence where it has no answer."""
    if turn.outcome == "failed":
        trouble(f"The turn failed: {turn.reason}; `standpipe show {turn.session}` says what was tried.")
    if turn.outcome == "parked" and turn.trouble:
        trouble(f"The session is parked: {turn.trouble}; `standpipe resume {turn.session}` tries it once more.")
    elif turn.outcome == "parked":
        trouble(f"The turn waits for a person; answer with `standpipe ask ANSWER --session {turn.session}`.")
    return OUTCOMES[turn.outcome]


async def resume(house: House, session: str | None, *, json: bool) -> int:
    """Go on with one session, or with every one that has an unfinished turn; done when none is left running.

    What is parked for its trouble is passed over unless it is named, and then the exit status says so.
    """
    parked: Sequence[SessionRow] = ()
    if session is not None:
        rows: Sequence[SessionRow] = [await find(house, session)]
    else:
        rows = await house.left_to_do()
        parked = [row for row in await house.ports.log.rows() if row.trouble]
    slots = asyncio.Semaphore(RESUMED_AT_ONCE)

    async def drive(row: SessionRow) -> Turn | None:
        async with slots:
            turn = await house.resume(row.session)
            if turn is not None:
                await remembered(house, await turn.wait())
            return turn

    turns = [turn for turn in await asyncio.gather(*map(drive, rows)) if turn is not None]
    if json:
        say_json([as_json(turn) for turn in turns])
    for turn in turns if not json else ():
        say(f"{turn.session} {turn.id}: {turn.outcome} ({turn.reason})" if turn.reason else f"{turn.session}: {turn.outcome}")
    if not turns and not json:
        say("No turn is unfinished.")
    for row in parked:
        trouble(f"Session {row.session} is parked: {row.trouble}; `standpipe resume {row.session}` tries it once more.")
    if not all(turn.outcome for turn in turns):
        return FAILED
    return PARKED if parked or any(turn.trouble for turn in turns) else DONE
