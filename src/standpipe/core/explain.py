"""Log -> answers about the log: what a turn came to, and the causal chain behind a sentence, a step or an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from standpipe.core.details import Step, Usage
from standpipe.core.events import (
    AnswerJudged,
    CallCompleted,
    CallFailed,
    CallGranted,
    Event,
    Frame,
    ItemsWithdrawn,
    PlanPatched,
    ScopeEnded,
    ScopeStarted,
    StepEnded,
    TurnEnded,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.ids import item_id
from standpipe.core.items import Answer, Citation, ConflictValue, Item, Label, Passage, Source, join
from standpipe.core.past import PASSED, Past, amounted, cited_by, counted, routed, said_of, said_of_claim, said_of_fact, valued


class Summary(msgspec.Struct, frozen=True):
    """What one turn came to; `outcome` is empty while it runs. Times are wall time in ms since 1970.

    Calls and tokens are those of its specialists too, plan epochs its own.
    """

    turn: str
    outcome: str = ""
    reason: str = ""
    answer: Item | None = None
    withdrawn: tuple[Source, ...] = ()
    cost_microusd: int = 0
    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    plan_epochs: int = 0
    requested_at: int = 0
    ended_at: int = 0

    @property
    def body(self) -> Answer | None:
        """The answer itself, if there is one and its body was not erased."""
        body = self.answer.body if self.answer is not None else None
        return body if isinstance(body, Answer) else None


def summarise(frames: Iterable[Frame], turn: str) -> Summary:
    """The summary of a turn from frames that hold all of its events."""
    seen = Summary(turn)
    current = ""
    for frame in frames:
        for event in frame.events:
            if isinstance(event.fact, TurnStarted):
                current = event.fact.turn
            seen = _counted(seen, event, frame.at, current)
    return seen


def _counted(seen: Summary, event: Event, at: int, current: str) -> Summary:
    fact = event.fact
    match fact:
        case TurnRequested(turn=turn) if turn == seen.turn:
            return msgspec.structs.replace(seen, requested_at=at)
        case TurnEnded(turn=turn) if turn == seen.turn:
            return msgspec.structs.replace(
                seen,
                outcome=fact.outcome,
                reason=fact.reason,
                answer=fact.items[0] if fact.items else None,
                withdrawn=fact.withdrawn,
                cost_microusd=fact.spent.microusd,
                ended_at=at,
            )
        case _ if current != seen.turn or seen.outcome:
            return seen
        case CallGranted(route=route):
            models = seen.model_calls + (route is not None)
            return msgspec.structs.replace(seen, model_calls=models, tool_calls=seen.tool_calls + (route is None))
        case CallCompleted(usage=usage) | CallFailed(usage=usage):
            return msgspec.structs.replace(seen, tokens=seen.tokens + _tokens(usage))
        case ScopeStarted():
            return msgspec.structs.replace(seen, tool_calls=seen.tool_calls - 1)  # its grant, just before it, was no tool's
        case PlanPatched(turn=turn, epoch=epoch) if turn == seen.turn:
            return msgspec.structs.replace(seen, plan_epochs=epoch)
        case _:
            return seen


def _tokens(usage: Usage | None) -> int:
    return usage.input_tokens + usage.output_tokens if usage is not None else 0


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing an explanation names: where it stands in the log, what it is in words, and what led to it.

    `text` may quote what has this `label`: who may not read all of its sources may not see it.
    """

    seq: int
    kind: str
    text: str
    label: Label = Label()
    causes: tuple[Node, ...] = ()


def why(frames: Iterable[Frame], of: str | None = None) -> list[Node]:
    """What led to something, back to the question: a tree each; empty if there is no such thing.

    `frames` are a session's whole log. `of` is None for the answer of the last turn (a tree per sentence, conflict and gap),
    or a turn (`t2`), a sentence (`s1` is the first of the last turn, or `t2.s1`), a step (`st4`, `t2.st4`, or of a specialist
    `t2.st4.a1/st1`), a call (`t2.st4.a1`, `t2.st4.a1/st1.a1`), an item (`17.0`) or a seq (`17`). What was told once is only
    named again.
    """
    account = _Account(Past(frames))
    last = account.past.turns[-1] if account.past.turns else ""
    return account.of(of if of is not None else last, last)


Recap = tuple[str, Label]
"""A line for a second mention, and the label of what it quotes."""
NO_RECAP: Recap = ("", Label())


