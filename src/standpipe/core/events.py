"""Every fact a log can hold: past tense, frozen, told apart by its tag; no rule, no clock, no default that judges.

A fact carries structure only: ids, amounts, codes. Words and content live in items, whose bodies are kept apart, so that
one label decides who may see them and erasing a body leaves the log whole.
"""

from __future__ import annotations

import msgspec

from standpipe.core.amounts import NOTHING, Amounts, Limits
from standpipe.core.details import Effect, Fault, Manifest, Passed, Permit, Recorded, Route, Step, Usage, Verdict, Why
from standpipe.core.house_facts import Fact as Fact  # noqa: PLC0414
from standpipe.core.house_facts import FolderSynced as FolderSynced  # noqa: PLC0414
from standpipe.core.house_facts import RelationsChanged as RelationsChanged  # noqa: PLC0414
from standpipe.core.house_facts import RelationsLapsed as RelationsLapsed  # noqa: PLC0414
from standpipe.core.items import Item, Source
from standpipe.core.world import Access

Cause = int | str
"""The seq of an event of the same log, or `house:SEQ` for one of the house log."""


class SessionOpened(Fact, frozen=True):
    """The first fact of every session log."""

    session: str
    tenant: str
    principal: str
    agent: str


class SessionForked(Fact, frozen=True):
    """A session of its own began, which shares the log of `parent` up to event `at`, whose frame has digest `head`.

    What the parent holds stays the parent's. For a turn that was open there the fork holds `microusd` on `accounts`, and every
    instant of it moved by `later_ms`. `recorded` is what calls of the rest of that turn came to in the parent, by their
    intent: the same calls come to it here, and nothing is performed.
    """

    session: str
    parent: str
    at: int
    head: str
    later_ms: int = 0
    microusd: int = 0
    accounts: tuple[str, ...] = ()
    recorded: tuple[Recorded, ...] = ()


class TurnRequested(Fact, frozen=True):
    """A message of the user was admitted. `items` is the question; `limits` and `deadline_ms` narrow the policy's."""

    turn: str
    request: str
    items: tuple[Item, ...]
    folders: tuple[str, ...] = ()
    limits: Amounts | None = None
    deadline_ms: int | None = None


class TurnStarted(Fact, frozen=True):
    """The turn holds its slice; `reserve` is set aside to end it; after `soft_at` only the answer is still worked on."""

    turn: str
    limits: Limits
    reserve: Amounts
    soft_at: int
    deadline_at: int
    accounts: tuple[str, ...] = ()


class PlanPatched(Fact, frozen=True):
    """The plan of a turn (or of a scope, named in `turn`) changed: a new epoch, steps added, and why."""

    turn: str
    epoch: int
    why: Why
    add: tuple[Step, ...] = ()
    items: tuple[Item, ...] = ()


class CallGranted(Fact, frozen=True):
    """The gate let a call through: it may be performed once this fact is acknowledged. `key` is its idempotency key.

    `recorded` is the event of the session forked from that says what it came to: then nothing is performed. `purpose` is
    details.ASK or details.UNDO where the call does not do what its step's tool does; `effect` is there where it may change the
    world.
    """

    call: str
    step: str
    target: str
    hold: Amounts
    deadline_at: int
    permit: Permit
    key: str
    route: Route | None = None
    manifest: Manifest | None = None
    recorded: int = 0
    purpose: str = ""
    effect: Effect | None = None


class CallRefused(Fact, frozen=True):
    """The gate said no to a step; `code` is one of record.REFUSALS, `detail` what was short or wrong, never content."""

    step: str
    code: str
    detail: str = ""
    passed: tuple[Passed, ...] = ()
    items: tuple[Item, ...] = ()


class CallCompleted(Fact, frozen=True):
    """A call came back with items; `verdicts` are what the deterministic checks say of them."""

    call: str
    items: tuple[Item, ...] = ()
    usage: Usage | None = None
    verdicts: tuple[Verdict, ...] = ()
    first_content_ms: int = 0
    elapsed_ms: int = 0
    sources: tuple[Cause, ...] = ()


