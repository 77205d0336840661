"""A fork sees what its principal may see when it runs, whatever could be seen when the past was made."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scripts import Script, answered, called, incident, run

import standpipe as sp
from standpipe.core.events import CallCompleted, CallRefused, ItemsWithdrawn, RelationsChanged
from standpipe.core.items import Data
from standpipe.engine.access import change
from standpipe.engine.replay import replay
from standpipe.engine.verify import verify

RIGHT = "incident:7#reader@user:local"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


async def forked(house: sp.House, script: Script, name: str) -> list[type]:
    """Run a fork to its end: the kinds of its facts. Nothing that was read of the incident is shown to its model."""
    script.shown.clear()
    turn = await house.resume(name)
    assert turn is not None
    await turn.wait()
    assert not any("pool" in str(item.body) for shown in script.shown for item in shown) and script.shown
    assert (await verify(house.ports.log)).violations == ()
    assert (await replay(house.ports.log, name, house.setup.rules)).divergences == ()
    return [type(event.fact) for frame in await house.ports.log.read(name) for event in frame.events]


def test_what_may_no_longer_be_read_is_withdrawn_and_not_answered_from_the_parent(store: str) -> None:
    async def main() -> None:
        script = Script([called("incident", id="7")], [called("incident", id="7")], answered("It was the pool."))
        async with sp.open({}, agents=[sp.Agent("a", tools=[incident])], models=script.models, store=store) as house:
            await change(house.setup, RelationsChanged("local", "", "command", granted=(RIGHT,)), "test")
            turn = await (await house.ask("Why?")).wait()
            events = [event for frame in await house.ports.log.read(turn.session) for event in frame.events]
            reads = [e for e in events if isinstance(e.fact, CallCompleted) and e.by == "tool:incident"]
            said = [e for e in events if isinstance(e.fact, CallCompleted) and e.by == "scripted"]
            assert len(reads) == 2 and isinstance(reads[0].fact.items[0].body, Data)  # type: ignore[union-attr]
            await change(house.setup, RelationsChanged("local", "", "command", revoked=(RIGHT,)), "test")

            script.said = [answered("Nothing can be said.")]
            plain = await house.fork(turn.session, at=reads[0].seq)
            assert ItemsWithdrawn in await forked(house, script, plain)

            moves = [{"type": "call", "name": "incident", "arguments": {"id": "7"}}]
            script.said = [answered("Nothing can be said.")]
            asked = await house.fork(turn.session, set={said[0].seq: moves})
            assert CallRefused in await forked(house, script, asked)

            script.said = [answered("Nothing can be said.")]
            told = await house.fork(turn.session, set={reads[0].seq: {"cause": "the pool again"}})
            assert ItemsWithdrawn in await forked(house, script, told)

    run(main)
