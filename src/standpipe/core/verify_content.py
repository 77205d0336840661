"""What prompts and answers must never show: bytes of withdrawn sources, unjudged results, sentences no check vouches for.

Like `verify`, it shares only the vocabulary with the rules it watches. What an erased body hid is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from standpipe.core import events as e
from standpipe.core.details import Manifest, Step
from standpipe.core.items import Answer, Checked, Item, Label, Passage, Source, ToolCall


class _Turn(msgspec.Struct):
    folders: tuple[str, ...]
    items: dict[str, Item]
    steps: dict[str, Step] = {}
    over: dict[str, str] = {}
    calls: dict[str, tuple[Step, frozenset[str]]] = {}
    results: dict[int, e.CallCompleted] = {}
    shown: set[str] = set()
    shown_digest: str = ""
    withdrawn: set[str] = set()
    gone: dict[Source, int] = {}
    revision: int = 0
    parts: str = ""
    accepted: e.AnswerJudged | None = None

    def stale(self, label: Label) -> bool:
        """Whether something came from what was withdrawn and cannot have been allowed anew since."""
        return any(self.revision <= self.gone[s] for s in label.sources if s in self.gone)


class Content:
    """One pass over a session's events in order; `found` grows by a sentence for each violation."""

    def __init__(self) -> None:
        """Nothing has been read yet."""
        self.found: list[str] = []
        self.seq, self.causes = 0, tuple[e.Cause, ...]()
        self.turn: _Turn | None = None
        self.asked: dict[str, e.TurnRequested] = {}
        self.known: dict[str, Item] = {}

    def must(self, holds: object, otherwise: str) -> None:
        """Note a violation at the event looked at, unless it holds."""
        if not holds:
            self.found.append(f"seq {self.seq}: {otherwise}.")

    def take(self, event: e.Event) -> None:
        """Judge the next event."""
        fact, self.seq, self.causes = event.fact, event.seq, event.causes
        items: tuple[Item, ...] = getattr(fact, "items", ())
        for item in items:
            self.must(item.id.startswith(f"{self.seq}."), f"its item {item.id} is named after another event")
            self.known[item.id] = msgspec.structs.replace(item, body=None)
        if isinstance(fact, e.TurnRequested):
            self.asked[fact.turn] = fact
        elif isinstance(fact, e.TurnStarted):
            asked = self.asked.pop(fact.turn, None)
            self.turn = _Turn(asked.folders, {i.id: i for i in asked.items}) if asked is not None else _Turn((), {})
        elif self.turn is not None:
            self.turn.items |= {item.id: item for item in items}
            rule = _RULES.get(type(fact))
            if rule is not None:
                rule(self, self.turn, fact)

    def led(self, item: str) -> bool:
        """Whether the event that brought an item is among the causes."""
        return any(item.startswith(f"{cause}.") for cause in self.causes)

    def patched(self, turn: _Turn, fact: e.PlanPatched) -> None:
        self.must(fact.why.code and (not fact.why.item or self.led(fact.why.item)), "its reason is missing, or is no cause")
        turn.parts = fact.why.item if fact.why.code == "plan" else turn.parts
        turn.steps |= {step.id: step for step in fact.add}

    def granted(self, turn: _Turn, fact: e.CallGranted) -> None:
        step = turn.steps.get(fact.step, Step(fact.step, "", ""))
        self.must(step.item not in turn.withdrawn, "what asked for it was withdrawn")
        turn.revision = max(turn.revision, fact.permit.revision)
        if step.kind == "model":
            self._shown(turn, fact.manifest or Manifest("", ""))
        turn.calls[fact.call] = (step, frozenset(turn.shown))

    def _shown(self, turn: _Turn, manifest: Manifest) -> None:
        self.must(manifest.digest and manifest.base == turn.shown_digest, "its manifest does not follow the one before it")
        self.must(all(chosen.why for chosen in manifest.added), "an item is shown without a reason")
        turn.shown.difference_update(chosen.item for chosen in manifest.dropped)
        turn.shown.update(chosen.item for chosen in manifest.added)
        turn.shown_digest = manifest.digest
        for id in sorted(turn.shown):
            known = self.known.get(id)
            self.must(known is not None and known.kind != "checked", f"item {id} is shown: it is not there, or not for models")
            withdrawn = id in turn.withdrawn or (known is not None and turn.stale(known.label))
            self.must(not withdrawn, f"item {id}, which is shown, was withdrawn")

    def completed(self, turn: _Turn, fact: e.CallCompleted) -> None:
        """What derives from a source carries it in its label (an erased item may not have been there to derive from)."""
        self.must(fact.verdicts, "no check has judged this result")
        turn.results[self.seq] = fact
        step, shown = turn.calls.get(fact.call, (Step("", "", ""), frozenset[str]()))
        inputs = [turn.items.get(id) for id in (shown if step.kind == "model" else (step.item,))]
        drawn = {s for item in inputs if item is not None and item.body is not None for s in item.label.sources}
        for item in fact.items:
            if isinstance(body := item.body, Passage):
                own = Source(body.folder, body.source, body.version)
                self.must(body.memory or own in item.label.sources, f"item {item.id} does not name its document")
            elif step.kind == "model" or item.kind == "data":
                self.must(drawn <= set(item.label.sources), f"item {item.id} does not name all it derives from")

    def stepped(self, turn: _Turn, fact: e.StepEnded) -> None:
        turn.over[fact.step] = fact.outcome

    def withdrew(self, turn: _Turn, fact: e.ItemsWithdrawn) -> None:
        touched = {i.id for i in turn.items.values() if set(fact.sources) & set(i.label.sources)} - turn.withdrawn
        left = ", ".join(sorted(touched - set(fact.ids)))
        self.must(not left, f"{left} has the same sources and is not withdrawn")
        turn.withdrawn.update(fact.ids)
        turn.gone |= dict.fromkeys(fact.sources, fact.revision)
        turn.revision = max(turn.revision, fact.revision)
        turn.parts = "" if turn.parts in turn.withdrawn else turn.parts
        if turn.accepted is not None and turn.accepted.call_item in turn.withdrawn:
            turn.accepted = None

    def judged(self, turn: _Turn, fact: e.AnswerJudged) -> None:
        self.must(fact.call_item in turn.items and self.led(fact.call_item), "the answer it judges is no cause")
        self.must(fact.action != "accept" or turn.accepted is None, "an answer was accepted before")
        turn.accepted = fact if fact.action == "accept" else turn.accepted

    def ended(self, turn: _Turn, fact: e.TurnEnded) -> None:
        self.turn = None
        answers = fact.outcome in ("completed", "partial")
        self.must(bool(fact.items) == answers, "completed and partial have an answer, failed and cancelled none")
        for item in fact.items:
            for fault in _faults(turn, fact.outcome, item):
                self.must(False, fault)


