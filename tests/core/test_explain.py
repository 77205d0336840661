"""Why: from each sentence, step, call, item and event back to the question, in words, under the labels of what is quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from msgspec.structs import replace
from tests.simulate.planted import logs
from tests.simulate.sessions import DOCUMENTS, frames_of, told
from tests.simulate.stories import (
    JULY,
    POOL,
    QUESTION,
    Recalling,
    Revising,
    Writing,
    approved,
    asked,
    asked_again,
    crashed,
    revoked,
)

from standpipe.core.amounts import Amounts
from standpipe.core.events import (
    CallCompleted,
    CallGranted,
    Event,
    Frame,
    ItemsWithdrawn,
    MemoryKept,
    TurnEnded,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.explain import Node, Summary, summarise, why
from standpipe.core.items import Answer, Label
from standpipe.core.past import amounted


@cache
def story() -> list[Frame]:
    """The log of a turn with a plan, a revision, a refusal, a retry and an answer that was given back once."""
    stage, turn = told(Revising(), asked)
    return frames_of(stage, turn.session)


def lines(nodes: list[Node] | tuple[Node, ...], depth: int = 0) -> Iterator[str]:
    """The nodes as a person reads them."""
    for node in nodes:
        yield f"{'  ' * depth}{node.text} [{node.seq}]"
        yield from lines(node.causes, depth + 1)


def turns_of(frames: list[Frame]) -> list[str]:
    """The turns that were asked for, in order."""
    return [e.fact.turn for frame in frames for e in frame.events if isinstance(e.fact, TurnRequested)]


def every(nodes: list[Node] | tuple[Node, ...]) -> Iterator[Node]:
    """All nodes, in the order they are told."""
    for node in nodes:
        yield node
        yield from every(node.causes)


def text(nodes: list[Node]) -> str:
    """All that is told."""
    return "\n".join(lines(nodes))


def sentences() -> list[Node]:
    """The trees of the story's sentences."""
    return [node for node in why(story()) if node.kind == "sentence"]


@pytest.mark.parametrize("number", [0, 1])
def test_each_sentence_names_source_step_plan_with_its_reason_route_and_permission(number: int) -> None:
    told = text([sentences()[number]])

    assert ("incidents/july.md@", "services/pool.md@")[number] in told
    assert f"step {('st3: read, because: “the newest incident”', 'st6: read, because: “what the pool allows”')[number]}" in told
    assert ("plan 2: planned, because: “incidents tell causes”", "plan 4: revised, because: “it blames the pool”")[
        number
    ] in told
    assert "of small by routes." in told or "route: small for plan by routes.plan, passed over huge (not defined)" in told
    assert "permission: by relation, at revision 2" in told
    assert "check `citation`: pass, word for word in the versions cited" in told


def test_a_revision_leads_to_the_source_that_it_names() -> None:
    revised = next(node for node in every(sentences()) if node.text.startswith("plan 4: revised"))

    assert "(from incidents/july.md)" in revised.text
    assert any("passage of incidents/july.md@" in node.text for node in revised.causes)


def test_the_whole_is_read_in_five_minutes() -> None:
    told = list(lines(why(story())))

    assert len(told) < 90
    assert len(" ".join(told).split()) < 1_200


def test_a_sentence_asked_for_alone_is_told_whole() -> None:
    (second,) = why(story(), "s2")

    assert second.text == f"s2: “{POOL}”"
    assert "see " not in text([second]).split("plan 4")[0]
    assert f"user:local asked: “{QUESTION}”" in text([second])
    assert why(story(), "t1.s2") == [second]


def test_what_was_told_is_only_named_again_and_where_it_stands_is_above() -> None:
    told = list(every(why(story())))
    seen: set[int] = set()
    for node in told:
        for seq in map(int, re.findall(r"see (\d+) above", node.text)):
            assert seq in seen
            assert not node.causes
        seen.add(node.seq)

    assert sum("see " in node.text for node in told) > 3
    assert sum(node.kind == "question" for node in told) == 1


def test_a_model_call_tells_route_prompt_permission_hold_and_the_attempt_before_it() -> None:
    (call,) = why(story(), "t1.st2.a2")

    assert call.text == "call of small: t1.st2.a2 came back with 1 item in 200 ms (checks: shape pass)"
    assert [node.kind for node in call.causes] == ["route", "shown", "permit", "hold", "attempt", "step"]
    assert call.causes[1].text == "shown: 6 items"
    assert call.causes[0].text.endswith("passed over huge (not defined), passed over large (failed in this step)")
    assert re.fullmatch(r"held \d+ micro-dollars, \d+ tokens, 1 model call, cost \d+ micro-dollars, .*", call.causes[3].text)
    assert call.causes[4].text == "t1.st2.a1 failed: rate: Too many requests."


