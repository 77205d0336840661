"""What to look for before the first move, what enters a prompt, in what order, and why.

A prompt is bounded however long the session is: the last few closed turns, the question, and of this turn every move with
what came of it, evidence giving way from the weakest on when space runs out.
"""

from __future__ import annotations

from standpipe.core.details import Chosen, Manifest
from standpipe.core.ids import digest
from standpipe.core.items import ITEM_OVERHEAD_BYTES, Item, Label, Passage
from standpipe.core.state import Closed, Turn
from standpipe.core.tools import AgentSpec
from standpipe.core.world import Access

HISTORY_TURNS = 3
"""Closed turns whose question and answer enter a prompt; older ones come back through memory, by search."""
HISTORY_BYTES = 16_000
"""What those may weigh together; the newest enter first."""
GUESS_LIMIT = 8
"""Passages of the first look, made with the question's own words."""
FIRST_LOOK = Label(integrity="user")
"""The label of that search: its words are the user's."""


def first_look(agent: AgentSpec, folders: tuple[str, ...], question: str) -> dict[str, object] | None:
    """The arguments of a search to run before the first model call, so that the first plan is not blind; None for none."""
    if not folders or not any(tool.name == "search" for tool in agent.tools):
        return None
    return {"query": question[:2_000], "limit": GUESS_LIMIT}


def history(closed: list[Closed], access: Access) -> list[tuple[Item, str]]:
    """Questions and answers of the last closed turns that may still be shown, oldest first, within HISTORY_BYTES."""
    chosen: list[tuple[Item, str]] = []
    size = 0
    for turn in reversed(closed[-HISTORY_TURNS:]):
        pair = [(item, f"history: {turn.turn}") for item in (turn.question, turn.answer) if item is not None]
        size += sum(item.bytes for item, _ in pair)
        if size > HISTORY_BYTES:
            break
        chosen = [entry for entry in pair if not access.withholds(entry[0].label)] + chosen
    return chosen


def evidence_order(turn: Turn) -> list[Item]:
    """The items of the turn that may be shown, in log order, without search hits that a read of the same document covers."""
    visible = [item for id, item in turn.items.items() if id not in turn.withdrawn and item.kind != "checked"]
    read = {
        (b.folder, b.source, b.version) for i in visible if isinstance(b := i.body, Passage) and not b.score and not b.memory
    }
    seen: set[tuple[str, str, str, int, int]] = set()
    kept = []
    for item in visible:
        body = item.body
        if isinstance(body, Passage):
            document = (body.folder, body.source, body.version)
            place = (*document, body.start, len(body.text))
            if place in seen or (body.score and document in read):
                continue
            seen.add(place)
        kept.append(item)
    return kept


def reason(turn: Turn, item: Item) -> str:
    """Why an item of this turn is in a prompt."""
    if item.id == turn.question:
        return "question"
    if item.kind == "call":
        return "move"
    if not item.answers and item.kind == "passage":
        return f"first look: {item.step}"
    if item.step:
        return f"result: {item.step}"
    return "note"


def fitted(entries: list[tuple[Item, str]], bytes_max: int, question: str) -> list[tuple[Item, str]]:
    """The entries within `bytes_max`: the question stays, then passages give way (lowest score first, then the oldest),
    then everything else from the oldest on."""
    size = sum(item.bytes + ITEM_OVERHEAD_BYTES for item, _ in entries)
    if size <= bytes_max:
        return entries

    def weakness(index: int) -> tuple[int, float, int]:
        body = entries[index][0].body
        if isinstance(body, Passage):
            return (0, body.score or 1e9, index)
        return (1, 0.0, index)

    gone: set[int] = set()
    for index in sorted(range(len(entries)), key=weakness):
        if size <= bytes_max:
            break
        item = entries[index][0]
        if item.id != question:
            gone.add(index)
            size -= item.bytes + ITEM_OVERHEAD_BYTES
    kept = [entry for index, entry in enumerate(entries) if index not in gone]
    # A call all of whose results gave way goes with them; results without their call are read as loose evidence.
    had, have = ({item.answers for item, _ in some} for some in (entries, kept))
    return [(item, why) for item, why in kept if item.kind != "call" or item.id in have or item.id not in had]


def select(turn: Turn, closed: list[Closed], access: Access, bytes_max: int) -> list[tuple[Item, str]]:
    """What a model call is shown, oldest first, each with why."""
    entries = history(closed, access)
    entries += [(item, reason(turn, item)) for item in evidence_order(turn) if not access.withholds(item.label)]
    return fitted(entries, bytes_max, turn.question)


def manifest(turn: Turn, entries: list[tuple[Item, str]], *, final: bool, output_tokens_max: int) -> Manifest:
    """The entries as the difference to what the turn's last model call was shown."""
    now = {item.id: why for item, why in entries}
    added = tuple(Chosen(id, why) for id, why in now.items() if id not in turn.shown)
    dropped = tuple(Chosen(id, _why_gone(turn, id)) for id in turn.shown if id not in now)
    return Manifest(
        base=turn.shown_digest,
        digest=digest([turn.shown_digest, added, dropped]),
        added=added,
        dropped=dropped,
        final=final,
        output_tokens_max=output_tokens_max,
    )


def _why_gone(turn: Turn, id: str) -> str:
    if id in turn.withdrawn:
        return "withdrawn"
    body = turn.items[id].body if id in turn.items else None
    if isinstance(body, Passage) and body.score:
        return "covered by a read, or no space"
    return "no space"
