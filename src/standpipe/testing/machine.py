"""What outlives a simulated process: the log, the relations and the index, in memory or in SQLite on a disk that may fail.

After a power cut, or the crash of its only process, a store on the disk is opened anew from what is left of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from standpipe.core.events import Frame
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.access.sqlite import SqliteAccess
from standpipe.drivers.log.memory import MemoryLog, Projection
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.log.tables import SCHEMA as LOG_SCHEMA
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.search.sqlite import SqliteSearch
from standpipe.drivers.sqlite import Store
from standpipe.errors import StoreError
from standpipe.ports import AccessStore, Log, Owner, Search
from standpipe.testing.disk import Disk, Fault

PATH = Path("/standpipe.db")
_SCHEMAS = (LOG_SCHEMA, *SqliteAccess.SCHEMA, *SqliteSearch.SCHEMA)
_numbers = count(1)

Gone = Callable[[Owner], bool]


class ReadOnceLog(MemoryLog):
    """A log in memory that decodes each frame for the first reader only: a simulation reads the same ones many times."""

    def __init__(self, projections: Sequence[Projection], gone: Gone) -> None:
        super().__init__(projections, gone)
        self._read: dict[str, list[Frame]] = {}

    async def read(self, session: str, after: int = 0, *, bodies: bool = True, limit: int | None = None) -> list[Frame]:
        """The frames that hold events after seq `after`, `limit` at most."""
        if not bodies:
            return await super().read(session, after, bodies=False, limit=limit)
        known = self._read.setdefault(session, [])
        known += await super().read(session, known[-1].last_seq if known else 0)
        return known[bisect_right(known, after, key=lambda frame: frame.last_seq) :][:limit]


class Machine:
    """The stores as they are now. Whoever uses one says so by `log`, `access` and `search`, and looks there each time."""

    log: Log
    access: AccessStore
    search: Search
    disk: Disk | None = None

    def __init__(self, gone: Gone) -> None:
        """In memory."""
        relations = MemoryAccess()
        self.log, self.access, self.search = ReadOnceLog([relations.project], gone), relations, MemorySearch()

    def look(self) -> None:
        """See whether the power went since this was last asked; then all is as it was left on the disk."""

    @contextmanager
    def still(self) -> Iterator[None]:
        """For those who look on: nothing strikes the disk meanwhile."""
        yield

    def calm(self) -> None:
        """Nothing strikes the disk any more."""

    def restart(self) -> None:
        """The only process that used the stores is gone."""

    def relieve(self) -> bool:
        """Whatever the disk does not do, it does again; whether the store has to be opened anew, and was."""
        return False

    def close(self) -> None:
        """Nobody uses it any more."""


class DiskMachine(Machine):
    """Stores in SQLite on a disk of their own."""

    disk: Disk

    def __init__(self, gone: Gone, struck: Callable[[Fault], None], cut: Callable[[], None]) -> None:
        """`struck` is told of faults of the disk, `cut` of a power cut."""
        self._gone, self._cut = gone, cut
        self.disk = Disk(f"simulated-{next(_numbers)}", struck)
        self._power, self._syncs_failed = self.disk.power, 0
        self._open()

    def _open(self) -> None:
        self._store = Store.open(PATH, _SCHEMAS, inline=True, vfs=self.disk.name)
        kept = SqliteAccess(self._store)
        self.log, self.access, self.search = SqliteLog(self._store, [kept.project], self._gone), kept, SqliteSearch(self._store)

    def look(self) -> None:
        """See whether the power went since this was last asked."""
        if self.disk.power != self._power:
            self._reopen()
            self._cut()

    @contextmanager
    def still(self) -> Iterator[None]:
        """For those who look on: nothing strikes the disk meanwhile."""
        before, self.disk.still = self.disk.still, True
        try:
            yield
        finally:
            self.disk.still = before

    def calm(self) -> None:
        """Nothing strikes the disk any more."""
        self.disk.still = True

    def restart(self) -> None:
        """What the process had written the system still has; after a failed sync only a restart of the system shows what."""
        self.disk.crash("lost" if self._doubtful else "kept")
        self._reopen()

    @property
    def _doubtful(self) -> bool:
        """Whether a sync failed since the store was opened: then the system's cache and the disk may differ."""
        return self.disk.syncs_failed > self._syncs_failed

    def _reopen(self) -> None:
        self._power, self._syncs_failed = self.disk.power, self.disk.syncs_failed
        self._store.close()
        self._open()

    def relieve(self) -> bool:
        """Whatever the disk does not do, it does again; a store that does not trust it any more is opened anew."""
        self.disk.relieve()
        doubtful = self._doubtful
        if doubtful:
            self.restart()
        return doubtful

    def close(self) -> None:
        """Nobody uses it any more."""
        self.calm()
        with suppress(StoreError):
            self._store.close()
        self.disk.close()
