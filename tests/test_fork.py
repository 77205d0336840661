"""Forks through the Python API: what is shared, what is asked anew, what is set, and what is never done again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.scripts import Script, answered, called, run

import standpipe as sp
from standpipe.core.apply import fold
from standpipe.core.events import (
    Asked,
    CallCancelled,
    CallCompleted,
    CallGranted,
    CallInterrupted,
    Event,
    SessionForked,
    StepEnded,
)
from standpipe.core.explain import why
from standpipe.core.items import Data, Failure
from standpipe.drivers.tools.python import tool
from standpipe.engine.replay import replay
from standpipe.engine.verify import verify


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


class Desk:
    """A read and two effects, and what was done with them."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []
        self.slow = asyncio.Event()

        @tool(effect="read")
        async def look(n: int) -> dict[str, int]:
            """Looks."""
            self.done.append(("look", n))
            return {"n": n, "times": len(self.done)}

        @tool(effect="write")
        async def put(n: int) -> str:
            """Puts."""
            self.done.append(("put", n))
            if n == 7:
                await self.slow.wait()
            return "x" * 2_000_000 if n == 9 else f"put {n}"

        @tool(effect="write", idempotent=True)
        async def mark(n: int) -> str:
            """Marks."""
            self.done.append(("mark", n))
            await self.slow.wait()
            return f"marked {n}"

        self.agent = sp.Agent("a", tools=[look, put, mark])


async def events(house: sp.House, session: str) -> list[Event]:
    return [event for frame in await house.ports.log.read(session) for event in frame.events]


async def outcome(house: sp.House, session: str, call: str) -> Event:
    """The event by which a call completed."""
    found = (e for e in await events(house, session) if isinstance(e.fact, CallCompleted) and e.fact.call == call)
    return next(found)


async def ran(house: sp.House, session: str) -> sp.Turn:
    turn = await house.resume(session)
    assert turn is not None
    return await turn.wait()


async def sound(house: sp.House) -> None:
    """Every chain, promise and decision holds, in all sessions."""
    assert (await verify(house.ports.log)).violations == ()
    for row in await house.ports.log.rows():
        assert (await replay(house.ports.log, row.session, house.setup.rules)).divergences == ()


MOVES = ([called("look", n=1)], [called("put", n=2)], [called("look", n=3)], answered("All."))


def test_a_fork_asks_models_and_reads_anew_and_does_nothing_again(store: str) -> None:
    async def main() -> None:
        desk, script = Desk(), Script(*MOVES)
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = await (await house.ask("Go.")).wait()
            before = await events(house, parent.session)
            cut = (await outcome(house, parent.session, "t1.st4.a1")).seq  # what `put` came to, and what followed
            script.said = [[called("put", n=2)], answered("Otherwise.")]
            desk.done.clear()
            fork = await house.fork(parent.session, at=cut)
            turn = await ran(house, fork)
            assert turn.outcome == "parked" and desk.done == []  # to put once more is another effect: somebody must allow it
            ask = next(e.fact.ask for e in await events(house, fork) if isinstance(e.fact, Asked))
            await house.approve(fork, ask, "user:local", allow=True)
            turn = await ran(house, fork)
            assert (turn.outcome, turn.answer.text, desk.done) == ("completed", "Otherwise.", [("put", 2)])
            own = [e.fact for e in await events(house, fork) if e.seq > before[-1].seq or isinstance(e.fact, SessionForked)]
            assert isinstance(own[0], SessionForked) and own[0].parent == parent.session
            assert (await events(house, parent.session))[: len(before)] == before
            await sound(house)

    run(main)


def test_an_effect_that_the_parent_had_after_the_cut_is_taken_from_its_log(store: str) -> None:
    async def main() -> None:
        desk, script = Desk(), Script(*MOVES)
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = await (await house.ask("Go.")).wait()
            script.said = [[called("put", n=2), called("look", n=1)], [called("put", n=2)], answered("Twice.")]
            desk.done.clear()
            fork = await house.fork(parent.session, at=(await outcome(house, parent.session, "t1.st2.a1")).seq)
            turn = await ran(house, fork)
            assert desk.done == [("look", 1)]  # the first `put` is that of the parent, the second waits for a person
            assert turn.outcome == "parked"
            granted = [e.fact for e in await events(house, fork) if isinstance(e.fact, CallGranted) and e.fact.target == "put"]
            recorded = await outcome(house, parent.session, "t1.st4.a1")
            assert [fact.recorded for fact in granted] == [recorded.seq]
            came = (await outcome(house, fork, granted[0].call)).fact
            assert isinstance(came, CallCompleted) and came.items[0].body == Data("put 2")
            assert came.items[0].origin == "tool:put, recorded"
            (node,) = why(await house.ports.log.read(fork), granted[0].call)
            assert f"answered by event {recorded.seq} of the session forked from" in node.text
            ask = next(e.fact.ask for e in await events(house, fork) if isinstance(e.fact, Asked))
            await house.approve(fork, ask, "user:local", allow=False)
            assert (await ran(house, fork)).outcome == "completed" and ("put", 2) not in desk.done
            await sound(house)

    run(main)


