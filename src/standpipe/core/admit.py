"""admit(state, request, world, now): the only door for wishes from outside. A request carries an id; twice is once."""

from __future__ import annotations

import re
from typing import assert_never

import msgspec

from standpipe.core.amounts import Amounts
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


class Ask(msgspec.Struct, frozen=True):
    """A message of the user: opens the session if it is new, answers the agent's question if it waits for one."""

    request: str
    session: str
    tenant: str
    principal: str
    agent: str
    text: str
    folders: tuple[str, ...] = ()
    limits: Amounts | None = None
    deadline_ms: int | None = None


class Open(msgspec.Struct, frozen=True):
    """A session before its first message, so that it has an id and an owner; one that is open already stays as it is."""

    request: str
    session: str
    tenant: str
    principal: str
    agent: str


class Cancel(msgspec.Struct, frozen=True):
    """End a turn: `cause` says who wants it (user, deadline, drain, ...)."""

    request: str
    tenant: str
    principal: str
    turn: str
    cause: str


class Reply(msgspec.Struct, frozen=True):
    """A person's yes or no to an approval."""

    request: str
    tenant: str
    principal: str
    ask: str
    allow: bool


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
            return _cancel(state, wish)
        case Reply():
            return _reply(state, wish)
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
    if open_question is not None and state.turn is not None:
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
    record.add(requested, 0 if state.seq else 1, by=wish.principal)
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


def _cancel(state: State, wish: Cancel) -> list[Event] | Refusal:
    if not _own(state, wish) or state.turn is None or state.turn.id != wish.turn:
        return Refusal("not found", "There is no such turn running.")
    record = Recorder(state.seq)
    record.add(CancelRequested(wish.turn, wish.request, wish.cause), state.turn.started, by=wish.principal)
    return record.events


def _reply(state: State, wish: Reply) -> list[Event] | Refusal:
    turn = share_of(state, wish.ask).turn
    ask = turn.asks.get(wish.ask) if turn is not None else None
    if ask is None or ask.outcome or ask.kind != "approval" or not _own(state, wish):
        return Refusal("not found", "There is no such open approval.")
    record = Recorder(state.seq)
    record.add(Answered(wish.ask, wish.request, wish.allow), ask.asked, by=wish.principal)
    return record.events
