"""Opens a session before its first message, so that it has an id and an owner."""

from __future__ import annotations

from standpipe.core.apply import apply
from standpipe.core.events import SessionOpened
from standpipe.core.record import Recorder
from standpipe.core.state import State
from standpipe.engine.drive import Setup, row_of
from standpipe.errors import NotFound
from standpipe.ports import Append, Appended


async def open_session(setup: Setup, wanted: SessionOpened) -> None:
    """Open a session; durable on return. One that is open already stays as it is.

    Raises NotFound for an agent that does not exist, StoreError.
    """
    agents = setup.fixed.agents
    if wanted.agent not in agents:
        raise NotFound(f"There is no such agent; there are: {', '.join(agents)}.")
    record, state = Recorder(0), State()
    record.add(wanted, by=wanted.principal)
    apply(state, record.events[0])
    append = Append(
        session=wanted.session,
        tenant=wanted.tenant,
        at=setup.ports.clock(),
        by=setup.by,
        rules=setup.rules,
        expect_seq=0,
        events=tuple(record.events),
        row=row_of(state),
    )
    answer = await setup.ports.log.append(append)
    if not isinstance(answer, Appended):
        assert await setup.ports.log.row(wanted.session) is not None, f"session {wanted.session} could not be opened"
