"""The runbook story on the sample documents: asked live, a right withdrawn between two steps, and told with what it lacks."""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, cast

import msgspec

from standpipe import wiring
from standpipe.core.events import CallCompleted, CallGranted, Event, Frame, ItemsWithdrawn, PlanPatched, RelationsChanged
from standpipe.engine.access import change
from standpipe.engine.house import House, Turn
from standpipe.entrypoints.answers import as_json, tell, tell_where_to_look
from standpipe.entrypoints.asking import remembered
from standpipe.entrypoints.exits import CANCELLED, DONE, FAILED
from standpipe.entrypoints.options import Common
from standpipe.entrypoints.output import on_terminal, say, say_heading, say_json, trouble
from standpipe.entrypoints.session import check_once_more
from standpipe.entrypoints.watch import Interrupts, watch
from standpipe.ports import Append, Appended, Fenced, Log, Short, Stale
from standpipe.settings import load

TENANT, BY = "local", "demo"
INPUT_MICROUSD_PER_MTOK, OUTPUT_MICROUSD_PER_MTOK = 100_000, 400_000
"""What the demo's policy makes the keyless model cost, so that there is something to count: 0.10 and 0.40 USD."""
POLICY = {
    "models": {
        "extractive": {
            "provider": "extractive",
            "input_microusd_per_mtok": INPUT_MICROUSD_PER_MTOK,
            "output_microusd_per_mtok": OUTPUT_MICROUSD_PER_MTOK,
        }
    },
    "budgets": {"default": {"turn": {"steps": 40}}},  # a plan made from what is withdrawn is made twice
}
REMARK = "the keyless model is free; the demo's policy gives it a price of 0.10 USD per million tokens in, 0.40 USD out"


class Told(msgspec.Struct, frozen=True):
    """The conflict that the sample hides: which documents disagree."""

    documents: tuple[str, ...]


class Script(msgspec.Struct, frozen=True):
    """The part of story.toml that the demo plays."""

    question: str
    principal: str
    withdraw: str
    conflict: Told

    @property
    def document(self) -> str:
        """The path of the document that is withdrawn."""
        return self.withdraw.partition(":")[2].partition("#")[0]


async def demo(common: Common) -> int:
    """Play the story; done when it ran as told, whatever became of the turn."""
    settings = load(common.policy if common.policy is not None else POLICY)
    kept = wiring.stores(common.store or settings.store)
    log = Watched(kept.log)
    house = wiring.build(settings, msgspec.structs.replace(kept, log=cast(Log, log)), (wiring.COORDINATOR,), {}, None)
    try:
        with as_file(files("standpipe").joinpath("sample")) as sample:
            script = msgspec.convert(tomllib.loads((sample / "story.toml").read_text(encoding="utf-8")), Script)
            return await _play(house, log, script, sample, json=common.json)
    finally:
        await house.close()


class Watched:
    """A log that lets somebody act when an append is durable and nothing that it allows has been performed yet.

    So the demo withdraws a right always between the same two steps, as another process might.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.then: Callable[[Sequence[Event]], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, append: Append) -> Appended | Stale | Fenced | Short:
        """Append; then what is to happen next happens."""
        answer = await self._log.append(append)
        if self.then is not None and isinstance(answer, Appended):
            await self.then(append.events)
        return answer


class Moment:
    """When the right is withdrawn: a model has planned from the document, its plan has run, and the next prompt is granted."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found = False

    def has_come(self, events: Sequence[Event]) -> bool:
        """Whether it is now, after these events."""
        for event in events:
            fact = event.fact
            if isinstance(fact, CallCompleted):
                self._found |= any(source.path == self._path for item in fact.items for source in item.label.sources)
            elif isinstance(fact, CallGranted) and fact.manifest is not None and fact.manifest.base and self._found:
                return True
        return False


async def _play(house: House, log: Watched, script: Script, sample: Path, *, json: bool) -> int:
    folder = await house.sync(sample, TENANT)
    right = RelationsChanged(TENANT, folder.folder, "command", granted=(script.withdraw,))
    await change(house.setup, right, BY)  # an earlier run took it away
    moment = Moment(script.document)

    async def withdraw(events: Sequence[Event]) -> None:
        if moment.has_come(events):
            log.then = None
            await change(house.setup, msgspec.structs.replace(right, granted=(), revoked=right.granted), BY)

    log.then = withdraw
    if not json:
        say_heading(f"{script.principal} asks of {folder.documents} documents of an invented company:")
        say(script.question)
        say()
    with Interrupts() as interrupts:
        turn = await house.ask(script.question, principal=script.principal, tenant=TENANT, docs=(sample,))
        news = _read_along if not json and not on_terminal() else None
        story = await watch(house, turn, interrupts, news, live=not json)
    if turn.outcome == "cancelled":
        return CANCELLED
    did_not_happen = missing(await house.ports.log.read(turn.session), turn, script)
    await check_once_more(house, turn)
    if json:
        withdrawn = [source.path for source in turn.summary.withdrawn]
        say_json({**as_json(turn), "withdrawn": withdrawn, "did_not_happen": did_not_happen})
    else:
        say()
        tell(turn, story.parts, REMARK)
        tell_where_to_look(["why last", "show last", "log last", "replay last", "verify"])
    await remembered(house, turn)
    if did_not_happen:
        trouble(f"The story did not run as told: {'; '.join(did_not_happen)}.")
    return FAILED if did_not_happen else DONE


def _read_along(_event: Event, lines: list[str]) -> None:
    for line in lines:
        say(line, "    ")


def missing(frames: Iterable[Frame], turn: Turn, script: Script) -> list[str]:
    """The parts of the story that did not happen, in words; none if it ran as told."""
    events = [event for frame in frames for event in frame.events]
    patches = [event.fact.why.code for event in events if isinstance(event.fact, PlanPatched)]
    told = [{value.citation.source for value in conflict.values} for conflict in turn.conflicts]
    parts = {
        "the plan was not revised for what recurs": "revise" in patches,
        "the conflict was not listed": any(set(script.conflict.documents) <= sources for sources in told),
        "the withdrawal was not seen": script.document in {source.path for source in turn.summary.withdrawn},
        "a later prompt showed what was withdrawn": not shown_later(events),
    }
    return [words for words, happened in parts.items() if not happened]


def shown_later(events: Iterable[Event]) -> set[str]:
    """The ids of withdrawn items that a prompt after their withdrawal still held."""
    gone: set[str] = set()
    shown: set[str] = set()
    late: set[str] = set()
    for event in events:
        fact = event.fact
        if isinstance(fact, ItemsWithdrawn):
            gone.update(fact.ids)
        elif isinstance(fact, CallGranted) and fact.manifest is not None:
            kept = shown if fact.manifest.base else set()
            shown = (kept - {c.item for c in fact.manifest.dropped}) | {c.item for c in fact.manifest.added}
            late |= shown & gone
    return late