class CallFailed(Fact, frozen=True):
    """A call came back without a result, or not in time. `unknown` says that its effect may have happened."""

    call: str
    fault: Fault
    items: tuple[Item, ...] = ()
    usage: Usage | None = None
    elapsed_ms: int = 0
    unknown: bool = False


class CallCancelled(Fact, frozen=True):
    """A call was given up before it came back; `unknown` says that its effect may have happened."""

    call: str
    cause: str
    unknown: bool = False


class CallInterrupted(Fact, frozen=True):
    """The process that performed a call is gone; what came of the call is not known."""

    call: str


class HoldSettled(Fact, frozen=True):
    """What a call really cost; the rest of its hold is free again."""

    call: str
    spent: Amounts


class StepEnded(Fact, frozen=True):
    """A step is over: done, failed, refused, withdrawn, dropped, cancelled or unknown."""

    step: str
    outcome: str
    reason: str = ""
    items: tuple[Item, ...] = ()


class ItemsWithdrawn(Fact, frozen=True):
    """The principal may no longer read these items' sources: they leave every later prompt and answer."""

    ids: tuple[str, ...]
    sources: tuple[Source, ...]
    revision: int


class ScopeStarted(Fact, frozen=True):
    """A specialist began, under the call that delegated to it and whose id `scope` is: its share of everything.

    `items` is its task; `limits` are what its call holds; `reserve` and the deadlines are as of a turn.
    """

    scope: str
    agent: str
    limits: Limits
    reserve: Amounts
    soft_at: int
    deadline_at: int
    items: tuple[Item, ...]


class ScopeCancelled(Fact, frozen=True):
    """What a specialist works on is not wanted any more: at `level` soft it still answers with what it has."""

    scope: str
    cause: str
    level: str = "firm"


class ScopeEnded(Fact, frozen=True):
    """A specialist is done, and with it the call that delegated: completed, partial, failed or cancelled, with a reason.

    `items` is its checked answer, where it has one; `spent` all that its calls and steps used; `acted` says that it may have
    changed the world, so that another attempt could do it twice.
    """

    scope: str
    outcome: str
    reason: str
    spent: Amounts = NOTHING
    acted: bool = False
    items: tuple[Item, ...] = ()


class AnswerJudged(Fact, frozen=True):
    """The checks' verdicts on an answer call were weighed: `kept`, `repaired`, `dropped` are sentence indexes."""

    call_item: str
    action: str
    kept: tuple[int, ...] = ()
    repaired: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    items: tuple[Item, ...] = ()


class Asked(Fact, frozen=True):
    """A person is asked: to approve a step, or a question of the agent; the turn waits until `until`.

    An approval is for exactly the call `intent` (a digest), made from `sources`: the versions these documents have now.
    """

    ask: str
    step: str
    kind: str
    until: int
    intent: str = ""
    sources: tuple[Source, ...] = ()


class Answered(Fact, frozen=True):
    """A person answered what was asked."""

    ask: str
    request: str
    allow: bool = True
    items: tuple[Item, ...] = ()


class AskExpired(Fact, frozen=True):
    """Nobody answered in time."""

    ask: str


class TurnParked(Fact, frozen=True):
    """Nothing can go on before a person answers; the deadline stands still."""

    turn: str
    at: int
    until: int


class TurnUnparked(Fact, frozen=True):
    """The turn goes on, its deadline moved by the time it was parked."""

    turn: str
    soft_at: int
    deadline_at: int


class DeadlinePassed(Fact, frozen=True):
    """Time is up for a turn or a scope: `soft`, only the answer may still be worked on; `hard`, it ends now; `grace`, it was
    cancelled hard and even effects under way are let go of."""

    turn: str
    which: str


