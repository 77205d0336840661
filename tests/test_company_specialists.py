"""Invented companies end to end with specialists: one hangs and one lies, or two that read one side each disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.companies import Company, company

import standpipe as sp
from standpipe import wiring
from standpipe.core.items import Item, Passage, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.drivers.models.extractive import respond
from standpipe.engine.house import Turn
from standpipe.engine.verify import verify
from standpipe.settings import load

SEEDS = range(20)
FOUND_MIN = 18
HANGS_S, DEADLINE_S = 0.8, 30.0
TOGETHER_MAX = 7
STAFF = {
    "incidents": "incident reports and postmortems: what went wrong before, and why",
    "settings": "how services are built and what is configured: their limits and numbers",
    "operations": "deployments, rollback, and who is on call",
}
LIMITS = {"steps": 96, "model_calls": 64, "tool_calls": 192, "deadline_s": DEADLINE_S}  # sixteen steps a reader
Respond = Callable[[list[Item], list[ToolSpec]], Awaitable[Sequence[ToolCall | Text]]]


def only(seen: Callable[[str], bool]) -> Respond:
    """The keyless model, but for documents it does not see."""

    async def read(items: list[Item], tools: list[ToolSpec]) -> Sequence[ToolCall | Text]:
        return respond([item for item in items if not isinstance(b := item.body, Passage) or seen(b.source)], tools)

    return read


async def hang(items: list[Item], tools: list[ToolSpec]) -> Sequence[ToolCall | Text]:
    """Never answers."""
    await asyncio.Event().wait()
    return []


async def lie(items: list[Item], tools: list[ToolSpec]) -> Sequence[ToolCall | Text]:
    """Quotes what stands nowhere, and claims it."""
    invented = {"source": "incidents/1999.md", "quote": "The moon caused all of it, 4711 times."}
    said = [{"text": invented["quote"], "citations": [invented]}]
    claim = {"subject": "everything", "predicate": "number of times", "value": "4711", **invented}
    return [ToolCall("answer", {"sentences": said, "claims": [claim]})]


async def turn_of(
    made: Company, root: Path, staff: Sequence[str], models: Mapping[str, Respond]
) -> tuple[Turn, tuple[str, ...]]:
    """The company's question, asked of a coordinator with these specialists, `models` being those of who has one of its own;
    the turn, and what `verify` says of its log."""
    for path, text in made.files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    policy: dict[str, Any] = {
        "models": {
            f"{name}'s": {"provider": f"{name}'s", "timeout_s": HANGS_S if model is hang else DEADLINE_S}
            for name, model in models.items()
        },
        "routes": {"default": {"models": ["extractive"]}} | {name: {"models": [f"{name}'s"]} for name in models},
        "budgets": {"default": {"turn": LIMITS}},
    }
    given = {f"{name}'s": sp.testing.ScriptedModel(model) for name, model in models.items()}
    agent = sp.Agent(
        "coordinator", specialists=[sp.Agent(name, description=does) for name, does in STAFF.items() if name in staff]
    )
    kept = wiring.stores("memory:")
    house = wiring.build(load(policy, tuple(given)), kept, [agent], given, None)
    try:
        turn = await (await house.ask(made.question, principal=made.principal, docs=[root])).wait()
        return turn, (await verify(kept.log)).violations
    finally:
        await house.close()


def turns_of(
    root: Path, staff: Sequence[str], models: Callable[[Company], Mapping[str, Respond]]
) -> list[tuple[Company, Turn]]:
    """A turn of every company, some of them at the same time; their logs hold all promises."""

    async def main() -> list[tuple[Company, Turn]]:
        companies = [company(seed) for seed in SEEDS]
        room = asyncio.Semaphore(TOGETHER_MAX)

        async def one(made: Company) -> tuple[Turn, tuple[str, ...]]:
            async with room:
                return await turn_of(made, root / str(made.seed), staff, models(made))

        done = await asyncio.gather(*map(one, companies))
        assert [violations for _, violations in done] == [()] * len(companies)
        return [(made, turn) for made, (turn, _) in zip(companies, done, strict=True)]

    return asyncio.run(main())


def hidden(made: Company) -> Respond:
    """A coordinator that sees no report of what went wrong: only a specialist can tell it."""
    return only(lambda source: source not in made.cause_documents)


@pytest.mark.slow
def test_one_hangs_and_one_lies_and_the_answer_says_so_and_holds_what_the_third_found(tmp_path: Path) -> None:
    done = turns_of(tmp_path, [*STAFF], lambda made: {"coordinator": hidden(made), "settings": hang, "operations": lie})

    found = 0
    for made, turn in done:
        assert turn.outcome == "partial" and turn.elapsed_ms < DEADLINE_S * 1000, (made.seed, turn.outcome, turn.reason)
        lost = [gap.text for gap in turn.gaps if "lost" in gap.text]
        assert sorted(name for name in STAFF if any(f"`{name}`" in text for text in lost)) == ["operations", "settings"], lost
        assert "4711" not in repr(turn.answer) and "1999" not in repr(turn.answer)
        telling = {c.source for s in turn.answer.sentences if made.cause[0].lower() in s.text.lower() for c in s.citations}
        found += len(telling & set(made.cause_documents)) >= 2
    assert found >= FOUND_MIN


@pytest.mark.slow
def test_two_that_read_one_side_each_are_a_conflict_with_both_sources(tmp_path: Path) -> None:
    def one_side(made: Company) -> dict[str, Respond]:
        first, second = made.conflict.documents
        return {
            "coordinator": only(lambda source: source not in made.conflict.documents),
            "settings": only(lambda source: source != first),
            "operations": only(lambda source: source != second),
        }

    real = false = 0
    for made, turn in turns_of(tmp_path, ["settings", "operations"], one_side):
        found = [{value.citation.source for value in conflict.values} for conflict in turn.conflicts]
        real += set(made.conflict.documents) in found
        false += sum(sources != set(made.conflict.documents) for sources in found)
    assert real >= FOUND_MIN and false <= 2, (real, false)
