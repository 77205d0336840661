"""Model providers. The HTTP client loads on first use: who has no remote provider does not pay for it."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name not in ("ChatModels", "Deadlines", "Endpoint"):
        raise AttributeError(f"module 'standpipe.drivers.models' has no attribute {name!r}")
    return getattr(importlib.import_module("standpipe.drivers.models.http"), name)
