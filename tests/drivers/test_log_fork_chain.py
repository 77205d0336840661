"""A fork whose past was changed by other hands is told, and so is what the store keeps of it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import apsw
import pytest
from tests.conformance.logs import append, written

from standpipe.core.events import SessionForked
from standpipe.drivers.log import tables
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import Store

TAMPERINGS = {
    "UPDATE forks SET parent = 'q'": "Session f: it does not say that it was forked from session q at seq 2.",
    "UPDATE forks SET at = 1": "Session f: it does not say that it was forked from session p at seq 1.",
    "INSERT INTO forks VALUES ('q', 'p', 0)": "Session q: it does not say that it was forked from session p at seq 0.",
    "DELETE FROM frames WHERE id = 2": ("Session f, frame at seq 3: it was not forked from what session p holds up to seq 2."),
}


def faults(path: Path) -> list[str]:
    with contextlib.closing(Store.open(path, [tables.SCHEMA])) as store:
        return asyncio.run(SqliteLog(store).chain())


@pytest.mark.parametrize("statement", TAMPERINGS)
def test_every_tampering_with_a_fork_is_found(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "standpipe.db"

    async def write() -> None:
        with contextlib.closing(Store.open(path, [tables.SCHEMA])) as store:
            log = SqliteLog(store)
            await written(log, append("p", 0))
            head = (await written(log, append("p", 1))).head
            await written(log, append("q", 0))
            await written(log, append("f", 2, SessionForked("f", "p", 2, head)))

    asyncio.run(write())
    assert faults(path) == []
    with contextlib.closing(apsw.Connection(str(path))) as con:
        con.execute(statement)
    assert TAMPERINGS[statement] in faults(path)
