"""One session of many steps: what its late steps cost beside its early ones, and how long it takes to open.

A step's cost is a tenth of its turn's CPU, so the message, the answer and all that happens between turns are in it. The
house is closed and opened before each opening that is timed; that is from a message to the first model call it leads to.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import msgspec

import standpipe as sp
from bench import workload
from bench.gauge import rss_mb, stored_bytes
from bench.payload import STEPS
from bench.size import Figures, Size

WINDOW_STEPS = 500
"""Steps of the two stretches that are compared; the first one begins after STEPS steps."""
OPEN_STEPS = 1_000
"""Opening is also timed when the session has so many steps."""
OPENINGS = 3
"""Openings of a session of one length; their median counts."""


class Mark(msgspec.Struct, frozen=True):
    """How many turns there were, and what they took on the disk."""

    turns: int
    stored_bytes: int


class Growing(msgspec.Struct):
    """A session that grows, and the CPU seconds of each of its turns."""

    path: Path
    stub: workload.Stub
    session: str | None = None
    cpu_s: list[float] = []
    errors: int = 0


async def growth(size: Size) -> Figures:
    """Grow a session to `size.steps` steps, or as far as `size.seconds` go."""
    grown = Growing(size.folder / "growth.db", workload.Stub())
    turns, until = size.steps // STEPS, time.perf_counter() + size.seconds
    window = min(WINDOW_STEPS // STEPS, max(1, turns // 4))
    first = await _grow(grown, 1, until)
    early = await _grow(grown, 1 + window, until)
    if turns > OPEN_STEPS // STEPS:
        await _grow(grown, OPEN_STEPS // STEPS, until)
    open_1000_ms = await _opening(grown) if len(grown.cpu_s) == OPEN_STEPS // STEPS else 0.0
    await _grow(grown, turns - window, until)
    before = Mark(len(grown.cpu_s), stored_bytes(grown.path))
    late = await _grow(grown, before.turns + window, until + size.seconds / 4)
    early_cpu_s, late_cpu_s = (median(grown.cpu_s[a.turns : b.turns]) for a, b in ((first, early), (before, late)))
    n = late.turns * STEPS
    taken: Figures = {
        "case": f"steps={n}",
        "n": n,
        "ratio": round(late_cpu_s / early_cpu_s, 3),
        "bytes_ratio": round(_per_turn(before, late) / _per_turn(first, early), 3),
        "open_ms": round(await _opening(grown), 1),
        "cpu_s_per_1000": round(late_cpu_s / STEPS * 1000, 4),
        "stored_bytes_per_step": round(late.stored_bytes / n),
        "rss_mb": round(rss_mb(peak=True), 1),
        "errors": grown.errors,
    }
    return taken | ({"open_1000_ms": round(open_1000_ms, 1)} if open_1000_ms else {})


def _per_turn(a: Mark, b: Mark) -> float:
    return (b.stored_bytes - a.stored_bytes) / (b.turns - a.turns)


async def _grow(grown: Growing, turns: int, until: float) -> Mark:
    """Ask until there are so many turns or time is up, but once at least; how far it is then."""
    async with workload.opened(grown.path, grown.stub) as house:
        for _ in range(max(1, turns - len(grown.cpu_s))):
            began = time.process_time()
            turn = await _ask(house, grown, f"n{len(grown.cpu_s)}")
            grown.cpu_s.append(time.process_time() - began)
            grown.errors += turn.outcome != "completed"
            if time.perf_counter() >= until:
                break
    return Mark(len(grown.cpu_s), stored_bytes(grown.path))


async def _ask(house: sp.House, grown: Growing, name: str) -> sp.Turn:
    turn = await house.ask(f"{name} reads its records.", session=grown.session, principal="user:ana")
    grown.session = turn.session
    await turn.wait()
    await workload.settled(1)
    return turn


async def _opening(grown: Growing) -> float:
    """Milliseconds from a message to the first model call, in a house that was just opened."""
    took = []
    for again in range(OPENINGS):
        first = workload.Stub()
        async with workload.opened(grown.path, first) as house:
            began = time.perf_counter()
            await _ask(house, grown, f"open{again}-{len(grown.cpu_s)}")
            took.append((first.first_at - began) * 1000)
    return median(took)
