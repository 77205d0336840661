"""The runbook story on the sample documents: asked live, with faults that go off on the way, and told with what it lacks."""

from __future__ import annotations

import socket
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, cast

import msgspec

from standpipe import wiring
from standpipe.core.claims import disagreements
from standpipe.core.events import (
    CallCompleted,
    CallFailed,
    CallGranted,
    Event,
    Frame,
    ItemsWithdrawn,
    PlanPatched,
    RelationsChanged,
    ScopeEnded,
    ScopeStarted,
)
from standpipe.core.ids import scope_of
from standpipe.core.items import Answer
from standpipe.engine.access import change
from standpipe.engine.house import House, Turn
from standpipe.entrypoints.answers import as_json, tell, tell_where_to_look
from standpipe.entrypoints.asking import remembered
from standpipe.entrypoints.exits import CANCELLED, DONE, FAILED
from standpipe.entrypoints.options import Common, DemoFault
from standpipe.entrypoints.output import on_terminal, say, say_heading, say_json, trouble
from standpipe.entrypoints.session import check_once_more
from standpipe.entrypoints.watch import Interrupts, watch
from standpipe.errors import UsageError
from standpipe.ports import Append, Appended, Fenced, Log, Short, Stale
from standpipe.settings import load
from standpipe.testing.provider import ChatProvider

TENANT, BY = "local", "demo"
PRICE = {"input_microusd_per_mtok": 100_000, "output_microusd_per_mtok": 400_000}
"""What the demo's policy makes every model cost, so that there is something to count: 0.10 and 0.40 USD."""
BUDGET = {"steps": 100, "model_calls": 60, "tool_calls": 120, "deadline_s": 30}
"""What a turn may use: five agents share it, and a plan made from what is withdrawn is made twice."""
FIRST, STUCK = "first", "stuck"
"""Providers of the faults: one that nobody answers for, one that never says anything."""
REMARK = "the keyless model is free; the demo's policy gives it a price of 0.10 USD per million tokens in, 0.40 USD out"


class Told(msgspec.Struct, frozen=True):
    """The conflict that the sample hides: which documents disagree."""

    documents: tuple[str, ...]


class Member(msgspec.Struct, frozen=True):
    """A specialist of the story, and the documents it is kept to."""

    name: str
    description: str
    documents: tuple[str, ...]


class Script(msgspec.Struct, frozen=True):
    """The part of story.toml that the demo plays: `hangs` is the specialist whose model never answers."""

    question: str
    principal: str
    withdraw: str
    hangs: str
    specialists: tuple[Member, ...]
    conflict: Told
    faults: frozenset[str] = frozenset()

    @property
    def document(self) -> str:
        """The path of the document that is withdrawn."""
        return self.withdraw.partition(":")[2].partition("#")[0]

    @property
    def team(self) -> wiring.Agent:
        """The coordinator and those it may ask."""
        members = [wiring.Agent(m.name, description=m.description, documents=m.documents) for m in self.specialists]
        return wiring.Agent(wiring.COORDINATOR.name, specialists=members)


async def demo(common: Common, faults: Sequence[DemoFault]) -> int:
    """Play the story with these faults (without any named, all); done when it ran as told, whatever became of the turn."""
    named: set[str] = {*faults}
    chosen = named - {"none"} if named else {*FAULTS}
    if common.policy is not None:
        if extra := sorted(set(faults) & {"model-down", "agent-hangs"}):
            raise UsageError(f"The fault {extra[0]} is one of the demo's own policy: leave --policy out.")
        chosen &= {"right-withdrawn"}
    with as_file(files("standpipe").joinpath("sample")) as sample:
        told = tomllib.loads((sample / "story.toml").read_text(encoding="utf-8"))
        script = msgspec.structs.replace(msgspec.convert(told, Script), faults=frozenset(chosen))
        async with _policy(script) as policy:
            settings = load(common.policy if common.policy is not None else policy)
            kept = wiring.stores(common.store or settings.store)
            log = Watched(kept.log)
            house = wiring.build(settings, msgspec.structs.replace(kept, log=cast(Log, log)), (script.team,), {}, None)
            try:
                return await _play(house, log, script, sample, json=common.json)
            finally:
                await house.close()


