"""How a story is laid out for reading: what a specialist did stands under the step that delegated to it."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.entrypoints.story import CallLine, Share, StepLine, Story
from standpipe.entrypoints.words import money


def attempts_of(story: Story, step: StepLine) -> list[CallLine]:
    """The calls that gave a step's task to a specialist, each with a scope of its own."""
    return [call for call in story.calls.values() if call.step == step.id and call.place in story.scopes]


def laid_out(story: Story, scope: str = "", depth: int = 0) -> Iterator[tuple[int, StepLine | CallLine]]:
    """The steps, those of a scope under the step that delegated, with how far in each stands; several attempts as well."""
    for step in story.steps.values():
        if step.scope != scope:
            continue
        yield depth, step
        attempts = attempts_of(story, step)
        further = len(attempts) > 1
        for call in attempts:
            if further:
                yield depth + 1, call
            yield from laid_out(story, call.place, depth + 1 + further)


def calls_in(story: Story, scope: str = "", depth: int = 0) -> Iterator[tuple[int, CallLine]]:
    """The calls, those of a scope under the call that delegated, with how far in each stands."""
    for call in story.calls.values():
        if call.scope == scope:
            yield depth, call
            if call.place in story.scopes:
                yield from calls_in(story, call.place, depth + 1)


def spent_line(share: Share) -> str:
    """What was spent of what may be, and what is held for calls under way."""
    spent, limits = share.spent, share.limits
    held = sum(hold.microusd for hold in share.held.values())
    parts = [
        f"{money(spent.microusd)} of {money(limits.microusd)}" + (f" (and {money(held)} held)" if held else ""),
        f"model calls {spent.model_calls}/{limits.model_calls}",
        f"tool calls {spent.tool_calls}/{limits.tool_calls}",
        f"steps {spent.steps}/{limits.steps}",
    ]
    return " · ".join(parts)
