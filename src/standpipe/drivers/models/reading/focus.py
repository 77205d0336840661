"""The very thing a question asks for: the noun phrase behind its question word, which nothing else can stand for."""

from __future__ import annotations

import re

from standpipe.drivers.models.reading.terms import words

_ASKS = frozenset("what which who where when whose whom".split())
_COUNTS = frozenset("many much long often soon fast big large quickly".split())
_SKIPPED = frozenset(
    """the a an our your my their this that these those is are was were does do did s it its to any all some each kind kinds
    type sort""".split()
)
_ENDS = frozenset(
    """for in on at from by with per when if who can could should must will would may has have had after before during while
    used use uses called mean means because so but than as into onto over under about between without within happens happen
    not i we you one they he she there here make makes made cause causes caused""".split()
)
_SUBJECTS = frozenset("i we you one they he she it people someone somebody anyone everybody".split())
_PARTICLES = frozenset("up out over off down back in on away into for at".split())
_AUXILIARIES = frozenset("do does did can could should would must will to is are may might shall".split())
_OPENINGS = frozenset(
    "and but so then also please in on at for to from of by with under since hey hi hello ok okay well".split()
)


def focus(clause: str) -> list[list[str]]:
    """The words of the thing asked for, in pieces cut at `and` and `of`; none where a clause follows directly."""
    said = [word for word in words(re.sub(r"['’]s\b", "", clause))]
    place = 0
    while place < len(said) and said[place].lower() in _OPENINGS:
        place += 1
    if place == len(said):
        return []
    opener = said[place].lower()
    if opener == "how":
        return _after_how(said[place + 1 :])
    return _phrase(said[place + 1 :]) if opener in _ASKS else []


def _after_how(said: list[str]) -> list[list[str]]:
    """`how many X`, or the object of `how do I VERB X`, or the subject of `how does X ...`."""
    if said and said[0].lower() in _COUNTS:
        rest = said[1:]
        while rest and rest[0].lower() in _AUXILIARIES | {"should"}:
            rest = rest[1:]
        return _phrase(rest)
    if not said or said[0].lower() not in _AUXILIARIES:
        return []
    first = said[0].lower()
    rest = said[1:]
    if first == "to" or (rest and rest[0].lower() in _SUBJECTS):
        rest = rest[1:] if first != "to" else rest
        rest = rest[1:]  # the verb
        if rest and rest[0].lower() in _PARTICLES:
            rest = rest[1:]
    return _phrase(rest)


def _phrase(said: list[str]) -> list[list[str]]:
    """The words up to where the noun phrase ends, cut at `and` and `of`."""
    found: list[list[str]] = [[]]
    for word in said:
        if word.isupper() and len(word) > 1:
            found[-1].append(word)
        elif word.lower() in ("and", "or", "of"):
            found.append([])
        elif word.lower() in _ENDS:
            break
        elif word.lower() not in _SKIPPED:
            found[-1].append(word)
    return [group for group in found if group]
