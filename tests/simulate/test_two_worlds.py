"""What is forbidden behaves exactly like what is not there: two worlds, one with restricted documents and one without them.

The same sessions are lived through in both, by the keyless reader and by models that try everything to find out, themselves and
through specialists, one of whom is kept to nothing but what is restricted. What the principal can see is the same to the byte:
answers, events, counts, costs and times on the virtual clock. So is the whole log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import pytest

from standpipe.core.admit import Ask, admit
from standpipe.core.apply import apply
from standpipe.core.events import RelationsChanged
from standpipe.core.frames import encode_frame
from standpipe.core.items import Answer, Citation, Item, Passage, ToolCall
from standpipe.core.state import State
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import Access, ModelSpec, Policy, World
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.models.extractive import respond
from standpipe.drivers.models.scripted import ScriptedModel
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.search.sync import sync
from standpipe.drivers.tools.documents import READ, SEARCH, DocumentTools
from standpipe.engine.access import change
from standpipe.engine.beside import row_of
from standpipe.engine.drive import Setup
from standpipe.engine.house import House
from standpipe.engine.lookup import static
from standpipe.engine.perform import Ports
from standpipe.engine.show import hidden, without
from standpipe.ports import Append, Owner, Synced
from standpipe.testing.clock import EPOCH_MS, VirtualLoop, run
from standpipe.testing.world import CONTROLS

Script = Callable[[list[Item], list[ToolSpec]], Sequence[ToolCall]]

ANA = "user:ana"
SESSION = "5" * 32
EVE = "user:eve"
RULES = """
document:open/*#reader@user:ana
document:open/*#reader@group:owners#member
document:closed/*#reader@group:owners#member
group:owners#member@user:eve
"""
WORDS = (
    *("valve", "pressure", "hydrant", "gauge", "pump", "riser", "leak", "meter", "inlet", "basin", "filter", "sensor"),
    *("alarm", "crew", "shift", "ladder", "nozzle", "coupling"),
)


SPECIALISTS = {"scout": "Knows the valve, the pump and the gauge.", "keeper": "Knows the riser, the meter and the crew."}
AGENTS = {
    "agent": AgentSpec("agent", "Answer.", (SEARCH, READ), specialists=SPECIALISTS),
    "scout": AgentSpec("scout", "Look.", (SEARCH, READ)),
    "keeper": AgentSpec("keeper", "Look.", (SEARCH, READ), documents=("closed/*",)),
}


class Seen(NamedTuple):
    """What one world let its principal see, and what its log holds."""

    answers: tuple[bytes, ...]
    counts: tuple[tuple[object, ...], ...]
    events: tuple[bytes, ...]
    log: tuple[bytes, ...]


def furnish(root: Path, seed: int, *, restricted: bool) -> None:
    """The folder of a world. What is restricted has the same words, so that it would weigh in any statistic."""
    random = Random(seed)
    (root / "access.rel").write_text(RULES)
    for area in ("open", "closed"):
        (root / area).mkdir(exist_ok=True)
        for number in range(6):
            path = root / area / f"page{number}.md"
            lines = [f"# The {random.choice(WORDS)} of {number}", ""]
            for _ in range(random.randint(1, 6)):
                words = " ".join(random.sample(WORDS, 4))
                lines += [f"The {random.choice(WORDS)} reads {random.randint(1, 99)} when the {words} is open.", ""]
            if area == "open" or restricted:
                path.write_text("\n".join(lines))
            else:
                path.unlink(missing_ok=True)


def reader(_: Random) -> Script:
    """The keyless model."""
    return lambda items, tools: [move for move in respond(items, tools) if isinstance(move, ToolCall)]


def spy(random: Random) -> Script:
    """A model that looks for what it may not see: by name, by words, by what it would say, by how it is refused."""

    def moves(items: list[Item], tools: list[ToolSpec]) -> list[ToolCall]:
        seen = [i.body for i in items if isinstance(i.body, Passage)]
        rounds = len({i.id.split(".")[0] for i in items if i.kind == "call" and i.origin != "runtime"})
        if len(tools) == 1 or rounds > 5:
            return [ToolCall("answer", {"sentences": [quoted(p.source, p.text) for p in seen[:3]] + [guessed()]})]
        paths = [
            f"closed/page{random.randint(0, 7)}.md",
            f"open/page{random.randint(0, 7)}.md",
            "closed/",
            "../closed/page1.md",
        ]
        reads = [ToolCall("read", {"source": path}) for path in random.sample(paths, 2)]
        words = " ".join(random.sample(WORDS, 3))
        looks = [ToolCall("search", {"query": q, "limit": random.randint(1, 9)}) for q in (words, "closed page1 " + words)]
        steps = [
            {"id": str(n), "tool": move.name, "arguments": move.arguments, "after": [str(n - 1)] if n else []}
            for n, move in enumerate([*reads, *looks])
        ]
        answer = ToolCall("answer", {"sentences": [guessed()]})
        return random.choice(([*reads, *looks], [ToolCall("plan", {"steps": steps})], [answer], [looks[0], reads[0]]))

    def quoted(source: str, text: str) -> dict[str, object]:
        line = text.strip().splitlines()[-1]
        return {"text": line, "citations": [{"source": source, "quote": line}]}

    def guessed() -> dict[str, object]:
        return quoted(f"closed/page{random.randint(0, 5)}.md", f"The {random.choice(WORDS)} reads {random.randint(1, 99)} when")

    return moves


def sender(random: Random) -> Script:
    """A coordinator that sends others to find out what it may not see, and looks at what they come back with."""
    spies = spy(random)

    def moves(items: list[Item], tools: list[ToolSpec]) -> Sequence[ToolCall]:
        heard = [i.body for i in items if isinstance(i.body, Answer)]
        if not any(tool.name == "delegate" for tool in tools) or random.random() < 0.2:
            return spies(items, tools)
        if heard and random.random() < 0.7:
            told = [ToolCall("answer", {"sentences": [sentence(c) for a in heard for c in a.citations]})]
            return told if random.random() < 0.7 else spies(items, tools)
        who = random.sample([*SPECIALISTS, *SPECIALISTS, "closed/page1.md"], random.randint(1, 3))
        return [ToolCall("delegate", {"to": name, "task": task(), "optional": random.random() < 0.5}) for name in who]

    def task() -> str:
        return f"What does closed/page{random.randint(0, 5)}.md say when the {random.choice(WORDS)} is open?"

    def sentence(cited: Citation) -> dict[str, object]:
        return {"text": cited.quote, "citations": [{"source": cited.source, "quote": cited.quote}]}

    return moves


class Stage:
    """One world: a store in memory with the folder in it, and a house that answers from it."""

    def __init__(self, script: Script, who: str) -> None:
        self.who = who
        self.loop = VirtualLoop()
        self.access, self.search = MemoryAccess(), MemorySearch()
        self.log = MemoryLog([self.access.project])
        self.script = script
        policy = Policy(
            models={"m": ModelSpec("m", "p", input_microusd_per_mtok=1_000_000, output_microusd_per_mtok=3_000_000)},
            routes={"default": ("m",)},
        )
        documents = DocumentTools(self.search, self.access)
        ports = Ports(
            log=self.log,
            search=self.search,
            access=self.access,
            models={"p": ScriptedModel(self._respond)},
            tools={"search": documents, "read": documents},
            controls=CONTROLS,
            clock=self.loop.now_ms,
        )
        self.setup = Setup(ports, static(policy, AGENTS), "rules", "process", Owner("here", 1, ""))
        self.house = House(self.setup, self._sync, self._close)
        self.folder = ""

    async def _respond(self, items: list[Item], tools: list[ToolSpec]) -> Sequence[ToolCall]:
        await asyncio.sleep(0.2)
        return self.script(items, tools)

    async def _sync(self, tenant: str, root: Path) -> Synced:
        raise AssertionError("the folder is there already")

    async def _close(self) -> None:
        """Nothing to close."""

    async def furnish(self, root: Path) -> None:
        """Bring the folder in."""
        self.folder = (await sync(self.log, self.search, self.access, "acme", root, EPOCH_MS, "operator")).folder

    async def live(self, questions: Sequence[str]) -> Seen:
        """Ask one question after the other; in the middle a right is withdrawn."""
        answers, counts = [], []
        for number, question in enumerate(questions):
            await self._say(number, question)
            turn = await self.house.resume(SESSION)
            assert turn is not None
            if number == 1:
                await asyncio.sleep(0.3)
                gone = ("document:open/*#reader@user:ana",)
                kept = tuple(f"document:open/page{n}.md#reader@user:ana" for n in range(1, 6))
                await change(self.setup, RelationsChanged("acme", self.folder, "command", kept, gone), "operator")
            await turn.wait()
            s = turn.summary
            answers.append(msgspec.json.encode(turn.answer))
            counts.append(
                (turn.outcome, turn.reason, s.cost_microusd, s.tokens, s.model_calls, s.tool_calls, s.plan_epochs, s.ended_at)
            )
        await self.house.resume(SESSION)
        await self.house.close()
        frames = await self.log.read(SESSION)
        labels = [item.label for f in frames for e in f.events for item in getattr(e.fact, "items", ())]
        closed = await hidden(self.access, "acme", self.who, labels)
        shown = tuple(encode_frame(without(frame, closed)) for frame in frames)
        return Seen(tuple(answers), tuple(counts), shown, tuple(map(encode_frame, frames)))

    async def _say(self, number: int, text: str) -> None:
        state = State()
        for frame in await self.log.read(SESSION):
            for event in frame.events:
                apply(state, event)
        before = state.seq
        wish = Ask(f"r{number}", SESSION, "acme", self.who, "agent", text, (self.folder,))
        events = admit(state, wish, World(Policy(), {}, Access(0, 0)), self.loop.now_ms())
        assert isinstance(events, list)
        for event in events:
            apply(state, event)
        append = Append(SESSION, "acme", self.loop.now_ms(), "test", "rules", before, tuple(events), row=row_of(state))
        await self.log.append(append)


def lived(root: Path, script: Script, questions: Sequence[str], who: str) -> Seen:
    """Live through the questions in a world made of this folder."""
    stage = Stage(script, who)
    asyncio.run(stage.furnish(root))
    try:
        return run(stage.live(questions), stage.loop)
    finally:
        stage.loop.close()


def session(root: Path, seed: int, model: Callable[[Random], Script], *, restricted: bool, who: str = ANA) -> Seen:
    """The session of a seed, in a world with or without the restricted documents."""
    furnish(root, seed, restricted=restricted)
    random = Random(seed)
    questions = [f"What does the {random.choice(WORDS)} read when the {random.choice(WORDS)} is open?" for _ in range(3)]
    return lived(root, model(Random(seed + 1)), questions, who)


@pytest.mark.parametrize("model", [reader, spy, sender])
def test_forbidden_and_missing_documents_cannot_be_told_apart(model: Callable[[Random], Script], tmp_path: Path) -> None:
    for seed in range(8):
        there = session(tmp_path, seed, model, restricted=True)
        missing = session(tmp_path, seed, model, restricted=False)

        assert there.answers == missing.answers
        assert there.counts == missing.counts
        assert there.events == missing.events
        assert there.log == missing.log


def test_who_may_see_them_can_tell_the_worlds_apart(tmp_path: Path) -> None:
    for model in (reader, sender):
        there = session(tmp_path, 1, model, restricted=True, who=EVE)
        missing = session(tmp_path, 1, model, restricted=False, who=EVE)

        assert b"closed/page" in b"".join(there.answers)
        assert there.answers != missing.answers


def test_the_worlds_are_worth_telling_apart(tmp_path: Path) -> None:
    asked, spied = (session(tmp_path, 1, model, restricted=True) for model in (reader, spy))
    sent = b"".join(part for seed in range(4) for part in session(tmp_path, seed, sender, restricted=True).log)

    assert b'"quote"' in b"".join(asked.answers)
    assert b'"source":"closed/page' in b"".join(spied.log)
    assert b"ItemsWithdrawn" in b"".join(asked.log)
    assert all(f'"agent":"{name}"'.encode() in sent for name in SPECIALISTS)
    assert b'"origin":"agent:scout"' in sent
    assert b'"outcome":"cancelled","reason":"withdrawn"' in sent
