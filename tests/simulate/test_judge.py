"""What judges simulated runs notices what it is there for: each kind of fault, put into a run that had none, is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache

import pytest
from msgspec.structs import replace

from standpipe.core.amounts import Amounts, Balance
from standpipe.core.details import Step, Why
from standpipe.core.events import (
    AnyFact,
    Asked,
    CallCompleted,
    CallGranted,
    Event,
    FolderSynced,
    Frame,
    PlanPatched,
    SessionOpened,
    StepEnded,
    TurnEnded,
    TurnParked,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.ids import HOUSE
from standpipe.core.items import Draft, Label, Text, place
from standpipe.core.tools import AgentSpec
from standpipe.core.world import DEFAULT_LIMITS, Policy
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.search.memory import MemorySearch
from standpipe.engine.lookup import static
from standpipe.ports import Append
from standpipe.testing.crash import Boundaries, Crash, Life
from standpipe.testing.judge import cut_off, essence, faults
from standpipe.testing.outside import Effect, Outside
from standpipe.testing.people import People
from standpipe.testing.quiet import QuietLoop, Watch, at_once
from standpipe.testing.run import Run
from standpipe.testing.scenario import FOLDER, PEOPLE, TENANT, draw, marker
from standpipe.testing.simulate import simulate
from standpipe.wiring import Stores

Change = Callable[[Event], Event | None]


@cache
def lived() -> Run:
    """A calm run without a fault, with effects and an answer in it."""
    runs = (simulate(seed) for seed in range(100) if draw(seed).calm)
    return next(run for run in runs if run.effects and any(end.items for end in ends(run)))


def events(run: Run) -> list[Event]:
    """All events of its sessions."""
    return [e for session, frames in run.logs.items() if session != HOUSE for f in frames for e in f.events]


def ends(run: Run) -> list[TurnEnded]:
    """The ends of its turns."""
    return [event.fact for event in events(run) if isinstance(event.fact, TurnEnded)]


def changed(run: Run, change: Change) -> Run:
    """The run with its events changed one by one, up to the first that is left out."""

    def of(frames: list[Frame]) -> list[Frame]:
        kept: list[Frame] = []
        for frame in frames:
            new = [change(event) for event in frame.events]
            if None in new:
                return kept
            kept.append(replace(frame, events=tuple(event for event in new if event is not None)))
        return kept

    return replace(run, logs={s: frames if s == HOUSE else of(frames) for s, frames in run.logs.items()})


def on(kind: type, **fields: object) -> Change:
    """Replaces fields of the facts of a kind."""
    return lambda event: replace(event, fact=replace(event.fact, **fields)) if isinstance(event.fact, kind) else event


def test_a_run_without_a_fault_has_none() -> None:
    assert faults(lived()) == []
    assert cut_off(lived()) == []


def test_an_effect_that_happens_twice_is_a_fault() -> None:
    effect = Effect("a key", "note", "twice")

    assert faults(replace(lived(), effects=(effect, effect))) == ["note acted 2 times under one key"]


@pytest.mark.parametrize("wrong", [Balance(1, 0), Balance(0, 1)])
def test_money_that_stays_held_or_is_not_accounted_for_is_a_fault(wrong: Balance) -> None:
    account, row = next(iter(lived().accounts.items()))
    row = Balance(row.held + wrong.held, row.spent + wrong.spent)

    [found] = faults(replace(lived(), accounts={**lived().accounts, account: row}))
    assert found.startswith(f"{account} has ")


def test_more_than_the_limit_is_a_fault() -> None:
    found = faults(changed(lived(), on(CallGranted, hold=Amounts(microusd=10**15, model_calls=1))))

    assert any(" held of " in text for text in found)


def test_a_turn_that_ends_too_late_is_a_fault() -> None:
    late = {s: [replace(f, at=f.at + 10**10) for f in frames] for s, frames in lived().logs.items()}

    assert any("after its deadline" in text for text in faults(replace(lived(), logs=late)))


def test_a_turn_that_never_ends_is_a_fault() -> None:
    endless = changed(lived(), lambda event: None if isinstance(event.fact, TurnEnded) else event)

    assert any("never ended" in text for text in faults(endless))


@pytest.mark.parametrize(
    "change",
    [
        on(TurnEnded, items=()),
        on(TurnEnded, outcome="other"),
        on(StepEnded, outcome="other"),
        on(CallGranted, target="other"),
        on(CallCompleted, items=()),
    ],
)
def test_runs_that_say_something_else_are_not_alike(change: Change) -> None:
    assert essence(changed(lived(), change)) != essence(lived())


def test_runs_that_did_something_else_are_not_alike() -> None:
    assert essence(replace(lived(), effects=())) != essence(lived())


def test_an_interrupted_attempt_makes_no_difference_and_is_not_overlooked() -> None:
    seed = lived().scenario.seed
    performed = [n for n, name in enumerate(lived().boundaries, 1) if name in ("after tool", "after model")]
    runs = [simulate(seed, (n,)) for n in performed[:20]]

    assert any(cut_off(run) for run in runs)
    assert any(events(run) != events(lived()) and essence(run) == essence(lived()) for run in runs)


def test_words_that_may_not_be_read_are_noticed() -> None:
    scenario = draw(1)
    access = MemoryAccess()
    outside = Outside(scenario, access)
    secret = marker(0, 0).encode()
    asyncio.run(outside.look_over("a prompt", PEOPLE[0], secret))
    assert outside.faults == []  # nothing is governed yet

    access.project(None, TENANT, (Event(1, "operator", (), FolderSynced(TENANT, FOLDER, FOLDER, (), (), True)),))
    asyncio.run(outside.look_over("a prompt", PEOPLE[0], b"nothing of it"))
    assert outside.faults == []
    asyncio.run(outside.look_over("a prompt", PEOPLE[0], secret))
    assert outside.faults == ["a prompt for user:ana holds words of page0.md, which it may not read"]


def test_an_effect_without_a_grant_is_noticed() -> None:
    outside = Outside(draw(1), MemoryAccess())
    outside.act("a key", "note", "")

    assert outside.faults == ["note acted under a key that no grant in the log has"]


def test_a_session_that_nobody_drives_is_noticed() -> None:
    access, search = MemoryAccess(), MemorySearch()
    log = MemoryLog([access.project])
    scenario = draw(1)
    chat = scenario.chats[0]
    watch = Watch(Stores(log, access, search), static(Policy(), {"agent": AgentSpec("agent", "")}))
    asyncio.run(People(scenario, log, Outside(scenario, access)).open(chat, chat.messages[0]))

    undriven = {chat.session: False}
    assert list(watch.starving(undriven, 0)) == [f"{chat.session} at seq 2 waits, but could go on with ['TurnStarted']"]
    assert list(watch.starving(undriven, 0)) == []


@pytest.mark.parametrize(
    ("driven", "noticed"), [(True, ["s at seq 6 waits, but could go on with ['AskExpired']"]), (False, [])]
)
def test_an_expired_question_may_wait_only_where_nobody_drives(driven: bool, noticed: list[str]) -> None:
    question = place(Draft(Text("Which?"), Label(integrity="user")), "2.0", "user")
    facts: list[AnyFact] = [
        SessionOpened("s", TENANT, PEOPLE[0], "agent"),
        TurnRequested("t1", "r", (question,)),
        TurnStarted("t1", DEFAULT_LIMITS, Amounts(), 50_000, 60_000),
        PlanPatched("t1", 1, Why("asked by the model"), (Step("st1", "person", "ask_user"),)),
        Asked("t1.st1", "st1", "question", 10),
        TurnParked("t1", 1, 10),
    ]
    log, access = MemoryLog(), MemoryAccess()
    events = tuple(Event(n, "runtime", (), fact) for n, fact in enumerate(facts, 1))
    asyncio.run(log.append(Append("s", TENANT, 1, "p", "", 0, events)))
    watch = Watch(Stores(log, access, MemorySearch()), static(Policy(), {"agent": AgentSpec("agent", "")}))

    assert list(watch.starving({"s": driven}, 20)) == noticed


def test_a_loop_that_never_rests_is_noticed() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    loop = QuietLoop(lambda: None)
    task = loop.create_task(spin())
    try:
        with pytest.raises(RuntimeError, match="livelock"):
            loop.run_until_complete(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    finally:
        loop.close()


def test_a_coroutine_that_waits_is_not_done_at_once() -> None:
    with pytest.raises(RuntimeError, match="waits"):
        at_once(asyncio.sleep(0))


def test_a_process_that_died_does_nothing_more() -> None:
    async def die() -> Life:
        life = Life(Boundaries((2,)), 1)
        life.cross("first")
        with pytest.raises(Crash):
            life.cross("second")
        return life

    life = asyncio.run(die())
    assert not life.alive
    with pytest.raises(Crash):
        life.cross("third")
    with pytest.raises(Crash):
        life.check()
