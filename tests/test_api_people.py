"""People in the loop through the Python API: approvals, questions, parking, going on elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.scripts import Script, called, run, told

import standpipe as sp
from standpipe.core.events import TurnEnded
from standpipe.core.items import Text
from standpipe.drivers.tools.python import tool


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


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
