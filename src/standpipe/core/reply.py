"""What a model's reply asks for: each of its moves becomes a patch of the plan, a judged answer, a question, or a failure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import msgspec

from standpipe.core import check, claims, plan
from standpipe.core.control import (
    CONTROL,
    AnswerArguments,
    AnswerSentence,
    AskUserArguments,
    DelegateArguments,
    PlanArguments,
    PlannedStep,
    ReviseArguments,
)
from standpipe.core.details import Step, Why
from standpipe.core.events import AnswerJudged, Asked, CallRefused, PlanPatched, StepEnded
from standpipe.core.ids import ask_id, item_id, step_id
from standpipe.core.items import Answer, Checked, Draft, Failure, Item, Label, Text, ToolCall, join, place
from standpipe.core.record import Recorder
from standpipe.core.state import Call, State, StepState, Turn
from standpipe.core.tools import AgentSpec
from standpipe.core.world import World

_SENTENCES = re.compile(r'"sentences"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")
_JSON = json.JSONDecoder()
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def as_moves(drafts: Sequence[Draft]) -> tuple[Draft, ...]:
    """The drafts of a reply with plain text turned into what it means: without a call beside it, an `answer` call."""
    if any(isinstance(d.body, ToolCall) for d in drafts):
        return tuple(drafts)
    text = " ".join(d.body.text for d in drafts if isinstance(d.body, Text)).strip()
    if not text:
        return tuple(drafts)
    sentences = tuple(AnswerSentence(s.strip()) for s in _SENTENCE.split(text) if s.strip())
    call = ToolCall("answer", msgspec.to_builtins(AnswerArguments(sentences)))
    return (Draft(call, drafts[0].label),)


def answer_of(body: ToolCall) -> AnswerArguments | None:
    """The arguments of an answer call, or None if they do not fit."""
    parsed = _parsed(body)
    return parsed if isinstance(parsed, AnswerArguments) else None


Move = PlanArguments | ReviseArguments | DelegateArguments | AnswerArguments | AskUserArguments


def finished(arguments: str) -> tuple[AnswerSentence, ...]:
    """The sentences that are whole in the JSON of an answer call of which only the beginning has come."""
    begun = _SENTENCES.search(arguments)
    at, found = begun.end() if begun is not None else len(arguments), list[AnswerSentence]()
    while (at := at + len(_BETWEEN.match(arguments, at)[0])) < len(arguments):  # type: ignore[index]
        try:
            value, at = _JSON.raw_decode(arguments, at)
            found.append(msgspec.convert(value, AnswerSentence))
        except (ValueError, RecursionError):  # msgspec.ValidationError is a ValueError
            break
    return tuple(found)


def _parsed(body: ToolCall) -> Move | str:
    """The typed arguments of a control call, or in words what is wrong with them."""
    try:
        return msgspec.convert(body.arguments, CONTROL[body.name])
    except msgspec.ValidationError as error:
        return str(error)


def delegated(body: ToolCall) -> DelegateArguments | str:
    """The arguments of a delegate call, or in words what is wrong with them."""
    parsed = _parsed(ToolCall("delegate", body.arguments))
    if isinstance(parsed, str):
        return parsed
    assert isinstance(parsed, DelegateArguments)
    return parsed if parsed.task.strip() else "the task is empty"


def parts_of(turn: Turn) -> tuple[str, ...]:
    """The parts of the question as the last plan that is still standing names them; without one the question is one part."""
    item = turn.items.get(turn.parts_item)
    named = item.body.arguments.get("parts", ()) if item is not None and isinstance(item.body, ToolCall) else ()
    question = turn.items[turn.question].body
    return tuple(str(p) for p in named) or (question.text if isinstance(question, Text) else "",)


def interpret(state: State, world: World, step: StepState, call: Call, now: int) -> Recorder:
    """Turn the moves of a completed model call into facts, and end its step."""
    turn = state.turn
    assert turn is not None
    record = Recorder(state.seq)
    agent = world.agent(state.agent)
    direct: list[Item] = []
    answered = False
    for item in (turn.items[id] for id in call.items):
        body = item.body
        if not isinstance(body, ToolCall):
            continue
        if step.spec.final and body.name != "answer":
            _refuse(record, item, call, "not offered", "Only `answer` may be called now.")
        elif turn.agent and body.name == "ask_user":
            _refuse(record, item, call, "not offered", "A specialist cannot ask the user: name what is missing as a gap.")
        elif body.name not in CONTROL:
            direct.append(item)
        elif isinstance(parsed := _parsed(body), str):
            _refuse(record, item, call, "arguments", f"The arguments of `{body.name}` do not fit: {parsed}")
        elif isinstance(parsed, AnswerArguments):
            if answered:
                _refuse(record, item, call, "second answer", "A reply may hold one answer.")
            else:
                _judge(record, turn, step, call, (item, parsed))
            answered = True
        elif isinstance(parsed, AskUserArguments):
            _ask(record, turn, item, call, now + world.policy.parked_ms)
        elif isinstance(parsed, DelegateArguments):
            direct.append(item)
        else:
            _patch(record, turn, (item, parsed), call, agent)
    _call_directly(record, turn, direct, call, agent)
    record.add(StepEnded(step.spec.id, "done"), call.ended)
    return record


def _ask(record: Recorder, turn: Turn, item: Item, call: Call, until: int) -> None:
    if any(isinstance(e.fact, Asked) for e in record.events):
        _refuse(record, item, call, "second question", "One question at a time: ask it once the first is answered.")
        return
    if plan.room(turn) - _added(record) <= 0:
        _refuse(record, item, call, "steps", "The plan has no room for another step.")
        return
    asking = Step(id=step_id(turn.id, len(turn.steps) + _added(record) + 1), kind="person", does="ask_user", item=item.id)
    seq = record.add(PlanPatched(turn.id, _epoch(turn, record), Why("asked by the model", item.id), (asking,)), call.ended)
    record.add(Asked(ask=ask_id(turn.id, asking.id), step=asking.id, kind="question", until=until), seq)


def _call_directly(record: Recorder, turn: Turn, items: list[Item], call: Call, agent: AgentSpec) -> None:
    """Tools and specialists that the model called itself, without a plan, become steps of one patch as far as there is room."""
    added = _added(record)
    room = max(plan.room(turn) - added, 0)
    for item in items[room:]:
        _refuse(record, item, call, "steps", "The plan has no room for another step.")
    first = len(turn.steps) + added + 1
    steps = []
    for n, item in enumerate(items[:room]):
        assert isinstance(item.body, ToolCall)
        kind, does = plan.target(agent, item.body.name, item.body.arguments)
        optional = kind == "agent" and item.body.arguments.get("optional") is True
        steps.append(Step(id=step_id(turn.id, first + n), kind=kind, does=does, item=item.id, optional=optional))
    if steps:
        record.add(
            PlanPatched(turn.id, _epoch(turn, record), Why("called by the model", steps[0].item), tuple(steps)), call.ended
        )


def _epoch(turn: Turn, record: Recorder) -> int:
    return turn.epoch + 1 + sum(isinstance(e.fact, PlanPatched) for e in record.events)


def _added(record: Recorder) -> int:
    return sum(len(e.fact.add) for e in record.events if isinstance(e.fact, PlanPatched))


def failure(record: Recorder, to: Item, code: str, text: str, step: str = "") -> Item:
    """The item that tells a model what became of its call `to`, placed in the next fact of `record`."""
    return place(Draft(Failure(code, text), to.label, answers=to.id), item_id(record.next, 0), "runtime", step)


def _refuse(record: Recorder, item: Item, call: Call, code: str, text: str) -> None:
    record.add(CallRefused("", code, items=(failure(record, item, code, text),)), call.ended)


def _patch(
    record: Recorder, turn: Turn, move: tuple[Item, PlanArguments | ReviseArguments], call: Call, agent: AgentSpec
) -> None:
    """Record the patch a plan or revise call asks for, as far as it is sound and there is room."""
    item, asked = move
    planned: tuple[PlannedStep, ...] = asked.steps if isinstance(asked, PlanArguments) else asked.add
    kept = plan.contracted(planned, plan.room(turn) - _added(record))
    steps = plan.placed(turn, {n: planned[n] for n in kept}, item.id, _added(record), agent)
    problem = ""
    if any(p.tool in CONTROL and p.tool != plan.DELEGATE for p in planned):
        problem = "A step of a plan calls a tool or delegates; plan, revise, answer and ask_user are no steps."
    elif len({p.id for p in planned}) < len(planned):
        problem = "Every step of a plan needs an id of its own."
    elif plan.cyclic(steps):
        problem = "The steps wait for each other in a circle."
    if problem:
        _refuse(record, item, call, "arguments", problem)
        return
    code = "plan" if isinstance(asked, PlanArguments) else "revise"
    record.add(PlanPatched(turn.id, _epoch(turn, record), Why(code, item.id), steps), call.ended)
    if len(kept) < len(planned):
        gone = ", ".join(p.id for n, p in enumerate(planned) if n not in kept)
        _refuse(record, item, call, "contracted", f"The plan had no room for the steps {gone}; they were left out.")


def _judge(record: Recorder, turn: Turn, step: StepState, call: Call, move: tuple[Item, AnswerArguments]) -> None:
    item, answer = move
    codes = {v.subject: v.code for v in call.verdicts if v.status == "fail" and v.subject[0] not in "ck"}
    failing = [n for n in range(len(answer.sentences)) if f"s{n}" in codes]
    may_ask_again = not step.spec.final and not turn.resampled and not turn.soft and plan.room(turn) > 0
    if codes and may_ask_again:
        lines = [f"sentence {n + 1}: {codes[f's{n}']}" for n in failing]
        lines += [f"value: {checked_of(turn, call).problem}"] if "value" in codes else []
        text = "The answer was not accepted. Repair or leave out: " + "; ".join(lines)
        told = place(Draft(Failure("check", text), item.label, answers=item.id), item_id(record.next, 0), "runtime")
        record.add(AnswerJudged(item.id, "resample", dropped=tuple(failing), items=(told,)), call.ended)
        return
    weighed = check.compose(answer, call.verdicts, checked_of(turn, call), ("",), ())
    record.add(AnswerJudged(item.id, "accept", weighed.kept, weighed.repaired, weighed.dropped), call.ended)


def checked_of(turn: Turn, call: Call) -> Checked:
    """What the checks verified of a call's answer."""
    bodies = (turn.items[id].body for id in call.items)
    return next((b for b in bodies if isinstance(b, Checked)), Checked())


def composed(turn: Turn, call: Call, lost: Sequence[str]) -> tuple[Item, Answer, Label]:
    """The accepted answer call of the turn, the Answer that its verdicts leave, and the label of all its words.

    `lost` says in sentences what the turn did without. Claims that specialists and the answer make are held against each other.
    """
    item = turn.items[turn.answer_call]
    assert isinstance(item.body, ToolCall)
    arguments = answer_of(item.body)
    assert arguments is not None, "an accepted answer has arguments"
    answer = check.compose(arguments, call.verdicts, checked_of(turn, call), parts_of(turn), lost).answer
    labels = [item.label] + ([turn.items[turn.parts_item].label] if turn.parts_item else [])
    heard = [i for i in turn.items.values() if i.id not in turn.withdrawn and isinstance(i.body, Answer)]
    said = [*(claim for i in heard if isinstance(i.body, Answer) for claim in i.body.claims), *answer.claims]
    known = [{side.citation for side in conflict.values} for conflict in answer.conflicts]
    found = [c for c in claims.disagreements(said) if {side.citation for side in c.values} not in known]
    if found:
        labels += [i.label for i in heard]
        answer = msgspec.structs.replace(answer, conflicts=(*answer.conflicts, *found))
    return item, answer, join(labels)
