"""How the state of a session is had: from its last snapshot and the frames after it; when another one is worth taking.

A snapshot is only a cache: one of other rules, or one that cannot be read, is passed over, and the whole log folded.
"""

from __future__ import annotations

import msgspec

from standpipe.core.apply import fold
from standpipe.core.state import State
from standpipe.ports import Log, Snapshot

EVENTS_MIN = 128
"""Events after which another snapshot is taken: to fold so many takes about as long as to write one."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(State)


async def opened(log: Log, session: str, rules: str) -> State:
    """The session's state as of the end of its log; seq 0 for a session that does not exist. Raises StoreError."""
    kept = await log.snapshot(session)
    state = _read(kept) if kept is not None and kept.rules == rules else None
    return fold(await log.read(session, state.seq if state is not None else 0), state)


async def snapshot(log: Log, state: State, rules: str) -> Snapshot | None:
    """A snapshot of a state between two turns, if it is worth one. Raises StoreError."""
    if state.turn is not None or state.waiting or state.seq < EVENTS_MIN:
        return None
    kept = await log.snapshot(state.session)
    if kept is not None and kept.rules == rules and state.seq - kept.seq < EVENTS_MIN:
        return None
    return Snapshot(state.seq, rules, _ENCODER.encode(state))


def _read(kept: Snapshot) -> State | None:
    try:
        state = _DECODER.decode(kept.state)
    except msgspec.DecodeError:
        return None
    return state if state.seq == kept.seq else None
