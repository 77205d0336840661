"""Effects through the Python API: asked about, taken back, left in doubt, with real tools and a store that is opened again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.scripts import Said, Script, answered, called, run, told

import standpipe as sp
from standpipe.core.events import CallGranted, Fact, StepEnded, TurnEnded, UnwindStarted
from standpipe.core.items import Data
from standpipe.core.tools import ToolSpec
from standpipe.engine.replay import replay
from standpipe.engine.verify import verify


class Bank:
    """A service that keeps what was done under which key, whatever becomes of its answers."""

    def __init__(self) -> None:
        self.paid: dict[str, int] = {}
        self.calls: list[str] = []
        self.back: list[Any] = []
        self.answers = True
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    async def pay(self, amount: int, idempotency_key: str = "") -> dict[str, int]:
        """Pay an amount."""
        self.calls.append(idempotency_key)
        self.paid[idempotency_key] = amount
        self.begun.set()
        if not self.answers:
            raise ConnectionError("the line is dead")
        return {"receipt": amount}

    async def find(self, key: str) -> sp.Happened | sp.DidNotHappen:
        """What came of a payment."""
        return sp.Happened({"receipt": self.paid[key]}) if key in self.paid else sp.DidNotHappen()

    async def refund(self, done: sp.Done, idempotency_key: str = "") -> str:
        """Pay it back."""
        self.back.append((done, idempotency_key))
        return "refunded"


def agent(*tools: sp.Tool, name: str = "a") -> sp.Agent:
    return sp.Agent(name, tools=tools)


@asynccontextmanager
async def opened(store: str, script: Any, *tools: sp.Tool) -> AsyncIterator[sp.House]:
    async with sp.open({}, agents=[agent(*tools)], models=script.models, store=store) as house:
        yield house


async def facts(house: sp.House, session: str) -> list[Fact]:
    return [event.fact for frame in await house.ports.log.read(session) for event in frame.events]


async def sound(house: sp.House, session: str) -> None:
    """The log breaks no promise, and its decisions are those that the rules make."""
    assert (await verify(house.ports.log, session)).violations == ()
    assert (await replay(house.ports.log, session, house.setup.rules)).divergences == ()


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'standpipe.db'}"


# --- asked ----------------------------------------------------------------------------------------------------------------


def test_a_tool_whose_answer_was_lost_is_asked_and_not_called_again(store: str) -> None:
    async def main() -> None:
        bank = Bank()
        bank.answers = False
        pay = sp.tool(effect="write", reconcile=bank.find)(bank.pay)
        script = Script([called("pay", amount=7)], answered("It is paid."))
        async with opened(store, script, pay) as house:
            turn = await (await house.ask("Pay 7.")).wait()
            await sound(house, turn.session)
        assert (turn.outcome, len(bank.calls)) == ("completed", 1)
        assert any(isinstance(i.body, Data) and i.body.value == {"receipt": 7} for i in script.shown[-1])

    run(main)


def test_what_did_not_happen_is_called_again_with_the_same_key(store: str) -> None:
    async def main() -> None:
        bank, keys = Bank(), list[str]()

        @sp.tool(effect="write", reconcile=bank.find)
        async def pay(amount: int, idempotency_key: str = "") -> dict[str, int]:
            """Pay an amount."""
            keys.append(idempotency_key)
            if len(keys) == 1:
                raise ConnectionError("nobody there")
            return await bank.pay(amount, idempotency_key)

        async with opened(store, Script([called("pay", amount=7)], answered("It is paid.")), pay) as house:
            turn = await (await house.ask("Pay 7.")).wait()
            await sound(house, turn.session)
        assert turn.outcome == "completed" and len(keys) == 2 and len(set(keys)) == 1

    run(main)


@pytest.mark.parametrize("says", [None, "maybe", ValueError("no such ledger")], ids=repr)
def test_whoever_does_not_say_clearly_what_happened_does_not_know(store: str, says: Any) -> None:
    async def main() -> None:
        bank = Bank()
        bank.answers = False

        async def vague(key: str) -> Any:
            if isinstance(says, Exception):
                raise says
            return says

        pay = sp.tool(effect="write", reconcile=vague)(bank.pay)
        script = Script([called("pay", amount=7)], [called("pay", amount=7)], answered("I do not know."))
        async with opened(store, script, pay) as house:
            turn = await (await house.ask("Pay 7.")).wait()
            ended = [f for f in await facts(house, turn.session) if isinstance(f, TurnEnded)]
            await sound(house, turn.session)
        assert len(bank.calls) == 1 and ended[0].unknown == ("st2",)
        assert [f.code for f in told(script)][-1] == "in doubt"
        assert "The step `pay` may or may not have taken effect." in [g.text for g in turn.gaps]

    run(main)


def test_a_call_that_was_cut_off_is_asked_about_by_whoever_goes_on(store: str) -> None:
    async def main() -> None:
        bank = Bank()

        async def hang(amount: int, idempotency_key: str = "") -> dict[str, int]:
            """Pay an amount."""
            await bank.pay(amount, idempotency_key)
            await bank.over.wait()
            return {}

        pay = sp.tool(name="pay", effect="write", timeout_s=0.4, reconcile=bank.find)(hang)
        left, session = await cut_off(store, bank, pay)
        async with opened(left, Script(answered("It is paid.")), pay) as house:
            again = await house.resume(session)
            assert again is not None
            await again.wait()
            kinds = [f.purpose for f in await facts(house, session) if isinstance(f, CallGranted) and f.target == "pay"]
            await sound(house, session)
        assert (again.outcome, kinds, len(bank.calls)) == ("completed", ["", "ask"], 1)

    run(main)


async def cut_off(store: str, bank: Bank, *tools: sp.Tool) -> tuple[str, str]:
    """A store as a process left it that died in the middle of a call of `pay`, and the session."""
    path = Path(store.removeprefix("sqlite:///"))
    left = path.with_name("left.db")
    async with opened(store, Script([called("pay", amount=7)], "Done."), *tools) as house:
        turn = await house.ask("Pay 7.")
        following = asyncio.ensure_future(turn.wait())
        await bank.begun.wait()
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{left}{suffix}")
        bank.over.set()
        await following
    return f"sqlite:///{left}", turn.session


# --- taken back -------------------------------------------------------------------------------------------------------------


class Failing:
    """A model that pays and then has nothing more to say."""

    def __init__(self, *said: Said) -> None:
        self.said = list(said)

    async def __call__(self, conversation: list[sp.Item], tools: list[ToolSpec]) -> Said:
        if not self.said:
            raise RuntimeError("no more words")
        return self.said.pop(0)

    @property
    def models(self) -> dict[str, sp.testing.ScriptedModel]:
        return {"scripted": sp.testing.ScriptedModel(self)}


def test_a_turn_that_fails_takes_back_what_it_did(store: str) -> None:
    async def main() -> None:
        bank = Bank()
        pay = sp.tool(effect="write", compensate=bank.refund)(bank.pay)
        script = Failing([called("pay", amount=7)], [called("pay", amount=8)])
        async with opened(store, script, pay) as house:
            turn = await (await house.ask("Pay 7 and 8.")).wait()
            seen = await facts(house, turn.session)
            await sound(house, turn.session)
        first, second = bank.calls
        assert turn.outcome == "failed" and [done.key for done, _ in bank.back] == [second, first]
        assert [(done.arguments, done.result) for done, _ in bank.back] == [({"amount": n}, {"receipt": n}) for n in (8, 7)]
        assert len({first, second, *(own for _, own in bank.back)}) == 4
        assert [f.outcome for f in seen if isinstance(f, UnwindStarted)] == ["failed"]
        assert [f.standing for f in seen if isinstance(f, TurnEnded)] == [()]

    run(main)


def test_a_turn_that_is_cancelled_takes_back_what_it_did(store: str) -> None:
    async def main() -> None:
        bank = Bank()
        pay = sp.tool(effect="write", compensate=bank.refund)(bank.pay)

        async def respond(conversation: list[sp.Item], tools: list[ToolSpec]) -> Said:
            if bank.calls:
                paid.set()
                await asyncio.sleep(60)
            return [called("pay", amount=7)]

        paid = asyncio.Event()
        models = {"scripted": sp.testing.ScriptedModel(respond)}
        async with sp.open({}, agents=[agent(pay)], models=models, store=store) as house:
            turn = await house.ask("Pay 7.")
            following = asyncio.ensure_future(turn.wait())
            await paid.wait()
            await house.cancel(turn.session, turn.id, turn.principal)
            await following
            await sound(house, turn.session)
        assert turn.outcome == "cancelled" and [done.key for done, _ in bank.back] == bank.calls

    run(main)


def test_what_cannot_be_taken_back_is_told(store: str) -> None:
    async def main() -> None:
        bank, tries = Bank(), list[str]()

        async def never(done: sp.Done, idempotency_key: str = "") -> None:
            tries.append(idempotency_key)
            raise ValueError("the shop is closed")

        pay = sp.tool(effect="write", compensate=never)(bank.pay)
        async with opened(store, Failing([called("pay", amount=7)]), pay) as house:
            turn = await (await house.ask("Pay 7.")).wait()
            ended = [f for f in await facts(house, turn.session) if isinstance(f, TurnEnded)]
            await sound(house, turn.session)
        assert len(tries) == 3 and len(set(tries)) == 1
        assert (turn.outcome, ended[0].standing) == ("failed", ("st2",))

    run(main)


# --- gone and changed -------------------------------------------------------------------------------------------------------


def test_a_tool_that_is_gone_when_a_session_resumes_is_an_answer(store: str) -> None:
    async def main() -> None:
        bank = Bank()

        async def hang(amount: int) -> None:
            """Pay an amount."""
            bank.begun.set()
            await bank.over.wait()

        left, session = await cut_off(store, bank, sp.tool(name="pay", effect="write")(hang))
        async with opened(left, Script(answered("I do not know."))) as house:
            again = await house.resume(session)
            assert again is not None
            await again.wait()
            ended = [f.outcome for f in await facts(house, session) if isinstance(f, StepEnded) and f.step == "st2"]
            await sound(house, session)
        assert (again.outcome, ended) == ("partial", ["unknown"])

    run(main)


def test_a_program_that_does_not_know_the_agent_leaves_a_turn_alone_until_it_is_cancelled(store: str) -> None:
    async def main() -> None:
        bank = Bank()

        async def hang(amount: int) -> None:
            """Pay an amount."""
            bank.begun.set()
            await bank.over.wait()

        left, session = await cut_off(store, bank, sp.tool(name="pay", effect="write")(hang))
        async with sp.open({}, agents=[agent(name="b")], models=Script().models, store=left) as house:
            again = await house.resume(session)
            assert again is not None
            with pytest.raises(sp.NotFound, match="The agent a of this session is not part of this program"):
                await again.wait()
            await house.cancel(session, again.id, again.principal)
            ended = [f for f in await until_ended(house, session) if isinstance(f, TurnEnded)]
            await sound(house, session)
        assert [(f.outcome, f.unknown) for f in ended] == [("cancelled", ("st2",))]

    run(main)


async def until_ended(house: sp.House, session: str) -> list[Fact]:
    """The facts of a session once its turn has ended."""
    while not any(isinstance(fact, TurnEnded) for fact in await facts(house, session)):
        await asyncio.sleep(0.01)
    return await facts(house, session)


# --- declared ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"effect": "read", "reconcile": Bank.find}, ValueError, "nothing to reconcile"),
        ({"effect": "irreversible", "compensate": Bank.refund}, ValueError, "cannot be compensated"),
        ({"effect": "write", "compensate": print}, TypeError, "its compensate must be async"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_declared(options: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        sp.tool(**options)(Bank.find)
