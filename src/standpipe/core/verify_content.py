"""What prompts and answers must never show: bytes of withdrawn sources, unjudged results, sentences no check vouches for.

Like `verify`, it shares only the vocabulary with the rules it watches. What an erased body hid is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from standpipe.core import events as e
from standpipe.core.details import Manifest, Step
from standpipe.core.items import Answer, Checked, Citation, Claim, ConflictValue, Item, Label, Passage, Source, ToolCall
from standpipe.core.shares import Shares


class _Share(msgspec.Struct):
    """The open turn, or a scope of it that is open."""

    name: str
    folders: tuple[str, ...]
    items: dict[str, Item]
    steps: dict[str, Step] = {}
    over: dict[str, str] = {}
    calls: dict[str, tuple[Step, frozenset[str]]] = {}
    results: dict[int, e.CallCompleted] = {}
    shown: set[str] = set()
    shown_digest: str = ""
    withdrawn: set[str] = set()
    parts: str = ""
    task: str = ""
    accepted: e.AnswerJudged | None = None


class Content:
    """One pass over a session's events in order; `found` grows by a sentence for each violation."""

    def __init__(self) -> None:
        """Nothing has been read yet."""
        self.found: list[str] = []
        self.seq, self.causes = 0, tuple[e.Cause, ...]()
        self.shares, self.open = Shares(), dict[str, _Share]()
        self.asked: dict[str, e.TurnRequested] = {}
        self.known: dict[str, Item] = {}
        self.erased = set[str]()
        self.gone: dict[Source, int] = {}
        self.revision = 0

    def must(self, holds: object, otherwise: str) -> None:
        """Note a violation at the event looked at, unless it holds."""
        if not holds:
            self.found.append(f"seq {self.seq}: {otherwise}.")

    def take(self, event: e.Event) -> str:
        """Judge the next event; the share that it stands in."""
        fact, self.seq, self.causes = event.fact, event.seq, event.causes
        items: tuple[Item, ...] = getattr(fact, "items", ())
        home = self.shares.take(fact)
        for item in items:
            self.must(item.id.startswith(f"{self.seq}."), f"its item {item.id} is named after another event")
            self.known[item.id] = msgspec.structs.replace(item, body=None)
        if isinstance(fact, e.ItemsErased):
            self.must(self.known.keys() >= set(fact.ids) and self.erased.isdisjoint(fact.ids), "it erases what is not there")
            self.erased.update(fact.ids)
        elif isinstance(fact, e.TurnRequested):
            self.asked[fact.turn] = fact
        elif isinstance(fact, e.TurnStarted):
            asked = self.asked.pop(fact.turn, None) or e.TurnRequested("", "", ())
            self.open = {fact.turn: _Share(fact.turn, asked.folders, {i.id: i for i in asked.items})}
            self.gone, self.revision = {}, 0
        elif (share := self.open.get(home)) is not None:
            share.items |= {item.id: item for item in items if self.shares.owner[item.id] == home}
            rule = _RULES.get(type(fact))
            if rule is not None:
                rule(self, share, fact)
        return home

    def stale(self, label: Label) -> bool:
        """Whether something came from what was withdrawn and cannot have been allowed anew since."""
        return any(self.revision <= self.gone[s] for s in label.sources if s in self.gone)

    def led(self, item: str) -> bool:
        """Whether the event that brought an item is among the causes."""
        return any(item.startswith(f"{cause}.") for cause in self.causes)

    def named(self, item: Item, inputs: list[Item | None]) -> None:
        """What derives from a source carries it in its label (an erased item may not have been there to derive from)."""
        drawn = {s for one in inputs if one is not None and one.body is not None for s in one.label.sources}
        self.must(drawn <= set(item.label.sources), f"item {item.id} does not name all it derives from")

    def patched(self, share: _Share, fact: e.PlanPatched) -> None:
        self.must(fact.why.code and (not fact.why.item or self.led(fact.why.item)), "its reason is missing, or is no cause")
        share.parts = fact.why.item if fact.why.code == "plan" else share.parts
        share.steps |= {step.id: step for step in fact.add}

    def granted(self, share: _Share, fact: e.CallGranted) -> None:
        step = share.steps.get(fact.step, Step(fact.step, "", ""))
        asked = self.known.get(step.item)
        gone = step.item in share.withdrawn or (step.undoes and asked is not None and self.stale(asked.label))
        self.must(not gone, "what asked for it was withdrawn")
        self.revision = max(self.revision, fact.permit.revision)
        if step.kind == "model":
            self._shown(share, fact.manifest or Manifest("", ""))
        share.calls[fact.call] = (step, frozenset(share.shown))

    def _shown(self, share: _Share, manifest: Manifest) -> None:
        self.must(manifest.digest and manifest.base == share.shown_digest, "its manifest does not follow the one before it")
        self.must(all(chosen.why for chosen in manifest.added), "an item is shown without a reason")
        share.shown.difference_update(chosen.item for chosen in manifest.dropped)
        share.shown.update(chosen.item for chosen in manifest.added)
        self.must(self.erased.isdisjoint(share.shown), "it is shown what was erased")
        share.shown_digest = manifest.digest
        for id in sorted(share.shown):
            known, owner = self.known.get(id), self.shares.owner.get(id, "")
            self.must(known is not None and known.kind != "checked", f"item {id} is shown: it is not there, or not for models")
            own = owner == share.name or "." not in owner + share.name
            self.must(own, f"item {id}, which is shown, is known to {owner} only")
            withdrawn = id in share.withdrawn or (known is not None and self.stale(known.label))
            self.must(not withdrawn, f"item {id}, which is shown, was withdrawn")

    def scoped(self, share: _Share, fact: e.ScopeStarted) -> None:
        step, _ = share.calls.get(fact.scope, (Step("", "", ""), frozenset()))
        self.open[fact.scope] = _Share(fact.scope, share.folders, {item.id: item for item in fact.items}, task=step.item)
        self.must([item.origin for item in fact.items] == ["task"], "it begins with something else than its task")
        for item in fact.items:
            self.named(item, [share.items.get(step.item)])

    def completed(self, share: _Share, fact: e.CallCompleted) -> None:
        self.must(fact.verdicts, "no check has judged this result")
        share.results[self.seq] = fact
        step, shown = share.calls.get(fact.call, (Step("", "", ""), frozenset[str]()))
        inputs = [share.items.get(id) for id in (shown if step.kind == "model" else (step.item,))]
        for item in fact.items:
            if isinstance(body := item.body, Passage):
                own = Source(body.folder, body.source, body.version)
                self.must(body.memory or own in item.label.sources, f"item {item.id} does not name its document")
            elif step.kind == "model" or item.kind == "data":
                self.named(item, inputs)

    def stepped(self, share: _Share, fact: e.StepEnded) -> None:
        if share.accepted is None or fact.reason != "answered":
            share.over[fact.step] = fact.outcome

    def withdrew(self, share: _Share, fact: e.ItemsWithdrawn) -> None:
        """It may name items of several shares, and of each all that have the same sources."""
        self.gone |= dict.fromkeys(fact.sources, fact.revision)
        self.revision = max(self.revision, fact.revision)
        for name in sorted({self.shares.owner.get(id, "") for id in fact.ids}):
            one = self.open.get(name)
            if one is None:
                self.must(False, f"it withdraws what is not there, or of {name}, which is over")
                continue
            touched = {i.id for i in one.items.values() if set(fact.sources) & set(i.label.sources)} - one.withdrawn
            left = ", ".join(sorted(touched - set(fact.ids)))
            self.must(not left, f"{left} has the same sources and is not withdrawn")
            one.withdrawn.update(fact.ids)
            one.parts = "" if one.parts in one.withdrawn else one.parts
            if one.accepted is not None and one.accepted.call_item in one.withdrawn:
                one.accepted = None

    def judged(self, share: _Share, fact: e.AnswerJudged) -> None:
        self.must(fact.call_item in share.items and self.led(fact.call_item), "the answer it judges is no cause")
        self.must(fact.action != "accept" or share.accepted is None, "an answer was accepted before")
        share.accepted = fact if fact.action == "accept" else share.accepted

    def ended(self, share: _Share, fact: e.TurnEnded | e.ScopeEnded) -> None:
        over = self.open.pop(getattr(fact, "scope", share.name), share)
        answers = fact.outcome in ("completed", "partial") or (over is not share and fact.outcome == "failed" and fact.items)
        self.must(bool(fact.items) == bool(answers), "completed and partial have an answer, failed and cancelled none")
        for item in fact.items:
            self.must(not self.stale(item.label), "what it answers with was withdrawn")
            for fault in _faults(over, fact.outcome, item):
                self.must(False, fault)


