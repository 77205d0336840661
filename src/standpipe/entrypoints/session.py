"""Who and which session is meant, and what may be shown: to the operator everything, to a principal what it may see now."""

from __future__ import annotations

from standpipe.core.events import Frame
from standpipe.core.relations import Problem, parse
from standpipe.engine.house import NO_SESSION, House, Turn
from standpipe.engine.show import as_erased, hidden, labels_of, without
from standpipe.errors import NotFound, Refused, UsageError
from standpipe.ports import SessionRow

LAST = "last"
WITHHELD = "The answer is withheld: a source of it may no longer be read."


def principal_named(text: str) -> str:
    """The principal that an option names. Raises UsageError for what can be none."""
    parsed = parse(f"document:*#reader@{text}")
    if isinstance(parsed, Problem) or parsed.subject != text or "*" in text:
        raise UsageError(f"{readable('principal', text)!r} is no principal: expected TYPE:ID, as in user:ana.")
    return readable("principal", text)


def readable(name: str, text: str) -> str:
    """The text, if the terminal or script passed on whole characters. Raises UsageError."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"The {name} is not UTF-8 text: check the terminal's encoding.") from None
    return text


async def find(house: House, name: str, owner: tuple[str, str] | None = None, principal: str | None = None) -> SessionRow:
    """The session by its id, or the one written to last: of `owner`, a tenant's principal, or of `principal` in any tenant.
    Raises NotFound for one that does not exist or is another's, UsageError for what can be no principal."""
    if principal is not None:
        principal_named(principal)
    rows = await house.ports.log.rows()
    mine = [row for row in rows if owner in (None, (row.tenant, row.principal)) and principal in (None, row.principal)]
    found = next((row for row in mine if name in (LAST, row.session)), None)
    if found is None:
        raise NotFound(NO_SESSION if rows else "There is no session yet: `standpipe ask QUESTION` makes one.")
    return found


async def frames_for(house: House, row: SessionRow, principal: str | None, after: int = 0) -> list[Frame]:
    """The frames after seq `after`, as the principal may see them at this moment; as they are for the operator (None)."""
    return await seen_by(house, row, principal, await house.ports.log.read(row.session, after))


async def seen_by(house: House, row: SessionRow, principal: str | None, frames: list[Frame]) -> list[Frame]:
    """These frames as the principal may see them, without what they say was erased; nothing may be awaited between this and
    showing them."""
    frames = as_erased(frames)
    if principal is None:
        return frames
    labels = {label for frame in frames for event in frame.events for label in labels_of(event)}
    closed = await hidden(house.ports.access, row.tenant, principal, labels)
    return [without(frame, closed) for frame in frames]


async def check_once_more(house: House, turn: Turn) -> None:
    """Raises Refused if the answer's principal may not read all of its sources now; nothing may be awaited between this and
    telling the answer."""
    item = turn.summary.answer
    if item is not None and await hidden(house.ports.access, turn.tenant, turn.principal, [item.label]):
        raise Refused(WITHHELD)
