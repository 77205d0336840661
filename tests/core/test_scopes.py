"""Specialists: what a delegated task may use and is shown, who is asked for it, and what its claims come to."""

from __future__ import annotations

import pytest
from tests.core.desk import NOW, call_of, passage, source
from tests.core.specialists import (
    ANSWER,
    FAILED,
    PASSED,
    delegated,
    desk,
    final,
    task,
    valued,
)

from standpipe.core.admit import Reply
from standpipe.core.amounts import Amounts
from standpipe.core.details import Fault, Verdict
from standpipe.core.events import (
    AnswerJudged,
    AskExpired,
    CallCancelled,
    CallGranted,
    CallRefused,
    HoldSettled,
    ItemsWithdrawn,
    PlanPatched,
    ScopeCancelled,
    ScopeEnded,
    ScopeStarted,
    StepEnded,
    TurnEnded,
    TurnParked,
    TurnUnparked,
)
from standpipe.core.items import Answer, Checked, Citation, Draft, Label, ToolCall
from standpipe.core.pending import Perform, pending
from standpipe.core.world import CallQuestion

# --- what a scope is ----------------------------------------------------------------------------------------------------


def test_a_delegation_opens_a_scope_with_a_share_of_everything() -> None:
    made = delegated(task(), task("clerk"))
    grants = [g for g in made.facts(CallGranted) if g.target in ("analyst", "clerk")]
    scopes = made.facts(ScopeStarted)

    assert [g.call for g in grants] == [s.scope for s in scopes] == ["t1.st2.a1", "t1.st3.a1"]
    assert [s.limits.amounts for s in scopes] == [g.hold for g in grants]
    assert all(s.deadline_at == NOW + 25_000 and s.soft_at == s.deadline_at - 6_250 for s in scopes)
    assert all(not s.reserve.short(s.limits.amounts) for s in scopes)
    assert not (made.turn.spent + made.turn.held).short(made.turn.limits.amounts - made.turn.reserve)
    assert [c.id for c in made.open()] == ["t1.st2.a1/st1.a1", "t1.st3.a1/st1.a1"]
    assert sorted(p.call for p in pending(made.state) if isinstance(p, Perform)) == [c.id for c in made.open()]


def test_several_specialists_share_alike_and_leave_the_turn_a_move() -> None:
    made = delegated(task(), task("clerk"), model_calls=8, steps=20)
    holds = [s.limits.amounts for s in made.facts(ScopeStarted)]
    assert holds[0].microusd == pytest.approx(holds[1].microusd, abs=1)
    assert {(h.model_calls, h.steps) for h in holds} == {(2, 7), (3, 8)}


def test_a_specialist_is_shown_its_task_and_what_it_finds_and_nothing_else() -> None:
    made = desk().ask(folders=("f",)).came(passage("a", "Seen by the coordinator.")).came(task())
    scope = made.turn.scopes["t1.st3.a1"]
    assert [made_item.origin for made_item in scope.items.values() if made_item.kind == "text"] == ["task"]
    made.came(passage("b", "Seen by the specialist.", score=1.0))
    assert {scope.items[id].kind for id in scope.shown} == {"text", "call", "passage"}
    assert all(id not in made.turn.items for id in scope.items)


def test_what_a_specialist_answers_is_a_result_of_the_delegation_with_its_label() -> None:
    made = desk().ask(folders=("f",)).came(passage("x", "X.", score=1.0)).came(task())
    made.came(passage("a", "It is 3.", score=1.0))
    made.came(Draft(ANSWER, Label((source("a"),))), verdicts=PASSED)
    ended = made.facts(ScopeEnded)[0]
    [item] = ended.items
    move = next(i for i in made.turn.items.values() if isinstance(i.body, ToolCall) and i.body.name == "delegate")

    assert (ended.outcome, ended.reason) == ("completed", "answered")
    assert (item.origin, item.answers, item.step) == ("agent:analyst", move.id, "st3")
    assert source("a") in item.label.sources
    assert item.id in made.turn.shown
    assert "t1.st3.a1" not in made.turn.scopes


