"""Where two logs tell different stories: events aligned by the turn, step and call they are about, whenever they happened.

What follows from place, time or chance is no difference: seqs, instants, durations, keys, request ids, revisions. An item is
its kind, its content and its sources, wherever it stands; the order of what runs side by side does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from standpipe.core.events import AnyFact, CallRefused, Event, Frame, SessionForked, StepEnded
from standpipe.core.ids import ask_id
from standpipe.core.items import Item
from standpipe.core.past import said_of, said_of_fact
from standpipe.core.shares import Shares

SESSION = "session"
"""What events are about that are about no turn."""
_CHANCE = {
    *("accounts", "at", "base", "deadline_at", "digest", "effect", "elapsed_ms", "first_content_ms", "intent", "key"),
    *("parent", "recorded", "request", "revision", "session", "soft_at", "type", "undo", "until"),
}
"""Fields that follow from place, time or chance."""
_REFERENCES = {"answers", "call_item", "item"}
"""Fields that name an item, alone or as the first of a pair."""


class Difference(msgspec.Struct, frozen=True):
    """One field of a fact, as it is in the first log and in the second; items are in words."""

    field: str
    a: Any
    b: Any


class Divergence(msgspec.Struct, frozen=True):
    """A fact of kind `kind` about `about` that differs: it is event `a` of the first log and `b` of the second, 0 where it is
    missing; then `says` tells the one there is in words."""

    about: str
    kind: str
    a: int
    b: int
    says: str = ""
    fields: tuple[Difference, ...] = ()


_Key = tuple[str, str, int]


class _Told:
    """One log: its events by what they are about and which of its kind they are, and its items."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.events: dict[_Key, Event] = {}
        self.items: dict[str, Item] = {}
        shares, counts = Shares(), Counter[tuple[str, str]]()
        for event in (event for frame in frames for event in frame.events):
            home = shares.take(event.fact)
            self.items |= {item.id: item for item in getattr(event.fact, "items", ())}
            if not isinstance(event.fact, SessionForked):
                name = (_about(event.fact, home, shares.turn), type(event.fact).__name__)
                counts[name] += 1
                self.events[(*name, counts[name])] = event

    def named(self, id: object) -> str:
        """An item by its kind and content, wherever it stands."""
        item = self.items.get(str(id))
        return f"{item.kind} {item.hash}" if item is not None else ""


def diff(a: Iterable[Frame], b: Iterable[Frame]) -> tuple[Divergence, ...]:
    """All divergences of two logs (each from its beginning), in the order of the first; none where they tell the same."""
    one, other = _Told(a), _Told(b)
    found = []
    for key in _in_order(one.events, other.events):
        about, kind, _ = key
        here, there = one.events.get(key), other.events.get(key)
        if here is not None and there is not None:
            fields = tuple(_differences(here.fact, one, there.fact, other))
            found += [Divergence(about, kind, here.seq, there.seq, fields=fields)] if fields else []
        elif (only := here or there) is not None:
            seqs = (only.seq, 0) if here is not None else (0, only.seq)
            found.append(Divergence(about, kind, *seqs, says=_says(only.fact)))
    return tuple(found)


def _about(fact: AnyFact, home: str, turn: str) -> str:
    if isinstance(fact, StepEnded | CallRefused) and fact.step:
        return ask_id(turn, fact.step)
    named = (getattr(fact, field, "") for field in ("call", "ask", "scope", "turn"))
    return next(filter(None, named), home) or SESSION


def _in_order(a: Mapping[_Key, Event], b: Mapping[_Key, Event]) -> list[_Key]:
    """The keys of both: those of the first in its order, one that only the second has behind what it has before it."""
    places = {key: (n, 0) for n, key in enumerate(a)}
    last = -1
    for n, key in enumerate(b, 1):
        last = places[key][0] if key in a else last
        places.setdefault(key, (last, n))
    return sorted(places, key=lambda key: places[key])


def _differences(here: AnyFact, one: _Told, there: AnyFact, other: _Told) -> Iterator[Difference]:
    old, new = _essence(here, one), _essence(there, other)
    for field in {**old, **new} if old != new else ():
        if old.get(field) != new.get(field):
            if field == "items":
                yield Difference(field, *([said_of(item) for item in getattr(fact, "items", ())] for fact in (here, there)))
            else:
                yield Difference(field, old.get(field), new.get(field))


def _essence(fact: AnyFact, told: _Told) -> dict[str, Any]:
    """A fact without what follows from place, time or chance."""
    plain = {name: getattr(fact, name) for name in fact.__struct_fields__ if name not in _CHANCE}
    if "items" in plain:
        plain["items"] = [(item.kind, item.hash, item.label, told.named(item.answers), item.step) for item in plain["items"]]
    if "ids" in plain:
        plain["ids"] = sorted(told.named(id) for id in plain["ids"])
    if "sources" in plain and all(isinstance(source, int | str) for source in plain["sources"]):
        del plain["sources"]
    return {name: _bare(msgspec.to_builtins(value), name, told) for name, value in plain.items()}


def _bare(value: Any, name: str, told: _Told) -> Any:
    if name in _REFERENCES:
        return told.named(value)
    if isinstance(value, dict):
        return {key: _bare(inner, key, told) for key, inner in value.items() if key not in _CHANCE}
    if name in ("added", "dropped"):
        return sorted([told.named(item), why] for item, why in value)
    if isinstance(value, list | tuple):
        return [_bare(inner, "", told) for inner in value]
    return value


def _says(fact: AnyFact) -> str:
    said, name = said_of_fact(fact), type(fact).__name__
    if said.startswith(name):
        fields = ((field, getattr(fact, field)) for field in fact.__struct_fields__ if field not in _CHANCE)
        said = ", ".join(f"{field} {value}" for field, value in fields if isinstance(value, str | int) and value)
    return "; ".join([said, *(said_of(item) for item in getattr(fact, "items", ()))])
