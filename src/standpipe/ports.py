"""The promises the engine needs of the world: Log, Models, Tools, Search, Access. Each has a conformance suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from standpipe.core.amounts import Balance, Move
from standpipe.core.details import Fault, Usage
from standpipe.core.events import Cause, Event, Frame, WorldRecord
from standpipe.core.items import Draft, Item, Source
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import ModelSpec

# --- the log -----------------------------------------------------------------------------------------------------------


class SessionRow(msgspec.Struct, frozen=True, gc=False):
    """The projection of a session kept beside its log: what `sessions` lists and recovery looks for.

    `trouble` is why nobody drives it until somebody asks for that, empty where all is well. `owes` says that an answer is not
    yet remembered.
    """

    session: str
    tenant: str
    principal: str
    agent: str
    state: str = "idle"
    outcome: str = ""
    turns: int = 0
    cost_microusd: int = 0
    wakes_at: int | None = None
    trouble: str = ""
    owes: bool = False


class Append(msgspec.Struct, frozen=True, gc=False):
    """One append: the frame to be (without `prev`), what must hold for it, and what changes with it.

    `fence` None: no lease needed (admitted wishes, the house log). `access_revision` None: no decision about rights in it.
    `parts` are the bytes of world parts by digest; `requests` the admitted request ids.
    """

    session: str
    tenant: str
    at: int
    by: str
    rules: str
    expect_seq: int
    events: tuple[Event, ...]
    world: WorldRecord = WorldRecord()
    parts: Mapping[str, bytes] = {}
    fence: int | None = None
    moves: tuple[Move, ...] = ()
    access_revision: int | None = None
    requests: tuple[str, ...] = ()
    row: SessionRow | None = None


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The frame is durable; `seq` is the last seq of the log, `head` the digest of the stored frame."""

    seq: int
    head: str


class Stale(msgspec.Struct, frozen=True, gc=False):
    """The log is longer than expected, or a revocation is newer than `access_revision`: fold, look up, decide again."""

    seq: int


class Fenced(msgspec.Struct, frozen=True, gc=False):
    """Another owner holds the session's lease."""

    fence: int


class Short(msgspec.Struct, frozen=True, gc=False):
    """A ledger row would have gone over its limit."""

    account: str


class Heads(msgspec.Struct, frozen=True, gc=False):
    """Of one tenant: the house-log seq of its newest relation change, and of its newest revocation; and the newest instant (ms)
    at which a relation ended that no fact has put out of force so far (0: none)."""

    revision: int = 0
    revoked: int = 0
    lapsed: int = 0


class Owner(msgspec.Struct, frozen=True, gc=False):
    """Who holds a lease: a process on a host; `started` tells a pid from a later one with the same number."""

    host: str
    pid: int
    started: str


Hear = Callable[[Frame | None], None]
"""Told of a frame that became durable, its `prev` left out; None says that another process wrote, and to look for oneself."""


class Lease(msgspec.Struct, frozen=True):
    """Who drives a session: nobody if `owner` is None. `fence` is the number of its last owner, `until` in ms since 1970.

    `crashes` owners, one after the other, did not give it back while the log ended at `seq`.
    """

    fence: int = 0
    until: int = 0
    owner: Owner | None = None
    seq: int = 0
    crashes: int = 0


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A session's state as of `seq`, folded by the `rules` of that digest. Only a cache: it may be thrown away at any time."""

    seq: int
    rules: str
    state: bytes


