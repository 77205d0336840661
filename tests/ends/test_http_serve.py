"""The verb serve in a process of its own: how it starts, takes up what was left, refuses, and stops."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ends.command_line import CommandLine
from tests.ends.http_serving import House, run, served

import standpipe as sp

QUESTION = "How do I restart the intake pump?"


@contextmanager
def serving(standpipe: CommandLine, *options: str | Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL of a server, and its process."""
    process = standpipe.start("serve", "--port", "0", "--json", *options)
    try:
        assert process.stdout is not None
        line = process.stdout.readline() + process.stdout.readline() + process.stdout.readline()
        yield json.loads(line)["url"], process
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_sigterm_ends_streams_lets_go_and_exits_with_0(standpipe: CommandLine, docs: Path) -> None:
    with serving(standpipe, "--docs", docs) as (url, process):
        opened = urllib.request.Request(f"{url}/v1/sessions", method="POST")
        with urllib.request.urlopen(opened, timeout=10) as answer:
            session = json.load(answer)["session"]
        body = json.dumps({"question": QUESTION}).encode()
        asked = urllib.request.Request(f"{url}/v1/sessions/{session}/turns", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert "green button" in json.load(answer)["answer"]
        with urllib.request.urlopen(f"{url}/v1/sessions/{session}/events", timeout=10) as stream:
            process.send_signal(signal.SIGTERM)
            assert b"TurnEnded" in stream.read()
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_what_was_left_unfinished_is_taken_up(standpipe: CommandLine, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'left.db'}"

    async def leave() -> str:
        async with sp.open({}, store=store) as house:
            turn = await house.ask(QUESTION)
            return str(turn.session)

    session = asyncio.run(leave())
    assert standpipe("sessions", "--store", store, "--json").json[0]["state"] == "running"
    with (
        serving(standpipe, "--store", store) as (url, _),
        urllib.request.urlopen(f"{url}/v1/sessions/{session}/events", timeout=10) as stream,
    ):
        assert any(b"TurnEnded" in line for line in iter(stream.readline, b""))


def test_a_port_in_use_is_told(standpipe: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = standpipe("serve", "--port", str(port))
        assert ran.status == 4 and f"Port {port} of 127.0.0.1 is in use" in ran.trouble


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "[auth]"),
        (["--host", "nowhere.invalid"], "[auth]"),
        (["--port", "70000"], "no port"),
        (["--port", "much"], "no value for `--port`"),
        (["--docs", "nowhere"], "no folder"),
        (["--policy", "odd.toml"], "'ana' is no principal"),
        (["--policy", "short.toml"], "auth.keys"),
    ],
)
def test_what_cannot_be_served_is_told(standpipe: CommandLine, tmp_path: Path, options: list[str], says: str) -> None:
    digest = hashlib.sha256(b"key").hexdigest()
    (tmp_path / "odd.toml").write_text(f'[auth]\nkeys = [{{ sha256 = "{digest}", principal = "ana" }}]\n')
    (tmp_path / "short.toml").write_text('[auth]\nkeys = [{ sha256 = "key", principal = "user:ana" }]\n')
    ran = standpipe("serve", *options)
    assert ran.status == 2 and says in ran.trouble


def test_other_verbs_do_not_load_the_server() -> None:
    heavy = {"starlette", "uvicorn", "aiohttp", "prometheus_client"}
    loaded = f"import sys, standpipe.entrypoints.cli; print({heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True, text=True).stdout == "set()\n"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(House(f"sqlite:///{tmp_path / 'standpipe.db'}")) as client:
            url = f"http://127.0.0.1:{client.port}/openapi.json"
            told = [
                *("--checks", "all"),
                *("--max-examples", "20"),
                *("--seed", "1"),
                *("--request-timeout", "10"),
                "--no-color",
            ]
            # one principal, so that it meets its own sessions; without their streams, which never end
            lived = ["--exclude-path-regex", "events$", "--header", "X-Principal:user:ana"]
            for phases, more in (("examples,coverage,fuzzing", []), ("stateful", lived)):
                tool = [sys.executable, "-m", "schemathesis.cli", "run", url, "--phases", phases, *told, *more]
                process = await asyncio.create_subprocess_exec(
                    *tool, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path
                )
                out, _ = await process.communicate()
                assert process.returncode == 0, out.decode()

    run(main, 230)
