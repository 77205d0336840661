"""Erases item bodies: those of a session that nobody else of its tenant holds, or one body wherever it is held.

The facts go first, then the bodies: after a crash between the two, erasing again finds what is left to be deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from standpipe.core.events import Frame, ItemsErased, TurnEnded
from standpipe.core.frames import items_of
from standpipe.core.record import Recorder
from standpipe.engine.drive import LEASE_MS, Setup
from standpipe.engine.show import erased_in
from standpipe.errors import NotFound, Refused
from standpipe.ports import Append, Appended, Log, SessionRow

AT_WORK = "Session {0} is at work: wait for its end or `standpipe cancel {0}`, then erase again."


class Erased(msgspec.Struct, frozen=True):
    """What came of it: how many items are shown to nobody any more, how many bodies were deleted, and how many were not
    because other sessions hold the same."""

    items: int
    bodies: int
    kept: int


class _Held(msgspec.Struct):
    """What a session's log holds up to event `seq`: the hash of every item, and those that are not erased (`live`)."""

    row: SessionRow
    seq: int
    hashes: dict[str, str]
    live: dict[str, str]
    answers: dict[str, str]
    """By the item, the turn whose answer it is."""


async def erase(setup: Setup, row: SessionRow, item: str | None, by: str) -> Erased:
    """Erase all items of a session, or one of them and with it every other of the tenant that has the same body.

    Raises NotFound for an item that does not exist, and Refused while a session that holds it is at work.
    """
    ports = setup.ports
    held = await _tenant(ports.log, row.tenant)
    mine = held[row.session]
    if item is not None and item not in mine.hashes:
        raise NotFound(f"There is no item {item} in session {row.session}: `standpipe log {row.session}` lists its items.")
    hashes = set(mine.hashes.values()) if item is None else {mine.hashes[item]}
    sessions = [mine] if item is None else [one for one in held.values() if not hashes.isdisjoint(one.hashes.values())]
    gone = {one.row.session: [id for id, hash in one.live.items() if hash in hashes] for one in sessions}
    await _tell(setup, sessions, gone, by)
    others = {hash for one in held.values() if one not in sessions for hash in one.live.values()}
    seen = {name: one.seq for name, one in held.items()}
    bodies = await ports.log.erase(row.tenant, hashes - others, seen)
    for one in sessions:
        turns = {turn for id, turn in one.answers.items() if item is None or one.hashes[id] in hashes}
        await ports.search.forget(row.tenant, one.row.principal, [f"{one.row.session}.{turn}" for turn in sorted(turns)])
    return Erased(sum(map(len, gone.values())), bodies, len(hashes & others))


async def _tenant(log: Log, tenant: str) -> dict[str, _Held]:
    found: dict[str, _Held] = {}
    for row in await log.rows():
        if row.tenant == tenant:
            found[row.session] = _held(row, await log.read(row.session, bodies=False))
            await asyncio.sleep(0)  # others have their turn
    return found


def _held(row: SessionRow, frames: Sequence[Frame]) -> _Held:
    hashes, answers = dict[str, str](), dict[str, str]()
    for event in (event for frame in frames for event in frame.events):
        hashes |= {item.id: item.hash for item in items_of(event)}
        if isinstance(event.fact, TurnEnded):
            answers |= {item.id: event.fact.turn for item in event.fact.items}
    gone = erased_in(frames)
    live = {id: hash for id, hash in hashes.items() if id not in gone}
    return _Held(row, frames[-1].last_seq, hashes, live, answers)


async def _tell(setup: Setup, sessions: Sequence[_Held], gone: Mapping[str, Sequence[str]], by: str) -> None:
    """Have each log say what was erased of it, all of them held meanwhile. Raises Refused."""
    log, fences = setup.ports.log, dict[str, int]()
    try:
        for one in sessions:
            name, now = one.row.session, setup.ports.clock()
            idle = one.row.state == "idle" and not one.row.owes
            fence = await log.claim(name, setup.owner, now, now + LEASE_MS) if idle else None
            if fence is None:
                raise Refused(AT_WORK.format(name))
            fences[name] = fence
        for one in sessions:
            if gone[one.row.session] and not await _said(setup, one, gone[one.row.session], fences[one.row.session], by):
                raise Refused(AT_WORK.format(one.row.session))
    finally:
        for name, fence in fences.items():
            await log.release(name, fence)


async def _said(setup: Setup, one: _Held, ids: Sequence[str], fence: int, by: str) -> bool:
    record = Recorder(one.seq)
    record.add(ItemsErased(tuple(ids)), by=by)
    append = Append(
        session=one.row.session,
        tenant=one.row.tenant,
        at=setup.ports.clock(),
        by=setup.by,
        rules=setup.rules,
        expect_seq=one.seq,
        events=tuple(record.events),
        fence=fence,
        row=one.row,
    )
    return isinstance(await setup.ports.log.append(append), Appended)
