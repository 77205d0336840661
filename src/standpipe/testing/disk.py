"""A disk in memory for SQLite: what is written is volatile until it is synced, and it fails when it is told to.

    disk = Disk("disk")                                   # a VFS of that name; close it when nobody uses it any more
    store = Store.open(Path("/standpipe.db"), schemas, inline=True, vfs=disk.name)
    disk.strike("full", after=3)                          # three writes go well, then the disk is full ...
    disk.relieve()                                        # ... until there is room again
    disk.cut(after=7, tear="sectors", seed=1)             # power goes at the seventh write or sync from now on
    disk.crash()                                          # or at once; whoever opens the store next finds what is left

`operations` counts all writes, truncations and syncs, so that power can be cut at each; `struck` is told of each fault as it
strikes. Without threads, clock or chance: what a crash leaves follows from its seed. Python cannot lend SQLite the shared
memory that several connections to a WAL need: a store on such a disk has one connection (`inline`) and locks its file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Literal

import apsw

Fault = Literal["full", "write", "sync", "locked", "gone"]
"""No room for a write; a write, or a sync, fails; another process has the lock; nothing at all can be reached."""

Tear = Literal["lost", "kept", "prefix", "sectors"]
"""What a crash leaves of what was not synced: nothing; all, for now (only the process died); the first of it; any of its
sectors."""

SECTOR_BYTES = 512
"""What is written whole or not at all."""

_HURTS: dict[Fault, dict[str, int]] = {
    "full": {"write": apsw.SQLITE_FULL},
    "write": {"write": apsw.SQLITE_IOERR_WRITE, "truncate": apsw.SQLITE_IOERR_TRUNCATE},
    "sync": {"sync": apsw.SQLITE_IOERR_FSYNC},
    "locked": {"lock": apsw.SQLITE_BUSY, "write": apsw.SQLITE_BUSY},
    "gone": {
        "open": apsw.SQLITE_CANTOPEN,
        "read": apsw.SQLITE_IOERR_READ,
        "write": apsw.SQLITE_IOERR_WRITE,
        "truncate": apsw.SQLITE_IOERR_TRUNCATE,
        "sync": apsw.SQLITE_IOERR_FSYNC,
        "lock": apsw.SQLITE_IOERR_LOCK,
    },
}
"""By fault, which kinds of operations it strikes, and with what."""


class _Stored:
    """A file: its bytes as everybody reads them, those that are on the platter, and who holds which lock on it."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.durable = bytearray()
        self.locks: dict[int, int] = {}


