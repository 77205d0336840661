"""A session driven by hand, without an engine: wishes in, facts out, and a world that answers whatever the rules ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from standpipe.core.admit import Ask, Refusal, Wish, admit
from standpipe.core.amounts import NOTHING, Amounts, Balance, Limits, Move
from standpipe.core.apply import apply
from standpipe.core.decide import conclude
from standpipe.core.details import Fault, Step, Usage, Verdict
from standpipe.core.events import AnyFact, CallCompleted, CallFailed, CallInterrupted, Event
from standpipe.core.ids import digest, item_id
from standpipe.core.items import Body, Draft, Item, Label, Passage, Source, Text, ToolCall, place
from standpipe.core.lookups import lookups
from standpipe.core.pending import open_turns, performed
from standpipe.core.state import Call, State, StepState, Turn, share_of
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import Access, CallQuestion, ModelSpec, Policy, World

NOW = 1_764_000_000_000
"""A moment in ms since 1970; it means nothing."""

SEARCH = ToolSpec(
    "search",
    "Find passages.",
    {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}, "required": ["query"]},
)
READ = ToolSpec(
    "read",
    "Read a document.",
    {"type": "object", "properties": {"source": {"type": "string"}}, "required": ["source"], "additionalProperties": False},
    resource="document:{source}",
)
SEND = ToolSpec("send", "Send a mail.", {"type": "object"}, effect="irreversible")
PUT = ToolSpec("put", "Write a record.", {"type": "object"}, effect="write")
AGENT = AgentSpec("coordinator", "Answer.", (SEARCH, READ, SEND, PUT))

PRICED = ModelSpec("priced", "acme", input_microusd_per_mtok=1_000_000, output_microusd_per_mtok=4_000_000)
"""One micro-dollar a byte in, four a token out."""

F = TypeVar("F", bound=AnyFact)


def policy(*models: ModelSpec, **limits: int) -> Policy:
    """A policy whose default route is these models in this order, and whose turn limits are wide but for `limits`."""
    wide = {"microusd": 10**9, "tokens": 2**53, "model_calls": 24, "tool_calls": 40, "steps": 16}
    deadline_ms = limits.pop("deadline_ms", 60_000)
    turn = {"default": Limits(Amounts(**{**wide, **limits}), deadline_ms)}
    if not models:
        return Policy(turn=turn)
    names = tuple(model.name for model in models)
    return Policy(models={model.name: model for model in models}, routes={"default": names}, turn=turn)


def source(path: str, version: str = "v1", folder: str = "f") -> Source:
    """A version of a document of folder `f`."""
    return Source(folder, path, version)


def passage(path: str, text: str, *, score: float = 0.0, start: int = 0) -> Draft:
    """A passage as a search (with a score) or a read (without) returns it, labelled with its source."""
    body = Passage(path, "v1", text, start=start, score=score, folder="f")
    return Draft(body, Label(sources=(source(path),), integrity="document"))


class Desk:
    """One session. The world permits what `permits` says, and reads everything but what is in `denied`."""

    def __init__(
        self,
        agent: AgentSpec = AGENT,
        policy: Policy | None = None,
        permits: Callable[[CallQuestion], bool | None] = lambda _: True,
    ) -> None:
        self.agent, self.policy, self.permits = agent, policy or Policy(), permits
        self.agents = {agent.name: agent}
        self.state = State()
        self.now = NOW
        self.revision = 1
        self.denied: set[Source] = set()
        self.versions: dict[str, str | None] = {}
        self.balances: dict[str, Balance] = {}
        self.events: list[Event] = []
        self.moves: list[Move] = []
        self.wishes = 0

    @property
    def turn(self) -> Turn:
        """The open turn."""
        assert self.state.turn is not None
        return self.state.turn

    def world(self) -> World:
        """The answers to everything that the rules ask on this state; a permission that is None stays unanswered."""
        asked = lookups(self.state, self.agents, self.policy, "", self.now)
        verdicts = {digest(call): self.permits(call) for call in asked.calls}
        access = Access(
            revision=self.revision,
            revoked=self.revision,
            denied=tuple(s for s in asked.sources if s in self.denied),
            allowed=tuple(d for d, allowed in verdicts.items() if allowed),
            refused=tuple(d for d, allowed in verdicts.items() if allowed is False),
            versions=tuple(
                Source(s.folder, s.path, v) for s in asked.documents if (v := self.versions.get(s.path, "v1")) is not None
            ),
        )
        balances = {name: self.balances.get(name, Balance()) for name in asked.accounts}
        return World(self.policy, self.agents, access, balances)

    def admit(self, wish: Wish) -> list[Event] | Refusal:
        """Admit a wish and apply what it becomes, without deciding anything."""
        events = admit(self.state, wish, self.world(), self.now)
        if not isinstance(events, Refusal):
            self.take(events)
        return events

    def ask(self, text: str = "What is the limit?", folders: tuple[str, ...] = (), limits: Amounts | None = None) -> Desk:
        """Ask a question and decide all that follows."""
        self.wishes += 1
        wish = Ask(f"r{self.wishes}", "s", "acme", "user:ana", self.agent.name, text, folders, limits)
        assert not isinstance(self.admit(wish), Refusal)
        return self.run()

    def take(self, events: list[Event]) -> None:
        """Apply events as they are."""
        for event in events:
            apply(self.state, event)
        self.events.extend(events)

    def add(self, fact: AnyFact) -> Desk:
        """Apply one fact from outside."""
        self.take([Event(self.state.seq + 1, "test", (), fact)])
        return self

    def run(self) -> Desk:
        """Decide until nothing more follows, looking up again each time as a drive does."""
        for _ in range(50):
            events, moves = conclude(self.state, self.world(), self.now)
            if not events:
                return self
            self.events.extend(events)
            self.moves.extend(moves)
        raise AssertionError("the rules find no end")

    def facts(self, kind: type[F]) -> list[F]:
        """All facts of one kind so far, in order."""
        return [event.fact for event in self.events if isinstance(event.fact, kind)]

    def open(self) -> list[Call]:
        """The open calls that somebody performs, in the order they were granted."""
        return sorted((c for turn in open_turns(self.state) for c in performed(turn)), key=lambda c: c.granted)

    def came(
        self, *drafts: Draft | Body, call: str = "", usage: Usage | None = None, verdicts: tuple[Verdict, ...] = ()
    ) -> Desk:
        """The outcome of a call (the oldest open one) and what follows from it."""
        id = call or self.open()[0].id
        turn = share_of(self.state, id).turn
        assert turn is not None
        one, step = turn.calls[id], turn.steps[turn.calls[id].step].spec
        to = step.item if step.kind == "tool" and turn.items[step.item].origin != "runtime" else ""
        full = [d if isinstance(d, Draft) else Draft(d) for d in drafts]
        items = tuple(
            place(msgspec.structs.replace(d, answers=to), item_id(self.state.seq + 1, n), one.target, one.step)
            for n, d in enumerate(full)
        )
        return self.add(CallCompleted(one.id, items, usage or Usage(), verdicts)).run()

    def broke(self, fault: Fault, *, call: str = "", unknown: bool = False) -> Desk:
        """A call failed."""
        one = call or self.open()[0].id
        return self.add(CallFailed(one, fault, unknown=unknown)).run()

    def crash(self) -> Desk:
        """The process is gone and another one goes on."""
        for call in self.open():
            self.add(CallInterrupted(call.id))
        return self.run()


def bare_turn(**given: object) -> Turn:
    """A turn with wide limits and nothing in it."""
    fields: dict[str, object] = {
        "id": "t1",
        "request": "r1",
        "question": "2.0",
        "requested": 2,
        "folders": ("f",),
        "limits": Limits(Amounts(10**9, 2**53, 24, 40, 16), 60_000),
        "reserve": NOTHING,
        "accounts": (),
        "soft_at": NOW + 50_000,
        "deadline_at": NOW + 60_000,
        "started": 3,
    }
    return Turn(**{**fields, **given})  # type: ignore[arg-type]


def bare_step(id: str, *, kind: str = "tool", does: str = "read", **given: object) -> StepState:
    """A step as it is after it was added."""
    return StepState(spec=Step(id=id, kind=kind, does=does, **given), added=4, epoch=1)  # type: ignore[arg-type]


def with_steps(turn: Turn, *steps: StepState) -> Turn:
    """The turn with these steps, all live."""
    for step in steps:
        turn.steps[step.spec.id] = step
        turn.live[step.spec.id] = None
    return turn


def an_item(id: str, body: Body, *sources: Source, step: str = "", origin: str = "model") -> Item:
    """An item at a place of its own."""
    return place(Draft(body, Label(sources=sources)), id, origin, step)


def with_items(turn: Turn, *items: Item) -> Turn:
    """The turn with these items."""
    for item in items:
        turn.items[item.id] = item
    return turn


def call_of(name: str, **arguments: object) -> ToolCall:
    """A move."""
    return ToolCall(name, dict(arguments))


def question_item(text: str = "What?") -> Item:
    """The question of a bare turn."""
    return place(Draft(Text(text), Label(integrity="user")), "2.0", "user")
