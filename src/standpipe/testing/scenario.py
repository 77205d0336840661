"""What a seed stands for: an agent with tools, models and their troubles, limits, people, documents, and what happens when."""

from __future__ import annotations

from random import Random

import msgspec

from standpipe.core.amounts import Amounts, Limits
from standpipe.core.ids import digest_bytes
from standpipe.core.world import ModelSpec, Policy
from standpipe.ports import Document

TENANT = "acme"
FOLDER = "docs"
PEOPLE = ("user:ana", "user:bo")
SPECIALISTS = {
    "analyst": ("search", "read", "look", "note", "launch", "book"),
    "clerk": ("look", "incident", "put", "signed", "wobble", "pay", "ship"),
    "smith": ("search", "read", "wobble", "broken", "mutter", "stubborn", "launch"),
}
"""Who there is to delegate to, with which tools. The clerk has an answer schema, the smith models of its own."""
BOOKINGS = ("pay", "book", "ship")
"""The tools whose effects can be asked about or taken back."""
WAYS = ("fine", "fine", "silent", "early", "never", "lost", "shaky", "stuck")
"""How a call of them goes: `silent`, it acts and its answer is lost; `early`, it breaks off at first before it acts; `never`,
always; `lost`, nobody can say afterwards; `shaky`, asking fails at first; `stuck`, always."""
BACKS = ("fine", "shaky", "stuck")
"""How taking back what they did goes: it works, fails at first, or never works."""
TYPED = "clerk"
ROUTED = "smith"
MOODS = {
    "money": 0.2,
    "model calls": 0.15,
    "tool calls": 0.15,
    "steps": 0.3,
    "deadline": 0.35,
    "ledger": 0.15,
    "cancel": 0.2,
    "revoke": 0.35,
    "impatient": 0.2,
    "lag": 0.3,
    "two": 0.2,
    "stall": 0.2,
}
"""What can bind or interfere, and how often: limits, wishes and rights that change, impatient people, a slow log, two
processes at once, one of them standing still for longer than its lease. A scenario with none of it is calm."""


class Message(msgspec.Struct, frozen=True):
    """What somebody says `after_ms` from the start, or at the end of the turn before it where that is later (`patient`)."""

    text: str
    after_ms: int
    patient: bool
    budget_microusd: int = 0
    deadline_ms: int = 0


class Chat(msgspec.Struct, frozen=True):
    """One session: whose it is, whether it has documents, and what is said in it."""

    session: str
    principal: str
    folders: tuple[str, ...]
    messages: tuple[Message, ...]


class Act(msgspec.Struct, frozen=True):
    """Something that happens `at_ms` from the start, whatever else goes on: cancel SESSION, or revoke or grant RELATION."""

    at_ms: int
    kind: str
    what: str


class Scenario(msgspec.Struct, frozen=True):
    """Everything that is drawn before a run starts; what models say is drawn from `seed` when they are asked.

    `specialists` are those of the agent, with the documents each is kept to. Where they are to be `alone`, one works at a time.
    """

    seed: int
    moods: tuple[str, ...]
    policy: Policy
    troubles: dict[str, float]
    documents: tuple[Document, ...]
    readable: dict[str, tuple[str, ...]]
    typed: bool
    chats: tuple[Chat, ...]
    acts: tuple[Act, ...]
    approves: bool
    answered: float
    restart_ms: int
    specialists: dict[str, tuple[str, ...]] = {}
    alone: bool = False

    @property
    def calm(self) -> bool:
        """Whether nothing binds or interferes: then a crash may change nothing but what it cut off."""
        return not self.moods


def chance(*place: object) -> Random:
    """The random numbers of one place of a scenario: the same place, the same numbers, whatever happened before."""
    return Random("/".join(map(str, place)))


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    random = chance(seed, "scenario")
    moods = tuple(mood for mood, share in MOODS.items() if random.random() < share) if random.random() < 0.65 else ()
    policy = _policy(random, moods)
    documents = tuple(_document(random, n) for n in range(random.randint(2, 4)))
    chats = tuple(
        _chat(random, seed, n, moods) for n in range(random.choice((1, 2, 2, 2) if "ledger" in moods else (1, 1, 1, 2)))
    )
    troubles = {name: random.choice((0.0, 0.0, 0.1, 0.4, 1.0)) for name in policy.models}
    return Scenario(
        seed=seed,
        moods=moods,
        policy=_routed(policy, chance(seed, "route")),
        troubles=troubles,
        documents=documents,
        readable={p: tuple(d.path for d in documents if random.random() < 0.8) for p in PEOPLE},
        typed=random.random() < 0.2,
        chats=chats,
        acts=_acts(random, moods, chats, documents),
        approves=random.random() < 0.5,
        answered=random.choice((0.5, 0.9)),
        restart_ms=random.choice((0, 0, 700, 8_000 if moods else 700)),
        specialists=_specialists(chance(seed, "specialists")),
        # What one finds out about the models, those beside it know: with troubles, what each tries depends on who came first.
        alone=not moods and any(troubles.values()),
    )


def _specialists(random: Random) -> dict[str, tuple[str, ...]]:
    """Two or three of them, some of which are kept to a part of the documents."""
    names = random.sample(list(SPECIALISTS), random.choice((2, 3)))
    return {name: random.choice(((), (), (), ("page0.md", "page1*"))) for name in names}


