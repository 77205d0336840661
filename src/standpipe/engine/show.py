"""What a principal may be shown of a log now: items whose sources it may read at this moment, the rest without their bodies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from standpipe.core.events import Event, Frame, ItemsErased
from standpipe.core.frames import items_of
from standpipe.core.items import Item, Label, Source
from standpipe.engine.lookup import object_of
from standpipe.ports import AccessStore


async def hidden(access: AccessStore, tenant: str, principal: str, labels: Iterable[Label]) -> frozenset[Source]:
    """The sources among these labels that the principal may not read, at one revision that is still current on return."""
    sources = {source for label in labels for source in label.sources}
    while True:
        heads = access.heads(tenant)
        rights = {folder: await access.rights(tenant, folder, principal) for folder in {s.folder for s in sources}}
        closed = frozenset(s for s in sources if not rights[s.folder].allows(object_of(s)))
        if access.heads(tenant) == heads:
            return closed


def labels_of(event: Event) -> list[Label]:
    """What an event derives from: the labels of its items, and the sources that it names beside them."""
    return [*(item.label for item in items_of(event)), Label(tuple(_named(event, "sources") + _named(event, "withdrawn")))]


def _named(event: Event, name: str) -> list[Source]:
    return [source for source in getattr(event.fact, name, ()) if isinstance(source, Source)]


def erased_in(frames: Iterable[Frame]) -> set[str]:
    """The items that these frames say were erased."""
    return {id for frame in frames for event in frame.events if isinstance(event.fact, ItemsErased) for id in event.fact.ids}


def as_erased(frames: Sequence[Frame]) -> list[Frame]:
    """The frames without bodies that they say were erased: those are still there where another session holds the same."""
    gone = erased_in(frames)
    return [
        msgspec.structs.replace(frame, events=tuple(_blanked(event, gone) for event in frame.events)) if gone else frame
        for frame in frames
    ]


def _blanked(event: Event, gone: set[str]) -> Event:
    items = items_of(event)
    if not any(item.id in gone for item in items):
        return event
    kept = tuple(msgspec.structs.replace(item, body=None) if item.id in gone else item for item in items)
    return msgspec.structs.replace(event, fact=msgspec.structs.replace(event.fact, items=kept))


def without(frame: Frame, closed: frozenset[Source]) -> Frame:
    """The frame as somebody sees it who may not read these sources: bodies and sources of what derives from them are gone."""
    return msgspec.structs.replace(frame, events=tuple(_event(event, closed) for event in frame.events))


def _event(event: Event, closed: frozenset[Source]) -> Event:
    fact = event.fact
    items = getattr(fact, "items", ())
    if any(_derives(item, closed) for item in items):
        kept = tuple(_bare(item) if _derives(item, closed) else item for item in items)
        fact = msgspec.structs.replace(fact, items=kept)
    for name in ("sources", "withdrawn"):
        named = _named(event, name)
        if not closed.isdisjoint(named):
            fact = msgspec.structs.replace(fact, **{name: tuple(s for s in named if s not in closed)})
    return event if fact is event.fact else msgspec.structs.replace(event, fact=fact)


def _derives(item: Item, closed: frozenset[Source]) -> bool:
    return any(source in closed for source in item.label.sources)


def _bare(item: Item) -> Item:
    return msgspec.structs.replace(item, body=None, hash="", bytes=0, label=Label(integrity=item.label.integrity))
