"""Bad input: each gets one clear sentence on stderr that says what to do, its exit status, and nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.ends.command_line import CommandLine

QUESTION = "How do I restart the intake pump?"


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (["fly"], "no verb `fly`"),
        (["access", "fly"], "no verb `fly`"),
        (["ask"], "QUESTION needs a value"),
        (["ask", "two", "words"], "quotes"),
        (["ask", QUESTION, "--fly"], "no option `--fly`"),
        (["ask", QUESTION, "--budget", "much"], "`much` is no value for `--budget`"),
        (["ask", QUESTION, "--budget", "0"], "budget is 0"),
        (["ask", QUESTION, "--budget", "-1"], "budget is -1"),
        (["ask", QUESTION, "--budget", "nan"], "budget is nan"),
        (["ask", QUESTION, "--budget", "inf"], "budget is inf"),
        (["ask", QUESTION, "--deadline", "0"], "deadline is 0"),
        (["ask", QUESTION, "--as", "ana"], "'ana' is no principal"),
        (["ask", QUESTION, "--as", "user:*"], "is no principal"),
        (["ask", ""], "question is empty"),
        (["ask", " \n"], "question is empty"),
        (["ask", "a\udce9b"], "not UTF-8"),
        (["ask", "word " * 20_000], "32768"),
        (["ask", QUESTION, "--docs", "nowhere"], "no folder"),
        (["ask", QUESTION, "--docs", "empty"], "empty"),
        (["ask", QUESTION, "--docs", "pictures"], "no documents"),
        (["ask", QUESTION, "--docs", "docs/pumps/drain.md"], "not a folder"),
        (["ask", QUESTION, "--store", "redis://here"], "sqlite:///"),
        (["sessions", "--store"], "--store needs a value"),
        (["sessions", "--json", "--json"], "given twice"),
        (["access", "grant", "nonsense"], "expected TYPE:ID#RELATION@SUBJECT"),
        (["access", "check", "user:ana"], "OBJECT needs a value"),
        (["sessions", "--policy", "nowhere.toml"], "no policy file nowhere.toml"),
    ],
    ids=lambda value: " ".join(value)[:40].encode("ascii", "replace").decode() if isinstance(value, list) else "",
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    standpipe: CommandLine, docs: Path, tmp_path: Path, tokens: list[str], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.png").write_bytes(b"\x89PNG\0")

    ran = standpipe(*tokens)

    assert ran.status == 2 and not ran.out
    assert says in ran.trouble


@pytest.mark.parametrize(
    "tokens",
    [
        ["ask", QUESTION, "--session", "0123"],
        ["ask", QUESTION, "--session", "last"],
        *(["resume", "0123"], ["log", "0123"], ["log", "0123", "--follow"], ["show", "last"], ["why", "0123"]),
        *(["replay", "0123"], ["verify", "0123"]),
    ],
    ids=" ".join,
)
def test_an_unknown_session_is_not_found(standpipe: CommandLine, tokens: list[str]) -> None:
    ran = standpipe(*tokens)

    assert ran.status == 4 and not ran.out
    assert "no such session" in ran.trouble or "no session yet" in ran.trouble


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[routes.default\n", "standpipe.toml: this is not TOML"),
        ("\n[providers.x]\ndialect = 7\n", "standpipe.toml, line 3: providers"),
        ("[slo]\nspeed = 1\n", "standpipe.toml, line"),
        ("[budgets.default]\n\nturn = { usd = 0 }\n", "standpipe.toml, line 3"),
        ("[routes.default]\nmodels = ['none']\n", "expected names of models"),
    ],
)
def test_a_malformed_policy_is_told_with_file_line_key_and_what_was_expected(
    standpipe: CommandLine, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "standpipe.toml").write_text(text)

    for verb in (["sessions"], ["ask", QUESTION], ["demo"]):
        ran = standpipe(*verb, "--policy", "standpipe.toml")

        assert ran.status == 2 and not ran.out
        assert says in ran.trouble
    assert not (tmp_path / ".standpipe").exists()


def test_files_that_are_no_documents_are_left_out_with_a_word(standpipe: CommandLine, docs: Path) -> None:
    (docs / "binary.md").write_bytes(b"The intake pump\0" * 10)
    (docs / "latin.md").write_bytes(
        "# Caf\xe9\n\nThe caf\xe9 is open from nine to five on every day of the week.\n".encode("latin-1")
    )
    (docs / "link.md").symlink_to("/etc/hostname")
    (docs / "folder").symlink_to("/etc")
    (docs / "cat.png").write_bytes(b"\x89PNG\0")
    with (docs / "large.md").open("wb") as large:
        large.truncate(50_000_000)

    ran = standpipe("ask", QUESTION, "--docs", docs)
    cafe = standpipe("ask", "When is it open?", "--docs", docs, "--json")

    assert ran.status == 0 and "green button" in ran.out
    assert all(word in ran.trouble for word in ("1 file with binary", "1 file larger", "2 files reached", "replaced in 1"))
    assert "nine to five" in cafe.out


def test_a_malformed_access_file_changes_nothing(standpipe: CommandLine, ruled: Path) -> None:
    before = standpipe("access", "list", "--docs", ruled, "--json").json
    (ruled / "access.rel").write_text("document:*#reader@user:ben\nnonsense\n")
    ran = standpipe("ask", QUESTION, "--docs", ruled)

    assert ran.status == 2
    assert "access.rel, line 2" in ran.trouble
    assert standpipe("access", "list", "--json").json == before


@pytest.mark.parametrize("verb", [["sessions"], ["ask", QUESTION], ["verify"], ["demo"]], ids=" ".join)
def test_a_store_that_cannot_be_used_is_told_and_left_alone(standpipe: CommandLine, tmp_path: Path, verb: list[str]) -> None:
    (tmp_path / "file").write_text("a note")
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage.db").write_bytes(os.urandom(20_000))

    for name in ("file/standpipe.db", "folder", "garbage.db", "file"):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).is_file() else b""
        ran = standpipe(*verb, "--store", f"sqlite:///{name}")

        assert ran.status == 4 and not ran.out
        assert f"The store {name} " in ran.trouble
        assert before == ((tmp_path / name).read_bytes() if (tmp_path / name).is_file() else b"")


def test_a_damaged_store_is_told(standpipe: CommandLine, docs: Path, tmp_path: Path) -> None:
    standpipe("ask", QUESTION, "--docs", docs)
    store = tmp_path / ".standpipe" / "standpipe.db"
    size = store.stat().st_size
    with store.open("r+b") as file:
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(b"\xff" * 512)
    ran = standpipe("ask", QUESTION, "--docs", docs)
    checked = standpipe("doctor")

    assert ran.status == 4 and not ran.out
    assert "is damaged" in ran.trouble
    assert checked.status == 4 and "BAD store" in checked.out


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_a_store_that_may_not_be_written_is_told(standpipe: CommandLine, docs: Path, tmp_path: Path) -> None:
    standpipe("ask", QUESTION, "--docs", docs)
    store = tmp_path / ".standpipe" / "standpipe.db"
    store.chmod(0o400)
    store.parent.chmod(0o500)
    ran = standpipe("ask", QUESTION, "--docs", docs)
    store.parent.chmod(0o700)

    assert ran.status == 4
    assert str(store.name) in ran.trouble
