"""The logs under test, and the appends that tests make."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from standpipe.core.events import Event, Fact, MemoryKept, RelationsChanged, TurnRequested
from standpipe.core.ids import HOUSE, item_id
from standpipe.core.items import Body, Draft, Text, place
from standpipe.drivers.log import tables
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.log.sqlite import SqliteLog
from standpipe.drivers.sqlite import MEMORY, Store
from standpipe.ports import Append, Appended, Log, Owner

NOW = 1_764_000_000_000
"""A moment in ms since 1970; it means nothing."""


class Opened:
    """A log, and what it was told to call: every house append that its projection saw, and the owners that are gone."""

    def __init__(self) -> None:
        self.projected: list[tuple[str, tuple[Event, ...]]] = []
        self.gone: set[Owner] = set()
        self.log: Log = MemoryLog([self._project], self.gone.__contains__)

    def _project(self, _con: object, tenant: str, events: tuple[Event, ...]) -> dict[str, int]:
        if any(isinstance(event.fact, RelationsChanged) and event.fact.origin == "broken" for event in events):
            raise LookupError("a projection that fails")
        self.projected.append((tenant, events))
        facts = ((event.seq, event.fact) for event in events)
        return {fact.tenant: seq for seq, fact in facts if isinstance(fact, RelationsChanged) and fact.revoked}


@contextlib.contextmanager
def memory(_folder: Path) -> Iterator[Opened]:
    """The log in memory."""
    yield Opened()


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Opened]:
    """The log in an SQLite file, as it runs in production."""
    with on_store(Store.open(folder / "standpipe.db", [tables.SCHEMA])) as opened:
        yield opened


@contextlib.contextmanager
def inline(_folder: Path) -> Iterator[Opened]:
    """The log in SQLite without thread and file, as in simulation."""
    with on_store(Store.open(MEMORY, [tables.SCHEMA])) as opened:
        yield opened


@contextlib.contextmanager
def on_store(store: Store) -> Iterator[Opened]:
    """The log on a store, which is closed at the end."""
    with contextlib.closing(store):
        opened = Opened()
        opened.log = SqliteLog(store, [opened._project], opened.gone.__contains__)
        yield opened


LOGS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Opened]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "inline": inline,
}


def append(session: str, seq: int, *facts: Fact, **changes: Any) -> Append:
    """An append of these facts after seq `seq` (of one small fact if none are given), with other fields changed."""
    events = tuple(Event(seq + n, "test", (), fact) for n, fact in enumerate(facts or (MemoryKept(f"t{seq}"),), 1))  # type: ignore[arg-type]
    plain = Append(session, "acme", NOW, "test", "rules", seq, events)
    return msgspec.structs.replace(plain, **changes)


def says(seq: int, *bodies: Body | str) -> Fact:
    """A fact at `seq` that brings these bodies into the log."""
    drafts = (Draft(Text(body) if isinstance(body, str) else body) for body in bodies)
    return TurnRequested("t1", "r1", tuple(place(draft, item_id(seq, n), "user") for n, draft in enumerate(drafts)))


def revoking(tenant: str, *revoked: str, origin: str = "command") -> Fact:
    """A fact that takes rights of a tenant away, or grants some if none are named."""
    return RelationsChanged(tenant, "docs", origin, granted=() if revoked else ("a#b@c:d",), revoked=revoked)


async def written(log: Log, append: Append) -> Appended:
    """An append that is not refused."""
    answer = await log.append(append)
    assert isinstance(answer, Appended)
    return answer


async def changed(log: Log, seq: int, *facts: Fact) -> int:
    """Append facts to the house log; its new length."""
    return (await written(log, append(HOUSE, seq, *facts, tenant=""))).seq
