"""The verb erase: bodies of a session or of one item, so that nobody is shown them any more and nothing of them is stored."""

from __future__ import annotations

import msgspec

from standpipe.engine.erase import erase as erased
from standpipe.engine.house import House
from standpipe.entrypoints.access import OPERATOR
from standpipe.entrypoints.exits import DONE
from standpipe.entrypoints.output import say, say_json
from standpipe.entrypoints.session import find
from standpipe.entrypoints.words import plural


async def erase(house: House, what: str, *, json: bool) -> int:
    """Erase a session (`SESSION`) or an item (`SESSION/ITEM`)."""
    session, _, item = what.partition("/")
    row = await find(house, session)
    done = await erased(house.setup, row, item or None, OPERATOR)
    if json:
        say_json({"session": row.session, "item": item, **msgspec.structs.asdict(done)})
        return DONE
    say(f"{row.session}: {plural(done.items, 'item')} erased, the content of {done.bodies} deleted")
    if done.kept:
        say(f"the content of {done.kept} stays, because other sessions hold the same: erase those too, or the item")
    return DONE