def _faults(turn: _Turn, outcome: str, item: Item) -> Iterator[str]:
    move, judged, sources = turn.items.get(item.answers), turn.accepted, set(item.label.sources)
    if move is None or judged is None or judged.call_item != move.id:
        yield "it answers with something that was not accepted"
        return
    if turn.stale(item.label):
        yield "what it answers with was withdrawn"
    if not set(move.label.sources) <= sources:
        yield "the answer does not name all it derives from"
    lost = [s for s, o in turn.over.items() if s in turn.steps and _lost(turn.steps[s], o)]
    if outcome == "completed" and lost:
        yield f"it is complete though {', '.join(lost)} was lost"
    if isinstance(answer := item.body, Answer):
        yield from _whole(turn, outcome, answer)
        yield from _supported(turn, answer, judged)
        cited = [*answer.citations, *(side.citation for conflict in answer.conflicts for side in conflict.values)]
        if not {Source(c.folder, c.source, c.version) for c in cited} <= sources:
            yield "it cites what its label leaves out"


def _lost(step: Step, outcome: str) -> bool:
    return step.kind == "tool" and (outcome == "unknown" or (outcome == "failed" and not step.optional))


def _whole(turn: _Turn, outcome: str, answer: Answer) -> Iterator[str]:
    if (outcome == "completed") != (bool(answer.sentences) and not answer.gaps):
        yield "completed is a sentence or more and no gap, partial anything else"
    plan = turn.items[turn.parts].body if turn.parts in turn.items else None
    parts = len(plan.arguments.get("parts", ())) if isinstance(plan, ToolCall) else 1
    missing = sorted(set(range(max(1, parts))) - {s.part for s in answer.sentences})
    if outcome == "completed" and missing:
        yield f"no sentence answers the parts {missing}"


def _supported(turn: _Turn, answer: Answer, judged: e.AnswerJudged) -> Iterator[str]:
    """Every sentence stands for one that passed its checks, with the citations that they verified."""
    seq = int(judged.call_item.split(".")[0])
    result = turn.results.get(seq, e.CallCompleted(""))
    checked = next((i.body for i in result.items if isinstance(i.body, Checked)), Checked())
    passed = {v.subject for v in result.verdicts if v.status in ("pass", "abstain")}
    indexes = sorted((*judged.kept, *judged.repaired))
    if len(indexes) != len(answer.sentences):
        yield "it does not have the sentences that were kept"
    for place, (n, sentence) in enumerate(zip(indexes, answer.sentences, strict=False), 1):
        if f"s{n}" not in passed or sentence.citations != (checked.citations[n : n + 1] or ((),))[0]:
            yield f"no check vouches for sentence {place}"
        if turn.folders and not sentence.citations:
            yield f"sentence {place} cites nothing"
    sides = {side for n, values in enumerate(checked.conflicts) if f"c{n}" in passed for side in values}
    if not all(side in sides for conflict in answer.conflicts for side in conflict.values):
        yield "no check vouches for a conflict"


_RULES: dict[type, Callable[[Content, _Turn, Any], None]] = {
    e.PlanPatched: Content.patched,
    e.CallGranted: Content.granted,
    e.CallCompleted: Content.completed,
    e.StepEnded: Content.stepped,
    e.ItemsWithdrawn: Content.withdrew,
    e.AnswerJudged: Content.judged,
    e.TurnEnded: Content.ended,
}
