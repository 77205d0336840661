"""The read-once snapshot that a decision may see, the questions it is asked for, and the static policy in it."""

from __future__ import annotations

import msgspec

from standpipe.core.amounts import Amounts, Balance, Limits
from standpipe.core.items import Item, Label, Source
from standpipe.core.tools import AgentSpec

DEFAULT_LIMITS = Limits(Amounts(microusd=250_000, tokens=2**53, model_calls=24, tool_calls=40, steps=16), 60_000)
"""The turn limits that hold without a policy (DESIGN §6): 0.25 USD, 24 model calls, 40 tool calls, 16 steps, 60 s."""


class ModelSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A model as the rules see it. Prices are micro-dollars per million tokens; no capabilities means all."""

    name: str
    provider: str
    capabilities: tuple[str, ...] = ()
    context_tokens: int = 256_000
    output_tokens_max: int = 16_384
    input_microusd_per_mtok: int = 0
    output_microusd_per_mtok: int = 0
    timeout_ms: int = 30_000


EXTRACTIVE = ModelSpec(name="extractive", provider="extractive")


class Policy(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Everything static that steers the rules; known by its digest.

    `routes` maps a task class to its ordered models ("default" for any other class). `turn` is the limit of a turn by
    level name ("default", "tenant:acme", "user:ana": the narrowest named one wins); `day` and `session` are micro-dollar
    limits by the same names. `rules` is the digest of the tool rules (empty: there are none), their text a part of the world.
    """

    models: dict[str, ModelSpec] = msgspec.field(default_factory=lambda: {"extractive": EXTRACTIVE})
    routes: dict[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: {"default": ("extractive",)})
    turn: dict[str, Limits] = msgspec.field(default_factory=lambda: {"default": DEFAULT_LIMITS})
    day: dict[str, int] = {}
    session: dict[str, int] = {}
    parked_ms: int = 86_400_000
    rules: str = ""

    def label(self, item: Item | None) -> Label | None:
        """The label that a call which stands in `item` is judged with: only tool rules look at it."""
        return item.label if self.rules and item is not None else None


class CallQuestion(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """May `principal`, through `agent`, call `tool` on `resources` (documents as `folder:path`) with these arguments?

    Where there are tool rules, also what they look at: the arguments themselves (`given`, canonical JSON), and the `sources` of
    the label of the call.
    """

    principal: str
    agent: str
    tool: str
    resources: tuple[str, ...]
    arguments: str
    given: str = ""
    sources: tuple[Source, ...] = ()


class Questions(msgspec.Struct, frozen=True, gc=False):
    """What must be read before admitting or deciding; the answers make a World.

    `agent` is that of the session, whichever specialist asks; of `documents` the current versions are wanted.
    """

    tenant: str
    principal: str
    folders: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    calls: tuple[CallQuestion, ...] = ()
    accounts: tuple[str, ...] = ()
    request: str = ""
    agent: str = ""
    documents: tuple[Source, ...] = ()

    def covers(self, other: Questions) -> bool:
        """Whether who has the answers to these has those to `other`, too."""
        pairs = (
            *((self.folders, other.folders), (self.sources, other.sources)),
            *((self.calls, other.calls), (self.documents, other.documents)),
        )
        return other.accounts == self.accounts and all(set(new) <= set(known) for known, new in pairs)


class Access(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The permission answers: at `revision`, of the sources asked for all but `denied` may be read; of the calls asked for
    (by digest of the question) those in `allowed` may be made, those in `refused` not; `by` names the tool rules that permit
    one. `versions` are the current ones of the documents asked for, an empty version where there is none any more."""

    revision: int
    revoked: int
    denied: tuple[Source, ...] = ()
    allowed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    by: dict[str, str] = {}
    versions: tuple[Source, ...] = ()

    def withholds(self, label: Label) -> bool:
        """Whether something with this label may no longer be shown."""
        return any(source in self.denied for source in label.sources)


class World(msgspec.Struct, frozen=True, gc=False):
    """What `admit` and `decide` may know of the outside at one moment."""

    policy: Policy
    agents: dict[str, AgentSpec]
    access: Access
    balances: dict[str, Balance] = {}
    seen: bool = False

    def agent(self, name: str) -> AgentSpec:
        """The agent of that name; one that is gone has neither instructions nor tools."""
        return self.agents.get(name, AgentSpec(name, ""))
