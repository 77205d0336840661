"""A virtual loop that tells when nothing is left to run before its clock jumps, and notices when it never comes to that."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from standpipe.core.apply import fold
from standpipe.core.budget import accounts
from standpipe.core.context import first_look
from standpipe.core.decide import decide
from standpipe.core.events import AskExpired, ItemsWithdrawn
from standpipe.core.items import Item, Text, ToolCall
from standpipe.core.permit import question, tool_of
from standpipe.core.state import State, shares
from standpipe.core.tools import AgentSpec
from standpipe.core.world import CallQuestion, Questions
from standpipe.engine.lookup import Static, look_up
from standpipe.engine.parking import CRASHES_MAX
from standpipe.ports import AccessStore, Log, Search
from standpipe.testing.clock import VirtualLoop

T = TypeVar("T")

ROUNDS_MAX = 50_000
"""So many rounds of the loop at one instant are a livelock."""


class QuietLoop(VirtualLoop):
    """Calls `quiet` whenever everything waits for time to pass."""

    def __init__(self, quiet: Callable[[], None]) -> None:
        super().__init__()
        wait = self._jump.select
        rounds = 0

        def select(timeout: float | None = None) -> list[Any]:
            nonlocal rounds
            rounds += 1
            if timeout is None or timeout > 0:
                rounds = 0
                quiet()
            elif rounds > ROUNDS_MAX:
                rounds = 0
                raise RuntimeError("the clock stands still while something always runs: a livelock")
            return wait(timeout)

        self._jump.select = select  # type: ignore[method-assign]


def at_once(waiting: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        waiting.send(None)
    except StopIteration as over:
        value: T = over.value
        return value
    waiting.close()
    raise RuntimeError("it waits for something")


class Stores(Protocol):
    """What a session's world is read from, as it is now."""

    @property
    def log(self) -> Log: ...

    @property
    def search(self) -> Search: ...

    @property
    def access(self) -> AccessStore: ...


class Watch:
    """Looks whether a session could be decided further although everything waits: then a question was not asked."""

    def __init__(self, stores: Stores, fixed: Static) -> None:
        self._stores, self._fixed = stores, fixed
        self._states: dict[str, State] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self._looked: dict[str, int] = {}

    def starving(self, sessions: Mapping[str, bool], now: int) -> Iterator[str]:
        """A sentence for each session about which more could be decided with all answers at hand.

        `sessions` says of each whether anybody drives it. A parked turn that nobody drives holds no task: that its question
        expired is seen when the session is taken up again. One that was parked for its trouble, or waits until it is driven
        alone because of it, is left out.
        """
        for session, driven in sessions.items():
            state = self._states.setdefault(session, State())
            fold(at_once(self._stores.log.read(session, state.seq)), state)
            then = now - 1  # a timer of this very millisecond may still come
            place = (state.seq, self._stores.access.heads(state.tenant).revision)
            due = any(self._looked.get(session, 0) < instant <= then for instant in instants(state))
            if not state.seq or (self._seen.get(session) == place and not due):
                continue
            suspect = state.parked or self._stores.log.lease(session).crashes >= CRASHES_MAX - 1
            if suspect and not driven:
                continue
            self._seen[session], self._looked[session] = place, then
            stores = self._stores
            asked = everything(state, self._fixed, then)
            world = at_once(look_up(stores.log, stores.search, stores.access, self._fixed, asked))
            left = decide(state, world, then)
            idle = state.turn is not None and state.turn.parked_at > 0 and not driven
            excused = (ItemsWithdrawn, AskExpired) if idle else ItemsWithdrawn
            if left and not isinstance(left[0].fact, excused):
                yield f"{session} at seq {state.seq} waits, but could go on with {[type(e.fact).__name__ for e in left]}"


def instants(state: State) -> Iterator[int]:
    """All moments at which something is due in this state by time alone, found without asking `wakes`."""
    for turn in (share.turn for share in shares(state) if share.turn is not None):
        yield from (ask.until for ask in turn.asks.values())
        yield from (turn.soft_at, turn.deadline_at, turn.let_go_at)


def everything(state: State, fixed: Static, now: int) -> Questions:
    """All questions that any rule could have in this state, found without asking `lookups`."""
    folders = state.turn.folders if state.turn is not None else state.waiting[0].folders if state.waiting else ()
    day = datetime.fromtimestamp(now / 1000, UTC).date().isoformat()
    items = [item for closed in state.closed for item in (closed.question, closed.answer) if item is not None]
    calls: list[CallQuestion] = []
    for share in shares(state):
        own = list(share.turn.items.values()) if share.turn is not None else [w.items[0] for w in share.waiting]
        agent = fixed.agents.get(share.agent)
        calls += _calls(state.principal, agent, folders, own) if agent is not None else []
        items += own
    return Questions(
        tenant=state.tenant,
        principal=state.principal,
        folders=folders,
        sources=tuple(dict.fromkeys(source for item in items for source in item.label.sources)),
        calls=tuple(calls),
        accounts=accounts(fixed.policy, state, day),
    )


def _calls(principal: str, agent: AgentSpec, folders: tuple[str, ...], items: Sequence[Item]) -> list[CallQuestion]:
    """What must be asked before any call could be made that stands in these items, or follows from them."""
    moves = [item.body for item in items if isinstance(item.body, ToolCall)]
    nested = [s for m in moves for name in ("steps", "add") if isinstance(s := m.arguments.get(name), list)]
    for step in (one for steps in nested for one in steps if isinstance(one, dict)):
        if isinstance(step.get("tool"), str) and isinstance(step.get("arguments", {}), dict):
            moves.append(ToolCall(step["tool"], step.get("arguments", {})))
    for item in items:
        look = first_look(agent, folders, item.body.text) if isinstance(item.body, Text) else None
        moves += [ToolCall("search", look)] if look is not None else []
    tools = [(tool, move) for move in moves if (tool := tool_of(agent, move.name)) is not None]
    asked = (question(principal, agent, tool, move.arguments) for tool, move in tools)
    return [one for one in asked if one is not None]
