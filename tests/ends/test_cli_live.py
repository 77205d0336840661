"""The command line in front of a person: the live view on a terminal, and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from rich.console import Console
from tests.ends.command_line import STANDPIPE, CommandLine

from standpipe import wiring
from standpipe.core.amounts import NOTHING, Limits
from standpipe.core.details import Step, Why
from standpipe.core.events import Event, PlanPatched, RelationsChanged, SessionFact, TurnRequested, TurnStarted
from standpipe.core.items import Draft, Text, ToolCall, place
from standpipe.engine.access import change
from standpipe.engine.house import Turn
from standpipe.entrypoints.live import picture
from standpipe.entrypoints.session import check_once_more
from standpipe.entrypoints.story import Story
from standpipe.entrypoints.watch import Interrupts, watch
from standpipe.errors import Refused

QUESTION = "How do I restart the intake pump?"
BONUS = "document:pay/bonus.md#reader@user:jonna"


def on_a_terminal(folder: Path, *tokens: str) -> tuple[int, str]:
    """Run a verb on a terminal of its own: its exit status and all that it drew."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [*STANDPIPE, *tokens],
        cwd=folder,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    drawn = b""
    with contextlib.suppress(OSError):  # a terminal that is gone ends with EIO
        while data := os.read(ours, 65_536):
            drawn += data
    os.close(ours)
    return process.wait(timeout=30), drawn.decode()


def test_a_terminal_gets_a_live_view_and_then_the_answer(standpipe: CommandLine, docs: Path, tmp_path: Path) -> None:
    (docs / "bell.md").write_text("# Bell\n\nTo restart the bell of the tower,\x1b]0;owned\x07 pull \x1b[31mthe rope twice.\n")
    status, drawn = on_a_terminal(tmp_path, "ask", "How do I restart the bell of the tower?", "--docs", "docs")

    assert status == 0
    assert "\x1b[?25l" in drawn and drawn.count("\x1b[1A") > 5, "the cursor is hidden, and moves up to draw again"
    assert drawn.rindex("\x1b[?25h") < drawn.index("the rope twice")
    for word in ("plan 1", "first look", "search", "by extractive", "0.25 USD", "model calls", "s left", "completed"):
        assert word in drawn, word
    assert "\x1b]0;" not in drawn and "\x1b[31m" + "the rope" not in drawn, "a document does not steer the terminal"


def test_what_was_withdrawn_is_drawn_no_more() -> None:
    question = place(Draft(Text("What now?")), "1.0", "user")
    steps = [{"id": "a", "tool": "search", "arguments": {"query": "the secret valve"}}]
    plan = place(Draft(ToolCall("plan", {"parts": ["secret part"], "reason": "a secret reason", "steps": steps})), "3.0", "m")
    story = Story("t1")
    facts: list[SessionFact] = [
        TurnRequested("t1", "r", (question,)),
        TurnStarted("t1", Limits(NOTHING, 1_000), NOTHING, 1_000, 1_000),
        PlanPatched("t1", 1, Why("plan", "3.0"), (Step("st1", "tool", "search", "3.0", "0"),), (plan,)),
    ]
    for seq, fact in enumerate(facts, 1):
        story.take(Event(seq, "runtime", (), fact), 0)
    assert story.parts == ("secret part",)
    assert drawn(story).count("secret") == 2

    story.forget(("3.0",))

    assert not story.parts
    assert "secret" not in drawn(story)


def test_what_was_withdrawn_before_it_is_told_is_not_told(ruled: Path, tmp_path: Path) -> None:
    async def watch_late() -> tuple[Story, str]:
        async with wiring.open(store=f"sqlite:///{tmp_path}/standpipe.db") as house:

            async def ask(session: str | None = None) -> Turn:
                question = "What is the bonus of the crew?"
                return await house.ask(question, principal="user:jonna", docs=[ruled], session=session, request="r1")

            turn = await ask()
            seen = await watch(house, turn, Interrupts(), live=False)
            assert any(step.about for step in seen.steps.values() if step.epoch > 1)
            right = RelationsChanged("local", (await house.sync(ruled)).folder, "command", revoked=(BONUS,))
            assert (await change(house.setup, right, "test")).revoked == (BONUS,)
            lines: list[str] = []
            again = await ask(turn.session)
            story = await watch(house, again, Interrupts(), lambda _, news: lines.extend(news), live=False)
            assert again.withheld
            with pytest.raises(Refused, match="withheld"):
                await check_once_more(house, again)
            return story, "\n".join(lines)

    story, told = asyncio.run(watch_late())

    later = [step for step in story.steps.values() if step.epoch > 1]
    assert later and not any(step.about for step in later)
    assert not any(patch.reason for patch in story.patches)
    assert not [line for line in told.splitlines() if line.startswith("plan") and ": " in line]


def drawn(story: Story) -> str:
    """The picture of a story."""
    console = Console(file=io.StringIO(), width=100)
    console.print(picture(story, 500))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """Nobody else can write to the store meanwhile."""
    con = apsw.Connection(str(store))
    con.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        con.execute("ROLLBACK")
        con.close()


def waiting_at(process: subprocess.Popen[str], store: Path) -> None:
    """Return when the process has begun to read from its store: what it does next is to write, and to wait for that."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            links = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
            if links.count(str(store)) > 1:
                return
        time.sleep(0.01)
    raise AssertionError("the process did not open its store")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells by /proc how far a process has come")
def test_ctrl_c_cancels_the_turn_in_the_log(standpipe: CommandLine, docs: Path, tmp_path: Path) -> None:
    standpipe("access", "list", "--docs", docs)
    store = tmp_path / ".standpipe" / "standpipe.db"
    with locked(store):
        process = standpipe.start("ask", QUESTION, "--docs", docs, "--json")
        waiting_at(process, store)
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 130 and not err
    assert '"outcome": "cancelled"' in out
    assert standpipe("sessions", "--json").json[0]["outcome"] == "cancelled"
    assert standpipe("log", "last").out.count("CancelRequested") == 1
    assert standpipe("resume", "--json").json == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells by /proc how far a process has come")
def test_a_second_ctrl_c_leaves_at_once(standpipe: CommandLine, docs: Path, tmp_path: Path) -> None:
    standpipe("access", "list", "--docs", docs)
    store = tmp_path / ".standpipe" / "standpipe.db"
    with locked(store):
        process = standpipe.start("ask", QUESTION, "--docs", docs)
        waiting_at(process, store)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        out, err = process.communicate(timeout=2)

    assert process.returncode == 130
    assert not out and not err
    assert standpipe("sessions", "--json").json == []
