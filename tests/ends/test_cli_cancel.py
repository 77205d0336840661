"""The verb cancel, and what the command line tells of a session that is parked for its trouble."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from tests.ends.command_line import CommandLine
from tests.scripts import Script, called

import standpipe as sp
from standpipe.core.tools import ToolSpec
from standpipe.drivers.log import tables
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import Store
from standpipe.ports import Owner

STORE = ".standpipe/standpipe.db"
REASON = "3 processes that drove it died at the same place of its log"


def parked(folder: Path) -> str:
    """A session in the folder's store whose turn waits for an answer."""

    async def main() -> str:
        models = Script([called("ask_user", question="Which?")]).models
        async with sp.open({}, models=models, store=f"sqlite:///{folder / STORE}") as house:
            return str((await (await house.ask("Do it.")).wait()).session)

    return asyncio.run(main())


def running(folder: Path) -> str:
    """A session in the folder's store whose turn was cut off."""

    async def hang(conversation: list[sp.Item], tools: list[ToolSpec]) -> str:
        started.set()
        await asyncio.sleep(60)
        return ""

    async def main() -> str:
        models = {"scripted": sp.testing.ScriptedModel(hang)}
        async with sp.open({}, models=models, store=f"sqlite:///{folder / STORE}") as house:
            turn = await house.ask("Do it.")
            await started.wait()
            return str(turn.session)

    started = asyncio.Event()
    return asyncio.run(main())


def died(folder: Path, session: str, times: int) -> None:
    """So many processes took the session, and their leases lapsed while nothing came of it."""
    with closing(Store.open(folder / STORE, [tables.SCHEMA])) as store:
        log = SqliteLog(store)
        for pid in range(times):
            assert asyncio.run(log.claim(session, Owner("elsewhere", pid, ""), 1_000 * pid, 1_000 * pid + 500))


@pytest.mark.parametrize("level", ["soft", "firm", "hard"])
def test_a_parked_turn_is_cancelled_at_once(standpipe: CommandLine, level: str) -> None:
    session = parked(standpipe.folder)
    ran = standpipe("cancel", "last", "--level", level, "--json")
    assert (ran.status, ran.json) == (0, [{"session": session, "turn": "t1", "outcome": "cancelled", "reason": "user"}])
    assert f"to be cancelled, {level} (user)" in standpipe("show", "last").out
    assert standpipe("verify").status == standpipe("replay", "last").status == 0
    again = standpipe("cancel", session)
    assert (again.status, again.out) == (4, "") and f"standpipe show {session}" in again.trouble


def test_a_message_on_the_command_line_may_interrupt(standpipe: CommandLine, docs: Path) -> None:
    session = parked(standpipe.folder)
    ran = standpipe("ask", "How do I restart the intake pump?", "--docs", docs, "--session", session, "--interrupt", "--json")
    assert (ran.status, ran.json["turn"], ran.json["outcome"]) == (0, "t2", "completed")
    assert "cancelled (interrupted by t2)" in standpipe("show", session).out


def test_what_there_is_not_cannot_be_cancelled(standpipe: CommandLine) -> None:
    session = parked(standpipe.folder)
    for given in (("--turn", "t2"), ("--turn", "t1", "--scope", "t1.st2.a1"), ("--scope", "t9.st1.a1")):
        assert standpipe("cancel", session, *given).status == 4
    assert standpipe("cancel", session, "--level", "gently").status == 2
    assert standpipe("cancel", "nobody").status == 4
    assert standpipe("cancel", session, "--turn", "t1").out == f"{session} t1: cancelled (user)\n"


def test_a_poison_session_is_told_everywhere_with_what_to_do(standpipe: CommandLine) -> None:
    session = running(standpipe.folder)
    died(standpipe.folder, session, 3)
    first, second = standpipe("resume"), standpipe("resume")
    assert first.status == second.status == 5
    assert f"{session} t1: parked ({REASON})" in first.out and not first.err
    assert f"Session {session} is parked: {REASON}; `standpipe resume {session}`" in second.trouble

    [row] = standpipe("sessions", "--json").json
    assert (row["state"], row["trouble"]) == ("parked", REASON)
    told = f"{REASON}; `standpipe resume {session}` tries it once more"
    assert told in standpipe("sessions").out and told in standpipe("show", session).out
    doctor = standpipe("doctor")
    assert doctor.status == 4 and f"BAD session: {session} is parked: {REASON}" in doctor.out
    for verb in (("ask", "And?", "--session", session), ("cancel", session)):
        ran = standpipe(*verb)
        assert ran.status == 4 and f"standpipe resume {session}" in ran.trouble
    assert [fact["kind"] for fact in standpipe("log", session, "--json").json][-1] == "SessionParked"

    assert standpipe("resume", session).status == 0
    [row] = standpipe("sessions", "--json").json
    assert (row["state"], "trouble" in row) == ("idle", False)
    assert standpipe("verify").status == standpipe("doctor").status == 0
