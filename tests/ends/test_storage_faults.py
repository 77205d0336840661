"""Faults of the disk under the real engine and store: nothing acknowledged is lost, and work goes on or stops cleanly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from tests.ends.failing_store import Failing, failing

from standpipe.core.events import CallCompleted, CallInterrupted
from standpipe.errors import StoreError
from standpipe.testing.clock import VirtualLoop, run
from standpipe.testing.disk import Fault, Tear

TURN_OPERATIONS = 150
"""Writes and syncs of a turn, and some more."""

SENTENCES: dict[Fault, str] = {
    "full": "cannot grow because the disk is full; free some space and try again, nothing acknowledged is lost.",
    "write": "cannot be read or written by the operating system; check the disk and try again.",
    "sync": "could not be made durable by the operating system; check the disk, then start again.",
    "locked": "is locked by another process; wait until that one has finished, or stop it.",
    "gone": "cannot be read or written by the operating system; check the disk and try again.",
}


def live(story: Callable[[Failing], Awaitable[None]]) -> None:
    """One story on a new disk, in virtual time."""

    async def told(failing: Failing) -> None:
        try:
            await story(failing)
        finally:
            failing.disk.relieve()
            await failing.house.close()

    with contextlib.closing(VirtualLoop()) as loop, failing(loop.now_ms) as one:
        run(told(one), loop)


async def ask(failing: Failing) -> str:
    """Ask, and see it through; what was said when it could not be."""
    try:
        await (await failing.house.ask("Begin.")).wait()
    except StoreError as error:
        return str(error)
    return ""


SHARES = [pytest.param(n, marks=pytest.mark.slow if n else []) for n in range(20)]
"""Of all places where a fault can strike each share takes every twentieth; a short run tries one share."""


@pytest.mark.parametrize("fault", ["full", "write", "locked", "gone"])
@pytest.mark.parametrize("share", SHARES)
def test_work_goes_on_in_the_same_process_when_the_disk_does(fault: Fault, share: int) -> None:
    async def story(failing: Failing, after: int) -> None:
        await ask(failing)
        failing.disk.strike(fault, after=after)
        told = await ask(failing)
        struck = failing.disk.struck[fault] > 0
        assert told == "" or (struck and told.startswith("The store /standpipe.db "))
        assert told == "" or fault == "gone" or told.endswith(SENTENCES[fault])
        failing.disk.relieve()
        distrusted = fault == "gone" and await failing.distrusted()  # it went between a write and its sync
        if distrusted:
            await failing.restart()
        await failing.finish()
        assert await ask(failing) == ""
        await failing.check()
        facts = [e.fact for _, e in failing.acknowledged]
        if not distrusted:
            assert not any(isinstance(fact, CallInterrupted) for fact in facts), "what a call came to was forgotten"
        failing.disk.crash()
        await failing.restart()
        await failing.check()

    for n in range(share, TURN_OPERATIONS, len(SHARES)):
        live(lambda failing, n=n: story(failing, n))  # type: ignore[misc]


@pytest.mark.parametrize("share", SHARES)
def test_after_a_failed_sync_the_process_writes_nothing_any_more(share: int) -> None:
    async def story(failing: Failing, after: int) -> None:
        await ask(failing)
        failing.disk.strike("sync", after=after, times=1)
        told = await ask(failing)
        if not failing.disk.struck["sync"]:
            return
        assert told == "The store /standpipe.db " + SENTENCES["sync"]
        before = failing.disk.operations
        assert await ask(failing) == told
        assert failing.disk.operations == before
        failing.disk.crash("kept")  # this process dies; what the system has in its cache is still there, and not on the disk
        await failing.restart()
        await failing.finish()
        assert await ask(failing) == ""
        await failing.check()
        failing.disk.crash()
        await failing.restart()
        await failing.check()

    for n in range(share, TURN_OPERATIONS // 4, len(SHARES)):
        live(lambda failing, n=n: story(failing, n))  # type: ignore[misc]


@pytest.mark.parametrize("tear", ["lost", "prefix", "sectors"])
@pytest.mark.parametrize("share", SHARES)
def test_power_may_go_at_any_write_or_sync(tear: Tear, share: int) -> None:
    async def story(failing: Failing, at: int) -> None:
        await ask(failing)
        power = failing.disk.power
        failing.disk.cut(at, tear, seed=at)
        await ask(failing)
        if failing.disk.power == power:
            failing.disk.crash(tear, seed=at)
        await failing.restart()
        await failing.finish()
        await failing.check()
        assert await ask(failing) == ""
        await failing.check()

    for n in range(1 + share, TURN_OPERATIONS, len(SHARES)):
        live(lambda failing, n=n: story(failing, n))  # type: ignore[misc]


def test_an_effect_under_way_comes_to_its_end_and_is_recorded_when_the_store_is_back() -> None:
    async def story(failing: Failing) -> None:
        failing.pause_s = 1.0
        turn = await failing.house.ask("Begin.")
        await asyncio.sleep(0.5)
        failing.disk.strike("gone")
        asyncio.get_running_loop().call_later(5, failing.disk.relieve)
        with pytest.raises(StoreError, match="check the disk and try again"):
            await turn.wait()
        assert sum(failing.effects.values()) == 2
        await asyncio.sleep(5)
        await failing.finish()
        await turn.wait()
        assert (turn.outcome, turn.answer.text) == ("completed", "All of it was done.")
        kinds = [type(event.fact) for _, event in failing.acknowledged]
        assert CallInterrupted not in kinds and kinds.count(CallCompleted) >= 3
        await failing.check()

    live(story)


def test_a_lease_that_cannot_be_renewed_for_a_while_cuts_no_effect() -> None:
    async def story(failing: Failing) -> None:
        failing.pause_s = 8.0  # the lease is renewed after 10 s, while the disk is full
        turn = await failing.house.ask("Begin.")
        await asyncio.sleep(9)
        failing.disk.strike("full")
        asyncio.get_running_loop().call_later(5, failing.disk.relieve)
        await turn.wait()
        assert turn.outcome == "completed"
        await failing.check()

    live(story)


def test_a_store_that_cannot_be_opened_is_told_and_opens_later() -> None:
    async def story(failing: Failing) -> None:
        await ask(failing)
        await failing.house.close()
        failing.disk.strike("gone")
        with pytest.raises(StoreError, match=r"cannot be opened; check that its folder may be written"):
            await failing.restart()
        failing.disk.relieve()
        await failing.restart()
        assert await ask(failing) == ""
        await failing.check()

    live(story)


def test_it_is_found_when_something_acknowledged_is_lost() -> None:
    """The check of these tests sees what it is there to see."""

    async def story(failing: Failing) -> None:
        await ask(failing)
        session, event = failing.acknowledged[-1]
        failing.acknowledged.append((session, replace(event, seq=event.seq + 100)))
        with pytest.raises(IndexError):
            await failing.check()

    live(story)
