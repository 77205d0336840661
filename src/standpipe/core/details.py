"""The values inside facts: a step, and the reasons, routes, permits, manifests, faults and verdicts that facts carry."""

from __future__ import annotations

import msgspec

from standpipe.core.amounts import NOTHING, Amounts

NOT_SENT = "not sent"
"""The cause of a cancelled call that never left the house."""

LEVELS = ("soft", "firm", "hard")
"""How a turn or a scope is told to stop. Soft: nothing new begins but the answer. Firm: models and reads are broken off,
effects under way come to their end. Hard: after a grace effects are let go of too, and are in doubt."""


def outranks(level: str, other: str) -> bool:
    """Whether one level of cancellation is above another; "" is none."""
    return ("", *LEVELS).index(level) > ("", *LEVELS).index(other)


ASK, UNDO = "ask", "undo"
"""What a call may be for beside what its step does: to ask what came of an attempt before it, or to take an effect back."""
ABSENT = "did not happen"
"""The fault of a call that asked, and was told that the effect did not happen and will not."""
HANGING = "hanging"
"""The fault of a call that was told to stop and did not: it may still act."""


class Why(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The reason of a plan patch: a code for rules and statistics, and the item (a call) that says it in words."""

    code: str
    item: str = ""


class Step(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A node of the plan. `kind` is "model", "tool", "agent" or "person"; `does` the task class, the tool or the specialist.

    `item` is the call item whose arguments it performs (`planned` is its index among the steps of a plan or revise call, empty
    where the model called the tool itself); `needs` are steps that must have ended first. `does` is one of our own names,
    "?" for a tool the agent does not have: the words of the model stand in its item. A step of kind "undo" takes back the
    effect of step `undoes`, of its own turn or of a specialist's scope that is over.
    """

    id: str
    kind: str
    does: str
    item: str = ""
    planned: str = ""
    needs: tuple[str, ...] = ()
    optional: bool = False
    final: bool = False
    undoes: str = ""


class Passed(msgspec.Struct, frozen=True, gc=False):
    """A model that was not chosen, and why."""

    model: str
    reason: str


class Route(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Which model performs a call, for which task class, by which rule, and who was passed over."""

    task: str
    model: str
    provider: str
    rule: str
    passed: tuple[Passed, ...] = ()


class Permit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """By which rule a call is permitted, at which revision of the relations."""

    rule: str
    revision: int


class Effect(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is on record before a call may change the world. `repeat` says how it may be made again: "idempotent", with the same
    key, or "once", never while its outcome is in doubt; `intent` is the digest of its tool and arguments.

    `asking` stays set aside to ask what came of it; `undo` is the key of its compensation, if it has one, and `undoing` what
    stays set aside for that.
    """

    repeat: str
    intent: str
    asking: Amounts = NOTHING
    undo: str = ""
    undoing: Amounts = NOTHING


class Chosen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An item that entered or left a prompt, and why."""

    item: str
    why: str


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a model call is shown, as the difference to the manifest with digest `base` (empty: to nothing).

    `final` offers only the answer tool; `output_tokens_max` is what the hold can pay for.
    """

    base: str
    digest: str
    added: tuple[Chosen, ...] = ()
    dropped: tuple[Chosen, ...] = ()
    final: bool = False
    output_tokens_max: int = 0


class Recorded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a call with this `intent` (a digest of who asks what of whom) came to: the event `seq` of the log it was made in."""

    intent: str
    seq: int


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a model provider says a call used."""

    input_tokens: int = 0
    output_tokens: int = 0


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why a call failed: a class (`timeout`, `error`, `garbage`, `unavailable`, `rate`, ...), and words for people."""

    code: str
    text: str = ""
    retryable: bool = False


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What validator `check` says of `subject`: pass, fail, abstain or error; `code` and `seen` say what it found."""

    check: str
    subject: str
    status: str
    code: str = ""
    seen: str = ""
