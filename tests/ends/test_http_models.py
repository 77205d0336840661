"""One call to a model behind a real socket: a whole reply, or a fault in time, and the key shown to nobody else."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.ends.provider_calls import CALLS, CODES, KEY, PROMPT, SHORT, endpoint

from standpipe.core.details import Usage
from standpipe.core.items import Text
from standpipe.core.world import ModelSpec
from standpipe.drivers.models.http import ChatModels, Deadlines, Endpoint
from standpipe.drivers.models.secret import Secret, secret
from standpipe.ports import Failed, Reply
from standpipe.testing.provider import ChatProvider
from standpipe.testing.provider_faults import FAULTS, HARMLESS

MODEL = ModelSpec("large", "fake")
BRIEF = ModelSpec("large", "fake", timeout_ms=700)


def served(use: Callable[[ChatProvider, ChatModels], Awaitable[None]], *faults: str, stream: bool = True) -> ChatProvider:
    """Run `use` with a server that answers with calls and fails as told, and a driver for it."""
    provider = ChatProvider(lambda request: CALLS, faults=faults, key=KEY)

    async def main() -> None:
        hangs = any(CODES.get(name) == "timeout" for name in faults)
        async with provider, ChatModels(endpoint(provider, stream=stream, deadlines=SHORT if hangs else Deadlines())) as models:
            await use(provider, models)

    asyncio.run(asyncio.wait_for(main(), 10))
    assert not provider.refused
    return provider


def called(*faults: str, stream: bool = True, model: ModelSpec = MODEL) -> Reply | Failed:
    """What one call gives."""
    came: list[Reply | Failed] = []

    async def use(provider: ChatProvider, models: ChatModels) -> None:
        came.append(await models.call(model, PROMPT))

    served(use, *faults, stream=stream)
    return came[0]


def test_every_fault_has_a_class() -> None:
    assert set(CODES) | HARMLESS == set(FAULTS) and not set(CODES) & HARMLESS


@pytest.mark.parametrize("name", CODES)
def test_a_fault_is_one_of_its_class_in_time_and_without_the_key(name: str) -> None:
    began = time.monotonic()
    came = called(name, model=BRIEF if name == "drip" else MODEL)
    assert time.monotonic() - began < 4
    assert isinstance(came, Failed) and came.fault.code == CODES[name], came
    assert KEY not in repr(came) and not came.told and not came.unknown


@pytest.mark.parametrize("name", ["", *sorted(HARMLESS)])
def test_what_is_strange_and_allowed_is_a_reply(name: str) -> None:
    came = called(name)
    assert isinstance(came, Reply), came
    (draft,) = came.drafts
    assert msgspec.structs.replace(draft.body, native="") == CALLS[0]
    assert came.usage is not None and came.usage.output_tokens > 0 and came.first_content_ms >= 1


def test_a_reply_may_come_as_one_body() -> None:
    came = called(stream=False)
    assert isinstance(came, Reply) and msgspec.structs.replace(came.drafts[0].body, native="") == CALLS[0]
    came = called("headers_hang", stream=False, model=BRIEF)
    assert isinstance(came, Failed) and came.fault.code == "timeout" and "whole call" in came.fault.text


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("headers_hang", "no headers"),
        ("ttft_slow", "no content"),
        ("ping_only", "no content"),
        ("stall", "no more content"),
        ("drip", "whole"),
    ],
)
def test_a_timeout_says_what_did_not_come(fault: str, told: str) -> None:
    came = called(fault, model=BRIEF if fault == "drip" else MODEL)
    assert isinstance(came, Failed) and told in came.fault.text and came.usage is None


def test_what_was_never_worked_on_used_nothing() -> None:
    came = called("auth_401")
    assert isinstance(came, Failed) and came.usage == Usage()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    async def main() -> Reply | Failed:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            async with ChatModels(Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", Secret(KEY))) as models:
                return await models.call(MODEL, PROMPT)

    came = asyncio.run(main())
    assert isinstance(came, Failed) and came.fault.code == "unavailable" and came.fault.retryable


def test_a_server_that_accepts_nobody_is_unavailable_in_time() -> None:
    async def main(port: int) -> Reply | Failed:
        to = Endpoint(f"http://127.0.0.1:{port}/v1", deadlines=Deadlines(connect_ms=100))
        async with ChatModels(to) as models:
            return await models.call(MODEL, PROMPT)

    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):  # they fill the queue that nobody empties
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        came = asyncio.run(main(full.getsockname()[1]))
    assert isinstance(came, Failed) and came.fault.code in ("unavailable", "timeout") and came.usage is None


def test_cancelling_closes_the_connection() -> None:
    async def use(provider: ChatProvider, models: ChatModels) -> None:
        task = asyncio.ensure_future(models.call(ModelSpec("large", "fake"), PROMPT))
        while not provider.open_connections:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(1):
            while provider.open_connections:
                await asyncio.sleep(0.005)

    served(use, "drip")


def test_a_connection_is_used_again_after_a_whole_reply_and_never_after_a_broken_one() -> None:
    async def use(provider: ChatProvider, models: ChatModels) -> None:
        for _ in range(4):
            await models.call(MODEL, PROMPT)
            assert provider.open_connections <= 1

    assert served(use).connections == 1
    assert served(use, "bad_frame", "sse_err_mid", "key_echo", "").connections == 3


def test_replies_that_come_at_once_do_not_mix() -> None:
    provider = ChatProvider(lambda request: f"You said {request['messages'][-1]['content']}.", key=KEY)

    async def main() -> list[Reply | Failed]:
        async with provider, ChatModels(endpoint(provider, deadlines=Deadlines())) as models:
            prompts = [msgspec.structs.replace(PROMPT, instructions="", items=(_question(n),)) for n in range(30)]
            return await asyncio.gather(*(models.call(MODEL, prompt) for prompt in prompts))

    for n, came in enumerate(asyncio.run(main())):
        assert isinstance(came, Reply) and came.drafts[0].body == Text(f"You said {n}.")


def _question(n: int) -> Any:
    return msgspec.structs.replace(PROMPT.items[0], body=Text(str(n)))


def test_the_environment_has_no_say_in_where_a_call_goes() -> None:
    before = {name: os.environ.get(name) for name in ("http_proxy", "HTTP_PROXY")}
    try:
        os.environ.update(dict.fromkeys(before, "http://127.0.0.1:9"))
        assert isinstance(called(), Reply)
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def test_the_model_is_called_by_its_name_there() -> None:
    provider = ChatProvider(lambda request: "Yes.")

    async def main() -> None:
        async with provider, ChatModels(Endpoint(provider.base_url + "/", names={"large": "large-2026"})) as models:
            await models.call(MODEL, PROMPT)
            await models.call(msgspec.structs.replace(MODEL, name="small"), PROMPT)

    asyncio.run(main())
    assert [r["model"] for r in provider.requests] == ["large-2026", "small"]


def test_nothing_is_remembered_from_one_call_to_the_next() -> None:
    provider = ChatProvider(lambda request: "Yes.", faults=["cookie"])

    async def main() -> None:
        async with provider, ChatModels(Endpoint(provider.base_url.replace("127.0.0.1", "localhost"))) as models:
            for _ in range(2):
                assert isinstance(await models.call(MODEL, PROMPT), Reply)

    asyncio.run(main())
    assert len(provider.requests) == 2 and not provider.refused


@pytest.mark.parametrize("url", ["", "/v1", "127.0.0.1:80/v1", "ftp://127.0.0.1/v1", "http://ana:pass@127.0.0.1/v1"])
def test_an_address_that_cannot_be_called_is_told_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="http") as error:
        ChatModels(Endpoint(url))
    assert "pass@" not in str(error.value)


def test_a_secret_shows_itself_to_nobody() -> None:
    key = secret({"A_KEY": f" {KEY}\n"}, "A_KEY")
    assert key is not None and key.reveal() == KEY and secret({}, "A_KEY") is None
    to = Endpoint("http://127.0.0.1/v1", key)
    assert KEY not in f"{key} {key!r} {to} {to!r} {ChatModels(to)!r} {[key]}"
    for copied in (pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode):
        with pytest.raises(TypeError) as error:
            copied(key)
        assert KEY not in str(error.value)
    for wrong in ("", "two words", "line\nbreak", "ü"):
        with pytest.raises(ValueError, match=r"^a key is printable ASCII without spaces$"):
            Secret(wrong)
