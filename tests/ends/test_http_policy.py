"""A model behind HTTP that only the policy file knows of: its keys come out of the environment, one route a key."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

import standpipe as sp
from standpipe.core.events import CallFailed, CallGranted
from standpipe.testing.provider import ChatProvider

POLICY = """
[providers.near]
dialect = "openai-chat"
base_url = "{url}"
keys_env = [{keys}]

[models."near/large"]
provider = "near"
input_microusd_per_mtok = 0
output_microusd_per_mtok = 0

[routes.default]
models = ["near/large"]
"""


def _policy(folder: Path, url: str, *keys: str) -> Path:
    file = folder / "standpipe.toml"
    file.write_text(POLICY.format(url=url, keys=", ".join(f'"{key}"' for key in keys)))
    return file


def test_the_second_key_answers_where_the_first_is_refused(tmp_path: Path) -> None:
    os.environ.update(STANDPIPE_TEST_OLD_KEY="sk-old-000000", STANDPIPE_TEST_NEW_KEY="sk-new-111111")

    async def main() -> tuple[sp.Turn, list[object]]:
        async with ChatProvider(lambda request: "Yes, it is.", key="sk-new-111111") as provider:
            file = _policy(tmp_path, provider.base_url, "STANDPIPE_TEST_OLD_KEY", "STANDPIPE_TEST_NEW_KEY")
            async with sp.open(file, store="memory:") as house:
                turn = await house.ask("Is it?")
                return turn, [event.fact async for event in turn]

    turn, facts = asyncio.run(asyncio.wait_for(main(), 20))
    assert (turn.outcome, turn.answer.text) == ("completed", "Yes, it is.")
    assert [f.target for f in facts if isinstance(f, CallGranted)] == ["near/large", "near/large#2"]
    assert [f.fault.code for f in facts if isinstance(f, CallFailed)] == ["auth"]
    assert "sk-" not in repr(facts)


def test_a_key_that_is_not_set_is_told_before_anything_begins(tmp_path: Path) -> None:
    async def main() -> None:
        async with sp.open(_policy(tmp_path, "http://127.0.0.1:9/v1", "STANDPIPE_TEST_NO_SUCH_KEY"), store="memory:"):
            pass

    with pytest.raises(sp.UsageError, match="STANDPIPE_TEST_NO_SUCH_KEY is not set"):
        asyncio.run(main())
