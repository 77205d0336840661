"""What every model driver promises: moves that can be stored, honest usage, nothing raised for what a provider does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.core.control import CONTROL
from standpipe.core.items import (
    Answer,
    Citation,
    Draft,
    Failure,
    Item,
    Label,
    Passage,
    Sentence,
    Source,
    Text,
    ToolCall,
    decode_body,
    encode_body,
    place,
)
from standpipe.core.reply import as_moves
from standpipe.core.tools import ToolSpec
from standpipe.core.world import EXTRACTIVE, ModelSpec
from standpipe.drivers.models.extractive import respond
from standpipe.drivers.models.scripted import ScriptedModel
from standpipe.drivers.tools.documents import READ, SEARCH
from standpipe.drivers.tools.python import plain_schema
from standpipe.ports import Models, Prompt, Reply

CONTROLS = tuple(ToolSpec(name, kind.__doc__ or name, plain_schema(kind), effect="control") for name, kind in CONTROL.items())
ALL = (*CONTROLS, SEARCH, READ)
ANSWER_ONLY = tuple(tool for tool in CONTROLS if tool.name == "answer")
ETCD = "# etcd\n\n## No leader\n\nThe cluster has no leader. Check the network between the members first.\n"


async def read(items: list[Item], tools: list[ToolSpec]) -> Sequence[ToolCall | Text]:
    """The keyless reader as a script."""
    return respond(items, tools)


async def say(items: list[Item], tools: list[ToolSpec]) -> str:
    """A script that says plain words."""
    return f"I was shown {len(items)} items. I may call {len(tools)} tools."


async def search(items: list[Item], tools: list[ToolSpec]) -> list[ToolCall]:
    """A script that makes moves as long as it may."""
    if any(tool.name == "search" for tool in tools):
        return [ToolCall("search", {"query": "leader"}), ToolCall("search", {"query": "members"})]
    return [ToolCall("answer", {"sentences": []})]


IMPLEMENTATIONS: dict[str, Callable[[], Models]] = {
    "says": lambda: ScriptedModel(say),
    "moves": lambda: ScriptedModel(search),
    "extractive": lambda: ScriptedModel(read),
}


@pytest.fixture(params=IMPLEMENTATIONS)
def model(request: pytest.FixtureRequest) -> Models:
    return IMPLEMENTATIONS[request.param]()


def question(text: str = "What should I check first when etcd has no leader?") -> Item:
    return place(Draft(Text(text), Label(integrity="user")), "2.0", "user")


def found(id: str = "5.0") -> Item:
    label = Label((Source("f", "etcd.md", "v1"),), "document")
    return place(Draft(Passage("etcd.md", "v1", ETCD, ("etcd",), 0, 0.9, "f"), label), id, "tool:search", "st1")


def prompt(*items: Item, tools: tuple[ToolSpec, ...] = ALL, output: int = 4_096) -> Prompt:
    return Prompt("Answer from the documents.", items, tools, output)


def called(model: Models, asked: Prompt, spec: ModelSpec = EXTRACTIVE) -> Reply:
    """What one attempt gives."""
    reply = asyncio.run(model.call(spec, asked))
    assert isinstance(reply, Reply)
    return reply


def test_a_reply_holds_moves_that_are_the_same_after_storage(model: Models) -> None:
    for asked in (prompt(question()), prompt(question(), found()), prompt(question(), tools=ANSWER_ONLY)):
        reply = called(model, asked)
        moves = as_moves(reply.drafts)
        assert any(isinstance(draft.body, ToolCall) for draft in moves)
        for draft in (*reply.drafts, *moves):
            assert isinstance(draft.body, Text | ToolCall)
            body = place(draft, "6.0", "model").body
            assert body is not None and decode_body(encode_body(body)) == body


def test_only_what_was_offered_is_called(model: Models) -> None:
    for tools in (ALL, ANSWER_ONLY, (*CONTROLS, SEARCH)):
        moves = as_moves(called(model, prompt(question(), found(), tools=tools)).drafts)
        assert {d.body.name for d in moves if isinstance(d.body, ToolCall)} <= {tool.name for tool in tools}


def test_arguments_of_control_calls_fit_their_types(model: Models) -> None:
    for asked in (prompt(question()), prompt(question(), found()), prompt(question(), found(), tools=ANSWER_ONLY)):
        for draft in as_moves(called(model, asked).drafts):
            if isinstance(draft.body, ToolCall) and draft.body.name in CONTROL:
                msgspec.convert(draft.body.arguments, CONTROL[draft.body.name])


def test_usage_is_told_and_within_what_was_shown_and_allowed(model: Models) -> None:
    for output in (1, 20, 4_096):
        asked = prompt(question(), found(), output=output)
        usage = called(model, asked).usage
        assert usage is not None
        shown = sum(item.bytes for item in asked.items) + len(asked.instructions.encode())
        assert 0 < usage.input_tokens <= shown
        assert 0 <= usage.output_tokens <= output


def test_the_same_prompt_gives_the_same_reply(model: Models) -> None:
    asked = prompt(question(), found())
    assert called(model, asked) == called(model, asked)


def test_a_prompt_is_not_changed_by_being_shown(model: Models) -> None:
    asked = prompt(question(), found())
    before = msgspec.json.encode(asked)
    called(model, asked)
    assert msgspec.json.encode(asked) == before


def test_an_empty_prompt_is_answered_too(model: Models) -> None:
    assert called(model, prompt(tools=ANSWER_ONLY)).drafts


def test_a_script_may_keep_what_it_was_shown() -> None:
    kept: list[Item] = []

    async def keep(items: list[Item], tools: list[ToolSpec]) -> str:
        items.append(question("mine"))
        kept.extend(items)
        tools.clear()
        return "Yes."

    asked = prompt(question())
    called(ScriptedModel(keep), asked)
    assert asked.items == (question(),) and asked.tools == ALL and len(kept) == 2


def test_what_a_script_raises_is_raised() -> None:
    async def broken(items: list[Item], tools: list[ToolSpec]) -> str:
        raise LookupError("a bug of the script")

    with pytest.raises(LookupError):
        called(ScriptedModel(broken), prompt(question()))


# --- the keyless reader ------------------------------------------------------------------------------------------------

texts = st.one_of(
    st.sampled_from(
        [ETCD, "", " ", "# H\n", "| a | b |\n|---|---|\n| 1 | 2 |\n", "- one\n- two 5 ms\n", "It takes 5 s.", "`x`"]
    ),
    st.text(max_size=60),
)
bodies = st.one_of(
    st.builds(Text, texts),
    st.builds(
        Passage,
        st.sampled_from(["a.md", "b/c.md"]),
        st.sampled_from(["v1", "v2"]),
        texts,
        st.just(("H",)),
        st.integers(0, 50),
        st.sampled_from([0.0, 0.5, 2.0]),
        st.just("f"),
        st.booleans(),
    ),
    st.builds(Failure, st.sampled_from(["not_found", "budget", "check"]), st.just("No.")),
    st.builds(
        ToolCall,
        st.sampled_from(["plan", "revise", "search", "read", "answer", "other"]),
        st.sampled_from(
            [
                {},
                {"query": "leader"},
                {"source": "a.md"},
                {"steps": [{"id": "s1", "tool": "search", "arguments": {"query": "leader"}}], "parts": ["x"]},
                {"reason": "r", "add": [{"id": "s2", "tool": "read", "arguments": {"source": "a.md"}}]},
            ]
        ),
    ),
    st.builds(lambda text: Answer((Sentence(text, (Citation("a.md", "v1", text, "f"),)),)), texts),
)
conversations = st.lists(
    st.tuples(bodies, st.sampled_from(["user", "runtime", "extractive", "tool:search"]), st.integers(0, 6)), max_size=7
)


@settings(max_examples=60)
@given(conversations, st.sampled_from([ALL, ANSWER_ONLY, CONTROLS]))
def test_whatever_the_conversation_the_reader_makes_a_move_and_quotes_only_what_it_was_shown(
    said: list[tuple[object, str, int]], tools: tuple[ToolSpec, ...]
) -> None:
    items = [
        place(Draft(body, answers=f"{answers}.0" if answers else ""), f"{n}.0", origin)  # type: ignore[arg-type]
        for n, (body, origin, answers) in enumerate(said, 1)
    ]
    shown: dict[str, str] = {}
    for item in items:
        if isinstance(item.body, Passage) and not item.body.memory:
            shown[item.body.source] = shown.get(item.body.source, "") + item.body.text
    moves = respond(items, tools)
    assert moves and all(isinstance(move, ToolCall) for move in moves)
    for move in moves:
        assert isinstance(move, ToolCall) and move.name in {tool.name for tool in tools}
        for sentence in move.arguments.get("sentences", ()) if move.name == "answer" else ():
            for citation in sentence["citations"]:
                assert citation["quote"] in shown[citation["source"]]
