"""`fork` and `diff` as scripts and people use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.ends.command_line import CommandLine, Ran

RESTART = "How do I restart the intake pump?"


@pytest.fixture
def asked(standpipe: CommandLine, docs: Path) -> str:
    """A session with one question that was answered."""
    return str(standpipe("ask", RESTART, "--docs", docs, "--json").json["session"])


def outcomes(standpipe: CommandLine, session: str, by: str) -> list[Any]:
    """The events by which calls of somebody came back."""
    return [e for e in standpipe("log", session, "--json").json if e["kind"] == "CallCompleted" and e["by"] == by]


def written(folder: Path, value: object) -> Path:
    path = folder / "set.json"
    path.write_text(json.dumps(value))
    return path


def sound(standpipe: CommandLine, session: str) -> None:
    assert standpipe("verify", "--json").json["violations"] == []
    assert standpipe("replay", session, "--json").json["divergences"] == []


def test_a_fork_shares_the_past_and_runs_on(standpipe: CommandLine, asked: str) -> None:
    seq = outcomes(standpipe, asked, "tool:search")[0]["seq"]
    told = standpipe("fork", asked, "--at", str(seq), "--json")
    assert told.status == 0 and told.json["outcome"] == "completed" and "green button" in told.json["answer"]
    session, at = told.json["session"], told.json["at"]
    assert told.json["parent"] == asked != session and at >= seq
    log = standpipe("log", session, "--json").json
    assert log[:at] == standpipe("log", asked, "--json").json[:at]
    assert (log[at]["kind"], log[at]["data"]["parent"]) == ("SessionForked", asked)
    for verb in ("show", "why"):
        assert RESTART in standpipe(verb, session).out or "green button" in standpipe(verb, session).out
    sound(standpipe, session)


def test_a_seq_within_a_frame_takes_the_whole_frame(standpipe: CommandLine, asked: str) -> None:
    told = standpipe("fork", asked, "--at", "3")
    first = told.out.splitlines()[0]
    assert first.startswith("session ") and f"forked from {asked} at seq 5 (seq 3 stands in the frame that ends there)" in first


def test_without_a_turn_that_is_open_it_says_how_to_go_on(standpipe: CommandLine, asked: str) -> None:
    told = standpipe("fork", "last")
    assert told.status == 0 and told.out.splitlines()[1].startswith(
        "No turn was open there: `standpipe ask QUESTION --session "
    )
    assert standpipe("fork", asked, "--json").json["outcome"] == ""


def test_a_document_that_is_set_changes_the_answer_and_diff_says_where(standpipe: CommandLine, asked: str, docs: Path) -> None:
    (read,) = [e for e in outcomes(standpipe, asked, "tool:read") if "intake" in str(e)][:1]
    text = (docs / "pumps/intake.md").read_text().replace("press the green button", "turn the yellow wheel")
    told = standpipe("fork", asked, "--set", f"{read['seq']}={written(docs.parent, text)}", "--json")
    assert told.status in (0, 3) and told.json["at"] < read["seq"]
    compared = standpipe("diff", asked, told.json["session"], "--json").json
    assert (compared["a"], compared["b"], compared["equal"]) == (asked, told.json["session"], False)
    first = compared["first"]
    assert (first["kind"], first["about"], first["a"]) == ("CallCompleted", read["data"]["call"], read["seq"])
    assert first == compared["divergences"][0]
    (words,) = [field for field in first["fields"] if field["field"] == "items"]
    assert all("set by operator" in side for side in words["b"])
    plain = standpipe("diff", asked, told.json["session"])
    assert plain.status == 0 and plain.out.startswith(f"--- {asked}\n+++ {told.json['session']}, forked from {asked} at seq ")
    assert f"first: CallCompleted {read['data']['call']}, seq {read['seq']} | " in plain.out
    assert plain.out.endswith(f"{len(compared['divergences'])} divergences\n")
    sound(standpipe, told.json["session"])
    shown = standpipe("show", told.json["session"]).out
    assert f"forked from {asked} at seq {told.json['at']}" in shown
    assert "1 passage, set by operator" in shown


def test_a_session_does_not_differ_from_itself(standpipe: CommandLine, asked: str) -> None:
    assert standpipe("diff", asked, asked).out == f"--- {asked}\n+++ {asked}\nno divergence\n"
    assert standpipe("diff", asked, "last", "--json").json["equal"] is True


def test_diff_shows_a_principal_what_it_may_see(standpipe: CommandLine, docs: Path) -> None:
    (docs / "access.rel").write_text("document:*#reader@user:jonna\n")
    asked = standpipe("ask", RESTART, "--docs", docs, "--as", "user:jonna", "--json").json["session"]
    (read,) = [e for e in outcomes(standpipe, asked, "tool:read") if "intake" in str(e)][:1]
    secret = written(docs.parent, "# Intake\n\nThe orange lever restarts the intake pump.\n")
    fork = standpipe("fork", asked, "--set", f"{read['seq']}={secret}", "--json").json["session"]
    assert "orange" in json.dumps(standpipe("log", fork, "--as", "user:jonna", "--json").json)
    relation = "document:*#reader@user:jonna"
    assert standpipe("access", "revoke", relation, "--docs", docs).status == 0
    told = standpipe("diff", asked, fork, "--as", "user:jonna", "--json")
    assert "pumps/intake.md" not in told.out and "orange" not in told.out
    assert "set-" not in told.out and "green button" not in told.out
    assert standpipe("diff", asked, fork, "--as", "user:pell").status == 4


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (("--at", "999"), 2, "There is no seq 999 in this session: its log goes from 1 to"),
        (("--at", "x"), 2, "`x` is no value for `--at`"),
        (("--set", "6"), 2, "--set 6: expected SEQ=FILE, as in 17=result.json."),
        (("--set", "6=nowhere.json"), 2, "nowhere.json cannot be read (No such file or directory)"),
        (("--set", "6=broken.json"), 2, "broken.json is not JSON"),
        (("--set", "4=fine.json"), 2, "Seq 4 is PlanPatched, which is no outcome"),
    ],
)
def test_what_cannot_be_forked_is_told(
    standpipe: CommandLine, asked: str, options: tuple[str, ...], status: int, sentence: str
) -> None:
    (standpipe.folder / "broken.json").write_text("{")
    (standpipe.folder / "fine.json").write_text("1")
    told: Ran = standpipe("fork", asked, *options)
    assert told.status == status and sentence in told.trouble
    assert len(standpipe("sessions", "--json").json) == 1


def test_what_does_not_exist_is_not_found(standpipe: CommandLine, asked: str) -> None:
    for verb in (("fork", "nothing"), ("diff", asked, "nothing")):
        assert standpipe(*verb).status == 4
