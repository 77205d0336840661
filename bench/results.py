"""Writes RESULTS.md: every benchmark run several times on this machine, medians with the least and the greatest in brackets."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import apsw

import standpipe
from bench.apart import STORES
from bench.benchmarks import BENCHMARKS, Asked, run
from bench.size import Figures

RUNS = 3
"""How often each benchmark is run."""
BUSY = 0.5
"""Above this load before a run, something else was at work on the machine."""

ABOUT = """
A step is a model call that returns 1 KB and a tool call that returns 2 KB, stubs in the process, each durable before the
next begins. The bare writer makes the same bytes as durable and does nothing else. A case that would take longer than a
minute is broken off: `n` says how many steps or sessions there were, and the case how far it came."""
"""What a reader must know to read the tables."""


def main() -> None:
    """Run everything; write RESULTS.md beside this file."""
    loads: list[float] = []
    taken: dict[str, list[list[Figures]]] = {name: [] for name in BENCHMARKS}
    began = time.monotonic()
    for _ in range(RUNS):
        for name, runs in taken.items():
            loads.append(os.getloadavg()[0])
            print(f"bench {name} (load {loads[-1]:.1f})", flush=True)
            runs.append(run(name, Asked(rounds=1)))
    lines = [*_head(loads, time.monotonic() - began), *(line for name, runs in taken.items() for line in _section(name, runs))]
    Path(__file__).with_name("RESULTS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _head(loads: Sequence[float], took_s: float) -> Iterator[str]:
    yield "# What Standpipe costs"
    yield ""
    yield f"Written by `make bench` on {time.strftime('%Y-%m-%d', time.gmtime())}, {_revision()}: the median of {RUNS} runs,"
    yield f"least and greatest in brackets; it took {took_s / 60:.0f} minutes."
    yield ABOUT
    yield ""
    yield f"- Machine: {_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, {platform.system()} {platform.release()}."
    yield f"- A file appended to and synced: {_sync_ms():.2f} ms (median)."
    packages = ", ".join(f"{name} {version(name)}" for name in ("apsw", "msgspec"))
    yield f"- Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, {packages}."
    busy = sum(load > BUSY for load in loads)
    quiet = f"NOT quiet: above {BUSY} before {busy} of {len(loads)} runs" if busy else f"quiet (at most {BUSY})"
    yield f"- Load before a run: {min(loads):.1f} to {max(loads):.1f}, {quiet}. A run leaves some of its own behind."


def _section(name: str, runs: Sequence[Sequence[Figures]]) -> Iterator[str]:
    """One table: a line for each figure, a column for each row of the benchmark."""
    yield from ("", f"## {name}", "", (BENCHMARKS[name].__doc__ or "").split("\n")[0], "")
    columns: dict[tuple[str, str], list[Figures]] = {}
    for one in runs:
        for place, row in enumerate(one):  # a case may be named by how far it came
            columns.setdefault((str(row["system"]), str(row["case"] if len(one) > 1 else place)), []).append(row)
    figures = list(dict.fromkeys(key for rows in columns.values() for row in rows for key in row if key != "system"))
    yield "| | " + " | ".join(system for system, _ in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for figure in figures:
        yield (
            f"| {figure} | "
            + " | ".join(_cell([row[figure] for row in rows if figure in row]) for rows in columns.values())
            + " |"
        )


def _cell(values: Sequence[float | int | str]) -> str:
    numbers = [value for value in values if not isinstance(value, str)]
    if not numbers:
        return " / ".join(dict.fromkeys(map(str, values)))
    if min(numbers) == max(numbers):
        return f"{numbers[0]:,}"
    return f"{median(numbers):,} ({min(numbers):,} - {max(numbers):,})"


def _revision() -> str:
    try:
        where = Path(standpipe.__file__).parent  # the code that is measured, wherever it is
        command = ["git", "describe", "--always", "--dirty"]
        said = subprocess.run(command, cwd=where, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"version {version('standpipe')}"
    return f"commit {said.stdout.strip()}"


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _sync_ms() -> float:
    took = []
    with tempfile.TemporaryFile(dir=STORES, buffering=0) as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return median(took)


if __name__ == "__main__":
    main()
