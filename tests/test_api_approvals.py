"""Approvals from outside: what waits with where it comes from, yes to exactly that, and what changed since makes it void."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ends.command_line import CommandLine
from tests.scripts import Script, called, run, told

import standpipe as sp
from standpipe.core.events import RelationsChanged
from standpipe.drivers.tools.python import tool
from standpipe.engine.access import change

SENT: list[str] = []


@tool(effect="irreversible")
async def send(to: str) -> str:
    """Send a mail."""
    SENT.append(to)
    return "sent"


AGENTS = [sp.Agent("coordinator", tools=[send])]
READ_AND_SEND = ([called("read", source="a.md")], [called("send", to="ben")], "Done.")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    SENT.clear()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nBen wants mail.\n")
    (tmp_path / "docs" / "access.rel").write_text("document:*#reader@user:ana\n")
    return tmp_path / "docs"


def test_what_waits_is_shown_with_where_it_comes_from_to_whom_may_see_it(docs: Path) -> None:
    async def main() -> None:
        script = Script(*READ_AND_SEND)
        async with sp.open({}, agents=AGENTS, models=script.models, store="memory:") as house:
            turn = await (await house.ask("Mail Ben.", docs=[docs], principal="user:ana")).wait()
            [waits] = await house.approvals("user:ana")
            assert (waits.session, waits.tool, waits.arguments) == (turn.session, "send", {"to": "ben"})
            assert waits.origin == "scripted"
            assert [origin.source for origin in waits.sources] == ["a.md"] and waits.intent
            assert await house.approvals("user:eve") == [] == await house.approvals("user:ana", "other")
            with pytest.raises(sp.Refused):
                await house.approve(turn.session, waits.ask, "user:ana", allow=True, intent="another")
            gone = RelationsChanged("local", (await house.sync(docs)).folder, "command", (), ("document:*#reader@user:ana",))
            await change(house.setup, gone, "operator")
            for hidden in await house.approvals("user:ana"):
                assert (hidden.arguments, hidden.sources, hidden.origin) == (None, (), "")
        assert SENT == []

    run(main)


@pytest.mark.parametrize("changed", [False, True])
def test_a_document_that_changed_meanwhile_makes_a_yes_void(docs: Path, changed: bool) -> None:
    async def main() -> None:
        script = Script(*READ_AND_SEND)
        async with sp.open({}, agents=AGENTS, models=script.models, store="memory:") as house:
            turn = await (await house.ask("Mail Ben.", docs=[docs], principal="user:ana")).wait()
            [waits] = await house.approvals("user:ana")
            if changed:
                (docs / "a.md").write_text("# A\n\nBen wants no mail.\n")
                await house.sync(docs)
            await house.approve(turn.session, waits.ask, "user:ana", allow=True, intent=waits.intent)
            await turn.wait()
            assert await house.approvals() == []
        assert ([] if changed else ["ben"]) == SENT
        assert ("void" in [failure.code for failure in told(script)]) == changed

    run(main)


def test_the_command_line_lists_what_waits_and_answers_it(
    docs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def asked() -> None:
        async with sp.open({}, agents=AGENTS, models=Script(*READ_AND_SEND).models, store=store) as house:
            names.append((await (await house.ask("Mail Ben.", docs=[docs], principal="user:ana")).wait()).session)

    async def resumed() -> None:
        async with sp.open({}, agents=AGENTS, models=Script("Done.").models, store=store) as house:
            turn = await house.resume(names[0])
            assert turn is not None and (await turn.wait()).outcome != "parked"

    store, names, verb = f"sqlite:///{tmp_path / 's.db'}", list[str](), CommandLine(tmp_path, capsys)
    run(asked)
    shown = verb("approve", "--store", store)
    assert shown.status == 0 and 'send {"to":"ben"}' in shown.out
    assert "asked for by scripted, from a.md@" in shown.out
    [waits] = verb("approve", "last", "--json", "--store", store).json
    assert verb("approve", "last", "t1.st9", "--store", store).trouble.endswith("no such open approval.")
    assert verb("approve", "last", waits["ask"], "--intent", "other", "--store", store).status == 4
    assert verb("approve", "last", waits["ask"], "--intent", waits["intent"], "--store", store).status == 0
    assert verb("approve", "--store", store).out == "Nothing waits for a yes or no.\n"
    run(resumed)
    assert SENT == ["ben"]
