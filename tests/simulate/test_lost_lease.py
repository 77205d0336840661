"""A process that stood still for longer than its lease goes on, and finds that another one drives its session."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from standpipe.core.events import CallInterrupted, TurnEnded
from standpipe.core.items import Draft, ToolCall
from standpipe.core.tools import AgentSpec
from standpipe.core.world import ModelSpec, Policy
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.tools.python import PythonTools, tool
from standpipe.engine.drive import Lost, Setup, drive
from standpipe.engine.lookup import static
from standpipe.engine.perform import Ports
from standpipe.ports import Failed, Owner, Prompt, Reply
from standpipe.testing.clock import VirtualLoop, run
from standpipe.testing.outside import Outside
from standpipe.testing.people import People
from standpipe.testing.scenario import draw
from standpipe.testing.world import CONTROLS


class Slow:
    """A model that answers the second call at once, and the first one not for a long time."""

    def __init__(self) -> None:
        self.calls = 0

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply | Failed:
        """Call `note`, then answer."""
        self.calls += 1
        await asyncio.sleep(25 if self.calls == 1 else 0.1)
        noted = any(item.kind == "data" for item in prompt.items)
        return Reply((Draft(ToolCall("answer", {"sentences": [{"text": "Done."}]}) if noted else ToolCall("note")),))


def test_what_another_process_was_granted_is_not_performed() -> None:
    loop = VirtualLoop()
    acted: list[str] = []

    @tool(effect="write")
    async def note(idempotency_key: str = "") -> str:
        """Writes down, not to be repeated."""
        await asyncio.sleep(1)
        acted.append(idempotency_key)
        return "noted"

    access, scenario = MemoryAccess(), draw(1)
    log = MemoryLog([access.project])
    policy = Policy(models={"slow": ModelSpec("slow", "slow")}, routes={"default": ("slow",)})
    chat = replace(scenario.chats[0], folders=())
    ports = Ports(
        log=log,
        search=MemorySearch(),
        access=access,
        models={"slow": Slow()},
        tools={"note": PythonTools({"note": note})},
        controls=CONTROLS,
        clock=loop.now_ms,
    )
    fixed = static(policy, {"agent": AgentSpec("agent", "Answer.", (note.spec,))})
    first, second = (Setup(ports, fixed, "rules", name, Owner("here", 1, name)) for name in ("first", "second"))

    async def main() -> None:
        await People(scenario, log, Outside(scenario, access)).open(
            chat, replace(chat.messages[0], deadline_ms=0, budget_microusd=0)
        )
        fence = await log.claim(chat.session, first.owner, loop.now_ms(), loop.now_ms() + 1_000)
        assert fence is not None
        stale = asyncio.ensure_future(drive(first, chat.session, fence, []))
        await asyncio.sleep(2)
        fence = await log.claim(chat.session, second.owner, loop.now_ms(), loop.now_ms() + 60_000)
        assert fence is not None
        await drive(second, chat.session, fence, [])
        [lost] = await asyncio.gather(stale, return_exceptions=True)
        assert isinstance(lost, Lost)

    run(main(), loop)
    facts = [event.fact for frame in asyncio.run(log.read(chat.session)) for event in frame.events]
    loop.close()
    assert len(acted) == 1
    assert [fact.call for fact in facts if isinstance(fact, CallInterrupted)] == ["t1.st1.a1"]
    assert [fact.outcome for fact in facts if isinstance(fact, TurnEnded)] == ["completed"]