@pytest.mark.parametrize(("name", "number"), [("put", 7), ("mark", 2)])
def test_an_effect_that_was_open_at_the_cut_is_never_performed_again(store: str, name: str, number: int) -> None:
    async def main() -> None:
        desk, script = Desk(), Script([called(name, n=number)], "Nobody knows.", "Done.", "Done.")
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = await house.ask("Go.")
            while not desk.done:
                await asyncio.sleep(0.01)
            early = await house.fork(parent.session)  # what came of it is not recorded yet
            turn = await ran(house, early)
            ended = [e.fact for e in await events(house, early) if isinstance(e.fact, StepEnded)]
            assert [fact.outcome for fact in ended][:2] == ["done", "unknown"] and turn.outcome == "partial"
            assert any(isinstance(e.fact, CallCancelled) and e.fact.unknown for e in await events(house, early))
            cut = (await house.ports.log.heads(parent.session))[0]
            desk.slow.set()
            await parent.wait()
            late = await house.fork(parent.session, at=cut)
            assert (await ran(house, late)).outcome == "completed"
            came = (await outcome(house, late, "t1.st2.a1")).fact
            assert isinstance(came, CallCompleted) and came.items[0].origin == f"tool:{name}, recorded"
            assert desk.done == [(name, number)]
            await sound(house)

    run(main)


def test_what_is_in_doubt_in_the_parent_is_so_in_the_fork(store: str) -> None:
    async def main() -> None:
        desk, script = Desk(), Script([called("put", n=9)], "Perhaps.", [called("put", n=9)], "Perhaps.")
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = (await (await house.ask("Go.")).wait()).session
            turn = await ran(house, await house.fork(parent, at=3))
            assert turn.gaps[0].text == "The step `put` may or may not have taken effect." and desk.done == [("put", 9)]
            await sound(house)

    run(main)


def test_a_tool_result_can_be_set_and_what_does_not_change_is_not_asked_again(store: str) -> None:
    async def main() -> None:
        desk = Desk()
        both = [called("look", n=1), called("look", n=2)]
        script = Script(both, [called("put", n=2)], answered("All."))
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = await (await house.ask("Go.")).wait()
            seq = (await outcome(house, parent.session, "t1.st2.a1")).seq
            script.said = [[called("put", n=2)], answered("Otherwise.")]
            desk.done.clear()
            fork = await house.fork(parent.session, set={seq: {"n": 1, "times": 99}}, principal="user:local")
            turn = await ran(house, fork)
            assert (turn.outcome, turn.answer.text, desk.done) == ("completed", "Otherwise.", [])
            shown = [item for item in script.shown[-1] if isinstance(item.body, Data)]
            assert [item.origin for item in shown] == [
                "tool:look, set by user:local",
                "tool:look, recorded",
                "tool:put, recorded",
            ]
            assert shown[0].body == Data({"n": 1, "times": 99})
            frames = await house.ports.log.read(fork)
            (node,) = why(frames, shown[0].id)
            assert "a result of tool:look, set by user:local" in node.text
            row = await house.ports.log.row(fork)
            assert row is not None and (row.state, row.principal, row.turns) == ("idle", "user:local", 1)
            await sound(house)

    run(main)


def test_what_a_model_said_can_be_set_and_so_can_a_failure(store: str) -> None:
    async def main() -> None:
        desk, script = Desk(), Script(*MOVES)
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = await (await house.ask("Go.")).wait()
            first = (await outcome(house, parent.session, "t1.st1.a1")).seq
            said = await ran(house, await house.fork(parent.session, set={first: "That is all."}))
            assert (said.outcome, said.answer.text) == ("completed", "That is all.")
            moves = [{"type": "call", "name": "look", "arguments": {"n": 3}}]
            script.said = [answered("After a look.")]
            moved = await house.fork(parent.session, set={first: moves})
            desk.done.clear()
            assert (await ran(house, moved)).answer.text == "After a look."
            assert desk.done == []  # the parent had looked at 3
            failed = (await outcome(house, parent.session, "t1.st2.a1")).seq
            script.said = [answered("It failed.")]
            fork = await house.fork(parent.session, set={failed: {"type": "failure", "code": "timeout", "text": "Too slow."}})
            assert (await ran(house, fork)).gaps[0].text == "The step `look` failed."
            assert Failure("timeout", "Too slow.") in [item.body for item in script.shown[-1]]
            await sound(house)

    run(main)


