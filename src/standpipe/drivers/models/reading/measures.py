"""Numbers with their units: what a text says the amount of something is, in units that can be compared."""

from __future__ import annotations

import re

import msgspec

from standpipe.drivers.models.reading.terms import STOP, stem


class Measure(msgspec.Struct, frozen=True):
    """An amount as it stands at `start`..`end` of a text: `amount` in the base unit of `dimension` (ms, bytes, percent, a
    currency; else the stem of what is counted, with what it is counted per; empty for a bare number)."""

    start: int
    end: int
    written: str
    amount: float
    dimension: str


_UNITS: dict[str, tuple[str, float]] = {}
for _names, _dimension, _factor in (
    ("ms msec msecs millisecond milliseconds", "ms", 1),
    ("s sec secs second seconds", "ms", 1_000),
    ("min mins minute minutes", "ms", 60_000),
    ("h hr hrs hour hours", "ms", 3_600_000),
    ("d day days", "ms", 86_400_000),
    ("week weeks", "ms", 604_800_000),
    ("b byte bytes", "bytes", 1),
    ("kb kilobyte kilobytes", "bytes", 1e3),
    ("mb megabyte megabytes", "bytes", 1e6),
    ("gb gigabyte gigabytes", "bytes", 1e9),
    ("tb terabyte terabytes", "bytes", 1e12),
    ("kib", "bytes", 2**10),
    ("mib mebibyte mebibytes", "bytes", 2**20),
    ("gib gibibyte gibibytes", "bytes", 2**30),
    ("tib tebibyte tebibytes", "bytes", 2**40),
    ("% percent", "percent", 1),
    ("$ usd dollar dollars", "$", 1),
    ("€ eur euro euros", "€", 1),
    ("£ gbp pound pounds", "£", 1),
):
    _UNITS.update({name: (_dimension, float(_factor)) for name in _names.split()})

_MEASURE = re.compile(
    r"""(?<![\w.,:/\#-])(?P<money>[$€£])?(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<scale>k|K)?
    (?![\d:/-]|\.\d|,\d)
    (?:[ \t]?(?P<sign>%)|(?P<near>[A-Za-z]{1,3})\b|[ \t-](?P<unit>[A-Za-z][A-Za-z-]*))?
    (?:[ \t](?P<per>per|a|an|each)[ \t](?P<each>[A-Za-z]+)|/(?P<slash>[a-z]+))?""",
    re.X,
)
_NO_COUNT = frozenset("and or to of in on at for is are was were the with than from by as utc gmt am pm st nd rd th".split())


def measures(text: str) -> list[Measure]:
    """The amounts in a text; dates, times of day, versions, ranges and identifiers are none."""
    return [found for match in _MEASURE.finditer(text) if (found := _measure(match)) is not None]


def _measure(match: re.Match[str]) -> Measure | None:
    number = float(match["number"].replace(",", "")) * (1000 if match["scale"] else 1)
    word = match["money"] or match["sign"] or match["near"] or match["unit"] or ""
    per, end = match["each"] or match["slash"] or "", match.end()
    if match["per"] in ("a", "an", "each") and match["each"] and match["each"].lower() not in _UNITS:
        per, end = "", match.start("per") - 1
    name = word if word in ("", "%", "$", "€", "£") else word.lower().split("-")[0]
    if match["near"] and name not in _UNITS:
        return None
    if name and name not in _UNITS and (name in STOP or name in _NO_COUNT):
        name, end = "", match.end("number") + len(match["scale"] or "")
        per = ""
    if not name and not per and 1900 <= number <= 2099 and "," not in match["number"]:
        return None
    dimension, factor = _UNITS.get(name, (stem(name) if name else "", 1.0))
    if per:
        unit = _UNITS.get(per.lower())
        dimension = f"{dimension}/{per.lower()[:1] if unit and unit[0] == 'ms' else stem(per)}"
    return Measure(match.start(), end, match.string[match.start() : end], number * factor, dimension)
