"""The API as its clients use it: sessions, turns, events, cancelling, why, approvals, health; and bad input."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.ends.http_serving import QUESTION, Client, House, Message, run, served, until

import standpipe as sp
from standpipe.core.tools import ToolSpec
from standpipe.drivers.tools.python import tool
from standpipe.entrypoints.http.app import OPERATIONS

NOT_FOUND = {"title": "Not Found", "status": 404, "detail": "There is no such session.", "type": "about:blank"}


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'standpipe.db'}"


class Slow:
    """A model that waits until it may go on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, conversation: list[sp.Item], tools: list[ToolSpec]) -> str:
        await self.go.wait()
        return "Yes."


async def events_of(client: Client, session: str, after: int = 0) -> list[Message]:
    """The events of a session until its last turn has ended."""
    found = []
    async with client.stream(f"/v1/sessions/{session}/events?after={after}") as stream:
        async for message in stream:
            found.append(message)
            if message.data["kind"] == "TurnEnded":
                break
    return found


# --- turns and events --------------------------------------------------------------------------------------------------


def test_a_question_is_answered_like_ask_json_does(store: str) -> None:
    async def main() -> None:
        async with served(House(store)) as client:
            session = await client.open()
            status, done = await client.post(f"/v1/sessions/{session}/turns", QUESTION)
            assert status == 200
            assert (done["session"], done["turn"], done["outcome"], done["answer"]) == (session, "t1", "completed", "Yes.")
            assert list(done) == [
                *("session", "turn", "outcome", "reason", "answer", "citations", "gaps", "conflicts"),
                *("cost_microusd", "tokens", "model_calls", "tool_calls", "elapsed_ms", "plan_epochs"),
            ]
            assert (await client.post(f"/v1/sessions/{session}/turns", QUESTION))[1]["turn"] == "t2"

    run(main)


def test_a_turn_is_streamed_event_by_event_and_ends_with_what_it_came_to(store: str) -> None:
    async def main() -> None:
        async with served(House(store)) as client:
            session = await client.open()
            async with client.stream(f"/v1/sessions/{session}/turns", QUESTION) as stream:
                *events, last = [message async for message in stream]
            assert [event.id for event in events] == list(range(2, len(events) + 2))
            assert events[0].data["kind"] == "TurnRequested" and events[-1].data["kind"] == "TurnEnded"
            assert set(events[0].data) == {"seq", "at", "kind", "by", "causes", "data"}
            assert (last.id, last.event, last.data["answer"]) == (None, "turn", "Yes.")

            again = await events_of(client, session)
            assert [event.data["kind"] for event in again][:2] == ["SessionOpened", "TurnRequested"]
            assert again[1:] == events
            assert await events_of(client, session, after=4) == events[3:]
            async with client.stream(f"/v1/sessions/{session}/events?after=1", last=5) as stream:
                assert (await anext(stream)).id == 6

    run(main)


def test_a_turn_outlives_the_connection_that_asked_for_it(store: str) -> None:
    async def main() -> None:
        slow = Slow()
        async with served(House(store, slow)) as client:
            session = await client.open()
            for headers in ({}, {"Accept": "text/event-stream"}):
                slow.go.clear()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.post(f"/v1/sessions/{session}/turns", QUESTION, **headers), 0.2)
                slow.go.set()
            kinds = [event.data["kind"] for event in await events_of(client, session)]
            assert kinds[-1] == "TurnEnded"

    run(main)


def test_a_quiet_stream_says_that_it_is_still_there() -> None:
    async def main() -> None:
        slow = Slow()
        patience = House().patience
        async with served(House(respond=slow, patience=type(patience)(ping_s=0.05, stop_s=1))) as client:
            session = await client.open()
            async with client.http.get(f"/v1/sessions/{session}/events") as answer:
                lines = [await answer.content.readline() for _ in range(11)]
            assert lines.count(b": ping\n") >= 3

    run(main)


def test_a_repeated_post_is_one_request(store: str) -> None:
    async def main() -> None:
        async with served(House(store)) as client:
            opened = {await client.open(Idempotency_Key="k") for _ in range(2)}
            assert len(opened) == 1
            assert await client.open(Idempotency_Key="k", X_Principal="user:ana") not in opened
            path = f"/v1/sessions/{opened.pop()}/turns"
            answers = await asyncio.gather(*(client.post(path, QUESTION, Idempotency_Key="a") for _ in range(5)))
            assert {(status, done["turn"], done["answer"]) for status, done in answers} == {(200, "t1", "Yes.")}
            assert (await client.post(path, QUESTION, Idempotency_Key="b"))[1]["turn"] == "t2"
            assert (await client.post(path, {"question": "Another?"}, Idempotency_Key="a"))[0] == 422
            async with client.http.post(
                path, json=QUESTION, headers={"Idempotency-Key": "a", "Accept": "text/event-stream"}
            ) as s:
                text = await s.text()
            assert '"seq":2,' in text and text.count("event: turn") == 1 and '"t2"' not in text

    run(main)


