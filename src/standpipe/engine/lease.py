"""Who drives a session, and until when: a lease that is renewed while the drive runs, and lost when another takes it."""

from __future__ import annotations

import asyncio
import contextlib

from standpipe.core.state import State
from standpipe.engine.drive import Lost, Result, Setup, drive
from standpipe.errors import StoreError

LEASE_MS = 30_000
"""How long a lease lasts without renewal; a dead owner on the same host is replaced without waiting for it."""
RENEW_MS = 10_000
"""How often it is renewed."""


async def drive_leased(setup: Setup, session: str, unrecorded: list[Result]) -> State | None:
    """Drive a session if nobody else does; None if somebody does, or takes it over meanwhile. `unrecorded` is as in `drive`."""
    fence = await _claim(setup, session)
    if fence is None:
        return None
    driving = asyncio.ensure_future(drive(setup, session, fence, unrecorded))
    try:
        while True:
            done, _ = await asyncio.wait({driving}, timeout=RENEW_MS / 1000)
            if done:
                return driving.result()
            if not await _renewed(setup, session, fence):
                return None
    except Lost:
        return None
    finally:
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        with contextlib.suppress(StoreError):  # it lapses by itself
            await setup.ports.log.release(session, fence)


async def _renewed(setup: Setup, session: str, fence: int) -> bool:
    """Whether the lease is still ours. While the store fails it is for all we know: the drive notices at its next append."""
    try:
        return await _claim(setup, session) == fence
    except StoreError:
        return True


async def _claim(setup: Setup, session: str) -> int | None:
    now = setup.ports.clock()
    return await setup.ports.log.claim(session, setup.owner, now, now + LEASE_MS)
