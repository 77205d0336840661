"""admit(state, request, world, now): the only door for wishes from outside. A request carries an id; twice is once."""

from __future__ import annotations

import re
from typing import assert_never

import msgspec

from standpipe.core.amounts import Amounts
from standpipe.core.details import LEVELS, outranks
from standpipe.core.events import Answered, CancelRequested, Event, SessionOpened, TurnRequested
from standpipe.core.ids import item_id, turn_id
from standpipe.core.items import Draft, Label, Text, encode_body, place
from standpipe.core.record import Recorder
from standpipe.core.state import Ask as Question
from standpipe.core.state import State, share_of
from standpipe.core.world import World

QUESTION_BYTES_MAX = 32_768
"""A longer message (as it is stored) belongs into a document."""
_ODD = re.compile(r"[\s/@#\x00-\x1f]")

WAITING_MAX = 16
"""Messages that may wait for the end of the turn before them."""
GRACE_MS = 5_000
"""How long effects under way have after a hard cancellation before they are let go of."""


class Ask(msgspec.Struct, frozen=True):
    """A message of the user: opens the session if it is new, answers the agent's question if it waits for one.

    With `interrupt` it answers nothing: the turn that runs is cancelled firmly, and a new one waits for its end.
    """

    request: str
    session: str
    tenant: str
    principal: str
    agent: str
    text: str
    folders: tuple[str, ...] = ()
    limits: Amounts | None = None
    deadline_ms: int | None = None
    interrupt: bool = False


class Open(msgspec.Struct, frozen=True):
    """A session before its first message, so that it has an id and an owner; one that is open already stays as it is."""

    request: str
    session: str
    tenant: str
    principal: str
    agent: str


class Cancel(msgspec.Struct, frozen=True):
    """End a turn, at a level of details.LEVELS: `cause` says who wants it (user, deadline, budget, parent, drain).

    `scope` is a specialist's call where only that shall end, "session" where all turns shall, those that wait too; then `turn`
    may be empty.
    """

    request: str
    tenant: str
    principal: str
    turn: str
    cause: str
    level: str = "firm"
    scope: str = ""


class Reply(msgspec.Struct, frozen=True):
    """A person's yes or no to an approval; `intent`, where it is given, is what the person was shown to be asked for."""

    request: str
    tenant: str
    principal: str
    ask: str
    allow: bool
    intent: str = ""


Wish = Ask | Open | Cancel | Reply


class Refusal(msgspec.Struct, frozen=True):
    """Why a wish was not admitted: a code for programs, a sentence for people."""

    code: str
    text: str


def admit(state: State, wish: Wish, world: World, now: int) -> list[Event] | Refusal:
    """The facts a wish becomes, or why it becomes none; no facts if it was admitted before."""
    if wish.request in state.requests or world.seen:
        return []
    match wish:
        case Ask():
            return _ask(state, wish)
        case Open():
            return _open(state, wish)
        case Cancel():
            return _cancel(state, wish, now)
        case Reply():
            return _reply(state, wish, now)
        case _:
            assert_never(wish)


