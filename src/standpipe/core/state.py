"""What a session's log adds up to: the open turn in full, closed ones as records of constant size.

Only `apply` changes these values, and only the task that drives the session holds live ones.
"""

from __future__ import annotations

import msgspec

from standpipe.core.amounts import NOTHING, Amounts, Limits
from standpipe.core.details import Effect, Fault, Manifest, Permit, Route, Step, Verdict
from standpipe.core.events import TurnRequested
from standpipe.core.ids import scope_of
from standpipe.core.items import Item, Source

CLOSED_KEPT = 20
"""Closed turns a state keeps (DESIGN §4); older ones return by look-up and retrieval."""
REQUESTS_KEPT = 64
"""Request ids a state remembers; older ones are looked up."""


class Call(msgspec.Struct, gc=False):
    """One attempt: granted at event `granted`, over at event `ended` (0: still open), settled or not."""

    id: str
    step: str
    target: str
    attempt: int
    hold: Amounts
    deadline_at: int
    key: str
    permit: Permit
    granted: int
    route: Route | None = None
    manifest: Manifest | None = None
    ended: int = 0
    outcome: str = ""
    settled: bool = False
    unknown: bool = False
    fault: Fault | None = None
    input_tokens: int = -1
    output_tokens: int = -1
    items: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    scope: bool = False
    acted: bool = False
    spent: Amounts = NOTHING
    purpose: str = ""
    recorded: int = 0


class StepState(msgspec.Struct, gc=False):
    """A step of the plan: its latest call, how it ended (empty: it has not), and which events added and ended it.

    `effect` is that of its latest attempt that may change the world, `asked` how often it was asked since what came of it,
    `kept` what is set aside for that and for taking it back. `session` is the one it was planned in, where that was forked
    since.
    """

    spec: Step
    added: int
    epoch: int
    call: str = ""
    attempts: int = 0
    interrupted: int = 0
    unsent: int = 0
    why: str = ""
    failed: list[str] = []
    outcome: str = ""
    reason: str = ""
    ended: int = 0
    refused: str = ""
    items: list[str] = []
    effect: Effect | None = None
    asked: int = 0
    kept: Amounts = NOTHING
    session: str = ""


class Deed(msgspec.Struct, frozen=True, gc=False):
    """An effect that can be taken back: by which agent and step, under which key, its arguments' item and its result.

    `undo` is the key of its compensation, `keep` what is set aside for that, `ended` the event that says that it is done.
    """

    agent: str
    step: Step
    key: str
    undo: str
    keep: Amounts
    move: Item | None
    items: tuple[Item, ...]
    ended: int


class Ask(msgspec.Struct, gc=False):
    """Something a person was asked: open until `outcome` is allowed, denied or expired. An approval is for the call `intent`,
    made from `sources`."""

    id: str
    step: str
    kind: str
    until: int
    asked: int
    outcome: str = ""
    by: str = ""
    intent: str = ""
    sources: tuple[Source, ...] = ()


class Tried(msgspec.Struct, gc=False):
    """What models and providers have shown in this turn, over all its scopes: `flying` counts open calls by provider."""

    models: dict[str, None] = {}
    failures: dict[str, int] = {}
    successes: dict[str, int] = {}
    flying: dict[str, int] = {}