def test_a_turn_is_cancelled_once(store: str) -> None:
    async def main() -> None:
        async with served(House(store, Slow())) as client:
            session = await client.open()
            assert (await client.post(f"/v1/sessions/{session}/cancel"))[0] == 409
            async with client.stream(f"/v1/sessions/{session}/turns", QUESTION) as stream:
                await anext(stream)
                for body in (None, {}, {"turn": "t1"}):
                    assert await client.post(f"/v1/sessions/{session}/cancel", body) == (
                        202,
                        {"session": session, "turn": "t1", "scope": ""},
                    )
                *events, last = [message async for message in stream]
            assert last.data["outcome"] == "cancelled"
            assert [event.data["kind"] for event in events].count("CancelRequested") == 1
            assert (await client.post(f"/v1/sessions/{session}/cancel"))[0] == 202
            assert (await client.post(f"/v1/sessions/{session}/cancel", {"turn": "t9"}))[0] == 409

    run(main)


def test_why_leads_from_the_answer_to_the_question(store: str) -> None:
    async def main() -> None:
        async with served(House(store)) as client:
            session = await client.open()
            assert (await client.get(f"/v1/sessions/{session}/why"))[0] == 404
            await client.post(f"/v1/sessions/{session}/turns", QUESTION)
            status, tree = await client.get(f"/v1/sessions/{session}/why")
            assert status == 200 and tree["nodes"][0]["kind"] == "sentence" and "Is it?" in json.dumps(tree)
            assert (await client.get(f"/v1/sessions/{session}/why?of=st1"))[0] == 200
            assert (await client.get(f"/v1/sessions/{session}/why?of=st99"))[0] == 404

    run(main)


@tool(effect="irreversible")
async def launch(target: str) -> str:
    """Launch it."""
    return f"launched at {target}"


async def launcher(conversation: list[sp.Item], tools: list[ToolSpec]) -> str | list[sp.ToolCall]:
    asked = conversation[-1].kind == "text"
    return [sp.ToolCall("launch", {"target": "noon"})] if asked else "It is done."


@pytest.mark.parametrize(("allow", "kind"), [(True, "data"), (False, "failure")])
def test_an_approval_is_listed_and_decided(store: str, allow: bool, kind: str) -> None:
    async def main() -> None:
        async with served(House(store, launcher, [launch])) as client:
            session = await client.open()
            async with client.stream(f"/v1/sessions/{session}/turns", QUESTION) as stream:
                last = [message async for message in stream][-1]
            assert last.data["outcome"] == "parked"
            _, listed = await client.get("/v1/approvals")
            [waiting] = listed["approvals"]
            assert (waiting["session"], waiting["tool"], waiting["arguments"]) == (session, "launch", {"target": "noon"})
            assert (waiting["origin"], waiting["sources"]) == ("scripted", [])
            assert (await client.get("/v1/approvals", X_Principal="user:ana"))[1] == {"approvals": []}
            decision = {"session": session, "ask": waiting["ask"], "allow": allow}
            other = {**decision, "intent": "of another call"}
            assert (await client.post("/v1/approvals", other))[0] == 409
            assert await client.post("/v1/approvals", decision, X_Principal="user:ana") == (404, NOT_FOUND)
            assert await client.post("/v1/approvals", decision) == (200, decision)
            events = await events_of(client, session)
            kinds = [item["kind"] for event in events for item in event.data["data"].get("items", ())]
            assert kind in kinds
            assert (await client.get("/v1/approvals"))[1] == {"approvals": []}
            assert (await client.post("/v1/approvals", decision))[0] == 404

    run(main)


def test_health_counts_the_sessions_that_are_driven(store: str) -> None:
    async def main() -> None:
        slow = Slow()
        async with served(House(store, slow)) as client:
            session = await client.open()
            assert await client.get("/v1/health") == (200, {"status": "ok", "store": "ok", "running": 0})
            async with client.stream(f"/v1/sessions/{session}/turns", QUESTION) as stream:
                await anext(stream)
                assert (await client.get("/v1/health"))[1]["running"] == 1
                slow.go.set()
                assert [message async for message in stream][-1].data["outcome"] == "completed"
            await until(lambda: not client.house.driving)
            assert (await client.get("/v1/health"))[1]["running"] == 0

    run(main)


def test_without_its_store_the_server_is_not_healthy(tmp_path: Path) -> None:
    async def main() -> None:
        store = tmp_path / "standpipe.db"
        async with served(House(f"sqlite:///{store}")) as client:
            with closing(sqlite3.connect(store)) as other:
                other.execute("DROP TABLE sessions")
            status, told = await client.get("/v1/health")
            assert status >= 500 and "sessions" not in json.dumps(told)

    run(main)


def test_documents_of_the_operator_are_searched_as_they_were_when_serving_began(store: str, docs: Path) -> None:
    async def main() -> None:
        async with served(House(store, docs=[docs])) as client:
            (docs / "access.rel").write_text("nonsense")
            (docs / "pumps" / "intake.md").unlink()
            for _ in range(2):
                session = await client.open()
                question = {"question": "How do I restart the intake pump?"}
                async with client.stream(f"/v1/sessions/{session}/turns", question) as stream:
                    text = json.dumps([message.data async for message in stream])
                assert "green button" in text

    run(main)


