"""Decides a session's past again: each frame, from the state before it and with its own world and time, must say the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import takewhile, zip_longest
from typing import Any

import msgspec

from standpipe.core.amounts import Balance
from standpipe.core.apply import apply
from standpipe.core.decide import conclude
from standpipe.core.events import INPUTS, Event, Frame
from standpipe.core.frames import items_of
from standpipe.core.state import State
from standpipe.core.tools import AgentSpec
from standpipe.core.world import Access, Policy, World
from standpipe.errors import NotFound
from standpipe.ports import Log

_PARTS: dict[str, Any] = {"policy": Policy, "agents": dict[str, AgentSpec], "access": Access}


class Replayed(msgspec.Struct, frozen=True):
    """What came of a replay of `frames` frames: where the `decisions` made again differ from the log, a sentence each.

    `rules_changed`: some were made under other rules than those of now. `erased`: frames whose decisions differ because
    bodies they were made from have been erased; nothing can be said about these.
    """

    frames: int
    decisions: int
    divergences: tuple[str, ...]
    rules_changed: bool
    erased: int


async def replay(log: Log, session: str, rules: str) -> Replayed:
    """Replay a session's whole log; `rules` is the digest of the rules of now.

    Raises NotFound for a session that does not exist, StoreError when the store fails.
    """
    frames = await log.read(session)
    if not frames:
        raise NotFound("There is no such session. `standpipe sessions` lists those that exist.")
    again = _Again(log)
    for frame in frames:
        if not await again.take(frame):
            break
    decided = [frame for frame in frames if len(_inputs(frame)) < len(frame.events)]
    return Replayed(
        frames=len(frames),
        decisions=sum(len(frame.events) - len(_inputs(frame)) for frame in decided),
        divergences=tuple(again.divergences),
        rules_changed=any(frame.rules != rules for frame in decided),
        erased=again.erased,
    )


def _inputs(frame: Frame) -> list[Event]:
    return list(takewhile(lambda event: isinstance(event.fact, INPUTS), frame.events))


class _Again:
    """Two folds of one log: `told`, what it says, and `made`, what the rules say; alike but for the time of a divergence."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.told, self.made = State(), State()
        self.known: dict[str, Any] = {}
        self.divergences: list[str] = []
        self.erased = 0

    async def take(self, frame: Frame) -> bool:
        """Decide the next frame again; False if it does not fit the log before it, so that nothing after it can be."""
        world = await self._world(frame)
        inputs = _inputs(frame)
        recorded = frame.events[len(inputs) :]
        try:
            for event in inputs:
                apply(self.told, event)
                apply(self.made, event)
            hidden = self._erased()
            differences = self._differences(frame, recorded, world)
            for event in recorded:
                apply(self.told, event)
        except (AssertionError, LookupError) as error:
            self.divergences.append(
                f"seq {frame.first_seq}: this frame does not fit what stands before it ({type(error).__name__}); "
                "it and what follows cannot be replayed."
            )
            return False
        if differences:
            self.made = copy.deepcopy(self.told)
            self.erased += hidden
            self.divergences += [] if hidden else differences
        return True

    async def _world(self, frame: Frame) -> World | str | None:
        """The world that a frame was decided in; None if it had none, or the name of a part that is missing."""
        names = frame.world.parts
        if not names:
            return None
        found = await self.log.parts([digest for digest in names.values() if digest not in self.known])
        try:
            parts = {n: msgspec.json.decode(found[d], type=_PARTS[n]) for n, d in names.items() if n in _PARTS and d in found}
        except msgspec.DecodeError:
            return "readable world"
        if frame.world.access is not None:
            parts["access"] = frame.world.access
        self.known |= {names[name]: parts[name] for name in parts if name != "access"}
        parts |= {name: self.known[digest] for name, digest in names.items() if digest in self.known}
        missing = next((name for name in _PARTS if name not in parts), "")
        balances = {account: Balance(*row) for account, row in frame.world.balances.items()}
        return missing or World(parts["policy"], parts["agents"], parts["access"], balances)

    def _differences(self, frame: Frame, recorded: Sequence[Event], world: World | str | None) -> list[str]:
        if world is None and not recorded:
            return []
        if not isinstance(world, World):
            return [f"seq {frame.last_seq}: the {world or 'world'} that this frame was decided with is missing."]
        try:
            made, _ = conclude(self.made, world, frame.at)
        except (AssertionError, LookupError) as error:
            return [f"seq {frame.last_seq}: the rules break off on what stands before it ({type(error).__name__})."]
        return [sentence for pair in zip_longest(recorded, made) for sentence in _compared(*pair)]

    def _erased(self) -> bool:
        """Whether a body that may be decided from is gone."""
        turn = self.told.turn
        items = [*turn.items.values()] if turn is not None else [i for asked in self.told.waiting for i in asked.items]
        return any(item.body is None for item in items)


def _compared(recorded: Event | None, made: Event | None) -> Iterator[str]:
    """How two decisions at one place differ, in a sentence without content."""
    if recorded is None or made is None:
        one = recorded or made
        assert one is not None
        says = "log says this, and the rules do not" if made is None else "rules say this, and the log does not"
        yield f"seq {one.seq}: {_name(one)}: the {says}."
        return
    if type(recorded.fact) is not type(made.fact):
        yield f"seq {recorded.seq}: the log says {_name(recorded)}, the rules say {_name(made)}."
        return
    old, new = _fields(recorded), _fields(made)
    differing = [_differs(name, old[name], new[name]) for name in old if old[name] != new[name]]
    if differing:
        yield f"seq {recorded.seq}: {_name(recorded)}: {'; '.join(differing)}."


def _differs(name: str, old: Any, new: Any) -> str:
    """Codes, ids and numbers are shown; anything else may hold more than one line can."""
    if isinstance(old, str | int) and isinstance(new, str | int):
        return f"{name} is {old!r} in the log, {new!r} by the rules"
    return f"{name} differs"


def _name(event: Event) -> str:
    subject = next((s for n in ("call", "step", "turn") if (s := getattr(event.fact, n, ""))), "")
    return f"{type(event.fact).__name__} {subject}".strip()


def _fields(event: Event) -> dict[str, Any]:
    fact = {name: getattr(event.fact, name) for name in event.fact.__struct_fields__}
    bare = tuple(msgspec.structs.replace(item, body=None) for item in items_of(event))
    return {"seq": event.seq, "by": event.by, "causes": event.causes, **fact, **({"items": bare} if bare else {})}
