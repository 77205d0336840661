"""Changes relations: one fact of the house log, made only of what really changes."""

from __future__ import annotations

import msgspec

from standpipe.core.events import FolderSynced, RelationsChanged
from standpipe.core.ids import HOUSE
from standpipe.core.record import Recorder
from standpipe.core.relations import inconsistent, meant, replaced
from standpipe.engine.drive import Setup
from standpipe.errors import UsageError
from standpipe.ports import Append, Appended, Log


class Changed(msgspec.Struct, frozen=True):
    """What came of a change: the tenant's revision after it, and which relations it really granted and revoked."""

    revision: int
    granted: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()


async def change(setup: Setup, wanted: RelationsChanged, by: str) -> Changed:
    """Grant and revoke relations (in canonical text); durable on return, and in force for every process.

    What is granted already or not there to be revoked changes nothing, and neither does the revision then. A grant takes the
    place of the same relation with another end, and of another definition of the same. Raises StoreError, and UsageError for
    definitions that have no meaning together with what is in force.
    """
    log, access = setup.ports.log, setup.ports.access
    while True:
        seq, _ = await log.heads(HOUSE)
        in_force = frozenset(await access.relations(wanted.tenant, wanted.namespace))
        granted = tuple(r for r in dict.fromkeys(wanted.granted) if r not in in_force)
        revoked = tuple(sorted(meant(in_force, wanted.revoked) | replaced(in_force, wanted.granted)))
        if not granted and not revoked:
            return Changed(access.heads(wanted.tenant).revision)
        wrong = inconsistent(in_force.difference(revoked).union(granted)) if granted else None
        if wrong is not None:
            raise UsageError(f"With this, `{wrong.text}` has no meaning: expected {wrong.expected}.")
        record = Recorder(seq)
        record.add(msgspec.structs.replace(wanted, granted=granted, revoked=revoked), by=by)
        append = Append(
            session=HOUSE,
            tenant=wanted.tenant,
            at=setup.ports.clock(),
            by=setup.by,
            rules=setup.rules,
            expect_seq=seq,
            events=tuple(record.events),
        )
        answer = await log.append(append)
        if isinstance(answer, Appended):
            return Changed(answer.seq, granted, revoked)


async def synced(log: Log) -> list[FolderSynced]:
    """Every time a folder of any tenant was indexed and had changed, oldest first."""
    frames = await log.read(HOUSE, bodies=False)
    return [event.fact for frame in frames for event in frame.events if isinstance(event.fact, FolderSynced)]


async def folders(log: Log, tenant: str) -> dict[str, str]:
    """The folders that a tenant has indexed: where each was found last, by its id."""
    return {fact.folder: fact.root for fact in await synced(log) if fact.tenant == tenant}
