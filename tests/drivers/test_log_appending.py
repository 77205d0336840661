"""What is remembered of the store from one group of appends to the next is forgotten when it no longer holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import pytest
from tests.conformance.logs import NOW, append

from standpipe.core.amounts import Balance, Move
from standpipe.drivers.log import tables
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import Store
from standpipe.ports import Appended, Fenced, Owner, Stale

ANA, BEN = Owner("here", 1, "a"), Owner("here", 2, "b")


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[Store]]:
    """Two connections to one file, as two processes have them."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(Store.open(tmp_path / "standpipe.db", [tables.SCHEMA]))) for _ in range(2)
        ]


def test_what_another_process_wrote_counts_at_once(stores: list[Store]) -> None:
    async def run() -> None:
        mine, other = map(SqliteLog, stores)
        assert isinstance(await mine.append(append("s1", 0)), Appended)
        assert isinstance(await other.append(append("s1", 1)), Appended)
        assert await mine.append(append("s1", 1)) == Stale(2)
        assert isinstance(await mine.append(append("s1", 2)), Appended)
        assert await mine.chain() == []

    asyncio.run(run())


def test_a_lease_that_another_process_took_fences_at_once(stores: list[Store]) -> None:
    async def run() -> None:
        mine, other = map(SqliteLog, stores)
        assert await mine.claim("s1", ANA, NOW, NOW + 10) == 1
        assert isinstance(await mine.append(append("s1", 0, fence=1)), Appended)
        assert await other.claim("s1", BEN, NOW + 11, NOW + 20) == 2
        assert await mine.append(append("s1", 1, fence=1)) == Fenced(2)
        assert await mine.claim("s1", ANA, NOW + 21, NOW + 30) == 3
        assert isinstance(await mine.append(append("s1", 1, fence=3)), Appended)
        await mine.release("s1", 3)
        assert await mine.append(append("s1", 2, fence=3)) == Fenced(0)

    asyncio.run(run())


def test_a_group_of_which_nothing_remained_is_not_remembered(stores: list[Store]) -> None:
    def broken(con: apsw.Connection, some: Sequence[object]) -> list[object]:
        raise LookupError("the group is lost")

    async def run() -> None:
        log, move = SqliteLog(stores[0]), (Move("day", held=1),)
        assert isinstance(await log.append(append("s1", 0, moves=move)), Appended)
        lost = [log.append(append("s1", 1, moves=move)), log.append(append("s2", 0)), stores[0].write_in(broken, None)]
        came = await asyncio.gather(*lost, return_exceptions=True)
        assert all(isinstance(one, LookupError) for one in came)

        assert isinstance(await log.append(append("s1", 1, moves=move)), Appended)
        assert isinstance(await log.append(append("s2", 0)), Appended)
        assert await log.balances(["day"]) == {"day": Balance(held=2)}
        assert [frame.first_seq for frame in await log.read("s1")] == [1, 2]
        assert await log.chain() == []

    asyncio.run(run())


def test_two_appends_of_one_session_in_one_group_are_judged_in_their_order(stores: list[Store]) -> None:
    async def run() -> None:
        log = SqliteLog(stores[0])
        came = await asyncio.gather(*(log.append(append("s1", seq)) for seq in (0, 0, 1, 3)))
        assert [type(one) for one in came] == [Appended, Stale, Appended, Stale]
        assert await log.chain() == [] and (await log.heads("s1"))[0] == 2

    asyncio.run(run())