class Turn(msgspec.Struct, gc=False):
    """The open turn, or a scope of it: a specialist's share, whose id is that of the call that delegated to `agent`.

    `live` are steps that have not ended, `open` calls that have not, `unsettled` those still held for, `scopes` those open.
    `unknown` are steps of scopes that may have taken effect, and their tools; `delegated` are the item and the step of the turn
    that a scope works for. `before` was spent on it before the session was forked. `kept` is set aside for what may
    have to follow an effect; `deeds` are effects by step that can be taken back, `standing` those of scopes that should have
    been and were not; `unwind` says how it ends once that is done. `soft`: nothing new may begin but the final call. `cancel`
    is why it was told to stop, `level` how and `cancelled_at` by which event; at `let_go_at` (ms since 1970) effects under way
    are let go of, and `let_go` says that they are.
    """

    id: str
    request: str
    question: str
    requested: int
    folders: tuple[str, ...]
    limits: Limits
    reserve: Amounts
    accounts: tuple[str, ...]
    soft_at: int
    deadline_at: int
    started: int
    spent: Amounts = NOTHING
    held: Amounts = NOTHING
    before: Amounts = NOTHING
    epoch: int = 0
    steps: dict[str, StepState] = {}
    live: dict[str, None] = {}
    calls: dict[str, Call] = {}
    open: dict[str, None] = {}
    unsettled: dict[str, None] = {}
    items: dict[str, Item] = {}
    item_seq: dict[str, int] = {}
    sources: dict[Source, int] = {}
    withdrawn: dict[str, None] = {}
    withdrawn_sources: dict[Source, None] = {}
    shown: dict[str, str] = {}
    shown_digest: str = ""
    parts_item: str = ""
    asks: dict[str, Ask] = {}
    scopes: dict[str, Turn] = {}
    kept: Amounts = NOTHING
    deeds: dict[str, Deed] = {}
    standing: dict[str, str] = {}
    unwind: tuple[str, str] | None = None
    unwind_until: int = 0
    unknown: dict[str, str] = {}
    agent: str = ""
    delegated: tuple[str, str] = ("", "")
    resampled: int = 0
    answer_call: str = ""
    judged: int = 0
    parked_at: int = 0
    parked_until: int = 0
    soft: bool = False
    hard: bool = False
    cancel: str = ""
    level: str = ""
    cancelled_at: int = 0
    let_go_at: int = 0
    let_go: bool = False

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop at once: cancelled firmly or hard."""
        return self.level in ("firm", "hard")

    @property
    def answered(self) -> bool:
        """Whether an answer was accepted and may still be shown."""
        return bool(self.answer_call) and self.answer_call not in self.withdrawn

    @property
    def last_model_step(self) -> StepState | None:
        """The model step added last."""
        return next((s for s in reversed(self.steps.values()) if s.spec.kind == "model"), None)


class Closed(msgspec.Struct, frozen=True, gc=False):
    """A turn that is over, at constant size: its question and answer without bodies (None once erased), how it ended, what it
    cost."""

    turn: str
    question: Item | None
    answer: Item | None
    outcome: str
    reason: str
    cost_microusd: int
    ended: int
    remembered: bool = False


class State(msgspec.Struct, gc=False):
    """One session at one position of its log.

    `called_off` are waiting turns that were cancelled, with the cause and the event; `parked` is why nobody drives the session.
    `parent` is the session that it was forked from, `recorded` the events there that say, by intent, what calls came to.
    """

    session: str = ""
    tenant: str = ""
    principal: str = ""
    agent: str = ""
    seq: int = 0
    folders: tuple[str, ...] = ()
    turns: int = 0
    turn: Turn | None = None
    waiting: list[TurnRequested] = []
    waiting_seq: list[int] = []
    called_off: dict[str, tuple[str, int]] = {}
    parked: str = ""
    closed: list[Closed] = []
    requests: list[str] = []
    spent: Amounts = NOTHING
    tried: Tried = msgspec.field(default_factory=Tried)
    doubts: dict[str, None] = {}
    parent: str = ""
    recorded: dict[str, list[int]] = {}


def open_turn(state: State) -> Turn:
    """The open turn, which a fact belongs to."""
    assert state.turn is not None, "a fact of a turn outside of one"
    return state.turn


def share_named(state: State, name: str) -> Turn:
    """The scope of that name, or in which the call or ask of that name stands; else the turn itself."""
    turn = open_turn(state)
    return turn.scopes.get(name) or turn.scopes.get(scope_of(name)) or turn


def shares(state: State) -> list[State]:
    """The open scopes, each as a state of its own whose turn is the scope, and last the state itself.

    So the same rules hold for a turn and for a specialist's share of it; what they change is the one state behind.
    """
    if state.turn is None or not state.turn.scopes:
        return [state]
    return [*(_share(state, scope) for scope in state.turn.scopes.values()), state]


def share_of(state: State, name: str) -> State:
    """The share that a call or an ask stands in: a scope that is open, or else the state itself."""
    scope = state.turn.scopes.get(scope_of(name)) if state.turn is not None else None
    return _share(state, scope) if scope is not None else state


def _share(state: State, scope: Turn) -> State:
    return msgspec.structs.replace(state, turn=scope, agent=scope.agent, waiting=[], waiting_seq=[], closed=[])
