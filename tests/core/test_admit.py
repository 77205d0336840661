"""The only door for wishes: what becomes of each, what is refused and in which words, and that twice is once."""

from __future__ import annotations

import msgspec
import pytest
from tests.core.desk import NOW, Desk, call_of

from standpipe.core.admit import QUESTION_BYTES_MAX, WAITING_MAX, Ask, Cancel, Open, Refusal, Reply, Wish, admit
from standpipe.core.amounts import Amounts
from standpipe.core.events import Answered, Asked, CancelRequested, Event, SessionOpened, TurnEnded, TurnRequested
from standpipe.core.items import Label, Text
from standpipe.core.state import State
from standpipe.core.world import Access, Policy, World

WORLD = World(Policy(), {}, Access(0, 0))
OPEN = Open("o1", "s", "acme", "user:ana", "coordinator")
ASK = Ask("r1", "s", "acme", "user:ana", "coordinator", "Why?", ("f",), Amounts(microusd=5), 700)


def facts(events: list[Event] | Refusal) -> list[object]:
    assert isinstance(events, list)
    return [event.fact for event in events]


def only(events: list[Event] | Refusal) -> Event:
    """The one event that a wish became."""
    assert isinstance(events, list)
    (event,) = events
    return event


def code(events: list[Event] | Refusal) -> str:
    assert isinstance(events, Refusal) and events.text.endswith(".") and "\n" not in events.text
    return events.code


def asked(desk: Desk, text: str = "More?", **changes: str) -> list[Event] | Refusal:
    """The same person asks something else."""
    desk.wishes += 1
    wish = Ask(f"q{desk.wishes}", "s", "acme", "user:ana", "coordinator", text)
    return desk.admit(msgspec.structs.replace(wish, **changes))


# --- messages ----------------------------------------------------------------------------------------------------------


def test_a_first_message_opens_the_session_and_asks_for_a_turn() -> None:
    events = admit(State(), ASK, WORLD, NOW)
    assert isinstance(events, list)
    opened, requested = events
    assert opened == Event(1, "user:ana", (), SessionOpened("s", "acme", "user:ana", "coordinator"))
    assert isinstance(requested.fact, TurnRequested)
    (item,) = requested.fact.items
    assert (item.id, item.body, item.label, item.origin) == ("2.0", Text("Why?"), Label(integrity="user"), "user")
    fact = requested.fact
    assert (fact.turn, fact.request, fact.folders, fact.limits) == ("t1", "r1", ("f",), Amounts(microusd=5))
    assert (fact.deadline_ms, requested.seq, requested.causes, requested.by) == (700, 2, (1,), "user:ana")


def test_a_later_message_asks_for_the_next_turn_and_keeps_the_folders() -> None:
    desk = Desk().ask(folders=("f",))
    wish = msgspec.structs.replace(ASK, request="r9", folders=("g", "f"))
    event = only(desk.admit(wish))
    assert isinstance(event.fact, TurnRequested)
    assert (event.fact.turn, event.fact.folders, event.causes) == ("t2", ("g", "f"), ())
    event = only(asked(desk))
    assert isinstance(event.fact, TurnRequested)
    assert (event.fact.turn, event.fact.folders) == ("t3", ("g", "f"))


def test_a_request_that_was_admitted_becomes_nothing_again() -> None:
    desk = Desk()
    assert desk.admit(ASK)
    assert desk.admit(ASK) == []
    assert desk.admit(msgspec.structs.replace(ASK, text="Something else?")) == []
    assert desk.admit(Cancel("r1", "acme", "user:ana", "t1", "user")) == []


def test_a_request_that_only_the_store_remembers_becomes_nothing_again() -> None:
    assert admit(State(), ASK, msgspec.structs.replace(WORLD, seen=True), NOW) == []


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_an_empty_question_is_refused(text: str) -> None:
    assert code(admit(State(), msgspec.structs.replace(ASK, text=text), WORLD, NOW)) == "empty"


def test_a_question_is_bounded_as_it_is_stored() -> None:
    frame = len('{"type":"text","text":""}')
    for letter, size in (("x", 1), ("ü", 2), ("\n", 2), ("\x01", 6)):
        most = (QUESTION_BYTES_MAX - frame - 1) // size
        assert isinstance(admit(State(), msgspec.structs.replace(ASK, text="x" + letter * most), WORLD, NOW), list)
        longer = msgspec.structs.replace(ASK, text="x" + letter * (most + 1))
        assert code(admit(State(), longer, WORLD, NOW)) == "too long"


def test_a_question_that_is_no_text_is_refused() -> None:
    assert code(admit(State(), msgspec.structs.replace(ASK, text="Why\udcff?"), WORLD, NOW)) == "not text"


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a@b", "a#b", "a\n", "a\x00"])
@pytest.mark.parametrize("which", ["tenant", "principal"])
def test_names_that_relations_and_ledgers_could_misread_are_refused(which: str, name: str) -> None:
    assert code(admit(State(), msgspec.structs.replace(ASK, **{which: name}), WORLD, NOW)) == "bad name"
    assert code(admit(State(), msgspec.structs.replace(OPEN, **{which: name}), WORLD, NOW)) == "bad name"


def test_a_session_is_opened_once_before_its_first_message_and_for_one_principal() -> None:
    desk = Desk()
    opened = only(desk.admit(OPEN))
    assert opened == Event(1, "user:ana", (), SessionOpened("s", "acme", "user:ana", "coordinator"))
    again = msgspec.structs.replace(OPEN, request="o2")
    assert desk.admit(again) == []
    assert code(desk.admit(msgspec.structs.replace(again, principal="user:bob"))) == "not found"
    assert code(desk.admit(msgspec.structs.replace(again, tenant="other"))) == "not found"
    (requested,) = facts(desk.admit(ASK))
    assert isinstance(requested, TurnRequested)


