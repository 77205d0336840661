"""A secret that shows itself to nobody: not in a repr, a log, an error, a pickle or an encoded value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn


class Secret:
    """Holds a key. Only `reveal` gives it, to whoever hands it over to a socket at that moment."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Raises ValueError, without the value, for what cannot stand in a header."""
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("a key is printable ASCII without spaces")
        self._value = value

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied out of its process")


def secret(environ: Mapping[str, str], name: str) -> Secret | None:
    """The key in environment variable `name`, None where it is not set. Raises ValueError as Secret does."""
    value = environ.get(name, "").strip()
    return Secret(value) if value else None
