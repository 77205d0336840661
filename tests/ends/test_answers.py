"""The main job on real and on drawn documents: questions are answered from the right ones, or said to have no answer."""

from __future__ import annotations

import asyncio
import tomllib
from collections import Counter
from pathlib import Path

from tests.companies import Company, company

import standpipe as sp

QUESTIONS = Path(__file__).parent.parent / "questions.toml"
PARAPHRASED_MIN = 5
"""Of six. Plain BM25 over 1,000-character passages has the documents of two of these among its first three."""
COMPANIES_MIN = 18
"""Of twenty."""


def test_twenty_questions_are_answered_from_the_documents_they_need(corpora: Path) -> None:
    questions = tomllib.loads(QUESTIONS.read_text())["question"]

    async def asked() -> Counter[str]:
        right: Counter[str] = Counter()
        async with sp.open(store="memory:") as house:
            for question in questions:
                turn = await (await house.ask(question["text"], docs=[corpora / question["docs"]])).wait()
                cited = {citation.source for citation in turn.citations}
                nothing = not question["cites"] and not cited and turn.outcome == "partial" and bool(turn.gaps)
                right[question["kind"]] += nothing or (bool(question["cites"]) and cited >= set(question["cites"]))
        return right

    kinds = Counter(question["kind"] for question in questions)
    right = asyncio.run(asked())

    assert sum(kinds.values()) >= 20
    assert {kind: right[kind] for kind in ("direct", "two", "unanswerable")} == {
        k: kinds[k] for k in ("direct", "two", "unanswerable")
    }
    assert right["paraphrased"] >= PARAPHRASED_MIN, right


async def _found(drawn: Company, folder: Path) -> tuple[bool, bool, bool]:
    """Whether the answer names the hidden cause from two documents, lists the conflict, and shows nothing forbidden."""
    for path, text in drawn.files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    async with sp.open(store="memory:") as house:
        turn = await (await house.ask(drawn.question, docs=[folder], principal=drawn.principal)).wait()
    naming = [s for s in turn.answer.sentences if all(term.lower() in s.text.lower() for term in drawn.cause)]
    cause = len({c.source for s in naming for c in s.citations}) >= 2
    conflict = any(
        {v.citation.source for v in found.values} >= set(drawn.conflict.documents)
        and all(any(value in v.citation.quote for v in found.values) for value in drawn.conflict.values)
        for found in turn.conflicts
    )
    shown = repr(turn.answer)
    return cause, conflict, not any(marker in shown for marker in drawn.restricted_markers)


def test_the_cause_and_the_conflict_of_drawn_companies_are_found(tmp_path: Path) -> None:
    found = [asyncio.run(_found(company(seed), tmp_path / str(seed))) for seed in range(20)]

    assert sum(cause and conflict for cause, conflict, _ in found) >= COMPANIES_MIN, found
    assert all(kept for *_, kept in found)
