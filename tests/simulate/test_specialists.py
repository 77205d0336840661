"""Turns with specialists that really ran: nothing is said against them, and each answer leads back to the question."""

from __future__ import annotations

import asyncio
from functools import cache

from tests.core.desk import AGENT, Desk, call_of
from tests.core.test_explain import every, text
from tests.simulate.delegating import ROOMY, Delegating, Team, drawn_team
from tests.simulate.planted import effects

from standpipe.core import events as e
from standpipe.core.events import Frame
from standpipe.core.explain import Node, summarise, why
from standpipe.core.items import Answer
from standpipe.core.tools import AgentSpec
from standpipe.core.verify import violations
from standpipe.testing.clock import run

SEEDS = range(30)


@cache
def story() -> list[Frame]:
    """One specialist finds, one does at its second attempt, and one is lost; nothing that the question names is there."""
    stage = Team(Delegating(), policy=ROOMY)

    async def main() -> list[Frame]:
        house = await stage.open()
        turn = await (await house.ask("Well then?", docs=["docs"])).wait()
        await stage.close()
        return await stage.log.read(turn.session)

    try:
        return run(main(), stage.loop)
    finally:
        stage.loop.close()


def facts(kind: type) -> list[e.AnyFact]:
    """The facts of a kind in the story."""
    return [event.fact for frame in story() for event in frame.events if isinstance(event.fact, kind)]


def nodes(kind: str) -> list[Node]:
    """The trees of a kind that the story's answer has."""
    return [node for node in why(story()) if node.kind == kind]


def test_nothing_is_said_against_the_story() -> None:
    ends = [(f.scope, f.outcome) for f in facts(e.ScopeEnded) if isinstance(f, e.ScopeEnded)]

    assert violations(story(), effects(story())) == []
    assert sorted(ends) == [
        ("t1.st3.a1", "completed"),
        ("t1.st4.a1", "failed"),
        ("t1.st4.a2", "completed"),
        ("t1.st5.a1", "failed"),
    ]


def test_its_sentence_leads_to_the_page_that_a_specialist_read() -> None:
    (sentence,) = nodes("sentence")
    told = text([sentence])

    for line in (
        "the answer of analyst: “The checkout failed",
        "analyst, t1.st3.a1 ended: completed (answered)",
        "analyst was asked: “analyst: how many?”",
        'call of read(source="incidents/july.md")',
        "step st3.a1/st3: read, because: “it may say”",
        "user:local asked: “Well then?”",
    ):
        assert line in told


def test_its_conflict_leads_to_both_claims_and_its_gap_to_the_specialist_that_was_lost() -> None:
    (conflict,), (gap,) = nodes("conflict"), nodes("gap")

    assert "claim of analyst in t1.st3.a1: connections of pool is 20" in text([conflict])
    assert "claim of auditor in t1.st4.a2: connections of pool is 50" in text([conflict])
    assert "auditor, t1.st4.a1 ended: failed" in text([conflict])
    assert "typist, t1.st5.a1 ended: failed (schema)" in text([gap])


def test_its_summary_counts_what_specialists_did() -> None:
    granted = [f for f in facts(e.CallGranted) if isinstance(f, e.CallGranted)]
    delegating = {f.scope for f in facts(e.ScopeStarted) if isinstance(f, e.ScopeStarted)}
    summary = summarise(story(), "t1")

    assert isinstance(summary.body, Answer)
    assert summary.model_calls == sum(f.route is not None for f in granted)
    assert summary.tool_calls == sum(f.route is None and f.call not in delegating for f in granted)


def test_nothing_is_said_against_what_is_drawn_and_all_of_it_leads_to_its_question() -> None:
    ended = 0
    for seed in SEEDS:
        stage = drawn_team(seed)
        for row in asyncio.run(stage.log.rows()):
            frames = asyncio.run(stage.log.read(row.session))
            assert violations(frames, effects(frames)) == [], seed
            scopes = [event.seq for frame in frames for event in frame.events if isinstance(event.fact, e.ScopeEnded)]
            ended += len(scopes)
            for seq in scopes:
                assert any(node.kind == "question" for node in every(why(frames, str(seq)))), (seed, seq)

    assert ended > 10


def test_a_scope_of_a_cancelled_turn_is_granted_nothing_more() -> None:
    desk = Desk(AgentSpec("lead", "Answer.", AGENT.tools, specialists={"analyst": "Looks."}))
    desk.agents["analyst"] = AgentSpec("analyst", "Look.", AGENT.tools)
    desk.ask().came(call_of("delegate", to="analyst", task="How many?"))
    desk.add(e.CancelRequested("t1", "r9", "user")).came(call_of("read", source="x"))

    granted = [event.seq for event in desk.events if isinstance(event.fact, e.CallGranted)]
    cancelled = next(event.seq for event in desk.events if isinstance(event.fact, e.CancelRequested))
    assert granted[-1] < cancelled