@pytest.mark.parametrize("change", [{"principal": "user:bob"}, {"tenant": "other"}])
def test_the_session_of_another_is_not_there(change: dict[str, str]) -> None:
    assert code(asked(Desk().ask(), **change)) == "not found"


def test_so_many_messages_may_wait_and_no_more() -> None:
    desk = Desk()
    for _ in range(WAITING_MAX):
        assert facts(asked(desk))
    assert code(asked(desk)) == "busy"


# --- questions of the agent --------------------------------------------------------------------------------------------


def asking() -> Desk:
    """A session whose agent has asked the user something."""
    desk = Desk().ask()
    return desk.came(call_of("ask_user", question="Which one?"))


def test_a_message_answers_the_open_question() -> None:
    desk = asking()
    event = only(asked(desk, "The first."))
    assert isinstance(event.fact, Answered)
    (put,) = desk.facts(Asked)
    (item,) = event.fact.items
    step = desk.turn.steps[put.step]
    assert (event.fact.ask, event.fact.allow, event.by) == (put.ask, True, "user:ana")
    assert (item.body, item.answers, item.step, item.origin) == (Text("The first."), step.spec.item, put.step, "user")
    assert item.id == f"{event.seq}.0"
    assert event.causes == (desk.turn.asks[put.ask].asked,)


@pytest.mark.parametrize("decided", [True, False])
def test_an_answered_question_is_not_answered_again(decided: bool) -> None:
    desk = asking()
    asked(desk, "The first.")
    if decided:
        desk.run()
    assert isinstance(facts(asked(desk, "The second."))[0], TurnRequested)


def test_a_question_of_a_turn_that_is_being_cancelled_is_not_open_any_more() -> None:
    desk = Desk().ask().came(call_of("put"), call_of("ask_user", question="Which one?"))
    assert isinstance(desk.admit(CANCEL), list)
    desk.run()
    assert [call.target for call in desk.open()] == ["put"]
    assert isinstance(facts(asked(desk))[0], TurnRequested)


def test_a_question_can_be_answered_however_many_messages_wait() -> None:
    desk = Desk().ask()
    for _ in range(WAITING_MAX):
        asked(desk)
    desk.came(call_of("ask_user", question="Which one?"))
    assert isinstance(facts(asked(desk))[0], Answered)


def test_only_its_own_principal_answers_a_question() -> None:
    assert code(asked(asking(), "The first.", principal="user:bob")) == "not found"


def test_an_approval_is_no_question() -> None:
    assert isinstance(facts(asked(approving()))[0], TurnRequested)


# --- approvals ---------------------------------------------------------------------------------------------------------


def approving() -> Desk:
    """A session that waits for the approval of an irreversible call."""
    return Desk().ask().came(call_of("send"))


def answer(desk: Desk, **changes: str) -> Wish:
    (put,) = desk.facts(Asked)
    return msgspec.structs.replace(Reply("y1", "acme", "user:ana", put.ask, True), **changes)


@pytest.mark.parametrize("allow", [True, False])
def test_an_approval_is_answered_with_yes_or_no(allow: bool) -> None:
    desk = approving()
    (put,) = desk.facts(Asked)
    event = only(desk.admit(Reply("y1", "acme", "user:ana", put.ask, allow)))
    assert event.fact == Answered(put.ask, "y1", allow)
    assert (event.by, event.causes) == ("user:ana", (desk.turn.asks[put.ask].asked,))


@pytest.mark.parametrize("change", [{"principal": "user:bob"}, {"tenant": "other"}, {"ask": "t1.st9"}])
def test_an_approval_of_another_is_answered_like_one_that_is_not_there(change: dict[str, str]) -> None:
    desk = approving()
    there = desk.admit(answer(desk, **change))
    assert there == desk.admit(answer(desk, ask="nothing")) == Desk().admit(answer(desk))
    assert code(there) == "not found"


def test_an_approval_is_answered_once() -> None:
    desk = approving()
    assert facts(desk.admit(answer(desk)))
    assert code(desk.admit(answer(desk, request="y2"))) == "not found"


def test_a_question_is_no_approval() -> None:
    assert code(asking().admit(answer(asking()))) == "not found"


# --- cancelling --------------------------------------------------------------------------------------------------------

CANCEL = Cancel("c1", "acme", "user:ana", "t1", "user")


def test_a_running_turn_is_cancelled() -> None:
    desk = Desk().ask()
    event = only(desk.admit(CANCEL))
    assert event.fact == CancelRequested("t1", "c1", "user")
    assert (event.by, event.causes) == ("user:ana", (desk.turn.started,))
    desk.run()
    assert [e.cause for e in desk.facts(CancelRequested)] == ["user"]


@pytest.mark.parametrize("change", [{"principal": "user:bob"}, {"tenant": "other"}, {"turn": "t2"}])
def test_what_is_not_ones_own_running_turn_is_not_there(change: dict[str, str]) -> None:
    assert code(Desk().ask().admit(msgspec.structs.replace(CANCEL, **change))) == "not found"


def test_a_turn_that_is_over_is_not_there() -> None:
    desk = Desk().ask().came(call_of("answer", sentences=[{"text": "Yes."}]))
    assert desk.facts(TurnEnded)
    assert code(desk.admit(CANCEL)) == "not found"
