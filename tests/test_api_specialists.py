"""Specialists in the Python API: asked side by side, kept to their documents, lost without taking the turn with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.scripts import run

import standpipe as sp
from standpipe.core.items import Answer, Item, Passage, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.core.verify import violations
from standpipe.engine.replay import replay
from standpipe.errors import UsageError

Said = str | list[ToolCall | Text]


def delegate(to: str, task: str, **more: Any) -> ToolCall:
    return ToolCall("delegate", {"to": to, "task": task, **more})


def asked(conversation: Sequence[Item]) -> str:
    """What the model is asked: a specialist its task, the coordinator the question."""
    first = next(item for item in conversation if item.origin in ("task", "user"))
    assert isinstance(first.body, Text)
    return first.body.text


def heard(conversation: Sequence[Item]) -> list[Item]:
    """What came back from specialists."""
    return [item for item in conversation if item.kind in ("answer", "failure")]


def team(*names: str, **given: Any) -> list[sp.Agent]:
    specialists = [sp.Agent(name, description=f"Knows {name}.", **given) for name in names]
    return [sp.Agent("lead", specialists=specialists)]


POLICY = {"routes": {"default": {"models": ["scripted"]}}, "budgets": {"default": {"turn": {"deadline_s": 6}}}}


def test_specialists_work_side_by_side_and_the_answer_names_who_was_lost() -> None:
    at_work: set[str] = set()
    most: list[int] = []

    async def respond(conversation: list[Item], tools: list[ToolSpec]) -> Said:
        task = asked(conversation)
        if task in ("ports", "pumps", "hang"):
            at_work.add(task)
            most.append(len(at_work))
            await asyncio.sleep(1_000 if task == "hang" else 0.05)
            at_work.discard(task)
            return f"About {task}."
        if not heard(conversation):
            return [delegate("a", "ports"), delegate("b", "pumps"), delegate("c", "hang", optional=True)]
        said = [item.body.text for item in heard(conversation) if isinstance(item.body, Answer)]
        return " ".join(said)

    async def main() -> None:
        models = {"scripted": sp.testing.ScriptedModel(respond)}
        async with sp.open(POLICY, agents=team("a", "b", "c"), models=models, store="memory:") as house:
            turn = await (await house.ask("What is there?")).wait()
            assert turn.answer.text == "About ports.\nAbout pumps."
            assert [gap.text for gap in turn.gaps] == ["The specialist `c` was lost: it did not answer in time."]
            assert turn.outcome == "partial" and max(most) == 3
            assert violations(await house.ports.log.read(turn.session)) == []
            assert not (await replay(house.ports.log, turn.session, house.setup.rules)).divergences

    run(main)


def test_only_who_has_specialists_is_offered_them_and_is_told_what_they_do() -> None:
    offered: dict[str, dict[str, ToolSpec]] = {}

    async def respond(conversation: list[Item], tools: list[ToolSpec]) -> Said:
        offered[asked(conversation)] = {tool.name: tool for tool in tools}
        return [delegate("a", "ports")] if asked(conversation) != "ports" and not heard(conversation) else "Done."

    async def main() -> None:
        models = {"scripted": sp.testing.ScriptedModel(respond)}
        async with sp.open(POLICY, agents=team("a", "b"), models=models, store="memory:") as house:
            await (await house.ask("What is there?")).wait()

    run(main)
    lead, specialist = offered["What is there?"], offered["ports"]
    assert lead["delegate"].parameters["properties"]["to"]["enum"] == ["a", "b"]
    assert "a: Knows a." in lead["delegate"].description.splitlines()
    assert "ask_user" in lead and not {"delegate", "ask_user"} & specialist.keys()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for path, text in (("north/a.md", "The valve of the north opens at 3 bar."), ("south/b.md", "The valve opens at 4 bar.")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_a_specialist_finds_and_reads_only_what_it_is_kept_to(docs: Path) -> None:
    seen: list[Item] = []

    async def respond(conversation: list[Item], tools: list[ToolSpec]) -> Said:
        if asked(conversation) != "When does the valve open?":
            seen[:] = conversation
            if not any(item.kind == "failure" for item in conversation):
                return [ToolCall("read", {"source": "south/b.md"}), ToolCall("read", {"source": "north/a.md"})]
            return "Nothing."
        return [delegate("a", "At what pressure does the valve open?")] if not heard(conversation) else "Nothing."

    async def main() -> None:
        models = {"scripted": sp.testing.ScriptedModel(respond)}
        agents = team("a", documents=["north/*"])
        async with sp.open(POLICY, agents=agents, models=models, store="memory:") as house:
            await (await house.ask("When does the valve open?", docs=[docs])).wait()

    run(main)
    assert {body.source for item in seen if isinstance(body := item.body, Passage)} == {"north/a.md"}
    assert [item.body.code for item in seen if item.kind == "failure"] == ["not_found"]  # type: ignore[union-attr]


def test_a_specialist_has_a_route_of_its_own_where_the_policy_names_one() -> None:
    async def lead(conversation: list[Item], tools: list[ToolSpec]) -> Said:
        return "Done." if heard(conversation) else [delegate("a", "ports")]

    async def own(conversation: list[Item], tools: list[ToolSpec]) -> Said:
        return "From its own model."

    async def main() -> None:
        models = {"scripted": sp.testing.ScriptedModel(lead), "own": sp.testing.ScriptedModel(own)}
        policy = {**POLICY, "routes": {"default": {"models": ["scripted"]}, "a": {"models": ["own"]}}}
        async with sp.open(policy, agents=team("a"), models=models, store="memory:") as house:
            turn = await (await house.ask("What is there?")).wait()
            assert turn.outcome == "completed" and turn.summary.model_calls == 3

    run(main)


@pytest.mark.parametrize(
    ("agents", "said"),
    [
        ([sp.Agent("a", specialists=[sp.Agent("a")])], "There are two agents named a: give each a name of its own."),
        (
            [sp.Agent("a", specialists=[sp.Agent("b", specialists=[sp.Agent("c")])])],
            "The specialist b has specialists of its own: give them to the agent above it.",
        ),
    ],
)
def test_a_team_that_cannot_be_is_told(agents: list[sp.Agent], said: str) -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match=said.replace(".", r"\.")):
            async with sp.open({}, agents=agents, store="memory:"):
                raise AssertionError("it was opened")

    run(main)
