"""How a wish from outside gets into a session's log: admitted on the newest state, appended, tried again where that moved."""

from __future__ import annotations

from standpipe.core.admit import Ask, Refusal, Wish, admit
from standpipe.core.apply import apply
from standpipe.core.events import Answered, Event, TurnRequested, TurnStarted
from standpipe.core.state import State
from standpipe.core.world import Access, World
from standpipe.engine.beside import row_of
from standpipe.engine.drive import Setup
from standpipe.engine.opening import opened
from standpipe.errors import NotFound, Refused, UsageError
from standpipe.ports import Append, Appended, Log, SessionRow

_KINDS = dict.fromkeys(("empty", "too long", "not text", "bad name", "bad level"), UsageError) | {"not found": NotFound}


async def admitted(setup: Setup, session: str, tenant: str, wish: Wish) -> tuple[State, int, list[Event]]:
    """Append what the wish becomes: the state after it, the seq before it, its events.

    Raises UsageError, NotFound or Refused where the rules say no; Refused also for a session that is parked for its trouble.
    """
    log = setup.ports.log
    check_driven(await log.row(session))
    while True:
        state = await opened(log, session, setup.rules)
        before, now = state.seq, setup.ports.clock()
        seen = wish.request not in state.requests and await log.seen(session, wish.request)
        world = World(setup.fixed.policy, setup.fixed.agents, Access(0, 0), seen=seen)
        events = admit(state, wish, world, now)
        if isinstance(events, Refusal):
            raise _KINDS.get(events.code, Refused)(events.text)
        if not events:
            return state, 0, []
        for event in events:
            apply(state, event)
        append = Append(
            session=session,
            tenant=tenant,
            at=now,
            by=setup.by,
            rules=setup.rules,
            expect_seq=before,
            events=tuple(events),
            requests=(wish.request,),
            row=row_of(state),
        )
        if isinstance(await log.append(append), Appended):
            return state, before, events


def check_driven(row: SessionRow | None) -> None:
    """Raises Refused for a session that nobody drives for the trouble it makes: even to read it may do harm."""
    if row is not None and row.trouble:
        raise Refused(f"This session is parked: {row.trouble}. `standpipe resume {row.session}` tries it once more.")


async def admitted_before(log: Log, wish: Ask) -> str:
    """The turn that a repeated request became, or answered a question of, the first time."""
    turn = ""
    for frame in await log.read(wish.session, bodies=False):
        for fact in (event.fact for event in frame.events):
            if isinstance(fact, TurnStarted):
                turn = fact.turn
            if isinstance(fact, TurnRequested | Answered) and fact.request == wish.request:
                return fact.turn if isinstance(fact, TurnRequested) else turn
    raise AssertionError("a request that was admitted stands in the log")


def turn_of(events: list[Event], state: State) -> str:
    """The turn that admitted events belong to: the one they ask for, or the open one."""
    asked = next((e.fact.turn for e in events if isinstance(e.fact, TurnRequested)), "")
    return asked or (state.turn.id if state.turn is not None else "")
