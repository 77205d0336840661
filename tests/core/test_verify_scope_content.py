"""What the independent model says of the prompts, labels and claims of scopes: heard on every fault planted in them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.scoped import ANALYST, AUDITOR, JULY, POOL, SECOND, at, cited, claim, item_of, passage, scoped
from tests.simulate.planted import Faults, Log, fault

from standpipe.core import events as e
from standpipe.core.details import Chosen, Verdict
from standpipe.core.items import Answer, Conflict, ConflictValue, Gap, Label

FAULTS: Faults = {}


@fault(FAULTS, "its manifest does not follow the one before it")
def a_manifest_on_that_of_the_turn(log: Log) -> None:
    place = at(log, e.CallGranted, f"{SECOND}/")
    log.put(place, manifest=replace(log.fact(place).manifest, base="t1.st1.a1"))


@pytest.mark.parametrize(
    ("by", "of"),
    [("t1.st4", SECOND), ("t1.st4", AUDITOR), (f"{AUDITOR}/st3", SECOND), (f"{SECOND}/st3", "t1"), (AUDITOR, "t1")],
)
def test_what_one_share_knows_is_not_shown_in_another(by: str, of: str) -> None:
    log = Log(list(scoped()))
    item = passage(log, of) if of != "t1" else log.fact(log.where(e.TurnRequested)).items[0]
    if by == AUDITOR:
        by, item = f"{AUDITOR}/st3", log.fact(at(log, e.ScopeEnded, SECOND)).items[0]
    place = at(log, e.CallGranted, by)
    manifest = log.fact(place).manifest
    log.put(place, manifest=replace(manifest, added=(*manifest.added, Chosen(item.id, "note"))))

    assert any(f"item {item.id}, which is shown, is known to {of} only" in text for text in log.found())


@fault(FAULTS, "does not name all it derives from")
def a_task_without_the_sources_of_what_asked(log: Log) -> None:
    item_of(log, at(log, e.CallCompleted, "t1.st1"), label=Label((JULY,)))


@fault(FAULTS, "it begins with something else than its task")
def a_scope_with_an_item_of_the_turn(log: Log) -> None:
    item_of(log, at(log, e.ScopeStarted, ANALYST), origin="user")


@fault(FAULTS, "the answer does not name all it derives from")
def a_result_without_its_sources(log: Log) -> None:
    item_of(log, at(log, e.ScopeEnded, SECOND), label=Label())


@fault(FAULTS, "it answers something else")
def a_result_for_another_task(log: Log) -> None:
    item_of(log, at(log, e.ScopeEnded, SECOND), answers="6.1")


@fault(FAULTS, "completed and partial have an answer")
def a_complete_scope_without_a_result(log: Log) -> None:
    log.put(at(log, e.ScopeEnded, SECOND), items=())


@fault(FAULTS, "failed and cancelled none")
def a_cancelled_scope_with_a_result(log: Log) -> None:
    log.put(at(log, e.ScopeEnded, SECOND), outcome="cancelled")


def test_a_scope_that_found_nothing_may_say_so() -> None:
    log = Log(list(scoped()))
    log.put(at(log, e.ScopeEnded, SECOND), outcome="failed", reason="nothing found")

    assert not any("have an answer" in text for text in log.found())


@fault(FAULTS, "completed is a sentence or more and no gap")
def a_complete_scope_with_a_gap(log: Log) -> None:
    _say(log, gaps=(Gap("Nobody says when."),))


@fault(FAULTS, "it answers with something that was not accepted")
def a_result_that_nobody_judged(log: Log) -> None:
    log.drop(log.where(e.AnswerJudged))


@fault(FAULTS, "it answers with something that was not accepted")
def a_result_of_what_was_withdrawn(log: Log) -> None:
    move = log.fact(log.where(e.AnswerJudged)).call_item
    log.insert(log.where(e.AnswerJudged), e.ItemsWithdrawn((move,), (JULY,), 2))


@fault(FAULTS, "which is shown, was withdrawn")
def a_withdrawn_item_shown_in_its_scope(log: Log) -> None:
    seen = passage(log, SECOND)
    log.insert(at(log, e.CallGranted, f"{SECOND}/st3") - 1, e.ItemsWithdrawn((seen.id,), (JULY,), 2))


@fault(FAULTS, "which is shown, was withdrawn")
def a_source_withdrawn_in_one_scope_shown_in_another(log: Log) -> None:
    seen = passage(log, SECOND)
    log.insert(at(log, e.CallGranted, f"{SECOND}/st3") - 1, e.ItemsWithdrawn((seen.id,), (POOL,), 2))


@fault(FAULTS, "has the same sources and is not withdrawn")
def a_withdrawal_that_leaves_something_in_the_scope(log: Log) -> None:
    seen = passage(log, SECOND)
    log.insert(log.where(e.AnswerJudged), e.ItemsWithdrawn((seen.id,), (JULY,), 2))


@fault(FAULTS, f"of {SECOND}, which is over")
def a_withdrawal_in_a_scope_that_is_over(log: Log) -> None:
    log.insert(at(log, e.ScopeEnded, SECOND), e.ItemsWithdrawn(("6.0", passage(log, SECOND).id), (JULY,), 2))


@fault(FAULTS, "what asked for it was withdrawn")
def a_scope_from_a_withdrawn_move(log: Log) -> None:
    move = log.fact(at(log, e.CallCompleted, "t1.st1")).items[0]
    log.insert(at(log, e.CallGranted, SECOND) - 1, e.ItemsWithdrawn((move.id,), (JULY,), 2))


def test_one_withdrawal_may_speak_of_several_shares() -> None:
    log = Log(list(scoped()))
    moves = log.fact(at(log, e.CallCompleted, "t1.st1")).items
    place = at(log, e.PlanPatched, AUDITOR)
    task = log.fact(at(log, e.ScopeStarted, AUDITOR)).items[0]
    log.insert(place, e.ItemsWithdrawn((task.id, moves[1].id), (replace(POOL, path="other.md"),), 2))

    assert [text for text in log.found() if "withdr" in text and "shown" not in text] == []


def _say(log: Log, **changes: Any) -> None:
    """Change what the first specialist answers."""
    place = at(log, e.ScopeEnded, SECOND)
    item_of(log, place, body=replace(log.fact(place).items[0].body, **changes))


CLAIM = "no check vouches for a claim"


@fault(FAULTS, CLAIM)
def a_claim_with_another_value(log: Log) -> None:
    _say(log, claims=(replace(claim(JULY), value="50"),))


@fault(FAULTS, CLAIM)
def a_claim_with_another_citation(log: Log) -> None:
    _say(log, claims=(replace(claim(JULY), citation=replace(cited(JULY), quote="The pool")),))


@fault(FAULTS, CLAIM)
def a_claim_that_was_not_made(log: Log) -> None:
    _say(log, claims=(claim(JULY), replace(claim(JULY), predicate="limit")))


@pytest.mark.parametrize(
    "verdict", [Verdict("claim", "k0", "fail"), Verdict("claim", "k0", "abstain"), Verdict("claim", "k1", "pass")]
)
def test_a_claim_without_a_check_that_passed_it_is_noticed(verdict: Verdict) -> None:
    log = Log(list(scoped()))
    place = log.where(e.CallCompleted, lambda f: any(v.subject == "k0" for v in f.verdicts))
    log.put(place, verdicts=(*log.fact(place).verdicts[:-1], verdict))

    assert [text.partition(": ")[2] for text in log.found()] == [f"{CLAIM}."]


@fault(FAULTS, "it cites what its label leaves out")
def a_claim_beside_the_label(log: Log) -> None:
    _say(log, claims=(claim(POOL),))


@fault(FAULTS, "no check vouches for a conflict")
def a_conflict_that_no_claim_makes(log: Log) -> None:
    _against(log, ConflictValue("70 connections", cited(POOL)))


@fault(FAULTS, "no check vouches for a conflict")
def a_conflict_from_a_withdrawn_answer(log: Log) -> None:
    item = log.fact(at(log, e.ScopeEnded, AUDITOR)).items[0]
    log.insert(log.where(e.PlanPatched, lambda f: f.epoch == 3), e.ItemsWithdrawn((item.id,), (POOL,), 2))


def test_a_claim_of_the_answer_itself_may_be_a_side_of_a_conflict() -> None:
    log = Log(list(scoped()))
    made = replace(claim(POOL), value="allows 50")
    place = at(log, e.CallCompleted, "t1.st4")
    said = {"subject": made.subject, "predicate": made.predicate, "value": made.value, "unit": made.unit}
    body = log.fact(place).items[0].body
    item_of(log, place, body=replace(body, arguments={"claims": [said]}))
    item_of(log, place, 1, body=replace(log.fact(place).items[1].body, claims=(cited(POOL),)))
    log.put(place, verdicts=(*log.fact(place).verdicts, Verdict("claim", "k0", "pass")))
    _against(log, ConflictValue("allows 50 connections", cited(POOL)), made)

    assert log.found() == []


def _against(log: Log, side: ConflictValue, *claims: Any) -> None:
    """Another second side of the conflict that the turn ends with."""
    place = log.where(e.TurnEnded)
    body = log.fact(place).items[0].body
    assert isinstance(body, Answer)
    conflict = Conflict("connections of pool", (body.conflicts[0].values[0], side))
    item_of(log, place, body=replace(body, conflicts=(conflict,), claims=claims))


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_found(name: str) -> None:
    plant, said = FAULTS[name]
    log = Log(list(scoped()))
    plant(log)
    found = log.found()

    assert any(said in text for text in found), (said, found)
