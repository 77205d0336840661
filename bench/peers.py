"""Other systems on the same work, each in an environment of its own. None is here yet: one that is asked for says so."""

from __future__ import annotations

from bench.size import Figures, Size


def measured(peer: str, name: str, size: Size) -> Figures:
    """The figures of a peer for a benchmark, or `{"error": …}` where it cannot be run."""
    return {"error": f"{peer} is not known here: nobody has written how {name} runs on it"}
