"""What every fact is, and the facts of the house log: what belongs to no session."""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True, omit_defaults=True, tag=True, gc=False):
    """What happened; the tag is the class name."""


class RelationsChanged(Fact, frozen=True):
    """Relations and definitions of a namespace (a folder, or empty for the tenant) were granted and revoked, in canonical text.

    `origin` is "file" (then `applied` is all that the file now says) or "command".
    """

    tenant: str
    namespace: str
    origin: str
    granted: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()


class RelationsLapsed(Fact, frozen=True):
    """Every relation of the tenant with an end not after `until` (ms) is out of force; written when somebody needs to know."""

    tenant: str
    until: int


class FolderSynced(Fact, frozen=True):
    """Documents of a folder changed: (path, version) of those added or changed, paths of those gone."""

    tenant: str
    folder: str
    root: str
    changed: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()
    governed: bool = False
