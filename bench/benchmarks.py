"""The benchmarks by name: each gives rows for Standpipe, for the bare writer where there is one, for peers if asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from bench import peers
from bench.apart import measured, row
from bench.size import Figures, Size

OURS, BARE = "standpipe", "bare-sqlite"


class Asked(msgspec.Struct, frozen=True):
    """What a benchmark is asked for: the peers beside us, how many sessions (None: the usual cases), where stores are kept,
    and how long one measurement lasts (`seconds`) and how often it is repeated (`rounds`)."""

    peers: tuple[str, ...] = ()
    sessions: int | None = None
    keep: Path | None = None
    seconds: float | None = None
    rounds: int = 3


def w1(asked: Asked) -> Iterator[Figures]:
    """Durable steps of agents, at 1, 64 and 1,000 sessions; every system takes its turn in every round."""
    for sessions in (1, 64, 1_000) if asked.sessions is None else (asked.sessions,):
        size = Size("", sessions, seconds=asked.seconds or 5.0)
        bare = msgspec.structs.replace(size, seconds=size.seconds / 3)
        taken: dict[str, list[Figures]] = {OURS: [], BARE: [], **{peer: [] for peer in asked.peers}}
        for n in range(asked.rounds):
            taken[OURS].append(measured("w1", size, _kept(asked, f"w1-{sessions}-{n}")))
            taken[BARE].append(measured("w1-bare", bare, _kept(asked, f"w1-bare-{sessions}-{n}")))
            for peer in asked.peers:
                taken[peer].append(peers.measured(peer, "w1", size))
        yield from (row(system, f"sessions={sessions}", rounds) for system, rounds in taken.items())


def growth(asked: Asked) -> Iterator[Figures]:
    """What a step costs late in a session of 10,000 steps; `sessions` has no meaning for it."""
    size = Size("", 1, steps=10_000, seconds=asked.seconds or 40.0)
    yield from _once("growth", "steps=10000", size, asked)


def parked(asked: Asked) -> Iterator[Figures]:
    """What 10,000 sessions that wait for a person take."""
    size = Size("", asked.sessions or 10_000, seconds=asked.seconds or 40.0)
    yield from _once("parked", f"sessions={size.sessions}", size, asked)


def calls(asked: Asked) -> Iterator[Figures]:
    """What 10,000 sessions that wait for a model take."""
    size = Size("", asked.sessions or 10_000, seconds=asked.seconds or 40.0)
    yield from _once("calls", f"sessions={size.sessions}", size, asked)


def access(asked: Asked) -> Iterator[Figures]:
    """One check of a right in process, at group depth 5: known, worked out anew, and both with definitions."""
    for case in ("known", "anew", "known-defined", "anew-defined"):
        yield from _once(f"access-{case}", case, Size("", seconds=asked.seconds or 1.0), asked)


BENCHMARKS: dict[str, Callable[[Asked], Iterator[Figures]]] = {
    "w1": w1,
    "growth": growth,
    "parked": parked,
    "calls": calls,
    "access": access,
}


def run(name: str, asked: Asked) -> list[Figures]:
    """The rows of a benchmark."""
    return list(BENCHMARKS[name](asked))


def _once(name: str, case: str, size: Size, asked: Asked) -> Iterator[Figures]:
    taken = measured(name, size, _kept(asked, name))
    yield {**row(OURS, str(taken.get("case", case)), [taken])}
    yield from (row(peer, case, [peers.measured(peer, name, size)]) for peer in asked.peers)


def _kept(asked: Asked, name: str) -> Path | None:
    return asked.keep / name if asked.keep is not None else None


def table(rows: Sequence[Figures]) -> str:
    """The rows as a JSON list, a row on each line."""
    return "[\n" + ",\n".join(f"  {msgspec.json.encode(one).decode()}" for one in rows) + "\n]"
