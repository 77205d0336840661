"""What came of one simulated life."""

from __future__ import annotations

from typing import Literal

import msgspec

from standpipe.core.amounts import Balance
from standpipe.core.events import Frame
from standpipe.testing.outside import Effect
from standpipe.testing.scenario import Scenario

Mode = Literal["plain", "safety", "liveness"]
"""Plain: nothing strikes but what the scenario itself holds, and processes crash where they are told to. Safety: faults strike
for ever, and what must never happen does not. Liveness: they stop after a while, and everything ends."""


class Run(msgspec.Struct, frozen=True):
    """What came of a scenario: all logs, all effects, the ledger, what went wrong, and the boundaries that were crossed.

    `met` is how often each fault met each state, `calm_at` the instant (ms since 1970) from which nothing strikes any more, and
    `skew_ms` how far apart clocks were.
    """

    scenario: Scenario
    logs: dict[str, list[Frame]]
    effects: tuple[Effect, ...]
    accounts: dict[str, Balance]
    faults: tuple[str, ...]
    boundaries: tuple[str, ...]
    crashes: tuple[int, ...]
    mode: Mode = "plain"
    met: dict[str, dict[str, int]] = {}
    calm_at: int = 0
    skew_ms: int = 0
    digest: str = ""
