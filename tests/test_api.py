"""The Python API as its users write it: a house, agents with tools of their own, questions, approvals, follow-ups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import standpipe as sp
from standpipe.core.events import CallCompleted, CallGranted, CallRefused, PlanPatched, RelationsChanged, TurnEnded
from standpipe.core.items import Data, Failure, Text
from standpipe.core.tools import ToolSpec
from standpipe.drivers.tools.python import tool
from standpipe.engine.access import change

Said = str | list[sp.ToolCall]
Open = Callable[..., AbstractAsyncContextManager[sp.House]]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


class Script:
    """A model that says one thing after the other, and keeps what it was shown."""

    def __init__(self, *said: Said) -> None:
        self.said = list(said)
        self.shown: list[list[sp.Item]] = []
        self.tools: list[list[ToolSpec]] = []

    async def __call__(self, conversation: list[sp.Item], tools: list[ToolSpec]) -> Said:
        self.shown.append(conversation)
        self.tools.append(tools)
        return self.said.pop(0) if self.said else "There is nothing more to say."

    @property
    def models(self) -> dict[str, sp.testing.ScriptedModel]:
        return {"scripted": sp.testing.ScriptedModel(self)}


def called(name: str, **arguments: Any) -> sp.ToolCall:
    return sp.ToolCall(name, arguments)


def answered(*texts: str, **more: Any) -> list[sp.ToolCall]:
    return [called("answer", sentences=[{"text": text} for text in texts], **more)]


@tool(effect="read", resource="incident:{id}")
async def incident(id: str) -> dict[str, str]:
    """One incident report."""
    return {"id": id, "cause": "the pool was full"}


def told(script: Script) -> list[Failure]:
    """What the model was told of calls that gave nothing."""
    return [item.body for item in script.shown[-1] if isinstance(item.body, Failure)]


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
def test_a_budget_or_deadline_that_means_nothing_is_refused(options: dict[str, float]) -> None:
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


# --- tools -------------------------------------------------------------------------------------------------------------


def test_a_tool_can_be_made_at_run_time_from_a_schema(store: str) -> None:
    async def main() -> None:
        got: list[dict[str, Any]] = []

        async def call(**arguments: Any) -> str:
            got.append(arguments)
            return "ok"

        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
        made = sp.Tool(name="count", description="Counts.", parameters=schema, call=call, effect="write")
        script = Script([called("count", n="7")], [called("count", n=7)], "Done.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[made])], models=script.models, store=store) as house:
            turn = await (await house.ask("Count.")).wait()
        assert (turn.outcome, got) == ("completed", [{"n": 7}])
        offered = next(tool for tool in script.tools[0] if tool.name == "count")
        assert (offered.description, offered.parameters) == ("Counts.", schema)
        assert [f.code for f in told(script)] == ["arguments"]

    run(main)


def test_a_tool_that_breaks_is_told_and_the_turn_goes_on(store: str) -> None:
    async def main() -> None:
        @tool(effect="read")
        async def broken(id: str) -> str:
            """Broken."""
            raise ValueError(f"no {id}")

        script = Script([called("broken", id="x")], "It could not be read.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[broken])], models=script.models, store=store) as house:
            turn = await (await house.ask("What?")).wait()
        assert told(script) == [Failure("error", "ValueError: no x")]
        assert turn.outcome == "partial" and [g.text for g in turn.gaps] == ["The step `broken` failed."]

    run(main)


def test_a_resource_that_may_not_be_used_is_like_one_that_is_not_there(store: str) -> None:
    async def main() -> None:
        script = Script([called("incident", id="7")], [called("nothing", id="7")], "Nothing.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[incident])], models=script.models, store=store) as house:
            grant = RelationsChanged("local", "", "command", granted=("incident:8#reader@user:local",))
            await change(house.setup, grant, "test")
            turn = await house.ask("What?")
            refused = [e.fact async for e in turn if isinstance(e.fact, CallRefused)]
        assert [(f.code, f.items[0].body) for f in refused] == [("not_found", told(script)[0])] * 2

    run(main)


def test_a_right_withdrawn_between_two_steps_withdraws_what_was_read(store: str) -> None:
    async def main() -> None:
        async def respond(conversation: list[sp.Item], tools: list[ToolSpec]) -> Said:
            shown.append([type(item.body).__name__ for item in conversation])
            if len(shown) == 1:
                return [called("incident", id="7")]
            if len(shown) == 2:
                await change(houses[0].setup, RelationsChanged("local", "", "command", revoked=(right,)), "test")
                return answered("The pool was full.")
            return answered("Nothing can be said.")

        shown: list[list[str]] = []
        houses: list[sp.House] = []
        right = "incident:7#reader@user:local"
        models = {"scripted": sp.testing.ScriptedModel(respond)}
        async with sp.open({}, agents=[sp.Agent("a", tools=[incident])], models=models, store=store) as house:
            houses.append(house)
            await change(house.setup, RelationsChanged("local", "", "command", granted=(right,)), "test")
            turn = await (await house.ask("What?")).wait()
        assert shown[1] == ["Text", "ToolCall", "Data"] and shown[-1] == ["Text", "ToolCall"]
        assert "pool" not in turn.answer.text and turn.summary.withdrawn

    run(main)


def test_effects_that_end_while_others_are_recorded_happen_once(store: str) -> None:
    async def main() -> None:
        done: list[int] = []

        @tool(effect="write")
        async def write(n: int) -> int:
            """Writes."""
            await asyncio.sleep(n * 0.002)
            done.append(n)
            return n

        calls = [called("write", n=n) for n in range(8)]
        script = Script(calls, calls[::-1], "Done.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[write])], models=script.models, store=store) as house:
            turn = await house.ask("Write.")
            granted = [e.fact.call async for e in turn if isinstance(e.fact, CallGranted) and e.fact.route is None]
        assert len(granted) == len(set(granted)) == len(done) >= 13

    run(main)


@pytest.mark.xfail(reason="a write whose result is dropped counts as failed")
def test_an_effect_whose_result_cannot_be_used_is_not_said_to_have_failed(store: str) -> None:
    async def main() -> None:
        @tool(effect="write")
        async def write() -> str:
            """Writes."""
            return "x" * 2_000_000

        script = Script([called("write")], "Done.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[write])], models=script.models, store=store) as house:
            turn = await house.ask("Write.")
            ended = [e.fact async for e in turn if isinstance(e.fact, TurnEnded)]
        assert ended[0].unknown == ("st2",)
        assert [g.text for g in turn.gaps] == ["The step `write` may or may not have taken effect."]

    run(main)


@pytest.mark.xfail(reason="an error of the approver cuts effects under way")
def test_an_effect_under_way_is_recorded_though_whoever_approves_breaks(tmp_path: Path) -> None:
    async def main() -> None:
        mails, url, wrote = Mails(), f"sqlite:///{tmp_path / 'standpipe.db'}", asyncio.Event()

        @tool(effect="write")
        async def write() -> str:
            """Writes."""
            wrote.set()
            await asyncio.sleep(0.05)
            return "written"

        async def decide(ask: str, tool: str, call: sp.Item) -> bool:
            await wrote.wait()
            raise LookupError("nobody is here")

        agent = sp.Agent("a", tools=[write, *mails.agent.tools])
        script = Script([called("write"), called("send", to="ana")], "Done.")
        async with sp.open({}, agents=[agent], models=script.models, approve=decide, store=url) as house:
            turn = await house.ask("Write and send.")
            with pytest.raises(LookupError):
                await turn.wait()
        async with sp.open({}, agents=[agent], models=script.models, store=url) as house:
            again = await house.resume(turn.session)
            assert again is not None and (await again.wait()).outcome == "parked"
            await house.cancel(turn.session, "t1", "user:local")
            ended = [e.fact async for e in again if isinstance(e.fact, TurnEnded)]
        assert ended[0].unknown == ()

    run(main)


def test_a_tool_that_will_not_stop_does_not_keep_its_turn() -> None:
    async def main() -> None:
        stop = asyncio.Event()

        @tool(effect="read")
        async def stubborn() -> None:
            """Does not stop."""
            while not stop.is_set():
                try:
                    await stop.wait()
                except asyncio.CancelledError:
                    continue

        script = Script([called("stubborn")], "It did not answer.")
        async with sp.open({}, agents=[sp.Agent("a", tools=[stubborn])], models=script.models, store="memory:") as house:
            turn = await (await house.ask("What?", deadline_s=0.4)).wait()
            assert turn.elapsed_ms < 3_000 and turn.outcome in ("partial", "failed")
            stop.set()
            await asyncio.sleep(0)

    run(main)


def test_a_provider_that_fails_is_passed_over_for_the_next(store: str) -> None:
    async def main() -> None:
        async def down(conversation: list[sp.Item], tools: Sequence[ToolSpec]) -> str:
            raise ConnectionError("down")

        models = {"first": sp.testing.ScriptedModel(down), "second": sp.testing.ScriptedModel(Script("Yes."))}
        async with sp.open({}, models=models, store=store) as house:
            turn = await house.ask("Is it?")
            routes = [e.fact.route async for e in turn if isinstance(e.fact, CallGranted)]
        assert [r.model for r in routes if r is not None] == ["first", "second"]
        assert (turn.outcome, turn.answer.text) == ("completed", "Yes.")

    run(main)


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


# --- people ------------------------------------------------------------------------------------------------------------


class Mails:
    """What was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    @property
    def agent(self) -> sp.Agent:
        @tool(effect="irreversible")
        async def send(to: str) -> str:
            """Send a mail."""
            self.sent.append(to)
            return "sent"

        return sp.Agent("a", tools=[send])


