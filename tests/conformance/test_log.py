"""What every log promises about appending and reading."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.logs import LOGS, NOW, Opened, append, changed, revoking, says, written

from standpipe.core.amounts import Balance, Move
from standpipe.core.events import CallCompleted, Frame, WorldRecord
from standpipe.core.frames import decode_frame, encode_frame, items_of
from standpipe.core.ids import HOUSE, digest_bytes
from standpipe.core.items import Item, Text
from standpipe.ports import Appended, Fenced, Log, Owner, SessionRow, Short, Stale

ANA, BEN = Owner("here", 1, "a"), Owner("here", 2, "b")
TAKEN = revoking("acme", "document:a#reader@user:ana")


@pytest.fixture(params=LOGS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with LOGS[request.param](tmp_path) as opened:
        yield opened


def test_what_was_appended_is_read_as_it_was(opened: Opened) -> None:
    part = b'{"prices":1}'
    world = WorldRecord({"policy": digest_bytes(part)}, {"day": (1, 2)})

    async def run() -> None:
        log = opened.log
        facts = says(1, "hello"), says(2, "again")
        first = await written(log, append("s1", 0, *facts, world=world, parts={world.parts["policy"]: part}))
        second = await written(log, append("s1", 2, says(3, "bye"), by="p2", at=NOW + 1))

        frames = await log.read("s1")
        assert [frame.first_seq for frame in frames] == [1, 3]
        assert [event.fact for frame in frames for event in frame.events] == [*facts, says(3, "bye")]
        assert (frames[0].world, frames[0].at, frames[0].rules, frames[1].by) == (world, NOW, "rules", "p2")
        assert [frames[0].prev, frames[1].prev] == ["", first.head]
        assert await log.heads("s1") == (3, second.head)
        assert await log.parts([world.parts["policy"], "unknown"]) == {world.parts["policy"]: part}
        assert await log.chain() == []

    asyncio.run(run())


def test_reading_begins_with_the_frame_that_holds_the_next_event(opened: Opened) -> None:
    async def run() -> None:
        for seq in (0, 2, 4):
            await opened.log.append(append("s1", seq, says(seq + 1, "a"), says(seq + 2, "b")))

        assert [[f.first_seq for f in await opened.log.read("s1", after)] for after in range(7)] == [
            [1, 3, 5], [1, 3, 5], [3, 5], [3, 5], [5], [5], [],
        ]  # fmt: skip
        assert await opened.log.read("unknown") == []
        assert await opened.log.heads("unknown") == (0, "")

    asyncio.run(run())


@pytest.mark.parametrize("bodies", [True, False])
def test_a_log_is_read_page_by_page(opened: Opened, bodies: bool) -> None:
    async def run() -> None:
        for seq in range(0, 300, 2):
            await opened.log.append(append("s1", seq, says(seq + 1, "a"), says(seq + 2, "b")))

        whole = await opened.log.read("s1", bodies=bodies)
        assert await opened.log.read("s1", bodies=bodies, limit=1_000) == whole
        assert await opened.log.read("s1", 3, bodies=bodies, limit=2) == whole[1:3]
        pages, after = [], 0
        while page := await opened.log.read("s1", after, bodies=bodies, limit=7):
            pages.append(page)
            after = page[-1].last_seq
        assert [frame for page in pages for frame in page] == whole and {len(page) for page in pages[:-1]} == {7}
        assert await opened.log.read("unknown", limit=3) == []

    asyncio.run(run())


def test_a_long_log_is_read_whole(opened: Opened) -> None:
    async def run() -> None:
        for seq in range(300):
            await opened.log.append(append("s1", seq, says(seq + 1, f"word {seq}")))

        bodies = [item.body for item in items(await opened.log.read("s1"))]
        assert bodies == [Text(f"word {seq}") for seq in range(300)]

    asyncio.run(run())


def test_nothing_read_is_the_store_itself(opened: Opened) -> None:
    async def run() -> None:
        parts = {"p": b"part"}
        await opened.log.append(append("s1", 0, world=WorldRecord({}, {"day": (1, 2)}), parts=parts))
        parts["p"] = b"other"
        (await opened.log.read("s1"))[0].world.balances.clear()

        assert (await opened.log.read("s1"))[0].world.balances == {"day": (1, 2)}
        assert await opened.log.parts(["p"]) == {"p": b"part"}

    asyncio.run(run())


REFUSALS: list[tuple[str, dict[str, Any], object]] = [
    ("the fence comes first", dict(seq=5, fence=9, access_revision=0, moves=(Move("day", 100, 0, 10),)), Fenced(1)),
    ("then the length of the log", dict(seq=5, fence=1, access_revision=0, moves=(Move("day", 100, 0, 10),)), Stale(1)),
    ("shorter is stale too", dict(seq=0, fence=1), Stale(1)),
    ("then rights", dict(seq=1, fence=1, access_revision=0, moves=(Move("day", 100, 0, 10),)), Stale(1)),
    ("then requests", dict(seq=1, fence=1, access_revision=1, requests=("r1",), moves=(Move("day", 100, 0, 10),)), Stale(1)),
    ("then money", dict(seq=1, fence=1, access_revision=1, moves=(Move("day", 100, 0, 10),)), Short("day")),
    ("a fence of nobody", dict(seq=1, fence=0), Fenced(1)),
]


@pytest.mark.parametrize(("wishes", "answer"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_a_refused_append_says_why_and_writes_nothing(opened: Opened, wishes: dict[str, Any], answer: object) -> None:
    async def run() -> None:
        log = opened.log
        assert await log.claim("s1", ANA, NOW, NOW + 1) == 1
        await changed(log, 0, TAKEN)
        await log.append(append("s1", 0, fence=1, requests=("r1",), moves=(Move("day", 5),)))
        before = await everything(log)

        row = SessionRow("s1", "acme", "user:ana", "coordinator")
        assert await log.append(append("s1", parts={"p": b"part"}, row=row, **wishes)) == answer

        assert await everything(log) == before
        assert isinstance(await log.append(append("s1", 1, fence=1, access_revision=1)), Appended)

    asyncio.run(run())


async def everything(log: Log) -> list[object]:
    """All that a log shows of session s1."""
    frames = [encode_frame(frame) for frame in await log.read("s1")]
    held = await log.balances(["day", "session"])
    return [frames, held, await log.heads("s1"), await log.parts(["p"]), await log.row("s1"), await log.seen("s1", "r2")]


def test_only_a_newer_revocation_of_the_same_tenant_makes_an_append_stale(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        await changed(log, 0, TAKEN, revoking("other", "x#y@z:a"), revoking("acme"))

        assert await log.append(append("s1", 0, access_revision=0)) == Stale(0)
        assert isinstance(await log.append(append("s1", 0, access_revision=1)), Appended)
        assert isinstance(await log.append(append("s2", 0)), Appended)
        assert await log.append(append("s3", 0, access_revision=1, tenant="other")) == Stale(0)
        assert isinstance(await log.append(append("s3", 0, access_revision=0, tenant="third")), Appended)

    asyncio.run(run())


def test_each_append_of_a_group_stands_on_its_own(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        answers = await asyncio.gather(
            log.append(append("s1", 0, moves=(Move("day", 6, 0, 10),))),
            log.append(append("s2", 7)),
            log.append(append(HOUSE, 0, revoking("acme", "x#y@z:a", origin="broken"), tenant="")),
            log.append(append("s3", 0, moves=(Move("week", 6), Move("day", 6, 0, 10)))),
            log.append(append("s4", 0, says(1, "fine"), moves=(Move("day", 4, 0, 10),))),
            return_exceptions=True,
        )

        assert [type(answer) for answer in answers] == [Appended, Stale, LookupError, Short, Appended]
        assert await log.balances(["day", "week"]) == {"day": Balance(10), "week": Balance()}
        assert [(await log.heads(session))[0] for session in ("s1", "s2", "s3", "s4", HOUSE)] == [1, 0, 0, 1, 0]
        assert isinstance(await log.append(append("s5", 0, access_revision=0)), Appended)
        assert await log.chain() == []

    asyncio.run(run())


def test_of_appends_to_one_log_at_once_one_is_written(opened: Opened) -> None:
    async def run() -> None:
        answers = await asyncio.gather(*(opened.log.append(append("s1", 0, says(1, f"{n}"))) for n in range(10)))

        assert sorted(type(answer).__name__ for answer in answers) == ["Appended", *["Stale"] * 9]
        assert len(await opened.log.read("s1")) == 1

    asyncio.run(run())


def test_a_request_is_admitted_once(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        assert not await log.seen("s1", "r1")
        assert isinstance(await log.append(append("s1", 0, requests=("r1", "r2"))), Appended)

        assert [await log.seen(session, "r2") for session in ("s1", "s2")] == [True, False]
        assert await log.append(append("s1", 1, requests=("r3", "r2"))) == Stale(1)
        assert not await log.seen("s1", "r3")
        assert isinstance(await log.append(append("s2", 0, requests=("r2",))), Appended)

    asyncio.run(run())


def test_a_body_is_kept_once_within_its_tenant_and_never_read_by_another(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        await log.append(append("s1", 0, says(1, "the same", "other")))
        await log.append(append("s1", 1, says(2, "the same")))
        await log.append(append("s2", 0, says(1, "theirs"), tenant="other"))
        item, other, again = items(await log.read("s1"))
        (theirs,) = items(await log.read("s2"))

        assert [i.body for i in (item, other, again, theirs)] == [Text(t) for t in ("the same", "other", "the same", "theirs")]
        assert set(await log.bodies("acme", [item.hash, theirs.hash, "unknown"])) == {item.hash}
        assert set(await log.bodies("other", [item.hash, theirs.hash])) == {theirs.hash}

    asyncio.run(run())


def test_without_bodies_the_items_are_there_and_bare(opened: Opened) -> None:
    async def run() -> None:
        await opened.log.append(append("s1", 0, says(1, "secret"), CallCompleted("t1.st1.a1")))
        (frame,) = await opened.log.read("s1", bodies=False)

        assert b"secret" not in encode_frame(frame)
        assert [item.body for item in items([frame])] == [None]
        assert items([frame])[0].hash == items(await opened.log.read("s1"))[0].hash

    asyncio.run(run())


def items(frames: list[Frame]) -> list[Item]:
    return [item for frame in frames for event in frame.events for item in items_of(event)]


def test_the_digest_of_a_frame_is_that_of_its_stored_bytes(opened: Opened) -> None:
    async def run() -> None:
        answers = [await written(opened.log, append("s1", seq, says(seq + 1, "x"))) for seq in range(3)]
        bare = [encode_frame(frame) for frame in await opened.log.read("s1", bodies=False)]

        assert [answer.head for answer in answers] == [digest_bytes(data) for data in bare]
        assert [decode_frame(data).prev for data in bare[1:]] == [digest_bytes(data) for data in bare[:-1]]

    asyncio.run(run())


def test_rows_are_kept_beside_the_log_the_last_written_first(opened: Opened) -> None:
    async def run() -> None:
        log = opened.log
        rows = [SessionRow(f"s{n}", "acme", "user:ana", "coordinator", wakes_at=n or None) for n in range(3)]
        for row in rows:
            await log.append(append(row.session, 0, row=row))
        await log.append(append("bare", 0))
        await log.append(append("s1", 1))

        assert await log.rows() == [rows[1], rows[2], rows[0]]
        assert [await log.row(session) for session in ("s2", "bare", "unknown")] == [rows[2], None, None]

    asyncio.run(run())


def test_projections_see_the_house_log_and_only_that(opened: Opened) -> None:
    async def run() -> None:
        await changed(opened.log, 0, TAKEN)
        await opened.log.append(append("s1", 0))

        assert [(tenant, [event.fact for event in events]) for tenant, events in opened.projected] == [("", [TAKEN])]

    asyncio.run(run())


def test_events_with_a_gap_are_a_bug(opened: Opened) -> None:
    async def run() -> None:
        with pytest.raises(AssertionError, match="gap"):
            await opened.log.append(append("s1", 0, expect_seq=3))
        with pytest.raises(AssertionError, match="without events"):
            await opened.log.append(append("s1", 0, events=()))

    asyncio.run(run())
