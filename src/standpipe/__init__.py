"""Standpipe: a production runtime for AI agents. Public names load on first use, so that importing does nothing."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Agent": "standpipe.wiring",
    "Answer": "standpipe.core.items",
    "DidNotHappen": "standpipe.drivers.tools.python",
    "Done": "standpipe.ports",
    "Happened": "standpipe.drivers.tools.python",
    "House": "standpipe.engine.house",
    "Item": "standpipe.core.items",
    "NotFound": "standpipe.errors",
    "Refused": "standpipe.errors",
    "StandpipeError": "standpipe.errors",
    "StoreError": "standpipe.errors",
    "Tool": "standpipe.drivers.tools.python",
    "ToolCall": "standpipe.core.items",
    "Turn": "standpipe.engine.house",
    "UsageError": "standpipe.errors",
    "open": "standpipe.wiring",
    "testing": "standpipe.testing",
    "tool": "standpipe.drivers.tools.python",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'standpipe' has no attribute {name!r}")
    module = importlib.import_module(home)
    return module if home == f"standpipe.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