# --- bad input ---------------------------------------------------------------------------------------------------------


def test_a_session_of_somebody_else_is_answered_like_one_that_does_not_exist(store: str) -> None:
    async def main() -> None:
        async with served(House(store)) as client:
            session = await client.open()
            await client.post(f"/v1/sessions/{session}/turns", QUESTION)
            for id, principal in ((session, "user:ana"), ("0" * 32, "user:local"), ("house", "user:local")):
                for path in ("turns", "cancel"):
                    assert await client.post(
                        f"/v1/sessions/{id}/{path}", QUESTION if path == "turns" else {}, X_Principal=principal
                    ) == (
                        404,
                        NOT_FOUND,
                    )
                for path in ("events", "why", "why?of=s1"):
                    assert await client.get(f"/v1/sessions/{id}/{path}", X_Principal=principal) == (404, NOT_FOUND)

    run(main)


BAD = [
    (b"", 415, {"Content-Type": ""}),
    (b"", 400, {}),
    (b"{", 400, {}),
    (b'{"question": "a\xff"}', 400, {}),
    (b'{"question": "\\ud800"}', 400, {}),
    (b"[" * 100_000, 422, {}),
    (b"[]", 422, {}),
    (b"{}", 422, {}),
    (b'{"question": 1}', 422, {}),
    (b'{"question": ""}', 422, {}),
    (b'{"question": " "}', 422, {}),
    (b'{"question": "Is it?", "fly": 1}', 422, {}),
    (b'{"question": "Is it?", "budget_usd": 0}', 422, {}),
    (b'{"question": "Is it?", "budget_usd": "much"}', 422, {}),
    (b'{"question": "Is it?", "deadline_s": -1}', 422, {}),
    (b'{"question": "Is it?", "deadline_s": 1e999}', 422, {}),
    (b'{"question": "%b"}' % (b"a" * 40_000), 422, {}),
    (b'{"question": "%b"}' % ("ä".encode() * 20_000), 422, {}),
    (b'{"question": "Is it?"}', 415, {"Content-Type": "text/plain"}),
    (b'{"question": "Is it?"}', 400, {"Idempotency-Key": "a b"}),
    (b'{"question": "Is it?"}', 400, {"Idempotency-Key": ""}),
    (b'{"question": "Is it?"}', 401, {"X-Principal": "ana"}),
    (b'{"question": "Is it?"}', 401, {"X-Principal": "user:*"}),
    (b'{"question": "Is it?"}', 401, {"X-Principal": "user:a/b"}),
    (b'{"question": "Is it?"}', 421, {"Host": "evil.example"}),
    (b'{"question": "%b"}' % (b"a" * 10_000_000), 413, {}),
]


def test_what_cannot_be_used_is_told_in_a_problem_document() -> None:
    async def main() -> None:
        async with served(House()) as client:
            session = await client.open()
            for data, expected, given in BAD:
                headers = {"Content-Type": "application/json"} | given
                async with client.http.post(f"/v1/sessions/{session}/turns", data=io.BytesIO(data), headers=headers) as answer:
                    told = await answer.json(content_type="application/problem+json")
                    assert (answer.status, told["status"]) == (expected, expected), (data[:50], given, told)
                    assert told["detail"].endswith(".") and told["title"]
            assert [row.turns for row in await client.house.ports.log.rows()] == [0]

    run(main)


def test_a_place_in_a_log_is_a_number() -> None:
    async def main() -> None:
        async with served(House()) as client:
            session = await client.open()
            for after in ("x", "-1", "1.5", "", "1" * 19, "٣"):
                assert (await client.get(f"/v1/sessions/{session}/events?after={after}"))[0] == 400

    run(main)


def test_other_paths_and_methods_are_told_so() -> None:
    async def main() -> None:
        async with served(House()) as client:
            assert (await client.get("/"))[0] == 404
            assert (await client.get("/v1/sessions/"))[0] == 404
            async with client.http.get("/v1/sessions") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "POST")
            async with client.http.put("/v1/approvals") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST")
            assert (await client.post("/v1/sessions", {"agent": "nobody"}))[0] == 404

    run(main)


def test_the_description_names_every_operation() -> None:
    async def main() -> None:
        async with served(House()) as client:
            _, described = await client.get("/openapi.json")
            found = {path: sorted(method.upper() for method in methods) for path, methods in described["paths"].items()}
            assert found == {path: sorted(operations) for path, operations in OPERATIONS.items()}

    run(main)


def test_messages_that_wait_have_a_limit() -> None:
    async def main() -> None:
        slow = Slow()
        async with served(House(respond=slow)) as client:
            session = await client.open()
            path = f"/v1/sessions/{session}/turns"
            asked = [asyncio.ensure_future(client.post(path, QUESTION)) for _ in range(20)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            assert {one.result()[0] for one in done} == {409}
            slow.go.set()
            statuses = [status for status, _ in await asyncio.gather(*asked)]
            assert sorted(set(statuses)) == [200, 409] and statuses.count(200) >= 16

    run(main)
