"""A store that fails, as those who use it see it: one sentence and status 4 on the command line, 503 and when to try again
over HTTP; and afterwards all goes on."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import time
from pathlib import Path

import apsw
import pytest
from tests.ends.command_line import STANDPIPE, CommandLine, Ran
from tests.ends.failing_store import Failing, failing
from tests.ends.http_serving import QUESTION, Client, House, run, served_by, until

from standpipe.testing.disk import Fault
from standpipe.wiring import now_ms

AT_THE_MOMENT = {
    "title": "Service Unavailable",
    "status": 503,
    "detail": "The store cannot be used at the moment; try again.",
    "type": "about:blank",
}


@pytest.mark.parametrize("fault", ["full", "write", "locked", "gone"])
@pytest.mark.parametrize("after", [0, 12, 30])
def test_http_says_503_and_when_to_try_again_and_then_goes_on(
    fault: Fault, after: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        with failing(now_ms) as one:
            async with served_by(one.house, House()) as client:
                path = f"/v1/sessions/{await client.open()}/turns"
                one.disk.strike(fault, after=after)
                await refused(client, path)
                await refused(client, "/v1/sessions")
                one.disk.relieve()
                status, done = await client.post(path, QUESTION, Idempotency_Key="once")
                assert (status, done["outcome"], done["turn"]) == (200, "completed", "t1")
                assert (await client.get("/v1/health"))[0] == 200
            await one.check()
            await one.house.close()

    run(main)
    told = capsys.readouterr().err.splitlines()
    assert told and all(line.startswith("The store /standpipe.db ") and line.endswith(".") for line in told)


async def refused(client: Client, path: str) -> None:
    async with client.http.post(path, json=QUESTION if "turns" in path else {}, headers={"Idempotency-Key": "once"}) as answer:
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) >= 1
        assert await answer.json() == AT_THE_MOMENT


@pytest.mark.slow
def test_a_server_takes_up_by_itself_what_the_store_broke_off(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        with failing(now_ms) as one:
            one.pause_s = 0.2
            async with served_by(one.house, House()) as client:
                path = f"/v1/sessions/{await client.open()}/turns"
                asking = asyncio.ensure_future(client.post(path, QUESTION))
                await until(lambda: one.disk.operations > 130)
                one.disk.strike("full")
                assert (await asking)[0] == 503
                one.disk.relieve()
                await until(lambda: sum(one.effects.values()) == 2, 25)
                while await one.house.unfinished():
                    await asyncio.sleep(0.05)
            await one.check()
            await one.house.close()

    run(main, 40)


def limited(folder: Path, bytes_max: int, *tokens: str | Path) -> Ran:
    """Run a verb in a process that may write so much to a file, and no more."""
    limit = (bytes_max, resource.RLIM_INFINITY)
    done = subprocess.run(
        [*STANDPIPE, *map(str, tokens)],
        cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_a_real_file_that_cannot_grow_is_told_in_one_sentence_and_nothing_is_lost(docs: Path, standpipe: CommandLine) -> None:
    first = standpipe("ask", "How is the intake pump restarted?", "--docs", docs, "--json").json
    ran = limited(docs.parent, 60_000, "ask", "What is the pressure limit of the intake pump?", "--session", first["session"])
    assert (ran.status, ran.out) == (4, "")
    assert "standpipe.db cannot " in ran.trouble
    assert standpipe("resume").status == 0
    assert standpipe("verify").status == 0
    again = standpipe("ask", "What is the pressure limit of the intake pump?", "--session", first["session"], "--json").json
    assert again["outcome"] == "completed" and "6 bar" in again["answer"]
    assert standpipe("verify", "--json").json["violations"] == []


@pytest.mark.slow
def test_a_store_that_another_process_does_not_let_go_of_is_told(docs: Path, standpipe: CommandLine) -> None:
    standpipe("ask", "How is the intake pump restarted?", "--docs", docs)
    other = apsw.Connection(str(docs.parent / ".standpipe" / "standpipe.db"))
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    ran = standpipe("ask", "What is the pressure limit of the intake pump?")
    assert ran.status == 4 and "is locked by another process; wait until" in ran.trouble
    assert 4 < time.monotonic() - began < 12
    other.execute("COMMIT")
    other.close()
    assert standpipe("ask", "What is the pressure limit of the intake pump?", "--docs", docs).status == 0
    assert standpipe("verify").status == 0


def test_a_process_that_could_not_sync_says_so_until_it_is_started_again(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        with failing(now_ms) as one:
            async with served_by(one.house, House()) as client:
                session = await client.open()
                one.disk.strike("sync", times=1)
                for _ in range(2):
                    await refused(client, f"/v1/sessions/{session}/turns")
            await restarted(one, session)

    run(main)
    assert "could not be made durable by the operating system; check the disk, then start again." in capsys.readouterr().err


async def restarted(one: Failing, session: str) -> None:
    one.disk.crash("kept")
    await one.restart()
    async with served_by(one.house, House()) as client:
        assert (await client.post(f"/v1/sessions/{session}/turns", QUESTION))[1]["outcome"] == "completed"
    await one.check()
    await one.house.close()
