"""What earlier versions wrote is read, folds to the same, keeps every promise, and decides the same again."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from tests.golden.kept import GoldenLog, ends, kinds, linked, names, read, told

from standpipe.core.apply import apply
from standpipe.core.events import AnyFact, SessionForked
from standpipe.core.frames import decode_frame
from standpipe.core.ids import HOUSE, digest, digest_bytes
from standpipe.core.state import State
from standpipe.engine.replay import replay
from standpipe.engine.verify import verify
from standpipe.wiring import rules_digest

RETIRED: frozenset[str] = frozenset()
"""Logs that were decided by other rules than today's, whose decisions need not be the same any more."""


@pytest.mark.parametrize("name", names())
def test_a_golden_log_is_whole(name: str) -> None:
    golden = read(name)
    for kept in golden.logs:
        own = golden.own(kept.session)
        first = decode_frame(own[0]).events[0].fact
        assert linked(own, first.head if isinstance(first, SessionForked) else "")
        if isinstance(first, SessionForked):
            shared = {decode_frame(data).last_seq: digest_bytes(data) for data in golden.own(first.parent)}
            assert shared.get(first.at, first.head) == first.head


@pytest.mark.parametrize("name", names())
def test_a_golden_log_folds_to_what_it_was(name: str) -> None:
    golden = read(name)
    for kept in golden.logs:
        state, states = State(), []
        for frame in asyncio.run(golden.read(kept.session)):
            for event in frame.events:
                apply(state, event)
            states.append(digest(told(state)))
        assert states == kept.states
        assert ends(state) == kept.ends


@pytest.mark.parametrize("name", names())
def test_a_golden_log_keeps_every_promise(name: str) -> None:
    golden = read(name)
    verified = asyncio.run(verify(GoldenLog(golden)))  # type: ignore[arg-type]
    assert verified.violations == () and verified.events


@pytest.mark.parametrize("name", names())
def test_a_golden_log_decides_the_same_again(name: str) -> None:
    golden = read(name)
    for kept in (kept for kept in golden.logs if kept.session != HOUSE):
        replayed = asyncio.run(replay(GoldenLog(golden), kept.session, rules_digest()))  # type: ignore[arg-type]
        if name in RETIRED:
            assert replayed.rules_changed
        else:
            assert replayed.divergences == ()


def test_golden_logs_hold_every_kind_of_fact() -> None:
    seen = {kind for name in names() for kind in kinds(read(name))}
    assert seen == {kind.__name__ for kind in get_args(AnyFact)}
