"""How decisions are written down: each new fact gets its place, so that what it brings can be named before it is applied."""

from __future__ import annotations

from standpipe.core.events import AnyFact, Cause, Event

REFUSALS = frozenset(
    (
        *("arguments", "budget", "cancelled", "contracted", "deadline", "denied", "expired", "in doubt", "no model"),
        *("not offered", "not_found", "second answer", "second question", "steps", "void"),
    )
)
"""Every code a CallRefused can have."""


class Recorder:
    """Gives new facts their place after `seq`, so that their items can be named before they are applied."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.events: list[Event] = []

    @property
    def next(self) -> int:
        """The seq of the next fact."""
        return self.seq + len(self.events) + 1

    def add(self, fact: AnyFact, *causes: Cause, by: str = "runtime") -> int:
        """Record a fact and what led to it (zeros are left out); its seq."""
        self.events.append(Event(self.next, by, tuple(dict.fromkeys(c for c in causes if c)), fact))
        return self.events[-1].seq
