"""What an invented company configures and where it says so: one quantity differs between two pages, all others agree."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests import company_pages as pages
from tests import company_words as words
from tests.company_pages import Component, Setting, Workload
from tests.company_words import Quantity

INFRASTRUCTURE, ARCHITECTURE, NOTES = "state", "page", "notes"
"""The places where a setting of a service may be stated."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One quantity of one subject for which two readable documents give different values, each as it is written there."""

    subject: str
    quantity: str
    values: tuple[str, str]
    documents: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Decoy:
    """Numbers that look like a conflict and are none, and why."""

    subject: str
    quantity: str
    why: str


class Settings:
    """What is configured, and where it is stated: one quantity differs between two places, all others agree."""

    def __init__(self, rng: random.Random, works: list[Workload], asked: str, component: Component) -> None:
        self.rng = rng
        self.stated: dict[str, dict[str, list[Setting]]] = {ARCHITECTURE: {}, INFRASTRUCTURE: {}, NOTES: {}}
        self.remarks: dict[str, list[str]] = {}
        self.staging: list[str] = []
        self.decoys: list[Decoy] = []
        self.of_component = rng.random() < 0.2
        self.subject = component.called if self.of_component else asked
        self.disputed, *others = rng.sample(words.QUANTITIES, 6)
        for work in works:
            self._agree(work.name, rng.sample(others, rng.randint(2, 3)), asked)
        for name in rng.sample([work.name for work in works if work.name != self.subject], rng.randint(1, 3)):
            self._agree(name, [self.disputed], asked)
            self.decoys.append(Decoy(name, self.disputed.name, "another subject has a number of its own"))
        self.pair, self.values = self._disagree()
        for place in self.stated.values():
            for settings in place.values():
                rng.shuffle(settings)

    def _state(self, place: str, setting: Setting) -> None:
        self.stated[place].setdefault(setting.subject, []).append(setting)

    def _agree(self, subject: str, quantities: list[Quantity], asked: str) -> None:
        """State the same amount on the owner's page and, mostly, in the exported state, there perhaps in other words."""
        rng = self.rng
        for quantity in quantities:
            value = rng.choice(quantity.values)
            spelling = rng.randint(0, 1)
            here = Setting(subject, quantity.name, quantity.text(value, spelling))
            self._state(ARCHITECTURE, here)
            if subject == asked or rng.random() < 0.6:
                again = rng.choice((here.text, quantity.text(value, 1 - spelling), quantity.in_other_unit(value) or here.text))
                self._state(INFRASTRUCTURE, Setting(subject, quantity.name, again))
                why = "the same amount twice" if again == here.text else "the same amount in other words"
                self.decoys.append(Decoy(subject, quantity.name, why))
            smaller = [one for one in quantity.values if one < value]
            if smaller and rng.random() < 0.25:
                old, month = quantity.text(rng.choice(smaller), spelling), rng.choice(words.MONTHS)
                self.remarks.setdefault(subject, []).append(here.fill(rng.choice(pages.RAISED), old=old, month=month))
                self.decoys.append(Decoy(subject, quantity.name, "what it was before"))
            elif smaller and rng.random() < 0.1:
                there = Setting(subject, quantity.name, quantity.text(rng.choice(smaller), spelling))
                self.staging.append(there.fill(rng.choice(pages.STAGING)))
                self.decoys.append(Decoy(subject, quantity.name, "what it is in staging"))

    def _disagree(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """State the disputed quantity in two places with two amounts."""
        rng, quantity = self.rng, self.disputed
        everywhere = ((ARCHITECTURE, INFRASTRUCTURE), (ARCHITECTURE, NOTES), (INFRASTRUCTURE, NOTES))
        first, second = everywhere[0] if self.of_component else rng.choices(everywhere, (70, 15, 15))[0]
        one, two = rng.sample(quantity.values, 2)
        texts = [quantity.text(one, rng.randint(0, 1)), quantity.text(two, rng.randint(0, 1))]
        if rng.random() < 0.1:
            texts[1] = quantity.in_other_unit(two) or texts[1]
        for place, text in zip((first, second), texts, strict=True):
            self._state(place, Setting(self.subject, quantity.name, text))
        return (first, second), (texts[0], texts[1])

    def conflict(self, where: dict[tuple[str, str], str]) -> Conflict:
        """The one disagreement, with the paths of the two pages that state it."""
        first, second = (where[place, self.subject] for place in self.pair)
        return Conflict(self.subject, self.disputed.name, self.values, (first, second))

    def everywhere(self, where: dict[tuple[str, str], str]) -> list[tuple[str, Setting]]:
        """Every current value stated anywhere, with the path of its page."""
        return [
            (where[place, subject], setting)
            for place, subjects in self.stated.items()
            for subject, settings in subjects.items()
            for setting in settings
        ]
