"""The log among real processes and on broken files: nothing acknowledged is lost, and trouble is one clear sentence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.conformance.logs import NOW, append, says, written

from standpipe.core.amounts import Balance
from standpipe.core.frames import items_of
from standpipe.core.items import Text
from standpipe.drivers.log import tables
from standpipe.drivers.log.owner import current_owner, dead
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import Store
from standpipe.errors import StoreError
from standpipe.ports import Owner

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 8
SESSIONS = [f"s{n}" for n in range(8)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "standpipe.db"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[SqliteLog]:
    with contextlib.closing(Store.open(path, [tables.SCHEMA])) as store:
        yield SqliteLog(store)


@contextlib.contextmanager
def child(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process of log_children, which is gone at the end."""
    command = [sys.executable, "-m", "tests.ends.log_children", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    return out


def test_what_was_acknowledged_survives_sigkill(path: Path) -> None:
    acknowledged: dict[tuple[str, int], str] = {}
    for n in range(KILLS):
        with child("acknowledge", path, len(SESSIONS)) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(0.005 * n * n)  # 0 to 245 ms: in the middle of small and of large groups, and of a checkpoint
            process.send_signal(signal.SIGKILL)
            lines = (first + process.communicate()[0]).splitlines(keepends=True)
        for line in lines:
            assert not line.endswith("\n") or len(line.split()) == 3, lines[-5:]
        for session, seq, head in (line.split() for line in lines if line.endswith("\n")):
            acknowledged[session, int(seq)] = head

        with opened(path) as log:
            asyncio.run(is_whole(log, acknowledged))
    assert len(acknowledged) > 100


async def is_whole(log: SqliteLog, acknowledged: dict[tuple[str, int], str]) -> None:
    """Every acknowledged frame is there, all frames are sound, and money, requests and bodies are those of the frames."""
    frames = {session: await log.read(session) for session in SESSIONS}
    heads = {(session, frame.last_seq): frame for session, all in frames.items() for frame in all}

    assert acknowledged.keys() <= heads.keys()
    for (session, seq), head in acknowledged.items():
        after = heads.get((session, seq + 1))
        assert head == (after.prev if after else (await log.heads(session))[1])
    assert await log.chain() == []
    assert await log.balances(["day"]) == {"day": Balance(len(heads))}
    for (session, seq), frame in heads.items():
        (event,) = frame.events
        assert [item.body for item in items_of(event)] == [Text(f"{session} said {seq - 1}")]
        assert await log.seen(session, f"r{seq - 1}")


def test_processes_that_append_to_one_log_lose_and_repeat_nothing(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(child("contend", path, name, 100)) for name in "abc"]
        assert [finish(process) for process in processes] == ["", "", ""]

    async def look() -> None:
        frames = await log.read("shared")
        bodies: list[Any] = [item.body for frame in frames for event in frame.events for item in items_of(event)]

        assert [frame.first_seq for frame in frames] == list(range(1, 301))
        for name in "abc":
            assert [body.text for body in bodies if body.text.startswith(name)] == [f"{name} {n}" for n in range(100)]
        assert await log.balances(["day"]) == {"day": Balance(300)}
        assert await log.chain() == []

    with opened(path) as log:
        asyncio.run(look())


def test_processes_that_make_one_store_at_once_all_get_it(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(child("begin", path, f"s{n}")) for n in range(6)]
        assert [finish(process) for process in processes] == [""] * 6

    with opened(path) as log:
        assert [asyncio.run(log.heads(f"s{n}"))[0] for n in range(6)] == [1] * 6
        assert asyncio.run(log.chain()) == []


def test_a_killed_owner_loses_its_lease_at_once_a_living_one_keeps_it(path: Path) -> None:
    with opened(path) as log, child("hold", path, "s1") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        assert asyncio.run(log.claim("s1", current_owner(), NOW, NOW + 100)) is None

        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie: its pid is still taken
        assert asyncio.run(log.claim("s1", current_owner(), NOW, NOW + 100)) == 2


def test_an_owner_is_dead_only_when_that_is_certain() -> None:
    me = current_owner()
    with child("hold", "nowhere/at/all", "s1") as process:
        pid = process.pid

    assert not dead(me)
    assert dead(Owner(me.host, pid, me.started))
    assert dead(Owner(me.host, me.pid, "another boot:1"))
    assert not dead(Owner("another host", pid, me.started))
    assert not dead(Owner(me.host, os.getppid(), started_of(os.getppid())))


def started_of(pid: int) -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"


def test_waiting_ends_when_another_process_writes(path: Path) -> None:
    with opened(path) as log, child("follow", path, "s1", 1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        asyncio.run(written(log, append("s2", 0)))
        asyncio.run(written(log, append("s1", 0)))
        time.sleep(0.15)
        assert process.poll() is None
        answer = asyncio.run(written(log, append("s1", 1)))

        started = time.monotonic()
        assert process.stdout.readline() == f"2 {answer.head}\n"
        assert time.monotonic() - started < 5


def filled(path: Path) -> Path:
    """A closed store of some hundred pages."""

    async def fill() -> None:
        for seq in range(100):
            await written(log, append("s1", seq, says(seq + 1, f"{seq}" * 2000)))

    with opened(path) as log:
        asyncio.run(fill())
    return path


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def another_program(path: Path) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as con:
        con.execute("CREATE TABLE places (id)")


def truncated(path: Path) -> None:
    os.truncate(filled(path), 100 * 4096)


def cut_in_a_page(path: Path) -> None:
    os.truncate(filled(path), 50 * 4096 + 700)


BROKEN = {
    "garbage": (garbage, "is not a Standpipe store; move the file away and a new store is made"),
    "another program's": (another_program, "is not a Standpipe store; move the file away and a new store is made"),
    "truncated": (truncated, "is damaged; put a copy back in its place"),
    "cut in a page": (cut_in_a_page, "is damaged; put a copy back in its place"),
    "a folder": (Path.mkdir, "cannot be opened; check that its folder may be written and that it is a file"),
}


@pytest.mark.parametrize(("breaks", "told"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_store_is_told_and_left_alone(path: Path, breaks: Any, told: str) -> None:
    breaks(path)
    before = path.read_bytes() if path.is_file() else b""

    with pytest.raises(StoreError) as raised:
        Store.open(path, [tables.SCHEMA])

    assert str(raised.value).startswith(f"The store {path} {told}")
    assert "\n" not in str(raised.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_store_under_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(StoreError, match=r"cannot be used \(.+\); make its folder writable, or name another store\.$"):
        Store.open(tmp_path / "file" / "standpipe.db", [tables.SCHEMA])


def test_damage_inside_is_told_when_it_is_met(path: Path) -> None:
    with filled(path).open("r+b") as file:
        for page in range(20, 100):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)

    with opened(path) as log, pytest.raises(StoreError, match="is damaged; put a copy back"):
        asyncio.run(log.read("s1"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="rights of root can be laid down on Linux")
@pytest.mark.parametrize("rights", [(0o444, 0o555), (0o444, 0o755), (0o000, 0o755)], ids=["all", "file", "unreadable"])
def test_a_store_that_may_not_be_written_is_told(path: Path, rights: tuple[int, int]) -> None:
    filled(path)
    os.chmod(path, rights[0])
    os.chmod(path.parent, rights[1])
    try:
        with child("without_rights", "begin", path, "s2") as process:
            out, err = process.communicate(timeout=30)
    finally:
        os.chmod(path.parent, 0o755)

    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"StoreError: The store {path} ")
    assert ("is read-only; give this user the right" in err) == (rights[0] == 0o444)
    assert err.count("\n") == 1


def test_a_new_store_where_nothing_may_be_written_is_told(path: Path) -> None:
    os.chmod(path.parent, 0o555)
    try:
        with child("without_rights", "begin", path, "s1") as process:
            _, err = process.communicate(timeout=30)
    finally:
        os.chmod(path.parent, 0o755)

    assert err.startswith(f"StoreError: The store {path} cannot be opened; check that its folder may be written")
