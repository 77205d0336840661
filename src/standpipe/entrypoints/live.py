"""The live view of a turn on a terminal: the plan as it changes, each call, refusals, and what is left to spend."""

from __future__ import annotations

import asyncio
import sys
import time

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from standpipe.core.events import Event, ItemsWithdrawn, PlanPatched
from standpipe.entrypoints.layout import attempts_of, laid_out, spent_line
from standpipe.entrypoints.story import CallLine, StepLine, Story, lost_line, name_of
from standpipe.entrypoints.words import money, plural, seconds, shortened

TICK_S = 0.1
"""How often clocks move on while nothing happens."""
DRAWN_S = 0.05
"""Events that come closer together share a picture, unless they change the plan; one takes up to 10 ms."""
SHOW_CURSOR = "\x1b[?25h"
"""What a terminal needs to hear if a view is left without its end."""
STEPS_MAX = 24
"""Of a longer plan the latest steps are shown, and of specialists only what they do at this moment."""
PATCHES_MAX = 3
"""So many of the latest changes of the plan are shown."""
REASON_CHARS, NOTE_CHARS = 200, 60
INDENT = "  "

Row = tuple[int, StepLine | CallLine]
"""How far in something stands, and what: a step, or one of several attempts at one."""

MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
    "refused": ("⊘", "yellow"),
    "withdrawn": ("⊘", "magenta"),
    "unknown": ("?", "red"),
}
"""How a step's state looks; every other state is a dash."""


class LiveView:
    """The story drawn on stderr while this is entered; its last picture stays."""

    def __init__(self, story: Story) -> None:
        self._story = story
        console = Console(file=sys.stderr, force_terminal=True, highlight=False)
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")
        self._drawn_at = 0.0

    async def __aenter__(self) -> LiveView:
        self._live.start()
        self._ticking = asyncio.ensure_future(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ticking.cancel()
        await asyncio.gather(self._ticking, return_exceptions=True)
        self._live.update(picture(self._story, _now()), refresh=True)
        self._live.stop()

    def draw(self, at_once: bool = False) -> None:
        """Draw again; unless it must be at once, not so soon after the last time: the next tick will."""
        if at_once or time.monotonic() - self._drawn_at >= DRAWN_S:
            self._live.update(picture(self._story, _now()), refresh=True)
            self._drawn_at = time.monotonic()

    def news(self, event: Event, _lines: list[str]) -> None:
        """Draw what an event changed; a change of the plan at once."""
        self.draw(isinstance(event.fact, PlanPatched | ItemsWithdrawn))

    async def _tick(self) -> None:
        while True:
            self.draw()
            await asyncio.sleep(TICK_S)


def _now() -> int:
    return time.time_ns() // 1_000_000


def picture(story: Story, now: int) -> Group:
    """The turn as it stands at `now` (ms since 1970)."""
    lines: list[Text | Table] = [Text(shortened(story.question, REASON_CHARS), style="bold")]
    for patch in [patch for patch in story.patches if not patch.scope][-PATCHES_MAX:]:
        why = f"{patch.code}: {patch.reason}" if patch.reason else patch.code
        lines.append(Text(f"plan {patch.epoch} · {shortened(why, REASON_CHARS)}", style="cyan"))
    if story.steps:
        lines.append(_steps(story, now))
    lines += [Text(f"lost · {lost_line(step)}", style="red") for step in story.lost]
    lines += [Text(f"withdrawn · {source.path} and what came from it", style="magenta") for source in story.withdrawn]
    lines += [Text(shortened(note, REASON_CHARS), style="yellow") for note in story.notes[-3:]]
    if story.deadline_at:
        lines.append(Text(_budget(story, now), style="dim"))
    return Group(*lines)


def _steps(story: Story, now: int) -> Table:
    rows = list(laid_out(story))
    shown = _latest(story, rows)
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), expand=True)
    ids = 4 + len(INDENT) * max(depth for depth, _ in shown)
    for width in (1, ids, None, 7, 12):
        table.add_column(width=width, ratio=None if width else 1, no_wrap=True, justify="right" if width in (7, 12) else "left")
    if len(shown) < len(rows):
        table.add_row("", "…", Text(plural(len(rows) - len(shown), "more step"), style="dim"))
    calls: dict[str, CallLine] = {call.step: call for call in story.calls.values()}
    for depth, row in shown:
        table.add_row(*_row(story, row, calls.get(row.id) if isinstance(row, StepLine) else row, now, INDENT * depth))
    return table


def _latest(story: Story, rows: list[Row]) -> list[Row]:
    """As many as there is room for: what specialists did gives way first, then what they do not do at this moment."""
    if len(rows) > STEPS_MAX:
        over = {name for name, scope in story.scopes.items() if scope.outcome}
        rows = [(depth, row) for depth, row in rows if row.scope not in over]
    if len(rows) > STEPS_MAX:
        rows = [(depth, row) for depth, row in rows if not row.scope or row.state == "running"]
    return rows[-STEPS_MAX:]


def _row(story: Story, row: StepLine | CallLine, call: CallLine | None, now: int, indent: str) -> list[Text]:
    """A step with its latest call, or one of several attempts at a step."""
    mark, style = MARKS.get(row.state, ("-", "dim"))
    if isinstance(row, StepLine):
        id, name = row.id.rpartition("/")[2], Text(name_of(row))
    else:
        attempts = attempts_of(story, story.steps[row.step])
        id, name = row.id.rpartition(".")[2], Text(f"attempt {attempts.index(row) + 1} by {row.target}")
    note = row.note if row.state in MARKS else f"{row.state}: {row.note}".rstrip(": ")
    took, cost = "", ""
    if call is not None:
        if isinstance(row, StepLine) and row.kind == "model":
            name.append(f" by {call.target}", style="dim")
        took = seconds(max(0, now - call.granted_at) if call.state == "running" else call.elapsed_ms)
        spent = _cost_microusd(story, call)
        cost = money(spent) if spent else ""
    if note:
        name.append(f" → {shortened(note, NOTE_CHARS)}", style="dim" if row.state in ("running", "done") else style)
    return [Text(mark, style=style), Text(indent + id, style="dim"), name, Text(took), Text(cost)]


def _cost_microusd(story: Story, call: CallLine) -> int:
    """What a call cost, or what a specialist has spent by now."""
    running = story.scopes.get(call.place) if call.state == "running" else None
    return running.spent.microusd if running is not None else call.cost_microusd


def _budget(story: Story, now: int) -> str:
    if story.outcome:
        return f"{story.outcome} ({story.reason}) · {spent_line(story)}"
    return f"{max(0, story.deadline_at - now) // 1000} s left · {spent_line(story)}"