def test_a_rejoin_has_all_its_causes() -> None:
    made = delegated(task(), task("clerk"))
    made.came(ANSWER, call="t1.st2.a1/st1.a1", verdicts=PASSED)
    made.came(call_of("answer", sentences=[], value={"total": 3}), call="t1.st3.a1/st1.a1", verdicts=valued(True))
    ends = {e.fact.scope: e for e in made.events if isinstance(e.fact, ScopeEnded)}
    inner = {e.fact.step: e.seq for e in made.events if isinstance(e.fact, StepEnded)}
    patch = [e for e in made.events if isinstance(e.fact, PlanPatched) and e.fact.why.code == "continue"][-1]

    assert inner["st2.a1/st1"] in ends["t1.st2.a1"].causes
    assert {inner["st2"], inner["st3"]} <= set(patch.causes)


def test_what_a_scope_leaves_returns_to_the_turn() -> None:
    made = delegated()
    held = made.turn.held
    assert held.microusd > 0
    made.came(ANSWER, verdicts=PASSED)
    settled = {f.call: f.spent for f in made.facts(HoldSettled)}
    ended = made.facts(ScopeEnded)[0]
    assert settled["t1.st2.a1"] == ended.spent == settled["t1.st2.a1/st1.a1"] + Amounts(steps=1)
    assert not made.turn.held.short(held)


def test_a_specialist_is_a_step_of_a_plan_too() -> None:
    steps = [
        {"id": "a", "tool": "delegate", "arguments": {"to": "analyst", "task": "First."}},
        {"id": "b", "tool": "delegate", "arguments": {"to": "clerk", "task": "Then.", "optional": True}, "after": ["a"]},
    ]
    made = desk().ask().came(call_of("plan", steps=steps))
    assert [s.scope for s in made.facts(ScopeStarted)] == ["t1.st2.a1"]
    made.came(ANSWER, verdicts=PASSED)
    assert [s.agent for s in made.facts(ScopeStarted)] == ["analyst", "clerk"]
    assert [(s.spec.does, s.spec.optional) for s in made.turn.steps.values() if s.spec.kind == "agent"] == [
        ("analyst", False),
        ("clerk", True),
    ]


def test_a_tool_that_is_tried_again_leaves_the_call_that_is_kept_for_another_step() -> None:
    steps = [
        {"id": "a", "tool": "read", "arguments": {"source": "x"}},
        {"id": "b", "tool": "search", "arguments": {"query": "x"}},
        {"id": "c", "tool": "delegate", "arguments": {"to": "analyst", "task": "First."}, "after": ["a"]},
        {"id": "d", "tool": "read", "arguments": {"source": "y"}, "after": ["b"]},
    ]
    made = desk().ask().came(call_of("plan", steps=steps)).came()
    made.broke(Fault("error", retryable=True))
    again = made.open()[-1]
    assert (again.target, again.attempt) == ("search", 2)
    made.came(call=again.id)
    assert made.facts(CallRefused) == []
    assert made.open()[-1].target == "read"


def test_tools_of_a_specialist_are_judged_as_its_own() -> None:
    made = delegated()
    asked: list[str] = []

    def permits(question: CallQuestion) -> bool:
        asked.append(question.agent)
        return True

    made.permits = permits
    made.came(call_of("put"), call_of("delegate", to="clerk", task="x"), call_of("ask_user", question="?"))
    assert set(asked) == {"analyst"}
    assert [(f.step, f.code) for f in made.facts(CallRefused)] == [("", "not offered"), ("st2.a1/st3", "not_found")]
    assert [c.target for c in made.open()] == ["put"]


def test_a_crash_interrupts_what_was_performed_and_the_scope_goes_on() -> None:
    made = delegated()
    made.crash()
    assert [c.id for c in made.open()] == ["t1.st2.a1/st1.a2"]
    made.came(ANSWER, verdicts=PASSED)
    assert final(made).outcome == "completed"


def test_four_calls_to_a_provider_that_only_fails_are_all_scopes_together() -> None:
    made = desk(model_calls=40, steps=60)
    made.ask().came(*(task() for _ in range(6)))
    while made.open() and not made.facts(TurnEnded):
        made.broke(Fault("error", retryable=True))
    calls = [g for g in made.facts(CallGranted) if g.route is not None]
    assert len(calls) == 1 + len(calls[1:]) and made.facts(TurnEnded)


# --- rights and people --------------------------------------------------------------------------------------------------


