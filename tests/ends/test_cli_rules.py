"""Tool rules on the command line: what the guide's rule file permits, and one sentence for a file that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.ends.command_line import CommandLine

from standpipe.core.rulings import RuleQuestion
from standpipe.drivers.access.cedar import read

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


@pytest.fixture
def verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Limits\n\nThe limit of the pool is 40 connections.\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "policy.toml").write_text('[access]\nrules = "rules.cedar"\n')
    return CommandLine(tmp_path, capsys)


def written(verb: CommandLine, rules: str) -> None:
    (verb.folder / "conf" / "rules.cedar").write_text(rules)


def test_without_a_rule_for_it_nothing_is_searched_and_nobody_is_told(verb: CommandLine) -> None:
    question = ("ask", "What is the limit of the pool?", "--docs", "docs", "--json", "--policy", "conf/policy.toml")
    written(verb, '@id("all") permit (principal, action, resource);')
    assert "40 connections" in verb(*question).json["answer"]
    assert "permission: by rule all, at revision" in verb("why", "last", "--policy", "conf/policy.toml").out
    written(verb, '@id("none") permit (principal == User::"ben", action, resource);')
    ran = verb(*question)
    assert ran.status in (3, 4) and ran.json["tool_calls"] == 0 and ran.json["citations"] == []
    assert "40 connections" in verb(*question, "--as", "user:ben").json["answer"]
    assert verb("verify", "--policy", "conf/policy.toml").status == 0
    assert verb("replay", "last", "--policy", "conf/policy.toml").status == 0


def test_a_rule_file_that_cannot_be_used_is_one_sentence_with_file_and_line(verb: CommandLine) -> None:
    written(verb, "permit (principal, action, resource);\n\npermit (principal, action resource);\n")
    ran = verb("ask", "What?", "--policy", "conf/policy.toml")
    assert ran.status == 2 and ran.trouble.startswith("conf/rules.cedar, line 3: expected a Cedar rule like `permit (")
    (verb.folder / "conf" / "rules.cedar").unlink()
    assert verb("ask", "What?", "--policy", "conf/policy.toml").trouble.startswith("There is no rule file conf/rules.cedar")
    (verb.folder / "conf" / "rules.cedar").write_bytes(b"\xff\xfe")
    assert "must be UTF-8 text" in verb("ask", "What?", "--policy", "conf/policy.toml").trouble


def test_doctor_reads_the_rules(verb: CommandLine) -> None:
    written(verb, "permit (principal, action, resource);")
    well = verb("doctor", "--policy", "conf/policy.toml")
    assert well.status == 0 and "ok  rules: conf/rules.cedar, 1 rule, digest " in well.out
    written(verb, "permit")
    bad = verb("doctor", "--policy", "conf/policy.toml")
    assert bad.status == 4 and "BAD rules: conf/rules.cedar, line 1: expected" in bad.out


def test_the_rules_of_the_guide_say_what_it_says_of_them() -> None:
    (text,) = re.findall(r"```cedar\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    rules = read(text, "rules.cedar")
    ana = RuleQuestion("local", "user:ana", ("role:support",), "desk", "refund", "irreversible")

    def may(given: str, groups: tuple[str, ...] = ana.groups, tool: str = ana.tool, effect: str = ana.effect) -> str:
        asked = RuleQuestion("local", ana.principal, groups, ana.agent, tool, effect, given)
        return rules.judge(asked).by if rules.judge(asked).allowed else ""

    assert may('{"amount":100}') == "small refunds" and may('{"amount":101}') == may('{"amount":100}', ()) == ""
    assert may('{"query":"x"}', (), "search", "read") == "reading"
    assert rules.judge(ana).allowed and rules.groups == ("role:support",)
