"""Replay and verify over whole stores: every session that ran decides the same again, and what was tampered with is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace
from tests.simulate.drawn import drawn
from tests.simulate.sessions import RULES, TENANT, Stage, told
from tests.simulate.stories import Revising, Writing, asked, crashed

from standpipe.core import events as e
from standpipe.core.details import Why
from standpipe.core.events import INPUTS, Event, Frame
from standpipe.core.ids import digest_bytes
from standpipe.drivers.log.memory import MemoryLog
from standpipe.engine.replay import Replayed, replay
from standpipe.engine.verify import Verified, verify
from standpipe.errors import NotFound
from standpipe.ports import Append, Appended, Log, SessionRow

SEEDS = (2, 51, *range(200, 250))
"""Two in which a question was withdrawn before anybody answered it, and fifty more."""
NOBODY = digest_bytes(b"{}")
"""The agents part of a world without agents."""
BOTTOMLESS = b'{"turn":{}}'
"""The policy part of a world that has no limits to begin a turn with."""

T = TypeVar("T")
ran = cache(drawn)
Change = Callable[[list[Frame]], list[Frame]]


def done(work: Awaitable[T]) -> T:
    """What comes of it, in a loop of its own."""

    async def wait() -> T:
        return await work

    return asyncio.run(wait())


@cache
def story() -> tuple[Stage, str]:
    """The stage after a story with a plan, a revision, a refusal and a retry; and its session."""
    stage, turn = told(Revising(), asked)
    return stage, turn.session


@cache
def writing() -> tuple[Stage, str]:
    """The stage after a story of two writes of which nobody knows whether they took effect; and its session."""
    stage, turn = told(Writing(), crashed)
    return stage, turn.session


def copied(
    change: Change = lambda frames: frames, without: str = "", of: Callable[[], tuple[Stage, str]] = story
) -> tuple[Log, str]:
    """A story's session in another log, changed on the way, and without the world part of that name."""
    stage, session = of()

    async def copy() -> Log:
        log = MemoryLog()
        row = await stage.log.row(session)
        for frame in change(await stage.log.read(session)):
            names = {name: digest for name, digest in frame.world.parts.items() if name != without}
            append = Append(
                session=session,
                tenant=TENANT,
                at=frame.at,
                by=frame.by,
                rules=frame.rules,
                expect_seq=(await log.heads(session))[0],
                events=frame.events,
                world=replace(frame.world, access=None) if without == "access" else frame.world,
                parts={NOBODY: b"{}", digest_bytes(BOTTOMLESS): BOTTOMLESS, **await stage.log.parts(list(names.values()))},
                row=row,
            )
            assert isinstance(await log.append(append), Appended)
        return log

    return done(copy()), session


def again(change: Change = lambda frames: frames, rules: str = RULES, without: str = "") -> Replayed:
    """What comes of a replay of the changed story."""
    return done(replay(*copied(change, without), rules))


def each(change: Callable[[Event], Event]) -> Change:
    """A change to every event."""
    return lambda frames: [replace(frame, events=tuple(map(change, frame.events))) for frame in frames]


def only(kind: type, after: int = 0, **changes: Any) -> Change:
    """A change to the fields of the first fact of a kind after a seq."""
    told: list[Event] = []

    def change(event: Event) -> Event:
        if told or event.seq <= after or not isinstance(event.fact, kind):
            return event
        told.append(event)
        return replace(event, fact=replace(event.fact, **changes))

    return each(change)


def erased(*kinds: str) -> Change:
    """The bodies of items of these kinds gone."""

    def change(event: Event) -> Event:
        items = tuple(replace(i, body=None) if i.kind in kinds else i for i in getattr(event.fact, "items", ()))
        return replace(event, fact=replace(event.fact, items=items)) if items else event

    return each(change)


def test_every_session_that_ran_decides_the_same_again() -> None:
    async def all_of(stage: Stage) -> list[Replayed]:
        return [await replay(stage.log, row.session, RULES) for row in await stage.log.rows()]

    came = [replayed for seed in SEEDS for replayed in done(all_of(ran(seed)))]

    assert [text for replayed in came for text in replayed.divergences] == []
    assert not any(replayed.rules_changed or replayed.erased for replayed in came)
    assert sum(replayed.decisions for replayed in came) > 1_000


def test_decisions_are_all_facts_but_those_from_outside() -> None:
    stage, session = story()
    frames = done(stage.log.read(session))
    replayed = done(replay(stage.log, session, RULES))

    assert replayed.frames == len(frames)
    assert replayed.decisions == sum(not isinstance(event.fact, INPUTS) for frame in frames for event in frame.events)
    assert again() == replayed


def test_a_changed_decision_is_told_with_its_seq_and_what_differs() -> None:
    replayed = again(only(e.PlanPatched, why=Why("begin")))

    assert replayed.divergences == ("seq 4: PlanPatched t1: why differs.",)


def test_every_changed_decision_is_told_and_the_rest_is_not() -> None:
    def change(event: Event) -> Event:
        return replace(event, causes=(1,)) if isinstance(event.fact, e.StepEnded) else event

    replayed = again(each(change))
    ended = [
        event
        for frame in done(story()[0].log.read(story()[1]))
        for event in frame.events
        if isinstance(event.fact, e.StepEnded)
    ]

    assert [text.split(":")[0] for text in replayed.divergences] == [f"seq {event.seq}" for event in ended]
    assert all("causes" in text for text in replayed.divergences)


def test_a_scalar_is_shown_as_it_is_in_the_log_and_by_the_rules() -> None:
    replayed = again(only(e.StepEnded, outcome="failed"))

    assert replayed.divergences[0] == "seq 8: StepEnded st1: outcome is 'failed' in the log, 'done' by the rules."


