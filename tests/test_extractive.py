"""The keyless model plays whole turns: over invented companies, over real documents, and where things go missing."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import msgspec
import pytest
from tests.companies import Company, company
from tests.reading_loop import TOOLS, Library, Loop, Played, play

from standpipe.core.control import AnswerArguments
from standpipe.core.items import Answer, Citation, Draft, Failure, Item, Passage, Sentence, Text, ToolCall, place
from standpipe.core.tools import ToolSpec
from standpipe.drivers.models.extractive import respond

SEEDS = range(20)
FOUND_MIN = 18
ANSWER_ONLY = [tool for tool in TOOLS if tool.name == "answer"]
DISK = {
    "disks/DiskFull.md": "# DiskFull\n\n## Meaning\n\nThe disk of a database is full.\n\n## Diagnosis\n\n"
    "Check which table grew.\nLook at the logs of the archive.\n\n## Mitigation\n\n"
    "Delete old logs of the database, then raise the quota.\n",
    "disks/DiskSlow.md": "# DiskSlow\n\n## Meaning\n\nThe disk of a database answers slowly.\n\n## Mitigation\n\nMove it.\n",
    "net/LinkDown.md": "# LinkDown\n\n## Meaning\n\nA network link is down.\n\n## Mitigation\n\nReplace the cable.\n",
}
QUESTION = "What should I check when the disk of a database is full?"


@cache
def turn(seed: int) -> tuple[Company, Played]:
    """A company, and how a turn with its question goes over what its principal may read."""
    made = company(seed)
    readable = {path: text for path, text in made.files.items() if path != "access.rel" and path not in made.restricted}
    return made, play(readable, made.question)


def finds_the_cause(made: Company, played: Played) -> bool:
    """Whether two reports are quoted with the cause's name, and a revision of the plan gave it as its reason."""
    quoted = {
        citation.source
        for sentence in played.answer.sentences
        if any(term.lower() in sentence.text.lower() for term in made.cause)
        for citation in sentence.citations
    }
    asked = any(term.lower() in revision.reason.lower() for revision in played.revisions for term in made.cause)
    return asked and len(quoted & set(made.cause_documents)) >= 2


def test_hidden_causes_are_found_by_revising_the_plan() -> None:
    missed = [seed for seed in SEEDS if not finds_the_cause(*turn(seed))]

    assert len(missed) <= len(SEEDS) - FOUND_MIN, missed


def test_the_page_that_explains_the_cause_is_cited() -> None:
    cited = [made.architecture in played.sources for made, played in map(turn, SEEDS)]

    assert sum(cited) >= FOUND_MIN


def test_conflicting_numbers_are_listed_and_decoys_are_not() -> None:
    found = false = 0
    for made, played in map(turn, SEEDS):
        for conflict in played.answer.conflicts:
            values = {value.value for value in conflict.values}
            real = values == set(made.conflict.values) and {v.source for v in conflict.values} == set(made.conflict.documents)
            found += real
            false += not real

    assert found >= FOUND_MIN and false <= 2


def test_who_is_on_call_is_answered_and_every_part_has_a_sentence() -> None:
    named = 0
    for made, played in map(turn, SEEDS):
        assert played.plan is not None
        answered = {sentence.part for sentence in played.answer.sentences} | {gap.part for gap in played.answer.gaps}
        assert answered == set(range(len(played.plan.parts)))
        named += any(made.on_call[0] in sentence.text for sentence in played.answer.sentences)

    assert named >= FOUND_MIN


def test_a_turn_has_at_most_two_revisions_and_an_answer_of_some_length() -> None:
    for _, played in map(turn, SEEDS):
        assert len(played.revisions) <= 2
        assert 8 <= len(played.answer.sentences) <= 18


def test_the_same_conversation_gives_the_same_move_in_every_process() -> None:
    program = (
        "import hashlib; from tests.test_extractive import turn;"
        "print(hashlib.sha256(repr(turn(3)[1].items).encode()).hexdigest())"
    )
    root = Path(__file__).resolve().parent.parent
    found = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{root}:{root / 'src'}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "4711")
    ]

    assert found[0] == found[1] != ""


def test_a_simple_question_is_planned_read_and_answered() -> None:
    played = play(DISK, QUESTION)

    assert played.rounds == 2 and played.plan is not None
    assert {"tool": "read", "source": "disks/DiskFull.md"} in [{"tool": s.tool, **s.arguments} for s in played.plan.steps]
    assert played.answer.sentences[0].text == "Check which table grew."
    assert played.sources[0] == "disks/DiskFull.md" and not played.answer.gaps


@pytest.mark.parametrize(
    "question", ["What is the vacation policy?", "How do I rotate keys in Zanzibar?", "Who is the king of the disk?", "?"]
)
def test_what_nothing_supports_is_a_gap_and_no_sentence(question: str) -> None:
    played = play(DISK, question)

    assert played.answer.sentences == () and len(played.answer.gaps) == 1


def test_one_part_can_be_answered_and_the_other_not() -> None:
    played = play(DISK, "What do I do when a network link is down, and who is the head of Zanzibar?")

    assert {sentence.part for sentence in played.answer.sentences} == {0}
    assert [gap.part for gap in played.answer.gaps] == [1] and "Zanzibar" in played.answer.gaps[0].text


def test_no_documents_at_all_is_a_gap() -> None:
    assert play({}, QUESTION).answer.gaps[0].text.startswith("Nothing in the documents answers")


