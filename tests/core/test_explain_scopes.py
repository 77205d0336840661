"""Why, where specialists were at work: down into a scope and up to what asked for it, and what a lost one left open."""

from __future__ import annotations

from functools import cache

import pytest
from msgspec.structs import replace
from tests.core.scoped import ANALYST, AUDITOR, JULY, POOL, SECOND, WORDS, at, item_of, scoped
from tests.core.test_explain import every, text
from tests.simulate.planted import Log

from standpipe.core import events as e
from standpipe.core.explain import Node, summarise, why
from standpipe.core.items import Gap

STORY = list(scoped())


@cache
def answer() -> list[Node]:
    """Why the turn ended as it did."""
    return why(STORY)


def lost(outcome: str, step: str, scope: str) -> list[Node]:
    """Why there is a gap, where a specialist was lost."""
    log = Log(STORY)
    log.put(at(log, e.ScopeEnded, scope), outcome="failed", reason="no model", items=())
    log.put(log.where(e.StepEnded, lambda f: f.step == step), outcome=outcome, reason="no model")
    end = log.where(e.TurnEnded)
    item_of(log, end, body=replace(log.fact(end).items[0].body, gaps=(Gap("The specialist was lost."),)))
    log.put(end, outcome="partial", reason="gaps")
    frames = [replace(frame, events=(event,)) for frame, (_, event) in zip(log.frames, log.events, strict=True)]
    return [node for node in why(frames) if node.kind == "gap"]


def test_a_sentence_goes_on_through_the_specialists_answer_to_what_it_read() -> None:
    sentence = next(node for node in answer() if node.kind == "sentence")
    cited, checked = sentence.causes
    said, within = cited.causes
    told = text([said])

    assert checked.kind == "verdict"
    assert said.text == f"item 38.0: the answer of analyst: “{WORDS[JULY]}”"
    assert said.causes[0].text == f"analyst, {SECOND} ended: completed (answered)"
    assert within.causes[0].text.startswith("item 30.0: passage of july.md@v1")
    assert 'call of read(source="july.md")' in text([within])
    for line in (
        "an answer was accepted",
        f"call of m: {SECOND}/st3.a1 came back",
        "step st2.a2/st3",
        "plan 1: the specialist began",
    ):
        assert line in told
    assert "analyst was asked: “How many connections, analyst?”" in told
    assert "user:ana asked: “How many connections has the pool?”" in told


def test_the_attempt_before_it_is_told_with_why_it_failed() -> None:
    (again,) = [node for node in why(STORY, SECOND) if node.kind == "scope"]

    assert f"analyst, {ANALYST} ended: failed (no model)" in text([again])
    assert f"{ANALYST}/st1.a1 failed: garbage: No words." in text([again])
    assert again.text == f"analyst, {SECOND} ended: completed (answered)"


def test_a_conflict_made_from_claims_names_both_claims_and_scopes() -> None:
    (conflict,) = [node for node in answer() if node.kind == "conflict"]
    first, second = (node for node in conflict.causes if node.kind == "claim")

    assert first.text == f"claim of analyst in {SECOND}: connections of pool is 20 connections"
    assert second.text == f"claim of auditor in {AUDITOR}: connections of pool is 50 connections"
    assert [node.kind for node in second.causes] == ["verdict", "scope"]
    assert second.causes[0].text == "check `claim`: pass, word for word in the versions cited"
    assert [node.label.sources for node in (first, second)] == [(JULY,), (POOL,)]


@pytest.mark.parametrize("outcome", ["dropped", "failed"])
def test_a_gap_leads_to_the_specialist_that_was_lost(outcome: str) -> None:
    (gap,) = lost(outcome, "st3", AUDITOR)

    assert gap.causes[0].text == f"step st3 ended: {outcome} (no model)"
    assert f"auditor, {AUDITOR} ended: failed (no model)" in text([gap])


def test_a_gap_leads_to_both_attempts_of_a_specialist() -> None:
    (gap,) = lost("failed", "st2", SECOND)
    told = text([gap])

    assert f"analyst, {SECOND} ended: failed (no model)" in told
    assert f"analyst, {ANALYST} ended: failed (no model)" in told


def test_a_specialist_whose_second_attempt_was_refused_is_told_with_the_first() -> None:
    log = Log(STORY)
    ended = log.where(e.StepEnded, lambda f: f.step == "st2")
    log.put(ended, outcome="refused", reason="budget")
    log.caused(ended, 8)
    end = log.where(e.TurnEnded)
    item_of(log, end, body=replace(log.fact(end).items[0].body, gaps=(Gap("The specialist was lost."),)))
    frames = [replace(frame, events=(event,)) for frame, (_, event) in zip(log.frames, log.events, strict=True)]
    (gap,) = [node for node in why(frames) if node.kind == "gap"]

    assert ANALYST in text([gap]) and SECOND in text([gap])


