"""What the independent model says of forks: heard on every fault planted in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from tests.simulate.planted import Absent, Log
from tests.simulate.test_forks import forking

from standpipe.core import events as e
from standpipe.core.amounts import Amounts
from standpipe.core.details import Recorded
from standpipe.core.events import Frame

SEEDS = (35, 45, 57)
"""Drawn sessions whose forks are answered by their parents, and wait for people."""


@cache
def logs() -> tuple[list[Frame], ...]:
    """The logs of all forks."""

    async def whole(log: Any) -> list[list[Frame]]:
        return [await log.read(row.session) for row in await log.rows()]

    found = [frames for seed in SEEDS for frames in asyncio.run(whole(forking(seed).log))]
    return tuple(frames for frames in found if any(isinstance(f.events[0].fact, e.SessionForked) for f in frames))


def forked(log: Log, fits: Callable[[Any], bool] = lambda fact: True) -> int:
    """The place of a SessionForked."""
    return log.where(e.SessionForked, fits)


def shares_something_else(log: Log) -> None:
    log.put(forked(log), at=3)


def is_of_no_session(log: Log) -> None:
    log.put(forked(log), parent="")


def is_answered_by_what_it_shares(log: Log) -> None:
    place = forked(log)
    log.put(place, recorded=(*log.fact(place).recorded, Recorded("0" * 32, 2)))


def holds_more_than_is_left(log: Log) -> None:
    place = forked(log, lambda fact: fact.microusd)
    log.put(place, microusd=10**9)


def holds_it_nowhere(log: Log) -> None:
    log.put(forked(log, lambda fact: fact.accounts), accounts=())


def holds_though_nothing_is_open(log: Log) -> None:
    log.put(forked(log, lambda fact: not fact.accounts), microusd=5)


def pays_for_the_parent(log: Log) -> None:
    """A call that was open at the cut costs nothing."""
    place = log.where(e.CallInterrupted, after=forked(log))
    call = log.fact(place).call
    settled = log.where(e.HoldSettled, lambda fact: fact.call == call, place)
    log.put(settled, spent=Amounts(microusd=7))


def is_answered_by_nobody(log: Log) -> None:
    log.put(log.where(e.CallGranted, lambda fact: fact.recorded, forked(log)), recorded=10**6)


def is_answered_twice_by_one(log: Log) -> None:
    first = log.where(e.CallGranted, lambda fact: fact.recorded, forked(log))
    log.put(log.where(e.CallGranted, lambda fact: not fact.recorded, first), recorded=log.fact(first).recorded)


def acts_unasked(log: Log) -> None:
    place = log.where(e.CallGranted, lambda fact: fact.target in ("look", "flaky", "slow"), forked(log))
    log.put(place, target="write", recorded=0)


FAULTS: dict[Callable[[Log], None], str] = {
    shares_something_else: "it shares something else",
    is_of_no_session: "it shares something else",
    is_answered_by_what_it_shares: "what it shares is no answer to what follows",
    holds_more_than_is_left: "it holds more than is left, or nowhere",
    holds_it_nowhere: "it holds more than is left, or nowhere",
    holds_though_nothing_is_open: "it holds more than is left, or nowhere",
    pays_for_the_parent: "it cost more than was held for it",
    is_answered_by_nobody: "of no parent answers it",
    is_answered_twice_by_one: "of no parent answers it",
    acts_unasked: "it may change the world, and nobody allowed it since the session was forked",
}


@pytest.mark.parametrize(("plant", "sentence"), FAULTS.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_every_fault_of_a_fork_is_told(plant: Callable[[Log], None], sentence: str) -> None:
    tried = 0
    for frames in logs():
        log = Log(frames)
        try:
            plant(log)
        except Absent:
            continue
        tried += 1
        assert any(sentence in told for told in log.found()), log.found()
    assert tried


def test_nothing_is_said_of_forks_as_they_are() -> None:
    assert all(Log(frames).found() == [] for frames in logs())
