"""Simulated tools whose effects can be asked about or taken back, with every trouble that either can have.

How each call goes is one of scenario.WAYS, and how taking it back goes one of scenario.BACKS.
"""

from __future__ import annotations

import asyncio

from standpipe.drivers.tools.python import DidNotHappen, Happened, Tool, tool
from standpipe.ports import Done
from standpipe.testing.outside import Outside

UNDO = " taken back"
"""What an effect that was taken back is called after its tool."""


class Counter:
    """Where things are booked: what was done under which key, and how calls were to go."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._ways: dict[str, str] = {}
        self._backs: dict[str, str] = {}

    def expect(self, key: str, back: str) -> None:
        """How it will go when somebody wants to take back what is done under a key."""
        self._backs[key] = back

    async def take(self, name: str, asked: tuple[str, int, str], key: str) -> str:
        """Do it, after half of the time it takes."""
        text, ms, way = asked
        self._ways[key] = way
        await asyncio.sleep(ms / 2000)
        if way == "never" or (way == "early" and self._outside.failures(key) < 2):
            raise ConnectionError("too early to say")
        self._outside.act(key, name, text)
        await asyncio.sleep(ms / 2000)
        if way in ("silent", "lost", "shaky", "stuck"):
            raise ConnectionError("no answer")
        return f"{name}: {text}"

    async def find(self, name: str, key: str) -> Happened | DidNotHappen | None:
        """What came of a key."""
        way = self._ways.get(key, "")
        await asyncio.sleep(0.3)
        if way == "stuck" or (way == "shaky" and self._outside.failures(key) < 2):
            raise ConnectionError("not now")
        if way == "lost":
            return None
        return Happened(name) if self._outside.acted(key, name) else DidNotHappen()

    async def give_back(self, name: str, done: Done, key: str) -> str:
        """Take back what was done under `done.key`, under a key of its own."""
        back = self._backs.get(done.key, "")
        await asyncio.sleep(0.2)
        if not self._outside.acted(done.key, name):
            self._outside.faults.append(f"{name} was to be taken back and had never happened")
        if back == "stuck" or (back == "shaky" and self._outside.failures(key) < 1):
            raise ConnectionError("not now")
        self._outside.act(key, name + UNDO, done.key)
        return "taken back"


def bookings(outside: Outside) -> tuple[Tool, ...]:
    """One tool that can be asked, one that can take back, one that can do both."""
    counter = Counter(outside)

    async def paid(key: str) -> Happened | DidNotHappen | None:
        return await counter.find("pay", key)

    async def shipped(key: str) -> Happened | DidNotHappen | None:
        return await counter.find("ship", key)

    async def unbook(done: Done, idempotency_key: str = "") -> str:
        return await counter.give_back("book", done, idempotency_key)

    async def unship(done: Done, idempotency_key: str = "") -> str:
        return await counter.give_back("ship", done, idempotency_key)

    @tool(effect="write", timeout_s=5, reconcile=paid)
    async def pay(text: str, ms: int, way: str, idempotency_key: str = "") -> str:
        """Pays, and can be asked whether it did."""
        return await counter.take("pay", (text, ms, way), idempotency_key)

    @tool(effect="write", timeout_s=5, compensate=unbook)
    async def book(text: str, ms: int, back: str, idempotency_key: str = "") -> str:
        """Books, and can take it back."""
        counter.expect(idempotency_key, back)
        return await counter.take("book", (text, ms, "fine"), idempotency_key)

    @tool(effect="write", timeout_s=5, reconcile=shipped, compensate=unship)
    async def ship(text: str, ms: int, way: str, back: str, idempotency_key: str = "") -> str:
        """Ships, can be asked and can take it back."""
        counter.expect(idempotency_key, back)
        return await counter.take("ship", (text, ms, way), idempotency_key)

    return (pay, book, ship)