def test_a_partial_specialist_may_be_why_there_is_a_gap() -> None:
    log = Log(STORY)
    log.put(at(log, e.ScopeEnded, AUDITOR), outcome="partial", reason="gaps")
    end = log.where(e.TurnEnded)
    item_of(log, end, body=replace(log.fact(end).items[0].body, gaps=(Gap("Nobody says when."),)))
    frames = [replace(frame, events=(event,)) for frame, (_, event) in zip(log.frames, log.events, strict=True)]
    (gap,) = [node for node in why(frames) if node.kind == "gap"]

    assert f"auditor, {AUDITOR} ended: partial (gaps)" in text([gap])


def test_what_another_share_lost_is_not_why_there_is_a_gap() -> None:
    (gap,) = lost("dropped", "st3", AUDITOR)

    assert not any(node.text.startswith("step st2.a1/st1 ended") for node in gap.causes)


def test_a_call_of_a_scope_was_shown_what_its_scope_was_shown() -> None:
    (call,) = why(STORY, f"{SECOND}/st3.a1")

    assert next(node for node in call.causes if node.kind == "shown").text == "shown: 2 items"


@pytest.mark.parametrize(
    ("of", "kind", "begins"),
    [
        (f"{SECOND}/st3.a1", "call", f"call of m: {SECOND}/st3.a1 came back"),
        ("st2.a2/st3.a1", "call", f"call of m: {SECOND}/st3.a1 came back"),
        (f"{SECOND}/st2", "event", "step st2.a2/st2 ended: done"),
        ("st2.a2/st2", "event", "step st2.a2/st2 ended: done"),
        (SECOND, "scope", f"analyst, {SECOND} ended: completed"),
        ("st2.a1", "scope", f"analyst, {ANALYST} ended: failed"),
        ("st2", "event", "step st2 ended: done"),
        ("22", "task", "analyst was asked: “How many"),
        ("22.0", "item", "item 22.0: “How many connections, analyst?”"),
        ("38", "scope", f"analyst, {SECOND} ended: completed"),
        ("38.0", "item", "item 38.0: the answer of analyst"),
        ("21", "call", 'call of analyst(to="analyst")'),
    ],
)
def test_anything_of_a_scope_can_be_asked_for(of: str, kind: str, begins: str) -> None:
    node = why(STORY, of)[0]

    assert (node.kind, node.text[: len(begins)]) == (kind, begins)


@pytest.mark.parametrize("of", ["st2.a3", "st2.a2/st9", f"{SECOND}/st3.a2", "t1.st2.a", "a2/st3", f"{SECOND}.s1"])
def test_what_is_not_there_is_told_by_nothing(of: str) -> None:
    assert why(STORY, of) == []


def test_a_scope_that_is_open_is_told_by_its_call() -> None:
    (call,) = why([frame for frame in STORY if frame.first_seq < 30], SECOND)

    assert call.text == f'call of analyst(to="analyst"): {SECOND} is not over'


def test_everything_leads_to_the_question_and_is_told_once() -> None:
    for frame in STORY[2:]:
        told = list(every(why(STORY, str(frame.first_seq))))
        assert sum(node.kind == "question" for node in told) == 1, frame.first_seq
        assert sum(node.kind == "task" for node in told if "; see" not in node.text) <= 3


def test_what_is_quoted_stands_under_its_source() -> None:
    for node in every(answer()):
        for source, words in WORDS.items():
            assert words not in node.text or source in node.label.sources


def test_a_claim_says_when_it_holds() -> None:
    log = Log(STORY)
    place = at(log, e.ScopeEnded, SECOND)
    body = log.fact(place).items[0].body
    item_of(log, place, body=replace(body, sentences=(), claims=(replace(body.claims[0], time="in July"),)))
    frames = [replace(frame, events=(event,)) for frame, (_, event) in zip(log.frames, log.events, strict=True)]

    assert why(frames, "38.0")[0].text == "item 38.0: the answer of analyst: “connections of pool is 20 connections (in July)”"


def test_a_summary_counts_the_calls_of_specialists_and_not_the_delegations() -> None:
    summary = summarise(STORY, "t1")

    assert (summary.model_calls, summary.tool_calls, summary.plan_epochs) == (7, 2, 3)
    assert (summary.tokens, summary.cost_microusd) == (43, 31)
