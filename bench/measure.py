"""One measurement, in a process that does nothing else: `python -m bench.measure NAME JSON`, figures as JSON on stdout.

A process of its own for each, so that memory, CPU and the interpreter's settings are those of one system only.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Sequence

import msgspec

from bench import bare, checks, growth, waiting, workload
from bench.gauge import percentile, rss_mb, stored_bytes
from bench.governed import ungoverned
from bench.size import Figures, Size


def figures(steps_ms: Sequence[float], wall_s: float, cpu_s: float, grown_bytes: int) -> Figures:
    """The figures of `steps_ms` steps that took `wall_s`, `cpu_s` of this process, and `grown_bytes` of disk."""
    n = max(1, len(steps_ms))
    return {
        "n": len(steps_ms),
        "steps_per_s": round(len(steps_ms) / wall_s, 1),
        "p50_ms": round(percentile(steps_ms, 0.50), 3),
        "p95_ms": round(percentile(steps_ms, 0.95), 3),
        "p99_ms": round(percentile(steps_ms, 0.99), 3),
        "cpu_s_per_1000": round(cpu_s * 1000 / n, 4),
        "stored_bytes_per_step": round(grown_bytes / n),
        "rss_mb": round(rss_mb(peak=True), 1),
    }


async def w1(size: Size) -> Figures:
    """W1 on Standpipe. The first turn of the process is not counted: it loads code and fills caches. `violations` is how much
    `verify` and a count of what governs each call find wrong in the store that is left."""
    path, stub = size.folder / "standpipe.db", workload.Stub()
    async with workload.opened(path, stub) as house:
        await workload.turns(house, 1, 0.0, "warm")
        stub.steps_ms.clear()
        before = stored_bytes(path)
        began, cpu = time.perf_counter(), time.process_time()
        tally = await workload.turns(house, size.sessions, size.seconds, "s")
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {
        **figures(stub.steps_ms, wall_s, cpu_s, stored_bytes(path) - before),
        "errors": tally.errors,
        "violations": len(await ungoverned(path)),
    }


async def w1_bare(size: Size) -> Figures:
    """W1's rows by the bare writer, warmed in the same way."""
    path = size.folder / "bare.db"
    writer = bare.Writer(path)
    await bare.turns(writer, 1, 0.0)
    before = stored_bytes(path)
    began, cpu = time.perf_counter(), time.process_time()
    steps_ms = await bare.turns(writer, size.sessions, size.seconds)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    writer.close()
    return {**figures(steps_ms, wall_s, cpu_s, stored_bytes(path) - before), "errors": 0}


MEASURES: dict[str, Callable[[Size], Coroutine[None, None, Figures]]] = {
    "w1": w1,
    "w1-bare": w1_bare,
    "growth": growth.growth,
    "parked": waiting.parked,
    "calls": waiting.calls,
    "access-known": checks.known,
    "access-anew": checks.anew,
    "access-known-defined": checks.known_defined,
    "access-anew-defined": checks.anew_defined,
}


def main(name: str, size: str) -> None:
    """Measure and print."""
    taken = asyncio.run(MEASURES[name](msgspec.json.decode(size, type=Size)))
    print(msgspec.json.encode(taken).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
