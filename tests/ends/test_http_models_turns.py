"""Whole turns with a first model behind a real socket: whatever goes wrong there, the next one answers, and no key shows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ends.provider_calls import CALLS, CODES, KEY, SHORT, endpoint

import standpipe as sp
from standpipe.core.events import CallCompleted, CallFailed, CallGranted
from standpipe.core.frames import encode_frame
from standpipe.drivers.models.http import ChatModels, Deadlines
from standpipe.engine.house import House
from standpipe.testing.provider import ChatProvider, Respond

QUESTION = "How long do I press the green button to restart the intake pump?"
CALLS_MAX = 4
"""To a provider that only fails, in one turn (promise P8)."""


def policy(*models: str, timeout_s: float = 10) -> dict[str, Any]:
    return {
        "models": {"fake": {"provider": "fake", "timeout_s": timeout_s}},
        "routes": {"default": {"models": list(models)}},
        "budgets": {"default": {"turn": {"deadline_s": 20}}},
    }


@contextlib.asynccontextmanager
async def opened(
    provider: ChatProvider, *faults_hang: str, models: tuple[str, ...] = ("fake", "extractive"), store: str = "memory:"
) -> AsyncIterator[House]:
    """A house whose first model is behind the server; its deadlines are short where the server is going to hang."""
    timeout_s = 0.7 if faults_hang == ("drip",) else 10
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(provider)
        to = endpoint(provider, deadlines=SHORT if faults_hang else Deadlines())
        fake = await stack.enter_async_context(ChatModels(to))
        yield await stack.enter_async_context(sp.open(policy(*models, timeout_s=timeout_s), models={"fake": fake}, store=store))


async def asked(house: House, docs: Path, **options: Any) -> tuple[sp.Turn, list[Any]]:
    """The turn, over, and its facts."""
    turn = await house.ask(QUESTION, docs=[docs], **options)
    facts = [event.fact async for event in turn]
    return turn, facts


def calls(facts: list[Any], outcome: type[Any]) -> list[Any]:
    """The outcomes of one kind of the calls that went to the server."""
    fake = {fact.call for fact in facts if isinstance(fact, CallGranted) and fact.target == "fake"}
    return [fact for fact in facts if isinstance(fact, outcome) and fact.call in fake]


QUICK = (
    *("rate_rpm", "credit", "overload_503", "html_502", "auth_401", "model_404", "ctx_400", "redirect", "json_err_200"),
    *("html_200", "empty_200", "sse_err_mid", "eof_frame", "eof_before_finish", "done_no_finish", "rst", "headers_hang"),
    *("ping_only", "stall", "drip", "unk_finish", "len_in_call", "refusal", "call_badjson", "bad_utf8"),
)
"""Faults of every kind; the others differ from them only before they have become a class."""


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CODES])
def test_a_turn_is_completed_by_the_next_model_when_the_first_one_fails(name: str, docs: Path) -> None:
    provider = ChatProvider(lambda request: CALLS, faults=[name], key=KEY)
    hangs = (name,) if CODES[name] == "timeout" else ()

    async def main() -> tuple[sp.Turn, list[Any]]:
        async with opened(provider, *hangs) as house:
            return await asked(house, docs)

    turn, facts = asyncio.run(asyncio.wait_for(main(), 20))
    failed = calls(facts, CallFailed)
    assert (turn.outcome, turn.reason) == ("completed", "answered") and "five seconds" in turn.answer.text
    assert {fact.fault.code for fact in failed} == {CODES[name]} and not calls(facts, CallCompleted)
    assert 1 <= len(provider.requests) == len(failed) <= CALLS_MAX and not provider.refused
    assert provider.connections <= len(provider.requests)
    assert turn.elapsed_ms < 10_000 and KEY not in repr(facts)


def quoting(request: dict[str, Any]) -> list[sp.ToolCall] | str:
    """A model: plans a search, then answers with a line of what it was shown, quoted word for word."""
    last = max(n for n, m in enumerate(request["messages"]) if m["role"] == "user")
    if request["messages"][-1]["role"] == "user":
        search = {"id": "a", "tool": "search", "arguments": {"query": "who is on duty for the intake pump"}}
        return [sp.ToolCall("plan", {"parts": ["how long"], "steps": [search]})]
    at = next(
        m["content"] for m in request["messages"][last:] if m["role"] != "assistant" and "green button for" in m["content"]
    )
    at = next(piece for piece in at.split("<passage ")[1:] if "green button for" in piece)
    source = at.split('source="', 1)[1].split('"', 1)[0]
    quote = next(line for line in at.splitlines() if "green button for" in line)
    return [sp.ToolCall("answer", {"sentences": [{"text": quote, "citations": [{"source": source, "quote": quote}]}]})]


@pytest.mark.parametrize("fault", ["", "sse_split", "sse_crlf"])
def test_a_turn_is_answered_over_the_wire_with_checked_citations(fault: str, docs: Path) -> None:
    provider = ChatProvider(quoting, faults=[fault], key=KEY)

    async def main() -> list[tuple[sp.Turn, list[Any]]]:
        async with opened(provider, models=("fake",)) as house:
            first = await asked(house, docs)
            return [first, await asked(house, docs, session=first[0].session)]

    for turn, facts in asyncio.run(asyncio.wait_for(main(), 20)):
        assert turn.outcome == "completed", turn.reason
        assert [(c.source, "five seconds" in c.quote) for c in turn.citations] == [("pumps/intake.md", True)]
        assert all(c.usage.output_tokens > 0 and c.first_content_ms >= 1 for c in calls(facts, CallCompleted))
        assert len(calls(facts, CallCompleted)) == 2
    assert not provider.refused
    roles = [m["role"] for m in provider.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "tool"]  # the earlier turn, and this one


def _half(request: dict[str, Any]) -> str:
    return "Press the red button for an hour and a half, and then " + "wait, " * 20


@pytest.mark.parametrize("name", ["eof_clean", "stall", "rst", "sse_err_mid", "filter_mid"])
def test_an_answer_is_never_glued_from_two(name: str, docs: Path) -> None:
    provider = ChatProvider(_half, faults=[name], key=KEY)

    async def main() -> tuple[sp.Turn, list[Any]]:
        async with opened(provider, name) as house:
            return await asked(house, docs)

    turn, facts = asyncio.run(asyncio.wait_for(main(), 20))
    assert turn.outcome == "completed" and provider.requests
    assert "red button" not in turn.answer.text + repr(facts)


def test_a_route_with_only_a_failing_provider_ends_the_turn_after_a_bounded_number_of_calls(docs: Path) -> None:
    provider = ChatProvider(lambda request: CALLS, faults=["err_500"], key=KEY)

    async def main() -> tuple[sp.Turn, list[Any]]:
        async with opened(provider, models=("fake",)) as house:
            return await asked(house, docs)

    turn, _ = asyncio.run(asyncio.wait_for(main(), 20))
    assert turn.outcome == "failed" and len(provider.requests) <= CALLS_MAX


def _leaking() -> Respond:
    """A model that says the key it was called with, in each way a reply can."""
    said: Iterator[str | list[sp.ToolCall]] = iter(
        [f"Your key is {KEY}.", [sp.ToolCall("search", {"query": KEY})], [sp.ToolCall("read", {KEY: "x"}, KEY)]]
    )
    return lambda request: next(said, "Nothing.")


@pytest.mark.parametrize(
    ("respond", "fault"), [("calls", "auth_echo"), ("calls", "key_echo"), ("calls", "rst"), ("leaking", "")]
)
def test_the_key_is_found_nowhere(
    respond: str, fault: str, docs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = ChatProvider(_leaking() if respond == "leaking" else lambda request: CALLS, faults=[fault], key=KEY)
    shown: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_debug(True)
        async with opened(provider, store=f"sqlite:///{tmp_path / 'store.db'}") as house:
            for _ in range(3):
                turn, facts = await asked(house, docs)
                frames = await house.setup.ports.log.read(turn.session)
                shown.append(f"{turn!r} {turn.answer} {facts} {vars(house)} {frames} {[encode_frame(f) for f in frames]}")

    asyncio.run(asyncio.wait_for(main(), 30))
    out = capfd.readouterr()
    assert len(provider.requests) >= 3 and not provider.refused  # the key was there, and it was the right one
    assert KEY not in "".join([*shown, caplog.text, out.out, out.err])
    stored = [path for path in tmp_path.rglob("store.db*") if path.is_file()]
    assert stored and not [path.name for path in stored if KEY.encode() in path.read_bytes()]