@pytest.mark.parametrize("allow", [True, False])
def test_an_irreversible_call_asks_whoever_decides(store: str, allow: bool) -> None:
    async def main() -> None:
        mails, asked = Mails(), []

        async def decide(ask: str, tool: str, call: sp.Item) -> bool:
            asked.append((tool, call.body))
            return allow

        script = Script([called("send", to="ana")], "Done.")
        async with sp.open({}, agents=[mails.agent], models=script.models, approve=decide, store=store) as house:
            turn = await (await house.ask("Send it.")).wait()
        assert asked == [("send", called("send", to="ana"))]
        assert (turn.outcome, mails.sent) == ("completed", ["ana"] if allow else [])
        assert [f.code for f in told(script)] == ([] if allow else ["denied"])

    run(main)


def test_without_anybody_to_decide_an_approval_parks_the_turn(store: str) -> None:
    async def main() -> None:
        mails = Mails()
        script = Script([called("send", to="ana")], "Done.")
        async with sp.open({}, agents=[mails.agent], models=script.models, store=store) as house:
            turn = await (await house.ask("Send it.", principal="user:ana")).wait()
            assert (turn.outcome, mails.sent) == ("parked", [])
            assert [row.state for row in await house.unfinished()] == ["parked"]
            for ask, principal in (("t1.st2", "user:bob"), ("t1.st9", "user:ana")):
                with pytest.raises(sp.NotFound):
                    await house.approve(turn.session, ask, principal, allow=True)
            await house.approve(turn.session, "t1.st2", "user:ana", allow=True)
            await turn.wait()
            assert (turn.outcome, turn.answer.text, mails.sent) == ("completed", "Done.", ["ana"])
            assert (turn.summary.model_calls, turn.summary.tool_calls) == (2, 1)
            assert await house.unfinished() == []

    run(main)


