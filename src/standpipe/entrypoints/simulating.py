"""The verb simulate: seeds lived through under faults, told as they go by, and what they came to in the end."""

from __future__ import annotations

import sys

from standpipe.entrypoints.exits import DONE, FAILED
from standpipe.entrypoints.options import SimulationMode
from standpipe.entrypoints.output import on_terminal, say, say_json, trouble
from standpipe.errors import UsageError
from standpipe.testing.campaign import Lived, Report, simulate_many
from standpipe.testing.injectors import STATES

LINES_MAX = 20
"""Lines about how far it is, at most, where nobody watches."""


def simulate(seeds: int, first: int, seed: int | None, mode: SimulationMode | None, *, json: bool) -> int:
    """Live through `seeds` seeds from `first` on, or through one; 0 if nothing went wrong. Raises UsageError."""
    if seeds < 1 or first < 0 or (seed is not None and seed < 0):
        raise UsageError("Seeds count from 0, and it takes at least one of them.")
    chosen = range(first, first + seeds) if seed is None else range(seed, seed + 1)
    told = Told(len(chosen), json)
    report = simulate_many(chosen, mode=mode, processes=2, told=told)
    told.end()
    if json:
        say_json(report, indent=0)
    else:
        _say(report)
    return DONE if report.clean else FAILED


class Told:
    """Hears of each seed, and says how far it is: in one line on a terminal, in some where nobody watches."""

    def __init__(self, seeds: int, json: bool) -> None:
        """`seeds` is how many there will be."""
        self._seeds, self._json = seeds, json
        self._done, self._failed = 0, 0
        self._every = max(10, -(-seeds // LINES_MAX))

    def __call__(self, lived: Lived) -> None:
        """One more is over."""
        self._done += 1
        if lived.failure is not None:
            self._failed += 1
            self.end()
            if self._json:
                say_json({"failure": lived.failure}, indent=0)
            else:
                for fault in lived.failure.faults:
                    trouble(f"Seed {lived.seed}: {fault}")
                trouble(f"Live through it again with `{lived.failure.command}`.")
        if on_terminal() and not self._json:
            sys.stderr.write(f"\r{self._line()}")
            sys.stderr.flush()
        elif self._done % self._every == 0 and self._done < self._seeds:
            self._say_line()

    def _say_line(self) -> None:
        if self._json:
            say_json({"done": self._done, "of": self._seeds, "failed": self._failed}, indent=0)
        else:
            say(self._line())

    def _line(self) -> str:
        return f"{self._done} of {self._seeds} seeds, {self._failed} failed"

    def end(self) -> None:
        """Leave the line that is overwritten."""
        if on_terminal() and not self._json:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _say(report: Report) -> None:
    """How often each fault met each state, and what came of it all."""
    width = max(map(len, report.coverage))
    say(" " * width + "  " + "  ".join(STATES))
    for fault, met in report.coverage.items():
        say(f"{fault:{width}}  " + "  ".join(f"{met[state]:{len(state)}}" for state in STATES))
    say()
    failed = f"{len(report.failures)} failed" if report.failures else "nothing failed"
    say(f"{report.seeds} seeds in {report.elapsed_s:g} s: {failed}. Digest of all logs: {report.digest}")
    if report.uncovered:
        trouble(f"Never reached: {', '.join(report.uncovered)}.")