def test_what_is_withdrawn_leaves_the_scope_that_read_it() -> None:
    made = desk().ask(folders=("f",)).came(passage("x", "X.", score=1.0)).came(task())
    made.came(passage("a", "It is 3.", score=1.0))
    made.denied = {source("a")}
    made.revision += 1
    made.run()
    gone = made.facts(ItemsWithdrawn)[0]
    assert all(id in made.turn.scopes["t1.st3.a1"].withdrawn for id in gone.ids)
    made.add(CallCancelled(made.open()[0].id, "no longer wanted")).run()
    made.came(ANSWER, verdicts=PASSED)
    assert final(made).withdrawn == (source("a"),)


def test_a_task_that_came_from_what_is_withdrawn_is_given_up() -> None:
    made = desk().ask(folders=("f",)).came(passage("x", "X.", score=1.0)).came(Draft(task(), Label((source("x"),))))
    made.denied = {source("x")}
    made.revision += 1
    made.run()
    assert [f.cause for f in made.facts(ScopeCancelled)] == ["withdrawn"]
    for call in made.open():
        made.add(CallCancelled(call.id, "no longer wanted"))
    made.run()
    assert [(f.step, f.outcome) for f in made.facts(StepEnded) if f.step == "st3"] == [("st3", "failed")]


def test_a_scope_that_waits_for_a_person_parks_the_turn_and_its_time_stands_still() -> None:
    made = delegated()
    made.came(call_of("send"))
    assert made.facts(TurnParked) and not made.open()
    before = made.turn.scopes["t1.st2.a1"].deadline_at
    made.now += 3_600_000
    made.admit(Reply("y1", "acme", "user:ana", "t1.st2.a1/st2", True))
    made.run()
    assert made.facts(TurnUnparked)
    assert made.turn.scopes["t1.st2.a1"].deadline_at == before + 3_600_000
    assert [c.target for c in made.open()] == ["send"]


def test_a_parked_turn_goes_on_when_the_specialist_it_waits_for_is_called_off() -> None:
    made = desk().ask(folders=("f",)).came(passage("x", "X.", score=1.0)).came(Draft(task(), Label((source("x"),))))
    made.came()
    made.came(Draft(call_of("send"), Label((source("x"),))))
    assert made.facts(TurnParked)
    made.denied = {source("x")}
    made.revision += 1
    made.run()
    assert [f.cause for f in made.facts(ScopeCancelled)] == ["withdrawn"]
    assert made.facts(TurnUnparked)
    assert [c.target for c in made.open()] == ["priced"]


def test_nobody_answered_a_specialist() -> None:
    made = delegated()
    made.came(call_of("send"))
    made.now += made.policy.parked_ms
    made.run()
    assert made.facts(AskExpired) and [c.target for c in made.open()] == ["priced"]


# --- claims -------------------------------------------------------------------------------------------------------------


def _claiming(value: str, path: str) -> tuple[Draft, Draft, tuple[Verdict, ...]]:
    cited = Citation(path, "v1", f"The limit is {value}.", "f")
    said = {"subject": "Checkout", "predicate": "limit", "value": value, "source": path, "quote": cited.quote}
    answer = Draft(call_of("answer", sentences=[{"text": f"It is {value}."}], claims=[said]), Label((source(path),)))
    checked = Draft(Checked(((cited,),), claims=(cited,)), Label((source(path),)))
    return answer, checked, (*PASSED, Verdict("claim", "k0", "pass"))


def test_claims_that_differ_are_a_conflict_with_both_sources() -> None:
    made = desk().ask(folders=("f",)).came(passage("x", "X.", score=1.0)).came(task(), task())
    for value, path in (("3", "a"), ("4", "b")):
        made.came(passage(path, f"The limit is {value}.", score=1.0))
    for value, path in (("3", "a"), ("4", "b")):
        answer, checked, verdicts = _claiming(value, path)
        made.came(answer, checked, verdicts=verdicts)
    ended = final(made)
    body = ended.items[0].body
    assert isinstance(body, Answer)
    assert [(c.about, [(v.value, v.citation.source) for v in c.values]) for c in body.conflicts] == [
        ("limit of Checkout", [("3", "a"), ("4", "b")])
    ]
    assert {source("a"), source("b")} <= set(ended.items[0].label.sources)
    assert ended.outcome == "completed"


def test_a_resampled_answer_of_a_specialist_is_judged_in_its_scope() -> None:
    made = delegated()
    made.came(ANSWER, verdicts=FAILED)
    assert made.facts(AnswerJudged)[0].action == "resample"
    assert made.turn.scopes["t1.st2.a1"].resampled == 1 and made.turn.resampled == 0
