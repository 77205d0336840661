"""Whatever is changed in a stored log by other hands is found."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.conformance.logs import append, says, written

from standpipe.core.events import WorldRecord
from standpipe.core.frames import decode_frame, encode_frame
from standpipe.core.ids import digest_bytes
from standpipe.drivers.log import tables
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import Store

PART = b'{"policy":1}'
PARTS = {digest_bytes(PART): PART}
WORLD = WorldRecord({"policy": digest_bytes(PART)})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A closed store with three sessions, of four frames each, written in four commits of three frames."""
    path = tmp_path / "standpipe.db"

    async def fill() -> None:
        with contextlib.closing(Store.open(path, [tables.SCHEMA])) as store:
            log = SqliteLog(store)
            for seq in range(4):
                facts = [says(seq + 1, f"body {n} {seq}") for n in range(3)]
                appends = [append(f"s{n}", seq, fact, world=WORLD, parts=PARTS) for n, fact in enumerate(facts)]
                await asyncio.gather(*(written(log, one) for one in appends))

    asyncio.run(fill())
    return path


def faults(path: Path) -> list[str]:
    with contextlib.closing(Store.open(path, [tables.SCHEMA])) as store:
        return asyncio.run(SqliteLog(store).chain())


def tamper(path: Path, *statements: str) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as con:
        con.create_scalar_function("digest", lambda *values: digest_bytes(as_any(values[0])))
        con.create_scalar_function("renamed", lambda *values: renamed(as_any(values[0])))
        before = con.total_changes()
        for statement in statements:
            con.execute(statement)
        assert con.total_changes() > before


def renamed(data: bytes) -> bytes:
    """The same frame by somebody else, well-formed."""
    return encode_frame(decode_frame(data.replace(b'"by":"test"', b'"by":"else"')))


def as_any(value: Any) -> Any:
    """What SQLite passes to a function has every type that it knows."""
    return value


def test_an_untouched_store_has_no_faults(store: Path) -> None:
    assert faults(store) == []
    with contextlib.closing(apsw.Connection(str(store))) as con:
        assert con.execute("SELECT (SELECT count(*) FROM commits), (SELECT count(*) FROM frames)").get == (4, 12)


def test_an_erased_body_is_no_fault(store: Path) -> None:
    tamper(store, "DELETE FROM bodies WHERE id = 1")

    assert faults(store) == []


LAST = "(SELECT max(id) FROM frames)"
REHEAD = f"UPDATE sessions SET head = (SELECT digest FROM frames WHERE id = {LAST}) WHERE session = 's2'"
CUT = (
    f"DELETE FROM frames WHERE id = {LAST}",
    "UPDATE sessions SET (seq, head) = (SELECT last_seq, digest FROM frames WHERE session = 3 ORDER BY id DESC) WHERE id = 3",
)
TAMPERINGS: dict[str, tuple[tuple[str, ...], str]] = {
    "a byte of a frame": (("UPDATE frames SET frame = replace(frame, 'test', 'tesT') WHERE id = 5",), "seq 2: its bytes"),
    "a frame that is none": (("UPDATE frames SET frame = 'x' WHERE id = 5",), "cannot be read"),
    "a frame and its digest": (
        ("UPDATE frames SET frame = renamed(frame) WHERE id = 5", "UPDATE frames SET digest = digest(frame) WHERE id = 5"),
        "frame at seq 3: it was not written after",
    ),
    "the last frame, its digest and its head": (
        (
            f"UPDATE frames SET frame = renamed(frame) WHERE id = {LAST}",
            f"UPDATE frames SET digest = digest(frame) WHERE id = {LAST}",
            REHEAD,
        ),
        "Commit 4",
    ),
    "the last frame gone": ((f"DELETE FROM frames WHERE id = {LAST}",), "Session s2: its log was written up to seq 4"),
    "the last frame gone, head put back": (CUT, "Commit 4"),
    "the last frame and commit gone": ((CUT[0], "DELETE FROM commits WHERE number = 4"), "Session s2"),
    "a frame in the middle gone": (("DELETE FROM frames WHERE id = 5",), "does not follow seq 1"),
    "a session gone": (("DELETE FROM frames WHERE session = 2", "DELETE FROM sessions WHERE id = 2"), "Commit 1"),
    "a session's row gone": (("DELETE FROM sessions WHERE id = 2",), "its frames do not end there"),
    "the last commit gone": (("DELETE FROM commits WHERE number = 4",), "3 frames at the end belong to no commit"),
    "a commit in the middle gone": (("DELETE FROM commits WHERE number = 2",), "Commit 3"),
    "a commit changed": (("UPDATE commits SET digest = digest(x'78') WHERE number = 4",), "Commit 4"),
    "frames swapped": (
        (
            "CREATE TEMP TABLE old AS SELECT id, digest, frame FROM frames WHERE id IN (5, 8)",
            "UPDATE frames SET (digest, frame) = (SELECT digest, frame FROM old WHERE id = 13 - frames.id) WHERE id IN (5, 8)",
        ),
        "does not follow",
    ),
    "logs swapped": (
        ("UPDATE sessions SET session = session || 'x'", "UPDATE sessions SET session = 's' || (3 - id)"),
        "Commit 1",
    ),
    "a seq in the index": (("UPDATE frames SET first_seq = 9 WHERE id = 5",), "does not follow"),
    "a body": (("UPDATE bodies SET body = replace(body, '0', '1') WHERE id = 1",), "item body"),
    "a world part": (("UPDATE parts SET part = 'x'",), "world part"),
    "a world part gone": (("DELETE FROM parts",), "part of its world is missing"),
    "a head": (("UPDATE sessions SET head = digest(x'78') WHERE id = 1",), "Session s0: its log was written up to seq 4"),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "told"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_every_tampering_is_found(store: Path, statements: tuple[str, ...], told: str) -> None:
    tamper(store, *statements)

    assert any(told in fault for fault in faults(store)), faults(store)
