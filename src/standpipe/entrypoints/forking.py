"""The verbs that ask what if: fork a session, and tell where two of them differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from standpipe.core.diff import Divergence
from standpipe.core.diff import diff as divergences
from standpipe.core.events import Frame, SessionForked
from standpipe.engine.fork import fork as forked
from standpipe.engine.house import House
from standpipe.entrypoints.asking import tell_outcome
from standpipe.entrypoints.exits import DONE
from standpipe.entrypoints.output import say, say_changed, say_heading, say_json
from standpipe.entrypoints.session import find, frames_for
from standpipe.entrypoints.watch import Interrupts, watch
from standpipe.entrypoints.words import one_line, plural, shortened
from standpipe.errors import UsageError

SAID_CHARS = 400
"""What a line of a comparison shows of one side; in JSON it is whole."""


async def fork(house: House, session: str, at: int | None, sets: tuple[str, ...], *, json: bool) -> int:
    """Fork a session, and go on with the turn that is open at the cut."""
    row = await find(house, session)
    given = dict(_set(text) for text in sets)
    name, cut = await forked(house.setup, row.session, at, given)
    if not json:
        within = f" (seq {at} stands in the frame that ends there)" if at not in (None, cut) else ""
        say(f"session {name}, forked from {row.session} at seq {cut}{within}")
    head: dict[str, object] = {"session": name, "parent": row.session, "at": cut}
    with Interrupts() as interrupts:
        turn = await house.resume(name)
        if turn is None:
            if json:
                say_json({**head, "turn": "", "outcome": ""})
            else:
                say(f"No turn was open there: `standpipe ask QUESTION --session {name}` goes on.")
            return DONE
        story = await watch(house, turn, interrupts, live=not json)
    return await tell_outcome(house, turn, story, head if json else None)


def _set(text: str) -> tuple[int, Any]:
    seq, given, name = text.partition("=")
    if not (seq.isdecimal() and given and name):
        raise UsageError(f"--set {text}: expected SEQ=FILE, as in 17=result.json.")
    try:
        return int(seq), msgspec.json.decode(Path(name).read_bytes())
    except OSError as error:
        raise UsageError(f"--set {text}: {name} cannot be read ({error.strerror}).") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"--set {text}: {name} is not JSON ({error}).") from None


# --- diff --------------------------------------------------------------------------------------------------------------


async def diff(house: House, names: tuple[str, str], principal: str | None, *, json: bool) -> int:
    """All divergences of two sessions, as the principal may see them; done whether there are any or not."""
    rows = [await find(house, name, principal=principal) for name in names]
    logs = [await frames_for(house, row, principal) for row in rows]
    found = divergences(*logs)
    if json:
        a, b = (row.session for row in rows)
        say_json({"a": a, "b": b, "equal": not found, "first": found[0] if found else None, "divergences": found})
        return DONE
    for mark, row, frames in zip("-+", rows, logs, strict=True):
        say_changed(mark * 3, f"{row.session}{_origin(frames)}")
    for n, divergence in enumerate(found):
        _tell(divergence, first=n == 0)
    say(plural(len(found), "divergence") if found else "no divergence")
    return DONE


def _origin(frames: list[Frame]) -> str:
    forks = [event.fact for frame in frames for event in frame.events if isinstance(event.fact, SessionForked)]
    return f", forked from {forks[-1].parent} at seq {forks[-1].at}" if forks else ""


def _tell(divergence: Divergence, *, first: bool) -> None:
    where = f"{divergence.a or '-'} | {divergence.b or '-'}"
    say_heading(f"{'first: ' if first else ''}{divergence.kind} {divergence.about}, seq {where}")
    if divergence.says:
        say_changed("-" if divergence.a else "+", f" {_shown(divergence.says)}")
    for field in divergence.fields:
        for mark, value in (("-", field.a), ("+", field.b)):
            for line in value if field.field == "items" else (f"{field.field}: {_plain(value)}",):
                say_changed(mark, f" {_shown(str(line))}")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shown(text: str) -> str:
    return shortened(one_line(text), SAID_CHARS)
