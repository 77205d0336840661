"""Two hundred SIGKILLs at random moments under fifty sessions at once, their effects counted by another process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer

import apsw
import pytest
from tests.ends.sigkill_many_child import AT_ONCE

from standpipe import wiring
from standpipe.core.events import AnyFact, CallCompleted, CallGranted, MemoryKept, StepEnded, TurnEnded, TurnRequested
from standpipe.engine.verify import verify

ROOT = Path(__file__).resolve().parent.parent.parent
LIFE_S = (0.1, 0.7)
"""How long a process lives after it has opened the store."""
NEW_A_LIFE = 4
"""Sessions that begin in each life, on average; the first ones begin with fifty."""
WRITES = ("note", "put", "pay")


class Outside(ThreadingUnixStreamServer):
    """The world: it counts effects, says of a key whether its effect is there, and keeps what it is told was acknowledged."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Line)
        self.lock = threading.Lock()
        self.effects: Counter[tuple[str, str]] = Counter()
        self.acknowledged: set[tuple[str, int, str]] = set()

    def told(self, line: list[str]) -> str:
        with self.lock:
            match line:
                case ["acknowledged", session, seq, head]:
                    self.acknowledged.add((session, int(seq), head))
                    return ""
                case ["asked", key]:
                    return "yes" if self.effects["pay", key] else "no"
                case [what, key]:
                    self.effects[what, key] += 1
                    return "done"
                case _:
                    return ""  # whoever said it was killed in the middle of a line


class Line(StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        assert isinstance(self.server, Outside)
        with suppress(OSError):  # who was killed does not hear the answer
            for line in self.rfile:
                if line.endswith(b"\n") and (answer := self.server.told(line.decode().split())):
                    self.wfile.write(f"{answer}\n".encode())


@contextmanager
def outside(path: Path) -> Iterator[Outside]:
    with Outside(path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def nursery(store: Path, path: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that makes those which are killed."""
    command = [sys.executable, "-m", "tests.ends.sigkill_many_child", str(store), str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def live(nursery: subprocess.Popen[str], sessions: int, life_s: float | None) -> int:
    """One process from the opening of the store until it is killed, or to its end; its exit status."""
    assert nursery.stdin is not None and nursery.stdout is not None
    nursery.stdin.write(f"{sessions}\n")
    nursery.stdin.flush()
    pid = int(nursery.stdout.readline())
    if life_s is not None:
        time.sleep(life_s)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return int(nursery.stdout.readline())


async def facts_of(store: Path) -> dict[str, list[AnyFact]]:
    """All logs, which are what they should be, and in which no turn is open."""
    async with wiring.open({}, store=f"sqlite:///{store}") as house:
        log = house.ports.log
        assert (await verify(log)).violations == ()
        rows = await log.rows()
        assert {(row.state, row.owes) for row in rows} == {("idle", False)}
        return {row.session: [e.fact for f in await log.read(row.session) for e in f.events] for row in rows}


def check_effects(facts: list[AnyFact], effects: Counter[tuple[str, str]]) -> None:
    """In one session: each intent took effect once or not at all, and whatever is in doubt is shown as unknown."""
    grants = [fact for fact in facts if isinstance(fact, CallGranted) and fact.target in WRITES]
    completed = {fact.call for fact in facts if isinstance(fact, CallCompleted)}
    unknown = {step for fact in facts if isinstance(fact, TurnEnded) for step in fact.unknown}
    ended = {fact.step: fact.outcome for fact in facts if isinstance(fact, StepEnded)}
    calls: dict[str, list[CallGranted]] = defaultdict(list)
    for grant in grants:
        calls[grant.step].append(grant)
    for step, tried in calls.items():
        assert len({grant.key for grant in tried}) == 1
        count = effects[tried[0].target, tried[0].key]
        assert count <= 1 or tried[0].target == "put"
        if any(grant.call in completed for grant in tried):
            assert count and step not in unknown
        elif count:
            assert step in unknown and ended[step] == "unknown"


@pytest.mark.parametrize("kills", [pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(420)])])
def test_killed_two_hundred_times_it_loses_nothing_and_does_nothing_twice(kills: int, tmp_path: Path) -> None:
    store, path = tmp_path / "standpipe.db", tmp_path / "outside"
    random = Random(kills)
    with outside(path) as world, nursery(store, path) as process:
        killed = lives = 0
        while killed < kills and lives < 2 * kills:
            lives += 1
            killed += live(process, AT_ONCE + NEW_A_LIFE * lives, random.uniform(*LIFE_S)) == -signal.SIGKILL
        assert killed == kills
        assert live(process, AT_ONCE + NEW_A_LIFE * lives, None) == 0

    logs = asyncio.run(facts_of(store))
    assert len(logs) == AT_ONCE + NEW_A_LIFE * lives
    for facts in logs.values():
        for kind in (TurnRequested, TurnEnded, MemoryKept):
            assert [fact.turn for fact in facts if isinstance(fact, kind)] == ["t1"]
        check_effects(facts, world.effects)
    with closing(apsw.Connection(str(store))) as con:
        stored = con.execute(
            "SELECT s.session, f.last_seq, f.digest FROM frames f JOIN sessions s ON s.id = f.session"
        ).fetchall()
    assert world.acknowledged and world.acknowledged <= set(stored)
    assert set(world.effects) <= {(f.target, f.key) for facts in logs.values() for f in facts if isinstance(f, CallGranted)}
