"""What is kept beside a session's log: the row that lists it, and the memory of its answers."""

from __future__ import annotations

from standpipe.core.items import Answer, decode_body
from standpipe.core.pending import wakes
from standpipe.core.state import Closed, State
from standpipe.ports import Log, Memory, Search, SessionRow


def row_of(state: State) -> SessionRow:
    """The session's row as its state says."""
    turn = state.turn
    waits = state.parked or (turn is not None and turn.parked_at)
    running = "parked" if waits else "running" if turn is not None or state.waiting else "idle"
    spent = state.spent.microusd + (turn.spent.microusd - turn.before.microusd if turn is not None else 0)
    return SessionRow(
        session=state.session,
        tenant=state.tenant,
        principal=state.principal,
        agent=state.agent,
        state=running,
        outcome=state.closed[-1].outcome if state.closed else "",
        turns=state.turns,
        cost_microusd=spent,
        wakes_at=wakes(state) if not state.parked else None,
        trouble=state.parked,
        owes=not all(closed.remembered for closed in state.closed),
    )


async def remember(log: Log, search: Search, state: State, closed: Closed) -> None:
    """Have the answer of a closed turn be found by later ones."""
    assert closed.answer is not None
    bodies = await log.bodies(state.tenant, [closed.answer.hash])
    body = decode_body(bodies[closed.answer.hash]) if closed.answer.hash in bodies else None
    if isinstance(body, Answer) and body.sentences:
        await search.remember(
            Memory(
                id=f"{state.session}.{closed.turn}",
                tenant=state.tenant,
                principal=state.principal,
                folders=state.folders,
                text=body.text,
                sources=closed.answer.label.sources,
            )
        )