def test_a_conflict_shows_both_sides_with_their_sources() -> None:
    conflict = next(node for node in why(story()) if node.kind == "conflict")

    assert conflict.text == "conflict about connections of the pool: “20” in incidents/july.md against “50” in services/pool.md"
    assert [node.kind for node in conflict.causes] == ["citation", "citation", "verdict"]
    assert f"“{JULY}”" in conflict.causes[0].text
    assert f"“{POOL}”" in conflict.causes[1].text


def test_a_gap_shows_what_was_lost_on_the_way() -> None:
    gap = next(node for node in why(story()) if node.kind == "gap")

    assert gap.text == "gap: Nobody says when."
    assert "step st4 was refused: not_found" in text([gap])
    assert gap.causes[-1].kind == "call"


def test_an_answer_that_was_given_back_is_told() -> None:
    assert "an answer was given back, 1 sentence of it failed the checks" in text(why(story()))


def test_a_sentence_that_was_left_out_is_told_without_its_words() -> None:
    stage, turn = told(Revising(stubborn=True), asked)
    told_ = text(why(frames_of(stage, turn.session)))

    assert "sentence 3 of the reply was left out: quote not found" in told_
    assert "The lake" not in told_


def test_what_was_withdrawn_is_told() -> None:
    stage, turn = told(Revising(), revoked)
    gap = next(node for node in why(frames_of(stage, turn.session)) if node.kind == "gap")
    gone = next(node for node in every([gap]) if node.text.endswith("incidents/july.md may no longer be read"))

    assert [source.path for source in gone.label.sources] == ["incidents/july.md"]
    assert gone.causes[0].kind == "house"


def test_an_approval_is_told_with_who_gave_it() -> None:
    stage, turn = told(Writing("send"), approved)

    assert "user:local was asked: yes" in text(why(frames_of(stage, turn.session), "t1.st2.a1"))


def test_doubt_about_an_effect_is_told() -> None:
    stage, turn = told(Writing(), crashed)
    told_ = text(why(frames_of(stage, turn.session)))

    assert "t1.st3.a1 failed: error: It broke off.; it may have taken effect" in told_
    assert "t1.st2.a1 was cut off: its process is gone" in told_


def test_a_turn_without_an_answer_tells_why_it_ended() -> None:
    ended = (
        (log, event.fact) for log in logs() for frame in log for event in frame.events if isinstance(event.fact, TurnEnded)
    )
    frames, fact = next((log, fact) for log, fact in ended if fact.outcome == "failed")
    (node,) = why(frames, fact.turn)

    assert node.text == f"turn {fact.turn} ended: failed ({fact.reason})"
    assert node.causes


@pytest.mark.parametrize(
    ("of", "kind", "begins"),
    [
        ("t1", "sentence", "s1: “"),
        ("st3", "event", "step st3 ended: done"),
        ("t1.st3", "event", "step st3 ended: done"),
        ("t1.st3.a1", "call", 'call of read(source="incidents/july.md")'),
        ("2.0", "item", "item 2.0: “Why did"),
        ("20.0", "item", "item 20.0: passage of incidents/july.md@"),
        ("2", "question", "user:local asked: “Why did"),
        ("3", "event", "TurnStarted: turn t1"),
        ("4", "plan", "plan 1: a look with the question's own words"),
        ("5", "call", 'call of search(limit=8, query="Why did'),
        ("18", "event", "step st4 was refused: not_found"),
        ("45", "event", "turn t1 ended: partial (gaps)"),
    ],
)
def test_anything_can_be_asked_for(of: str, kind: str, begins: str) -> None:
    node = why(story(), of)[0]

    assert (node.kind, node.text[: len(begins)]) == (kind, begins)


@pytest.mark.parametrize(
    "of",
    ["", "s0", "s9", "t9", "t1.s9", "st99", "t9.st1", "t1.st1.a9", "99.0", "0", "99", "x", "t", "s", "²", "..", "t1.st3.a"],
)
def test_what_is_not_there_is_told_by_nothing(of: str) -> None:
    assert why(story(), of) == []


def test_a_log_without_a_turn_or_with_one_that_runs_has_no_answer_yet() -> None:
    assert why([]) == []
    assert why(story()[:1]) == []
    running = [frame for frame in story() if not any(isinstance(e.fact, TurnEnded | MemoryKept) for e in frame.events)]
    assert why(running) == []
    assert why(running, "st3")


