"""Ten thousand sessions that wait: parked for a person, or each for its model; what they take of memory and CPU."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

import standpipe as sp
from bench import workload
from bench.gauge import rss_mb
from bench.size import Figures, Size

AT_ONCE = 256
"""Sessions that are on their way to where they wait, at the same time."""
WATCHED = 0.05
"""For what share of the time that it takes at most to bring them there the CPU of those that wait is watched."""


@sp.tool(effect="irreversible", resource="record:{id}")
async def delete(id: str) -> str:
    """Delete a record; a person is asked first."""
    return id


async def parked(size: Size) -> Figures:
    """Sessions that wait for a person, whom nobody asks."""

    async def respond(conversation: list[sp.Item], tools: list[Any]) -> list[sp.ToolCall]:
        return [sp.ToolCall("delete", {"id": "1"})]

    agent = sp.Agent("cleaner", instructions="Delete what you are told to.", tools=[delete])
    async with workload.opened(size.folder / "parked.db", respond, agent) as house:

        async def park(number: int) -> bool:
            turn = await (await house.ask(f"Delete record {number}.", principal=f"user:{number}")).wait()
            return turn.outcome == "parked"

        return await _waiting(size, park)


async def calls(size: Size) -> Figures:
    """Sessions each of which waits for its model, and somebody for each."""
    begun: dict[str, asyncio.Event] = {}
    followers: set[asyncio.Task[sp.Turn]] = set()

    async def respond(conversation: list[sp.Item], tools: list[Any]) -> str:
        begun.pop(workload.asked(conversation)).set()
        await asyncio.Event().wait()
        return ""

    async with workload.opened(size.folder / "calls.db", respond) as house:

        async def call(number: int) -> bool:
            question = f"{number} waits."
            started = begun[question] = asyncio.Event()
            turn = await house.ask(question, principal=f"user:{number}")
            followers.add(asyncio.ensure_future(turn.wait()))
            await started.wait()
            return True

        taken = await _waiting(size, call)
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
    return taken


async def _waiting(size: Size, begin: Callable[[int], Awaitable[bool]]) -> Figures:
    """Bring as many sessions as `size` says, or as time allows, to where they wait; what they take beside the first one."""
    errors = int(not await begin(0))
    idle_mb, numbers, n = _settled_mb(), iter(range(1, size.sessions)), 1
    until = time.perf_counter() + size.seconds

    async def beginning() -> None:
        nonlocal n, errors
        for number in numbers:
            errors += not await begin(number)
            n += 1
            if time.perf_counter() >= until:
                return

    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(beginning())
    begun_cpu_s = time.process_time() - cpu
    await asyncio.sleep(size.seconds * WATCHED)
    taken_mb = _settled_mb() - idle_mb
    cpu, watched_s = time.process_time(), size.seconds * WATCHED
    await asyncio.sleep(watched_s)
    return {
        "n": n,
        "rss_mb": round(taken_mb, 1),
        "cpu_s_per_1000": round(begun_cpu_s * 1000 / n, 4),
        "cpu_share": round((time.process_time() - cpu) / watched_s, 4),
        "errors": errors,
    }


def _settled_mb() -> float:
    gc.collect()
    return rss_mb()
