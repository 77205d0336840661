"""A log that begins as a fork: it shares the frames of its parent up to the cut, and copies none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.conformance.logs import LOGS, Opened, append, says, written

from standpipe.core.events import Frame, MemoryKept, SessionForked, TurnRequested
from standpipe.core.items import Text
from standpipe.ports import Append, Appended, Log, SessionRow, Stale


@pytest.fixture(params=LOGS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with LOGS[request.param](tmp_path) as opened:
        yield opened


def run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


def forking(session: str, parent: str, at: int, head: str) -> Append:
    """The append by which a fork begins: two events."""
    return append(session, at, SessionForked(session, parent, at, head), MemoryKept("t1"))


async def grown(log: Log, session: str = "p") -> list[str]:
    """A log of four frames that end at 1, 3, 4 and 6, the first with a body; the digest of each frame."""
    heads = [(await written(log, append(session, 0, says(1, "the question")))).head]
    for seq, count in ((1, 2), (3, 1), (4, 2)):
        heads.append((await written(log, append(session, seq, *[MemoryKept("t1")] * count))).head)
    return heads


def seqs(frames: list[Frame]) -> list[tuple[int, int]]:
    return [(frame.first_seq, frame.last_seq) for frame in frames]


def test_a_fork_reads_the_frames_of_its_parent_up_to_the_cut_and_then_its_own(opened: Opened) -> None:
    async def main() -> None:
        log = opened.log
        heads = await grown(log)
        began = await written(log, forking("f", "p", 3, heads[1]))
        went = await written(log, append("f", 5))
        assert (began.seq, went.seq) == (5, 6)
        assert await log.heads("f") == (6, went.head)
        frames = await log.read("f")
        assert seqs(frames) == [(1, 1), (2, 3), (4, 5), (6, 6)]
        assert [frame.prev for frame in frames] == ["", heads[0], heads[1], began.head]
        question = frames[0].events[0].fact
        assert isinstance(question, TurnRequested) and question.items[0].body == Text("the question")
        assert [seqs(await log.read("f", after)) for after in (1, 2, 3, 4, 5, 6)] == [
            [(2, 3), (4, 5), (6, 6)],
            [(2, 3), (4, 5), (6, 6)],
            [(4, 5), (6, 6)],
            [(4, 5), (6, 6)],
            [(6, 6)],
            [],
        ]
        assert [seqs(await log.read("f", 0, limit=n)) for n in (1, 3)] == [[(1, 1)], [(1, 1), (2, 3), (4, 5)]]
        assert seqs(await log.read("p")) == [(1, 1), (2, 3), (4, 4), (5, 6)]
        assert await log.chain() == []

    run(main)


def test_a_fork_of_a_fork_shares_what_both_shared(opened: Opened) -> None:
    async def main() -> None:
        log = opened.log
        heads = await grown(log)
        began = await written(log, forking("f", "p", 4, heads[2]))
        await written(log, forking("g", "f", began.seq, began.head))
        await written(log, forking("h", "f", 1, heads[0]))
        assert seqs(await log.read("g")) == [(1, 1), (2, 3), (4, 4), (5, 6), (7, 8)]
        assert seqs(await log.read("h")) == [(1, 1), (2, 3)]
        assert seqs(await log.read("g", 4)) == [(5, 6), (7, 8)]
        assert seqs(await log.read("g", 5, limit=1)) == [(5, 6)]
        assert await log.chain() == []

    run(main)


def test_a_fork_goes_on_beside_its_parent(opened: Opened) -> None:
    async def main() -> None:
        log = opened.log
        heads = await grown(log)
        row = SessionRow("f", "acme", "user:ana", "agent")
        await written(log, msgspec.structs.replace(forking("f", "p", 4, heads[2]), row=row))
        await written(log, append("p", 6, says(7, "later")))
        await written(log, append("f", 6, says(7, "other")))
        assert [await log.row("f"), (await log.heads("p"))[0]] == [row, 7]
        texts = [frames[-1].events[0].fact.items[0].body for frames in (await log.read("p"), await log.read("f"))]  # type: ignore[union-attr]
        assert texts == [Text("later"), Text("other")]
        assert isinstance(await log.append(append("f", 6)), Stale)
        assert await log.chain() == []

    run(main)


def test_a_fork_begins_only_where_a_frame_of_its_parent_ends_as_it_says(opened: Opened) -> None:
    async def main() -> None:
        log = opened.log
        heads = await grown(log)
        wrong = [("p", 2, heads[1]), ("p", 3, heads[2]), ("p", 7, heads[3]), ("nobody", 3, heads[1])]
        for parent, at, head in wrong:
            assert await log.append(forking("f", parent, at, head)) == Stale(0)
        assert (await log.read("f"), await log.heads("f")) == ([], (0, ""))
        assert isinstance(await log.append(forking("f", "p", 3, heads[1])), Appended)
        assert isinstance(await log.append(forking("f", "p", 4, heads[2])), Stale)
        assert await log.chain() == []

    run(main)
