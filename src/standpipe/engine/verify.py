"""Looks for what a store must never hold: broken chains, and sessions whose facts break a promise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from standpipe.core.events import Frame
from standpipe.core.frames import items_of
from standpipe.core.tools import AgentSpec
from standpipe.core.verify import ONCE, REPEATABLE, violations
from standpipe.engine.show import erased_in
from standpipe.errors import NotFound, StoreError
from standpipe.ports import Log


class Verified(msgspec.Struct, frozen=True):
    """How many sessions and events were looked at, and what is wrong, a sentence each. `erased` are item bodies that are not
    there any more, as the logs say."""

    sessions: int
    events: int
    violations: tuple[str, ...]
    erased: int = 0


async def verify(log: Log, session: str | None = None) -> Verified:
    """Check the chains of the whole store, and the promises in one session or in all of them, one session in memory at a time.

    Raises NotFound for a session that does not exist, StoreError when the store fails.
    """
    names = [session] if session is not None else [row.session for row in await log.rows()]
    found, events = await log.chain(), 0
    known: dict[str, Mapping[str, str]] = {}
    erased: set[str] = set()
    for name in names:
        try:
            frames = await log.read(name)
            await _learn(log, known, frames)
        except (msgspec.DecodeError, StoreError):
            found.append(f"Session {name} cannot be read.")
            continue
        if not frames:
            raise NotFound("There is no such session. `standpipe sessions` lists those that exist.")
        events += sum(len(frame.events) for frame in frames)
        found += [f"Session {name}, {text}" for text in violations(frames, known)]
        gone = erased_in(frames)
        for item in (item for frame in frames for event in frame.events for item in items_of(event) if item.body is None):
            erased.add(item.hash)
            if item.id not in gone:
                found.append(f"Session {name}: the body of item {item.id} is gone, and nobody had it erased.")
    return Verified(len(names), events, tuple(found), len(erased))


async def _learn(log: Log, known: dict[str, Mapping[str, str]], frames: Iterable[Frame]) -> None:
    """What the tools do that these frames were decided with, for those agents that are not yet known."""
    digests = {frame.world.parts["agents"] for frame in frames if "agents" in frame.world.parts}
    for digest, part in (await log.parts(sorted(digests - known.keys()))).items():
        agents = msgspec.json.decode(part, type=dict[str, AgentSpec])
        known[digest] = {
            tool.name: REPEATABLE if tool.idempotent else ONCE
            for agent in agents.values()
            for tool in agent.tools
            if tool.effect != "read"
        }
