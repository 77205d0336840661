"""What a call comes to without being performed: as the session forked from recorded it, or as somebody set it."""

from __future__ import annotations

from typing import Any

import msgspec

from standpipe.core.details import Fault, Usage
from standpipe.core.events import CallCompleted, CallFailed, Fact
from standpipe.core.ids import digest
from standpipe.core.items import Body, Checked, Data, Draft, Failure, Item, Label, Passage, Source, Text, ToolCall
from standpipe.core.passages import sections
from standpipe.engine.perform import SET_BY, Job, Outcome, Ports, concluded
from standpipe.errors import UsageError
from standpipe.ports import Failed, Log, Reply

RECORDED = ", recorded"
"""Stands in the origin of what the session forked from recorded."""
_TYPES = {"text", "call", "passage", "data", "failure"}
FREE = Usage()
"""What was paid for elsewhere, or never, costs nothing."""


async def recall(ports: Ports, parent: str, job: Job) -> Outcome:
    """What a granted call comes to that session `parent` answers, at its event `job.call.recorded`."""
    fact = await _fact(ports.log, parent, job.call.recorded)
    return await recorded(ports, job, fact)


async def recorded(ports: Ports, job: Job, fact: Fact) -> Outcome:
    """What a call comes to whose outcome elsewhere was `fact`; for any other fact nobody knows whether it acted."""
    outcome = await concluded(ports, job, _came(fact))
    return msgspec.structs.replace(outcome, origin=outcome.origin + RECORDED)


async def _fact(log: Log, session: str, seq: int) -> Fact:
    (frame,) = await log.read(session, seq - 1, limit=1)
    return frame.events[seq - frame.first_seq].fact


def _came(fact: Fact) -> Reply | Failed:
    items: tuple[Item, ...] = getattr(fact, "items", ())
    if any(item.body is None for item in items):
        return Failed(Fault("erased", "What was recorded has been erased."), FREE, unknown=getattr(fact, "unknown", False))
    match fact:
        case CallCompleted():
            bodies = ((item.body, item.label) for item in items)
            drafts = tuple(Draft(body, label) for body, label in bodies if body is not None and not isinstance(body, Checked))
            return Reply(drafts, FREE, sources=fact.sources)
        case CallFailed():
            told = next((item.body.text for item in items if isinstance(item.body, Failure)), "")
            return Failed(fact.fault, FREE, unknown=fact.unknown, told=told)
        case _:
            return Failed(Fault("unknown", "Nothing is recorded of what came of it."), FREE, unknown=True)


# --- set by hand -------------------------------------------------------------------------------------------------------


async def as_set(ports: Ports, job: Job, was: Fact, value: Any, by: str) -> Outcome:
    """What a call comes to whose outcome was `was` and is set to `value`, a JSON value. Raises UsageError for one that is none.

    It is one typed body or a list of them, as `log --json` shows them; else for a model its text, for a tool its result, for a
    tool that read one document the document's new text.
    """
    outcome = await concluded(ports, job, _set(job, was, value))
    return msgspec.structs.replace(outcome, origin=f"{outcome.origin}{SET_BY}{by}")


def _set(job: Job, was: Fact, value: Any) -> Reply | Failed:
    listed = value if isinstance(value, list) else [value]
    if listed and all(isinstance(one, dict) and one.get("type") in _TYPES for one in listed):
        bodies = [_body(job, one) for one in listed]
    elif job.call.route is not None:
        if not isinstance(value, str):
            raise UsageError(f"{job.call.id} is a call of a model: give its text, or its moves as `log --json` shows them.")
        bodies = [Text(value)]
    else:
        bodies = _document(was, value) if isinstance(value, str) else [Data(value)]
    failure = next((body for body in bodies if isinstance(body, Failure)), None)
    if failure is not None:
        return Failed(Fault(failure.code, failure.text), FREE, told=failure.text)
    if job.call.route is not None and not all(isinstance(body, Text | ToolCall) for body in bodies):
        raise UsageError(f"{job.call.id} is a call of a model: it says text or calls, nothing else.")
    return Reply(tuple(Draft(body, _label(body)) for body in bodies), FREE)


def _body(job: Job, value: dict[str, Any]) -> Body:
    if value["type"] == "passage":
        name = {"version": _version(value.get("text")), "folder": job.folders[0] if job.folders else ""}
        value = {**name, **value}
    try:
        return msgspec.convert(value, Text | ToolCall | Passage | Data | Failure)
    except msgspec.ValidationError as error:
        raise UsageError(f"The outcome of {job.call.id} cannot be set to this: {error}.") from None


def _document(was: Fact, text: str) -> list[Body]:
    """The new text of the one document that was read, cut as a read one is, or a tool's result that is text."""
    passages = [item.body for item in getattr(was, "items", ()) if isinstance(item.body, Passage)]
    named = {(body.folder, body.source) for body in passages if not body.score and not body.memory}
    if len(named) != 1 or len(passages) != len(getattr(was, "items", ())):
        return [Data(text)]
    ((folder, source),) = named
    pieces, version = sections(text, source), _version(text)
    return [Passage(source, version, text[p.start : p.end], p.heading, p.start, folder=folder) for p in pieces]


def _version(text: object) -> str:
    """The version of a document that was set: no version that is indexed is called so."""
    return f"set-{digest(text)}"


def _label(body: Body) -> Label:
    if isinstance(body, Passage):
        return Label((Source(body.folder, body.source, body.version),), "document")
    return Label()