class CancelRequested(Fact, frozen=True):
    """Somebody with the right to do so wants the turn to end, at a level of details.LEVELS.

    `scope` is the specialist's call where only that shall end, or "session" where all turns of it shall. At level hard, effects
    under way are let go of at `until`.
    """

    turn: str
    request: str
    cause: str
    level: str = "firm"
    scope: str = ""
    until: int = 0


class UnwindStarted(Fact, frozen=True):
    """A turn or a scope will end failed or cancelled, and first takes back what it did, until `until` (ms since 1970)."""

    turn: str
    outcome: str
    reason: str
    until: int


class TurnEnded(Fact, frozen=True):
    """The turn is over: completed, partial, failed or cancelled. `items` is the answer, where there is one.

    `withdrawn` are sources that could not be used to the end, `unknown` steps that may or may not have taken effect, `standing`
    steps whose effect should have been taken back and was not, or perhaps not.
    """

    turn: str
    outcome: str
    reason: str
    spent: Amounts = NOTHING
    items: tuple[Item, ...] = ()
    withdrawn: tuple[Source, ...] = ()
    unknown: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()


class SessionParked(Fact, frozen=True):
    """Whoever drove the session came to grief at the same place of its log again and again: nobody drives it any more."""

    reason: str


class SessionUnparked(Fact, frozen=True):
    """Somebody wants the session to be driven again."""

    request: str


class ItemsErased(Fact, frozen=True):
    """Somebody had these items erased: nobody is shown their bodies any more, and those are gone that nobody else holds."""

    ids: tuple[str, ...]


class MemoryKept(Fact, frozen=True):
    """What the turn produced can now be found by later ones."""

    turn: str


TurnFact = TurnRequested | TurnStarted | PlanPatched | AnswerJudged | TurnParked | TurnUnparked | DeadlinePassed | TurnEnded
CallFact = CallGranted | CallRefused | CallCompleted | CallFailed | CallCancelled | CallInterrupted | HoldSettled | StepEnded
ScopeFact = ScopeStarted | ScopeCancelled | ScopeEnded | UnwindStarted
PersonFact = Asked | Answered | AskExpired | CancelRequested
LogFact = SessionOpened | SessionForked | SessionParked | SessionUnparked | ItemsWithdrawn | MemoryKept | ItemsErased
SessionFact = TurnFact | CallFact | ScopeFact | PersonFact | LogFact
HouseFact = RelationsChanged | RelationsLapsed | FolderSynced
AnyFact = SessionFact | HouseFact

INPUTS: tuple[type[Fact], ...] = (
    *(SessionOpened, SessionForked, SessionParked, SessionUnparked, TurnRequested, Answered, CancelRequested),
    *(CallCompleted, CallFailed, CallCancelled, CallInterrupted, MemoryKept, ItemsErased, RelationsChanged, FolderSynced),
)
"""Facts that come from outside: outcomes and admitted wishes. Every other fact is a decision, and replay re-makes it."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One fact in a log: where it stands, what led to it, who made it. Time stands in its frame."""

    seq: int
    by: str
    causes: tuple[Cause, ...]
    fact: AnyFact


class WorldRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a frame's decisions used: large parts by digest, what is small inline (`now` is the frame's at): the ledger rows,
    and the permission answers where they are few."""

    parts: dict[str, str] = {}
    balances: dict[str, tuple[int, int]] = {}
    access: Access | None = None


VERSION = 1
"""The version of what is stored; `upcast` reads older ones."""


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one append wrote. `prev` is the digest of the stored bytes of the frame before it, empty for the first.

    `at` is wall time in ms since 1970, `by` the process that wrote it, `rules` the digest of the rules it decided with.
    """

    first_seq: int
    at: int
    by: str
    rules: str
    world: WorldRecord
    events: tuple[Event, ...]
    prev: str = ""
    version: int = 1

    @property
    def last_seq(self) -> int:
        """The seq of the frame's last event."""
        return self.first_seq + len(self.events) - 1
