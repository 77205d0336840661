"""The sample of the demo tells the story that it says it tells, and no code knows its names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.relations import readable

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "standpipe"
SAMPLE = PACKAGE / "sample"
STORY: dict[str, Any] = tomllib.loads((SAMPLE / "story.toml").read_text(encoding="utf-8"))
ACCESS = (SAMPLE / "access.rel").read_text(encoding="utf-8")
DOCUMENTS = {
    path.relative_to(SAMPLE).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(SAMPLE.rglob("*"))
    if path.suffix in {".md", ".txt", ".rst", ".html"}
}


def containing(marker: str) -> list[str]:
    return [path for path, text in DOCUMENTS.items() if marker.lower() in text.lower()]


def test_the_sample_is_about_forty_documents_of_readable_length() -> None:
    assert 38 <= len(DOCUMENTS) <= 48
    assert not [path for path, text in DOCUMENTS.items() if not 100 <= len(text.split()) <= 600]
    assert not [path for path, text in DOCUMENTS.items() if max(map(len, text.splitlines())) > 700]


def test_the_cause_hides_in_the_last_three_incidents() -> None:
    incidents = [path for path in DOCUMENTS if path.startswith("incidents/")]
    documents, terms = STORY["cause"]["documents"], STORY["cause"]["terms"]

    assert incidents[-3:] == documents and len(incidents) == 14
    for term in terms:
        assert [path for path in containing(term) if path in incidents] == documents
        assert term.lower() not in STORY["question"].lower()
        assert not [path for path in documents if term in DOCUMENTS[path].splitlines()[0]]


def test_no_other_word_is_peculiar_to_the_last_three_incidents() -> None:
    told = {
        path: set(re.findall(r"[a-z]{4,}", text.lower())) for path, text in DOCUMENTS.items() if path.startswith("incidents/")
    }
    documents = STORY["cause"]["documents"]
    elsewhere = set[str]().union(*(words for path, words in told.items() if path not in documents))

    assert set.intersection(*(told[path] for path in documents)) - elsewhere == {
        term.lower() for term in STORY["cause"]["terms"]
    }


def test_the_page_that_explains_the_cause_has_no_word_of_the_question() -> None:
    page = set(re.findall(r"[a-z]+", DOCUMENTS[STORY["cause"]["architecture"]].lower()))
    stems = ("deploy", "runbook", "checkout", "check", "servic", "roll", "call")

    assert not [word for word in page if word.startswith(stems)]


def test_the_conflict_stands_in_two_readable_documents_and_nowhere_else() -> None:
    conflict = STORY["conflict"]

    for path, value in zip(conflict["documents"], conflict["values"], strict=True):
        lines = [line for line in DOCUMENTS[path].splitlines() if "shutdown grace period" in line and "checkout" in line]
        assert len(lines) == 1 and value in lines[0]
    assert set(conflict["documents"]) <= readable(ACCESS, STORY["principal"], DOCUMENTS)


def test_the_principal_reads_all_but_what_is_restricted() -> None:
    closed = {path for path in DOCUMENTS if path.startswith(("hr/", "security/")) or path == "vendors/cloud-contract.md"}

    assert readable(ACCESS, STORY["principal"], DOCUMENTS) == set(DOCUMENTS) - closed
    assert len([path for path in closed if path.startswith("hr/")]) == 4
    assert "group:engineering#member@group:sre#member" in ACCESS
    assert [path for path in readable(ACCESS, "user:juno", DOCUMENTS) if path.startswith("security/")]
    assert [path for path in readable(ACCESS, "user:ben", DOCUMENTS) if path.startswith("hr/")]


def test_one_relation_alone_opens_the_document_that_the_demo_withdraws() -> None:
    rest = "\n".join(line for line in ACCESS.splitlines() if line != STORY["withdraw"])
    lost = readable(ACCESS, STORY["principal"], DOCUMENTS) - readable(rest, STORY["principal"], DOCUMENTS)

    assert lost == {STORY["withdrawn"]["document"]}


def test_marks_of_closed_documents_stand_nowhere_else() -> None:
    closed = set(DOCUMENTS) - readable(ACCESS, STORY["principal"], DOCUMENTS)

    for marker in STORY["restricted"]["markers"]:
        assert containing(marker) and set(containing(marker)) <= closed
    for marker in STORY["withdrawn"]["markers"]:
        assert containing(marker) == [STORY["withdrawn"]["document"]]


def test_the_schedule_says_who_is_on_call() -> None:
    schedule = DOCUMENTS[STORY["oncall"]["document"]]

    assert f"{STORY['oncall']['primary']} is on call for checkout as primary" in schedule
    assert f"{STORY['oncall']['secondary']} is the secondary on call for checkout" in schedule


def test_no_code_knows_a_name_of_the_sample() -> None:
    code = {path: path.read_text(encoding="utf-8").lower() for path in PACKAGE.rglob("*.py")}
    told = " ".join(DOCUMENTS.values()) + ACCESS

    assert code and all(name in told or name in STORY["question"] for name in STORY["names"])
    assert not [(name, path) for name in STORY["names"] for path, text in code.items() if name.lower() in text]
