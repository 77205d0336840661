"""What a process says with its exit status, the same for every verb."""

from __future__ import annotations

from standpipe.errors import StandpipeError, UsageError

DONE = 0
USAGE = 2
PARTIAL = 3
FAILED = 4
"""Refused, failed, not found, or violations."""
PARKED = 5
CANCELLED = 130

OUTCOMES = {"completed": DONE, "partial": PARTIAL, "failed": FAILED, "parked": PARKED, "cancelled": CANCELLED}
"""A turn's outcome as an exit status."""


def of_error(error: StandpipeError) -> int:
    """The exit status that goes with an error a person meets."""
    return USAGE if isinstance(error, UsageError) else FAILED
