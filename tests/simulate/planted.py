"""Sessions that really ran, and how faults are planted in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec.structs import replace
from tests.simulate.drawn import drawn
from tests.simulate.sessions import told
from tests.simulate.stories import Revising, Writing, asked, crashed

from standpipe.core.events import Event, Frame
from standpipe.core.verify import ONCE, REPEATABLE, violations

SEEDS = range(100, 150)
"""Drawn sessions in which nearly every kind of fact occurs."""


class Log:
    """The events of a session as a list that can be edited, each with the frame it came in."""

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = frames
        self.events = [(n, event) for n, frame in enumerate(frames) for event in frame.events]

    def where(self, kind: type, fits: Callable[[Any], bool] = lambda fact: True, after: int = -1) -> int:
        """The place of the first such fact after place `after`; raises Absent if there is none."""
        for place, (_, event) in enumerate(self.events):
            if place > after and isinstance(event.fact, kind) and fits(event.fact):
                return place
        raise Absent(kind.__name__)

    def fact(self, place: int) -> Any:
        """The fact at a place."""
        return self.events[place][1].fact

    def put(self, place: int, **changes: Any) -> None:
        """Change fields of the fact at a place."""
        frame, event = self.events[place]
        self.events[place] = (frame, replace(event, fact=replace(event.fact, **changes)))

    def caused(self, place: int, *causes: Any) -> None:
        """Change the causes of the event at a place."""
        frame, event = self.events[place]
        self.events[place] = (frame, replace(event, causes=causes))

    def insert(self, place: int, fact: Any, *causes: Any) -> None:
        """Put a fact after the one at a place; its seq is the same, so that no other event is named anew."""
        frame, event = self.events[place]
        self.events.insert(place + 1, (frame, Event(event.seq, "test", causes or event.causes, fact)))

    def drop(self, place: int) -> None:
        """Take the event at a place out."""
        del self.events[place]

    def found(self) -> list[str]:
        """What is said of it now."""
        frames = [
            replace(frame, events=tuple(event for n, event in self.events if n == number))
            for number, frame in enumerate(self.frames)
        ]
        return violations((frame for frame in frames if frame.events), effects(self.frames))


class Absent(Exception):
    """This session has nothing to plant the fault in."""


def effects(frames: list[Frame]) -> dict[str, dict[str, str]]:
    """What the tools of the stage do, under the digests that the frames name."""
    known = {"write": ONCE, "send": ONCE, "put": REPEATABLE}
    return {frame.world.parts["agents"]: known for frame in frames if frame.world.parts}


@cache
def logs() -> list[list[Frame]]:
    """The sessions in which faults are planted."""

    async def whole(log: Any) -> list[list[Frame]]:
        return [await log.read(row.session) for row in await log.rows()]

    stages = [told(Revising(), asked)[0], told(Writing(), crashed)[0], *(drawn(seed) for seed in SEEDS)]
    return [frames for stage in stages for frames in asyncio.run(whole(stage.log))]


Plant = Callable[[Log], None]
Faults = dict[str, tuple[Plant, str]]


def fault(faults: Faults, said: str) -> Callable[[Plant], Plant]:
    """Keep a fault, and what must be said of it."""

    def keep(plant: Plant) -> Plant:
        faults[plant.__name__] = (plant, said)
        return plant

    return keep


def said_of(plant: Plant) -> list[str]:
    """What is said of the first session that has a place for the fault; raises Absent if none has."""
    for frames in logs():
        log = Log(frames)
        try:
            plant(log)
        except Absent:
            continue
        return log.found()
    raise Absent(plant.__name__)


def model_grant(fact: Any) -> bool:
    """Whether a grant is of a model, and not the final call."""
    return fact.route is not None and not fact.manifest.final


def with_items(fact: Any) -> bool:
    """Whether a fact brings items."""
    return bool(fact.items)
