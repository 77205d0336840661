"""The benchmarks run, at the smallest size, and their rows say what they promise to; nothing here says how fast."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from bench.apart import measured, row, said_last
from bench.benchmarks import BENCHMARKS, Asked, run, table
from bench.gauge import percentile, stored_bytes
from bench.governed import missing
from bench.payload import MODEL_BYTES, STEPS, TOOL_BYTES, text
from bench.results import _cell, _section
from bench.size import Figures, Size
from msgspec.structs import replace

import standpipe as sp
from standpipe.core.details import Permit
from standpipe.core.events import CallCompleted, CallGranted, Fact, Frame, HoldSettled

ROOT = Path(__file__).resolve().parent.parent

SPEED = {"n", "steps_per_s", "p50_ms", "p95_ms", "p99_ms", "cpu_s_per_1000", "stored_bytes_per_step", "rss_mb", "errors"}


def test_w1_prints_us_the_bare_writer_and_every_peer_that_was_asked_for() -> None:
    rows = run("w1", Asked(peers=("nobody",), sessions=2, seconds=0.1, rounds=1))

    assert [one["system"] for one in rows] == ["standpipe", "bare-sqlite", "nobody"]
    assert {one["case"] for one in rows} == {"sessions=2"}
    assert all(set(one) >= SPEED and one["errors"] == 0 for one in rows[:2]), rows
    assert all(int(one["stored_bytes_per_step"]) > MODEL_BYTES + TOOL_BYTES for one in rows[:2])
    assert all(int(one["n"]) % STEPS == 0 and int(one["n"]) >= 2 * STEPS for one in rows[:2])
    assert set(rows[2]) == {"system", "case", "error"}


def test_growth_has_its_ratios() -> None:
    (grown,) = run("growth", Asked(seconds=0.1))

    assert set(grown) >= {"system", "case", "n", "ratio", "bytes_ratio", "open_ms"}, grown
    assert grown["case"] == f"steps={grown['n']}", "one that was broken off says how far it came"


@pytest.mark.parametrize("name", ["parked", "calls"])
def test_sessions_that_wait_are_counted_and_weighed(name: str) -> None:
    (waiting,) = run(name, Asked(sessions=3, seconds=2))

    assert set(waiting) >= {"n", "rss_mb", "cpu_share", "errors"}, waiting
    assert (waiting["system"], waiting["case"], waiting["n"], waiting["errors"]) == ("standpipe", "sessions=3", 3, 0)


def test_nothing_is_off_in_w1(tmp_path: Path) -> None:
    """The store it leaves holds, for each step, what governing it asks for; all of it durable."""
    figures = measured("w1", Size("", sessions=1, seconds=0), tmp_path)
    assert (figures["n"], figures["violations"]) == (STEPS, 0)

    async def facts() -> list[object]:
        async with sp.open({}, store=f"sqlite:///{tmp_path / 'standpipe.db'}") as house:
            sessions = [row.session for row in await house.ports.log.rows()]
            assert len(sessions) == 2, "the warm turn and the one that counts"
            return [e.fact for session in sessions for frame in await house.ports.log.read(session) for e in frame.events]

    made = asyncio.run(facts())
    granted = [fact for fact in made if isinstance(fact, CallGranted)]
    routed = [fact for fact in granted if fact.route is not None]
    done = {fact.call: fact for fact in made if isinstance(fact, CallCompleted)}
    settled = {fact.call for fact in made if isinstance(fact, HoldSettled)}
    assert len(routed) == 2 * (STEPS + 1) and len(granted) - len(routed) == 2 * STEPS
    assert all(fact.permit.rule == "relation" for fact in granted if fact.route is None)
    assert all(fact.hold.microusd > 0 for fact in routed)
    assert all(done[fact.call].verdicts for fact in granted)
    assert settled == {fact.call for fact in granted}


def test_a_benchmark_that_does_not_exist_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "w9"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2 and "w1" in done.stderr and not done.stdout


def test_a_measurement_that_breaks_off_is_a_row_that_says_so() -> None:
    failed = measured("nothing", Size(""))

    assert failed["error"] == "KeyError: 'nothing'"
    assert said_last("  | TypeError: no\n  +-----\n") == "TypeError: no" and not said_last("")
    assert row("standpipe", "sessions=1", [failed]) == {"system": "standpipe", "case": "sessions=1", **failed}


def test_a_row_is_the_median_of_its_rounds() -> None:
    rounds: list[Figures] = [{"n": n, "errors": 0, "p50_ms": ms} for n, ms in ((10, 3.0), (20, 1.0), (30, 2.0))]

    whole: Figures = {"system": "a", "case": "b", "n": 60, "errors": 0, "p50_ms": 2.0}
    assert row("a", "b", rounds) == whole
    assert row("a", "b", [{"error": "broke"}, *rounds]) == {**whole, "error": "broke"}, "a round that failed is not hidden"
    assert json.loads(table([{"n": 1}, {"n": 2}])) == [{"n": 1}, {"n": 2}]


def test_bytes_of_a_store_are_those_after_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    con = apsw.Connection(str(path))
    con.execute("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE a (b)").fetchall()
    for _ in range(20):
        con.execute("UPDATE a SET b = 1; DELETE FROM a; INSERT INTO a VALUES (zeroblob(100000))")

    assert 100_000 < stored_bytes(path) < 200_000
    con.close()


def test_percentiles_are_of_nearest_rank() -> None:
    assert [percentile([4, 1, 3, 2], share) for share in (0.01, 0.5, 0.75, 0.99, 1)] == [1, 2, 3, 4, 4]
    assert percentile([], 0.5) == 0


def test_no_two_steps_have_one_payload() -> None:
    made = {text(f"{session}-{step}", 900) for session in range(100) for step in range(STEPS)}

    assert len(made) == 1000 and {len(one) for one in made} == {900}


def test_results_show_the_median_and_what_lies_around_it() -> None:
    assert [_cell(values) for values in ([2, 2], [3, 1, 2], ["a", "b", "a"])] == ["2", "2 (1 - 3)", "a / b"]
    runs: list[list[Figures]] = [[{"system": "standpipe", "case": "steps=10", "ratio": ratio}] for ratio in (1.0, 2.0)]
    assert list(_section("growth", runs))[-1] == "| ratio | 1.5 (1.0 - 2.0) |"
    assert all(benchmark.__doc__ for benchmark in BENCHMARKS.values())


def test_a_call_that_lacks_what_governs_it_is_found(tmp_path: Path) -> None:
    measured("w1", Size("", sessions=1, seconds=0), tmp_path)

    async def frames() -> list[Frame]:
        async with sp.open({}, store=f"sqlite:///{tmp_path / 'standpipe.db'}") as house:
            rows = await house.ports.log.rows()
            return await house.ports.log.read(rows[0].session)

    def but(kind: type[Fact], **changes: object) -> list[str]:
        """What is missing when facts of this kind are changed so, or are not there."""
        kept = [(f, [e for e in f.events if changes or not isinstance(e.fact, kind)]) for f in whole]
        changed = [
            replace(
                f, events=tuple(replace(e, fact=replace(e.fact, **changes)) if isinstance(e.fact, kind) else e for e in events)
            )
            for f, events in kept
        ]
        return missing(changed)

    whole = asyncio.run(frames())
    assert missing(whole) == []
    assert but(HoldSettled) == ["21 of 21 calls lack a settled hold"]
    assert but(CallGranted, permit=Permit("", 0)) == ["21 of 21 calls lack a permission answer"]
    assert but(CallGranted, route=None) == ["11 of 21 calls lack a route with its reason"]
    assert but(CallCompleted, verdicts=()) == ["21 of 21 calls lack a verdict"]
