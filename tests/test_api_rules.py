"""Tool rules through the Python API: what a rule file permits is all there is, and it is judged at each call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.scripts import Said, Script, called, run, told

import standpipe as sp
from standpipe.core.events import CallGranted, CallRefused, Event, RelationsChanged
from standpipe.core.items import Failure
from standpipe.core.state import State
from standpipe.core.world import Policy
from standpipe.drivers.access.cedar import read
from standpipe.drivers.access.memory import MemoryAccess
from standpipe.drivers.log.memory import MemoryLog
from standpipe.drivers.search.memory import MemorySearch
from standpipe.drivers.tools.python import Tool, tool
from standpipe.engine.access import change
from standpipe.engine.lookup import static
from standpipe.engine.perform import Ports
from standpipe.engine.replay import replay
from standpipe.engine.standing import look
from standpipe.ports import Rights

RULES = """
// Everybody may look things up.
@id("look") permit (principal, action, resource == Tool::"look");
@id("small refunds") permit (principal in Role::"support", action == Action::"call", resource == Tool::"refund")
when { context.arguments.amount <= 100 };
@id("ben refunds") permit (principal == User::"ben", action, resource == Tool::"refund") when { context.agent == "desk" };
"""


class Shop:
    """What was refunded, and the tools that do it."""

    def __init__(self) -> None:
        self.refunded: list[int] = []

    @property
    def tools(self) -> list[Tool]:
        @tool(effect="read")
        async def look(what: str) -> str:
            """Look something up."""
            return f"{what} is there"

        @tool(effect="write", idempotent=True)
        async def refund(amount: int) -> str:
            """Give money back."""
            self.refunded.append(amount)
            return "done"

        return [look, refund]


def offered(script: Script, number: int = 0) -> set[str]:
    """The tools that a model was shown, beside the moves that every agent has."""
    return {tool.name for tool in script.tools[number]} - {"plan", "revise", "answer", "ask_user", "delegate"}


async def asked(tmp_path: Path, who: str, *said: Said, rules: str = RULES, **options: Any) -> tuple[Script, Shop, list[Any]]:
    """One turn of a principal, and the facts of its session; ana is in the role support."""
    (tmp_path / "rules.cedar").write_text(rules)
    (tmp_path / "standpipe.toml").write_text('[access]\nrules = "rules.cedar"\n')
    script, shop = Script(*said), Shop()
    agents = options.get("agents", lambda tools: [sp.Agent("desk", tools=tools)])(shop.tools)
    async with sp.open(tmp_path / "standpipe.toml", agents=agents, models=script.models, store="memory:") as house:
        await change(house.setup, RelationsChanged("local", "", "command", ("role:support#member@user:ana",)), "operator")
        turn = await house.ask("Do it.", principal=who)
        await turn.wait()
        frames = await house.ports.log.read(turn.session)
    return script, shop, [event.fact for frame in frames for event in frame.events]


def permits(facts: list[Any]) -> list[str]:
    return [fact.permit.rule for fact in facts if isinstance(fact, CallGranted) and fact.route is None]


def test_a_model_sees_the_tools_that_its_principal_could_ever_call(tmp_path: Path) -> None:
    async def main() -> None:
        assert offered((await asked(tmp_path, "user:ana", "Done."))[0]) == {"look", "refund"}
        assert offered((await asked(tmp_path, "user:eve", "Done."))[0]) == {"look"}
        assert offered((await asked(tmp_path, "user:ana", "Done.", rules=""))[0]) == set()
        assert offered((await asked(tmp_path, "service:support", "Done."))[0]) == {"look"}

    run(main)


def test_where_no_relation_was_ever_about_a_kind_of_group_nobody_is_in_one(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "rules.cedar").write_text(RULES)
        script = Script("Done.")
        policy = {"access": {"rules": str(tmp_path / "rules.cedar")}}
        agents = [sp.Agent("desk", tools=Shop().tools)]
        async with sp.open(policy, agents=agents, models=script.models, store="memory:") as house:
            await (await house.ask("Do it.", principal="user:ana")).wait()
        assert offered(script) == {"look"}

    run(main)


class Turning(MemoryAccess):
    """Relations of which one is revoked right after they were first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 1

    async def rights(self, tenant: str, namespace: str, principal: str, revision: int | None = None) -> Rights:
        found = await super().rights(tenant, namespace, principal, revision)
        if self.left:
            self.left = 0
            gone = RelationsChanged("local", "", "command", (), ("role:support#member@user:ana",))
            self.project(None, "local", (Event(2, "operator", (), gone),))
        return found


def test_tools_and_answers_are_of_one_revision() -> None:
    async def main() -> None:
        access, agent = Turning(), sp.Agent("desk", tools=Shop().tools)
        start = RelationsChanged("local", "", "command", ("role:support#member@user:ana",))
        access.project(None, "local", (Event(1, "operator", (), start),))
        log: Any = MemoryLog([])
        ports = Ports(log, MemorySearch(), access, {}, {}, (), lambda: 0)
        fixed = static(Policy(), {"desk": agent.spec}, read(RULES, "rules.cedar"))
        seen = await look(ports, fixed, State("s", "local", "user:ana", "desk"), 0)
        assert seen.world.access.revision == 2
        assert "refund" not in {tool.name for tool in seen.world.agents["desk"].tools}

    run(main)