def _ask(state: State, wish: Ask) -> list[Event] | Refusal:
    try:
        size = len(encode_body(Text(wish.text)))
    except UnicodeEncodeError:
        return Refusal("not text", "The question is not text: it holds half of a surrogate pair.")
    if (refused := _misnamed(wish)) is not None:
        return refused
    if not wish.text.strip():
        return Refusal("empty", "The question is empty: say what you want to know.")
    if size > QUESTION_BYTES_MAX:
        return Refusal(
            "too long", f"The question has {size} bytes; {QUESTION_BYTES_MAX} is the most. Put the rest into a document."
        )
    if state.seq and not _own(state, wish):
        return Refusal("not found", "There is no such session.")
    record = Recorder(state.seq)
    question = Draft(Text(wish.text), Label(integrity="user"))
    open_question = _open_question(state)
    if open_question is not None and state.turn is not None and not wish.interrupt:
        item = state.turn.steps[open_question.step].spec.item
        answer = place(msgspec.structs.replace(question, answers=item), item_id(record.next, 0), "user", open_question.step)
        record.add(Answered(open_question.id, wish.request, True, (answer,)), open_question.asked, by=wish.principal)
        return record.events
    if len(state.waiting) >= WAITING_MAX:
        return Refusal("busy", f"{WAITING_MAX} messages wait already: let the running turn end, or cancel it.")
    if not state.seq:
        record.add(SessionOpened(wish.session, wish.tenant, wish.principal, wish.agent), by=wish.principal)
    folders = tuple(dict.fromkeys((*wish.folders, *state.folders)))
    placed = place(question, item_id(record.next, 0), "user")
    turn = turn_id(state.turns + 1)
    requested = TurnRequested(turn, wish.request, (placed,), folders, wish.limits, wish.deadline_ms)
    seq = record.add(requested, 0 if state.seq else 1, by=wish.principal)
    if wish.interrupt and state.turn is not None and not state.turn.stopped:
        interrupted = CancelRequested(state.turn.id, wish.request, f"interrupted by {turn}")
        record.add(interrupted, seq, state.turn.started, by=wish.principal)
    return record.events


def _open(state: State, wish: Open) -> list[Event] | Refusal:
    if (refused := _misnamed(wish)) is not None:
        return refused
    if state.seq:
        return [] if _own(state, wish) else Refusal("not found", "There is no such session.")
    record = Recorder(state.seq)
    record.add(SessionOpened(wish.session, wish.tenant, wish.principal, wish.agent), by=wish.principal)
    return record.events


def _misnamed(wish: Ask | Open) -> Refusal | None:
    if all(name and not _ODD.search(name) for name in (wish.tenant, wish.principal)):
        return None
    return Refusal(
        "bad name", "A tenant or principal is a name without white space, `/`, `@` or `#`, such as acme or user:ana."
    )


def _open_question(state: State) -> Question | None:
    asks = state.turn.asks.values() if state.turn is not None else ()
    return next((a for a in asks if a.kind == "question" and not a.outcome and state.turn and a.step in state.turn.live), None)


def _own(state: State, wish: Wish) -> bool:
    return (wish.tenant, wish.principal) == (state.tenant, state.principal)


def _cancel(state: State, wish: Cancel, now: int) -> list[Event] | Refusal:
    """A turn that runs is told at a higher level than before, or nothing new is said; one that waits is called off."""
    if wish.level not in LEVELS:
        return Refusal("bad level", f"{wish.level!r} is no level: a turn is cancelled soft, firm or hard.")
    record, turn, whole, known = Recorder(state.seq), state.turn, wish.scope == "session", False
    if turn is not None and (whole or wish.turn in (turn.id, "")):
        told = turn.scopes.get(wish.scope) if wish.scope and not whole else turn
        known = told is not None
        if told is not None and outranks(wish.level, told.level):
            until = now + GRACE_MS if wish.level == "hard" else 0
            asked = CancelRequested(turn.id, wish.request, wish.cause, wish.level, wish.scope, until)
            record.add(asked, told.started, by=wish.principal)
    for message, seq in zip(state.waiting, state.waiting_seq, strict=True):
        if whole or (message.turn == wish.turn and not wish.scope):
            known = True
            if message.turn not in state.called_off:
                asked = CancelRequested(message.turn, wish.request, wish.cause, wish.level, wish.scope)
                record.add(asked, seq, by=wish.principal)
    return record.events if known and _own(state, wish) else Refusal("not found", "There is no such turn running.")


def _reply(state: State, wish: Reply, now: int) -> list[Event] | Refusal:
    turn = share_of(state, wish.ask).turn
    ask = turn.asks.get(wish.ask) if turn is not None else None
    if ask is None or ask.outcome or ask.kind != "approval" or not _own(state, wish) or now >= ask.until:
        return Refusal("not found", "There is no such open approval.")
    if wish.intent and wish.intent != ask.intent:
        return Refusal("void", "What is to be approved is not what was shown: look at it again.")
    record = Recorder(state.seq)
    record.add(Answered(wish.ask, wish.request, wish.allow), ask.asked, by=wish.principal)
    return record.events
