"""A process that was stopped between a grant and its effect, and goes on when another has its session: it does nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.ends.stopped_child import LEASE_MS, respond, worker

from standpipe import wiring
from standpipe.core.events import AnyFact, CallInterrupted, StepEnded, TurnEnded
from standpipe.drivers.models.scripted import ScriptedModel
from standpipe.engine.verify import verify

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_stopped_owner_that_wakes_can_neither_append_nor_begin_an_effect(idempotent: bool, tmp_path: Path) -> None:
    store, effects = tmp_path / "standpipe.db", tmp_path / "effects"
    effects.touch()
    command = [sys.executable, "-m", "tests.ends.stopped_child", str(store), str(effects), "yes" * idempotent]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stopped:
        try:
            assert stopped.stdout is not None
            session = stopped.stdout.readline().strip()
            _, status = os.waitpid(stopped.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            time.sleep(2 * LEASE_MS / 1000)
            events = asyncio.run(_taken_over(f"sqlite:///{store}", session, effects, idempotent))
            stopped.send_signal(signal.SIGCONT)
            out, err = stopped.communicate(timeout=20)
        finally:
            stopped.kill()

    assert (stopped.returncode, out, err) == (0, "completed\n" if idempotent else "partial\n", "")
    after = asyncio.run(_events(f"sqlite:///{store}", session))
    assert after == events
    facts = [fact for _, fact in events]
    assert [f.call for f in facts if isinstance(f, CallInterrupted)] == ["t1.st2.a1"]
    assert [f.outcome for f in facts if isinstance(f, StepEnded) and f.step == "st2"] == ["done" if idempotent else "unknown"]
    assert [f.outcome for f in facts if isinstance(f, TurnEnded)] == [out.strip()]
    done = effects.read_text().splitlines()
    assert [line.endswith(f" by {os.getpid()}") for line in done] == [True] * idempotent


async def _taken_over(url: str, session: str, effects: Path, idempotent: bool) -> list[tuple[int, AnyFact]]:
    """Another process brings the turn to its end."""
    models = {"scripted": ScriptedModel(respond)}
    async with wiring.open({}, agents=[worker(effects, idempotent=idempotent)], models=models, store=url) as house:
        turn = await house.resume(session)
        assert turn is not None
        await turn.wait()
        await house.resume(session)
    return await _events(url, session)


async def _events(url: str, session: str) -> list[tuple[int, AnyFact]]:
    async with wiring.open({}, store=url) as house:
        assert (await verify(house.ports.log)).violations == ()
        return [(e.seq, e.fact) for frame in await house.ports.log.read(session) for e in frame.events]
