"""Those who use a simulated house: they ask, answer, approve, wait, cancel, and change who may read what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import msgspec

from standpipe.core.admit import Ask, Refusal, admit
from standpipe.core.amounts import Amounts
from standpipe.core.apply import apply, fold
from standpipe.core.events import AnyFact, Event, RelationsChanged
from standpipe.core.ids import HOUSE
from standpipe.core.pending import open_turns
from standpipe.core.state import Ask as Asked
from standpipe.core.state import State
from standpipe.core.world import Access, World
from standpipe.engine.drive import row_of
from standpipe.engine.house import House
from standpipe.errors import NotFound, Refused
from standpipe.ports import Append, Appended, Log
from standpipe.testing.clock import EPOCH_MS
from standpipe.testing.outside import Outside
from standpipe.testing.scenario import FOLDER, TENANT, Act, Chat, Message, Scenario, chance, reply_of

ENDINGS = ("completed", "partial", "failed", "cancelled")
PATIENCE_MS = 200
"""So long somebody waits at least before looking again at what a session waits for."""
IDLE_MS_MAX = 1_000
"""A session with nothing to do is let go of within this time."""


class People:
    """They outlive the processes they talk to, and say again what they do not know to have been heard."""

    def __init__(self, scenario: Scenario, log: Log, outside: Outside) -> None:
        self._scenario, self._log, self._outside = scenario, log, outside
        self._houses: Iterator[House] = iter(())
        self._heard: set[str] = set()
        self._done: set[int] = set()
        self.faults: list[str] = []

    async def work(self, houses: Sequence[House]) -> None:
        """Say and do all that is left to these houses by turns, until everything is answered.

        A process begins by going on with what is unfinished.
        """
        self._houses = cycle(houses)
        for house in houses:
            for row in await house.unfinished():
                await house.resume(row.session)
        async with asyncio.TaskGroup() as group:
            for chat in self._scenario.chats:
                group.create_task(self._converse(chat))
            for number, act in enumerate(self._scenario.acts):
                if number not in self._done:
                    group.create_task(self._act(number, act))
        for chat in self._scenario.chats:
            await self._settle(chat)

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
            await next(self._houses).resume(chat.session)
            return
        try:
            await next(self._houses).ask(
                message.text,
                principal=chat.principal,
                tenant=TENANT,
                session=chat.session,
                request=f"{chat.session}.m{number}",
                docs=[Path(folder) for folder in chat.folders],
                budget_usd=message.budget_microusd / 1e6 or None,
                deadline_s=message.deadline_ms / 1e3 or None,
            )
        except Refused:
            return

    async def open(self, chat: Chat, message: Message) -> None:
        """The first message comes in through another process, which drives nothing."""
        state = State()
        wish = Ask(
            request=f"{chat.session}.m0",
            session=chat.session,
            tenant=TENANT,
            principal=chat.principal,
            agent="agent",
            text=message.text,
            folders=chat.folders,
            limits=Amounts(microusd=message.budget_microusd),
            deadline_ms=message.deadline_ms or None,
        )
        events = admit(state, wish, World(self._scenario.policy, {}, Access(0, 0)), _now())
        assert not isinstance(events, Refusal)
        for event in events:
            apply(state, event)
        append = Append(
            session=chat.session,
            tenant=TENANT,
            at=_now(),
            by="operator",
            rules="",
            expect_seq=0,
            events=tuple(events),
            requests=(wish.request,),
            row=row_of(state),
        )
        await self._log.append(append)

    async def _settle(self, chat: Chat) -> None:
        """Wait until every turn is over; answer what is asked meanwhile, or do not."""
        began = _now()
        while (turn := await next(self._houses).resume(chat.session)) is not None:
            await turn.wait()
            await self._outside.look_over("what is told", chat.principal, msgspec.json.encode(turn.answer))
            if turn.outcome == "parked":
                await self._answer(chat)
            elif turn.outcome not in ENDINGS or not turn.reason:
                self.faults.append(f"{chat.session}: {turn.id} came back as {turn.outcome!r} because of {turn.reason!r}")
            began = _now()
        if _now() - began > IDLE_MS_MAX and not {"lag", "stall", "two"} & {*self._scenario.moods}:
            self.faults.append(f"{chat.session}: it took {_now() - began} ms to let go of an idle session")

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
                    await self._say_to(chat, ask, random.random() < 0.7)
                    return
        until = min((a.until for a in open_asks), default=_now() + 1_000)
        await self._log.wait(chat.session, state.seq, max(PATIENCE_MS, until - _now()))

    async def _say_to(self, chat: Chat, ask: Asked, allow: bool) -> None:
        try:
            if ask.kind == "approval":
                await next(self._houses).approve(chat.session, ask.id, chat.principal, allow=allow)
            else:
                request = f"{chat.session}.{ask.id}"
                told = reply_of(chat.principal)
                await next(self._houses).ask(
                    told, principal=chat.principal, tenant=TENANT, session=chat.session, request=request
                )
        except (NotFound, Refused):
            return

    async def _act(self, number: int, act: Act) -> None:
        await asyncio.sleep(max(0, EPOCH_MS + act.at_ms - _now()) / 1000)
        if act.kind == "cancel":
            await self._cancel(act.what)
        else:
            relation = (act.what,)
            namespace = FOLDER if act.what.startswith("document:") else ""
            granted, revoked = (relation, ()) if act.kind == "grant" else ((), relation)
            await self.declare(RelationsChanged(TENANT, namespace, "command", granted, revoked))
        self._done.add(number)

    async def _cancel(self, session: str) -> None:
        state = fold(await self._log.read(session))
        if state.turn is None:
            return
        try:
            await next(self._houses).cancel(session, state.turn.id, state.principal)
        except NotFound:
            return


def _now() -> int:
    return EPOCH_MS + round(asyncio.get_running_loop().time() * 1000)
