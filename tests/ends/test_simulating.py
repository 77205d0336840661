"""The verb simulate: what it prints, on a pipe and as JSON, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.ends.command_line import CommandLine

from standpipe.entrypoints.simulating import Told
from standpipe.testing.campaign import live
from standpipe.testing.injectors import CLASSES, STATES


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(tmp_path, capsys)


def test_seeds_are_told_as_they_go_by_and_what_they_met_in_the_end(run: CommandLine) -> None:
    ran = run("simulate", "--seeds", "10", "--from", "5")

    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == " ".join(STATES).split()
    assert all(any(line.startswith(fault) for line in lines) for fault in CLASSES)
    assert lines[-1].startswith("10 seeds in ")
    assert "nothing failed" in lines[-1]


def test_as_json_it_ends_with_the_report(run: CommandLine) -> None:
    ran = run("simulate", "--seeds", "12", "--json")
    *lines, report = (json.loads(line) for line in ran.out.splitlines())

    assert (ran.status, ran.err) == (0, "")
    assert lines == [{"done": 10, "of": 12, "failed": 0}]
    assert {*report} == {"seeds", "failures", "coverage", "uncovered", "digest", "elapsed_s"}
    assert (report["seeds"], report["failures"], report["uncovered"]) == (12, [], [])
    assert {*report["coverage"]} == {*CLASSES}
    assert all({*met} == {*STATES} for met in report["coverage"].values())


def test_one_seed_is_the_same_again(run: CommandLine) -> None:
    first, second = (run("simulate", "--seed", "7", "--mode", "safety", "--json") for _ in range(2))
    digests = {json.loads(ran.out.splitlines()[-1])["digest"] for ran in (first, second)}

    assert json.loads(first.out.splitlines()[-1])["seeds"] == 1
    assert len(digests) == 1


@pytest.mark.parametrize("tokens", [("--seeds", "0"), ("--seed", "-1"), ("--from", "-1"), ("--mode", "chaos")])
def test_what_cannot_be_simulated_is_usage(run: CommandLine, tokens: tuple[str, ...]) -> None:
    ran = run("simulate", *tokens)

    assert ran.status == 2
    assert ran.trouble


def test_a_failing_seed_is_told_with_the_command_that_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    broken = live(4, "safety", None)  # type: ignore[arg-type]
    Told(1, json=False)(broken)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("Seed 4: It broke off with TypeError")
    assert err.splitlines()[1] == "Live through it again with `standpipe simulate --seed 4 --mode safety`."

    Told(1, json=True)(broken)
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out)["failure"]["command"] == "standpipe simulate --seed 4 --mode safety"
