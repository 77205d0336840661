"""What the independent model says of effects: nothing of what the rules decide, a sentence for every planted fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.desk import NOW, Desk, call_of
from tests.core.doers import ANSWER, BROKEN, GONE, PASSED, SHAKY, UNCLEAR, cancelled, doing, done, failed, result, specialised

from standpipe.core import events as e
from standpipe.core.aftermath import UNWIND_MS
from standpipe.core.details import Step, Why
from standpipe.core.shares import Shares
from standpipe.core.verify_effects import Deeds


def said(events: list[e.Event], at: int = NOW) -> list[str]:
    """What the model says of these events, all of them written at one moment."""
    found: list[str] = []
    deeds, shares = Deeds(lambda holds, otherwise: None if holds else found.append(otherwise)), Shares()
    for event in events:
        deeds.take(event, shares.take(event.fact), at)
    return found


def asked() -> Desk:
    """One payment that happened, one that did at the second try, one that is in doubt; none is made again."""
    desk = doing("pay", "pay", "pay")
    desk.broke(BROKEN, unknown=True, call="t1.st2.a1").came(result(), call="t1.st2.a2")
    desk.broke(BROKEN, unknown=True, call="t1.st3.a1").broke(GONE, call="t1.st3.a2").came(result(), call="t1.st3.a3")
    desk.broke(BROKEN, unknown=True, call="t1.st4.a1").broke(UNCLEAR, unknown=True, call="t1.st4.a2")
    return failed(desk.came(call_of("pay", n=2)))


def undone() -> Desk:
    """A turn that fails and takes two things back, the second of them at the second try."""
    return failed(done("book", "ship")).came(result()).broke(BROKEN).came(result())


def left() -> Desk:
    """A turn that cannot take back what it did."""
    return failed(done("book")).broke(BROKEN).crash().broke(BROKEN)


def stopped() -> Desk:
    """A turn that is cancelled while it takes back."""
    return cancelled(failed(done("book"))).came(result())


def specialist_failed() -> Desk:
    """A specialist that takes back what it did, and a turn that does without it."""
    return failed(failed(specialised("book")).came(result()))


def specialist_done() -> Desk:
    """A turn that takes back what a specialist did that did its work."""
    return failed(specialised("ship").came(ANSWER, verdicts=PASSED)).came(result())


STORIES = (asked, undone, left, stopped, specialist_failed, specialist_done)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_what_the_rules_decide_is_beyond_reproach(story: Callable[[], Desk]) -> None:
    desk = story()

    assert desk.state.turn is None, "the story is told to its end"
    assert said(desk.events) == []


# --- planted --------------------------------------------------------------------------------------------------------------


class Book:
    """The events of a story, to be falsified."""

    def __init__(self, desk: Desk) -> None:
        self.events = list(desk.events)

    def where(self, kind: type[Any], fits: Callable[[Any], bool] = lambda fact: True) -> int:
        """The place of the first such fact."""
        return next(n for n, event in enumerate(self.events) if isinstance(event.fact, kind) and fits(event.fact))

    def fact(self, place: int) -> Any:
        """The fact at a place."""
        return self.events[place].fact

    def put(self, place: int, **changes: Any) -> Book:
        """Change fields of a fact."""
        event = self.events[place]
        self.events[place] = replace(event, fact=replace(event.fact, **changes))
        return self

    def drop(self, *places: int) -> Book:
        """Leave events out."""
        self.events = [event for n, event in enumerate(self.events) if n not in places]
        return self

    def insert(self, place: int, fact: Any) -> Book:
        """Put a fact after the one at a place."""
        self.events.insert(place + 1, e.Event(0, "test", (), fact))
        return self


def grants(purpose: str) -> Callable[[Any], bool]:
    return lambda fact: fact.purpose == purpose


def a_question_about_nothing() -> Book:
    book = Book(asked())
    return book.drop(book.where(e.CallFailed, lambda f: f.call == "t1.st2.a1"))


def questions_without_end() -> Book:
    book = Book(asked())
    place = book.where(e.CallGranted, grants("ask"))
    for n in range(3):
        book.insert(place, replace(book.fact(place), call=f"t1.st2.a{n + 7}"))
    return book


def a_question_that_takes_for_ever() -> Book:
    book = Book(asked())
    return book.put(book.where(e.CallGranted, grants("ask")), deadline_at=NOW + 10_001)


def a_doubt_that_is_not_told() -> Book:
    book = Book(asked())
    return book.put(book.where(e.StepEnded, lambda f: f.outcome == "unknown"), outcome="failed")


def the_same_again_after_a_doubt() -> Book:
    book = Book(asked())
    place = book.where(e.CallRefused, lambda f: f.code == "in doubt")
    granted = book.fact(book.where(e.CallGranted, lambda f: f.step == "st4"))
    return book.insert(place, replace(granted, call="t1.st6.a1", step="st6"))


def a_step_that_takes_back_what_was_not_done() -> Book:
    book = Book(undone())
    place = book.where(e.PlanPatched, lambda f: f.why.code == "unwind")
    steps = book.fact(place).add
    return book.put(place, add=(steps[0], replace(steps[1], undoes="st1")))


def a_thing_taken_back_twice() -> Book:
    book = Book(undone())
    place = book.where(e.PlanPatched, lambda f: f.why.code == "unwind")
    steps = book.fact(place).add
    return book.put(place, add=(*steps, replace(steps[1], id="st99")))


def something_taken_back_before_its_time() -> Book:
    book = Book(undone())
    return book.drop(book.where(e.UnwindStarted))


def something_new_planned_while_taking_back() -> Book:
    book = Book(undone())
    fact = e.PlanPatched("t1", 9, Why("continue"), (Step("st99", "tool", "note"),))
    return book.insert(book.where(e.PlanPatched, lambda f: f.why.code == "unwind"), fact)


def something_new_begun_while_taking_back() -> Book:
    book = Book(undone())
    place = book.where(e.CallGranted, grants("undo"))
    granted = book.fact(book.where(e.CallGranted, lambda f: f.effect is not None))
    return book.insert(place, replace(granted, call="t1.st2.a9"))


def a_compensation_that_was_never_registered() -> Book:
    book = Book(undone())
    return book.put(book.where(e.CallGranted, grants("undo")), key="another")


def a_compensation_for_a_step_of_another_kind() -> Book:
    book = Book(undone())
    return book.put(book.where(e.CallGranted, grants("undo")), purpose="")


def a_compensation_tried_without_end() -> Book:
    book = Book(undone())
    place = book.where(e.CallGranted, grants("undo"))
    for n in range(3):
        book.insert(place, replace(book.fact(place), call=f"t1.st5.a{n + 7}"))
    return book


def a_compensation_with_more_time_than_there_is() -> Book:
    book = Book(undone())
    return book.put(book.where(e.CallGranted, grants("undo")), deadline_at=NOW + UNWIND_MS + 1)


def an_end_that_forgets_what_was_done() -> Book:
    book = Book(undone())
    first = book.where(e.UnwindStarted)
    return book.drop(*range(first, book.where(e.TurnEnded)))


def an_end_that_does_not_tell_what_stands() -> Book:
    book = Book(left())
    return book.put(book.where(e.TurnEnded), standing=())


def a_compensation_of_a_turn_that_went_well() -> Book:
    book = Book(undone())
    return book.put(book.where(e.TurnEnded), outcome="partial")


def an_unwinding_for_no_reason() -> Book:
    book = Book(undone())
    return book.put(book.where(e.UnwindStarted), reason="")


def an_unwinding_without_end() -> Book:
    book = Book(undone())
    return book.put(book.where(e.UnwindStarted), until=NOW + UNWIND_MS + 1)


def an_unwinding_of_nothing() -> Book:
    book = Book(failed(doing("note").came(result())))
    return book.insert(book.where(e.TurnEnded) - 1, e.UnwindStarted("t1", "failed", "no model", NOW))


def an_unwinding_before_all_else_has_ended() -> Book:
    book = Book(undone())
    ended = book.where(e.StepEnded, lambda f: f.outcome == "failed")
    return book.drop(ended)


FAULTS: dict[Callable[[], Book], str] = {
    a_question_about_nothing: "nothing is in doubt",
    questions_without_end: "without end",
    a_question_that_takes_for_ever: "without end",
    a_doubt_that_is_not_told: "in doubt, which is not told",
    the_same_again_after_a_doubt: "may have taken effect before",
    a_step_that_takes_back_what_was_not_done: "takes back what was not done",
    a_thing_taken_back_twice: "takes back what was not done",
    something_taken_back_before_its_time: "takes back what was not done",
    something_new_planned_while_taking_back: "plans something new",
    something_new_begun_while_taking_back: "begins something new",
    a_compensation_that_was_never_registered: "nothing was registered",
    a_compensation_for_a_step_of_another_kind: "for something else than",
    a_compensation_tried_without_end: "more than 3 times",
    a_compensation_with_more_time_than_there_is: "more time than is left",
    an_end_that_forgets_what_was_done: "does not take back st2, st3",
    an_end_that_does_not_tell_what_stands: "does not tell which effects",
    a_compensation_of_a_turn_that_went_well: "though it took back",
    an_unwinding_for_no_reason: "only what fails or is cancelled",
    an_unwinding_without_end: "take back without end",
    an_unwinding_of_nothing: "nothing to take back",
    an_unwinding_before_all_else_has_ended: "a step has not ended",
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_told(plant: Callable[[], Book]) -> None:
    assert any(FAULTS[plant] in sentence for sentence in said(plant().events))


def test_a_fork_may_not_take_back_what_its_parent_did() -> None:
    book = Book(undone())
    first = book.where(e.UnwindStarted)
    book.insert(first - 1, e.SessionForked("other", "s", 1, "head"))

    assert any("nothing to take back" in sentence for sentence in said(book.events))


def test_what_is_set_aside_is_kept_until_it_is_used() -> None:
    desk = doing("ship").broke(SHAKY, unknown=True)
    deeds, shares = Deeds(lambda holds, otherwise: None), Shares()
    kept = []
    for event in desk.events:
        deeds.take(event, shares.take(event.fact), NOW)
        kept.append((deeds.kept("t1").tool_calls, deeds.kept("t1").steps))

    assert list(dict.fromkeys(kept)) == [(0, 0), (6, 1), (5, 1)]