class Log(Protocol):
    """Durable, ordered, fenced. Every method raises StoreError when the store itself fails."""

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """Write one frame with its moves, bodies and world, all or nothing; returns when it is durable."""

    async def read(self, session: str, after: int = 0, *, bodies: bool = True, limit: int | None = None) -> list[Frame]:
        """The frames that hold events after seq `after`, oldest first and `limit` at most; with item bodies unless they are
        not wanted."""

    async def parts(self, digests: Sequence[str]) -> dict[str, bytes]:
        """World parts by digest; unknown ones are left out."""

    async def bodies(self, tenant: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """Item bodies of a tenant by hash; erased or unknown ones are left out."""

    async def row(self, session: str) -> SessionRow | None:
        """One session's row."""

    async def rows(self) -> list[SessionRow]:
        """All sessions, the one written to last first."""

    async def seen(self, session: str, request: str) -> bool:
        """Whether a request id was ever admitted to this session."""

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """Ledger rows; those that do not exist yet read as nothing."""

    async def claim(self, session: str, owner: Owner, now: int, until: int) -> int | None:
        """Take or renew the lease: the fence, or None while a live owner holds it. A dead one is replaced at once."""

    def lease(self, session: str) -> Lease:
        """The lease as the store has it now, over all processes: one synchronous read."""

    async def release(self, session: str, fence: int, snapshot: Snapshot | None = None) -> None:
        """Give the lease back, if it is still this one, and keep the snapshot that was taken under it."""

    async def snapshot(self, session: str) -> Snapshot | None:
        """The session's last snapshot; none that goes beyond its log."""

    async def wait(self, session: str, after: int, timeout_ms: int) -> None:
        """Return when the log holds events after seq `after` (written by any process), or after `timeout_ms`."""

    def listen(self, session: str, hear: Hear) -> Callable[[], None]:
        """Have `hear` told, on this event loop, of all that is written to the session's log from now on, by any process; it
        ends when what is returned is called. It may be told more than once, and of what is known."""

    async def heads(self, session: str) -> tuple[int, str]:
        """The last seq of a log and the digest of its last stored frame; (0, "") for none."""

    async def erase(self, tenant: str, hashes: Collection[str], seen: Mapping[str, int]) -> int:
        """Delete item bodies, so that nothing of them is left in the store; how many there were. Those stay that a frame of the
        tenant names which stands behind the seqs in `seen`, by session: who looked did not know of it."""

    async def chain(self) -> list[str]:
        """What is wrong with the stored chains (frames and commits) of all logs, a sentence each; empty: nothing."""


# --- access ------------------------------------------------------------------------------------------------------------


class Rights(Protocol):
    """What one principal may read in one namespace at one revision."""

    revision: int

    def allows(self, object: str, relation: str = "reader") -> bool:
        """Whether `object` ("document:a/b.md", "incident:7") has `relation` to the principal."""

    def filter(self, objects: Iterable[str], relation: str = "reader") -> list[str]:
        """Those of the objects that have `relation` to the principal, in their order."""


class AccessStore(Protocol):
    """Relations, as the house log's facts of them add up to; it is written only by appending those. A relation that ended is
    not counted from that instant on, whether or not a fact says so yet."""

    def heads(self, tenant: str) -> Heads:
        """The tenant's newest revision and revocation in the store now, over all processes: one synchronous read."""

    async def rights(self, tenant: str, namespace: str, principal: str, revision: int | None = None) -> Rights:
        """The principal's rights in a namespace, current at the time of the call (cached by revision); to who has just read
        that the tenant's revision is `revision`, those of this one, or of a newer one."""

    async def relations(self, tenant: str, namespace: str) -> list[str]:
        """All relations and definitions in force, in canonical text, sorted; those that ended until a fact says so, too."""

    async def applied(self, tenant: str, namespace: str) -> list[str] | None:
        """What the namespace's access.rel said when it was last applied; None if it never had one."""


# --- search ------------------------------------------------------------------------------------------------------------


class Document(msgspec.Struct, frozen=True, gc=False):
    """One version of a document as text; `version` is the digest of its bytes."""

    path: str
    version: str
    text: str


class Synced(msgspec.Struct, frozen=True, gc=False):
    """What became of a folder: its id, its documents, how many were changed and removed, how many files were skipped and
    why, and how many of the documents held bytes that are not UTF-8 and were replaced."""

    folder: str
    documents: int
    changed: int
    removed: int
    skipped: dict[str, int]
    replaced: int = 0


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A passage found: code points `start`..`start+len(text)` of the document version, under its headings."""

    folder: str
    path: str
    version: str
    heading: tuple[str, ...]
    start: int
    text: str
    score: float
    sources: tuple[Source, ...] = ()
    memory: bool = False


class Memory(msgspec.Struct, frozen=True, gc=False):
    """What a turn produced, kept for later ones: found only by its owner, and only while all its sources are readable."""

    id: str
    tenant: str
    principal: str
    folders: tuple[str, ...]
    text: str
    sources: tuple[Source, ...]


class Search(Protocol):
    """A versioned index of documents and memory. It knows nothing of principals: what may be seen comes in as a test."""

    async def versions(self, tenant: str, folder: str) -> dict[str, str]:
        """The current version of every document of the folder."""

    async def write(self, tenant: str, folder: str, changed: Sequence[Document], removed: Sequence[str]) -> None:
        """Make these the current versions; old versions can still be read, but not found."""

    async def find(
        self, tenant: str, folders: Sequence[str], query: str, limit: int, visible: Callable[[str, str], bool], owner: str = ""
    ) -> list[Hit]:
        """The best passages, best first: documents for which visible(folder, path), memory of `owner` all of whose sources
        are visible. Ranking statistics count only what is visible. Equal scores are ordered by path and start."""

    async def document(self, tenant: str, folder: str, path: str, version: str = "") -> Document | None:
        """A version of a document (the current one without `version`), or None."""

    async def remember(self, memory: Memory) -> None:
        """Keep a memory; the same id twice is once."""

    async def forget(self, tenant: str, principal: str, ids: Collection[str]) -> None:
        """Delete memories of a principal, so that nothing of them is left in the store."""


# --- models and tools --------------------------------------------------------------------------------------------------


class Prompt(msgspec.Struct, frozen=True):
    """All that a model is shown: instructions, items oldest first, the tools it may call, and how much it may say.

    `hear`, if it is there, is told the arguments (JSON) of an `answer` call as far as they have come, by a driver that streams.
    """

    instructions: str
    items: tuple[Item, ...]
    tools: tuple[ToolSpec, ...]
    output_tokens_max: int
    hear: Callable[[str], None] | None = None


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came back: drafts of items, and usage as the provider told it (None: it did not)."""

    drafts: tuple[Draft, ...]
    usage: Usage | None = None
    first_content_ms: int = 0
    sources: tuple[Cause, ...] = ()


class Failed(msgspec.Struct, frozen=True, gc=False):
    """An attempt that gave nothing; `unknown` if it may have acted all the same.

    `told` is for the model and may hold content: it is labelled like a result. `fault` stands in the log as it is.
    """

    fault: Fault
    usage: Usage | None = None
    unknown: bool = False
    told: str = ""


class Models(Protocol):
    """Model providers of one kind. A driver never retries and never raises for what a provider does."""

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply | Failed:
        """One attempt. The caller watches the deadlines and cancels."""


Approvals = Callable[[str, str, Item], Awaitable[bool]]
"""Asks a person about one call: the ask's id, the tool, the call item with its arguments; yes or no."""


class Done(msgspec.Struct, frozen=True):
    """What is to be taken back: the key it was done with, its arguments, and its result where that is data."""

    key: str
    arguments: dict[str, object]
    result: object


class ToolRequest(msgspec.Struct, frozen=True, gc=False):
    """One tool call, permitted: on whose behalf, with which arguments; `key` is the same for every attempt of the intent.

    `purpose` is empty, or details.ASK: only say what came of `key`, or details.UNDO: take back what was `done`.
    """

    tool: str
    arguments: dict[str, object]
    key: str
    tenant: str
    principal: str
    folders: tuple[str, ...]
    agent: AgentSpec
    purpose: str = ""
    done: Done | None = None


class Tools(Protocol):
    """Tools of one kind. A driver never retries and never raises for what a tool does.

    What is asked (details.ASK) happened where a Reply with its result comes back, did not happen and will not where a Failed
    with details.ABSENT does, and is not known where any other Failed does, which says so (`unknown`).
    """

    async def call(self, request: ToolRequest) -> Reply | Failed:
        """One attempt. The caller watches the deadline and cancels."""
