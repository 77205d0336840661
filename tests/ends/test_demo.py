"""The demo: its story runs as told, again and again in one folder; and where it does not, it says what did not happen."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from tests.ends.command_line import CommandLine

from standpipe.core.amounts import NOTHING
from standpipe.core.details import Chosen, Manifest, Permit, Route
from standpipe.core.events import CallGranted, Event, ItemsWithdrawn, SessionFact
from standpipe.entrypoints.demo import shown_later

STORY = tomllib.loads(files("standpipe").joinpath("sample", "story.toml").read_text(encoding="utf-8"))


@pytest.fixture
def played(standpipe: CommandLine) -> CommandLine:
    """A folder in which the demo ran once."""
    ran = standpipe("demo")
    assert ran.status == 0, ran.err
    return standpipe


def test_the_story_is_told_with_what_it_lacks(standpipe: CommandLine) -> None:
    ran = standpipe("demo")

    assert ran.status == 0 and not ran.err
    assert all(f"\n{word}\n" in ran.out for word in ("gaps", "conflicts", "withdrawn", "cost"))
    told = ran.out[ran.out.index("\nended: ") :]
    assert all(term in told for term in STORY["cause"]["terms"])
    assert all(value in told for value in STORY["conflict"]["values"])
    assert STORY["withdrawn"]["document"] in told
    assert "the demo's policy gives it a price" in told and "0.00 USD" not in told
    assert "standpipe why last" in told
    assert not [marker for marker in STORY["restricted"]["markers"] if marker in ran.out]
    assert not [marker for marker in STORY["withdrawn"]["markers"] if marker in told]


def test_its_session_stays_and_is_proven(played: CommandLine) -> None:
    assert (played.folder / ".standpipe" / "standpipe.db").is_file()
    for verb in (["verify"], ["replay", "last"], ["why", "last"], ["show", "last"], ["log", "last"]):
        ran = played(*verb)
        assert ran.status == 0 and ran.out and not ran.err, verb
    assert not [
        m for m in STORY["withdrawn"]["markers"] if m in played("log", "last", "--as", STORY["principal"], "--json").out
    ]


def test_it_runs_again_in_the_same_folder(played: CommandLine) -> None:
    again = played("demo", "--json")

    assert again.status == 0
    assert again.json["did_not_happen"] == []
    assert again.json["withdrawn"] == [STORY["withdrawn"]["document"]]
    assert len(played("sessions", "--json").json) == 2


@pytest.mark.parametrize(
    ("fault", "outcome", "gaps", "withdrawn"),
    [
        ("none", "completed", 0, 0),
        ("model-down", "completed", 0, 0),
        ("agent-hangs", "partial", 1, 0),
        ("right-withdrawn", "completed", 0, 1),
    ],
)
def test_what_goes_off_can_be_chosen(standpipe: CommandLine, fault: str, outcome: str, gaps: int, withdrawn: int) -> None:
    ran = standpipe("demo", "--json", "--fault", fault)

    assert ran.status == 0 and ran.json["did_not_happen"] == []
    assert (ran.json["outcome"], len(ran.json["gaps"]), len(ran.json["withdrawn"])) == (outcome, gaps, withdrawn)
    log = standpipe("log", "last").out
    assert ("CallFailed" in log) is (fault in ("model-down", "agent-hangs"))
    assert ("first/model" in log) is (fault == "model-down") and ("stuck/model" in log) is (fault == "agent-hangs")


def test_a_fault_that_needs_the_policy_of_the_demo_is_refused_with_another(standpipe: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("")
    ran = standpipe("demo", "--policy", "own.toml", "--fault", "model-down")

    assert ran.status == 2 and "leave --policy out" in ran.trouble
    assert standpipe("demo", "--fault", "nonsense").status == 2


def test_it_says_what_did_not_happen(standpipe: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "poor.toml").write_text("[budgets.default]\nturn = { model_calls = 2, tool_calls = 1 }\n")
    ran = standpipe("demo", "--policy", "poor.toml")

    assert ran.status == 4
    assert "the plan was not revised" in ran.trouble and "the conflict was not listed" in ran.trouble


def test_a_prompt_that_shows_what_was_withdrawn_is_noticed() -> None:
    def grant(base: str, added: tuple[str, ...], dropped: tuple[str, ...] = ()) -> CallGranted:
        manifest = Manifest(base, "d", tuple(Chosen(id, "") for id in added), tuple(Chosen(id, "") for id in dropped))
        return CallGranted(
            "t1.st1.a1", "st1", "m", NOTHING, 0, Permit("labels", 1), "k", Route("plan", "m", "m", "r"), manifest
        )

    def log(*facts: SessionFact) -> list[Event]:
        return [Event(seq, "runtime", (), fact) for seq, fact in enumerate(facts, 1)]

    before, gone = grant("", ("5.0", "5.1")), ItemsWithdrawn(("5.0",), (), 7)
    assert shown_later(log(before, gone, grant("d", (), ("5.0",)))) == set()
    assert shown_later(log(before, gone, grant("d", ("6.0",)))) == {"5.0"}
    assert shown_later(log(before, gone, grant("", ("5.1",)))) == set()
