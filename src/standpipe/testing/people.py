"""Those who use a simulated house: they ask, answer, approve, wait, cancel, and change who may read what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar

import msgspec

from standpipe.core.admit import Ask, Cancel, Wish
from standpipe.core.amounts import Amounts
from standpipe.core.apply import fold
from standpipe.core.details import LEVELS
from standpipe.core.events import AnyFact, Event, RelationsChanged
from standpipe.core.ids import HOUSE, digest_bytes
from standpipe.core.items import Source
from standpipe.core.pending import open_turns
from standpipe.core.state import Ask as Asked
from standpipe.core.state import State
from standpipe.engine.house import House, Turn
from standpipe.errors import NotFound, Refused, StoreError
from standpipe.ports import Append, Appended, Log
from standpipe.testing.clock import EPOCH_MS
from standpipe.testing.outside import Outside
from standpipe.testing.scenario import FOLDER, TENANT, Act, Chat, Message, Scenario, chance, reply_of
from standpipe.testing.wishes import send

T = TypeVar("T")

ENDINGS = ("completed", "partial", "failed", "cancelled")
PATIENCE_MS = 200
"""So long somebody waits at least before looking again at what a session waits for."""
CLOCKS_MS = 4_000
"""As PATIENCE_MS, where clocks are off by minutes: then what they wait for may be over by theirs, but not by others'."""
IDLE_MS_MAX = 1_000
"""A session with nothing to do is let go of within this time."""
STORE_BROKEN_S = 1.0
"""So long they wait before they try again what the store did not do."""


class Front(Protocol):
    """The processes, as those who use them meet them."""

    async def through(self, doing: Callable[[House], Awaitable[T]]) -> T:
        """Have one that lives do something, and another one where it dies before that is done."""


