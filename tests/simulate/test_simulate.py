"""Seeded lives of a house: whatever is drawn, and wherever it crashes, the promises hold, and everything is reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random

import pytest

from standpipe.core import events as e
from standpipe.core.details import Step
from standpipe.core.ids import HOUSE, scope_of
from standpipe.core.items import Answer, Item
from standpipe.core.record import REFUSALS
from standpipe.testing.judge import cut_off, essence, faults, reached
from standpipe.testing.run import Run
from standpipe.testing.simulate import simulate

SEEDS = 60
CRASHES = 3
"""So many seeds, with so many crash points each, stand for the whole in the fast tests."""
ALL_SEEDS = 500
CHUNK = 10

ENDINGS = ("completed", "partial", "failed", "cancelled")
STEPS = ("done", "failed", "refused", "withdrawn", "dropped", "cancelled", "unknown")
FACTS = (
    *("SessionOpened", "TurnRequested", "TurnStarted", "PlanPatched", "CallGranted", "CallRefused", "CallCompleted"),
    *("CallFailed", "CallCancelled", "CallInterrupted", "HoldSettled", "StepEnded", "ItemsWithdrawn", "AnswerJudged"),
    *("Asked", "Answered", "AskExpired", "TurnParked", "TurnUnparked", "DeadlinePassed", "CancelRequested", "TurnEnded"),
    *("MemoryKept", "ScopeStarted", "ScopeCancelled", "ScopeEnded"),
)
SPECIALISTS = (
    *(f"scope {ending}" for ending in ENDINGS),
    *("another attempt", "an optional one lost", "a required one lost", "claims in conflict", "parked for a specialist"),
)
WANTED = (
    *FACTS,
    *(f"turn {ending}" for ending in ENDINGS),
    *(f"refused {code}" for code in sorted(REFUSALS)),
    *(f"step {outcome}" for outcome in STEPS),
    *("deadline soft", "deadline hard", "judged accept", "judged resample", "call no longer wanted", "call not sent"),
    *("plan plan", "plan revise", "cancel soft", "cancel firm", "cancel hard", *SPECIALISTS),
    *("for ask", "for undo", "call did not happen", "call unclear", "UnwindStarted"),
)


def of_specialists(run: Run) -> Counter[str]:
    """What came of specialists in a run, in the words of SPECIALISTS. The simulated model names no conflicts itself."""
    seen: Counter[str] = Counter()
    delegated: dict[str, Step] = {}
    asked: dict[e.Cause, str] = {}
    for event in (event for session, frames in run.logs.items() if session != HOUSE for f in frames for event in f.events):
        match event.fact:
            case e.TurnStarted():
                delegated, asked = {}, {}
            case e.PlanPatched(add=steps):
                delegated |= {step.id: step for step in steps if step.kind == "agent"}
            case e.ScopeStarted(scope=scope):
                seen["another attempt"] += not scope.endswith(".a1")
            case e.ScopeEnded(outcome=outcome):
                seen[f"scope {outcome}"] += 1
            case e.StepEnded(step=step, outcome="dropped" | "failed") if step in delegated:
                seen[f"{'an optional' if delegated[step].optional else 'a required'} one lost"] += 1
            case e.Asked(ask=ask):
                asked[event.seq] = ask
            case e.TurnParked():
                seen["parked for a specialist"] += any(scope_of(asked[cause]) for cause in event.causes)
            case e.TurnEnded(items=(Item(body=Answer(conflicts=(_, *_))),)):
                seen["claims in conflict"] += 1
            case _:
                pass
    return seen


def troubles(base: Run, boundaries: Iterable[int]) -> Iterator[tuple[str, Run]]:
    """The same scenario with one crash, at each of these boundaries: what is wrong with it (empty: nothing)."""
    alike = essence(base) if base.scenario.calm else None
    for boundary in boundaries:
        run = simulate(base.scenario.seed, (boundary,))
        found = faults(run)
        if alike is not None and not cut_off(run) and essence(run) != alike:
            found.append("the resumed log says something else than the uninterrupted one")
        where = f"seed {base.scenario.seed}, crash at {boundary} ({base.boundaries[boundary - 1]})"
        yield "; ".join(f"{where}: {text}" for text in found[:3]), run


def sampled(base: Run, count: int) -> list[int]:
    """Some of the boundaries of a run."""
    boundaries = range(1, len(base.boundaries) + 1)
    return sorted(Random(base.scenario.seed).sample(boundaries, min(count, len(boundaries))))


def table(seen: Counter[str]) -> str:
    """How often each thing that should be reached was."""
    return "\n".join(f"{seen[name]:6} {name}" for name in sorted(WANTED, key=lambda name: (seen[name], name)))


def test_sampled_lives_keep_the_promises_and_reach_everything() -> None:
    found: list[str] = []
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        base = simulate(seed)
        found += [f"seed {seed}: {text}" for text in faults(base)[:3]]
        seen += reached(base) + of_specialists(base)
        for trouble, run in troubles(base, sampled(base, CRASHES)):
            found += [trouble] if trouble else []
            seen += reached(run) + of_specialists(run)

    assert not found, "\n".join(found)
    assert all(seen[name] for name in WANTED), f"not everything was reached:\n{table(seen)}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, ALL_SEEDS, CHUNK))
def test_a_crash_at_any_boundary_changes_only_what_it_cut_off(first: int) -> None:
    found = []
    for seed in range(first, first + CHUNK):
        base = simulate(seed)
        found += [f"seed {seed}: {text}" for text in faults(base)[:3]]
        found += [trouble for trouble, _ in troubles(base, range(1, len(base.boundaries) + 1)) if trouble]

    assert not found, "\n".join(found)


def test_a_process_that_crashes_again_and_again_gets_there() -> None:
    found = []
    for seed in range(SEEDS // 3):
        every = Random(seed).randint(9, 25)
        run = simulate(seed, range(every, 1_000, every))
        found += [f"seed {seed}, a crash every {every}: {text}" for text in faults(run)[:3]]

    assert not found, "\n".join(found)


def test_the_same_seed_is_the_same_life() -> None:
    for seed in range(5):
        first, second = simulate(seed, (20,)), simulate(seed, (20,))

        assert essence(first) == essence(second)
        assert first.effects == second.effects
        assert first.boundaries == second.boundaries
        assert [len(frames) for frames in first.logs.values()] == [len(frames) for frames in second.logs.values()]
