"""A model that does everything models do: plans, revises, calls tools, answers well and badly, asks, and talks nonsense.

What it says depends on the seed, the question and the round alone, never on the order in which things came: so that a run that
was cut off and resumed hears the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from standpipe.core.items import Item, Passage, Text, ToolCall
from standpipe.testing.scenario import chance

Said = list[ToolCall | Text]
TOOLS = (
    "look",
    "note",
    "put",
    "launch",
    "signed",
    "wobble",
    "broken",
    "mutter",
    "huge",
    "stubborn",
    "incident",
    "search",
    "read",
)
ROUNDS_MAX = 9
"""From this round on it only answers."""


class Heard(msgspec.Struct, frozen=True):
    """What a script knows of a conversation: this turn's question, which round it is, what it may cite, what is offered."""

    question: str
    round: int
    passages: tuple[Passage, ...]
    offered: frozenset[str]
    cites: bool


def hear(items: Sequence[Item], offered: frozenset[str]) -> Heard:
    """The conversation as the script sees it."""
    asked = [n for n, item in enumerate(items) if item.origin.startswith("user") and not item.answers]
    begin = asked[-1] if asked else 0
    body = items[begin].body if items else None
    mine = items[begin:]
    replies = {item.id.split(".")[0] for item in mine if item.kind == "call" and item.origin != "runtime"}
    found = {(b.source, b.start, b.text): b for item in mine if isinstance(b := item.body, Passage) and not b.memory}
    return Heard(
        question=body.text if isinstance(body, Text) else "",
        round=len(replies),
        passages=tuple(found[key] for key in sorted(found)),
        offered=offered,
        cites="search" in offered or bool(found),
    )


def respond(seed: int, heard: Heard) -> Said | str:
    """The next move."""
    random = chance(seed, heard.question, heard.round)
    if "plan" not in heard.offered:
        weights: dict[Callable[[Random, Heard], Said | str], int] = {good: 12, bad: 3, silent: 1, direct: 2}
    elif heard.round >= ROUNDS_MAX:
        weights = {good: 1}
    elif heard.round == 0:
        weights = {plan: 12, direct: 5, ask: 3, good: 2, bad: 1, text: 1, silent: 1, nonsense: 2, crowd: 2}
    else:
        weights = {plan: 2, revise: 5, direct: 3, ask: 2, good: 8, bad: 4, text: 2, silent: 1, nonsense: 2, crowd: 2}
    move = random.choices(list(weights), list(weights.values()))[0]
    return move(random, heard)


def plan(random: Random, heard: Heard) -> Said:
    """A DAG of steps, sometimes with parts, sometimes with flaws."""
    parts = ["what it reads", "when"][: random.choice((0, 0, 1, 2))]
    steps = _steps(random, heard, "p")
    if random.random() < 0.06 and len(steps) > 1:
        steps[0]["after"] = [steps[-1]["id"]]
        steps[-1]["after"] = [steps[0]["id"]]
    if random.random() < 0.04:
        steps.append(dict(steps[0]))
    return [ToolCall("plan", {"steps": steps, "parts": parts, "reason": "to find out"})]


def revise(random: Random, heard: Heard) -> Said:
    """Steps to add after ones of earlier plans, and ids to drop."""
    steps = _steps(random, heard, f"r{heard.round}")
    steps[0]["after"] = ["p0", "nobody"]
    said: Said = [ToolCall("revise", {"reason": "there is more to it", "add": steps, "drop": ["p1"], "because": []})]
    return said * 2 if random.random() < 0.1 else said


def direct(random: Random, heard: Heard) -> Said:
    """One to four tools at once."""
    calls: Said = [
        ToolCall(name, arguments) for name, arguments in (_use(random, heard) for _ in range(random.choice((1, 1, 3, 5))))
    ]
    return [Text("Let me see."), *calls] if random.random() < 0.3 else calls


def ask(random: Random, heard: Heard) -> Said:
    """One or two questions to the user."""
    return [ToolCall("ask_user", {"question": f"Which one, {n}?"}) for n in range(random.choice((1, 1, 2)))]


