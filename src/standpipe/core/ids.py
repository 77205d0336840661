"""How things are named: every name follows from where the thing stands, never from chance."""

from __future__ import annotations

import hashlib

import msgspec

HOUSE = "house"
"""The session id of the house log: facts that belong to no session."""


def digest(value: object) -> str:
    """The content hash of a value: 32 hex digits of SHA-256 over its canonical JSON (keys sorted)."""
    return digest_bytes(msgspec.json.encode(value, order="deterministic"))


def digest_bytes(data: bytes) -> str:
    """The content hash of bytes: 32 hex digits (128 bits) of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def turn_id(number: int) -> str:
    """`t3`: the third turn of a session; turns count from 1."""
    return f"t{number}"


def step_id(turn: str, number: int) -> str:
    """`st4`: the fourth step that the plan of a turn ever had; steps count from 1.

    The steps of a scope, which is named like the call that delegated to it, carry its name: `st4.a1/st1`.
    """
    scope = turn.partition(".")[2]
    return f"{scope}/st{number}" if scope else f"st{number}"


def ask_id(turn: str, step: str) -> str:
    """`t2.st4`: what a person is asked about step st4 of turn t2, whichever scope of it the step stands in."""
    return f"{turn.partition('.')[0]}.{step}"


def call_id(turn: str, step: str, attempt: int) -> str:
    """`t2.st4.a1`: the first attempt to perform step st4 of turn t2; it is also the root of the idempotency key.

    A call of a scope is named under the call that delegated to it: `t2.st4.a1/st1.a1`.
    """
    return f"{ask_id(turn, step)}.a{attempt}"


def step_of(call: str) -> str:
    """The step a call attempts: `t2.st4.a1` -> `st4`, `t2.st4.a1/st1.a1` -> `st4.a1/st1`."""
    return call.partition(".")[2].rpartition(".")[0]


def scope_of(name: str) -> str:
    """The scope that a call or an ask stands in, empty for the turn itself: `t2.st4.a1/st1.a1` -> `t2.st4.a1`."""
    return name.rpartition("/")[0]


def item_id(seq: int, index: int) -> str:
    """`17.0`: the first item of event 17 of the session's log."""
    return f"{seq}.{index}"
