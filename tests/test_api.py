"""The Python API as its users write it: a house, agents with tools of their own, questions, approvals, follow-ups."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.scripts import Script, answered, called, incident, run, told

import standpipe as sp
from standpipe.core.events import CallCompleted, PlanPatched, TurnEnded
from standpipe.core.items import Data, Text
from standpipe.drivers.tools.python import tool
from standpipe.engine.house import AskOptions


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


# --- asking ------------------------------------------------------------------------------------------------------------


def test_a_turn_is_asked_followed_and_answered(store: str) -> None:
    async def main() -> None:
        script = Script([called("incident", id="7")], "The pool was full.")
        coordinator = sp.Agent("coordinator", instructions="Be brief.", tools=[incident])
        async with sp.open({}, agents=[coordinator], models=script.models, store=store) as house:
            turn = await house.ask("What happened in incident 7?", principal="user:ana", tenant="acme")
            facts = [event.fact async for event in turn]
        assert turn.answer.text == "The pool was full." and turn.outcome == "completed"
        assert (turn.reason, turn.cost_microusd, turn.answer.citations) == ("answered", 0, ())
        assert isinstance(facts[-1], TurnEnded)
        results = [f.items[0].body for f in facts if isinstance(f, CallCompleted)]
        assert results[1] == Data({"id": "7", "cause": "the pool was full"})
        assert (turn.summary.model_calls, turn.summary.tool_calls, turn.summary.plan_epochs) == (2, 1, 3)
        assert [type(item.body).__name__ for item in script.shown[1]] == ["Text", "ToolCall", "Data"]
        assert script.shown[0][0].body == Text("What happened in incident 7?")

    run(main)


def test_a_turn_can_be_waited_for_as_often_as_one_likes(store: str) -> None:
    async def main() -> None:
        async with sp.open({}, models=Script("Yes.").models, store=store) as house:
            turn = await (await house.ask("Is it?")).wait()
            assert [event async for event in turn] == []
            assert (await turn.wait()).answer.text == "Yes."

    run(main)


def test_a_follow_up_knows_what_was_said(store: str) -> None:
    async def main() -> None:
        script = Script("The pool was full of connections.", "It was full.")
        async with sp.open({}, models=script.models, store=store) as house:
            first = await (await house.ask("What happened?", principal="user:ana")).wait()
            again = await (await house.ask("Shorter, please", session=first.session, principal="user:ana")).wait()
            assert (again.session, again.id, again.answer.text) == (first.session, "t2", "It was full.")
            texts = [b.text for item in script.shown[1] if isinstance(b := item.body, Text | sp.Answer)]
            assert texts == ["What happened?", "The pool was full of connections.", "Shorter, please"]

    run(main)


def test_a_session_is_its_principals_own(store: str) -> None:
    async def main() -> None:
        async with sp.open({}, models=Script().models, store=store) as house:
            turn = await (await house.ask("What?", principal="user:ana", tenant="acme")).wait()
            words = set()
            for session, principal, tenant in (
                (turn.session, "user:bob", "acme"),
                (turn.session, "user:ana", "other"),
                ("nothing", "user:ana", "acme"),
            ):
                with pytest.raises(sp.NotFound) as refused:
                    await house.ask("And?", session=session, principal=principal, tenant=tenant)
                words.add(str(refused.value))
            assert len(words) == 1
            with pytest.raises(sp.NotFound):
                await house.resume("nothing")

    run(main)


def test_the_same_request_twice_is_one_turn(store: str) -> None:
    async def main() -> None:
        script = Script("Yes.")
        async with sp.open({}, models=script.models, store=store) as house:
            first = await (await house.ask("Is it?", request="r1")).wait()
            again = await (await house.ask("Is it?", session=first.session, request="r1")).wait()
            assert (again.id, again.answer.text, len(script.shown)) == ("t1", "Yes.", 1)

    run(main)


def test_messages_wait_for_each_other(store: str) -> None:
    async def main() -> None:
        async with sp.open({}, models=Script("One.", "Two.", "Three.").models, store=store) as house:
            first = await house.ask("1?")
            others = [await house.ask(f"{n}?", session=first.session) for n in (2, 3)]
            turns = await asyncio.gather(*(turn.wait() for turn in (first, *others)))
            assert [(turn.id, turn.answer.text) for turn in turns] == [("t1", "One."), ("t2", "Two."), ("t3", "Three.")]
            assert all(turn.summary.model_calls == 1 for turn in turns)

    run(main)


@pytest.mark.parametrize(
    "options",
    [
        *({"budget_usd": value} for value in (0, -1, float("nan"), float("inf"))),
        *({"deadline_s": value} for value in (0, float("inf"))),
    ],
)
def test_a_budget_or_deadline_that_means_nothing_is_refused(options: AskOptions) -> None:
    async def main() -> None:
        async with sp.open({}, models=Script().models, store="memory:") as house:
            with pytest.raises(sp.UsageError):
                await house.ask("What?", **options)

    run(main)


def test_a_tiny_budget_is_no_wide_one() -> None:
    async def main() -> None:
        price = {"provider": "scripted", "input_microusd_per_mtok": 1_000_000, "output_microusd_per_mtok": 1_000_000}
        policy = {"models": {"priced": price}, "routes": {"default": {"models": ["priced"]}}}
        script = Script()
        async with sp.open(policy, models=script.models, store="memory:") as house:
            turn = await (await house.ask("What?", budget_usd=1e-9)).wait()
            assert (turn.outcome, turn.cost_microusd, script.shown) == ("failed", 0, [])
            assert turn.reason == "budget: microusd cannot pay for an answer"
            paid = await (await house.ask("What?", budget_usd=0.5)).wait()
            assert paid.outcome == "completed" and 0 < paid.cost_microusd <= 500_000

    run(main)


@pytest.mark.parametrize(
    ("question", "error"),
    [("", sp.UsageError), (" \n", sp.UsageError), ("x" * 100_000, sp.UsageError), ("\udcff", sp.UsageError)],
)
def test_a_question_that_cannot_be_asked_is_refused(question: str, error: type[Exception]) -> None:
    async def main() -> None:
        async with sp.open({}, models=Script().models, store="memory:") as house:
            with pytest.raises(error):
                await house.ask(question)

    run(main)


def test_an_agent_that_does_not_exist_is_not_found() -> None:
    async def main() -> None:
        async with sp.open({}, models=Script().models, store="memory:") as house:
            with pytest.raises(sp.NotFound, match="coordinator"):
                await house.ask("What?", agent="nobody")

    run(main)


def test_a_session_is_begun_as_it_would_be_asked_in(store: str) -> None:
    async def main() -> None:
        async with sp.open({}, models=Script("Yes.").models, store=store) as house:
            assert [await house.begin("s", "user:ana", "acme") for _ in range(2)] == ["coordinator"] * 2
            for principal, tenant in (("user:bob", "acme"), ("user:ana", "other")):
                with pytest.raises(sp.NotFound):
                    await house.begin("s", principal, tenant)
            for principal, tenant in (("user:a/b", "acme"), ("", "acme"), ("user:ana", "a c")):
                with pytest.raises(sp.UsageError, match="name"):
                    await house.begin("other", principal, tenant)
            with pytest.raises(sp.NotFound, match="coordinator"):
                await house.begin("other", "user:ana", "acme", "nobody")
            turn = await (await house.ask("Is it?", session="s", principal="user:ana", tenant="acme")).wait()
            assert (turn.id, turn.answer.text) == ("t1", "Yes.")
            assert [row.session for row in await house.ports.log.rows()] == ["s"]

    run(main)


def test_a_turn_can_be_cancelled_by_its_principal_only(store: str) -> None:
    async def main() -> None:
        started = asyncio.Event()

        @tool(effect="read")
        async def slow() -> None:
            """Slow."""
            started.set()
            await asyncio.sleep(60)

        agent = sp.Agent("coordinator", tools=[slow])
        async with sp.open({}, agents=[agent], models=Script([called("slow")]).models, store=store) as house:
            turn = await house.ask("What?", principal="user:ana")
            await started.wait()
            with pytest.raises(sp.NotFound):
                await house.cancel(turn.session, turn.id, "user:bob")
            await house.cancel(turn.session, turn.id, "user:ana")
            await turn.wait()
            assert (turn.outcome, turn.reason, turn.answer) == ("cancelled", "user", sp.Answer())

    run(main)


def test_the_decorator_of_the_house_is_that_of_its_tools() -> None:
    assert sp.tool is tool


# --- typed answers -----------------------------------------------------------------------------------------------------


class Stage(msgspec.Struct):
    """One stage."""

    name: str
    minutes: int


class Runbook(msgspec.Struct):
    """A runbook."""

    title: str
    stages: list[Stage]


RUNBOOK = {"title": "Deploy", "stages": [{"name": "drain", "minutes": 5}]}


def test_a_typed_answer_is_checked_and_given_back_once(store: str) -> None:
    async def main() -> None:
        wrong = {"title": "Deploy", "stages": [{"name": "drain"}]}
        script = Script(answered("Drain it.", value=wrong), answered("Drain it.", value=RUNBOOK))
        async with sp.open({}, agents=[sp.Agent("a", answer=Runbook)], models=script.models, store=store) as house:
            turn = await (await house.ask("Write a runbook")).wait()
        assert (turn.outcome, turn.answer.value) == ("completed", RUNBOOK)
        assert [f.code for f in told(script)] == ["check"] and "stages/0: required" in told(script)[0].text

    run(main)


def test_a_model_is_told_the_schema_of_a_typed_answer_with_all_its_parts() -> None:
    async def main() -> None:
        script = Script(answered("Drain it.", value=RUNBOOK))
        async with sp.open({}, agents=[sp.Agent("a", answer=Runbook)], models=script.models, store="memory:") as house:
            await (await house.ask("Write a runbook")).wait()
        parameters = next(tool for tool in script.tools[0] if tool.name == "answer").parameters
        value = parameters["properties"]["value"]
        assert set(value["properties"]) == {"title", "stages"}
        part = value["properties"]["stages"]["items"]["$ref"].rsplit("/", 1)[1]
        assert set(parameters["$defs"][part]["properties"]) == {"name", "minutes"}

    run(main)


def test_a_value_that_never_fits_is_a_gap() -> None:
    async def main() -> None:
        script = Script(*[answered("Drain it.", value={"title": 5})] * 2)
        async with sp.open({}, agents=[sp.Agent("a", answer=Runbook)], models=script.models, store="memory:") as house:
            turn = await (await house.ask("Write a runbook")).wait()
        assert (turn.outcome, turn.answer.value) == ("partial", None)
        assert [g.text for g in turn.gaps] == ["The result did not fit its schema."]

    run(main)


# --- documents ---------------------------------------------------------------------------------------------------------


def test_without_any_model_documents_answer(store: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "pool.md").write_text("# Pool\n\nThe pool allows 50 connections. Restart it before a deployment.\n")
    (docs / "mail.md").write_text("# Mail\n\nThe mail service sends every receipt.\n")

    async def main() -> None:
        async with sp.open({}, store=store) as house:
            turn = await house.ask("How many connections are allowed?", docs=[docs])
            patches = [e.fact async for e in turn if isinstance(e.fact, PlanPatched)]
            assert turn.outcome == "completed" and "50" in turn.answer.text and patches
            (first, *_) = turn.citations
            assert first.source == "pool.md" and first.quote in (docs / "pool.md").read_text()
            nothing = await (await house.ask("Who won the chess championship in 1972?", session=turn.session)).wait()
            assert (nothing.outcome, nothing.citations) == ("partial", ()) and nothing.gaps

    run(main)


def test_a_folder_that_was_synced_before_is_not_looked_at_again(store: str, tmp_path: Path) -> None:
    page = tmp_path / "pool.md"
    page.write_text("# Pool\n\nThe pool allows 50 connections.\n")

    async def main() -> None:
        async with sp.open({}, store=store) as house:
            synced = await house.sync(tmp_path)
            page.unlink()
            turn = await (await house.ask("How many connections are allowed?", folders=[synced.folder])).wait()
            assert turn.outcome == "completed" and turn.citations[0].source == "pool.md"
            with pytest.raises(sp.UsageError):
                await house.ask("How many connections are allowed?", docs=[tmp_path])

    run(main)


def test_words_that_no_document_supports_are_not_passed_on(store: str, tmp_path: Path) -> None:
    (tmp_path / "pool.md").write_text("# Pool\n\nThe pool allows 50 connections.\n")

    def cited(text: str, quote: str) -> list[sp.ToolCall]:
        return [called("answer", sentences=[{"text": text, "citations": [{"source": "pool.md", "quote": quote}]}])]

    async def main() -> None:
        lie = cited("The pool allows 5 connections.", "allows 5")
        script = Script(lie, cited("The pool allows 50 connections.", "pool  allows 50"), lie, lie)
        async with sp.open({}, models=script.models, store=store) as house:
            turn = await (await house.ask("How many connections does the pool allow?", docs=[tmp_path])).wait()
            assert (turn.outcome, [c.quote for c in turn.citations]) == ("completed", ["pool allows 50"])
            false = await (await house.ask("How many connections does the pool allow?", session=turn.session)).wait()
            assert (false.outcome, false.answer.sentences, len(false.gaps)) == ("partial", (), 1)

    run(main)
