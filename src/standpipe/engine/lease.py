"""Who drives a session, and until when: a lease that is renewed while the drive runs, and lost when another takes it."""

from __future__ import annotations

import asyncio

from standpipe.core.state import State
from standpipe.engine.drive import Lost, Setup, drive

LEASE_MS = 30_000
"""How long a lease lasts without renewal; a dead owner on the same host is replaced without waiting for it."""
RENEW_MS = 10_000
"""How often it is renewed."""


async def drive_leased(setup: Setup, session: str) -> State | None:
    """Drive a session if nobody else does; None if somebody does, or takes it over meanwhile."""
    fence = await _claim(setup, session)
    if fence is None:
        return None
    driving = asyncio.ensure_future(drive(setup, session, fence))
    try:
        while True:
            done, _ = await asyncio.wait({driving}, timeout=RENEW_MS / 1000)
            if done:
                return driving.result()
            if await _claim(setup, session) != fence:
                return None
    except Lost:
        return None
    finally:
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        await setup.ports.log.release(session, fence)


async def _claim(setup: Setup, session: str) -> int | None:
    now = setup.ports.clock()
    return await setup.ports.log.claim(session, setup.owner, now, now + LEASE_MS)