def _faults(share: _Share, outcome: str, item: Item) -> Iterator[str]:
    judged, sources = share.accepted, set(item.label.sources)
    move = share.items.get(judged.call_item) if judged is not None else None
    if judged is None or move is None:
        yield "it answers with something that was not accepted"
        return
    if item.answers != (share.task or move.id):
        yield "it answers something else"
    if not set(move.label.sources) <= sources:
        yield "the answer does not name all it derives from"
    lost = [s for s, o in share.over.items() if s in share.steps and _lost(share.steps[s], o)]
    if outcome == "completed" and lost:
        yield f"it is complete though {', '.join(lost)} was lost"
    if isinstance(answer := item.body, Answer):
        yield from _whole(share, outcome, answer)
        yield from _supported(share, answer, judged, move)
        sides = (side.citation for conflict in answer.conflicts for side in conflict.values)
        cited = [*answer.citations, *(claim.citation for claim in answer.claims), *sides]
        if not {Source(c.folder, c.source, c.version) for c in cited} <= sources:
            yield "it cites what its label leaves out"


def _lost(step: Step, outcome: str) -> bool:
    if step.kind == "agent":
        return outcome in ("dropped", "failed", "refused")
    return step.kind == "tool" and (outcome == "unknown" or (outcome == "failed" and not step.optional))


