"""The verb cancel: tells turns to stop, and waits until they have."""

from __future__ import annotations

from standpipe.core.events import CancelRequested
from standpipe.engine.house import House
from standpipe.entrypoints.exits import DONE
from standpipe.entrypoints.options import Stopping
from standpipe.entrypoints.output import say, say_json
from standpipe.entrypoints.session import find
from standpipe.errors import NotFound


async def cancel(house: House, session: str, how: Stopping, *, json: bool) -> int:
    """Tell a turn, a specialist or all turns of a session to stop; wait for those turns' ends. A specialist is not waited for.

    Raises NotFound if nothing such runs or waits.
    """
    row = await find(house, session)
    last, _ = await house.ports.log.heads(row.session)
    scope = how.scope or ("" if how.turn else "session")
    try:
        await house.cancel(row.session, how.turn, row.principal, level=how.level, scope=scope)
    except NotFound:
        raise NotFound(f"Nothing of the kind runs or waits: `standpipe show {row.session}` says what there was.") from None
    frames = await house.ports.log.read(row.session, last, bodies=False)
    facts = [event.fact for frame in frames for event in frame.events]
    told = {fact.turn for fact in facts if isinstance(fact, CancelRequested)} or {how.turn}
    ended = []
    for name in sorted(told if not how.scope or how.scope == "session" else ()):
        turn = await (await house.turn(row.session, name)).wait()
        ended.append({"session": row.session, "turn": name, "outcome": turn.outcome, "reason": turn.reason})
    if json:
        say_json(ended)
    for one in ended if not json else ():
        say(f"{one['session']} {one['turn']}: {one['outcome']} ({one['reason']})")
    if not ended and not json:
        say(f"{row.session} {how.scope}: told to stop")
    return DONE
