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
from standpipe.entrypoints.story import CallLine, StepLine, Story, name_of, spent_line
from standpipe.entrypoints.words import money, seconds, shortened

TICK_S = 0.1
"""How often clocks move on while nothing happens."""
DRAWN_S = 0.05
"""Events that come closer together share a picture, unless they change the plan; one takes up to 10 ms."""
SHOW_CURSOR = "\x1b[?25h"
"""What a terminal needs to hear if a view is left without its end."""
STEPS_MAX = 24
"""Of a longer plan the latest steps are shown."""
PATCHES_MAX = 3
"""So many of the latest changes of the plan are shown."""
REASON_CHARS, NOTE_CHARS = 200, 60

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
    for patch in story.patches[-PATCHES_MAX:]:
        why = f"{patch.code}: {patch.reason}" if patch.reason else patch.code
        lines.append(Text(f"plan {patch.epoch} · {shortened(why, REASON_CHARS)}", style="cyan"))
    if story.steps:
        lines.append(_steps(story, now))
    lines += [Text(f"withdrawn · {source.path} and what came from it", style="magenta") for source in story.withdrawn]
    lines += [Text(shortened(note, REASON_CHARS), style="yellow") for note in story.notes[-3:]]
    if story.deadline_at:
        lines.append(Text(_budget(story, now), style="dim"))
    return Group(*lines)


def _steps(story: Story, now: int) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), expand=True)
    for width in (1, 4, None, 7, 12):
        table.add_column(width=width, ratio=None if width else 1, no_wrap=True, justify="right" if width in (7, 12) else "left")
    calls: dict[str, CallLine] = {call.step: call for call in story.calls.values()}
    hidden = len(story.steps) - STEPS_MAX
    if hidden > 0:
        table.add_row("", "…", Text(f"{hidden} earlier steps", style="dim"))
    for step in list(story.steps.values())[-STEPS_MAX:]:
        table.add_row(*_step(step, calls.get(step.id), now))
    return table


def _step(step: StepLine, call: CallLine | None, now: int) -> list[Text]:
    mark, style = MARKS.get(step.state, ("-", "dim"))
    name = Text(name_of(step))
    note = step.note or ("" if step.state in MARKS else step.state)
    took, cost = "", ""
    if call is not None:
        if step.kind == "model":
            name.append(f" by {call.target}", style="dim")
        took = seconds(max(0, now - call.granted_at) if call.state == "running" else call.elapsed_ms)
        cost = money(call.cost_microusd) if call.cost_microusd else ""
    if note:
        name.append(f" → {shortened(note, NOTE_CHARS)}", style="dim" if step.state in ("running", "done") else style)
    return [Text(mark, style=style), Text(step.id, style="dim"), name, Text(took), Text(cost)]


def _budget(story: Story, now: int) -> str:
    if story.outcome:
        return f"{story.outcome} ({story.reason}) · {spent_line(story)}"
    return f"{max(0, story.deadline_at - now) // 1000} s left · {spent_line(story)}"