def test_a_call_is_judged_with_its_arguments_and_the_rule_is_on_record(tmp_path: Path) -> None:
    async def main() -> None:
        said = [called("refund", amount=50), called("refund", amount=500), called("look", what="x")]
        script, shop, facts = await asked(tmp_path, "user:ana", said, "Done.")
        assert shop.refunded == [50]
        assert permits(facts) == ["rule small refunds", "rule look"]
        assert told(script) == [Failure("not_found", "Nothing by that name was found.")]

    run(main)


@pytest.mark.parametrize("arguments", [{"amount": 50}, {"amount": "much"}, {}])
def test_a_forbidden_tool_behaves_like_one_that_is_not_there(tmp_path: Path, arguments: dict[str, Any]) -> None:
    async def main() -> None:
        there = await asked(tmp_path, "user:eve", [called("refund", **arguments)], "Done.")
        missing = await asked(
            tmp_path, "user:eve", [called("refund", **arguments)], "Done.", agents=lambda t: [sp.Agent("desk", tools=t[:1])]
        )
        assert there[1].refunded == []
        for world in (there, missing):
            assert told(world[0]) == [Failure("not_found", "Nothing by that name was found.")]
            assert [(f.step, f.code) for f in world[2] if isinstance(f, CallRefused)] == [("st2", "not_found")]
        assert there[0].tools == missing[0].tools

    run(main)


def test_who_leaves_a_group_has_its_tools_no_more_from_the_next_call_on(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "rules.cedar").write_text(RULES)
        shop = Shop()
        gone = RelationsChanged("local", "", "command", (), ("role:support#member@user:ana",))

        class Leaving(Script):
            async def __call__(self, conversation: list[sp.Item], tools: list[Any]) -> Any:
                if len(self.shown) == 1:
                    await change(house.setup, gone, "operator")
                return await super().__call__(conversation, tools)

        script = Leaving([called("refund", amount=1)], [called("refund", amount=2)], "Done.")
        policy = {"access": {"rules": str(tmp_path / "rules.cedar")}}
        agents = [sp.Agent("desk", tools=shop.tools)]
        async with sp.open(policy, agents=agents, models=script.models, store="memory:") as house:
            start = RelationsChanged("local", "", "command", ("role:support#member@user:ana",))
            await change(house.setup, start, "operator")
            await (await house.ask("Do it.", principal="user:ana")).wait()
        assert shop.refunded == [1]
        assert (offered(script, 0), offered(script, -1)) == ({"look", "refund"}, {"look"})
        assert [f.code for f in told(script)] == ["not_found"]

    run(main)


def test_a_specialist_is_judged_as_itself_and_kept_from_what_its_coordinator_is_forbidden(tmp_path: Path) -> None:
    async def main() -> None:
        def agents(tools: list[Tool]) -> list[sp.Agent]:
            return [sp.Agent("lead", specialists=[sp.Agent("desk", tools=tools)])]

        task = [called("delegate", to="desk", task="Refund it.")]
        script, shop, facts = await asked(
            tmp_path, "user:ben", task, [called("refund", amount=5)], "Done.", "Done.", agents=agents
        )
        assert (shop.refunded, offered(script, 0), offered(script, 1)) == ([5], set(), {"look", "refund"})
        assert "rule ben refunds" in permits(facts)
        narrowed = RULES + '@id("never") forbid (principal, action, resource) when { context.agent == "lead" };'
        script, shop, _ = await asked(
            tmp_path, "user:ben", task, [called("refund", amount=5)], "Done.", "Done.", agents=agents, rules=narrowed
        )
        assert (shop.refunded, offered(script, 1)) == ([], set())

    run(main)


def test_replay_decides_the_same_under_the_rules_on_record(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "rules.cedar").write_text(RULES)
        policy = {"access": {"rules": str(tmp_path / "rules.cedar")}}
        script = Script([called("refund", amount=5), called("look", what="x")], "Done.")
        agents = [sp.Agent("desk", tools=Shop().tools)]
        async with sp.open(policy, agents=agents, models=script.models, store="memory:") as house:
            turn = await (await house.ask("Do it.", principal="user:eve")).wait()
            again = await replay(house.ports.log, turn.session, house.setup.rules)
            assert (again.divergences, again.rules_changed) == ((), False)
            frames = await house.ports.log.read(turn.session)
            named = [frame.world.parts["rules"] for frame in frames if frame.world.parts]
            assert await house.ports.log.parts(named) == {named[0]: RULES.encode()}

    run(main)


def test_who_has_no_rule_file_does_not_load_cedar() -> None:
    code = "import sys, standpipe as sp; sp.Agent('a').spec; import standpipe.wiring; sys.exit('cedarpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("rules", "what"),
    [("permit (principal, action\n", "line 1: expected a Cedar rule"), (None, "There is no rule file")],
)
def test_a_rule_file_that_cannot_be_used_is_told(tmp_path: Path, rules: str | None, what: str) -> None:
    async def main() -> None:
        if rules is not None:
            (tmp_path / "rules.cedar").write_text(rules)
        with pytest.raises(sp.UsageError, match=what):
            async with sp.open({"access": {"rules": str(tmp_path / "rules.cedar")}}, store="memory:"):
                pass

    run(main)