def test_what_is_quoted_stands_under_the_label_of_its_source() -> None:
    quotes = {
        line: path for path, whole in DOCUMENTS.items() for line in whole.splitlines() if line and not line.startswith("#")
    }
    for frames in logs():
        for node in every(why(frames)):
            for line, path in quotes.items():
                if line in node.text and QUESTION not in node.text:
                    assert path in {source.path for source in node.label.sources}, node.text


def test_a_reason_that_is_repeated_stands_under_its_label_too() -> None:
    quoting = [node for node in every(why(story())) if "it blames the pool" in node.text]

    assert any("see " in node.text for node in quoting)
    assert all("incidents/july.md" in {source.path for source in node.label.sources} for node in quoting)


def test_an_answer_from_an_earlier_answer_leads_back_to_it() -> None:
    stage, turn = told(Recalling(), asked_again)
    frames = frames_of(stage, turn.session)
    (again,) = why(frames, "t2.s1")
    from_answer = again.causes[0].causes[0]
    (asked_for,) = [node for node in every(why(frames, "t2")) if node.kind == "question" and "Again" in node.text]

    assert from_answer.text.startswith("item 45.0: the answer: “The checkout failed")
    assert f"user:local asked: “{QUESTION}”" in text([from_answer])
    assert len(asked_for.text) < 350
    assert asked_for.text.endswith("…”")


def test_a_citation_leads_to_the_passage_that_holds_its_words() -> None:
    stage, turn = told(Recalling(), asked_again)
    pool, restart = (node for node in why(frames_of(stage, turn.session)) if node.kind == "sentence")

    assert ", under “Pool”, found with score" in [node.text for node in every([pool])][2]
    assert ", under “Pool > Care”, found with score" in [node.text for node in every([restart])][2]


def test_everything_in_every_log_can_be_asked_for_and_leads_to_its_question() -> None:
    for frames in logs()[:15]:
        started: list[str] = []
        for event in (event for frame in frames for event in frame.events):
            nodes = why(frames, str(event.seq))
            assert nodes, event
            started += [event.fact.turn] if isinstance(event.fact, TurnStarted) else []
            from_outside = isinstance(event.fact, ItemsWithdrawn)
            if started and not from_outside:
                assert any(node.kind == "question" for node in every(nodes)), (event, text(nodes))


def test_erased_bodies_are_named_as_such() -> None:
    def bare(event: Event) -> Event:
        items = tuple(replace(i, body=None, label=Label()) for i in getattr(event.fact, "items", ()))
        return replace(event, fact=replace(event.fact, items=items)) if items else event

    frames = [replace(frame, events=tuple(map(bare, frame.events))) for frame in story()]
    (node,) = why(frames)

    assert node.text == "turn t1 ended: partial (gaps); its answer was erased, or is not for you to see"
    for event in (event for frame in frames for event in frame.events):
        assert POOL not in text(why(frames, str(event.seq)))
    assert "(passage: erased)" in text(why(frames, "20.0"))


def test_a_summary_counts_what_one_turn_used() -> None:
    frames = story()
    granted = [e.fact for f in frames for e in f.events if isinstance(e.fact, CallGranted)]
    usages = [e.fact.usage for f in frames for e in f.events if isinstance(e.fact, CallCompleted) and e.fact.usage]
    summary = summarise(frames, "t1")

    assert turns_of(frames) == ["t1"]
    assert (summary.outcome, summary.reason, summary.plan_epochs) == ("partial", "gaps", 6)
    assert summary.model_calls == sum(fact.route is not None for fact in granted)
    assert summary.tool_calls == sum(fact.route is None for fact in granted)
    assert summary.tokens == sum(usage.input_tokens + usage.output_tokens for usage in usages)
    assert (summary.requested_at, summary.ended_at) == (frames[0].at, frames[-1].at)
    assert isinstance(summary.body, Answer)
    assert summarise(frames, "t2") == Summary("t2")


def test_the_summaries_of_a_sessions_turns_do_not_mix() -> None:
    frames = next(frames for frames in logs() if len(turns_of(frames)) > 2)
    calls = sum(isinstance(event.fact, CallGranted) for frame in frames for event in frame.events)
    summaries = [summarise(frames, turn) for turn in turns_of(frames)]

    assert sum(summary.model_calls + summary.tool_calls for summary in summaries) == calls
    assert all(summary.outcome for summary in summaries)


def test_a_share_of_what_has_no_limit_is_told_in_words() -> None:
    assert amounted(Amounts(microusd=1, tokens=2**50, steps=2)) == "1 micro-dollar, any number of tokens, 2 steps"
    assert amounted(Amounts()) == "nothing"
