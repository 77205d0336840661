"""The verb approve: lists the tool calls that wait for a yes or no, with all they are about, and says it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from standpipe.engine.approvals import Approval
from standpipe.engine.house import House
from standpipe.entrypoints.exits import DONE
from standpipe.entrypoints.options import Approving
from standpipe.entrypoints.output import say, say_heading, say_json
from standpipe.entrypoints.session import find


async def approve(house: House, session: str | None, ask: str, how: Approving, *, json: bool) -> int:
    """List what waits, of one session or of all, or answer `ask`; then the turn goes on where its agent is.

    Raises NotFound for what does not wait, Refused where it is for another call than the one that was named.
    """
    row = await find(house, session) if session is not None else None
    if row is None or not ask:
        found = [a for a in await house.approvals() if row is None or a.session == row.session]
        if json:
            say_json(found)
        for approval in found if not json else ():
            _tell(approval)
        if not found and not json:
            say("Nothing waits for a yes or no.")
        return DONE
    await house.approve(row.session, ask, row.principal, allow=not how.no, intent=how.intent)
    if json:
        say_json({"session": row.session, "ask": ask, "allow": not how.no})
    else:
        say(f"{row.session} {ask}: {'denied' if how.no else 'approved'}; `standpipe resume {row.session}` goes on.")
    return DONE


def _tell(approval: Approval) -> None:
    arguments = msgspec.json.encode(approval.arguments).decode() if approval.arguments is not None else "(not to be seen)"
    sources = ", ".join(f"{o.source}@{o.version[:12]}" if o.version else o.source for o in approval.sources) or "nothing read"
    until = datetime.fromtimestamp(approval.until / 1000, UTC).isoformat(timespec="minutes")
    say_heading(f"{approval.session} {approval.ask}")
    say(f"  {approval.tool} {arguments}", "    ")
    say(f"  asked for by {approval.origin}, from {sources}", "    ")
    say(f"  until {until}, intent {approval.intent}", "    ")
