"""What judges simulated runs looks into scopes too: faults put into a turn with specialists are found."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.core.scoped import ANALYST, AUDITOR, SECOND, at, scoped
from tests.simulate.planted import Log

from standpipe.core import events as e
from standpipe.core.amounts import Amounts
from standpipe.testing.judge import essence, faults, reached
from standpipe.testing.run import Run
from standpipe.testing.scenario import draw

LOST = Amounts(2, 3, 1)


def run_of(log: Log | None = None) -> Run:
    """A run with nothing but a turn with specialists in it."""
    told = log or Log(list(scoped()))
    frames = [replace(frame, events=tuple(e for m, e in told.events if m == n)) for n, frame in enumerate(told.frames)]
    return Run(draw(0), {"s": frames}, (), {}, (), (), ())


def test_a_turn_with_specialists_has_no_fault() -> None:
    assert faults(run_of()) == []


def test_a_scope_that_ends_too_late_is_a_fault() -> None:
    log = Log(list(scoped()))
    ended = at(log, e.ScopeEnded, SECOND)
    log.frames = [replace(f, at=f.at + 10**9) if n >= ended else f for n, f in enumerate(log.frames)]

    assert any("ScopeEnded" in text and "after its deadline" in text for text in faults(run_of(log)))


def test_more_than_the_limit_of_a_scope_is_a_fault() -> None:
    log = Log(list(scoped()))
    log.put(at(log, e.CallGranted, f"{SECOND}/"), hold=Amounts(microusd=101, model_calls=1))

    assert any(" held of " in text for text in faults(run_of(log)))


def test_too_many_calls_of_a_scope_at_once_are_a_fault() -> None:
    log = Log(list(scoped()))
    grant = at(log, e.CallGranted, f"{AUDITOR}/")
    for n in range(2, 6):
        log.insert(grant, replace(log.fact(grant), call=f"{AUDITOR}/st1.a{n}"))

    assert any("5 calls are open" in text for text in faults(run_of(log)))


def test_failures_of_a_provider_count_over_all_scopes() -> None:
    log = Log(list(scoped()))
    for scope in (ANALYST, SECOND):
        grant = at(log, e.CallGranted, f"{scope}/")
        log.put(grant, route=replace(log.fact(grant).route, provider="down"))
    failed = at(log, e.CallFailed, ANALYST)
    for _ in range(3):
        log.insert(failed, log.fact(failed))
    assert not any("failed 5 times" in text for text in faults(run_of(log)))

    log.insert(at(log, e.CallGranted, f"{SECOND}/"), replace(log.fact(failed), call=f"{SECOND}/st1.a1"))
    assert any("down failed 5 times in one turn" in text for text in faults(run_of(log)))


def test_an_attempt_cut_off_within_a_scope_makes_no_difference() -> None:
    log = Log(list(scoped()))
    grant = at(log, e.CallGranted, f"{SECOND}/")
    again = replace(log.fact(grant), call=f"{SECOND}/st1.a9")
    for fact in (e.HoldSettled(again.call, LOST), e.CallInterrupted(again.call), again):
        log.insert(grant - 1, fact)
    for place in (at(log, e.ScopeEnded, SECOND), log.where(e.HoldSettled, lambda f: f.call == SECOND), log.where(e.TurnEnded)):
        log.put(place, spent=log.fact(place).spent + LOST)

    assert essence(run_of(log)) == essence(run_of())


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (e.ScopeStarted, {"agent": "other"}),
        (e.ScopeEnded, {"outcome": "partial"}),
        (e.ScopeEnded, {"acted": True}),
        (e.ScopeEnded, {"spent": Amounts(1)}),
        (e.PlanPatched, {"epoch": 7}),
    ],
)
def test_scopes_that_say_something_else_are_not_alike(kind: type, changes: dict[str, object]) -> None:
    log = Log(list(scoped()))
    log.put(at(log, kind, SECOND), **changes)

    assert essence(run_of(log)) != essence(run_of())


def test_how_scopes_ended_is_counted() -> None:
    log = Log(list(scoped()))
    log.insert(at(log, e.PlanPatched, SECOND), e.ScopeCancelled(SECOND, "answered"))
    seen = reached(run_of(log))

    assert (seen["scope completed: answered"], seen["scope failed: no model"], seen["scope cancelled: answered"]) == (2, 1, 1)
