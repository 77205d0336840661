"""What one check of a right takes in process: of a principal whose rights are known, and of one whose are worked out anew.

A thousand teams, each with a chain of five groups from its folder to its one member; with definitions, also an intersection
and an exclusion on every document, and one on every group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bench.gauge import percentile
from bench.size import Figures, Size
from standpipe.core.rights import Graph, graph, reach

TEAMS, DEPTH, OWN = 1_000, 5, 7
BATCH = 100
"""Checks that are timed together: one alone is shorter than the clock is exact."""
DEFINED = (
    "document#reader = reader & employee - blocked",
    "document:*#employee@user:*",
    "document:secret/*#blocked@user:*",
    "group#member = member - suspended",
)
READ, CLOSED = f"document:team{OWN}/plan/a.md", f"document:team{OWN + 1}/plan/a.md"


async def known(size: Size) -> Figures:
    """Rights that are known."""
    return _checked(size, _plain(), anew=False)


async def anew(size: Size) -> Figures:
    """Rights that are worked out for each check."""
    return _checked(size, _plain(), anew=True)


async def known_defined(size: Size) -> Figures:
    """Rights that are known, by definitions."""
    return _checked(size, [*_plain(), *DEFINED], anew=False)


async def anew_defined(size: Size) -> Figures:
    """Rights that are worked out for each check, by definitions."""
    return _checked(size, [*_plain(), *DEFINED], anew=True)


def _plain() -> list[str]:
    return [text for team in range(TEAMS) for text in _team(team)]


def _team(n: int) -> Iterator[str]:
    yield f"document:team{n}/*#reader@group:g{n}-1#member"
    yield from (f"group:g{n}-{depth}#member@group:g{n}-{depth + 1}#member" for depth in range(1, DEPTH))
    yield f"group:g{n}-{DEPTH}#member@user:u{n}"


def _checked(size: Size, texts: list[str], *, anew: bool) -> Figures:
    """Every other check is refused; what is answered wrongly is an error."""
    relations = graph(texts, 1, "folder", ("document",))
    check = _anew(relations) if anew else reach(relations, f"user:u{OWN}").allows
    taken: list[float] = []
    ends, cpu, errors = time.perf_counter() + size.seconds, time.process_time(), 0
    while time.perf_counter() < ends:
        began = time.perf_counter()
        for _ in range(BATCH // 2):
            errors += not check(READ)
            errors += check(CLOSED)
        taken.append((time.perf_counter() - began) * 1_000 / BATCH)
    n = len(taken) * BATCH
    return {
        "n": n,
        "steps_per_s": round(1_000 * len(taken) / sum(taken), 1),
        **{f"p{q}_ms": round(percentile(taken, q / 100), 5) for q in (50, 95, 99)},
        "cpu_s_per_1000": round((time.process_time() - cpu) * 1_000 / n, 6),
        "errors": errors,
    }


def _anew(relations: Graph) -> Callable[[str], bool]:
    return lambda object: reach(relations, f"user:u{OWN}").allows(object)
