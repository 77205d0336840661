"""What a prompt holds and why: bounded, the question always in it, and manifests that add up to what is shown."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.desk import AGENT, an_item, bare_turn, call_of, question_item, source, with_items

from standpipe.core import context
from standpipe.core.details import Chosen, Manifest
from standpipe.core.items import (
    ITEM_OVERHEAD_BYTES,
    Answer,
    Checked,
    Draft,
    Failure,
    Item,
    Label,
    Passage,
    Sentence,
    Source,
    Text,
    ToolCall,
    place,
)
from standpipe.core.state import Closed, Turn
from standpipe.core.world import Access

OPEN = Access(1, 0)
QUESTION = question_item()


def a_passage(id: str, path: str, *, score: float = 0.0, start: int = 0, text: str = "text", answers: str = "") -> Item:
    """A passage of a document, at a place of its own."""
    body = Passage(path, "v1", text, start=start, score=score, folder="f")
    return place(Draft(body, Label((source(path),), "document"), answers), id, "tool:search", "st1")


def closed(n: int, size: int = 10, *sources: Source) -> Closed:
    """The n-th turn, over, its question and answer of about `size` bytes each."""
    asked = an_item(f"{n}.0", Text("q" * size))
    answer = place(Draft(Answer((Sentence("a" * size),)), Label(sources)), f"{n}.1", "model")
    return Closed(f"t{n}", asked, answer, "completed", "answered", 0, n)


def ids(entries: list[tuple[Item, str]]) -> list[str]:
    return [item.id for item, _ in entries]


# --- the first look ----------------------------------------------------------------------------------------------------


def test_the_first_look_asks_with_the_words_of_the_question() -> None:
    assert context.first_look(AGENT, ("f",), "Why?") == {"query": "Why?", "limit": context.GUESS_LIMIT}
    look = context.first_look(AGENT, ("f",), "x" * 30_000)
    assert look is not None and look["query"] == "x" * 2_000


def test_there_is_no_first_look_without_a_folder_or_a_search() -> None:
    assert context.first_look(AGENT, (), "Why?") is None
    assert context.first_look(msgspec.structs.replace(AGENT, tools=AGENT.tools[1:]), ("f",), "Why?") is None


# --- history -----------------------------------------------------------------------------------------------------------


def test_the_last_turns_are_remembered_oldest_first() -> None:
    entries = context.history([closed(n) for n in range(1, 6)], OPEN)
    assert ids(entries) == ["3.0", "3.1", "4.0", "4.1", "5.0", "5.1"]
    assert [why for _, why in entries][::2] == ["history: t3", "history: t4", "history: t5"]
    assert context.history([], OPEN) == []


def test_a_turn_without_an_answer_is_its_question() -> None:
    unanswered = msgspec.structs.replace(closed(1), answer=None)
    assert ids(context.history([unanswered], OPEN)) == ["1.0"]


def test_history_gives_way_from_the_oldest_on() -> None:
    assert ids(context.history([closed(1, 5_000), closed(2, 5_000)], OPEN)) == ["2.0", "2.1"]
    assert context.history([closed(1, 20_000)], OPEN) == []
    exact = sum(i.bytes for i in (closed(1, 0).question, closed(1, 0).answer) if i is not None)
    half = (context.HISTORY_BYTES - exact) // 2
    assert len(context.history([closed(1, half)], OPEN)) == 2
    assert context.history([closed(1, half + 1)], OPEN) == []


def test_an_answer_from_what_may_no_longer_be_read_is_not_remembered() -> None:
    denied = Access(2, 2, denied=(source("a.md"),))
    turns = [closed(1, 10, source("a.md")), closed(2, 10, source("b.md"))]
    assert ids(context.history(turns, denied)) == ["1.0", "2.0", "2.1"]


# --- evidence ----------------------------------------------------------------------------------------------------------


def evidence(*items: Item, withdrawn: tuple[str, ...] = ()) -> list[str]:
    """The ids of what may be shown of a turn with these items."""
    turn = with_items(bare_turn(withdrawn=dict.fromkeys(withdrawn)), *items)
    return [item.id for item in context.evidence_order(turn)]


def test_evidence_stands_in_the_order_of_the_log_without_what_was_withdrawn() -> None:
    items = (QUESTION, an_item("4.0", call_of("search")), an_item("5.0", Text("note")))
    assert evidence(*items) == ["2.0", "4.0", "5.0"]
    assert evidence(*items, withdrawn=("4.0",)) == ["2.0", "5.0"]


def test_what_the_checks_verified_is_never_shown() -> None:
    assert evidence(QUESTION, an_item("4.0", Checked())) == ["2.0"]


def test_a_read_covers_what_searches_found_of_the_same_document() -> None:
    hit, other, read = (
        a_passage("4.0", "a.md", score=0.5),
        a_passage("4.1", "b.md", score=0.5),
        a_passage("6.0", "a.md", start=9),
    )
    assert evidence(hit, other, read) == ["4.1", "6.0"]
    assert evidence(hit, other, read, withdrawn=("6.0",)) == ["4.0", "4.1"]


def test_a_read_of_another_version_or_folder_covers_nothing() -> None:
    hit = a_passage("4.0", "a.md", score=0.5)
    newer = an_item("5.0", Passage("a.md", "v2", "t", folder="f"))
    elsewhere = an_item("5.1", Passage("a.md", "v1", "t", folder="g"))
    assert evidence(hit, newer, elsewhere) == ["4.0", "5.0", "5.1"]


def test_a_memory_covers_nothing() -> None:
    memory = an_item("5.0", Passage("a.md", "v1", "t", folder="f", memory=True))
    assert evidence(a_passage("4.0", "a.md", score=0.5), memory) == ["4.0", "5.0"]


def test_the_same_place_is_shown_once() -> None:
    first, again = a_passage("4.0", "a.md", score=0.5, start=7), a_passage("5.0", "a.md", score=0.9, start=7)
    longer = a_passage("6.0", "a.md", score=0.5, start=7, text="longer")
    assert evidence(first, again, longer) == ["4.0", "6.0"]


def test_every_entry_says_why_it_is_there() -> None:
    turn = bare_turn()
    assert context.reason(turn, QUESTION) == "question"
    assert context.reason(turn, an_item("4.0", call_of("search"), step="st2")) == "move"
    assert context.reason(turn, a_passage("4.0", "a.md")) == "first look: st1"
    assert context.reason(turn, a_passage("4.0", "a.md", answers="3.0")) == "result: st1"
    assert context.reason(turn, an_item("4.0", Failure("check", "No."))) == "note"


# --- space -------------------------------------------------------------------------------------------------------------

SIZE = a_passage("4.0", "a.md", score=1.0).bytes + ITEM_OVERHEAD_BYTES


def kept(space: int, *items: Item) -> list[str]:
    """What of these items and the question fits into `space` bytes."""
    return ids(context.fitted([(QUESTION, "question"), *((i, "x") for i in items)], space, QUESTION.id))


def total(*items: Item) -> int:
    return sum(i.bytes + ITEM_OVERHEAD_BYTES for i in (QUESTION, *items))


def test_what_fits_stays() -> None:
    items = (a_passage("4.0", "a.md", score=0.5), an_item("5.0", Text("note")))
    assert kept(total(*items), *items) == ["2.0", "4.0", "5.0"]


def test_passages_give_way_from_the_weakest_on_then_the_rest_from_the_oldest_on() -> None:
    weak, strong, read = a_passage("4.0", "a.md", score=0.2), a_passage("4.1", "b.md", score=0.9), a_passage("5.0", "c.md")
    note, later = an_item("3.0", Text("note")), an_item("6.0", Text("later"))
    items = [note, strong, weak, read, later]
    for gone in ([], [weak], [weak, strong], [weak, strong, read], [weak, strong, read, note]):
        left = [i for i in items if i not in gone]
        assert kept(total(*left), *items) == ["2.0", *(i.id for i in left)]
        assert kept(total(*left) - 1, *items) != ["2.0", *(i.id for i in left)]


def test_of_equal_passages_the_oldest_gives_way() -> None:
    pair = (a_passage("4.0", "a.md", score=0.5), a_passage("4.1", "b.md", score=0.5))
    assert kept(total(pair[0]), *pair) == ["2.0", "4.1"]


def test_a_call_goes_with_the_last_of_its_results() -> None:
    call = an_item("3.0", call_of("search"))
    hits = (a_passage("4.0", "a.md", score=0.2, answers="3.0"), a_passage("4.1", "b.md", score=0.9, answers="3.0"))
    assert kept(total(call, hits[1]), call, *hits) == ["2.0", "3.0", "4.1"]
    assert kept(total(call, hits[1]) - 1, call, *hits) == ["2.0"]
    assert kept(total(call), call) == ["2.0", "3.0"]
    assert kept(total(call), call, a_passage("5.0", "c.md", score=0.1)) == ["2.0", "3.0"]


@st.composite
def drawn_items(draw: st.DrawFn) -> list[Item]:
    """Passages, notes, and calls with results, in the order of a log."""
    items: list[Item] = []
    for n in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["passage", "read", "note", "call"]))
        words = "x" * draw(st.integers(0, 400))
        if kind == "call":
            items.append(an_item(f"{n + 3}.0", ToolCall("search", {"query": words})))
        elif kind == "note":
            items.append(an_item(f"{n + 3}.0", Text(words)))
        else:
            calls = [i.id for i in items if i.kind == "call"]
            score = draw(st.sampled_from([0.1, 0.5])) if kind == "passage" else 0.0
            answers = draw(st.sampled_from(["", *calls]))
            items.append(a_passage(f"{n + 3}.0", f"{n}.md", score=score, text=words, answers=answers))
    return items


@settings(max_examples=50)
@given(drawn_items(), st.integers(0, 6_000), st.integers(0, 8))
def test_the_question_stays_and_the_limit_holds(items: list[Item], space: int, at: int) -> None:
    entries = [(i, "x") for i in (*items[:at], QUESTION, *items[at:])]
    fitted = context.fitted(entries, space, QUESTION.id)
    assert QUESTION.id in ids(fitted)
    assert [e for e in entries if e in fitted] == fitted
    size = sum(i.bytes + ITEM_OVERHEAD_BYTES for i, _ in fitted)
    assert size <= space or fitted == [(QUESTION, "x")]
    had = {i.answers for i, _ in entries}
    assert all(i.id in {j.answers for j, _ in fitted} for i, _ in fitted if i.kind == "call" and i.id in had)


# --- manifests ---------------------------------------------------------------------------------------------------------


def shown_after(turn: Turn, manifest: Manifest) -> dict[str, str]:
    """What the model sees once the manifest is added to what it saw."""
    now = {id: why for id, why in turn.shown.items() if id not in {gone.item for gone in manifest.dropped}}
    return {**now, **{new.item: new.why for new in manifest.added}}


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(3, 12), max_size=6, unique=True), max_size=5))
def test_manifests_add_up_to_what_is_shown(prompts: list[list[int]]) -> None:
    turn = with_items(bare_turn(), *(an_item(f"{n}.0", Text(str(n))) for n in range(3, 13)))
    digests = [""]
    for chosen in prompts:
        entries = [(turn.items[f"{n}.0"], "note") for n in chosen]
        manifest = context.manifest(turn, entries, final=False, output_tokens_max=9)
        assert manifest.base == turn.shown_digest == digests[-1]
        assert not {new.item for new in manifest.added} & set(turn.shown)
        assert {gone.item for gone in manifest.dropped} <= set(turn.shown)
        turn.shown = shown_after(turn, manifest)
        turn.shown_digest = manifest.digest
        digests.append(manifest.digest)
        assert set(turn.shown) == set(ids(entries))
    assert len(set(digests)) == len(digests)


def test_a_manifest_says_why_things_left() -> None:
    gone = {"4.0": "x", "5.0": "x", "6.0": "x", "1.1": "history: t1"}
    turn = with_items(
        bare_turn(shown=gone, withdrawn={"4.0": None}),
        an_item("4.0", Text("x")),
        a_passage("5.0", "a.md", score=0.5),
        a_passage("6.0", "b.md"),
    )
    manifest = context.manifest(turn, [(QUESTION, "question")], final=True, output_tokens_max=7)
    assert manifest.added == (Chosen("2.0", "question"),)
    assert manifest.dropped == (
        Chosen("4.0", "withdrawn"),
        Chosen("5.0", "covered by a read, or no space"),
        Chosen("6.0", "no space"),
        Chosen("1.1", "no space"),
    )
    assert (manifest.final, manifest.output_tokens_max) == (True, 7)


# --- the whole prompt --------------------------------------------------------------------------------------------------


def test_a_prompt_is_history_then_this_turn_without_what_may_not_be_read() -> None:
    turn = with_items(bare_turn(), QUESTION, a_passage("4.0", "a.md", score=0.5), a_passage("4.1", "b.md", score=0.5))
    denied = Access(2, 2, denied=(source("a.md"),))
    assert ids(context.select(turn, [closed(1)], denied, 100_000)) == ["1.0", "1.1", "2.0", "4.1"]
    assert ids(context.select(turn, [closed(1)], OPEN, QUESTION.bytes + ITEM_OVERHEAD_BYTES)) == ["2.0"]


@pytest.mark.parametrize("turns", [3, 50])
def test_a_prompt_does_not_grow_with_the_session(turns: int) -> None:
    turn = with_items(bare_turn(), QUESTION)
    entries = context.select(turn, [closed(n) for n in range(1, turns)], OPEN, 100_000)
    assert len(entries) <= 2 * context.HISTORY_TURNS + 1
