"""Lives under faults, many of them: nothing goes wrong, everything is met, and the same seed is the same log."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from standpipe.testing.campaign import ENDINGS, SEEDS_MIN, Lived, Report, live, mode_of, simulate_many
from standpipe.testing.injectors import CLASSES, STATES

ALL_SEEDS = 2_000
CHUNK = 100
PROBE = "from standpipe.testing.campaign import simulate_many; print(simulate_many(range(6)).digest)"
SPARING = 60
"""So many seeds show that a fault left out is missed, and meet it where it is not."""


def table(report: Report) -> str:
    return "\n".join(f"{fault:20}{sum(met.values()):6}  {met}" for fault, met in report.coverage.items())


@pytest.mark.timeout(300)
def test_lives_under_faults_keep_the_promises_and_meet_every_fault_and_ending() -> None:
    report = simulate_many(range(SEEDS_MIN))

    assert report.failures == ()
    assert report.uncovered == (), table(report)
    assert all(report.coverage[fault].keys() == {*STATES} for fault in CLASSES)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(SEEDS_MIN, ALL_SEEDS, CHUNK))
def test_more_lives_under_faults_keep_the_promises(first: int) -> None:
    assert simulate_many(range(first, first + CHUNK)).failures == ()


def test_a_seed_is_the_same_log_whatever_the_hashes_of_strings() -> None:
    digests = set()
    for seed in ("0", "1", "4711"):
        run = subprocess.run(
            [sys.executable, "-c", PROBE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        )
        digests.add(run.stdout.strip())

    assert len(digests) == 1
    assert digests == {simulate_many(range(6)).digest}


def test_other_seeds_are_other_logs() -> None:
    assert simulate_many(range(2)).digest != simulate_many(range(2, 4)).digest


def test_without_any_injector_every_fault_is_missed() -> None:
    report = simulate_many(range(10), without=CLASSES, enough=10)

    assert report.failures == ()
    assert {*CLASSES} <= {*report.uncovered} <= {*CLASSES, *ENDINGS}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", CLASSES)
def test_an_injector_that_is_left_out_is_missed(fault: str) -> None:
    report = simulate_many(range(SPARING), without=[fault], enough=SPARING)

    assert fault in report.uncovered
    assert report.failures == ()


@pytest.mark.slow
def test_none_of_them_is_missed_where_none_is_left_out() -> None:
    assert simulate_many(range(SPARING), enough=SPARING).uncovered == ()


def test_too_few_seeds_need_not_meet_anything() -> None:
    assert simulate_many(range(2)).uncovered == ()


@pytest.mark.slow
def test_what_is_told_of_each_seed_comes_in_their_order_from_two_processes_as_from_one() -> None:
    told: list[Lived] = []
    report = simulate_many(range(24), processes=2, told=told.append)

    assert [lived.seed for lived in told] == list(range(24))
    assert report.digest == simulate_many(range(24)).digest


@pytest.mark.parametrize(("mode", "option"), [(None, ""), ("liveness", " --mode liveness")])
def test_a_life_that_breaks_off_is_a_failure_with_the_command_that_repeats_it(mode: str | None, option: str) -> None:
    lived = live(4, mode, None)  # type: ignore[arg-type]

    assert lived.failure is not None
    assert lived.failure.command == f"standpipe simulate --seed 4{option}"
    assert lived.failure.mode == (mode or mode_of(4))
    assert "TypeError" in lived.failure.faults[0]
