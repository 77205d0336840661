"""A real process is killed again and again in the middle of its work: every turn ends, and no effect happens twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from tests.ends.sigkill_child import TURNS

from standpipe import wiring
from standpipe.core.events import AnyFact, CallCompleted, CallGranted, CallInterrupted, TurnEnded, TurnRequested
from standpipe.engine.verify import Verified, verify

ROOT = Path(__file__).resolve().parent.parent.parent
SESSIONS_A_LIFE = 2
LIFE_S = 0.4
"""A process lives at most so long after it has opened the store."""


class Left(NamedTuple):
    """What a store holds in the end."""

    facts: list[tuple[str, AnyFact]]
    unfinished: int
    verified: Verified


def start(store: str, effects: Path, sessions: int) -> subprocess.Popen[str]:
    """A process that works on the store."""
    command = [sys.executable, "-m", "tests.ends.sigkill_child", store, str(effects), str(sessions)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def live_and_die(process: subprocess.Popen[str], life_s: float) -> None:
    """Kill a process so long after it opened the store."""
    assert process.stdout is not None and process.stderr is not None
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(life_s)
    finally:
        process.kill()
        process.communicate()


async def left(store: str) -> Left:
    """Look at what there is, without driving anything."""
    async with wiring.open({}, store=store) as house:
        log = house.ports.log
        rows = [row.session for row in await log.rows()]
        facts = [(session, event.fact) for session in rows for f in await log.read(session) for event in f.events]
        return Left(facts, len(await house.unfinished()), await verify(log))


@pytest.mark.parametrize("kills", [8, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.timeout(180)])])
def test_a_killed_process_loses_nothing_and_does_nothing_twice(kills: int, tmp_path: Path) -> None:
    store, effects, random = f"sqlite:///{tmp_path / 'standpipe.db'}", tmp_path / "effects", Random(kills)
    effects.touch()
    for life in range(1, kills + 1):
        live_and_die(start(store, effects, SESSIONS_A_LIFE * life), random.uniform(0, LIFE_S))
    last = start(store, effects, SESSIONS_A_LIFE * kills)
    out, err = last.communicate(timeout=60)
    assert (last.returncode, out, err) == (0, "ready\n", "")

    end = asyncio.run(left(store))
    assert end.verified.violations == ()
    assert end.unfinished == 0
    of = {kind: [(s, f) for s, f in end.facts if isinstance(f, kind)] for kind in (TurnRequested, TurnEnded, CallInterrupted)}
    assert len(of[TurnRequested]) == len(of[TurnEnded]) == SESSIONS_A_LIFE * kills * TURNS
    assert of[CallInterrupted]

    done = Counter(tuple(line.split()) for line in effects.read_text().splitlines())
    keys = {(s, f.call): (f.target, f.key) for s, f in end.facts if isinstance(f, CallGranted) and f.route is None}
    completed = {keys[s, f.call] for s, f in end.facts if isinstance(f, CallCompleted) and (s, f.call) in keys}
    assert max(count for (name, _), count in done.items() if name == "note") == 1
    assert done.keys() <= set(keys.values())
    assert {effect for effect in completed if effect[0] in ("note", "put")} <= done.keys()
