"""The content of workload W1: what a model says and a tool returns in a step, no two of them alike."""

from __future__ import annotations

import random

MODEL_BYTES = 900
"""Text that a model says beside its call; with the call some 1,000 bytes."""
TOOL_BYTES = 1_900
"""Text that a tool returns; with its field names some 2,000 bytes."""
STEPS = 10
"""Steps of a turn."""

_POOL = "".join(random.Random(20).choices("abcdefghijklmnopqrstuvwxyz     ", k=65_536))


def text(key: str, size: int) -> str:
    """`size` letters that no other key has, and that do not compress to nothing; always the same for one key."""
    start = sum(ord(letter) * (n + 7) * 131 for n, letter in enumerate(key)) % (len(_POOL) - size)
    return f"{key} {_POOL[start : start + size - len(key) - 1]}"
