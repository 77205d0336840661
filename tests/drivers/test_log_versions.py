"""A store that holds what a later version wrote is read as far as it can be, and says what is the matter."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import apsw
import pytest
from tests.conformance.logs import append, written

from standpipe.drivers.log import tables
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import Store
from standpipe.engine.verify import verify
from standpipe.errors import StoreError
from standpipe.ports import SessionRow


def test_a_frame_of_a_later_version_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "standpipe.db"
    row = SessionRow("s", "acme", "user:ana", "a")

    async def write() -> None:
        with contextlib.closing(Store.open(path, [tables.SCHEMA])) as store:
            log = SqliteLog(store)
            await written(log, append("s", 0, row=row))
            await written(log, append("s", 1))

    asyncio.run(write())
    with contextlib.closing(apsw.Connection(str(path))) as con:
        con.execute(
            "UPDATE frames SET frame = CAST(replace(CAST(frame AS TEXT), 'MemoryKept', 'MemoryLost') AS BLOB) WHERE id = 2"
        )

    async def read() -> tuple[str, tuple[str, ...]]:
        with contextlib.closing(Store.open(path, [tables.SCHEMA])) as store:
            log = SqliteLog(store)
            with pytest.raises(StoreError) as told:
                await log.read("s")
            assert len(await log.read("s", limit=1)) == 1
            return str(told.value), (await verify(log)).violations

    sentence, violations = asyncio.run(read())
    why = "it holds a fact that this version does not know (MemoryLost): use a newer Standpipe"
    assert sentence == f"The log of session s has a frame behind seq 1 that cannot be read: {why}."
    assert f"Session s, frame at seq 2: {why}." in violations
    assert any(text.startswith("Session s cannot be read") for text in violations)
