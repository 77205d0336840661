"""The verb why: the causal chain behind an answer, a step, an item or a sentence, as an indented tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from standpipe.core.explain import Node
from standpipe.core.explain import why as explained
from standpipe.engine.house import House
from standpipe.entrypoints.exits import DONE
from standpipe.entrypoints.output import say, say_json
from standpipe.entrypoints.session import find, frames_for
from standpipe.entrypoints.words import one_line
from standpipe.errors import NotFound


async def why(house: House, session: str, of: str | None, principal: str | None, *, json: bool) -> int:
    """What led to the last answer of a session, or to one part of it."""
    row = await find(house, session, principal=principal)
    nodes = explained(await frames_for(house, row, principal), of)
    if not nodes:
        what = f"There is no item, step or sentence {of} in" if of is not None else "There is no answer yet in"
        raise NotFound(f"{what} session {row.session}: `standpipe show {row.session}` lists its steps.")
    if json:
        say_json({"session": row.session, "nodes": nodes})
        return DONE
    for line in tree(nodes):
        say(line, " " * (len(line) - len(line.lstrip()) + 2))
    return DONE


def tree(nodes: Sequence[Node], depth: int = 0) -> Iterator[str]:
    """The nodes and what led to each, a line each, causes further in."""
    for node in nodes:
        yield f"{'  ' * depth}{one_line(node.text)}  [{node.seq}]"
        yield from tree(node.causes, depth + 1)