class _Account:
    """Tells everything once: a second mention is one line that says where the first stands."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self.told: set[tuple[str, str]] = set()

    def of(self, of: str, last: str) -> list[Node]:
        """The trees of what `why` is asked for; `last` is the last turn."""
        past = self.past
        name = of if of.startswith("t") else f"{last}.{of}"
        part = name.rpartition(".")[2]
        if of in past.items:
            return [self.item(past.items[of])]
        if of.isdecimal():
            return [self.event(int(of))] if int(of) in past.events else []
        if name in past.steps:
            ways = [self.event(seq) for seq in (past.refused.get(name), past.over.get(name)) if seq is not None]
            return [*ways, self.step(name)]
        if name in past.granted:
            return self.came(name)
        if part.startswith("s") and part[1:].isdecimal():
            return self.answer(name.rpartition(".")[0], int(part[1:]))
        return self.answer(name)

    def once(self, key: str, node: Node, causes: Callable[[], Iterable[Node]], recap: Recap = NO_RECAP) -> Node:
        """The node with its causes, or the place where it was told, with `recap` for whoever does not look there."""
        if (node.kind, key) not in self.told:
            self.told.add((node.kind, key))
            return msgspec.structs.replace(node, causes=tuple(causes()))
        text = f"{recap[0] or node.text}; see {node.seq} above"
        return msgspec.structs.replace(node, text=text, label=join([node.label, recap[1]]))

    # --- the answer

    def answer(self, turn: str, only: int | None = None) -> list[Node]:
        """A tree per sentence, conflict and gap (or for the sentence `only`); without an answer, why the turn ended."""
        if turn not in self.past.turns or turn not in self.past.over:
            return []
        seq = self.past.over[turn]
        ended = self.past.fact(seq, TurnEnded)
        item = ended.items[0] if ended.items else None
        if item is None or not isinstance(item.body, Answer):
            gone = "; its answer was erased, or is not for you to see" if item is not None else ""
            node = Node(seq, "turn", said_of_fact(ended) + gone, causes=(*self.lost(turn), *self.led(seq)))
            return [node] if only is None else []
        numbers = range(1, len(item.body.sentences) + 1)
        sentences = [self.sentence(turn, n, item, item.body) for n in numbers if only in (None, n)]
        return sentences if only is not None else sentences + self.rest(turn, item, item.body)

    def sentence(self, turn: str, number: int, item: Item, answer: Answer) -> Node:
        """A sentence, counted from 1: what it cites, and the check that let it pass."""
        by, judged = self.past.answered_by(turn), self.judgement(turn)
        kept = sorted((*judged.kept, *judged.repaired))
        sentence = answer.sentences[number - 1]
        cited = [self.citation(c, by) for c in sentence.citations]
        checks = self.verdict(f"s{kept[number - 1]}", by) if number <= len(kept) else []
        return Node(self.past.over[turn], "sentence", f"s{number}: “{sentence.text}”", item.label, (*cited, *checks))

    def judgement(self, share: str) -> AnswerJudged:
        """What was judged last of the answers of a turn or a scope."""
        seq = self.past.judged.get(share)
        return self.past.fact(seq, AnswerJudged) if seq is not None else AnswerJudged("", "")

    def rest(self, turn: str, item: Item, answer: Answer) -> list[Node]:
        """The conflicts and the gaps of an answer."""
        seq, by, nodes = self.past.over[turn], self.past.answered_by(turn), list[Node]()
        passed = [v.subject for v in self.past.verdicts(by) if v.subject.startswith("c") and v.status == "pass"]
        for n, conflict in enumerate(answer.conflicts):
            sides = " against ".join(f"“{side.value}” in {side.citation.source}" for side in conflict.values)
            said = [node for side in conflict.values for node in (*self.claims(turn, side), self.citation(side.citation, by))]
            text = f"conflict about {conflict.about}: {sides}"
            checks = self.verdict(passed[n], by) if n < len(passed) else []
            nodes.append(Node(seq, "conflict", text, item.label, (*said, *checks)))
        for gap in answer.gaps:
            nodes.append(Node(seq, "gap", f"gap: {gap.text}", item.label, (*self.lost(turn), *self.calls(by))))
        return nodes

    def claims(self, turn: str, side: ConflictValue) -> Iterator[Node]:
        """What specialists claimed that is one side of a conflict, the checks that let it pass, and how they came to it."""
        ends = ((ended.scope, item, item.body) for ended in self.past.rejoined(turn) for item in ended.items)
        for scope, item, body in ends:
            by, claims = self.past.answered_by(scope), body.claims if isinstance(body, Answer) else ()
            passed = [v.subject for v in self.past.verdicts(by) if v.subject.startswith("k") and v.status == "pass"]
            for subject, claim in zip(passed, claims, strict=False):
                if (valued(claim), claim.citation) == (side.value, side.citation):
                    text = f"claim of {self.past.granted[scope].target} in {scope}: {said_of_claim(claim)}"
                    causes = (*self.verdict(subject, by), *self.came(scope))
                    yield Node(self.past.over[scope], "claim", text, item.label, causes)

    def citation(self, citation: Citation, by: str) -> Node:
        """A citation in what call `by` said, and the item that had put its source before the model.

        Where that is the answer of a specialist, also what had put it before the specialist.
        """
        source = Source(citation.folder, citation.source, citation.version)
        shown = [self.past.items[id] for id in self.past.shown(by) if id in self.past.items]
        found = [i for i in shown if source in i.label.sources and i.kind in ("passage", "answer")]
        exact = [i for i in found if isinstance(i.body, Passage) and not i.body.memory and citation.quote in i.body.text]
        said = [i for i in found if isinstance(i.body, Answer) and citation in cited_by(i.body)]
        text = f"cites {citation.source}@{citation.version[:12]}: “{citation.quote}”"
        first = (exact or said or [i for i in found if i.kind == "passage"] or found)[:1]
        within = [inner for i in first if (inner := self.past.answered_by(self.past.call_of(i.id)))]
        causes = (*(self.item(i) for i in first), *(self.citation(citation, inner) for inner in within))
        return Node(self.past.over.get(by, 0), "citation", text, Label((source,)), causes)

    def verdict(self, subject: str, by: str) -> list[Node]:
        """What the checks said of a sentence (`s0`) or conflict (`c0`) of call `by`, and that call."""
        seq = self.past.over.get(by, 0)
        found = [v for v in self.past.verdicts(by) if v.subject == subject]
        said = [f"check `{v.check}`: {v.status}, {PASSED.get((v.status, v.code), v.code)}" for v in found]
        return [Node(seq, "verdict", text, causes=tuple(self.calls(by))) for text in said]

    def lost(self, share: str) -> list[Node]:
        """What a turn or a scope lost on the way: sentences that failed a check, steps without a result, sources withdrawn."""
        past, by = self.past, self.past.answered_by(share)
        codes = {v.subject: v.code for v in past.verdicts(by)}
        nodes = [
            Node(past.over[by], "dropped", f"sentence {n + 1} of the reply was left out: {codes.get(f's{n}')}")
            for n in self.judgement(share).dropped
        ]
        for key, step in past.steps.items():
            seq = past.over.get(key, 0)
            if past.home.get(seq) == share and _was_lost(step, past.fact(seq, StepEnded)):
                nodes.append(self.event(seq))
                tried = [ended.scope for ended in past.rejoined(share) if ended.scope.rsplit(".", 1)[0] == key]
                nodes += [self.rejoin(scope) for scope in tried if not _names(nodes[-1], f"{scope} ended")]
        nodes += [self.rejoin(ended.scope) for ended in past.rejoined(share) if ended.outcome == "partial"]
        return nodes + [self.event(seq) for seq in past.withdrawn.get(share, ())]

    # --- the way there

    def item(self, item: Item) -> Node:
        """An item, and what brought it."""
        seq, call = int(item.id.split(".", maxsplit=1)[0]), self.past.call_of(item.id)
        text, (trail, label) = f"item {item.id}: {said_of(item)}", self.past.trail(call) if call else NO_RECAP
        node = Node(seq, "item", text, item.label)
        causes = (lambda: self.came(call)) if call else (lambda: [self.event(seq)])
        return self.once(item.id, node, causes, (f"{text}; {trail}" if trail else text, label))

    def came(self, id: str) -> list[Node]:
        """How a call came to its end: for one that delegated to a specialist, how that did."""
        return [self.rejoin(id)] if id in self.past.scopes and id in self.past.over else self.calls(id)

    def rejoin(self, scope: str) -> Node:
        """How a specialist ended: the answer it was judged by, what it lost on the way, and the call that delegated to it."""
        seq = self.past.over[scope]
        text = f"{self.past.granted[scope].target}, {said_of_fact(self.past.events[seq].fact)}"
        judged = [self.past.judged[scope]] if scope in self.past.judged else []

        def causes() -> Iterator[Node]:
            yield from (self.event(seq) for seq in judged)
            yield from (*self.lost(scope), *self.calls(scope))

        return self.once(scope, Node(seq, "scope", text), causes)

    def calls(self, id: str) -> list[Node]:
        """The call of that id, if there is one."""
        return [self.call(id)] if id in self.past.granted else []

    def call(self, id: str) -> Node:
        """A call: its route, its permission, what it held and cost, the attempt before it, and its step."""
        past, seq, key = self.past, self.past.began[id], id.rsplit(".", 1)[0]
        grant = past.granted[id]
        label = past.move(past.steps[key])[2]
        came = said_of_fact(past.events[past.over[id]].fact) if id in past.over else f"{id} is not over"
        spent = f", cost {amounted(past.settled[id])}" if id in past.settled else ""

        def causes() -> Iterator[Node]:
            if grant.route is not None:
                yield Node(seq, "route", f"route: {routed(grant.route)}")
                yield Node(seq, "shown", f"shown: {counted(len(past.shown(id)), 'item')}")
            yield Node(seq, "permit", f"permission: by {grant.permit.rule}, at revision {grant.permit.revision}")
            if key in past.answered:
                answer = past.events[past.answered[key]]
                yield Node(answer.seq, "approval", f"{answer.by} was asked: {said_of_fact(answer.fact)}")
            yield Node(seq, "hold", f"held {amounted(grant.hold)}{spent}")
            before = [c for c in past.over if c in past.granted and c.rsplit(".", 1)[0] == key and past.over[c] < seq]
            for last in before[-1:]:
                ended = Node(past.over[last], "attempt", said_of_fact(past.events[past.over[last]].fact))
                yield self.rejoin(last) if last in past.scopes else ended
            yield self.step(key)

        node = Node(seq, "call", f"{past.called(id)}: {came}", label)
        return self.once(id, node, causes, self.past.trail(id))

    def step(self, key: str) -> Node:
        """A step, and the patch that put it into the plan."""
        step, seq = self.past.steps[key], self.past.began[key]
        _, words, label = self.past.move(step)
        text = f"step {step.id}: {self.past.doing(step)}{f', because: “{words}”' if words else ''}"
        return self.once(key, Node(seq, "step", text, label), lambda: [self.patch(seq)])

    def patch(self, seq: int) -> Node:
        """A change of the plan with its reason, and the model call that asked for it, or what it followed."""
        fact = self.past.fact(seq, PlanPatched)
        said, label = self.past.reason(fact)
        maker = self.past.call_of(fact.why.item)
        text = f"plan {fact.epoch}: {said}"
        asked = f"{text}; asked for by {self.past.trail(maker, short=True)[0]}" if maker else ""
        causes = (lambda: self.asked_for(fact.why.item, maker)) if maker else (lambda: self.followed(fact.turn, seq))
        return self.once(str(seq), Node(seq, "plan", text, label), causes, (asked, label))

    def asked_for(self, item: str, maker: str) -> list[Node]:
        """What led to a patch that a model's move asked for: the call, and the items that the move names as its reason."""
        shown = [self.past.items[id] for id in self.past.shown(maker) if id in self.past.items]
        named = self.past.because(item)
        found = {
            i.body.source: i for i in shown if isinstance(i.body, Passage) and not i.body.memory and i.body.source in named
        }
        return [self.call(maker), *(self.item(i) for i in found.values())]

    def followed(self, share: str, seq: int) -> list[Node]:
        """What led to a patch of the runtime's own: the model call before it and what ended since, or the question."""
        before = self.past.model_before(share, seq)
        if not before:
            return [self.question(share)]
        since = [self.past.events[s] for s in range(self.past.began[before], seq) if self.past.home.get(s) == share]
        ended = [e for e in since if isinstance(e.fact, StepEnded | AnswerJudged)]
        return [*(Node(e.seq, "ended", said_of_fact(e.fact)) for e in ended), self.call(before)]

    def question(self, share: str) -> Node:
        """What the user asked, or of a specialist, what it was asked and the call that did."""
        seq = self.past.scopes.get(share, self.past.began[share])
        item = self.past.items[item_id(seq, 0)]
        if share in self.past.scopes:
            text = f"{self.past.granted[share].target} was asked: {said_of(item)}"
            return self.once(share, Node(seq, "task", text, item.label), lambda: self.calls(share))
        return self.once(share, Node(seq, "question", f"{self.past.principal} asked: {said_of(item)}", item.label), tuple)

    def event(self, seq: int) -> Node:
        """Any event, and what led to it."""
        fact = self.past.events[seq].fact
        match fact:
            case TurnRequested():
                return self.question(fact.turn)
            case PlanPatched():
                return self.patch(seq)
            case CallGranted():
                return self.call(fact.call)
            case ScopeStarted():
                return self.question(fact.scope)
            case ScopeEnded():
                return self.rejoin(fact.scope)
            case ItemsWithdrawn():
                label = Label(fact.sources)
            case _:
                label = join([item.label for item in getattr(fact, "items", ())])
        return self.once(str(seq), Node(seq, "event", said_of_fact(fact), label), lambda: self.led(seq))

    def led(self, seq: int) -> list[Node]:
        """What an event names as its causes."""
        return [
            self.event(c) if isinstance(c, int) else Node(0, "house", f"event {c.partition(':')[2]} of the house log")
            for c in self.past.events[seq].causes
            if isinstance(c, str) or c in self.past.events
        ]


def _was_lost(step: Step, ended: StepEnded) -> bool:
    fine = ("done",) if step.kind == "agent" else ("done", "dropped")
    return ended.outcome not in fine and ended.reason != "answered"


def _names(node: Node, words: str) -> bool:
    return words in node.text or any(_names(cause, words) for cause in node.causes)
