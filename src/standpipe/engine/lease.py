"""Who drives a session, and until when: a lease that is renewed while the drive runs, and lost when another takes it."""

from __future__ import annotations

import asyncio
import contextlib

from standpipe.core.state import State
from standpipe.engine.drive import LEASE_MS, Lost, Result, Setup, drive
from standpipe.engine.opening import snapshot
from standpipe.engine.parking import CRASHES_MAX, park, patience_with
from standpipe.errors import StoreError
from standpipe.ports import Snapshot

RENEW_MS = 10_000
"""How often it is renewed."""
ALONE_MS = 5_000
"""How long a suspect is driven alone at most: whatever brings a process down at one place of a log does it sooner."""


async def drive_leased(setup: Setup, session: str, unrecorded: list[Result], chair: asyncio.Lock) -> State | None:
    """Drive a session if nobody else does; None if somebody does, or takes it over meanwhile, or if it is parked for its
    trouble. `unrecorded` is as in `drive`, `chair` is the one that suspects of this process share."""
    row, lease = await setup.ports.log.row(session), setup.ports.log.lease(session)
    if row is not None and row.trouble:
        return None
    if lease.crashes + (lease.owner not in (None, setup.owner)) >= CRASHES_MAX - 1:
        return await _driven_alone(setup, session, unrecorded, chair)
    fence = await _taken(setup, session)
    return await _driven(setup, session, fence, unrecorded) if fence is not None else None


async def _taken(setup: Setup, session: str) -> int | None:
    """The fence of the lease, or None: somebody else has it, or too many died with it, and the session is parked."""
    fence = await _claim(setup, session)
    if fence is None:
        return None
    crashes, row = setup.ports.log.lease(session).crashes, await setup.ports.log.row(session)
    parked = row is not None and bool(row.trouble)  # by another process, since this one looked
    if crashes < patience_with(row) and not parked:
        return fence
    if not parked:
        await park(setup, session, f"{crashes} processes that drove it died at the same place of its log", fence)
    await setup.ports.log.release(session, fence)
    return None


async def _driven_alone(setup: Setup, session: str, unrecorded: list[Result], chair: asyncio.Lock) -> State | None:
    """Drive a session that may bring this process down: one at a time, so that it alone is blamed, until its log has grown."""
    await chair.acquire()
    try:
        fence = await _taken(setup, session)
        if fence is None:
            return None
        seq, _ = await setup.ports.log.heads(session)
        driving = asyncio.ensure_future(_driven(setup, session, fence, unrecorded))
        grown = asyncio.ensure_future(setup.ports.log.wait(session, seq, ALONE_MS))
        try:
            await asyncio.wait({driving, grown}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)
            raise
        finally:
            grown.cancel()
            await asyncio.gather(grown, return_exceptions=True)
    finally:
        chair.release()
    return await driving


async def _driven(setup: Setup, session: str, fence: int, unrecorded: list[Result]) -> State | None:
    driving = asyncio.ensure_future(drive(setup, session, fence, unrecorded))
    kept: Snapshot | None = None
    try:
        while True:
            done, _ = await asyncio.wait({driving}, timeout=RENEW_MS / 1000)
            if done:
                kept = await snapshot(setup.ports.log, state := driving.result(), setup.rules)
                return state
            if not await _renewed(setup, session, fence):
                return None
    except Lost:
        return None
    finally:
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        with contextlib.suppress(StoreError):  # it lapses by itself
            await setup.ports.log.release(session, fence, kept)


async def _renewed(setup: Setup, session: str, fence: int) -> bool:
    """Whether the lease is still ours. While the store fails it is for all we know: the drive notices at its next append."""
    try:
        return await _claim(setup, session) == fence
    except StoreError:
        return True


async def _claim(setup: Setup, session: str) -> int | None:
    now = setup.ports.clock()
    return await setup.ports.log.claim(session, setup.owner, now, now + LEASE_MS)