def _whole(share: _Share, outcome: str, answer: Answer) -> Iterator[str]:
    if (outcome == "completed") != (bool(answer.sentences) and not answer.gaps):
        yield "completed is a sentence or more and no gap, partial anything else"
    plan = share.items[share.parts].body if share.parts in share.items else None
    parts = len(plan.arguments.get("parts", ())) if isinstance(plan, ToolCall) else 1
    missing = sorted(set(range(max(1, parts))) - {s.part for s in answer.sentences})
    if outcome == "completed" and missing:
        yield f"no sentence answers the parts {missing}"


def _supported(share: _Share, answer: Answer, judged: e.AnswerJudged, move: Item) -> Iterator[str]:
    """Every sentence stands for one that passed its checks, with the citations that they verified; so does every claim."""
    result = share.results.get(int(move.id.split(".")[0]), e.CallCompleted(""))
    checked = next((i.body for i in result.items if isinstance(i.body, Checked)), Checked())
    abstained = {v.subject for v in result.verdicts if v.status == "abstain"}
    passed = {v.subject for v in result.verdicts if v.status == "pass"} | abstained
    indexes = sorted((*judged.kept, *judged.repaired))
    if len(indexes) != len(answer.sentences):
        yield "it does not have the sentences that were kept"
    for place, (n, sentence) in enumerate(zip(indexes, answer.sentences, strict=False), 1):
        if f"s{n}" not in passed or sentence.citations != (checked.citations[n : n + 1] or ((),))[0]:
            yield f"no check vouches for sentence {place}"
        if share.folders and not sentence.citations:
            yield f"sentence {place} cites nothing"
    if isinstance(move.body, ToolCall):
        claimed = list(enumerate(zip(move.body.arguments.get("claims", ()), checked.claims, strict=False)))
        vouched = [_claim(words, cited) for n, (words, cited) in claimed if cited and f"k{n}" in passed - abstained]
        if any(claim not in vouched for claim in answer.claims):
            yield "no check vouches for a claim"
    heard = [i.body for i in share.items.values() if i.id not in share.withdrawn and isinstance(i.body, Answer)]
    sides = {side for n, values in enumerate(checked.conflicts) if f"c{n}" in passed for side in values}
    sides |= {ConflictValue(f"{c.value} {c.unit}".strip(), c.citation) for one in (*heard, answer) for c in one.claims}
    if not all(side in sides for conflict in answer.conflicts for side in conflict.values):
        yield "no check vouches for a conflict"


def _claim(words: Mapping[str, str], cited: Citation) -> Claim:
    return Claim(citation=cited, **{name: words.get(name, "") for name in ("subject", "predicate", "value", "unit", "time")})


_RULES: dict[type, Callable[[Content, _Share, Any], None]] = {
    e.PlanPatched: Content.patched,
    e.CallGranted: Content.granted,
    e.ScopeStarted: Content.scoped,
    e.CallCompleted: Content.completed,
    e.StepEnded: Content.stepped,
    e.ItemsWithdrawn: Content.withdrew,
    e.AnswerJudged: Content.judged,
    **dict.fromkeys((e.ScopeEnded, e.TurnEnded), Content.ended),
}
