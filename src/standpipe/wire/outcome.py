"""What a dialect makes of a provider's bytes: a whole reply, or why there is none. The classes of trouble, in fixed words.

No word of a provider enters a fault: error messages echo prompts, and some echo parts of keys.
"""

from __future__ import annotations

import msgspec

from standpipe.core.details import Fault, Usage
from standpipe.core.items import Text, ToolCall

CLASSES: dict[str, tuple[str, bool]] = {
    "rate": ("The provider limits how often it is called", True),
    "overload": ("The provider is overloaded", True),
    "server": ("The provider broke off with an error of its own", True),
    "timeout": ("The provider did not go on in time", True),
    "unavailable": ("The provider could not be reached", True),
    "truncated": ("The reply broke off before its end", True),
    "protocol": ("The reply is not what the dialect allows", True),
    "empty": ("The reply held neither text nor a call", True),
    "auth": ("The provider does not accept the key", False),
    "billing": ("The account of the key has no credit, or is at its spending limit", False),
    "not_found": ("The provider does not have this model or address", False),
    "context": ("The prompt is too long for the model", False),
    "bad_request": ("The provider does not accept the request", False),
    "policy": ("The provider's policy forbids the prompt or the reply", False),
    "length": ("The reply was cut off where its allowed length ended", False),
}
"""Every class of trouble with a model provider: what a person is told, and whether the same again may go well."""


class Said(msgspec.Struct, frozen=True):
    """A whole reply, and the usage the provider told with it."""

    bodies: tuple[Text | ToolCall, ...]
    usage: Usage | None = None


class Broken(msgspec.Struct, frozen=True):
    """No reply, and why. `usage` is what it used all the same: None where nobody can know."""

    fault: Fault
    usage: Usage | None = None


def fault(code: str, detail: str = "", *, retryable: bool | None = None) -> Fault:
    """The fault of class `code`; `detail` is in our words, never in the provider's."""
    text, again = CLASSES[code]
    return Fault(code, f"{text}: {detail}." if detail else f"{text}.", again if retryable is None else retryable)