class _Write:
    """Bytes written to a place of a file; or, without bytes, a new length."""

    def __init__(self, file: _Stored, at: int, data: bytes | None) -> None:
        self.file, self.at, self.data = file, at, data

    def apply(self, to: bytearray) -> None:
        if self.data is None:
            del to[self.at :]
        to.extend(bytes(max(0, self.at - len(to))))
        to[self.at : self.at + len(self.data or b"")] = self.data or b""

    def sectors(self) -> list[_Write]:
        """What may survive on its own."""
        if self.data is None:
            return [self]
        ends = range(self.at // SECTOR_BYTES * SECTOR_BYTES, self.at + len(self.data), SECTOR_BYTES)
        pieces = ((max(self.at, end), min(self.at + len(self.data), end + SECTOR_BYTES)) for end in ends)
        return [_Write(self.file, first, self.data[first - self.at : last - self.at]) for first, last in pieces]


class Disk(apsw.VFS):
    """The disk, and the operating system's cache above it."""

    def __init__(self, name: str, struck: Callable[[Fault], None] | None = None) -> None:
        """Register it with SQLite as `name`; `struck` is called whenever a fault strikes, before anybody sees it."""
        super().__init__(name, "")
        self.name = name
        self.operations = 0
        self.struck: Counter[Fault] = Counter()
        self._tell = struck
        self._files: dict[str, _Stored] = {}
        self._unsynced: list[_Write] = []
        self._faults: dict[Fault, tuple[int, int | None]] = {}
        self._cut: tuple[int, Tear, int] | None = None
        self.still = False
        self.syncs_failed = 0
        self.power = 1
        """How often it was switched on: files opened before the last time are of no use."""

    def strike(self, fault: Fault, *, after: int = 0, times: int | None = None) -> None:
        """Have a fault strike so many times, or until it is relieved, once `after` operations it could have struck are done."""
        self._faults[fault] = (after, times)

    def relieve(self, fault: Fault | None = None) -> None:
        """End a fault, or all of them."""
        self._faults = {kind: when for kind, when in self._faults.items() if fault not in (None, kind)}

    def cut(self, after: int, tear: Tear = "lost", seed: int = 0) -> None:
        """Have the power go at the operation that comes as number `after` from now on, while it is done."""
        self._cut = (self.operations + after, tear, seed)

    def crash(self, tear: Tear = "lost", seed: int = 0) -> None:
        """Lose what was not synced, or keep some of it. Files that are open are of no use any more, faults are over."""
        if tear != "kept":
            self._lose(tear, Random(seed))
        for file in self._files.values():
            file.locks.clear()
        self._faults, self._cut = {}, None
        self.power += 1

    def _lose(self, tear: Tear, random: Random) -> None:
        pieces = [piece for write in self._unsynced for piece in write.sectors()]
        first = random.randint(0, len(pieces)) if tear == "prefix" else 0
        for n, piece in enumerate(pieces):
            if n < first or (tear == "sectors" and random.random() < 0.5):
                piece.apply(piece.file.durable)
        for file in self._files.values():
            file.seen = file.durable.copy()
        self._unsynced = []

    def close(self) -> None:
        """Forget it all."""
        self.unregister()
        self._files.clear()

    # --- what SQLite asks of a VFS and of its files ---------------------------------------------------------------------

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:
        """A file, made if there is none."""
        self._look("open")
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        assert path is not None, "temporary files are kept in memory: PRAGMA temp_store"
        if path not in self._files and not flags[0] & apsw.SQLITE_OPEN_CREATE:
            raise apsw.exception_for(apsw.SQLITE_CANTOPEN)
        flags[1] = flags[0]
        return _Open(self, self._files.setdefault(path, _Stored()))

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Remove a file; on this disk that is durable at once."""
        self._look("open")
        file = self._files.pop(filename, None)
        self._unsynced = [write for write in self._unsynced if write.file is not file]

    def xAccess(self, pathname: str, flags: int) -> bool:
        """Whether there is such a file."""
        return pathname in self._files

    def xFullPathname(self, name: str) -> str:
        """Names are paths already."""
        return name

    def _look(self, operation: str) -> None:
        """Raise what strikes an operation."""
        if self.still:
            return
        for fault, (after, times) in self._faults.items():
            code = _HURTS[fault].get(operation)
            if code is None:
                continue
            if after or times == 0:
                self._faults[fault] = (max(0, after - 1), times)
                continue
            self._faults[fault] = (0, None if times is None else times - 1)
            self.struck[fault] += 1
            if self._tell is not None:
                self._tell(fault)
            raise apsw.exception_for(code)

    def _change(self, write: _Write, operation: str) -> None:
        """Write to the cache; half of it where the write fails."""
        self.operations += 1
        try:
            self._look(operation)
        except apsw.Error:
            if write.data is not None:
                self._cache(_Write(write.file, write.at, write.data[: len(write.data) // 2]))
            raise
        self._cache(write)
        self._fail_if_cut()

    def _cache(self, write: _Write) -> None:
        write.apply(write.file.seen)
        self._unsynced.append(write)

    def _sync(self, file: _Stored) -> None:
        """Bring a file to the platter. What a failed sync leaves behind looks clean to the system, and is never written."""
        self.operations += 1
        mine = [write for write in self._unsynced if write.file is file]
        try:
            self._look("sync")
            self._fail_if_cut()
        except apsw.Error:
            self.syncs_failed += 1
            raise
        finally:
            self._unsynced = [write for write in self._unsynced if write.file is not file]
        for write in mine:
            write.apply(file.durable)

    def _fail_if_cut(self) -> None:
        if self._cut is not None and not self.still and self.operations >= self._cut[0]:
            self.crash(*self._cut[1:])
            raise apsw.exception_for(apsw.SQLITE_IOERR)


class _Open:
    """A file that somebody opened: what SQLite calls, by the names it has for it."""

    def __init__(self, disk: Disk, file: _Stored) -> None:
        self._disk, self._file, self._power = disk, file, disk.power

    def xRead(self, amount: int, offset: int) -> bytes:
        self._alive("read")
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._alive()
        self._disk._change(_Write(self._file, offset, bytes(data)), "write")

    def xTruncate(self, newsize: int) -> None:
        self._alive()
        self._disk._change(_Write(self._file, newsize, None), "truncate")

    def xSync(self, flags: int) -> None:
        self._alive()
        self._disk._sync(self._file)

    def xFileSize(self) -> int:
        self._alive("read")
        return len(self._file.seen)

    def xLock(self, level: int) -> None:
        if self._power != self._disk.power:  # what closes the connection of a dead process asks first, and minds no refusal
            raise apsw.exception_for(apsw.SQLITE_BUSY)
        self._disk._look("lock")
        others = [held for who, held in self._file.locks.items() if who != id(self)]
        allowed = {
            apsw.SQLITE_LOCK_SHARED: apsw.SQLITE_LOCK_RESERVED,
            apsw.SQLITE_LOCK_RESERVED: apsw.SQLITE_LOCK_SHARED,
        }.get(level, apsw.SQLITE_LOCK_NONE)
        if any(held > allowed for held in others):
            raise apsw.exception_for(apsw.SQLITE_BUSY)
        self._file.locks[id(self)] = max(level, self._file.locks.get(id(self), 0))

    def xUnlock(self, level: int) -> None:
        if self._power == self._disk.power:
            self._file.locks[id(self)] = level

    def xCheckReservedLock(self) -> bool:
        return any(held >= apsw.SQLITE_LOCK_RESERVED for held in self._file.locks.values())

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None:
        if self._power == self._disk.power:
            self._file.locks.pop(id(self), None)

    def _alive(self, operation: str = "") -> None:
        if self._power != self._disk.power:
            raise apsw.exception_for(apsw.SQLITE_IOERR)
        if operation:
            self._disk._look(operation)