def good(random: Random, heard: Heard) -> Said:
    """An answer that its sources support, as far as there are any."""
    sentences = []
    for part, passage in enumerate(heard.passages[: random.randint(1, 3)]):
        quote = passage.text.strip().splitlines()[-1]
        sentences.append({"text": quote, "citations": [{"source": passage.source, "quote": quote}], "part": part % 2})
    if not sentences and not heard.cites:
        sentences.append({"text": "It reads what it reads.", "citations": [], "part": 0})
    gaps = [] if sentences and random.random() < 0.9 else [{"text": "The rest is not known.", "part": -1}]
    return [ToolCall("answer", {"sentences": sentences, "gaps": gaps, "value": {"level": 3}})]


def bad(random: Random, heard: Heard) -> Said:
    """An answer that fails a check."""
    wrong: list[dict[str, Any]] = [
        {"text": "It was never measured.", "citations": []},
        {"text": "The moon is full.", "citations": [{"source": "page0.md", "quote": "no such words"}], "part": 7},
    ]
    if heard.passages:
        first = heard.passages[0]
        quote = first.text.strip().splitlines()[-1]
        wrong.append({"text": quote + " Or 4711.", "citations": [{"source": first.source, "quote": quote}]})
    chosen = random.sample(wrong, random.randint(1, len(wrong)))
    return [ToolCall("answer", {"sentences": chosen, "value": {"level": "high"}})]


def text(random: Random, heard: Heard) -> str:
    """Plain words, which are an answer."""
    return random.choice(("It reads a little. It may rise.", "It reads what it reads.\nAnd more."))


def silent(random: Random, heard: Heard) -> Said | str:
    """Nothing at all."""
    return random.choice(("", "  \n"))


def crowd(random: Random, heard: Heard) -> Said:
    """Moves that do not go together."""
    one: Said = good(random, heard)
    return random.choice(
        (one + bad(random, heard), one + direct(random, heard), direct(random, heard) + ask(random, heard) + one)
    )


def nonsense(random: Random, heard: Heard) -> Said:
    """Calls of what is not there, or with arguments that do not fit."""
    calls: list[ToolCall] = [
        ToolCall("plan", {"steps": "all of them"}),
        ToolCall("plan", {"steps": [{"id": "a", "tool": "answer"}]}),
        ToolCall("revise", {}),
        ToolCall("answer", {"sentences": [{"txt": "?"}]}),
        ToolCall("ask_user", {"question": 3}),
        ToolCall("no_such_tool", {"x": 1}),
        ToolCall("look", {"x": "many"}),
        ToolCall("plan", {"steps": []}),
    ]
    return list(random.sample(calls, random.randint(1, 2)))


def _steps(random: Random, heard: Heard, prefix: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for n in range(random.choice((1, 2, 3, 4, 6))):
        name, arguments = _use(random, heard)
        after = [s["id"] for s in steps if random.random() < 0.4]
        steps.append(
            {"id": f"{prefix}{n}", "tool": name, "arguments": arguments, "after": after, "optional": random.random() < 0.3}
        )
    return steps


def _use(random: Random, heard: Heard) -> tuple[str, dict[str, Any]]:
    """A tool and arguments for it."""
    weights = (10, 5, 4, 2, 2, 4, 1, 1, 0.3, 1, 3, 4, 5)
    name = random.choices(TOOLS, weights)[0]
    if random.random() < 0.04:
        return "no_such_tool", {"x": 1}
    number = random.randint(0, 5)
    told = heard.passages[number % len(heard.passages)].text if heard.passages and random.random() < 0.4 else f"note {number}"
    ms = random.choice((0, 10, 250, 1_000, 2_500, 4_000, 6_500))
    arguments: dict[str, dict[str, Any]] = {
        "look": {"x": number, "ms": ms},
        "note": {"text": told, "ms": ms},
        "put": {"text": told, "ms": ms},
        "launch": {"ms": ms},
        "signed": {"text": told},
        "wobble": {"x": number, "fails": random.randint(0, 3)},
        "broken": {"x": number},
        "mutter": {"text": told},
        "huge": {},
        "stubborn": {"ms": ms},
        "incident": {"id": random.randint(1, 3)},
        "search": {"query": f"gauge reads {number} valve", "limit": random.randint(1, 4)},
        "read": {"source": f"page{number}.md"},
    }
    chosen = arguments[name]
    return name, {**chosen, "surplus": True} if random.random() < 0.04 else chosen
