"""Random prompts for tests of dialects: conversations as the log makes them, and some it never would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from standpipe.core.items import (
    Answer,
    Body,
    Citation,
    Claim,
    Conflict,
    ConflictValue,
    Data,
    Draft,
    Failure,
    Gap,
    Item,
    Passage,
    Sentence,
    Text,
    ToolCall,
    place,
)
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.ports import Prompt
from standpipe.wiring import CONTROLS

texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40), st.sampled_from(['"' * 400, "\\\x00\n" * 200, "ü😀" * 100])
)
names = st.sampled_from(["search", "read", "files.list", "功能", "plan", "a" * 90, "x y"])
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 10**6), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
arguments = st.dictionaries(texts, values, max_size=3)
sources = st.sampled_from(["a.md", "deep/b.md", 'odd "name".md', "long/" * 60 + "c.md"])
citations = st.builds(Citation, sources, st.just("v" * 32), texts)
answers = st.builds(
    Answer,
    st.lists(st.builds(Sentence, texts, st.lists(citations, max_size=3).map(tuple)), max_size=4).map(tuple),
    st.lists(st.builds(Gap, texts), max_size=90).map(tuple),
    st.lists(
        st.builds(Conflict, texts, st.lists(st.builds(ConflictValue, texts, citations), max_size=3).map(tuple)), max_size=3
    ).map(tuple),
    values,
    st.lists(st.builds(Claim, texts, texts, texts, citations, texts, texts), max_size=4).map(tuple),
)
passages = st.builds(
    Passage,
    sources,
    st.just("c" * 32),
    texts,
    st.lists(texts, max_size=3).map(tuple),
    st.integers(0, 99),
    st.just(0.5),
    st.just("f"),
    st.booleans(),
)
results = st.one_of(
    passages, st.builds(Data, values), st.builds(Failure, st.sampled_from(["error", "check"]), texts), st.builds(Text, texts)
)
moves = st.one_of(st.builds(ToolCall, names, arguments, st.sampled_from(["", "call_0"])), st.builds(Text, texts))
turns = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["user", "task"]), st.lists(st.builds(Text, texts), min_size=1, max_size=1)),
        st.tuples(st.just("large"), st.lists(moves, min_size=1, max_size=3)),
        st.tuples(st.just("small"), st.lists(answers, min_size=1, max_size=1)),
        st.tuples(st.sampled_from(["agent:analyst", "agent:" + "\x01" * 90]), st.lists(answers, min_size=1, max_size=2)),
        st.tuples(st.just("runtime"), st.lists(st.one_of(moves, results), min_size=1, max_size=2)),
        st.tuples(st.sampled_from(["tool:search", "tool:x"]), st.lists(results, min_size=1, max_size=3)),
    ),
    max_size=8,
)
"""What was said, event by event: by whom, and what."""


def placed(said: Sequence[tuple[str, Sequence[Body]]], answered: Sequence[int], first: int = 3) -> tuple[Item, ...]:
    """The items: what a tool, an agent or the runtime said answers some call before it, or none, or one that is not there."""
    items: list[Item] = []
    for n, (origin, bodies) in enumerate(said):
        calls = [i.id for i in items if i.kind == "call"]
        for index, body in enumerate(bodies):
            choice = answered[(n + index) % len(answered)] if answered else 0
            told = origin.partition(":")[0] in ("runtime", "tool", "agent")
            loose = not told or choice == 0
            to = "" if loose else "1.9" if choice == 1 else calls[choice % len(calls)] if calls else ""
            step = f"st{n}.a1/st{n}" if ":" in origin else ""
            items.append(place(Draft(body, answers=to), f"{first + n}.{index}", origin, step))
    return tuple(items)


prompts = st.builds(
    lambda said, answered, instructions, offered: Prompt(instructions, placed(said, answered), offered, 512),
    turns,
    st.lists(st.integers(0, 9), max_size=6),
    texts,
    st.sampled_from([CONTROLS, CONTROLS[:1], ()]),
)
"""Prompts out of all that."""


def offering(tools: int) -> AgentSpec:
    """An agent with so many tools of its own."""
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": 'a "word"'}}}
    return AgentSpec("agent", "Say what is asked.", tuple(ToolSpec(f"tool{n}", 'Says "x".', schema) for n in range(tools)))


def shown_bytes(value: Any) -> int:
    """What a tokenizer gets to see of a request or a part of it: the bytes of all its keys and strings, as they are when
    they are read out of their JSON (schemas: as JSON), and three for the marks between two of them."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        if "parameters" in value:
            rest = {name: part for name, part in value.items() if name != "parameters"}
            return len(msgspec.json.encode(value["parameters"])) + shown_bytes(rest)
        return sum(len(name.encode()) + shown_bytes(part) + 6 for name, part in value.items())
    if isinstance(value, list):
        return sum(shown_bytes(part) + 3 for part in value)
    return len(msgspec.json.encode(value))