def test_a_document_can_be_set_and_cited(store: str, tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "docs"
        folder.mkdir()
        (folder / "pool.md").write_text("# Pool\n\nThe pool allows 50 connections.\n")
        quote = "The pool allows 20 connections."
        cited = [called("answer", sentences=[{"text": quote, "citations": [{"source": "pool.md", "quote": quote}]}])]
        script = Script([called("read", source="pool.md")], "Nothing.")
        async with sp.open({}, agents=[sp.Agent("a")], models=script.models, store=store) as house:
            parent = await (await house.ask("How many?", docs=[folder])).wait()
            read = next(e for e in await events(house, parent.session) if e.by == "tool:read")
            script.said = [cited]
            fork = await house.fork(parent.session, set={read.seq: "# Pool\n\nThe pool allows 20 connections.\n"})
            turn = await ran(house, fork)
            assert (turn.outcome, turn.answer.text) == ("completed", quote)
            assert turn.citations[0].source == "pool.md" and turn.citations[0].version.startswith("set-")
            await sound(house)

    run(main)


def test_a_fork_at_the_end_goes_on_as_a_conversation_of_its_own(store: str) -> None:
    async def main() -> None:
        script = Script(*["Yes."] * 9)
        async with sp.open({}, models=script.models, store=store) as house:
            parent = await (await house.ask("First?")).wait()
            one = await house.fork(parent.session)
            assert await house.resume(one) is None
            turn = await (await house.ask("Second?", session=one)).wait()
            two = await house.fork(one)
            again = await (await house.ask("Third?", session=two)).wait()
            assert (turn.id, again.id) == ("t2", "t3")
            texts = [getattr(item.body, "text", "") for item in script.shown[-1]]
            assert [text for text in texts if text.endswith("?")] == ["First?", "Second?", "Third?"]
            assert fold(await house.ports.log.read(parent.session)).turns == 1
            await sound(house)

    run(main)


def test_a_fork_survives_the_process_that_made_it(tmp_path: Path) -> None:
    async def main() -> None:
        store = f"sqlite:///{tmp_path / 'standpipe.db'}"
        desk, script = Desk(), Script(*MOVES)
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = await (await house.ask("Go.")).wait()
            seq = (await outcome(house, parent.session, "t1.st2.a1")).seq
            fork = await house.fork(parent.session, set={seq: "nothing"})
        script.said = [[called("put", n=2)], answered("Later.")]
        desk.done.clear()
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            assert fork in [row.session for row in await house.unfinished()]
            turn = await ran(house, fork)
            assert (turn.answer.text, desk.done) == ("Later.", [])
            await sound(house)

    run(main)


def test_what_cannot_be_forked_is_told(store: str) -> None:
    async def main() -> None:
        desk, script = Desk(), Script(*MOVES)
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = (await (await house.ask("Go.")).wait()).session
            came = [e for e in await events(house, parent) if isinstance(e.fact, CallCompleted)]
            ended = next(e.seq for e in await events(house, parent) if isinstance(e.fact, StepEnded))
            wrong: list[tuple[dict[str, Any], str]] = [
                ({"at": 99}, "There is no seq 99 in this session: its log goes from 1 to"),
                ({"at": 0}, "There is no seq 0 in this session"),
                ({"set": {ended: "x"}}, f"Seq {ended} is StepEnded, which is no outcome"),
                ({"set": {came[0].seq: "x", came[1].seq: "x"}}, f"of seq {came[1].seq} is not open at seq"),
                ({"at": came[1].seq, "set": {came[0].seq: "x"}}, f"Seq {came[0].seq} is not after seq"),
                ({"set": {came[0].seq: 5}}, "t1.st1.a1 is a call of a model: give its text"),
                ({"set": {came[0].seq: {"type": "data", "value": 1}}}, "it says text or calls, nothing else"),
                ({"set": {came[1].seq: {"type": "passage", "text": 7}}}, "The outcome of t1.st2.a1 cannot be set to this"),
            ]
            for how, sentence in wrong:
                with pytest.raises(sp.UsageError, match=sentence):
                    await house.fork(parent, **how)
            for session, principal in (("nothing", None), ("house", None), (parent, "user:bo")):
                with pytest.raises(sp.NotFound):
                    await house.fork(session, principal=principal)
            assert len(await house.ports.log.rows()) == 1
            await sound(house)

    run(main)


def test_calls_that_were_open_are_those_of_the_parent(store: str) -> None:
    async def main() -> None:
        desk, script = Desk(), Script(*MOVES)
        async with sp.open({}, agents=[desk.agent], models=script.models, store=store) as house:
            parent = (await (await house.ask("Go.")).wait()).session
            grant = next(e for e in await events(house, parent) if isinstance(e.fact, CallGranted) and e.fact.target == "look")
            script.said, desk.done = [answered("Fine.")], []
            fork = await house.fork(parent, at=grant.seq)
            first = [e for e in await events(house, fork) if e.seq > grant.seq][:2]
            assert [type(e.fact) for e in first] == [SessionForked, CallInterrupted]
            assert (await ran(house, fork)).outcome == "completed"
            assert desk.done == [("look", 1)]  # a read is made anew
            await sound(house)

    run(main)
