"""The errors a person meets, each with what happened, to what, and what to do next.

StandpipeError
├── UsageError        the input cannot be used as it is                         (exit 2)
├── NotFound          there is no such thing, or this principal may not see it  (exit 4)
├── StoreError        the store cannot be read or written                       (exit 4)
└── Refused           the rules said no                                         (exit 4)
"""

from __future__ import annotations


class StandpipeError(Exception):
    """One clear sentence for a person; never holds content of documents."""


class UsageError(StandpipeError):
    """The input cannot be used as it is."""


class NotFound(StandpipeError):
    """There is no such thing, or this principal may not see it: the two are told in the same words."""


class StoreError(StandpipeError):
    """The store cannot be read or written."""


class Refused(StandpipeError):
    """The rules said no to a wish."""
