"""Puts relations out of force that have ended: a fact of the house log, written by whoever needs to know first."""

from __future__ import annotations

from standpipe.core.events import RelationsLapsed
from standpipe.core.ids import HOUSE
from standpipe.core.record import Recorder
from standpipe.ports import AccessStore, Append, Log

TIME = "time"
"""Who it was that ended a relation."""


async def lapse(log: Log, access: AccessStore, tenant: str) -> None:
    """Put out of force what has ended by now, so that its end has a revision like any other revocation. Raises StoreError."""
    while until := access.heads(tenant).lapsed:
        seq, _ = await log.heads(HOUSE)
        record = Recorder(seq)
        record.add(RelationsLapsed(tenant, until), by=TIME)
        await log.append(
            Append(session=HOUSE, tenant=tenant, at=until, by=TIME, rules="", expect_seq=seq, events=tuple(record.events))
        )