def test_another_decision_in_its_place_is_told() -> None:
    def change(event: Event) -> Event:
        return replace(event, fact=e.MemoryKept("t1")) if isinstance(event.fact, e.TurnEnded) else event

    assert again(each(change)).divergences[0].endswith(": the log says MemoryKept t1, the rules say TurnEnded t1.")


def test_a_decision_left_out_is_told() -> None:
    def change(frames: list[Frame]) -> list[Frame]:
        last = frames[-1]
        assert isinstance(last.events[-1].fact, e.TurnEnded)
        return [*frames[:-1], replace(last, events=last.events[:-1])]

    replayed = again(change)

    assert len(replayed.divergences) == 1
    assert replayed.divergences[0].endswith("TurnEnded t1: the rules say this, and the log does not.")


def test_a_decision_too_many_is_told() -> None:
    def change(frames: list[Frame]) -> list[Frame]:
        last = frames[-1]
        more = Event(last.last_seq + 1, "runtime", (1,), e.MemoryKept("t1"))
        return [*frames[:-1], replace(last, events=(*last.events, more))]

    replayed = again(change)

    assert [text.split(": ", 1)[1] for text in replayed.divergences] == [
        "MemoryKept t1: the log says this, and the rules do not."
    ]


def test_what_cannot_be_folded_ends_the_replay() -> None:
    replayed = again(only(e.HoldSettled, call="t1.st9.a9"))

    assert ["does not fit what stands before it" in text for text in replayed.divergences] == [True]


def decided_with(part: str, digest: str) -> Change:
    """Another part in the world of every frame that has one."""

    def change(frame: Frame) -> Frame:
        parts = {**frame.world.parts, part: digest} if frame.world.parts else {}
        access = None if part == "access" else frame.world.access
        return replace(frame, world=replace(frame.world, parts=parts, access=access))

    return lambda frames: list(map(change, frames))


def test_rules_that_break_off_in_another_world_are_told() -> None:
    replayed = again(decided_with("policy", digest_bytes(BOTTOMLESS)))

    assert "the rules break off on what stands before it (KeyError)" in replayed.divergences[0]
    assert len(replayed.divergences) > 1


def test_a_world_that_cannot_be_read_is_told() -> None:
    assert (
        "the readable world that this frame was decided with is missing" in again(decided_with("access", NOBODY)).divergences[0]
    )


def test_rules_are_compared_by_their_digest() -> None:
    assert again(rules="other").rules_changed
    assert not again(rules="other").divergences
    assert not again().rules_changed


@pytest.mark.parametrize("part", ["policy", "agents", "access"])
def test_a_missing_part_of_the_world_is_told(part: str) -> None:
    replayed = again(without=part)

    assert f"the {part} that this frame was decided with is missing" in replayed.divergences[0]


def test_decisions_without_a_world_are_told() -> None:
    replayed = again(lambda frames: [replace(frame, world=e.WorldRecord()) for frame in frames])

    assert "the world that this frame was decided with is missing" in replayed.divergences[0]


def test_what_was_decided_from_an_erased_body_is_not_judged_and_counted() -> None:
    replayed = again(erased("text"))

    assert replayed.erased
    assert not replayed.divergences


def test_erased_answers_do_not_matter_to_what_was_decided() -> None:
    replayed = again(erased("answer"))

    assert (replayed.erased, replayed.divergences) == (0, ())


def test_a_changed_decision_is_told_though_another_turn_was_erased() -> None:
    def change(frames: list[Frame]) -> list[Frame]:
        return erased("answer")(only(e.StepEnded, outcome="failed")(frames))

    assert again(change).divergences


def test_a_session_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        done(replay(MemoryLog(), "nobody", RULES))
    with pytest.raises(NotFound):
        done(verify(MemoryLog(), "nobody"))


# --- verify


def test_a_store_of_sessions_that_ran_is_clean() -> None:
    for seed in SEEDS:
        stage = ran(seed)
        rows: list[SessionRow] = done(stage.log.rows())
        found = done(verify(stage.log))

        assert found.violations == ()
        assert found.sessions == len(rows)
        assert found.events == sum(done(stage.log.heads(row.session))[0] for row in rows)


def test_a_broken_promise_is_told_with_its_session() -> None:
    log, session = copied(only(e.CallGranted, key=""))
    found: Verified = done(verify(log))

    assert found.violations[0].startswith(f"Session {session}, seq 5: it has no key")
    assert done(verify(log, session)) == found


def test_the_effects_of_tools_are_those_of_the_agents_that_the_frames_name() -> None:
    clean, _ = copied(of=writing)
    log, session = copied(only(e.StepEnded, after=9, outcome="failed"), of=writing)

    assert done(verify(clean)).violations == ()
    assert f"Session {session}, seq 14: st3 may have taken effect, which is not shown." in done(verify(log)).violations


def test_a_tool_that_acts_once_for_each_key_may_be_called_again() -> None:
    stage, turn = told(Writing("put"), crashed)
    calls = [event.fact for frame in done(stage.log.read(turn.session)) for event in frame.events]

    assert any(isinstance(fact, e.CallGranted) and fact.call == "t1.st2.a2" for fact in calls)
    assert done(verify(stage.log)).violations == ()


def test_a_changed_body_is_told() -> None:
    log, session = copied()
    assert isinstance(log, MemoryLog)
    tenant, hash = next(iter(log._bodies))
    log._bodies[tenant, hash] = b"{}"

    assert done(verify(log)).violations == (f"The item body {hash} has been changed.", f"Session {session} cannot be read.")
