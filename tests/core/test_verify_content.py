"""What the independent model says of prompts, labels and answers: heard on every fault planted in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.simulate.planted import Absent, Faults, Log, fault, model_grant, said_of, with_items

from standpipe.core import events as e
from standpipe.core.details import Chosen
from standpipe.core.items import Answer, Checked, Label, Passage

FAULTS: Faults = {}


@fault(FAULTS, "what asked for it was withdrawn")
def a_call_from_a_withdrawn_move(log: Log) -> None:
    gone = log.where(e.ItemsWithdrawn)
    moves = set(log.fact(gone).ids)
    patch = log.where(e.PlanPatched, lambda f: any(step.item in moves and step.kind == "tool" for step in f.add))
    step = next(step for step in log.fact(patch).add if step.item in moves and step.kind == "tool")
    grant = log.fact(log.where(e.CallGranted))
    log.insert(gone, replace(grant, step=step.id, call=f"{grant.call.split('.')[0]}.{step.id}.a9"))


@fault(FAULTS, "its manifest does not follow the one before it")
def a_manifest_on_another_base(log: Log) -> None:
    place = log.where(e.CallGranted, model_grant)
    log.put(place, manifest=replace(log.fact(place).manifest, base="other"))


@fault(FAULTS, "an item is shown without a reason")
def an_item_shown_for_no_reason(log: Log) -> None:
    _shown(log, log.where(e.CallGranted, model_grant), "2.0", "")


@fault(FAULTS, "it is not there, or not for models")
def an_item_shown_that_is_not_there(log: Log) -> None:
    _shown(log, log.where(e.CallGranted, model_grant), "99.0", "note")


@fault(FAULTS, "it is not there, or not for models")
def what_the_checks_verified_shown(log: Log) -> None:
    done = log.where(e.CallCompleted, lambda f: any(isinstance(i.body, Checked) for i in f.items))
    item = next(i.id for i in log.fact(done).items if isinstance(i.body, Checked))
    _shown(log, log.where(e.CallGranted, lambda f: f.route is not None, done), item, "note")


@fault(FAULTS, "which is shown, was withdrawn")
def a_withdrawn_item_shown_again(log: Log) -> None:
    gone = log.where(e.ItemsWithdrawn)
    grant = log.where(e.CallGranted, lambda f: f.route is not None, gone)
    _shown(log, grant, log.fact(gone).ids[0], "note")


@fault(FAULTS, "which is shown, was withdrawn")
def something_else_of_a_withdrawn_source_shown(log: Log) -> None:
    gone = log.where(e.ItemsWithdrawn)
    grant = log.where(e.CallGranted, lambda f: f.route is not None and f.permit.revision == log.fact(gone).revision, gone)
    place, id = _relabelled(log, grant, Label(log.fact(gone).sources))
    assert place < grant
    _shown(log, grant, id, "note")


def _relabelled(log: Log, before: int, label: Label) -> tuple[int, str]:
    """The last item that came before a place, with another label."""
    places = [n for n, (_, event) in enumerate(log.events[:before]) if getattr(event.fact, "items", ())]
    if not places:
        raise Absent("an item")
    items = log.fact(places[-1]).items
    log.put(places[-1], items=(replace(items[0], label=label), *items[1:]))
    return places[-1], items[0].id


def _shown(log: Log, grant: int, item: str, why: str) -> None:
    manifest = log.fact(grant).manifest
    log.put(grant, manifest=replace(manifest, added=(*manifest.added, Chosen(item, why))))


@fault(FAULTS, "has the same sources and is not withdrawn")
def a_withdrawal_that_leaves_something(log: Log) -> None:
    place = log.where(e.ItemsWithdrawn, lambda f: len(f.ids) > 1)
    log.put(place, ids=log.fact(place).ids[:1])


@fault(FAULTS, "does not name its document")
def a_passage_without_its_document(log: Log) -> None:
    place = log.where(e.CallCompleted, lambda f: any(isinstance(i.body, Passage) for i in f.items))
    log.put(place, items=tuple(replace(item, label=Label()) for item in log.fact(place).items))


@fault(FAULTS, "does not name all it derives from")
def a_reply_without_its_sources(log: Log) -> None:
    place = log.where(e.CallCompleted, lambda f: any(i.kind == "call" and i.label.sources for i in f.items))
    log.put(place, items=tuple(replace(item, label=Label()) for item in log.fact(place).items))


@fault(FAULTS, "does not name all it derives from")
def a_result_without_the_sources_of_its_arguments(log: Log) -> None:
    place = log.where(e.CallCompleted, lambda f: any(i.kind == "data" and i.label.sources for i in f.items))
    log.put(place, items=tuple(replace(item, label=Label()) for item in log.fact(place).items))


@fault(FAULTS, "the answer it judges is no cause")
def a_judgement_of_nothing(log: Log) -> None:
    log.put(log.where(e.AnswerJudged), call_item="99.0")


@fault(FAULTS, "an answer was accepted before")
def two_answers(log: Log) -> None:
    place = log.where(e.AnswerJudged, lambda f: f.action == "accept")
    log.insert(place, log.fact(place))


@fault(FAULTS, "completed and partial have an answer, failed and cancelled none")
def an_end_without_its_answer(log: Log) -> None:
    log.put(log.where(e.TurnEnded, with_items), items=())


@fault(FAULTS, "it answers something else")
def an_answer_nobody_accepted(log: Log) -> None:
    place = log.where(e.TurnEnded, with_items)
    log.put(place, items=(replace(log.fact(place).items[0], answers="2.0"),))


@fault(FAULTS, "it answers with something that was not accepted")
def an_answer_from_what_was_withdrawn(log: Log) -> None:
    place = log.where(e.TurnEnded, with_items)
    item = log.fact(place).items[0]
    log.insert(place - 1, e.ItemsWithdrawn((item.answers,), item.label.sources, 99))


@fault(FAULTS, "what it answers with was withdrawn")
def an_answer_that_names_what_was_withdrawn(log: Log) -> None:
    gone = log.where(e.ItemsWithdrawn, lambda f: f.revision == max(_revisions(log)))
    place = log.where(e.TurnEnded, with_items, gone)
    if any(isinstance(log.fact(n), e.TurnStarted) for n in range(gone, place)):
        raise Absent("an answer of the same turn")
    item = log.fact(place).items[0]
    log.put(place, items=(replace(item, label=Label((*item.label.sources, *log.fact(gone).sources))),))


def _revisions(log: Log) -> list[int]:
    facts = [event.fact for _, event in log.events]
    granted = [f.permit.revision for f in facts if isinstance(f, e.CallGranted)]
    return [*granted, *(f.revision for f in facts if isinstance(f, e.ItemsWithdrawn))]


def _answered(log: Log, change: Callable[[Answer], Answer], fits: Callable[[Any, Answer], bool] = lambda f, a: True) -> None:
    """Change the answer of the first turn whose end and answer fit."""
    place = log.where(e.TurnEnded, lambda f: bool(f.items) and isinstance(f.items[0].body, Answer) and fits(f, f.items[0].body))
    item = log.fact(place).items[0]
    log.put(place, items=(replace(item, body=change(item.body)),))


@fault(FAULTS, "the answer does not name all it derives from")
def an_answer_without_its_sources(log: Log) -> None:
    place = log.where(e.TurnEnded, lambda f: f.items and f.items[0].label.sources)
    log.put(place, items=(replace(log.fact(place).items[0], label=Label()),))


@fault(FAULTS, "it cites what its label leaves out")
def a_citation_beside_the_label(log: Log) -> None:
    def change(answer: Answer) -> Answer:
        first = answer.sentences[0]
        cited = (replace(first.citations[0], source="hr/secret.md"),)
        return replace(answer, sentences=(replace(first, citations=cited), *answer.sentences[1:]))

    _answered(log, change, lambda f, a: bool(a.sentences and a.sentences[0].citations))


@fault(FAULTS, "was lost")
def complete_though_a_step_failed(log: Log) -> None:
    place = log.where(e.TurnEnded, lambda f: f.outcome == "completed")
    ended = [n for n in range(place) if isinstance(log.fact(n), e.StepEnded) and log.fact(n).reason == ""]
    tools = {
        step.id
        for n in range(place)
        if isinstance(log.fact(n), e.PlanPatched) and log.fact(n).turn == log.fact(place).turn
        for step in log.fact(n).add
        if step.kind == "tool" and not step.optional
    }
    mine = [
        n for n in ended if log.fact(n).step in tools and n > log.where(e.TurnStarted, lambda f: f.turn == log.fact(place).turn)
    ]
    if not mine:
        raise Absent("a tool step")
    log.put(mine[0], outcome="failed")


@fault(FAULTS, "completed is a sentence or more and no gap")
def complete_with_a_gap(log: Log) -> None:
    log.put(log.where(e.TurnEnded, lambda f: f.outcome == "partial" and f.items), outcome="completed")


@fault(FAULTS, "completed is a sentence or more and no gap")
def complete_without_a_sentence(log: Log) -> None:
    _answered(log, lambda a: replace(a, sentences=()), lambda f, a: f.outcome == "completed")


@fault(FAULTS, "completed is a sentence or more and no gap")
def partial_without_a_gap(log: Log) -> None:
    log.put(log.where(e.TurnEnded, lambda f: f.outcome == "completed"), outcome="partial")


@fault(FAULTS, "no sentence answers the parts [0]")
def a_part_that_is_not_answered(log: Log) -> None:
    _answered(
        log,
        lambda a: replace(a, sentences=tuple(replace(s, part=5) for s in a.sentences)),
        lambda f, a: f.outcome == "completed",
    )


@fault(FAULTS, "it does not have the sentences that were kept")
def a_sentence_more(log: Log) -> None:
    _answered(log, lambda a: replace(a, sentences=(*a.sentences, a.sentences[0])), lambda f, a: bool(a.sentences))


@fault(FAULTS, "no check vouches for sentence 1")
def a_citation_nobody_verified(log: Log) -> None:
    def change(answer: Answer) -> Answer:
        first = answer.sentences[0]
        cited = (replace(first.citations[0], quote="The lake is deep."),)
        return replace(answer, sentences=(replace(first, citations=cited), *answer.sentences[1:]))

    _answered(log, change, lambda f, a: bool(a.sentences and a.sentences[0].citations))


@fault(FAULTS, "no check vouches for sentence 1")
def a_sentence_whose_check_failed(log: Log) -> None:
    place = log.where(e.TurnEnded, lambda f: bool(f.items) and bool(f.items[0].body.sentences))
    seq = log.fact(place).items[0].answers.split(".")[0]
    done = log.where(e.CallCompleted, lambda f: any(item.id.startswith(f"{seq}.") for item in f.items))
    failed = tuple(replace(v, status="fail") for v in log.fact(done).verdicts)
    log.put(done, verdicts=failed)


@fault(FAULTS, "sentence 1 cites nothing")
def a_sentence_without_a_citation(log: Log) -> None:
    def change(answer: Answer) -> Answer:
        return replace(answer, sentences=(replace(answer.sentences[0], citations=()), *answer.sentences[1:]))

    _answered(log, change, lambda f, a: bool(a.sentences and a.sentences[0].citations))


@fault(FAULTS, "no check vouches for a conflict")
def a_conflict_nobody_verified(log: Log) -> None:
    def change(answer: Answer) -> Answer:
        side = replace(answer.conflicts[0].values[0], value="7")
        return replace(answer, conflicts=(replace(answer.conflicts[0], values=(side,)),))

    _answered(log, change, lambda f, a: bool(a.conflicts))


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_planted_fault_is_found(name: str) -> None:
    plant, said = FAULTS[name]
    found = said_of(plant)

    assert any(said in text for text in found), (said, found)
