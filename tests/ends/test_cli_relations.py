"""Definitions and ends on the command line: what is granted, replaced and refused, and who is told why."""

from __future__ import annotations

from pathlib import Path

from tests.ends.command_line import CommandLine

READER = "document#reader = reader & employee - blocked"
BONUS = "document:pay/bonus.md"


def test_a_definition_narrows_and_explain_says_by_what(standpipe: CommandLine, ruled: Path) -> None:
    standpipe("access", "list", "--docs", ruled)
    before = standpipe("access", "list", "--as", "user:pell", "--json")
    granted = standpipe("access", "grant", READER, "--json")
    missing = standpipe("access", "explain", "user:pell", "document:pumps/intake.md", "--json")
    standpipe("access", "grant", "document:*#employee@user:*")
    standpipe("access", "grant", "document:pumps/*#blocked@user:pell")
    excluded = standpipe("access", "explain", "user:pell", "document:pumps/intake.md")
    allowed = standpipe("access", "explain", "user:jonna", "document:pumps/intake.md", "--json")
    after = standpipe("access", "list", "--as", "user:pell")

    assert "pumps/intake.md" in before.json["documents"] and "pay/bonus.md" not in before.json["documents"]
    assert granted.json["changed"]
    assert missing.status == 4 and missing.json["because"] == "missing" and missing.json["missing"] == "employee"
    assert excluded.status == 4 and "taken away again by" in excluded.out
    assert [line.strip() for line in excluded.out.splitlines()[-2:]] == [READER, "document:pumps/*#blocked@user:pell"]
    assert allowed.status == 0 and allowed.json["because"] == "granted" and allowed.json["chain"][0] == READER
    assert "pumps/intake.md" not in after.out


def test_only_who_may_open_the_store_is_told_why(standpipe: CommandLine, ruled: Path) -> None:
    told = standpipe("access", "explain", "user:pell", BONUS, "--docs", ruled, "--as", "user:pell")

    assert told.status == 2 and "--as" in told.trouble and "relation" not in told.out


def test_a_relation_has_one_end_at_a_time(standpipe: CommandLine, ruled: Path) -> None:
    bonus = f"{BONUS}#reader@user:pell"
    standpipe("access", "grant", f"{bonus} until 2200-01-01T00:00Z", "--docs", ruled)
    allowed = standpipe("access", "check", "user:pell", BONUS)
    standpipe("access", "grant", f"{bonus} until 2100-01-01T01:00+01:00")
    listed = standpipe("access", "list", "--json").json["relations"]
    revoked = standpipe("access", "revoke", bonus)
    refused = standpipe("access", "check", "user:pell", BONUS)

    assert allowed.status == 0
    assert [relation for relation in listed if BONUS in relation and "pell" in relation] == [f"{bonus} until 2100-01-01T00:00Z"]
    assert revoked.status == 0 and refused.status == 4


def test_what_has_ended_or_no_meaning_is_refused_with_a_sentence(standpipe: CommandLine, ruled: Path) -> None:
    standpipe("access", "list", "--docs", ruled)
    past = standpipe("access", "grant", f"{BONUS}#reader@user:pell until 2020-01-01T00:00Z")
    typo = standpipe("access", "grant", "document#reader = reader & ")
    standpipe("access", "grant", "group#member = member - gone")
    circle = standpipe("access", "grant", "group:crew#gone@group:other#member")
    (ruled / "access.rel").write_text("group:crew#gone@group:other#member\n", encoding="utf-8")
    mixed = standpipe("access", "list", "--docs", ruled)
    (ruled / "access.rel").write_text(f"// who\ndocument#reader = a\n{READER}\n", encoding="utf-8")
    twice = standpipe("access", "list", "--docs", ruled)

    assert past.status == 2 and "has ended already" in past.trouble
    assert typo.status == 2 and "the name of a relation at the end" in typo.trouble
    assert circle.status == 2 and "`group#member = member - gone` has no meaning" in circle.trouble
    assert mixed.status == 2 and "access.rel: with the relations that commands granted" in mixed.trouble
    assert twice.status == 2 and "access.rel, line 3" in twice.trouble and "it is defined in line 2" in twice.trouble
