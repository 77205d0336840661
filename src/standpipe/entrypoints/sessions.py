"""The verbs that show what is there: sessions, the events of one, its plan with calls and cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from standpipe.core.details import ASK
from standpipe.core.events import Event, Frame
from standpipe.core.frames import items_of
from standpipe.core.items import Item, Text, ToolCall
from standpipe.engine.follow import follow
from standpipe.engine.house import House
from standpipe.entrypoints.exits import DONE
from standpipe.entrypoints.layout import attempts_of, calls_in, spent_line
from standpipe.entrypoints.output import say, say_entry, say_heading, say_json
from standpipe.entrypoints.places import depth_of, place_of
from standpipe.entrypoints.session import find, frames_for, seen_by
from standpipe.entrypoints.story import ERASED, CallLine, PatchLine, ScopeLine, Story, about, lost_line, name_of, stories
from standpipe.entrypoints.words import money, one_line, plural, seconds, shortened
from standpipe.ports import SessionRow

DETAIL_CHARS = 160


async def sessions(house: House, *, json: bool) -> int:
    """All sessions, the one written to last first."""
    rows = await house.ports.log.rows()
    if json:
        names = ("session", "state", "outcome", "principal", "agent", "turns", "cost_microusd")
        say_json([{name: getattr(row, name) for name in names} | _trouble(row) for row in rows])
        return DONE
    for row in rows:
        turns, cost = plural(row.turns, "turn"), money(row.cost_microusd)
        say(f"{row.session}  {row.state:<8} {row.outcome or '-':<10} {row.principal}  {row.agent}  {turns}  {cost}")
        if row.trouble:
            say(f"  {row.trouble}; `standpipe resume {row.session}` tries it once more", "    ")
    if not rows:
        say("There is no session yet: `standpipe ask QUESTION` makes one.")
    return DONE


def _trouble(row: SessionRow) -> dict[str, str]:
    """What is wrong with a session, where anything is."""
    return {"trouble": row.trouble} if row.trouble else {}


# --- log ---------------------------------------------------------------------------------------------------------------


async def log(house: House, session: str, principal: str | None, *, json: bool, on: bool) -> int:
    """The events of a session; with `on` also those still to come, until somebody interrupts."""
    row = await find(house, session, principal=principal)
    told = Told(json)
    if on:
        async for frame in follow(house.ports.log, row.session):
            for event in frame.events:
                alone = msgspec.structs.replace(frame, events=(event,), first_seq=event.seq)
                for shown in await seen_by(house, row, principal, [alone]):
                    told.event(shown, shown.events[0])
        return DONE
    frames = await frames_for(house, row, principal)
    if json:
        say_json([event_json(frame, event) for frame in frames for event in frame.events])
    else:
        for frame in frames:
            for event in frame.events:
                told.event(frame, event)
    return DONE


class Told:
    """Tells the events of a session in order, a line each; those of a scope stand further in."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._steps: dict[str, str] = {}

    def event(self, frame: Frame, event: Event) -> None:
        """One more event."""
        if self._json:
            say_json(event_json(frame, event), indent=0)
            return
        self._steps |= {item.id: item.step for item in items_of(event)}
        further = "  " * depth_of(place_of(event, lambda id: self._steps.get(id, "")))
        at = time.strftime("%H:%M:%S", time.localtime(frame.at / 1000)) + f".{frame.at % 1000:03d}"
        causes = f" <- {' '.join(map(str, event.causes))}" if event.causes else ""
        detail = shortened(_detail(event), DETAIL_CHARS)
        say(f"{event.seq:>5} {at} {further}{type(event.fact).__name__} {detail}{causes}")


def event_json(frame: Frame, event: Event) -> dict[str, Any]:
    """An event as `log --json` gives it."""
    data = msgspec.to_builtins(event.fact)
    kind = data.pop("type")
    return {"seq": event.seq, "at": frame.at, "kind": kind, "by": event.by, "causes": event.causes, "data": data}


def _detail(event: Event) -> str:
    parts = []
    for name, value in msgspec.to_builtins(event.fact).items():
        if name not in ("type", "items") and not isinstance(value, dict | list | tuple):
            parts.append(f"{name}={value}")
        elif name in ("why", "fault", "route"):
            parts.append(" ".join(f"{k}={v}" for k, v in value.items() if isinstance(v, str)))
    return " ".join(parts + [_item(item) for item in getattr(event.fact, "items", ())])


def _item(item: Item) -> str:
    match item.body:
        case ToolCall(name=name, arguments=arguments):
            what = f"{name}({about(arguments)})"
        case Text(text=text):
            what = f"“{shortened(text, 60)}”"
        case None if item.hash:
            what = ERASED
        case _:
            what = ", ".join(f"{s.path}@{s.version[:8]}" for s in item.label.sources[:2])
    return f"[{item.id} {item.kind} {what}]".replace(" ]", "]")