class People:
    """They outlive the processes they talk to, and say again what they do not know to have been heard."""

    _front: Front

    def __init__(self, scenario: Scenario, log: Log, outside: Outside) -> None:
        self._scenario, self._log, self._outside = scenario, log, outside
        self._heard: set[str] = set()
        self._done: set[int] = set()
        self.put_off = 0
        self.hurried = True
        self.faults: list[str] = []

    async def work(self, front: Front) -> None:
        """Say and do everything there is, until all is answered. `put_off` counts those who wait for a store that broke;
        whoever is not `hurried` does not mind how long a session takes that has nothing to do."""
        self._front = front
        async with asyncio.TaskGroup() as group:
            for chat in self._scenario.chats:
                group.create_task(self._insist(lambda chat=chat: self._converse(chat)))  # type: ignore[misc]
            for number, act in enumerate(self._scenario.acts):
                group.create_task(self._insist(lambda n=number, a=act: self._act(n, a)))  # type: ignore[misc]
        for chat in self._scenario.chats:
            await self._insist(lambda chat=chat: self._settle(chat))  # type: ignore[misc]

    async def _insist(self, doing: Callable[[], Awaitable[None]]) -> None:
        """Again from the start, until the store does it."""
        while True:
            try:
                return await doing()
            except StoreError:
                self.put_off += 1
                await asyncio.sleep(STORE_BROKEN_S)
                self.put_off -= 1

    async def wish(self, session: str, wish: Wish) -> bool:
        """Have a wish admitted by another process, which drives nothing; whether anything came of it."""
        return await send(self._log, self._scenario.policy, session, wish, _now())

    def said(self, session: str) -> list[Ask]:
        """What was said in a session until now."""
        chat = next(chat for chat in self._scenario.chats if chat.session == session)
        return [_ask(chat, n) for n in range(len(chat.messages)) if f"{session}.m{n}" in self._heard]

    async def declare(self, fact: AnyFact) -> None:
        """Write a fact of the house, as another process would."""
        seq, _ = await self._log.heads(HOUSE)
        event = Event(seq + 1, "operator", (), fact)
        append = Append(session=HOUSE, tenant=TENANT, at=_now(), by="operator", rules="", expect_seq=seq, events=(event,))
        assert isinstance(await self._log.append(append), Appended)

    async def _converse(self, chat: Chat) -> None:
        for number, message in enumerate(chat.messages):
            if f"{chat.session}.m{number}" in self._heard:
                continue
            if message.patient and number:
                await self._settle(chat)
            await asyncio.sleep(max(0, EPOCH_MS + message.after_ms - _now()) / 1000)
            await self._say(chat, number, message)
            self._heard.add(f"{chat.session}.m{number}")
        await self._settle(chat)

    async def _say(self, chat: Chat, number: int, message: Message) -> None:
        if not number:
            await self.open(chat, message)
            await self._front.through(lambda house: house.resume(chat.session))
            return
        try:
            await self._front.through(
                lambda house: house.ask(
                    message.text,
                    principal=chat.principal,
                    tenant=TENANT,
                    session=chat.session,
                    request=f"{chat.session}.m{number}",
                    docs=[Path(folder) for folder in chat.folders],
                    budget_usd=message.budget_microusd / 1e6 or None,
                    deadline_s=message.deadline_ms / 1e3 or None,
                    interrupt=not message.patient and chance(self._scenario.seed, chat.session, number).random() < 0.6,
                )
            )
        except Refused:
            return

    async def open(self, chat: Chat, message: Message) -> None:
        """The first message comes in through another process, which drives nothing."""
        first = msgspec.structs.replace(chat, messages=(message,))
        await send(self._log, self._scenario.policy, chat.session, _ask(first, 0), _now())

    async def _settle(self, chat: Chat) -> None:
        """Wait until every turn is over; answer what is asked meanwhile, or do not."""
        while True:
            turn, took_ms = await self._front.through(lambda house: self._waited(house, chat))
            if turn is None:
                break
            if turn.outcome == "parked":
                await self._answer(chat)
            elif turn.outcome not in ENDINGS or not turn.reason:
                self.faults.append(f"{chat.session}: {turn.id} came back as {turn.outcome!r} because of {turn.reason!r}")
        if took_ms > IDLE_MS_MAX and self.hurried and not {"lag", "stall", "two"} & {*self._scenario.moods}:
            self.faults.append(f"{chat.session}: it took {took_ms} ms to let go of an idle session")

    async def _waited(self, house: House, chat: Chat) -> tuple[Turn | None, int]:
        """The unfinished turn of a chat once it is over, or parked, None if it has none; and how long that took in ms."""
        began = _now()
        turn = await house.resume(chat.session)
        if turn is not None:
            await turn.wait()
            await self._outside.look_over("what is told", chat.principal, msgspec.json.encode(turn.answer))
        return turn, _now() - began

    async def _answer(self, chat: Chat) -> None:
        state = fold(await self._log.read(chat.session))
        open_asks = [a for turn in open_turns(state) for a in turn.asks.values() if not a.outcome]
        for ask in open_asks:
            random = chance(self._scenario.seed, chat.session, ask.id)
            mine = ask.kind == "question" or not self._scenario.approves
            if mine and random.random() < self._scenario.answered:
                takes_ms = random.choice((100, 2_000, 8_000))
                if _now() + takes_ms < ask.until:
                    await asyncio.sleep(takes_ms / 1000)
                    allow = random.random() < 0.7
                    if ask.sources and self._scenario.moods and random.random() < 0.5:
                        await self._edit(ask.sources[0])
                    await self._say_to(chat, ask, allow)
                    return
        until = min((a.until for a in open_asks), default=_now() + 1_000)
        await self._log.wait(chat.session, state.seq, max(PATIENCE_MS if self.hurried else CLOCKS_MS, until - _now()))

    async def _edit(self, source: Source) -> None:
        """Somebody saves a document anew, so that what was asked about it before is asked about another version."""
        document = next(d for d in self._scenario.documents if d.path == source.path)
        edited = msgspec.structs.replace(document, version=digest_bytes(f"{source.version} again".encode()))
        await self._front.through(lambda house: house.ports.search.write(TENANT, source.folder, [edited], ()))

    async def _say_to(self, chat: Chat, ask: Asked, allow: bool) -> None:
        try:
            if ask.kind == "approval":
                await self._front.through(lambda house: house.approve(chat.session, ask.id, chat.principal, allow=allow))
            else:
                request = f"{chat.session}.{ask.id}"
                told = reply_of(chat.principal)
                await self._front.through(
                    lambda house: house.ask(
                        told, principal=chat.principal, tenant=TENANT, session=chat.session, request=request
                    )
                )
        except (NotFound, Refused):
            return

    async def _act(self, number: int, act: Act) -> None:
        if number in self._done:
            return
        await asyncio.sleep(max(0, EPOCH_MS + act.at_ms - _now()) / 1000)
        if act.kind == "cancel":
            await self._cancel(act.what, chance(self._scenario.seed, "cancel", number))
        else:
            relation = (act.what,)
            namespace = FOLDER if act.what.startswith("document:") else ""
            granted, revoked = (relation, ()) if act.kind == "grant" else ((), relation)
            if revoked:
                self._outside.strikes("revocation", self._scenario.chats[0].principal)
            await self.declare(RelationsChanged(TENANT, namespace, "command", granted, revoked))
        self._done.add(number)

    async def _cancel(self, session: str, random: Random) -> None:
        state = fold(await self._log.read(session))
        wish = halting(state, random, "")
        if wish is None:
            return
        self._outside.strikes("cancel", state.principal)
        try:
            await self._front.through(
                lambda house: house.cancel(session, wish.turn, state.principal, level=wish.level, scope=wish.scope)
            )
        except (NotFound, Refused):
            return


def halting(state: State, random: Random, request: str) -> Cancel | None:
    """Somebody wants the turn that runs to stop, a specialist of it, one that waits, or all of it, at any level; None where
    nothing runs."""
    if state.turn is None:
        return None
    wish = Cancel(request, TENANT, state.principal, state.turn.id, "user", random.choice(LEVELS))
    chosen = random.random()
    if state.turn.scopes and chosen < 0.4:
        return msgspec.structs.replace(wish, scope=random.choice(list(state.turn.scopes)))
    if state.waiting and chosen < 0.7:
        return msgspec.structs.replace(wish, turn=random.choice(state.waiting).turn)
    return msgspec.structs.replace(wish, scope="session") if chosen > 0.9 else wish


def _ask(chat: Chat, number: int) -> Ask:
    """What a message of a chat wishes."""
    message = chat.messages[number]
    return Ask(
        request=f"{chat.session}.m{number}",
        session=chat.session,
        tenant=TENANT,
        principal=chat.principal,
        agent="agent",
        text=message.text,
        folders=chat.folders,
        limits=Amounts(microusd=message.budget_microusd),
        deadline_ms=message.deadline_ms or None,
    )


def _now() -> int:
    return EPOCH_MS + round(asyncio.get_running_loop().time() * 1000)
