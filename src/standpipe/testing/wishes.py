"""Wishes as another process admits them, which drives nothing: through the same door, and into the same log."""

from __future__ import annotations

from standpipe.core.admit import Refusal, Wish, admit
from standpipe.core.apply import apply, fold
from standpipe.core.world import Access, Policy, World
from standpipe.engine.beside import row_of
from standpipe.ports import Append, Log
from standpipe.testing.scenario import TENANT


async def send(log: Log, policy: Policy, session: str, wish: Wish, now: int) -> bool:
    """Append what the wish becomes, once; whether it became anything. Raises StoreError."""
    state = fold(await log.read(session))
    seen = await log.seen(session, wish.request)
    events = admit(state, wish, World(policy, {}, Access(0, 0), seen=seen), now)
    if isinstance(events, Refusal) or not events:
        return False
    before = events[0].seq - 1
    for event in events:
        apply(state, event)
    await log.append(
        Append(
            session=session,
            tenant=TENANT,
            at=now,
            by="operator",
            rules="",
            expect_seq=before,
            events=tuple(events),
            requests=(wish.request,),
            row=row_of(state),
        )
    )
    return True
