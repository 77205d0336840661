"""Processes that tests start, kill and race against each other: `python -m tests.ends.log_children VERB PATH ...`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
from pathlib import Path

from tests.conformance.logs import append, says, written

from standpipe.core.amounts import Move
from standpipe.drivers.log import tables
from standpipe.drivers.log.owner import current_owner
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import Store
from standpipe.errors import StoreError
from standpipe.ports import Appended


async def acknowledge(log: SqliteLog, sessions: str) -> None:
    """Append to so many sessions for ever, and print `session seq head` of each append once it is acknowledged."""

    async def one(session: str) -> None:
        seq, _ = await log.heads(session)
        while True:
            said = says(seq + 1, f"{session} said {seq}")
            answer = await written(log, append(session, seq, said, moves=(Move("day", 1),), requests=(f"r{seq}",)))
            seq = answer.seq
            print(session, seq, answer.head, flush=True)

    await asyncio.gather(*(one(f"s{n}") for n in range(int(sessions))))


async def contend(log: SqliteLog, name: str, times: str) -> None:
    """Append so many events to the one log `shared`, each where the log ends, looking again when it was stale."""
    done = 0
    while done < int(times):
        seq, _ = await log.heads("shared")
        said = says(seq + 1, f"{name} {done}")
        done += isinstance(await log.append(append("shared", seq, said, by=name, moves=(Move("day", 1),))), Appended)


async def begin(log: SqliteLog, session: str) -> None:
    """Append one event to a new log."""
    await written(log, append(session, 0))


async def hold(log: SqliteLog, session: str) -> None:
    """Claim a lease, say so and hold it."""
    print(await log.claim(session, current_owner(), 0, 2**60), flush=True)
    await asyncio.sleep(60)


async def follow(log: SqliteLog, session: str, after: str) -> None:
    """Say that this process is there, then wait until a log grows."""
    print("ready", flush=True)
    await log.wait(session, int(after), 60_000)
    print(*await log.heads(session), flush=True)


VERBS = {verb.__name__: verb for verb in (acknowledge, contend, begin, hold, follow)}


def without_rights(arguments: list[str]) -> None:
    """Run another verb as a user to whom file rights apply; they do not to root. Linux: prctl(2), capabilities(7)."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            assert libc.prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP, in force after the next exec
    os.execv(sys.executable, [sys.executable, "-m", "tests.ends.log_children", *arguments])


def main(verb: str, path: str, *arguments: str) -> None:
    """Run a verb on the store at `path`; a StoreError is one line on stderr and status 4."""
    if verb == "without_rights":
        without_rights([path, *arguments])
    try:
        with contextlib.closing(Store.open(Path(path), [tables.SCHEMA])) as store:
            asyncio.run(VERBS[verb](SqliteLog(store), *arguments))
    except StoreError as error:
        sys.exit(f"StoreError: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