def _routed(policy: Policy, random: Random) -> Policy:
    """The policy with a route for one of the specialists, mostly."""
    models = tuple(random.sample(list(policy.models), random.randint(1, len(policy.models))))
    routes = {**policy.routes, ROUTED: models} if random.random() < 0.8 else policy.routes
    return msgspec.structs.replace(policy, routes=routes)


def _policy(random: Random, moods: tuple[str, ...]) -> Policy:
    price = random.choice((1, 20, 300)) if "money" in moods or "ledger" in moods else random.choice((0, 3))
    models = {}
    for name in ("first", "second", "third")[: random.randint(1, 3)]:
        models[name] = ModelSpec(
            name=name,
            provider=random.choice(("alpha", "beta")),
            output_tokens_max=random.choice((2_048, 16_384)),
            input_microusd_per_mtok=price * 1_000,
            output_microusd_per_mtok=price * 4_000,
            timeout_ms=random.choice((3_000, 6_000)),
        )
    routes = {"default": tuple(models)}
    if random.random() < 0.3:
        routes["synthesize"] = tuple(random.sample(list(models), random.randint(1, len(models))))
    least = price * 60  # about a final call: 45,000 bytes in, 4,000 tokens out
    money = int(least * random.uniform(0.9, random.choice((8, 30)))) + 1
    amounts = Amounts(
        microusd=money if "money" in moods else 10**12,
        tokens=2**53,
        model_calls=random.choice((len(models), 3, 4, 6, 8, 14)) if "model calls" in moods else 400,
        tool_calls=random.randint(0, 6) if "tool calls" in moods else 400,
        steps=random.choice((1, 2, 3, 4, 5, 6, 12, 20)) if "steps" in moods else 1_000,
    )
    deadline_ms = random.randint(1, random.choice((12, 30))) * 1_000 if "deadline" in moods else 3_600_000
    ledger = {"default": int(least * random.uniform(1, 30)) + 1} if "ledger" in moods else {}
    if ledger:
        amounts = msgspec.structs.replace(amounts, microusd=max(money, ledger["default"] // 2))
    return Policy(
        models=models,
        routes=routes,
        turn={"default": Limits(amounts, deadline_ms)},
        day=ledger if random.random() < 0.7 else {},
        session=ledger if random.random() < 0.5 else {},
        parked_ms=random.choice((9_000, 40_000)) if moods else 40_000,
    )


def reply_of(principal: str) -> str:
    """What somebody says to any question."""
    return f"The first, says {principal}."


def marker(number: int, part: int) -> str:
    """A word that stands in one paragraph of one document and nowhere else."""
    return f"zq{number}k{part}x"


def _document(random: Random, number: int) -> Document:
    words = ("valve", "pressure", "standpipe", "hydrant", "gauge", "pump", "riser")
    lines = [f"# Page {number}"]
    for part in range(random.randint(1, 3)):
        said = " ".join(random.choice(words) for _ in range(6))
        lines.append(f"The {marker(number, part)} reads {random.randint(2, 90)} when the {said} is open.")
    text = "\n\n".join(lines)
    return Document(f"page{number}.md", digest_bytes(text.encode()), text)


def _chat(random: Random, seed: int, number: int, moods: tuple[str, ...]) -> Chat:
    messages = []
    at = 0
    for turn in range(random.choice((1, 1, 2) if number else (1, 1, 1, 2, 3))):
        patient = "impatient" not in moods or random.random() < 0.3
        at += 0 if patient else random.randint(0, 9_000)
        messages.append(
            Message(
                text=f"Say in {number}.{turn} what the gauge reads when the {random.choice(('valve', 'pump'))} is open.",
                after_ms=at,
                patient=patient,
                budget_microusd=random.randint(1, 10**6) if "money" in moods and random.random() < 0.3 else 0,
                deadline_ms=random.randint(500, 9_000) if "deadline" in moods and random.random() < 0.4 else 0,
            )
        )
    folders = (FOLDER,) if "revoke" in moods or random.random() < 0.5 else ()
    # Each has somebody of its own: memory is shared by all sessions of a principal, and so would be what time does to it.
    return Chat(f"{seed:016x}{number:016x}", PEOPLE[(seed + number) % 2], folders, tuple(messages))


def _acts(random: Random, moods: tuple[str, ...], chats: tuple[Chat, ...], documents: tuple[Document, ...]) -> tuple[Act, ...]:
    acts = []
    if "cancel" in moods:
        for _ in range(random.randint(1, 4)):
            acts.append(Act(random.randint(0, random.choice((800, 3_000, 12_000))), "cancel", random.choice(chats).session))
    if "revoke" in moods:
        for _ in range(random.randint(6, 12)):
            who, what = random.choice(chats).principal, random.choice(documents).path
            kind = random.choice(("revoke", "revoke", "revoke", "grant"))
            acts.append(Act(random.randint(0, random.choice((2_500, 8_000, 30_000))), kind, f"document:{what}#reader@{who}"))
        acts.append(Act(random.randint(0, 6_000), random.choice(("revoke", "grant")), f"incident:1#reader@{PEOPLE[0]}"))
    return tuple(sorted(acts, key=lambda act: act.at_ms))
