"""The verbs that hold the log to its promises: replay and verify."""

from __future__ import annotations

import msgspec

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
    told = await replayed(house.ports.log, row.session, house.setup.rules)
    if json:
        say_json({"session": row.session, **msgspec.structs.asdict(told)})
        return FAILED if told.divergences else DONE
    for line in told.divergences:
        say(line)
    if told.rules_changed:
        say("rules changed: some of it was decided under other rules than those of now")
    if told.erased:
        say(f"{plural(told.erased, 'frame')} cannot be judged: what they were decided from has been erased")
    count = plural(len(told.divergences), "divergence") if told.divergences else "no divergence"
    say(f"{row.session}: {plural(told.decisions, 'decision')} in {plural(told.frames, 'frame')} made again: {count}")
    return FAILED if told.divergences else DONE


async def verify(house: House, session: str | None, *, json: bool) -> int:
    """Check the log of one session or the whole store; every violation is told."""
    row = await find(house, session) if session is not None else None
    found = await verified(house.ports.log, row.session if row is not None else None)
    if json:
        erased = {"erased": found.erased} if found.erased else {}
        say_json({"sessions": found.sessions, "events": found.events, "violations": found.violations, **erased})
    else:
        for line in found.violations:
            say(line)
        count = plural(len(found.violations), "violation") if found.violations else "no violation"
        gone = f", {found.erased} of {'its' if row is not None else 'their'} bodies erased" if found.erased else ""
        say(f"{plural(found.sessions, 'session')}, {plural(found.events, 'event')}{gone}: {count}")
    return FAILED if found.violations else DONE