# --- show --------------------------------------------------------------------------------------------------------------


async def show(house: House, session: str, principal: str | None, *, json: bool) -> int:
    """Plan, calls and cost of every turn of a session."""
    row = await find(house, session, principal=principal)
    turns = stories(await frames_for(house, row, principal))
    if json:
        head = {"session": row.session, "tenant": row.tenant, "principal": row.principal, "agent": row.agent}
        say_json({**head, "state": row.state, **_trouble(row), "turns": [_story_json(story) for story in turns]})
        return DONE
    say_heading(f"session {row.session} of {row.principal}, tenant {row.tenant}, agent {row.agent}: {row.state}")
    if row.trouble:
        say_entry("trouble", [f"{row.trouble}; `standpipe resume {row.session}` tries it once more"])
    for story in turns:
        _tell_story(row, story)
    return DONE


def _tell_story(row: SessionRow, story: Story) -> None:
    say()
    ended = f"{story.outcome} ({story.reason})" if story.outcome else row.state
    say_heading(f"turn {story.turn}: {ended}")
    say(f"  {one_line(story.question) or '(not to be shown)'}", "  ")
    say_entry("plan", list(_plan_lines(story)))
    say_entry("calls", [f"{'  ' * depth}{call_line(call, story.scopes.get(call.place))}" for depth, call in calls_in(story)])
    lost = [lost_line(step) for step in story.lost]
    for word, lines in (("lost", lost), ("refused", story.refusals), ("notes", story.notes)):
        if lines:
            say_entry(word, lines)
    if story.standing:
        say_entry("not taken back", [f"{id} {name_of(story.steps[id])}" for id in story.standing if id in story.steps])
    say_entry("withdrawn", [source.path for source in story.withdrawn])
    say_entry("cost", [spent_line(story)])


def _plan_lines(story: Story, scope: str = "") -> Iterator[str]:
    for patch in story.patches:
        if patch.scope == scope:
            yield from _patch_lines(story, patch)


def _patch_lines(story: Story, patch: PatchLine) -> Iterator[str]:
    yield f"epoch {patch.epoch}: {patch.code}" + (f": {one_line(patch.reason)}" if patch.reason else "")
    for id in patch.added:
        step = story.steps[id]
        yield f"  + {id} {name_of(step)}: {step.state}" + (f" ({step.note})" if step.note else "")
        for number, call in enumerate(attempts_of(story, step), 1):
            asked = ", to ask what came of it" if call.purpose == ASK else ""
            yield f"      attempt {number}{asked}: {call.state}" + (f" ({call.note})" if call.note else "")
            yield from (f"        {line}" for line in _plan_lines(story, call.place))


def call_line(call: CallLine, scope: ScopeLine | None = None) -> str:
    """One call: what performed it, by which rule, how long it took and what it cost; all of it where it began a scope."""
    parts = [f"{call.id} {call.target}", call.state, seconds(call.elapsed_ms)]
    if call.task:
        parts += [f"for {call.task} by {call.rule}", plural(call.tokens, "token"), money(call.cost_microusd)]
    if scope is not None:
        parts.append(spent_line(scope))
    parts += [f"passed over {passed.model}: {passed.reason}" for passed in call.passed]
    return " · ".join(parts + ([call.note] if call.note else []))


def _story_json(story: Story) -> dict[str, Any]:
    steps = {
        step.id: {
            "id": step.id,
            "kind": step.kind,
            "does": step.does,
            "about": step.about,
            "state": step.state,
            "note": step.note,
        }
        for step in story.steps.values()
    }
    plan = [
        {"scope": p.scope, "epoch": p.epoch, "code": p.code, "reason": p.reason, "added": [steps[id] for id in p.added]}
        for p in story.patches
    ]
    hidden = ("granted_at",)
    calls = [{k: v for k, v in msgspec.to_builtins(call).items() if k not in hidden} for call in story.calls.values()]
    return {
        "turn": story.turn,
        "question": story.question,
        "outcome": story.outcome,
        "reason": story.reason,
        "plan": plan,
        "calls": calls,
        "scopes": [_scope_json(story, name, scope) for name, scope in story.scopes.items()],
        "lost": [step.id for step in story.lost],
        "refused": story.refusals,
        "standing": story.standing,
        "withdrawn": [source.path for source in story.withdrawn],
        "cost_microusd": story.spent.microusd,
        "spent": story.spent,
        "limits": story.limits,
    }


def _scope_json(story: Story, name: str, scope: ScopeLine) -> dict[str, Any]:
    return {
        "scope": name,
        "call": scope.call,
        "step": story.calls[scope.call].step,
        "agent": scope.agent,
        "outcome": scope.outcome,
        "reason": scope.reason,
        "spent": scope.spent,
        "limits": scope.limits,
    }
