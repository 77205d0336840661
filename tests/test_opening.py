"""A session's state is the same from a snapshot as from its whole log, and a snapshot may be thrown away."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.scripts import Script, run

import standpipe as sp
from standpipe.core.apply import fold
from standpipe.engine.opening import EVENTS_MIN, opened
from standpipe.ports import Log, Owner, Snapshot

TURNS = 3 * EVENTS_MIN // 8
"""Enough for more than one snapshot: a turn has some ten events."""


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


def opening(store: str) -> AbstractAsyncContextManager[sp.House]:
    return sp.open({}, models=Script(*["It is."] * (TURNS + 2)).models, store=store)


async def asked(house: sp.House, turns: int, session: str | None = None) -> str:
    """The session of so many turns, when nobody drives it any more."""
    for _ in range(turns):
        turn = await (await house.ask("Is it?", session=session)).wait()
        assert turn.outcome == "completed", turn.reason
        session = turn.session
    assert session is not None
    while session in house.driving:
        await asyncio.sleep(0.001)
    return session


async def again(log: Log, session: str, kept: Snapshot) -> None:
    """Keep this snapshot, as a drive does when it is over."""
    fence = await log.claim(session, Owner("here", 1, "now"), 0, 1)
    assert fence is not None
    await log.release(session, fence, kept)


def test_a_state_is_the_same_from_a_snapshot_as_from_the_whole_log(store: str) -> None:
    async def main() -> None:
        async with opening(store) as house:
            log, rules = house.ports.log, house.setup.rules
            session = await asked(house, TURNS)
            whole = fold(await log.read(session))
            kept = await log.snapshot(session)
            assert kept is not None and EVENTS_MIN < kept.seq <= whole.seq and kept.rules == rules
            assert await opened(log, session, rules) == whole

            session = await asked(house, 1, session)
            assert (await opened(log, session, rules)) == fold(await log.read(session))

    run(main)


@pytest.mark.parametrize("change", [{"rules": "others"}, {"state": b"\xc1"}, {"seq": 7}], ids=lambda change: next(iter(change)))
def test_a_snapshot_of_other_rules_or_that_cannot_be_read_is_passed_over(store: str, change: dict[str, object]) -> None:
    async def main() -> None:
        async with opening(store) as house:
            log, rules = house.ports.log, house.setup.rules
            session = await asked(house, TURNS)
            kept = await log.snapshot(session)
            assert kept is not None
            await again(log, session, replace(kept, **change))
            assert await log.snapshot(session) == replace(kept, **change)
            assert await opened(log, session, rules) == fold(await log.read(session))
            await asked(house, 1, session)

    run(main)


def test_a_session_that_does_not_exist_is_empty(store: str) -> None:
    async def main() -> None:
        async with opening(store) as house:
            assert (await opened(house.ports.log, "nobody's", house.setup.rules)).seq == 0
            assert await house.ports.log.snapshot("nobody's") is None

    run(main)
