"""Checked text of an answer that is not finished: sent as it is said, from its beginning to whoever connects."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from tests.ends.http_serving import Client, House, Message, run, served

from standpipe.core.items import Label, Source, ToolCall
from standpipe.drivers.log.memory import MemoryLog
from standpipe.engine.spoken import Spoken
from standpipe.entrypoints.http.events import Heard, session_parts
from standpipe.entrypoints.http.streams import Part
from standpipe.testing.provider import ChatProvider

LONG = "And this goes on for a while, so that half of the reply holds the first sentence and not the second one. " * 3
SAID = [ToolCall("answer", {"sentences": [{"text": "It is so."}, {"text": "It is never finished."}, {"text": LONG}]})]


def policy(provider: ChatProvider) -> Mapping[str, Any]:
    """A model that streams, and the scripted one behind it."""
    price = {"input_microusd_per_mtok": 0, "output_microusd_per_mtok": 0}
    return {
        "providers": {"p": {"dialect": "openai-chat", "base_url": provider.base_url, "idle_ms": 400}},
        "models": {"p/m": {"provider": "p", **price}},
        "routes": {"default": {"models": ["p/m", "scripted"]}},
    }


async def told(client: Client, session: str, question: str = "Is it?") -> list[Message]:
    """All messages of a turn."""
    async with client.stream(f"/v1/sessions/{session}/turns", {"question": question}) as stream:
        return [message async for message in stream]


def deltas(messages: list[Message]) -> list[dict[str, Any]]:
    return [message.data for message in messages if message.event == "delta"]


def test_a_sentence_is_sent_as_soon_as_it_is_checked_and_void_when_its_call_fails() -> None:
    async def main() -> None:
        async with ChatProvider(lambda _: SAID, faults=["stall"]) as provider, served(House(policy=policy(provider))) as client:
            session = await client.open()
            messages = await told(client, session)
            said = deltas(messages)
            failed = next(m for m in messages if m.id and m.data["kind"] == "CallFailed")

            assert {one["call"] for one in said} == {failed.data["data"]["call"]}
            assert "".join(one["text"] for one in said) == "It is so.\nIt is never finished.\n"
            assert [one["offset"] for one in said] == [0] + [len("It is so.\n")] * (len(said) - 1)
            assert all(message.id is None for message in messages if message.event == "delta")
            assert messages.index(failed) > max(n for n, m in enumerate(messages) if m.event == "delta")
            assert messages[-1].event == "turn" and messages[-1].data["answer"] == "Yes."
            assert not client.house.ports.spoken.of(session)

    run(main)


def test_who_connects_while_an_answer_is_said_hears_it_from_its_beginning() -> None:
    async def main() -> None:
        async with ChatProvider(lambda _: SAID, faults=["stall"]) as provider, served(House(policy=policy(provider))) as client:
            session = await client.open()
            async with client.stream(f"/v1/sessions/{session}/turns", {"question": "Is it?"}) as stream:
                async for message in stream:
                    if message.event == "delta" and "never finished" in message.data["text"]:
                        break
                async with client.stream(f"/v1/sessions/{session}/events") as late:
                    heard = [message async for message in _until_delta(late)]
            assert heard[-1].data["offset"] == 0 and heard[-1].data["text"] == "It is so.\nIt is never finished.\n"

    async def _until_delta(stream: Any) -> Any:
        async for message in stream:
            yield message
            if message.event == "delta":
                return

    run(main)


def test_what_does_not_pass_its_check_is_not_said(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The valve opens at 3 bar.")
    quoted = {"text": "The valve opens at 3 bar.", "citations": [{"source": "a.md", "quote": "The valve opens at 3 bar."}]}
    reply = [ToolCall("answer", {"sentences": [{"text": "It opens by itself."}, quoted, {"text": LONG}]})]

    async def main() -> None:
        async with ChatProvider(lambda _: reply, faults=["stall"]) as provider:
            house = House(policy=policy(provider), docs=[tmp_path])
            async with served(house) as client:
                said = deltas(await told(client, await client.open(), "When does the valve open?"))
            assert "".join(one["text"] for one in said) == "The valve opens at 3 bar.\n"

    run(main)


def test_what_is_said_is_not_handed_to_whom_a_source_of_it_is_closed() -> None:
    async def main() -> None:
        spoken, source = Spoken(), Source("f", "a.md", "v1")
        heard = Heard(MemoryLog([]), "local", "s", 15, spoken)
        news = spoken.news("s")
        spoken.say("s", "t1.st1.a1", Label((source,)), "It is so.")
        async with aclosing(session_parts(heard, 0)) as parts:
            part = [await anext(parts) for _ in range(2)][1]
        assert isinstance(part, Part) and news.done()
        assert [label.sources for label in part.labels] == [(source,)]
        assert b"It is so." in part.render(frozenset()) and part.render(frozenset({source})) == b""
        spoken.over("s", "t1.st1.a1")
        assert not spoken.of("s")

    run(main)
