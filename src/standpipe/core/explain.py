"""Log -> answers about the log: what a turn came to, and the causal chain behind a sentence, a step or an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from standpipe.core.amounts import Amounts
from standpipe.core.details import Route, Usage
from standpipe.core.events import (
    AnswerJudged,
    CallCompleted,
    CallFailed,
    CallGranted,
    Event,
    Frame,
    ItemsWithdrawn,
    PlanPatched,
    StepEnded,
    TurnEnded,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.items import Answer, Citation, Item, Label, Passage, Source, join
from standpipe.core.past import Past, counted, said_of, said_of_fact


class Summary(msgspec.Struct, frozen=True):
    """What one turn came to; `outcome` is empty while it runs. Times are wall time in ms since 1970."""

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
        case PlanPatched(epoch=epoch):
            return msgspec.structs.replace(seen, plan_epochs=epoch)
        case _:
            return seen


def _tokens(usage: Usage | None) -> int:
    return usage.input_tokens + usage.output_tokens if usage is not None else 0


def turns_of(frames: Sequence[Frame]) -> list[str]:
    """The ids of the turns that were ever asked for, in order."""
    return [e.fact.turn for f in frames for e in f.events if isinstance(e.fact, TurnRequested)]


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
    or a turn (`t2`), a sentence (`s1` is the first of the last turn, or `t2.s1`), a step (`st4`, `t2.st4`), a call
    (`t2.st4.a1`), an item (`17.0`) or a seq (`17`). What was told once is only named again.
    """
    account = _Account(Past(frames))
    last = account.past.turns[-1] if account.past.turns else ""
    return account.of(of if of is not None else last, last)


