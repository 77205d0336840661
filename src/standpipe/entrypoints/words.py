"""How numbers, names and untrusted text are written for a person; nothing here knows what they mean."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text without what could steer a terminal: documents are not trusted with escape sequences or text direction."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(clean(text).split())


def shortened(text: str, chars_max: int) -> str:
    """The text on one line, cut at `chars_max` with an ellipsis."""
    line = one_line(text)
    return line if len(line) <= chars_max else line[: chars_max - 1].rstrip() + "…"


def money(microusd: int) -> str:
    """`0.0123 USD`: no more digits than there are, and at least two."""
    whole, rest = divmod(microusd, 1_000_000)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits} USD"


def plural(count: int, noun: str) -> str:
    """`1 call`, `2 calls`, `2 entries`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("ry") else f"{count:,} {noun}s"


def seconds(ms: int) -> str:
    """`420 ms`, `1.3 s`."""
    return f"{ms} ms" if ms < 1_000 else f"{ms / 1000:.1f} s"
