"""Parks a session that brings down whoever drives it, and has it driven again, without folding its log: that may do harm."""

from __future__ import annotations

import msgspec

from standpipe.core.events import AnyFact, Event, SessionParked, SessionUnparked
from standpipe.engine.drive import Setup
from standpipe.ports import Append, Appended, SessionRow

CRASHES_MAX = 3
"""So many times whoever drives a session may come to grief at one place of its log (OTP's supervisors have 3 in 5 s)."""


IDLE_FACTOR = 3
"""So many times more is forgiven to a session in which nothing is to be done: where processes are killed for other reasons, its
log does not grow between one and the next, and it would be blamed for nothing."""


def patience_with(row: SessionRow | None) -> int:
    """After how many crashes at one place a session is parked."""
    return CRASHES_MAX * (1 if row is None or row.state == "running" else IDLE_FACTOR)


async def park(setup: Setup, session: str, reason: str, fence: int | None = None) -> None:
    """Nobody drives the session from now on, until `unpark`; by `fence` where a lease is held."""
    await _append(setup, session, SessionParked(reason), fence)


async def unpark(setup: Setup, session: str) -> None:
    """The session may be driven again."""
    await _append(setup, session, SessionUnparked(setup.fresh()), None)


async def _append(setup: Setup, session: str, fact: AnyFact, fence: int | None) -> None:
    log, parked = setup.ports.log, isinstance(fact, SessionParked)
    while (row := await log.row(session)) is not None and bool(row.trouble) != parked:
        seq, _ = await log.heads(session)
        reason = fact.reason if isinstance(fact, SessionParked) else ""
        changed: SessionRow = msgspec.structs.replace(
            row, trouble=reason, state="parked" if parked else "running", wakes_at=row.wakes_at if not parked else None
        )
        append = Append(
            session=session,
            tenant=row.tenant,
            at=setup.ports.clock(),
            by=setup.by,
            rules=setup.rules,
            expect_seq=seq,
            events=(Event(seq + 1, setup.by, (), fact),),
            fence=fence,
            row=changed,
        )
        if isinstance(await log.append(append), Appended):
            return
        if fence is not None and log.lease(session).fence != fence:
            return  # somebody else drives it now, and sees for himself
