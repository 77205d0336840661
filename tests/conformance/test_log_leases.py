"""What every log promises about leases, and about waiting for what others write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.logs import LOGS, NOW, Opened, append

from standpipe.ports import Appended, Fenced, Lease, Owner

ANA, BEN = Owner("here", 1, "a"), Owner("here", 2, "b")


@pytest.fixture(params=LOGS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with LOGS[request.param](tmp_path) as opened:
        yield opened


def test_a_lease_is_held_until_it_lapses(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        assert await log.claim("s1", ANA, NOW, NOW + 100) == 1
        assert await log.claim("s1", BEN, NOW + 100, NOW + 200) is None
        assert await log.claim("s2", BEN, NOW, NOW + 100) == 1
        assert await log.claim("s1", BEN, NOW + 101, NOW + 201) == 2
        assert await log.claim("s1", ANA, NOW + 102, NOW + 202) is None

    asyncio.run(run())


def test_its_owner_renews_it_and_keeps_the_fence(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        assert await log.claim("s1", ANA, NOW, NOW + 100) == 1
        assert await log.claim("s1", ANA, NOW + 500, NOW + 600) == 1
        assert await log.claim("s1", BEN, NOW + 600, NOW + 700) is None

    asyncio.run(run())


def test_a_dead_owner_is_replaced_at_once(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        assert await log.claim("s1", ANA, NOW, NOW + 100) == 1
        opened.gone.add(ANA)
        assert await log.claim("s1", BEN, NOW, NOW + 100) == 2

    asyncio.run(run())


def test_owners_who_do_not_give_it_back_are_counted_as_long_as_the_log_stands_still(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        assert log.lease("s1") == Lease()
        await log.append(append("s1", 0))
        owners = [Owner("here", pid, "") for pid in range(6)]
        for crashes, owner in enumerate(owners[:3]):
            fence = await log.claim("s1", owner, NOW, NOW + 100)
            assert fence is not None
            assert log.lease("s1") == Lease(fence, NOW + 100, owner, 1, crashes)
            opened.gone.add(owner)
        await log.claim("s1", owners[3], NOW, NOW + 100)
        await log.claim("s1", owners[3], NOW + 50, NOW + 150)
        assert log.lease("s1") == Lease(4, NOW + 150, owners[3], 1, 3)
        await log.release("s1", 4)
        assert log.lease("s1") == Lease(4, NOW + 150, None, 1, 0)

        await log.claim("s1", owners[4], NOW, NOW + 100)
        assert log.lease("s1").crashes == 0
        await log.append(append("s1", 1))
        await log.claim("s1", owners[5], NOW + 101, NOW + 200)
        assert log.lease("s1") == Lease(6, NOW + 200, owners[5], 2, 1)
        await log.release("s1", 6)
        await log.append(append("s1", 2))
        await log.claim("s1", owners[4], NOW, NOW + 100)
        assert log.lease("s1").crashes == 0

    asyncio.run(run())


def test_a_late_owner_can_write_nothing(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        await log.claim("s1", ANA, NOW, NOW)
        assert isinstance(await log.append(append("s1", 0, fence=1)), Appended)
        await log.claim("s1", BEN, NOW + 1, NOW + 100)

        assert await log.append(append("s1", 1, fence=1)) == Fenced(2)
        assert isinstance(await log.append(append("s1", 1, fence=2)), Appended)
        assert isinstance(await log.append(append("s1", 2)), Appended)

    asyncio.run(run())


def test_a_lease_given_back_is_free_and_its_fence_is_void(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        await log.claim("s1", ANA, NOW, NOW + 100)
        await log.release("s1", 1)

        assert await log.append(append("s1", 0, fence=1)) == Fenced(0)
        assert await log.claim("s1", BEN, NOW, NOW + 100) == 2
        await log.release("s1", 1)
        await log.release("unknown", 1)
        assert await log.claim("s1", ANA, NOW, NOW + 100) is None

    asyncio.run(run())


def test_waiting_ends_when_the_log_grows(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        waiting = [asyncio.create_task(log.wait("s1", after, 30_000)) for after in (0, 0, 1)]
        await asyncio.sleep(0)
        await log.append(append("s2", 0))
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)

        await log.append(append("s1", 0))
        for _ in range(3):  # turns of the loop, not time: within one process nobody polls
            await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, True, False]
        await log.append(append("s1", 1))
        await waiting[2]

    asyncio.run(asyncio.wait_for(run(), 20))


def test_waiting_ends_at_once_when_there_is_nothing_to_wait_for(opened: Opened) -> None:
    async def run() -> None:
        await opened.log.append(append("s1", 0))
        await opened.log.wait("s1", 0, 30_000)

    asyncio.run(asyncio.wait_for(run(), 20))


def test_waiting_ends_in_time(opened: Opened) -> None:
    async def run() -> None:
        started = time.monotonic()
        await opened.log.wait("s1", 0, 70)
        assert 0.06 < time.monotonic() - started < 10
        await opened.log.wait("s1", 0, 0)

    asyncio.run(run())


def test_who_gives_up_waiting_leaves_the_others_alone(opened: Opened) -> None:
    async def run() -> None:
        patient, hasty = (asyncio.create_task(opened.log.wait("s1", 0, 30_000)) for _ in range(2))
        await asyncio.sleep(0)
        hasty.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hasty
        await opened.log.append(append("s1", 0))
        await patient

    asyncio.run(asyncio.wait_for(run(), 20))
