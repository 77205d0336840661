"""Reads the gauges of a measurement: percentiles, memory of this process, bytes of a store."""

from __future__ import annotations

import math
import resource
from collections.abc import Sequence
from pathlib import Path

import apsw

STATUS = Path("/proc/self/status")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values do not exceed, by nearest rank; 0 for no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def rss_mb(*, peak: bool = False) -> float:
    """Resident memory of this process in MB (2**20), now or at its peak; where only the peak is known, that."""
    name = "VmHWM:" if peak else "VmRSS:"
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stored_bytes(path: Path) -> int:
    """Bytes of an SQLite store after a checkpoint: the database file and what is left of its write-ahead log."""
    con = apsw.Connection(str(path))
    try:
        con.set_busy_timeout(5_000)
        con.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # one that has read nothing finds no log to move
        left, moved = con.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        assert left == moved >= 0, "the write-ahead log could not be moved into the store"
    finally:
        con.close()
    return sum(file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists())
