"""What every log promises about money: no row ever over its limit, nothing lost, nothing invented."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.logs import LOGS, append

from standpipe.core.amounts import Balance, Move
from standpipe.ports import Appended, Short

LIMITS = {"tenant": 30, "session": 20, "free": None}


def held(most: int) -> st.SearchStrategy[tuple[str, int, int]]:
    return st.tuples(st.sampled_from(sorted(LIMITS)), st.integers(-most, most), st.integers(-2, most))


@pytest.mark.parametrize("name", ["memory", "inline"])
@given(appends=st.lists(st.lists(held(12), min_size=1, max_size=4), max_size=30))
def test_rows_stay_under_their_limits_and_add_up(name: str, appends: list[list[tuple[str, int, int]]]) -> None:
    async def run() -> None:
        with LOGS[name](Path()) as opened:
            rows = dict.fromkeys(LIMITS, Balance())
            seq = 0
            for changes in appends:
                after = added(rows, changes)
                if any(row.held < 0 or row.spent < 0 for row in after.values()):
                    continue  # a bug, not a wish
                over = {a for a in after if size(after[a]) > (LIMITS[a] or 10**9) and size(after[a]) > size(rows[a])}
                moves = tuple(Move(account, held, spent, LIMITS[account]) for account, held, spent in changes)
                answer = await opened.log.append(append("s1", seq, moves=moves))

                assert answer.account in over if isinstance(answer, Short) else not over
                if isinstance(answer, Appended):
                    rows, seq = after, answer.seq
                assert await opened.log.balances(list(LIMITS)) == rows
                assert all(limit is None or size(rows[account]) <= limit for account, limit in LIMITS.items())

    asyncio.run(run())


def size(row: Balance) -> int:
    return row.held + row.spent


def added(rows: dict[str, Balance], changes: list[tuple[str, int, int]]) -> dict[str, Balance]:
    after = dict(rows)
    for account, held, spent in changes:
        after[account] = Balance(after[account].held + held, after[account].spent + spent)
    return after


@pytest.mark.parametrize("name", LOGS)
def test_of_many_sessions_at_once_only_those_that_fit_get_money(name: str, tmp_path: Path) -> None:
    async def run() -> None:
        with LOGS[name](tmp_path) as opened:
            wishes = [append(f"s{n}", 0, moves=(Move("day", 7, 0, 100), Move(f"s{n}", 7))) for n in range(40)]
            answers = await asyncio.gather(*(opened.log.append(wish) for wish in wishes))

            assert [answers.count(Short("day")), sum(isinstance(answer, Appended) for answer in answers)] == [26, 14]
            rows = await opened.log.balances(["day", *(f"s{n}" for n in range(40))])
            assert rows.pop("day") == Balance(98)
            assert sum(row.held for row in rows.values()) == 98

    asyncio.run(run())


@pytest.mark.parametrize("name", LOGS)
def test_a_row_over_its_limit_can_still_be_lowered(name: str, tmp_path: Path) -> None:
    async def run() -> None:
        with LOGS[name](tmp_path) as opened:
            await opened.log.append(append("s1", 0, moves=(Move("day", 50),)))

            assert await opened.log.append(append("s1", 1, moves=(Move("day", 0, 1, 10),))) == Short("day")
            assert await opened.log.append(append("s1", 1, moves=(Move("day", -50, 51, 10),))) == Short("day")
            assert isinstance(await opened.log.append(append("s1", 1, moves=(Move("day", -50, 50, 10),))), Appended)
            assert isinstance(await opened.log.append(append("s1", 2, moves=(Move("day", 0, -1, 10),))), Appended)
            assert await opened.log.balances(["day", "new"]) == {"day": Balance(0, 49), "new": Balance()}

    asyncio.run(run())


@pytest.mark.parametrize("name", LOGS)
def test_moves_of_one_append_count_together(name: str, tmp_path: Path) -> None:
    async def run() -> None:
        with LOGS[name](tmp_path) as opened:
            first = append("s1", 0, moves=(Move("day", 10, 0, 10),))
            settled_and_held = append("s1", 1, moves=(Move("day", 6, 0, 10), Move("day", -10, 4, 10)))
            twice = append("s1", 2, moves=(Move("day", 0, 1, 11), Move("day", 0, 1, 50)))

            assert isinstance(await opened.log.append(first), Appended)
            assert isinstance(await opened.log.append(settled_and_held), Appended)
            assert await opened.log.append(twice) == Short("day")
            assert await opened.log.balances(["day"]) == {"day": Balance(6, 4)}

    asyncio.run(run())


@pytest.mark.parametrize("name", LOGS)
def test_a_row_below_zero_is_a_bug_and_is_not_written(name: str, tmp_path: Path) -> None:
    async def run() -> None:
        with LOGS[name](tmp_path) as opened:
            with pytest.raises(AssertionError, match="below zero"):
                await opened.log.append(append("s1", 0, moves=(Move("day", 5), Move("week", -1))))

            assert await opened.log.balances(["day", "week"]) == {"day": Balance(), "week": Balance()}
            assert await opened.log.heads("s1") == (0, "")

    asyncio.run(run())
