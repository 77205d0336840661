"""Runs a measurement in a process of its own, and makes rows of what repeated ones gave."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import msgspec

from bench.size import Figures, Size

ROOT = Path(__file__).resolve().parent.parent
STORES = ROOT / "build" / "bench"
"""Where stores are made: beside the code, because a system's temporary folder may be no disk."""
LONGEST_S = 120
"""After so long a measurement is given up: it has failed to keep its own bounds."""


def measured(name: str, size: Size, keep: Path | None = None) -> Figures:
    """The figures of the measurement `name` of `bench.measure`, or `{"error": …}`; its stores stay in `keep`, if given."""
    STORES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORES) as gone:
        folder = keep if keep is not None else Path(gone)
        folder.mkdir(parents=True, exist_ok=True)
        size = msgspec.structs.replace(size, path=str(folder))
        command = [sys.executable, "-m", "bench.measure", name, msgspec.json.encode(size).decode()]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        except subprocess.TimeoutExpired:
            return {"error": f"it did not end within {LONGEST_S} s"}
    if done.returncode:
        return {"error": said_last(done.stderr) or f"it ended with status {done.returncode}"}
    return msgspec.json.decode(done.stdout, type=Figures)


def said_last(trouble: str) -> str:
    """The last line of a traceback that says something; those of a group of errors stand in a frame."""
    lines = (line.strip(" |+-\t") for line in reversed(trouble.splitlines()))
    return next((line for line in lines if line), "")


def row(system: str, case: str, rounds: Sequence[Figures]) -> Figures:
    """One row: of `n`, `errors` and `violations` the sum over the rounds, of other figures the median, and the last error."""
    good = [one for one in rounds if "error" not in one]
    failed = [one["error"] for one in rounds if "error" in one]
    figures = {name: _joined(name, [one[name] for one in good]) for name in good[-1]} if good else {}
    return {"system": system, "case": case, **figures, **({"error": failed[-1]} if failed else {})}


def _joined(name: str, values: Iterable[float | int | str]) -> float | int | str:
    numbers = [value for value in values if not isinstance(value, str)]
    if not numbers:
        return list(values)[-1]
    return sum(numbers) if name in ("n", "errors", "violations") else median(numbers)
