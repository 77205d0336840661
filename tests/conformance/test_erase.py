"""What erasing promises of a log's bodies and of memory, in every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.logs import LOGS, Opened, append, says, written
from tests.conformance.test_search import INDEXES, anything

from standpipe.core.events import ItemsErased
from standpipe.core.frames import hashes_of
from standpipe.core.verify import violations
from standpipe.ports import Hit, Memory, Search


@pytest.fixture(params=LOGS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with LOGS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture(params=INDEXES)
def search(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Search]:
    with INDEXES[request.param](tmp_path) as search:
        yield search


def test_erased_bodies_are_gone_and_the_chain_is_whole(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        await written(log, append("s1", 0, says(1, "one", "two")))
        await written(log, append("s2", 0, says(1, "one"), tenant="other"))
        hashes = hashes_of(await log.read("s1", bodies=False))
        assert await log.erase("acme", hashes, {"s1": 1}) == 2
        assert await log.erase("acme", hashes, {"s1": 1}) == 0
        assert await log.bodies("acme", sorted(hashes)) == {}
        assert len(await log.bodies("other", sorted(hashes))) == 1
        (frame,) = await log.read("s1")
        assert [item.body for item in frame.events[0].fact.items] == [None, None]  # type: ignore[union-attr]
        assert await log.chain() == []

    asyncio.run(run())


def test_a_body_that_was_named_since_somebody_looked_stays(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        await written(log, append("s1", 0, says(1, "one", "two")))
        seen = {"s1": 1}
        await written(log, append("s2", 0, says(1, "one")))
        hashes = hashes_of(await log.read("s1", bodies=False))
        assert await log.erase("acme", hashes, seen) == 1
        assert len(await log.bodies("acme", sorted(hashes))) == 1

    asyncio.run(run())


def test_what_is_said_again_is_stored_again(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        await written(log, append("s1", 0, says(1, "one")))
        hashes = hashes_of(await log.read("s1", bodies=False))
        await log.erase("acme", hashes, {"s1": 1})
        await written(log, append("s2", 0, says(1, "one")))
        assert len(await log.bodies("acme", sorted(hashes))) == 1

    asyncio.run(run())


async def found(search: Search, principal: str) -> list[Hit]:
    return await search.find("acme", (), "where is the leader", 5, anything, principal)


def test_what_was_forgotten_is_not_found(search: Search) -> None:
    async def run() -> None:
        for id, principal in (("s1.t1", "user:ana"), ("s1.t2", "user:ana"), ("s1.t1", "user:bob")):
            await search.remember(Memory(id, "acme", principal, (), f"The leader sits in {id}.", ()))
        await search.forget("acme", "user:ana", ["s1.t1", "s9.t9"])
        assert [hit.text for hit in await found(search, "user:ana")] == ["The leader sits in s1.t2."]
        assert len(await found(search, "user:bob")) == 1
        await search.forget("acme", "user:nobody", ["s1.t1"])
        await search.remember(Memory("s1.t1", "acme", "user:ana", (), "The leader is back.", ()))
        assert "The leader is back." in [hit.text for hit in await found(search, "user:ana")]

    asyncio.run(run())


def test_verify_holds_that_what_was_erased_was_there_and_nothing_at_work() -> None:
    async def run() -> None:
        with LOGS["memory"](Path()) as opened:
            await written(opened.log, append("s1", 0, says(1, "one"), ItemsErased(("1.0", "7.0"))))
            frames = await opened.log.read("s1")
        told = [text for text in violations(frames) if "eras" in text]
        assert told == [
            "seq 2: it erases what is not there.",
            "seq 2: nothing is erased, or something while a turn is at work.",
        ]

    asyncio.run(run())
