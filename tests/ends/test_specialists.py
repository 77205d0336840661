"""Specialists in a whole run, from the question to what is seen of it: one finds, one needs a second attempt, one is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import standpipe as sp
from standpipe import wiring
from standpipe.core.events import Frame, TurnEnded
from standpipe.core.items import Item, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.engine.house import House, Turn
from standpipe.entrypoints.answers import as_json
from standpipe.entrypoints.sessions import log, show
from standpipe.entrypoints.story import Story
from standpipe.entrypoints.watch import Interrupts, watch
from standpipe.ports import Prompt
from standpipe.wire.openai_chat import Target, render

LIMIT = {"source": "pumps/intake.md", "quote": "The intake pump has a pressure limit of 6 bar."}
DUTY = {"source": "crew/rota.txt", "quote": "Jonna Vik is on duty for the intake pump."}
CLAIM = {"subject": "intake pump", "predicate": "pressure limit", "value": "6", "unit": "bar", **LIMIT}
TASKS = {
    "reader": "What is the limit of the intake pump?",
    "clerk": "Who is on duty for the intake pump?",
    "oracle": "And then?",
}
AGENTS = [
    sp.Agent("coordinator", "Coordinate.", specialists=[sp.Agent(name, "Look.", description=f"{name}s") for name in TASKS])
]
POLICY = {
    "models": {"m": {"provider": "scripted", "input_microusd_per_mtok": 100_000, "output_microusd_per_mtok": 400_000}},
    "routes": {"default": {"models": ["m"]}},
}


def says(quote: dict[str, str], *claims: dict[str, str]) -> list[ToolCall]:
    """An answer of one sentence, which is a quote."""
    return [ToolCall("answer", {"sentences": [{"text": quote["quote"], "citations": [quote]}], "claims": list(claims)})]


class Scripted:
    """The model of everybody. `heard` is what the coordinator was shown last."""

    def __init__(self) -> None:
        self.heard: list[Item] = []
        self._first = ""

    async def __call__(self, items: list[Item], tools: list[ToolSpec]) -> str | Sequence[ToolCall | Text]:
        """What is said next."""
        if any(tool.name == "delegate" for tool in tools) or items[0].origin == "user":
            self.heard = items
            found = any(item.kind == "answer" for item in items)
            moves = [ToolCall("delegate", {"to": to, "task": t, "optional": to == "oracle"}) for to, t in TASKS.items()]
            return says(LIMIT) if found else moves
        match items[0].body:
            case Text(text=task) if task == TASKS["reader"]:
                return says(LIMIT, CLAIM)
            case Text(text=task) if task == TASKS["clerk"]:
                self._first = self._first or items[0].id
                return says(DUTY) if items[0].id != self._first else "Nobody knows."
            case _:
                return "It will rain."


class Run(msgspec.Struct):
    """What a run left."""

    turn: Turn
    story: Story
    lines: list[str]
    frames: list[Frame]
    shown: dict[str, Any]
    told: str
    heard: list[Item]


@pytest.fixture
def run(docs: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The run."""
    script, lines = Scripted(), list[str]()

    async def main(house: House) -> tuple[Turn, Story, list[Frame], dict[str, Any], str]:
        turn = await house.ask("What is the limit of the intake pump?", docs=[docs])
        story = await watch(house, turn, Interrupts(), lambda _, news: lines.extend(news), live=False)
        frames = await house.ports.log.read(turn.session)
        await show(house, "last", None, json=True)
        shown = msgspec.json.decode(capsys.readouterr().out)["turns"][0]
        await log(house, "last", None, json=False, on=False)
        return turn, story, frames, shown, capsys.readouterr().out

    async def opened() -> tuple[Turn, Story, list[Frame], dict[str, Any], str]:
        models = {"scripted": sp.testing.ScriptedModel(script)}
        async with wiring.open(POLICY, agents=AGENTS, models=models, store="memory:") as house:
            return await main(house)

    turn, story, frames, shown, told = asyncio.run(opened())
    return Run(turn, story, lines, frames, shown, told, script.heard)


def test_what_specialists_do_is_seen_as_it_happens(run: Run) -> None:
    assert run.turn.outcome == "partial", run.lines
    said = [line for line in run.lines if not line.startswith(" ")]
    for name, state in (
        ("reader", "done in"),
        ("clerk", "begun again, attempt 2"),
        ("clerk", "done in"),
        ("oracle", "failed in"),
    ):
        assert any(f" {name} {TASKS[name]}: {state}" in line for line in said), (name, state)
    (lost,) = [line for line in said if line.startswith("lost: ")]
    assert "oracle" in lost and "dropped (unsupported)" in lost
    inner = {line.split()[0] for line in run.lines if line.startswith("  st")}
    assert inner >= {f"{scope}/st1" for scope in run.story.scopes}


def test_what_specialists_used_is_counted_once(run: Run) -> None:
    (ended,) = [e.fact for f in run.frames for e in f.events if isinstance(e.fact, TurnEnded)]

    assert run.story.spent == ended.spent and not run.story.held
    assert run.shown["cost_microusd"] == as_json(run.turn)["cost_microusd"] == ended.spent.microusd
    own = [call for call in run.story.calls.values() if call.place not in run.story.scopes]
    assert run.story.spent.model_calls == sum(bool(call.task) for call in own) == as_json(run.turn)["model_calls"]
    assert run.story.spent.tool_calls == sum(not call.task for call in own)


def test_a_program_that_asks_gets_the_same_counts(run: Run) -> None:
    assert as_json(run.turn)["tool_calls"] == run.story.spent.tool_calls
    assert as_json(run.turn)["plan_epochs"] == max(patch.epoch for patch in run.story.patches if not patch.scope)


def test_every_attempt_is_shown_with_its_outcome(run: Run) -> None:
    seen = [(s["agent"], s["outcome"], s["reason"]) for s in run.shown["scopes"]]
    assert sorted(seen) == [
        ("clerk", "completed", "answered"),
        ("clerk", "failed", "unsupported"),
        ("oracle", "failed", "unsupported"),
        ("reader", "completed", "answered"),
    ]
    (lost,) = run.shown["lost"]
    assert run.story.steps[lost].does == "oracle"


def test_the_log_indents_what_specialists_did(run: Run) -> None:
    for line in run.told.splitlines():
        inside = "/st" in line.split(" <- ")[0] or "PlanPatched turn=t1." in line
        further = line[19:21] == "  "
        assert further == inside or "AnswerJudged" in line, line
    judged = [line for line in run.told.splitlines() if "AnswerJudged" in line]
    assert judged and [line[19:21] for line in judged].count("  ") == len(judged) - 1


def test_the_coordinator_is_shown_what_a_specialist_found_as_the_result_of_its_call(run: Run) -> None:
    messages = render(Prompt("", tuple(run.heard), (), 9), Target("m"))["messages"]
    results = {m["tool_call_id"]: m["content"] for m in messages if m["role"] == "tool"}
    (delegating,) = [m for m in messages if m.get("tool_calls")]
    told = [results[call["id"]] for call in delegating["tool_calls"]]

    reader, clerk, oracle = told
    quoted = f'[{LIMIT["source"]}: "{LIMIT["quote"]}"]'
    assert reader.splitlines()[1:-1] == [
        f"{LIMIT['quote']} {quoted}",
        f"Claim: intake pump: pressure limit: 6 bar {quoted}",
    ]
    assert 'from="reader"' in reader and DUTY["quote"] in clerk
    assert oracle.startswith("<failure ") and "rain" not in oracle
