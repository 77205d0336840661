"""How a turn that is over is told: as JSON for programs, as an answer with numbered citations for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from standpipe.core.items import Answer, Citation, Conflict
from standpipe.engine.house import Turn
from standpipe.entrypoints.output import say, say_entry, say_heading
from standpipe.entrypoints.words import money, one_line, plural, seconds, shortened

QUOTE_CHARS = 160
"""A quote is shown up to this length on a page; in JSON it is whole."""


def as_json(turn: Turn) -> dict[str, Any]:
    """The document of `ask --json` (its keys are a promise)."""
    seen = turn.summary
    return {
        "session": turn.session,
        "turn": turn.id,
        "outcome": turn.outcome,
        "reason": turn.reason,
        "answer": turn.answer.text,
        "citations": [{"source": c.source, "version": c.version, "quote": c.quote} for c in turn.citations],
        "gaps": [gap.text for gap in turn.gaps],
        "conflicts": [_conflict_json(conflict) for conflict in turn.conflicts],
        "cost_microusd": turn.cost_microusd,
        "tokens": seen.tokens,
        "model_calls": seen.model_calls,
        "tool_calls": seen.tool_calls,
        "elapsed_ms": turn.elapsed_ms,
        "plan_epochs": seen.plan_epochs,
    }


def _conflict_json(conflict: Conflict) -> dict[str, Any]:
    values = [
        {"value": v.value, "source": v.citation.source, "version": v.citation.version, "quote": v.citation.quote}
        for v in conflict.values
    ]
    return {"about": conflict.about, "values": values}


def tell(turn: Turn, parts: Sequence[str] = (), remark: str = "") -> None:
    """The answer on stdout: sentences under the parts of the question, citations, what is missing, what it cost."""
    numbers = {citation: n for n, citation in enumerate(turn.citations, 1)}
    if turn.answer.sentences:
        _tell_sentences(turn.answer, parts, numbers)
        say()
        say_entry("citations", [_numbered(n, citation) for citation, n in numbers.items()])
    elif turn.outcome == "partial":
        say("Nothing that may be read here answers this.")
        say()
    say_entry("gaps", [one_line(gap.text) for gap in turn.gaps])
    say_entry("conflicts", [line for conflict in turn.conflicts for line in _conflict_lines(conflict)])
    say_entry("withdrawn", [source.path for source in turn.summary.withdrawn])
    say_entry("cost", [cost_line(turn), *([remark] if remark else [])])


def cost_line(turn: Turn) -> str:
    """What the turn came to, in one line."""
    seen = turn.summary
    used = [
        money(seen.cost_microusd),
        plural(seen.tokens, "token"),
        plural(seen.model_calls, "model call"),
        plural(seen.tool_calls, "tool call"),
        plural(seen.plan_epochs, "plan epoch"),
        seconds(turn.elapsed_ms),
    ]
    return " · ".join(used)


def tell_where_to_look(names: Sequence[str]) -> None:
    """The commands that look deeper."""
    say_entry("look deeper", [f"standpipe {name}" for name in names])


def _tell_sentences(answer: Answer, parts: Sequence[str], numbers: dict[Citation, int]) -> None:
    groups = sorted({sentence.part for sentence in answer.sentences})
    for place, part in enumerate(groups):
        if place:
            say()
        if len(groups) > 1 and part < len(parts):
            say_heading(one_line(parts[part]))
        for sentence in (s for s in answer.sentences if s.part == part):
            marks = "".join(f"[{numbers[citation]}]" for citation in dict.fromkeys(sentence.citations))
            say(f"- {one_line(sentence.text)} {marks}".rstrip(), "  ")


def _numbered(number: int, citation: Citation) -> str:
    return f"[{number}] {citation.source}@{citation.version[:8]}: “{shortened(citation.quote, QUOTE_CHARS)}”"


def _conflict_lines(conflict: Conflict) -> list[str]:
    values = [f"  {v.value}: {v.citation.source}, “{shortened(v.citation.quote, QUOTE_CHARS)}”" for v in conflict.values]
    return [f"{one_line(conflict.about)}: sources disagree", *values]
