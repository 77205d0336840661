"""Every way of being told to stop, in every state a turn can be in: what is broken off, what is waited for, how it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.core.desk import NOW, Desk, call_of, passage
from tests.core.specialists import ANSWER, PASSED, desk, task

from standpipe.core.admit import GRACE_MS, Ask, Cancel, Refusal
from standpipe.core.details import LEVELS, outranks
from standpipe.core.events import (
    CallCancelled,
    CallGranted,
    CancelRequested,
    DeadlinePassed,
    ScopeCancelled,
    ScopeEnded,
    StepEnded,
    TurnEnded,
    TurnStarted,
    TurnUnparked,
)
from standpipe.core.items import Answer
from standpipe.core.pending import Perform, pending, wakes

CUT_SHORT = "It was told to stop before everything was done."


def cancel(made: Desk, level: str = "firm", *, turn: str = "t1", scope: str = "", cause: str = "user") -> Desk:
    """Tell a turn to stop, and decide what follows."""
    made.wishes += 1
    wish = Cancel(f"c{made.wishes}", "acme", "user:ana", turn, cause, level, scope)
    assert not isinstance(made.admit(wish), Refusal)
    return made.run()


def owed(made: Desk) -> list[str]:
    """The open calls that somebody is still wanted to perform."""
    return [command.call for command in pending(made.state) if isinstance(command, Perform)]


def give_up(made: Desk) -> Desk:
    """Whoever performs calls that are not wanted any more gives them up, a record that is being written only after a grace."""
    for call in made.open():
        if call.id not in owed(made) and (call.target != "put" or made.turn.let_go):
            made.add(CallCancelled(call.id, "no longer wanted", call.target == "put"))
    return made.run()


def ending(made: Desk, turn: str = "t1") -> tuple[str, str]:
    """How a turn ended."""
    [end] = [f for f in made.facts(TurnEnded) if f.turn == turn]
    return end.outcome, end.reason


def gaps(made: Desk) -> list[str]:
    """What its answer could not tell."""
    body = made.facts(TurnEnded)[0].items[0].body
    assert isinstance(body, Answer)
    return [gap.text for gap in body.gaps]


def model_open() -> Desk:
    """A turn whose first model call is under way, and which has found nothing yet."""
    return desk().ask()


def read_open() -> Desk:
    """A passage was found, and another document is being read."""
    return desk().ask().came(call_of("read", source="a")).came(passage("a", "It is 3.")).came(call_of("read", source="b"))


def effect_open() -> Desk:
    """A passage was found, and a record is being written."""
    return desk().ask().came(call_of("read", source="a")).came(passage("a", "It is 3.")).came(call_of("put"))


def parked() -> Desk:
    """A passage was found, and the user is asked something."""
    found = desk().ask().came(call_of("read", source="a")).came(passage("a", "It is 3."))
    return found.came(call_of("ask_user", question="Which?"))


def scope_open() -> Desk:
    """A specialist has found a passage, and its second model call is under way."""
    return desk().ask().came(task()).came(call_of("read", source="a")).came(passage("a", "It is 3."))


def nothing(made: Desk) -> None:
    """Nothing is left to come."""


def answer(made: Desk) -> None:
    """The model answers."""
    made.came(ANSWER, verdicts=PASSED)


def result_and_answer(made: Desk) -> None:
    """What was under way comes to its end, then the model answers."""
    made.came(passage("b", "It is 4."))
    answer(made)


def written(made: Desk) -> None:
    """The record is written."""
    made.came()


def written_and_answer(made: Desk) -> None:
    """The record is written, then the model answers."""
    made.came()
    answer(made)


def two_answers(made: Desk) -> None:
    """The specialist answers, then the model."""
    answer(made)
    answer(made)


CANCELLED, CUT = ("cancelled", "user"), ("partial", "cancelled")
FOUND: dict[tuple[str, Callable[[], Desk]], tuple[Callable[[Desk], None], tuple[str, str]]] = {
    ("soft", model_open): (answer, ("completed", "answered")),
    ("firm", model_open): (nothing, CANCELLED),
    ("hard", model_open): (nothing, CANCELLED),
    ("soft", read_open): (result_and_answer, CUT),
    ("firm", read_open): (nothing, CANCELLED),
    ("hard", read_open): (nothing, CANCELLED),
    ("soft", effect_open): (written_and_answer, CUT),
    ("firm", effect_open): (written, CANCELLED),
    ("hard", effect_open): (written, CANCELLED),
    ("soft", parked): (answer, CUT),
    ("firm", parked): (nothing, CANCELLED),
    ("hard", parked): (nothing, CANCELLED),
    ("soft", scope_open): (two_answers, CUT),
    ("firm", scope_open): (nothing, CANCELLED),
    ("hard", scope_open): (nothing, CANCELLED),
}
"""By level and state: what comes to its end, and how the turn ends."""


@pytest.mark.parametrize(("level", "state"), FOUND, ids=lambda given: getattr(given, "__name__", given))
def test_every_level_in_every_state(level: str, state: Callable[[], Desk]) -> None:
    comes, end = FOUND[level, state]
    made = state()
    open_before = [call.id for call in made.open()]
    granted = len(made.facts(CallGranted))
    cancel(made, level)
    assert level == "soft" or not owed(made)
    give_up(made)
    assert [f.call for f in made.facts(CallCancelled)] == ([] if level == "soft" or state is effect_open else open_before)
    comes(made)
    assert ending(made) == end
    begun = made.facts(CallGranted)[granted:]
    assert all(call.manifest is not None and call.manifest.final for call in begun)
    assert (made.facts(TurnEnded)[0].unknown, bool(begun)) == ((), end == CUT)
    if end == CUT:
        assert CUT_SHORT in gaps(made)


@pytest.mark.parametrize("level", LEVELS)
def test_what_waits_ends_without_having_begun(level: str) -> None:
    made = model_open().ask("And then?")
    moves = len(made.moves)
    cancel(made, level, turn="t2")
    assert len(made.moves) == moves
    assert ending(made, "t2") == CANCELLED
    assert made.state.turn is not None and not made.state.turn.level
    answer(made)
    assert ending(made) == ("completed", "answered")
    assert [f.turn for f in made.facts(TurnStarted)] == ["t1"]
    assert [c.turn for c in made.state.closed] == ["t2", "t1"]


@pytest.mark.parametrize("level", LEVELS)
def test_where_nothing_runs_there_is_nothing_to_cancel(level: str) -> None:
    made = model_open().came(ANSWER, verdicts=PASSED)
    for turn, scope in (("t1", ""), ("t2", ""), ("", ""), ("t1", "t1.st2.a1"), ("", "session")):
        refused = made.admit(Cancel("c", "acme", "user:ana", turn, "user", level, scope))
        assert isinstance(refused, Refusal) and refused.code == "not found"


# --- levels ------------------------------------------------------------------------------------------------------------


def test_a_later_request_may_only_raise_the_level() -> None:
    made = effect_open()
    told = []
    for level in ("soft", "soft", "firm", "soft", "hard", "firm", "hard"):
        cancel(made, level, cause=f"user {level}")
        told.append((len(made.facts(CancelRequested)), made.turn.level, made.turn.cancel))
    assert told == [
        *((1, "soft", "user soft"), (1, "soft", "user soft"), (2, "firm", "user firm"), (2, "firm", "user firm")),
        *((3, "hard", "user hard"), (3, "hard", "user hard"), (3, "hard", "user hard")),
    ]
    assert [outranks(level, "firm") for level in LEVELS] == [False, False, True]
    assert all(outranks(level, "") and not outranks("", level) for level in LEVELS)


def test_there_are_no_other_levels() -> None:
    refused = model_open().admit(Cancel("c", "acme", "user:ana", "t1", "user", "gentle"))
    assert isinstance(refused, Refusal) and refused.code == "bad level"


def test_after_the_grace_of_a_hard_cancel_an_effect_is_let_go_of_and_in_doubt() -> None:
    made = cancel(effect_open(), "hard")
    assert wakes(made.state) == made.turn.let_go_at == NOW + GRACE_MS
    made.now += GRACE_MS - 1
    give_up(made.run())
    assert not made.facts(DeadlinePassed) and made.open()
    made.now += 1
    give_up(made.run())
    assert [f.which for f in made.facts(DeadlinePassed)] == ["grace"]
    [end] = made.facts(TurnEnded)
    assert (end.outcome, end.unknown) == ("cancelled", ("st4",))
    assert [f.outcome for f in made.facts(StepEnded) if f.step == "st4"] == ["unknown"]


def test_a_firm_cancel_raised_to_hard_lets_go_after_a_grace_of_its_own() -> None:
    made = cancel(effect_open())
    made.now += 60
    cancel(made, "hard")
    assert made.turn.let_go_at == NOW + 60 + GRACE_MS


def test_what_a_firm_cancel_waits_for_ends_in_time_of_its_own() -> None:
    made = cancel(effect_open())
    [call] = made.open()
    assert call.deadline_at <= made.turn.deadline_at and not made.turn.let_go_at


def test_a_hard_cancel_of_a_turn_lets_go_of_what_its_specialists_do() -> None:
    made = cancel(scope_open().came(call_of("put")), "hard")
    made.now += GRACE_MS
    assert made.run().turn.scopes["t1.st2.a1"].let_go
    give_up(made)
    assert made.facts(TurnEnded)[0].unknown == ("st2.a1/st4",)


# --- softly ------------------------------------------------------------------------------------------------------------


def test_a_turn_told_softly_that_has_found_nothing_ends_at_once() -> None:
    made = cancel(model_open(), "soft")
    made.came(call_of("plan", steps=[{"id": "a", "tool": "search", "arguments": {"query": "x"}, "why": "x"}]))
    assert ending(made) == CANCELLED
    assert [f.outcome for f in made.facts(StepEnded)] == ["done", "refused"]


@pytest.mark.parametrize("said", [call_of("answer", gaps=[{"text": "Not known."}]), call_of("plan", steps=[])])
def test_a_turn_told_softly_that_has_nothing_to_say_is_cancelled(said: object) -> None:
    made = cancel(parked(), "soft")
    while made.state.turn is not None:
        made.came(said, verdicts=())  # type: ignore[arg-type]
    assert ending(made) == CANCELLED
    assert not made.facts(TurnEnded)[0].items


def test_a_turn_told_softly_ends_by_its_deadline_too() -> None:
    made = cancel(read_open(), "soft")
    made.now = made.turn.deadline_at
    made.run()
    made.add(CallCancelled(made.open()[0].id, "no longer wanted")).run()
    assert ending(made) == CANCELLED


# --- parts of a session --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_a_specialist_can_be_told_to_stop_alone_and_is_named(level: str) -> None:
    made = cancel(scope_open(), level, scope="t1.st2.a1")
    give_up(made)
    if level == "soft":
        made.came(call_of("answer", gaps=[{"text": "Not known."}]))
        while made.turn.scopes:
            made.came(call_of("answer", gaps=[{"text": "Not known."}]))
    assert [(f.outcome, f.reason) for f in made.facts(ScopeEnded)] == [CANCELLED]
    answer(made)
    assert ending(made)[0] == "partial"
    assert gaps(made) == ["The specialist `analyst` was lost: it was told to stop."]
    assert len(made.facts(ScopeEnded)) == 1


def test_a_specialist_told_softly_answers_with_what_it_has() -> None:
    made = cancel(scope_open().came(call_of("read", source="b")), "soft", scope="t1.st2.a1")
    made.came(passage("b", "It is 4."))
    assert [call.id for call in made.open()] == ["t1.st2.a1/st5.a1"]
    answer(made)
    assert [(f.outcome, f.reason) for f in made.facts(ScopeEnded)] == [CUT]
    answer(made)
    assert ending(made) == ("completed", "answered")


def test_a_turn_told_firmly_after_softly_tells_its_specialists_again() -> None:
    made = cancel(cancel(scope_open(), "soft"), "firm")
    assert [(f.level, f.cause) for f in made.facts(ScopeCancelled)] == [("soft", "user"), ("firm", "user")]
    give_up(cancel(made, "hard"))
    assert len(made.facts(ScopeCancelled)) == 2
    assert ending(made) == CANCELLED


def test_a_session_can_be_told_to_stop_as_a_whole() -> None:
    made = model_open().ask("And then?").ask("And at last?")
    give_up(cancel(made, turn="", scope="session"))
    assert [(f.turn, f.outcome) for f in made.facts(TurnEnded)] == [(t, "cancelled") for t in ("t2", "t3", "t1")]
    assert len({f.request for f in made.facts(CancelRequested)}) == 1


# --- interrupting --------------------------------------------------------------------------------------------------------


def interrupt(made: Desk) -> Desk:
    """A message that does not wait."""
    events = made.admit(Ask("i1", "s", "acme", "user:ana", made.agent.name, "Something else!", interrupt=True))
    assert isinstance(events, list)
    return made.run()


@pytest.mark.parametrize("state", [model_open, read_open, effect_open, parked, scope_open])
def test_a_message_may_interrupt_whatever_the_turn_does(state: Callable[[], Desk]) -> None:
    made = give_up(interrupt(state()))
    if state is effect_open:
        assert made.turn.id == "t1"
        written(made)
    assert ending(made) == ("cancelled", "interrupted by t2")
    assert made.turn.id == "t2"
    answer(made)
    assert ending(made, "t2") == ("completed", "answered")


def test_a_message_that_interrupts_nothing_is_one_like_any_other() -> None:
    made = interrupt(desk())
    assert made.turn.id == "t1" and not made.facts(CancelRequested)


def test_a_message_waits_behind_those_before_it_also_if_it_interrupts() -> None:
    made = give_up(interrupt(model_open().ask("And then?")))
    assert ending(made) == ("cancelled", "interrupted by t3")
    assert [made.turn.id, *(asked.turn for asked in made.state.waiting)] == ["t2", "t3"]


def test_a_parked_turn_that_is_cancelled_goes_on_only_to_end() -> None:
    made = cancel(parked())
    assert [type(f) for f in (e.fact for e in made.events[-4:])] == [CancelRequested, TurnUnparked, StepEnded, TurnEnded]
