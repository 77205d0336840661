"""The world a simulated house acts on: tools whose effects are counted outside of any log, and models with troubles.

It also looks over the house's shoulder: nothing that reaches a model, a tool or a user may hold what its principal may not
read at that moment, and no effect may happen that the log had not allowed first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from standpipe.core.details import ASK, Fault, Usage
from standpipe.core.events import CallFailed, CallGranted, ScopeEnded, ScopeStarted, TurnEnded
from standpipe.core.items import Draft, Item, Text, ToolCall, encode_body
from standpipe.core.world import ModelSpec
from standpipe.drivers.tools.python import Tool, tool
from standpipe.ports import AccessStore, Append, Failed, Prompt, Reply, ToolRequest, Tools
from standpipe.testing import script
from standpipe.testing.scenario import FOLDER, PEOPLE, TENANT, Scenario, chance, marker, reply_of

HANG_S = 10_000.0


class Effect(msgspec.Struct, frozen=True):
    """One thing that was really done: under which idempotency key, by which tool, with what."""

    key: str
    tool: str
    what: str


class DriverBug(Exception):
    """What a driver raises that has one."""


class Outside:
    """What survives every crash beside the log."""

    def __init__(self, scenario: Scenario, access: AccessStore) -> None:
        self.scenario, self.access = scenario, access
        self.effects: list[Effect] = []
        self.meet: Callable[[str, str], bool] = lambda _fault, _session: True
        self.faults: list[str] = []
        self._granted: dict[str, tuple[str, str]] = {}
        self._failed: dict[tuple[str, str], int] = {}
        self._tasks: dict[tuple[str, str], str] = {}
        self._lost: dict[str, int] = {}
        self._asked = {message.text: chat.principal for chat in scenario.chats for message in chat.messages}
        self._asked |= {reply_of(principal): principal for principal in PEOPLE}
        self._principals = {chat.session: chat.principal for chat in scenario.chats}
        self._markers = {
            document.path: [m for n in range(9) for p in range(9) if (m := marker(n, p)).encode() in document.text.encode()]
            for document in scenario.documents
        }

    def strikes(self, fault: str, principal: str) -> bool:
        """Whether a fault may happen to whom this concerns; if so, it does."""
        return self.meet(fault, self.session_of(principal))

    def session_of(self, principal: str) -> str:
        """Each has one session."""
        return next((session for session, who in self._principals.items() if who == principal), "")

    async def saw(self, append: Append) -> None:
        """Take note of what an append made durable."""
        for event in append.events:
            match event.fact:
                case CallGranted(key=key, call=call):
                    self._granted[key] = _intent(append.session, call)
                case CallFailed(call=call):
                    intent = _intent(append.session, call)
                    self._failed[intent] = self._failed.get(intent, 0) + 1
                case ScopeStarted(scope=scope, items=(Item(body=Text(text=task)),)):
                    self._tasks[append.session, scope] = task
                case ScopeEnded(scope=scope, outcome="failed"):
                    task = self._tasks[append.session, scope]
                    self._lost[task] = self._lost.get(task, 0) + 1
                case TurnEnded(items=(answer,)):
                    await self._look_over_answer(self._principals[append.session], answer)
                case _:
                    pass

    async def look_over(self, what: str, principal: str, data: bytes) -> None:
        """Record a fault if the data holds words of a document that the principal may not read now."""
        rights = await self.access.rights(TENANT, FOLDER, principal)
        for path, markers in self._markers.items():
            if not rights.allows(f"document:{path}") and any(m.encode() in data for m in markers):
                self.faults.append(f"{what} for {principal} holds words of {path}, which it may not read")

    async def _look_over_answer(self, principal: str, answer: Item) -> None:
        await self.look_over("an answer", principal, encode_of((answer,)))
        rights = await self.access.rights(TENANT, FOLDER, principal)
        for source in answer.label.sources:
            if source.folder == FOLDER and not rights.allows(f"document:{source.path}"):
                self.faults.append(f"an answer for {principal} derives from {source.path}, which it may not read")

    def act(self, key: str, name: str, what: str) -> None:
        """Do something that cannot be undone."""
        if key not in self._granted:
            self.faults.append(f"{name} acted under a key that no grant in the log has")
        self.effects.append(Effect(key, name, what))

    def acted(self, key: str, name: str) -> bool:
        """Whether this was done under this key."""
        return any((effect.key, effect.tool) == (key, name) for effect in self.effects)

    def failures(self, key: str) -> int:
        """How many attempts of this intent the log knows to have failed."""
        return self._failed.get(self._granted[key], 0)

    def lost(self, task: str) -> int:
        """How many specialists the log knows to have failed at this task."""
        return self._lost.get(task, 0)

    def principal_of(self, question: str) -> str:
        """Who asked this question, or the one that a task is about."""
        return self._asked[question.partition(script.TASK)[0]]


def encode_of(items: tuple[Item, ...]) -> bytes:
    """The bodies of items, one after the other."""
    return b"\n".join(encode_body(item.body) for item in items if item.body is not None)


def _intent(session: str, call: str) -> tuple[str, str]:
    return session, call.rsplit(".", 1)[0]


class TroubledModels:
    """Providers that fail as the scenario says: a model does the same at the same question, attempt and round, whoever asks."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def call(self, model: ModelSpec, prompt: Prompt) -> Reply | Failed:
        """What the script says, or a trouble."""
        scenario = self._outside.scenario
        heard = script.hear(prompt.items, prompt.tools, alone=scenario.alone)
        heard = msgspec.structs.replace(heard, attempt=self._outside.lost(heard.question))
        await self._outside.look_over("a prompt", self._outside.principal_of(heard.question), encode_of(prompt.items))
        random = chance(scenario.seed, model.name, heard.question, heard.attempt, heard.round)
        await asyncio.sleep(random.choice((0, 0.02, 0.4, 1.5)))
        if random.random() < scenario.troubles[model.name]:
            number = random.randrange(len(TROUBLES))
            if self._outside.strikes(TROUBLES[number], self._outside.principal_of(heard.question)):
                return await _trouble(number)
        said = script.respond(scenario.seed, heard)
        bodies = [Text(said)] if isinstance(said, str) else said
        read = sum(item.bytes for item in prompt.items) // 4
        written = sum(len(encode_body(body)) for body in bodies)
        return Reply(tuple(Draft(body) for body in bodies), Usage(read, min(written, prompt.output_tokens_max)))


