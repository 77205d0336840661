"""Vectors of what a turn may use: money, tokens, calls, steps; integers only, never negative in a log."""

from __future__ import annotations

import msgspec


class Amounts(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An amount of everything that is counted. `microusd` is money in millionths of a US dollar."""

    microusd: int = 0
    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    steps: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.microusd + other.microusd,
            self.tokens + other.tokens,
            self.model_calls + other.model_calls,
            self.tool_calls + other.tool_calls,
            self.steps + other.steps,
        )

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.microusd - other.microusd,
            self.tokens - other.tokens,
            self.model_calls - other.model_calls,
            self.tool_calls - other.tool_calls,
            self.steps - other.steps,
        )

    def capped(self, *, microusd: int) -> Amounts:
        """The same amounts with no more than `microusd` of money."""
        return msgspec.structs.replace(self, microusd=min(self.microusd, microusd))

    def short(self, limit: Amounts) -> str:
        """The name of the first component in which this exceeds `limit`, or the empty string if it fits."""
        for name in ("microusd", "tokens", "model_calls", "tool_calls", "steps"):
            if getattr(self, name) > getattr(limit, name):
                return name
        return ""


NOTHING = Amounts()


class Limits(msgspec.Struct, frozen=True, gc=False):
    """What one turn may use, and how long it may take."""

    amounts: Amounts
    deadline_ms: int


class Move(msgspec.Struct, frozen=True, gc=False):
    """A change to one ledger row: `held` and `spent` in micro-dollars, added; `limit` (None: none) is the row's limit.

    A row is refused (`Short`) when it would end with spent + held above its limit, unless the move only lowers it.
    """

    account: str
    held: int = 0
    spent: int = 0
    limit: int | None = None


class Balance(msgspec.Struct, frozen=True, gc=False):
    """One ledger row as read: micro-dollars."""

    held: int = 0
    spent: int = 0
