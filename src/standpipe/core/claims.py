"""Typed claims held against each other: who gives another value for the same thing contradicts, and nobody is averaged.

The join is deterministic: the same subject and predicate in canonical form, times that may be the same, values that differ
once numbers and units are brought to one measure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from standpipe.core.items import Claim, Conflict, ConflictValue

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:[,_]\d{3})*(?:\.\d{1,15})?")
_SIZES = ("kilo", "mega", "giga", "tera")
_UNITS: dict[str, tuple[str, str]] = {
    **{name: ("s", "0.001") for name in ("ms", "millisecond", "milliseconds")},
    **{name: ("s", "1") for name in ("s", "sec", "secs", "second", "seconds")},
    **{name: ("s", "60") for name in ("min", "mins", "minute", "minutes")},
    **{name: ("s", "3600") for name in ("h", "hr", "hrs", "hour", "hours")},
    **{name: ("s", "86400") for name in ("d", "day", "days")},
    **{name: ("s", "604800") for name in ("week", "weeks")},
    **{name: ("byte", "1") for name in ("b", "byte", "bytes")},
    **{
        name: ("byte", str(1000**n))
        for n, long in enumerate(_SIZES, 1)
        for name in (f"{long[0]}b", f"{long}byte", f"{long}bytes")
    },
    **{f"{long[0]}ib": ("byte", str(1024**n)) for n, long in enumerate(_SIZES, 1)},
    **{name: ("usd", "1") for name in ("$", "usd", "dollar", "dollars")},
    **{name: ("%", "1") for name in ("%", "percent", "per cent")},
}
"""Unit -> the unit it is counted in, and how many of these it is."""


def disagreements(claims: Iterable[Claim]) -> tuple[Conflict, ...]:
    """A conflict for every thing for which two sources give different values, each value once, in the order of the claims."""
    about: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        about.setdefault((_canonical(claim.subject), _canonical(claim.predicate)), []).append(claim)
    return tuple(found for said in about.values() if (found := _conflict(said)) is not None)


def _conflict(said: list[Claim]) -> Conflict | None:
    sides: dict[tuple[str, str], Claim] = {}
    for claim in said:
        if any(_contradict(claim, other) for other in said):
            sides.setdefault(measured(claim.value, claim.unit), claim)
    if len(sides) < 2:
        return None
    values = tuple(ConflictValue(" ".join(filter(None, (c.value, c.unit))), c.citation) for c in sides.values())
    return Conflict(f"{said[0].predicate} of {said[0].subject}", values)


def _contradict(a: Claim, b: Claim) -> bool:
    same_time = not a.time or not b.time or _canonical(a.time) == _canonical(b.time)
    return same_time and a.citation != b.citation and measured(a.value, a.unit) != measured(b.value, b.unit)


def _canonical(words: str) -> str:
    return " ".join(_WORD.findall(words.casefold()))


def measured(value: str, unit: str = "") -> tuple[str, str]:
    """A value in canonical form: a number in its base unit, anything else as its words. A unit may stand in the value."""
    text = " ".join(f"{value} {unit}".casefold().split())
    number = _NUMBER.match(text)
    if number is None:
        return (_canonical(text) or text, "")
    rest = text[number.end() :].strip()
    base, factor = _UNITS.get(rest, (rest, "1"))
    amount = Decimal(number[0].replace(",", "").replace("_", "")) * Decimal(factor)
    return (format(amount.normalize(), "f"), base)
