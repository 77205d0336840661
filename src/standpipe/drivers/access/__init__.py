"""Where relations and their revisions are kept and asked, and tool rules judged. Cedar loads on first use: who has no rule file
does not pay for it."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "read_rules":
        raise AttributeError(f"module 'standpipe.drivers.access' has no attribute {name!r}")
    return importlib.import_module("standpipe.drivers.access.cedar").read