@asynccontextmanager
async def _policy(script: Script) -> AsyncIterator[dict[str, Any]]:
    """The demo's policy. Its faults are real: a port where nobody listens, and a server that accepts and never says a word."""
    models: dict[str, Any] = {"extractive": {"provider": "extractive", **PRICE}}
    policy: dict[str, Any] = {"providers": {}, "models": models, "routes": {}, "budgets": {"default": {"turn": BUDGET}}}
    async with ChatProvider(lambda _: "", faults=["ttft_slow"]) as stuck:
        if "model-down" in script.faults:
            policy["providers"][FIRST] = {"dialect": "openai-chat", "base_url": _nobody()}
            models[f"{FIRST}/model"] = {"provider": FIRST, **PRICE}
            policy["routes"]["default"] = {"models": [f"{FIRST}/model", "extractive"]}
        if "agent-hangs" in script.faults:
            policy["providers"][STUCK] = {"dialect": "openai-chat", "base_url": stuck.base_url, "first_content_ms": 1_000}
            models[f"{STUCK}/model"] = {"provider": STUCK, **PRICE}
            policy["routes"][script.hangs] = {"models": [f"{STUCK}/model"]}
        yield policy


def _nobody() -> str:
    """A base URL of this machine where every connection is refused."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return f"http://127.0.0.1:{held.getsockname()[1]}/v1"


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
        self._found = self._planned = False

    def has_come(self, events: Sequence[Event]) -> bool:
        """Whether it is now, after these events."""
        for event in events:
            fact = event.fact
            if isinstance(fact, CallCompleted):
                self._found |= any(source.path == self._path for item in fact.items for source in item.label.sources)
            elif isinstance(fact, PlanPatched):
                self._planned |= self._found and fact.why.code == "plan"
            elif isinstance(fact, CallGranted) and fact.manifest is not None and not scope_of(fact.call) and self._planned:
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

    log.then = withdraw if "right-withdrawn" in script.faults else None
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
        "no two specialists disagreed": disagreed(events),
        "a later prompt showed what was withdrawn": not shown_later(events),
    }
    expected = {fault: words for fault, (words, _) in FAULTS.items() if fault in script.faults}
    parts |= {words: FAULTS[fault][1](events, turn, script) for fault, words in expected.items()}
    return [words for words, happened in parts.items() if not happened]


def _was_withdrawn(events: Sequence[Event], turn: Turn, script: Script) -> bool:
    return script.document in {source.path for source in turn.summary.withdrawn}


def _was_down(events: Sequence[Event], turn: Turn, script: Script) -> bool:
    """The first model was asked in vain, and another one answered."""
    down = {e.fact.call for e in events if isinstance(e.fact, CallGranted) and e.fact.target == f"{FIRST}/model"}
    return any(isinstance(e.fact, CallFailed) and e.fact.call in down for e in events) and bool(turn.answer.sentences)


def _was_lost(events: Sequence[Event], turn: Turn, script: Script) -> bool:
    """The specialist that hangs came to nothing, and a gap of the answer names it."""
    scopes = {e.fact.scope for e in events if isinstance(e.fact, ScopeStarted) and e.fact.agent == script.hangs}
    lost = any(isinstance(e.fact, ScopeEnded) and e.fact.scope in scopes and e.fact.outcome == "failed" for e in events)
    return lost and any(f"`{script.hangs}`" in gap.text for gap in turn.gaps)


Seen = Callable[[Sequence[Event], Turn, Script], bool]
FAULTS: dict[str, tuple[str, Seen]] = {
    "model-down": ("the first model was not seen to be down", _was_down),
    "agent-hangs": ("the specialist that hangs was not named", _was_lost),
    "right-withdrawn": ("the withdrawal was not seen", _was_withdrawn),
}
"""What can go off, what is said where it did not, and how it shows."""


def disagreed(events: Iterable[Event]) -> bool:
    """Whether claims of two specialists give different values for the same thing."""
    ended = [event.fact for event in events if isinstance(event.fact, ScopeEnded)]
    answers = [item.body for fact in ended for item in fact.items if isinstance(item.body, Answer)]
    own = {claim.citation: n for n, answer in enumerate(answers) for claim in answer.claims}
    found = disagreements([claim for answer in answers for claim in answer.claims])
    return any(len({own[value.citation] for value in conflict.values}) > 1 for conflict in found)


def shown_later(events: Iterable[Event]) -> set[str]:
    """The ids of withdrawn items that a prompt after their withdrawal still held."""
    gone: set[str] = set()
    shown: dict[str, set[str]] = {}
    late: set[str] = set()
    for event in events:
        fact = event.fact
        if isinstance(fact, ItemsWithdrawn):
            gone.update(fact.ids)
        elif isinstance(fact, CallGranted) and fact.manifest is not None:
            share = scope_of(fact.call)
            kept = shown.get(share, set()) if fact.manifest.base else set()
            shown[share] = (kept - {c.item for c in fact.manifest.dropped}) | {c.item for c in fact.manifest.added}
            late |= shown[share] & gone
    return late
