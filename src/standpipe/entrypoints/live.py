"""The live view of a turn on a terminal: the plan as it changes, each call, refusals, and what is left to spend."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from standpipe.entrypoints.story import CallLine, StepLine, Story, name_of, spent_line
from standpipe.entrypoints.words import money, seconds, shortened

REFRESH_S = 0.1
SHOW_CURSOR = "\x1b[?25h"
"""What a terminal needs to hear if a view is left without its end."""
STEPS_MAX = 24
"""Of a longer plan the latest steps are shown."""
REASON_CHARS = 200

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


@asynccontextmanager
async def live_view(story: Story) -> AsyncIterator[None]:
    """Draw the story on stderr until the block is left; its last picture stays."""
    console = Console(file=sys.stderr, force_terminal=True, highlight=False)
    live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")
    with live:
        drawing = asyncio.ensure_future(_draw(live, story))
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)
            live.update(picture(story, _now()), refresh=True)


async def _draw(live: Live, story: Story) -> None:
    while True:
        live.update(picture(story, _now()), refresh=True)
        await asyncio.sleep(REFRESH_S)


def _now() -> int:
    return time.time_ns() // 1_000_000


def picture(story: Story, now: int) -> Group:
    """The turn as it stands at `now` (ms since 1970)."""
    lines: list[Text | Table] = [Text(shortened(story.question, REASON_CHARS), style="bold")]
    if story.patches:
        patch = story.patches[-1]
        why = f"{patch.code}: {patch.reason}" if patch.reason else patch.code
        lines.append(Text(f"plan {patch.epoch} · {shortened(why, REASON_CHARS)}", style="cyan"))
        lines.append(_steps(story, now))
    lines += [Text(f"withdrawn · {source.path} and what came from it", style="magenta") for source in story.withdrawn]
    lines += [Text(shortened(note, REASON_CHARS), style="yellow") for note in story.notes[-3:]]
    if story.deadline_at:
        lines.append(Text(_budget(story, now), style="dim"))
    return Group(*lines)


def _steps(story: Story, now: int) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for name in ("target", "time", "cost"):
        table.add_column(name, no_wrap=True, justify="left" if name == "target" else "right")
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
    if note:
        name.append(f"  {shortened(note, 60)}", style=style if step.state not in ("running", "done") else "dim")
    target, took, cost = "", "", ""
    if call is not None:
        target = call.target if step.kind == "model" else ""
        took = seconds(max(0, now - call.granted_at) if call.state == "running" else call.elapsed_ms)
        cost = money(call.cost_microusd) if call.cost_microusd else ""
    return [Text(mark, style=style), Text(step.id, style="dim"), name, Text(target, style="dim"), Text(took), Text(cost)]


def _budget(story: Story, now: int) -> str:
    if story.outcome:
        return f"{story.outcome} ({story.reason}) · {spent_line(story)}"
    return f"{spent_line(story)} · {max(0, story.deadline_at - now) // 1000} s left"
