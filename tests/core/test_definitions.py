"""Definitions and ends: their text, what an access.rel may say of them, what they grant, and why."""

from __future__ import annotations

import pytest

from standpipe.core.definitions import Definition, Operation, parse_definition
from standpipe.core.relations import (
    Problem,
    Relation,
    difference,
    inconsistent,
    instant_text,
    meant,
    parse,
    parse_access_file,
    read,
    replaced,
)
from standpipe.core.rights import FOREVER, Why, explain, graph, reach

ANA = "group:hr#member@user:ana"
DEFINED = "document#reader = viewer & employee - blocked"
UNTIL = 1_796_083_200_000  # 2026-12-01T00:00Z


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("document#reader = viewer & employee - blocked", "document#reader = viewer & employee - blocked"),
        ("document#reader=viewer&employee -blocked", "document#reader = viewer & employee - blocked"),
        ("  document#reader =  (viewer)", "document#reader = viewer"),
        ("document#reader = (viewer + editor) & employee", "document#reader = (viewer + editor) & employee"),
        ("document#reader = ((a + b) - c) + d", "document#reader = a + b - c + d"),
        ("document#reader = a - (b - c)", "document#reader = a - (b - c)"),
        ("group#member = member - suspended-now", "group#member = member - suspended-now"),
    ],
)
def test_a_definition_is_read_from_left_to_right(text: str, canonical: str) -> None:
    said = read(text)

    assert isinstance(said, Definition) and said.text == canonical
    assert read(canonical) == said


def test_signs_nest_as_they_are_written() -> None:
    said = parse_definition("document#reader = a - b + c")

    assert said == Definition("document", "reader", Operation("+", Operation("-", "a", "b"), "c"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("document#reader =", "the name of a relation at the end"),
        ("document#reader = viewer &", "the name of a relation at the end"),
        ("document#reader = & viewer", "the name of a relation before the `&`"),
        ("document#reader = viewer employee", "+, & or -, with spaces around it, before the `employee`"),
        ("document#reader = (viewer", "a closing parenthesis"),
        ("document#reader = viewer)", "before the `)`"),
        ("document#reader = viewer | employee", "the signs + & - ( )"),
        ("document#reader = a + b & c", "parentheses that say what the `&` after a `+` belongs to"),
        ("document#reader = a - b & c", "parentheses that say what the `&` after a `-` belongs to"),
        ("document#reader = " + " + ".join(["a"] * 40), "at most 64"),
    ],
)
def test_a_bad_definition_says_what_was_expected(text: str, expected: str) -> None:
    problem = read(text, 3)

    assert isinstance(problem, Problem)
    assert problem.line == 3 and expected in problem.expected


def test_an_end_is_read_with_its_zone_and_told_in_utc() -> None:
    assert parse(f"{ANA} until 2026-12-01T00:00Z") == Relation("group:hr", "member", "user:ana", "", UNTIL)
    assert parse(f"{ANA}  until  2026-12-01T01:00:00+01:00") == parse(f"{ANA} until 2026-12-01T00:00Z")
    assert instant_text(UNTIL) == "2026-12-01T00:00Z"
    assert instant_text(UNTIL + 7_000) == "2026-12-01T00:00:07Z"
    for wrong in ("2026-12-01", "2026-13-01T00:00Z", "2026-12-01T00:00:00.5Z", "1969-12-01T00:00Z"):
        problem = parse(f"{ANA} until {wrong}")
        assert isinstance(problem, Problem) and "after `until` an instant" in problem.expected