_PASSED = {
    ("pass", ""): "word for word in the versions cited",
    ("pass", "repaired"): "word for word in the versions cited, after its quotes were set right",
    ("abstain", "nothing to cite"): "there are no documents to hold it against",
}


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
        if name.count(".") == 2:
            return self.calls(name)
        if part.startswith("s") and part[1:].isdecimal():
            return self.answer(name.split(".", maxsplit=1)[0], int(part[1:]))
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
        by = self.past.call_of(item.answers)
        sentences = [
            self.sentence(turn, n, item, item.body) for n in range(1, len(item.body.sentences) + 1) if only in (None, n)
        ]
        return sentences if only is not None else sentences + self.rest(turn, item, item.body, by)

    def sentence(self, turn: str, number: int, item: Item, answer: Answer) -> Node:
        """A sentence, counted from 1: what it cites, and the check that let it pass."""
        by, judged = self.past.call_of(item.answers), self.past.judged.get(turn)
        kept = sorted((*judged.kept, *judged.repaired)) if judged is not None else []
        sentence = answer.sentences[number - 1]
        cited = [self.citation(c, by) for c in sentence.citations]
        checks = self.verdict(f"s{kept[number - 1]}", by) if number <= len(kept) else []
        return Node(self.past.over[turn], "sentence", f"s{number}: “{sentence.text}”", item.label, (*cited, *checks))

    def rest(self, turn: str, item: Item, answer: Answer, by: str) -> list[Node]:
        """The conflicts and the gaps of an answer."""
        seq, nodes = self.past.over[turn], list[Node]()
        for n, conflict in enumerate(answer.conflicts):
            sides = " against ".join(f"“{side.value}” in {side.citation.source}" for side in conflict.values)
            cited = [self.citation(side.citation, by) for side in conflict.values]
            text = f"conflict about {conflict.about}: {sides}"
            nodes.append(Node(seq, "conflict", text, item.label, (*cited, *self.verdict(f"c{n}", by))))
        for gap in answer.gaps:
            nodes.append(Node(seq, "gap", f"gap: {gap.text}", item.label, (*self.lost(turn), *self.calls(by))))
        return nodes

    def citation(self, citation: Citation, by: str) -> Node:
        """A citation in what call `by` said, and the item that had put its source before the model."""
        source = Source(citation.folder, citation.source, citation.version)
        shown = [self.past.items[id] for id in self.past.shown(by) if id in self.past.items]
        found = [i for i in shown if source in i.label.sources and i.kind in ("passage", "answer")]
        exact = [i for i in found if isinstance(i.body, Passage) and not i.body.memory and citation.quote in i.body.text]
        passages = [i for i in found if i.kind == "passage"]
        text = f"cites {citation.source}@{citation.version[:12]}: “{citation.quote}”"
        causes = tuple(self.item(i) for i in (exact or passages or found)[:1])
        return Node(self.past.over.get(by, 0), "citation", text, Label((source,)), causes)

    def verdict(self, subject: str, by: str) -> list[Node]:
        """What the checks said of a sentence (`s0`) or conflict (`c0`) of call `by`, and that call."""
        seq = self.past.over.get(by, 0)
        found = [v for v in self.past.verdicts(by) if v.subject == subject]
        said = [f"check `{v.check}`: {v.status}, {_PASSED.get((v.status, v.code), v.code)}" for v in found]
        return [Node(seq, "verdict", text, causes=tuple(self.calls(by))) for text in said]

    def lost(self, turn: str) -> list[Node]:
        """What a turn lost on the way: sentences that failed a check, steps without a result, sources withdrawn."""
        past, judged = self.past, self.past.judged.get(turn)
        by = past.call_of(judged.call_item) if judged is not None else ""
        codes = {v.subject: v.code for v in past.verdicts(by)}
        dropped = judged.dropped if judged is not None else ()
        nodes = [
            Node(past.over[by], "dropped", f"sentence {n + 1} of the reply was left out: {codes.get(f's{n}')}") for n in dropped
        ]
        ended = ((key, past.over[key]) for key in past.steps if key.startswith(f"{turn}.") and key in past.over)
        nodes += [self.event(seq) for _, seq in ended if past.fact(seq, StepEnded).outcome not in ("done", "dropped")]
        return nodes + [self.event(seq) for seq in past.withdrawn.get(turn, ())]

    # --- the way there

    def item(self, item: Item) -> Node:
        """An item, and what brought it."""
        seq, call = int(item.id.split(".", maxsplit=1)[0]), self.past.call_of(item.id)
        text, (trail, label) = f"item {item.id}: {said_of(item)}", self.trail(call) if call else NO_RECAP
        node = Node(seq, "item", text, item.label)
        causes = (lambda: self.calls(call)) if call else (lambda: [self.event(seq)])
        return self.once(item.id, node, causes, (f"{text}; {trail}" if trail else text, label))

    def calls(self, id: str) -> list[Node]:
        """The call of that id, if there is one."""
        return [self.call(id)] if id.count(".") == 2 and id in self.past.began else []

    def call(self, id: str) -> Node:
        """A call: its route, its permission, what it held and cost, the attempt before it, and its step."""
        past, seq, key = self.past, self.past.began[id], id.rsplit(".", 1)[0]
        grant = past.fact(seq, CallGranted)
        said, _, label = past.move(past.steps[key])
        ended = said_of_fact(past.events[past.over[id]].fact) if id in past.over else f"{id} is not over"
        spent = f", cost {_amounts(past.settled[id])}" if id in past.settled else ""

        def causes() -> Iterator[Node]:
            if grant.route is not None:
                yield Node(seq, "route", f"route: {_routed(grant.route)}")
                yield Node(seq, "shown", f"shown: {counted(len(past.shown(id)), 'item')}")
            yield Node(seq, "permit", f"permission: by {grant.permit.rule}, at revision {grant.permit.revision}")
            if key in past.answered:
                answer = past.events[past.answered[key]]
                yield Node(answer.seq, "approval", f"{answer.by} was asked: {said_of_fact(answer.fact)}")
            yield Node(seq, "hold", f"held {_amounts(grant.hold)}{spent}")
            before = [c for c in past.over if c.startswith(f"{key}.a") and past.over[c] < seq]
            yield from (Node(past.over[c], "attempt", said_of_fact(past.events[past.over[c]].fact)) for c in before[-1:])
            yield self.step(key)

        node = Node(seq, "call", f"call of {grant.target}{said if grant.route is None else ''}: {ended}", label)
        return self.once(id, node, causes, self.trail(id))

    def step(self, key: str) -> Node:
        """A step, and the patch that put it into the plan."""
        step, seq = self.past.steps[key], self.past.began[key]
        _, words, label = self.past.move(step)
        text = f"step {step.id}: {step.does}{', the final one' if step.final else ''}{f', because: “{words}”' if words else ''}"
        return self.once(key, Node(seq, "step", text, label), lambda: [self.patch(seq)])

    def patch(self, seq: int) -> Node:
        """A change of the plan with its reason, and the model call that asked for it, or what it followed."""
        fact = self.past.fact(seq, PlanPatched)
        said, label = self.past.reason(fact)
        maker = self.past.call_of(fact.why.item)
        text = f"plan {fact.epoch}: {said}"
        asked = f"{text}; asked for by {self.trail(maker, short=True)[0]}" if maker else ""
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

    def followed(self, turn: str, seq: int) -> list[Node]:
        """What led to a patch of the runtime's own: the model call before it and what ended since, or the question."""
        before = self.past.model_before(turn, seq)
        if not before:
            return [self.question(turn)]
        since = [self.past.events[s] for s in range(self.past.began[before], seq) if s in self.past.events]
        ended = [e for e in since if isinstance(e.fact, StepEnded | AnswerJudged)]
        return [*(Node(e.seq, "ended", said_of_fact(e.fact)) for e in ended), self.call(before)]

    def question(self, turn: str) -> Node:
        """What the user asked."""
        seq = self.past.began[turn]
        item = self.past.fact(seq, TurnRequested).items[0]
        node = Node(seq, "question", f"{self.past.principal} asked: {said_of(item)}", item.label)
        return self.once(turn, node, tuple)

    def trail(self, id: str, *, short: bool = False) -> tuple[str, Label]:
        """In one line: a call's route and permission, its step, and the reason and the maker of the plan that has the step."""
        grant = self.past.fact(self.past.began[id], CallGranted)
        on = f" of {grant.target} by {grant.route.rule}" if grant.route is not None else f" of {grant.target}"
        line = f"call {id}{on}, permission by {grant.permit.rule} at revision {grant.permit.revision}"
        if short:
            return line, Label()
        fact = self.past.fact(self.past.began[id.rsplit(".", 1)[0]], PlanPatched)
        said, label = self.past.reason(fact)
        maker = self.past.call_of(fact.why.item)
        asked = f", asked for by {self.trail(maker, short=True)[0]}" if maker else ""
        return f"{line}, step {grant.step} of plan {fact.epoch}: {said}{asked}", label

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


def _routed(route: Route) -> str:
    passed = "".join(f", passed over {p.model} ({p.reason})" for p in route.passed)
    return f"{route.model} for {route.task} by {route.rule}{passed}"


def _amounts(amounts: Amounts) -> str:
    units = {
        "microusd": "micro-dollar",
        "tokens": "token",
        "model_calls": "model call",
        "tool_calls": "tool call",
        "steps": "step",
    }
    return ", ".join(counted(n, unit) for name, unit in units.items() if (n := getattr(amounts, name))) or "nothing"
