"""Sessions drawn from a seed are forked at drawn places: nothing that was done is done again, and every account is right."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import msgspec
import pytest
from tests.simulate.drawn import drawn
from tests.simulate.sessions import RULES, Stage

from standpipe.core.amounts import Balance
from standpipe.core.events import (
    Asked,
    CallCancelled,
    CallCompleted,
    CallGranted,
    CallInterrupted,
    Frame,
    SessionForked,
    TurnEnded,
    TurnStarted,
)
from standpipe.engine.replay import replay
from standpipe.engine.verify import verify
from standpipe.errors import Refused, UsageError

FORKS = 4
"""Forks of each session, every other one with an outcome that is set."""
seen: Counter[str] = Counter()


def forking(seed: int) -> Stage:
    """The stage that a session leaves which was forked at several places, by nobody who allows anything."""

    async def fork(stage: Stage) -> None:
        random = Random(seed)
        house = await stage.open()
        (row,) = await stage.log.rows()
        names = [row.session]
        for n in range(FORKS):
            frames = await stage.log.read(random.choice(names))
            events = [event for frame in frames for event in frame.events]
            outcomes = [event for event in events if isinstance(event.fact, CallCompleted) and event.fact.items]
            done = dict(stage.acts.done)
            try:
                if n % 2 and outcomes:
                    chosen = random.choice(outcomes)
                    bodies = [msgspec.to_builtins(i.body) for i in chosen.fact.items if i.kind != "checked"]  # type: ignore[union-attr]
                    session = [e.fact for e in events if isinstance(e.fact, SessionForked)]
                    of = session[-1].session if session else row.session
                    value = {"type": "failure", "code": "error", "text": "It was set to fail."}
                    name = await house.fork(of, set={chosen.seq: random.choice((value, bodies))})
                    seen["set"] += 1
                else:
                    name = await house.fork(random.choice(names), at=random.randint(1, 12))
            except (Refused, UsageError):
                seen["refused"] += 1
                continue
            names.append(name)
            while (turn := await house.resume(name)) is not None:
                await turn.wait()
                wakes_at = (found.wakes_at if (found := await stage.log.row(name)) is not None else 0) or 0
                await asyncio.sleep(max(0, wakes_at - stage.loop.now_ms()) / 1000 + 0.1)
                seen[turn.outcome] += 1
            assert stage.acts.done == done, f"seed {seed}, fork {n}: something was done again"
        await stage.close()

    return drawn(seed, fork)


def spent(logs: dict[str, list[Frame]]) -> Counter[str]:
    """What was spent on each account as the logs tell it, each session paying only for what follows where it was forked."""
    accounts: Counter[str] = Counter()
    for frames in logs.values():
        forks = [n for n, f in enumerate(frames) if any(isinstance(e.fact, SessionForked) for e in f.events)]
        names: tuple[str, ...] = ()
        turn, before, total = "", 0, 0
        for n, event in ((n, event) for n, frame in enumerate(frames) for event in frame.events):
            fact, own = event.fact, not forks or n >= forks[-1]
            if isinstance(fact, TurnStarted):
                names, turn, before, total = fact.accounts, fact.turn, 0, 0
            elif isinstance(fact, SessionForked):
                names, before = fact.accounts, total
            elif type(fact).__name__ == "HoldSettled":
                total += fact.spent.microusd  # type: ignore[union-attr]
            elif isinstance(fact, TurnEnded) and fact.turn == turn and own:
                accounts.update(dict.fromkeys(names, fact.spent.microusd - before))
                names = ()
    return accounts


def check(seed: int) -> None:
    """Fork, and hold everything that is left against the promises."""
    stage = forking(seed)

    async def look() -> None:
        rows = await stage.log.rows()
        logs = {row.session: await stage.log.read(row.session) for row in rows}
        assert (await verify(stage.log)).violations == ()
        for session in logs:
            assert (await replay(stage.log, session, RULES)).divergences == ()
        told = spent(logs)
        balances = await stage.log.balances(list(told))
        assert balances == {name: Balance(spent=amount) for name, amount in told.items()}
        for event in (event for frames in logs.values() for frame in frames for event in frame.events):
            seen[type(event.fact).__name__] += 1
            seen["recorded"] += isinstance(event.fact, CallGranted) and bool(event.fact.recorded)

    asyncio.run(look())


@pytest.mark.slow
def test_forks_of_drawn_sessions_keep_every_promise() -> None:
    seen.clear()
    for seed in range(60):
        check(seed)
    needed = (SessionForked, CallInterrupted, CallCancelled, Asked, TurnEnded)
    assert all(seen[kind.__name__] for kind in needed)
    assert all(seen[name] for name in ("recorded", "set", "completed", "partial", "failed", "parked"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(4))
def test_forks_of_many_drawn_sessions_keep_every_promise(part: int) -> None:
    for seed in range(1_000 + part * 250, 1_250 + part * 250):
        check(seed)
