"""The verbs that hold the log to its promises: replay and verify."""

from __future__ import annotations

from standpipe.engine.house import House
from standpipe.engine.replay import replay as replayed
from standpipe.engine.verify import verify as verified
from standpipe.entrypoints.exits import DONE, FAILED
from standpipe.entrypoints.output import say, say_json
from standpipe.entrypoints.session import find
from standpipe.entrypoints.words import plural


async def replay(house: House, session: str, *, json: bool) -> int:
    """Fold a session's log and decide again; every divergence is told."""
    row = await find(house, session)
    divergences = await replayed(house.ports.log, house.setup, row.session)
    if json:
        say_json({"session": row.session, "divergences": divergences})
    elif divergences:
        for line in divergences:
            say(line)
    else:
        say(f"{row.session} replays as it happened: every decision follows from what its frame recorded.")
    return FAILED if divergences else DONE


async def verify(house: House, session: str | None, *, json: bool) -> int:
    """Check the log of one session or the whole store; every violation is told."""
    row = await find(house, session) if session is not None else None
    found = await verified(house.ports.log, row.session if row is not None else None)
    if json:
        say_json({"sessions": found.sessions, "events": found.events, "violations": found.violations})
    else:
        for line in found.violations:
            say(line)
        count = plural(len(found.violations), "violation") if found.violations else "no violation"
        say(f"{plural(found.sessions, 'session')}, {plural(found.events, 'event')}: {count}")
    return FAILED if found.violations else DONE