TROUBLES = "model overload", "model error", "model timeout", "model bug", "model overload", "model garbage"
"""What a model does instead of answering: by the number that is drawn."""


async def _trouble(number: int) -> Reply | Failed:
    match number:
        case 0:
            return Failed(Fault("unavailable", "Nobody there."))
        case 1:
            return Failed(Fault("error", "Internal error.", retryable=True), Usage(10**9, 10**9))
        case 2:
            await asyncio.sleep(HANG_S)
            return Failed(Fault("error", "Too late."))
        case 3:
            raise DriverBug
        case 4:
            return Failed(Fault("rate", "Too many requests.", retryable=True))
        case _:
            return Reply((Draft(ToolCall("answer", {"sentences": [GARBAGE], "claims": GARBAGE})), Draft(Text(GARBAGE))))


GARBAGE = "{\u0000\u202e}" * 1_000
"""Nothing that anybody asked for."""


def tools(outside: Outside) -> tuple[Tool, ...]:
    """The tools of the simulated agent: each one kind of thing that tools do."""
    return (*_readers(outside), *_writers(outside))


def _readers(outside: Outside) -> tuple[Tool, ...]:
    @tool(timeout_s=5)
    async def look(x: int, ms: int) -> dict[str, int]:
        """Reads."""
        await asyncio.sleep(ms / 1000)
        return {"x": x}

    @tool()
    async def wobble(x: int, fails: int, idempotency_key: str = "") -> int:
        """Reads, after failing a few times."""
        await asyncio.sleep(0.1)
        if outside.failures(idempotency_key) < fails:
            raise ConnectionError("try again")
        return x

    @tool()
    async def broken(x: int) -> int:
        """Raises."""
        raise ValueError(f"broken at {x}")

    @tool()
    async def huge() -> str:
        """Returns more than anybody can use."""
        return "x" * 1_000_100

    @tool(resource="incident:{id}")
    async def incident(id: int) -> str:
        """Reads one incident."""
        return f"incident {id}"

    return (look, wobble, broken, huge, incident)


def _writers(outside: Outside) -> tuple[Tool, ...]:
    @tool(effect="write", timeout_s=5)
    async def note(text: str, ms: int, idempotency_key: str = "") -> str:
        """Writes down, not to be repeated."""
        await asyncio.sleep(ms / 2000)
        outside.act(idempotency_key, "note", text)
        await asyncio.sleep(ms / 2000)
        return "noted"

    @tool(effect="write", idempotent=True, timeout_s=5)
    async def put(text: str, ms: int, idempotency_key: str = "") -> str:
        """Writes down, once however often it is called."""
        await asyncio.sleep(ms / 2000)
        outside.act(idempotency_key, "put", text)
        await asyncio.sleep(ms / 2000)
        return "put"

    @tool(effect="irreversible")
    async def launch(ms: int, idempotency_key: str = "") -> str:
        """Cannot be taken back."""
        outside.act(idempotency_key, "launch", "")
        await asyncio.sleep(ms / 1000)
        return "launched"

    @tool(effect="write", approval=True, idempotent=True)
    async def signed(text: str, idempotency_key: str = "") -> str:
        """Needs a signature."""
        outside.act(idempotency_key, "signed", text)
        return "signed"

    @tool(effect="write")
    async def mutter(text: str, idempotency_key: str = "") -> str:
        """Writes and raises: it may or may not have acted."""
        outside.act(idempotency_key, "mutter", text)
        raise RuntimeError(f"what about {text}")

    @tool(effect="write", timeout_s=2)
    async def stubborn(ms: int, idempotency_key: str = "") -> str:
        """Takes its time even when it is told to stop."""
        outside.act(idempotency_key, "stubborn", "")
        try:
            await asyncio.sleep(ms / 1000)
        except asyncio.CancelledError:
            await asyncio.sleep(0.3)
            raise
        return "done"

    return (note, put, launch, signed, mutter, stubborn)


ONCE = ("note", "launch", "mutter", "stubborn")
"""Tools whose effect may happen at most once under a key."""


class WatchedTools:
    """Tools, with a look at what they are given."""

    def __init__(self, tools: Tools, outside: Outside) -> None:
        self._tools, self._outside = tools, outside

    async def call(self, request: ToolRequest) -> Reply | Failed:
        """As the tools do."""
        given = msgspec.json.encode([request.arguments if request.purpose != ASK else None, request.done])
        await self._outside.look_over(f"a call of {request.tool}", request.principal, given)
        return await self._tools.call(request)