def test_what_was_a_name_before_there_were_ends_still_is_one() -> None:
    assert parse("document:wait until dawn.md#reader@user:ana") == Relation("document:wait until dawn.md", "reader", "user:ana")
    assert parse("document:a.md#reader@user:lives until dawn") == Relation("document:a.md", "reader", "user:lives until dawn")


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("document#reader = viewer\n// twice\ndocument#reader = editor", 3, "it is defined in line 1"),
        ("document#reader = viewer\ndocument#viewer = reader", 1, "does not lead to itself"),
        ("\ndocument#reader = viewer - reader", 2, "nothing that leads back to document#reader"),
        (
            "group:a#suspended@group:b#member\n\ngroup#member = member - suspended",
            3,
            "nothing that leads back to group#member, as group#suspended does by `group:a#suspended@group:b#member`",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_with_its_line(text: str, line: int, expected: str) -> None:
    problem = parse_access_file(text)

    assert isinstance(problem, Problem)
    assert problem.line == line and expected in problem.expected


def test_a_definition_that_grows_with_every_name_is_refused() -> None:
    texts = [f"document#r{n} = r{n + 1} + r{n + 1}" for n in range(30)]

    wrong = inconsistent(texts)
    assert wrong is not None and "at most 256 relations" in wrong.expected
    assert inconsistent(texts[-7:]) is None


def test_a_grant_replaces_the_same_with_another_end_and_another_definition_of_the_same() -> None:
    ends = f"{ANA} until 2026-12-01T00:00Z"
    in_force = [ANA, DEFINED, "document#viewer = editor"]

    assert replaced(in_force, [ends, "document#reader = viewer"]) == {ANA, DEFINED}
    assert replaced(in_force, [ANA]) == frozenset()
    assert meant([ends, DEFINED], [ANA]) == {ends}
    assert difference([ANA], [ends], [ANA]) == ((ends,), (ANA,))
    assert difference([], [ends], [ANA]) == ((ends,), (ANA,))
    assert difference([ends], [ends], [ANA]) == ((), ()), "what a command changed stays while the file says the same"


STORY = [
    "document:*#employee@group:staff#member",
    "document:hr/*#viewer@group:hr#member",
    "document:hr/pay.md#blocked@user:bob",
    "group:staff#member@group:hr#member",
    ANA,
    "group:hr#member@user:bob",
    "group:hr#member@user:eve until 2026-12-01T00:00Z",
    "document:hr/*#viewer@user:guest",
    DEFINED,
]
MADE = graph(STORY, 1, "folder", ("document",))


def test_a_definition_intersects_and_excludes() -> None:
    may = {who: reach(MADE, f"user:{who}") for who in ("ana", "bob", "guest")}

    assert may["ana"].filter(["document:hr/pay.md", "document:plan.md", "document:hr/a.md"]) == [
        "document:hr/pay.md",
        "document:hr/a.md",
    ]
    assert may["bob"].filter(["document:hr/pay.md", "document:hr/a.md"]) == ["document:hr/a.md"]
    assert may["guest"].filter(["document:hr/pay.md", "document:hr/a.md"]) == []


def test_why_names_what_grants_excludes_and_is_missing() -> None:
    def why(who: str, document: str) -> Why:
        return explain(reach(MADE, f"user:{who}", explained=True), document)

    staff = ("document:*#employee@group:staff#member", "group:staff#member@group:hr#member", ANA)
    viewer = ("document:hr/*#viewer@group:hr#member", ANA)
    assert why("ana", "document:hr/pay.md") == Why(True, "granted", (DEFINED, *viewer, *staff))
    assert why("bob", "document:hr/pay.md") == Why(False, "excluded", (DEFINED, "document:hr/pay.md#blocked@user:bob"))
    assert why("guest", "document:hr/a.md") == Why(False, "missing", (DEFINED,), "employee")
    assert why("ana", "document:plan.md") == Why(False, "missing", (DEFINED,), "viewer")
    assert explain(reach(graph([ANA], 1, "folder"), "user:ana"), "document:a.md") == Why(True, "open")


def test_why_leads_through_a_group_that_is_defined() -> None:
    texts = ["document:a.md#reader@group:hr#member", "group#member = member - gone", ANA, "group:hr#member@user:bob"]
    made = graph([*texts, "group:hr#gone@user:bob"], 1, "folder", ("document",))

    assert explain(reach(made, "user:ana", explained=True), "document:a.md").chain == tuple([texts[0], texts[1], ANA])
    assert explain(reach(made, "user:bob", explained=True), "document:a.md") == Why(False, "nothing")


def test_a_relation_ends_at_its_instant_and_rights_know_when_that_is() -> None:
    before, after = (reach(MADE, "user:eve", now) for now in (UNTIL - 1, UNTIL))

    assert (before.allows("document:hr/pay.md"), before.until) == (True, UNTIL)
    assert (after.allows("document:hr/pay.md"), after.until) == (False, FOREVER)


def test_an_exclusion_that_ends_gives_the_right_back() -> None:
    texts = ["document:a.md#viewer@user:ana", "document:a.md#blocked@user:ana until 2026-12-01T00:00Z"]
    made = graph([*texts, "document#reader = viewer - blocked"], 1, "folder", ("document",))

    assert [reach(made, "user:ana", now).allows("document:a.md") for now in (UNTIL - 1, UNTIL)] == [False, True]


def test_definitions_that_have_no_meaning_never_make_rights() -> None:
    with pytest.raises(ValueError, match="leads back"):
        graph(["group:a#gone@group:b#member", "group#member = member - gone"])
    with pytest.raises(ValueError, match="defined twice"):
        graph([DEFINED, "document#reader = viewer"])
