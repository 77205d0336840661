"""How large a measurement is, and what one gives."""

from __future__ import annotations

from pathlib import Path

import msgspec

Figures = dict[str, float | int | str]
"""Figures by the names that DESIGN gives them: `p50_ms`, `steps_per_s`, `cpu_s_per_1000`, …"""


class Size(msgspec.Struct, frozen=True):
    """How many sessions at once, how many steps in a session that grows, when to begin nothing more, and where stores go."""

    path: str
    sessions: int = 1
    steps: int = 0
    seconds: float = 5.0

    @property
    def folder(self) -> Path:
        """Where stores go."""
        return Path(self.path)
