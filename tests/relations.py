"""A second, naive reading of `access.rel` for tests of documents: who reads what, by plain search through the relations."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def readable(access: str, principal: str, paths: Iterable[str]) -> set[str]:
    """The documents that the principal may read under the relations of the text; `*` crosses `/`."""
    relations = [line.strip().split("@") for line in access.splitlines() if line.strip() and not line.startswith("//")]
    held = {principal}
    while grown := {left for left, right in relations if right in held and left.startswith("group:")} - held:
        held |= grown
    patterns = [left.removeprefix("document:").removesuffix("#reader") for left, right in relations if right in held]
    return {path for path in paths if any(fnmatchcase(path, pattern) for pattern in patterns)}
