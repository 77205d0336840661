"""This process in numbers, for Prometheus: counted from the log after the fact, without the name of anybody or anything.

What the drives of this process wrote is read again some seconds later or when somebody asks, so no call and no append waits
for it. Each server process tells of its own turns and calls; over all of them they add up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sized

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from standpipe.core.events import (
    CallCancelled,
    CallCompleted,
    CallFailed,
    CallGranted,
    CallInterrupted,
    Event,
    ScopeEnded,
    TurnEnded,
)
from standpipe.engine.house import House

MEDIA_TYPE = CONTENT_TYPE_LATEST
PAGE_FRAMES = 64
"""Frames of a log that are read at once."""
BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60)
"""From a tool of this machine to the deadline that a turn has by default."""

OVER = {CallCompleted: "completed", CallFailed: "failed", CallCancelled: "cancelled", CallInterrupted: "interrupted"}


class Metrics:
    """The numbers of one server. `connections` are those that are open."""

    def __init__(self, house: House) -> None:
        self._house, self._log, self._by = house, house.ports.log, house.setup.by
        self.connections: Sized = ()
        self._after: dict[str, int] = {}
        self._counting = asyncio.Lock()
        own = self._registry = CollectorRegistry()
        self._turns = Counter("standpipe_turns", "Turns that are over.", ["outcome"], registry=own)
        self._calls = Counter("standpipe_calls", "Calls that are over.", ["kind", "outcome"], registry=own)
        self._seconds = Histogram(
            "standpipe_call_seconds", "How long calls took to give a result or fail.", ["kind"], registry=own, buckets=BUCKETS_S
        )
        self._tokens = Counter("standpipe_tokens", "Tokens used by turns that are over.", registry=own)
        self._cost = Counter("standpipe_cost_microusd", "Cost of turns that are over, in millionths of a dollar.", registry=own)
        self._running = Gauge("standpipe_running_sessions", "Sessions that this process drives.", registry=own)
        self._parked = Gauge("standpipe_parked_sessions", "Sessions of the store that wait for a person.", registry=own)
        self._open = Gauge("standpipe_open_connections", "Connections that are open.", registry=own)
        house.listen(self._began)

    async def text(self) -> bytes:
        """All numbers as they are now, in the text format of Prometheus."""
        await self.count()
        self._running.set(len(self._house.driving))
        self._parked.set(sum(row.state == "parked" for row in await self._log.rows()))
        self._open.set(len(self.connections))
        return generate_latest(self._registry)

    async def count(self) -> None:
        """Count what was written since the last time, each event once."""
        async with self._counting:
            for session in list(self._after):
                driven = session in self._house.driving
                after = await self._counted(session, self._after.pop(session))
                if driven or session in self._after:  # there is more to come, or a drive began meanwhile
                    self._after[session] = max(after, self._after.get(session, 0))
                await asyncio.sleep(0)

    def _began(self, session: str, seq: int) -> None:
        self._after.setdefault(session, seq)

    async def _counted(self, session: str, after: int) -> int:
        """Count the session's events after seq `after` that this process wrote; the last seq there is."""
        while frames := await self._log.read(session, after, bodies=False, limit=PAGE_FRAMES):
            for event in (event for frame in frames if frame.by == self._by for event in frame.events):
                await self._take(session, event)
            after = frames[-1].last_seq
        return after

    async def _take(self, session: str, event: Event) -> None:
        fact = event.fact
        match fact:
            case TurnEnded():
                self._turns.labels(fact.outcome).inc()
                self._tokens.inc(fact.spent.tokens)
                self._cost.inc(fact.spent.microusd)
            case ScopeEnded():
                self._calls.labels("agent", fact.outcome).inc()
            case CallCompleted() | CallFailed() | CallCancelled() | CallInterrupted():
                kind = await self._kind(session, fact.call, event.causes[0])
                self._calls.labels(kind, OVER[type(fact)]).inc()
                if isinstance(fact, CallCompleted | CallFailed):
                    self._seconds.labels(kind).observe(fact.elapsed_ms / 1000)
            case _:
                pass

    async def _kind(self, session: str, call: str, granted: int | str) -> str:
        """What performs a call, as it was granted at event `granted`."""
        assert isinstance(granted, int)
        for frame in await self._log.read(session, granted - 1, bodies=False, limit=1):
            for fact in (event.fact for event in frame.events):
                if isinstance(fact, CallGranted) and fact.call == call:
                    return "model" if fact.route is not None else "tool"
        raise AssertionError("a call that is over was granted")
