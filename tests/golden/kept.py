"""Golden logs: stores of one version as text, the log they make when they are read again, and what must not change in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from standpipe.core.apply import apply
from standpipe.core.events import Event, Frame, SessionForked
from standpipe.core.frames import decode_frame, encode_frame, fill, items_of, strip
from standpipe.core.ids import HOUSE, digest, digest_bytes
from standpipe.core.items import encode_body
from standpipe.core.state import State, Turn
from standpipe.ports import Log, SessionRow

FOLDER = Path(__file__).parent


class Kept(msgspec.Struct, frozen=True):
    """One log: its own frames as they were stored, what its state was behind each, and what is behind the last in words."""

    session: str
    frames: list[str]
    states: list[str]
    ends: str


class Golden(msgspec.Struct, frozen=True):
    """A store: its logs, the item bodies by hash and the parts of worlds by digest."""

    about: str
    logs: list[Kept]
    bodies: dict[str, str]
    parts: dict[str, str]

    def own(self, session: str) -> list[bytes]:
        """The stored bytes of a session's own frames."""
        return next(([frame.encode() for frame in kept.frames] for kept in self.logs if kept.session == session), [])

    async def read(self, session: str, *_: Any, **__: Any) -> list[Frame]:
        """As the Log port says: a whole log, with the bodies."""
        bodies = {hash: body.encode() for hash, body in self.bodies.items()}
        own = [fill(decode_frame(data), bodies) for data in self.own(session)]
        fork = own[0].events[0].fact if own else None
        shared = await self.read(fork.parent) if isinstance(fork, SessionForked) else []
        return [*(frame for frame in shared if isinstance(fork, SessionForked) and frame.last_seq <= fork.at), *own]

    async def parts_of(self, digests: Sequence[str]) -> dict[str, bytes]:
        """World parts by digest."""
        return {name: self.parts[name].encode() for name in digests if name in self.parts}


class GoldenLog:
    """As much of the Log port as `replay` and `verify` need."""

    def __init__(self, golden: Golden) -> None:
        self._golden = golden
        self.read = golden.read
        self.parts = golden.parts_of

    async def rows(self) -> list[SessionRow]:
        """All sessions."""
        return [SessionRow(kept.session, "", "", "") for kept in self._golden.logs if kept.session != HOUSE]

    async def chain(self) -> list[str]:
        """Golden logs have no commits; their frames are held against each other by a test."""
        return []


def read(name: str) -> Golden:
    """The golden log of that name."""
    return msgspec.json.decode(file(name).read_bytes(), type=Golden)


def file(name: str) -> Path:
    """Where the golden log of that name is."""
    return FOLDER / f"{name}.json"


def names() -> list[str]:
    """All golden logs."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


async def kept(about: str, log: Log) -> Golden:
    """A store as it is kept: of a log that is over."""
    logs: list[Kept] = []
    bodies: dict[str, str] = {}
    parts: dict[str, str] = {}
    rows = [row.session for row in await log.rows()]
    for session in (HOUSE, *rows):
        frames = await log.read(session)
        if not frames:
            continue
        events = [event for frame in frames for event in frame.events]
        bodies |= {i.hash: encode_body(i.body).decode() for e in events for i in items_of(e) if i.body is not None}
        wanted = [name for frame in frames for name in frame.world.parts.values()]
        parts |= {name: data.decode() for name, data in (await log.parts(wanted)).items()}
        cuts = [n for n, frame in enumerate(frames) if isinstance(frame.events[0].fact, SessionForked)]
        own = frames[cuts[-1] :] if cuts else frames
        stored = [encode_frame(replace(frame, events=strip(frame.events)[0])).decode() for frame in own]
        states, state = [], State()
        for frame in frames:
            for event in frame.events:
                apply(state, event)
            states.append(digest(told(state)))
        logs.append(Kept(session, stored, states, ends(state)))
    return Golden(about, logs, bodies, parts)


def ends(state: State) -> str:
    """What a log came to, in words."""
    return "; ".join(f"{c.turn} {c.outcome} ({c.reason}), {c.cost_microusd} micro-dollars" for c in state.closed)


def told(state: State) -> dict[str, Any]:
    """What a state says, in words that do not change with the names of its fields."""
    closed = [
        [c.turn, c.outcome, c.reason, c.cost_microusd, c.ended, c.remembered, c.answer.hash if c.answer else ""]
        for c in state.closed
    ]
    who = [state.session, state.tenant, state.principal, state.agent, state.parent, state.parked]
    waiting = [asked.turn for asked in state.waiting]
    shares = [_turn(turn) for turn in (state.turn, *state.turn.scopes.values())] if state.turn is not None else []
    spent = msgspec.to_builtins(state.spent)
    return {"who": who, "seq": state.seq, "closed": closed, "waiting": waiting, "spent": spent, "shares": shares}


def _turn(turn: Turn) -> dict[str, Any]:
    steps = [[s.spec.id, s.spec.kind, s.spec.does, s.attempts, s.outcome, s.reason] for s in turn.steps.values()]
    calls = [[c.id, c.target, c.outcome, c.settled, c.unknown, msgspec.to_builtins(c.hold)] for c in turn.calls.values()]
    amounts = {name: msgspec.to_builtins(getattr(turn, name)) for name in ("spent", "held", "reserve", "limits", "before")}
    items = [[item.id, item.kind, item.hash, item.id in turn.withdrawn] for item in turn.items.values()]
    at = [turn.soft_at, turn.deadline_at, turn.parked_at, turn.cancel, turn.soft, turn.hard]
    return {"id": turn.id, "epoch": turn.epoch, "steps": steps, "calls": calls, "items": items, "at": at, **amounts}


def linked(frames: Sequence[bytes], first: str) -> bool:
    """Whether each of these stored frames was written after the one before it, the first after the one with digest `first`."""
    prevs = [first, *map(digest_bytes, frames)]
    return all(decode_frame(data).prev == prev for data, prev in zip(frames, prevs, strict=False))


def kinds(golden: Golden) -> set[str]:
    """The kinds of facts in a golden log."""
    frames = [decode_frame(data) for kept in golden.logs for data in golden.own(kept.session)]
    events: list[Event] = [event for frame in frames for event in frame.events]
    return {type(event.fact).__name__ for event in events}
