"""A model that does everything models do: plans, revises, calls tools, delegates, answers well and badly, asks, talks nonsense.

What it says depends on the seed, the question, the round and the attempt alone, never on the order in which things came: so
that a run that was cut off and resumed hears the same. A specialist is the same model with another task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from standpipe.core.items import Answer, Item, Passage, Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.testing.scenario import BACKS, BOOKINGS, WAYS, chance

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
    *BOOKINGS,
)
ROUNDS_MAX = 7
"""From this round on it only answers."""
SPECIALIST_ROUNDS_MAX = 3
"""As ROUNDS_MAX, of a specialist."""
TASK = " / "
"""What stands between the question of the user and what a specialist is told to do about it."""


class Heard(msgspec.Struct, frozen=True):
    """What a script knows of a conversation: this turn's question, which round and attempt it is, what it may cite (passages,
    and sources with words of theirs), what is offered, who may be delegated to, and whether to one at a time."""

    question: str
    round: int
    attempt: int
    passages: tuple[Passage, ...]
    quotes: tuple[tuple[str, str], ...]
    offered: frozenset[str]
    specialists: tuple[str, ...]
    alone: bool

    @property
    def cites(self) -> bool:
        """Whether there is anything to cite, or to look for."""
        return "search" in self.offered or bool(self.quotes)


def hear(items: Sequence[Item], tools: Sequence[ToolSpec], *, alone: bool = False) -> Heard:
    """The conversation as the script sees it, at the first attempt."""
    asked = [n for n, item in enumerate(items) if item.origin.partition(":")[0] in ("user", "task") and not item.answers]
    begin = asked[-1] if asked else 0
    body = items[begin].body if items else None
    mine = items[begin:]
    replies = {item.id.split(".")[0] for item in mine if item.kind == "call" and item.origin != "runtime"}
    found = {(b.source, b.start, b.text): b for item in mine if isinstance(b := item.body, Passage) and not b.memory}
    told = {(c.source, c.quote) for item in mine if isinstance(item.body, Answer) for c in item.body.citations}
    delegate = next((tool.parameters for tool in tools if tool.name == "delegate"), None)
    return Heard(
        question=body.text if isinstance(body, Text) else "",
        round=len(replies),
        attempt=0,
        passages=tuple(found[key] for key in sorted(found)),
        quotes=tuple(sorted({(b.source, b.text.strip().splitlines()[-1]) for b in found.values()} | told)),
        offered=frozenset(tool.name for tool in tools),
        specialists=tuple(delegate["properties"]["to"]["enum"]) if delegate is not None else (),
        alone=alone,
    )


def respond(seed: int, heard: Heard) -> Said | str:
    """The next move."""
    random = chance(seed, heard.question, heard.attempt, heard.round)
    weights: dict[Callable[[Random, Heard], Said | str], int]
    if "plan" not in heard.offered:
        weights = {good: 12, bad: 3, silent: 1, direct: 2}
    elif TASK in heard.question and heard.round >= SPECIALIST_ROUNDS_MAX:
        weights = {good: 3, bad: 1}
    elif TASK in heard.question:
        weights = {plan: 3, direct: 5, revise: 1, good: 5, bad: 3, text: 1, silent: 1, nonsense: 2, crowd: 1}
    elif heard.round >= ROUNDS_MAX:
        weights = {good: 1}
    elif heard.round == 0:
        weights = {plan: 10, delegate: 8, direct: 4, ask: 3, good: 2, bad: 1, text: 1, silent: 1, nonsense: 2, crowd: 2}
    else:
        weights = {
            plan: 2,
            delegate: 4,
            revise: 4,
            direct: 3,
            ask: 2,
            good: 9,
            bad: 4,
            text: 2,
            silent: 1,
            nonsense: 2,
            crowd: 2,
        }
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
    """Steps to add after ones of earlier plans; sometimes twice the same, sometimes with what there is not."""
    steps = _steps(random, heard, "r")
    steps[0]["after"] = ["p0", f"r{heard.round - 1}.0", "nobody"]
    arguments: dict[str, Any] = {"reason": "there is more to it", "add": steps, "because": []}
    if random.random() < 0.1:
        arguments["drop"] = ["p1"]
    said: Said = [ToolCall("revise", arguments)]
    return said * 2 if random.random() < 0.1 and not any(step["tool"] == "delegate" for step in steps) else said


def direct(random: Random, heard: Heard) -> Said:
    """One to four tools at once."""
    calls: Said = [
        ToolCall(name, arguments) for name, arguments in (_use(random, heard) for _ in range(random.choice((1, 1, 2, 4))))
    ]
    return [Text("Let me see."), *calls] if random.random() < 0.3 else calls


def delegate(random: Random, heard: Heard) -> Said:
    """One to three specialists, and sometimes something beside them."""
    count = 1 if heard.alone else random.choice((1, 1, 2, 2, 3))
    said: Said = [ToolCall("delegate", _task(random, heard, f"d{heard.round}.{n}")) for n in range(count)]
    beside = random.random()
    if beside < 0.1:
        return said + good(random, heard)
    if beside < 0.3:
        return direct(random, heard) + said
    if beside < 0.4 and not heard.alone:
        return plan(random, heard) + said
    return said


def ask(random: Random, heard: Heard) -> Said:
    """One or two questions to the user."""
    return [ToolCall("ask_user", {"question": f"Which one, {n}?"}) for n in range(random.choice((1, 1, 2)))]


def good(random: Random, heard: Heard) -> Said:
    """An answer that its sources support, as far as there are any."""
    quotes = random.sample(heard.quotes, min(len(heard.quotes), random.randint(1, 3)))
    sentences = [
        {"text": quote, "citations": [{"source": source, "quote": quote}], "part": part % 2}
        for part, (source, quote) in enumerate(quotes)
    ]
    if not sentences and not heard.cites:
        sentences.append({"text": "It reads what it reads.", "citations": [], "part": 0})
    gaps = [] if sentences and random.random() < 0.9 else [{"text": "The rest is not known.", "part": -1}]
    claims = [_claim(random, *quote) for quote in quotes if random.random() < 0.4]
    value = {"level": 3} if random.random() < 0.9 else {"level": "high"}
    return [ToolCall("answer", {"sentences": sentences, "gaps": gaps, "claims": claims, "value": value})]


def bad(random: Random, heard: Heard) -> Said:
    """An answer that fails a check."""
    wrong: list[dict[str, Any]] = [
        {"text": "It was never measured.", "citations": []},
        {"text": "The moon is full.", "citations": [{"source": "page0.md", "quote": "no such words"}], "part": 7},
    ]
    if heard.quotes:
        source, quote = heard.quotes[0]
        wrong.append({"text": quote + " Or 4711.", "citations": [{"source": source, "quote": quote}]})
    chosen = random.sample(wrong, random.randint(1, len(wrong)))
    claims = [
        _claim(random, "page0.md", "The gauge reads 4711."),
        {**_claim(random, "page1.md", "It reads 3."), "predicate": ""},
    ]
    value = {"level": random.choice((3, "high"))}
    return [ToolCall("answer", {"sentences": chosen, "claims": claims[: random.randint(0, 2)], "value": value})]


def _claim(random: Random, source: str, quote: str) -> dict[str, Any]:
    """What a quote says is read, sometimes where it does not, and of something that others speak of too."""
    numbers = [word for word in quote.split() if word.isdigit()] or ["4711"]
    value = numbers[0] if random.random() < 0.9 else "4711"
    about = random.choice(("gauge", "Gauge", max(quote.split())))
    return {"subject": about, "predicate": "reads", "value": value, "source": source, "quote": quote}


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
        ToolCall("ask_user", {"question": "Am I to ask?"}),
        ToolCall("delegate", {"to": "nobody", "task": "Do it."}),
        ToolCall("delegate", {"to": 3}),
        ToolCall("plan", {"steps": [{"id": "a", "tool": "delegate", "arguments": {"task": "Who?"}}]}),
        ToolCall("no_such_tool", {"x": 1}),
        ToolCall("look", {"x": "many"}),
        ToolCall("plan", {"steps": []}),
    ]
    return list(random.sample(calls, random.randint(1, 2)))


def _steps(random: Random, heard: Heard, prefix: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for n in range(random.choice((1, 2, 2, 3, 5))):
        delegates = bool(heard.specialists) and random.random() < 0.25
        name, arguments = ("delegate", _task(random, heard, f"{prefix}{heard.round}.{n}")) if delegates else _use(random, heard)
        needed = heard.alone and delegates
        after = [s["id"] for s in steps if random.random() < 0.4 or (needed and s["tool"] == "delegate")]
        id = f"{prefix}{n}" if prefix == "p" else f"{prefix}{heard.round}.{n}"
        steps.append({"id": id, "tool": name, "arguments": arguments, "after": after, "optional": random.random() < 0.3})
        if name in ("mutter", *BOOKINGS) and random.random() < 0.25:  # once more the same, once it is over
            steps.append({**steps[-1], "id": f"{id}b", "after": [id]})
    return steps


def _task(random: Random, heard: Heard, name: str) -> dict[str, Any]:
    """The arguments of a delegation: `name` makes its task another one than any other of the turn."""
    told = f" Mind this: {random.choice(heard.passages).text}" if heard.passages and random.random() < 0.3 else ""
    arguments: dict[str, Any] = {"to": random.choice(heard.specialists), "task": f"{heard.question}{TASK}{name}{told}"}
    if random.random() < 0.3:
        arguments["optional"] = True
    wrong = random.choice(({"to": "nobody"}, {"to": ["clerk"]}, {"task": " "}, {"task": 3}, {"now": True}))
    return {**arguments, **wrong} if random.random() < 0.06 else arguments


def _use(random: Random, heard: Heard) -> tuple[str, dict[str, Any]]:
    """A tool and arguments for it: a specialist mostly knows what it has."""
    weights = (10, 5, 4, 2, 2, 4, 1, 1.5, 0.3, 1, 3, 4, 5, 3, 8, 4)
    known = [TASK not in heard.question or name in heard.offered for name in TOOLS]
    name = random.choices(TOOLS, [w if k else w * 0.02 for w, k in zip(weights, known, strict=True)])[0]
    if random.random() < 0.04:
        return "no_such_tool", {"x": 1}
    number = random.randint(0, 5)
    told = heard.passages[number % len(heard.passages)].text if heard.passages and random.random() < 0.4 else f"note {number}"
    way, back = random.choice(WAYS), random.choice(BACKS)
    ms = random.choice((0, 10, 250, 1_000, 2_500, 4_000, 6_500))
    arguments: dict[str, dict[str, Any]] = {
        "look": {"x": number, "ms": ms},
        "note": {"text": told, "ms": ms},
        "put": {"text": told, "ms": ms},
        "launch": {"ms": ms},
        "signed": {"text": told},
        "wobble": {"x": number, "fails": random.randint(0, 3)},
        "broken": {"x": number},
        "mutter": {"text": f"note {number % 2}"},
        "huge": {},
        "stubborn": {"ms": ms},
        "incident": {"id": random.randint(1, 3)},
        "search": {"query": f"gauge reads {number} valve", "limit": random.randint(1, 4)},
        "read": {"source": f"page{number}.md"},
        "pay": {"text": told, "ms": ms, "way": way},
        "book": {"text": told, "ms": ms, "back": back},
        "ship": {"text": told, "ms": ms, "way": way, "back": back},
    }
    chosen = arguments[name]
    return name, {**chosen, "surplus": True} if random.random() < 0.04 else chosen
