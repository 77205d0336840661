"""What a store that W1 left says of how its steps were governed: nothing may have been off while the clock ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import standpipe as sp
from standpipe.core.events import CallCompleted, CallGranted, Frame, HoldSettled
from standpipe.engine.verify import verify

WANTED = ("a permission answer", "a settled hold", "a route with its reason", "a verdict")


async def ungoverned(path: Path) -> list[str]:
    """A sentence for whatever `verify` finds in the store, and for each session some of whose calls lack what governs a call.

    A call counts once it came back: what was broken off at the end of a measurement is not asked for.
    """
    async with sp.open({}, store=f"sqlite:///{path}") as house:
        log = house.ports.log
        found = [*(await verify(log)).violations]
        for row in await log.rows():
            found += [f"Session {row.session}: {text}" for text in missing(await log.read(row.session, bodies=False))]
    return found


def missing(frames: Iterable[Frame]) -> list[str]:
    """What calls that came back lack, with how many do."""
    facts = [event.fact for frame in frames for event in frame.events]
    came = {fact.call: fact for fact in facts if isinstance(fact, CallCompleted)}
    granted = {fact.call: fact for fact in facts if isinstance(fact, CallGranted)}
    settled = {fact.call for fact in facts if isinstance(fact, HoldSettled)}
    lacking: Counter[str] = Counter()
    for call, fact in came.items():
        grant = granted.get(call)
        routed = grant is not None and (grant.manifest is None or (grant.route is not None and bool(grant.route.rule)))
        has = (grant is not None and bool(grant.permit.rule), call in settled, routed, bool(fact.verdicts))
        lacking.update(what for what, there in zip(WANTED, has, strict=True) if not there)
    return [f"{count} of {len(came)} calls lack {what}" for what, count in lacking.items()]