def test_a_parked_turn_goes_on_in_another_process_that_can_decide(tmp_path: Path) -> None:
    async def main() -> None:
        mails, url = Mails(), f"sqlite:///{tmp_path / 'standpipe.db'}"
        async with sp.open({}, agents=[mails.agent], models=Script([called("send", to="ana")]).models, store=url) as house:
            session = (await (await house.ask("Send it.")).wait()).session

        async def decide(ask: str, tool: str, call: sp.Item) -> bool:
            return True

        async with sp.open({}, agents=[mails.agent], models=Script("Done.").models, approve=decide, store=url) as house:
            turn = await house.resume(session)
            assert turn is not None
            await turn.wait()
            assert (turn.outcome, mails.sent) == ("completed", ["ana"])
            assert await house.resume(session) is None

    run(main)


def test_a_session_of_another_program_is_not_resumed_without_its_agent(tmp_path: Path) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path / 'standpipe.db'}"
        async with sp.open({}, agents=[sp.Agent("a")], models=Script("Yes.").models, store=url) as house:
            session = (await house.ask("Is it?")).session
        async with sp.open({}, models=Script().models, store=url) as house:
            turn = await house.resume(session)
            assert turn is not None
            with pytest.raises(sp.NotFound, match="agent a"):
                await turn.wait()
        async with sp.open({}, agents=[sp.Agent("a")], models=Script("Yes.").models, store=url) as house:
            turn = await house.resume(session)
            assert turn is not None and (await turn.wait()).answer.text == "Yes."

    run(main)


def test_a_question_to_the_user_is_answered_by_the_next_message(store: str) -> None:
    async def main() -> None:
        script = Script([called("ask_user", question="Which service?")], "It is the pool.")
        async with sp.open({}, models=script.models, store=store) as house:
            turn = await (await house.ask("What is wrong?")).wait()
            assert turn.outcome == "parked"
            same = await (await house.ask("Checkout.", session=turn.session, request="r2")).wait()
            assert (same.id, same.outcome, same.answer.text) == ("t1", "completed", "It is the pool.")
            assert [b.text for item in script.shown[-1] if isinstance(b := item.body, Text)] == ["What is wrong?", "Checkout."]
            again = await (await house.ask("Checkout.", session=turn.session, request="r2")).wait()
            assert (again.id, len(script.shown)) == ("t1", 2)

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