@pytest.mark.parametrize("offered", [("search", "read", "answer"), ("read", "answer"), ("search", "answer"), ("answer",)])
def test_it_does_with_the_tools_it_is_given(offered: tuple[str, ...]) -> None:
    tools = [tool for tool in TOOLS if tool.name in offered] + [ToolSpec("drop_table", "deletes", {}, effect="irreversible")]
    played = Loop(Library(DISK), tools).play(QUESTION)

    assert played.plan is None and "Check which table grew." in played.text


def test_a_document_that_is_withdrawn_is_not_spoken_of() -> None:
    library = Library({**DISK, "disks/Other.md": "# Database disks\n\nCheck the disk of a full database twice a day.\n"})
    played = Loop(library, withdrawn=frozenset({"disks/DiskFull.md"})).play(QUESTION)

    assert played.sources == ["disks/Other.md"]


def conversation(question: str, *found: Passage) -> list[Item]:
    """A question and what the first search found."""
    items = [
        place(Draft(Text(question)), "1.0", "user"),
        place(Draft(ToolCall("search", {"query": question})), "2.0", "runtime"),
    ]
    return items + [place(Draft(passage), f"3.{n}", "tool:search") for n, passage in enumerate(found)]


GROWN = Passage("a.md", "v1", "Check which table of the database grew. The disk of the database is full then.", score=3.0)


def answered(items: list[Item], tools: list[ToolSpec]) -> AnswerArguments:
    (call,) = respond(items, tools)
    assert isinstance(call, ToolCall) and call.name == "answer"
    return msgspec.convert(call.arguments, AnswerArguments)


def test_a_refused_sentence_is_left_out_of_the_next_answer() -> None:
    items = conversation(QUESTION, GROWN)
    (first,) = respond(items, ANSWER_ONLY)
    assert isinstance(first, ToolCall)
    items.append(place(Draft(first), "4.0", "extractive"))
    finding = Failure("check", "The answer was not accepted. Repair or leave out: sentence 1: quote not found")
    items.append(place(Draft(finding, answers="4.0"), "5.0", "runtime"))

    before = msgspec.convert(first.arguments, AnswerArguments)
    assert answered(items, list(TOOLS)).sentences == before.sentences[1:]


@pytest.mark.parametrize("told", [Text("Answer now with what you have."), Failure("steps", "The plan has no room.")])
def test_it_answers_when_it_is_told_to_or_its_plan_was_turned_down(told: Text | Failure) -> None:
    items = conversation(QUESTION, GROWN)
    items.append(place(Draft(ToolCall("plan", {"steps": [], "parts": [QUESTION]})), "4.0", "extractive"))
    items.append(place(Draft(told, answers="" if isinstance(told, Text) else "4.0"), "5.0", "runtime"))

    assert answered(items, list(TOOLS)).sentences


def test_memory_is_never_cited() -> None:
    remembered = Passage("memory:1", "v1", GROWN.text, score=9.0, memory=True)

    assert answered(conversation(QUESTION, remembered), ANSWER_ONLY).sentences == ()


def test_shorter_please_gives_the_first_of_what_was_said_with_its_citations() -> None:
    lines = [
        "Check which table grew.",
        "Look at the logs of the archive.",
        "The disk of a database is full.",
        "Delete old logs.",
    ]
    before = Answer(tuple(Sentence(line, (Citation("disks/DiskFull.md", "v1", line),)) for line in lines))
    played = Loop(Library(DISK)).play("Shorter, please", [(QUESTION, before)])

    assert [sentence.text for sentence in played.answer.sentences] == lines[:2] and played.rounds == 1


def test_a_follow_up_leans_on_the_question_before() -> None:
    before = Answer((Sentence("Check which table grew.", (Citation("disks/DiskFull.md", "v1", "Check which table grew."),)),))
    played = Loop(Library(DISK)).play("And how do I fix it?", [(QUESTION, before)])

    assert "Delete old logs of the database, then raise the quota." in played.text


REAL = [
    ("prometheus-runbooks", "What should I check first when etcd has no leader?", "etcd/etcdNoLeader.md"),
    ("prometheus-runbooks", "What is the impact of CPUThrottlingHigh?", "kubernetes/CPUThrottlingHigh.md"),
    ("prometheus-runbooks", "The clock of a node is wrong. What causes this?", "node/NodeClockNotSynchronising.md"),
    (
        "prometheus-runbooks",
        "My host is running out of inodes, what are the consequences?",
        "node/NodeFilesystemFilesFillingUp.md",
    ),
    ("incident-response", "What is span of control?", "training/glossary.md"),
    ("incident-response", "What makes a good alert?", "oncall/alerting_principles.md"),
    ("incident-response", "When must a postmortem meeting be scheduled for a SEV-2?", "after/post_mortem_process.md"),
    ("prometheus-runbooks", "What is the vacation policy?", ""),
    ("incident-response", "What is the vacation policy?", ""),
    ("prometheus-runbooks", "How do I configure Kafka consumer groups?", ""),
    ("incident-response", "What database does the billing service use?", ""),
    ("incident-response", "Who is the chief financial officer?", ""),
]


@pytest.mark.parametrize(("docs", "question", "source"), REAL)
def test_questions_over_real_documents(docs: str, question: str, source: str, corpora: Path) -> None:
    played = play(library(corpora / docs), question)

    if source:
        assert source in played.sources
    else:
        assert not played.answer.sentences and played.answer.gaps


@cache
def library(folder: Path) -> Library:
    return Library.of(folder)
