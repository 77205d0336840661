"""Many seeds: what went wrong in them, what they met, and what they never came by."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import msgspec

from standpipe.core.ids import digest
from standpipe.testing.injectors import CLASSES, STATES
from standpipe.testing.judge import faults, reached
from standpipe.testing.run import Mode
from standpipe.testing.simulate import simulate

ENDINGS = tuple(f"{what} {ending}" for what in ("turn", "scope") for ending in ("completed", "partial", "failed", "cancelled"))
SEEDS_MIN = 300
"""So many seeds must come by every fault and every ending."""
PROCESSES_MAX = 2
CHUNK = 10
"""Seeds that a process takes at a time."""
FAULTS_TOLD = 3
"""How many faults are told of one seed; what follows is mostly of the same cause."""


class Failure(msgspec.Struct, frozen=True):
    """A seed in which something went wrong, and the command that lives through it again."""

    seed: int
    mode: Mode
    faults: tuple[str, ...]
    command: str


class Lived(msgspec.Struct, frozen=True):
    """What came of one seed."""

    seed: int
    failure: Failure | None
    met: dict[str, dict[str, int]]
    endings: tuple[str, ...]
    digest: str


class Report(msgspec.Struct, frozen=True):
    """What came of many: `coverage` says how often each fault met each state where it struck, `digest` is that of all logs."""

    seeds: int
    failures: tuple[Failure, ...]
    coverage: dict[str, dict[str, int]]
    uncovered: tuple[str, ...]
    digest: str
    elapsed_s: float

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong, and everything was reached that had to be."""
        return not self.failures and not self.uncovered


def mode_of(seed: int) -> Mode:
    """How a seed is lived through where nobody says: by turns."""
    return "liveness" if seed % 2 else "safety"


def live(seed: int, mode: Mode | None = None, without: Collection[str] = ()) -> Lived:
    """One seed, judged. That a life breaks off is a failure like any other."""
    lived = mode or mode_of(seed)
    command = f"standpipe simulate --seed {seed}" + (f" --mode {mode}" if mode is not None else "")
    try:
        run = simulate(seed, (), lived, without)
        found = faults(run)
    except Exception as trouble:
        broken = Failure(seed, lived, (f"It broke off with {trouble!r}.",), command)
        return Lived(seed, broken, {}, (), "")
    failure = Failure(seed, lived, tuple(found[:FAULTS_TOLD]), command) if found else None
    endings = {name.partition(":")[0] for name in reached(run)} & {*ENDINGS}
    return Lived(seed, failure, run.met, tuple(sorted(endings)), run.digest)


def simulate_many(
    seeds: Sequence[int],
    *,
    mode: Mode | None = None,
    without: Collection[str] = (),
    processes: int = 1,
    enough: int = SEEDS_MIN,
    told: Callable[[Lived], None] = lambda _: None,
) -> Report:
    """Live through these seeds, each in its mode or all in this one; `told` hears of each in their order.

    `without` are faults that never strike (injectors.CLASSES). From `enough` seeds on, what was never reached is told. Uses at
    most PROCESSES_MAX processes.
    """
    began = time.monotonic()
    coverage = {fault: Counter(dict.fromkeys(STATES, 0)) for fault in CLASSES}
    failures: list[Failure] = []
    endings: Counter[str] = Counter()
    digests: list[tuple[int, str]] = []
    for lived in _lived(seeds, partial(live, mode=mode, without=frozenset(without)), min(processes, PROCESSES_MAX)):
        told(lived)
        failures += [lived.failure] if lived.failure is not None else []
        digests.append((lived.seed, lived.digest))
        endings.update(lived.endings)
        for fault, met in lived.met.items():
            coverage[fault].update(met)
    never = [fault for fault in CLASSES if not coverage[fault].total()] + [name for name in ENDINGS if not endings[name]]
    return Report(
        seeds=len(seeds),
        failures=tuple(failures),
        coverage={fault: dict(met) for fault, met in coverage.items()},
        uncovered=tuple(never) if len(seeds) >= enough else (),
        digest=digest(digests),
        elapsed_s=round(time.monotonic() - began, 1),
    )


def _lived(seeds: Sequence[int], living: Callable[[int], Lived], processes: int) -> Iterable[Lived]:
    if processes < 2 or len(seeds) <= CHUNK:
        yield from map(living, seeds)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _leave_interrupts) as pool:
        try:
            yield from _of_pool(pool, seeds, living)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _of_pool(pool: ProcessPoolExecutor, seeds: Sequence[int], living: Callable[[int], Lived]) -> Iterator[Lived]:
    chunks = [seeds[first : first + CHUNK] for first in range(0, len(seeds), CHUNK)]
    for several in pool.map(partial(_chunk, living=living), chunks):
        yield from several


def _chunk(seeds: Sequence[int], living: Callable[[int], Lived]) -> list[Lived]:
    return [living(seed) for seed in seeds]


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that asked, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
