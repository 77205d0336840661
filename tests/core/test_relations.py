"""Relations: their text, what they add up to (against an evaluator that searches the other way round), and why."""

from __future__ import annotations

import re
import timeit
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.core.relations import Problem, Relation, difference, parse, parse_access_file
from standpipe.core.rights import Reach, Why, explain, graph, reach

# --- the text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("document:hr/*#reader@group:hr#member", Relation("document:hr/*", "reader", "group:hr", "member")),
        ("  group:hr#member@user:ana\t", Relation("group:hr", "member", "user:ana")),
        ("incident:7#reader@user:ana@example.org", Relation("incident:7", "reader", "user:ana@example.org")),
        ("document:hr/**#reader@user:*", Relation("document:hr/*", "reader", "user:*")),
        ("document:a b/c#1@d.md#reader@user:ana", Relation("document:a b/c#1@d.md", "reader", "user:ana")),
        ("group:eu#member@user:https://issuer/1", Relation("group:eu", "member", "user:https://issuer/1")),
    ],
)
def test_a_relation_is_read(text: str, relation: Relation) -> None:
    assert parse(text) == relation
    assert parse(relation.text) == relation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "TYPE:ID#RELATION@SUBJECT"),
        ("document:hr/*", "TYPE:ID#RELATION@SUBJECT"),
        ("document:hr/*#reader", "TYPE:ID#RELATION@SUBJECT"),
        ("document:hr/*#Reader@user:ana", "TYPE:ID#RELATION@SUBJECT"),
        ("hr/*#reader@user:ana", "lower-case type"),
        ("Document:hr#reader@user:ana", "lower-case type"),
        ("document:/hr/a.md#reader@user:ana", "relative to its folder"),
        ("document:a\x07#reader@user:ana", "control characters"),
        ("document:hr#reader@user:", "subject TYPE:ID"),
        ("document:hr#reader@group:hr#", "name of a relation"),
        ("document:hr#reader@group:hr#member of", "name of a relation"),
        ("document:hr#reader@user:an*", "whole id"),
        ("document:hr#reader@group:*#member", "whole id"),
    ],
)
def test_a_bad_relation_says_what_was_expected(text: str, expected: str) -> None:
    problem = parse(text, 4)

    assert isinstance(problem, Problem)
    assert problem.line == 4
    assert text[:20].strip() in problem.found.replace("\\x07", "\x07")
    assert expected in problem.expected


def test_an_access_file_is_read_line_by_line() -> None:
    text = (
        "\ufeff// Who may read what\r\n\r\n"
        "group:hr#member@user:ana // since May\n"
        "  document:hr/*#reader@group:hr#member\n//nothing\n"
        "group:hr#member@user:ana"
    )

    assert parse_access_file(text) == ("document:hr/*#reader@group:hr#member", "group:hr#member@user:ana")
    assert parse_access_file("") == ()


def test_the_first_bad_line_is_named() -> None:
    problem = parse_access_file("// fine\ngroup:hr#member@user:ana\ngroup:hr member user:ana\nworse")

    assert isinstance(problem, Problem)
    assert (problem.line, problem.found) == (3, "'group:hr member user:ana'")


def test_a_long_bad_line_is_cut_in_the_message() -> None:
    problem = parse("x" * 10_000)

    assert isinstance(problem, Problem)
    assert len(problem.found) < 120


# --- applying a file ---------------------------------------------------------------------------------------------------

ANA, BOB, CAT = "group:hr#member@user:ana", "group:hr#member@user:bob", "group:hr#member@user:cat"


def test_a_file_applied_first_grants_all_it_says() -> None:
    assert difference(None, [ANA, BOB], []) == ((ANA, BOB), ())


def test_what_a_command_revoked_stays_revoked_while_the_file_still_says_it() -> None:
    assert difference([ANA, BOB], [ANA, BOB, CAT], [BOB]) == ((CAT,), ())


def test_what_the_file_stops_saying_is_revoked_and_what_a_command_granted_stays() -> None:
    assert difference([ANA, BOB], [ANA], [ANA, BOB, CAT]) == ((), (BOB,))
    assert difference([ANA, BOB], [ANA], [ANA, CAT]) == ((), ())


def test_a_relation_that_left_the_file_and_came_back_is_granted_anew() -> None:
    assert difference([], [ANA], []) == ((ANA,), ())


# --- what they add up to -----------------------------------------------------------------------------------------------


def reached(texts: Iterable[str], principal: str, revision: int, namespace: str, governed: list[str]) -> Reach:
    return reach(graph(texts, revision, namespace, governed), principal)


GROUPS = [f"group:{name}" for name in ("a", "b", "a-eu")]
USERS = ["user:ana", "user:bob", "service:bot"]
DOCUMENTS = ["document:hr/a.md", "document:hr/eu/a.md", "document:plan.md"]
PATTERNS = ["document:*", "document:hr/*", "document:*a.md", "document:hr/*/a*", "group:a*", "group:*"]
SUBJECTS = [
    *[(g, "member") for g in GROUPS],
    *[(u, "") for u in USERS],
    ("user:*", ""),
    (DOCUMENTS[0], "reader"),
    (GROUPS[0], ""),
]

relations = st.builds(
    lambda object, relation, subject: Relation(object, relation, *subject),
    st.sampled_from(GROUPS + DOCUMENTS + PATTERNS),
    st.sampled_from(["member", "member", "reader"]),
    st.sampled_from(SUBJECTS),
)


def naive(everything: list[Relation], principal: str, object: str, relation: str, asked: frozenset[tuple[str, str]]) -> bool:
    """Backwards from the object, by definition: who is named, directly or through a set that holds the principal."""
    if (object, relation) in asked:
        return False
    for one in everything:
        if one.relation != relation or not re.fullmatch(re.escape(one.object).replace(r"\*", ".*"), object):
            continue
        if one.via:
            if naive(everything, principal, one.subject, one.via, asked | {(object, relation)}):
                return True
        elif one.subject in (principal, principal.split(":", maxsplit=1)[0] + ":*"):
            return True
    return False


@given(st.lists(relations, max_size=14), st.sampled_from([*USERS, GROUPS[0]]))
def test_the_closure_agrees_with_a_search_from_the_object(everything: list[Relation], principal: str) -> None:
    edges = [one.text for one in everything]
    held = reached(edges, principal, 1, "folder", ["document"])

    for object in (*DOCUMENTS, *GROUPS, "document:", "document:hr/"):
        for relation in ("reader", "member"):
            expected = naive(everything, principal, object, relation, frozenset())
            assert held.allows(object, relation) == expected
            chain = explain(held, object, relation).chain
            assert bool(chain) == expected
            assert not chain or justifies(
                [link for text in chain if isinstance(link := parse(text), Relation)], principal, object
            )


def justifies(chain: list[Relation], principal: str, object: str) -> bool:
    """Whether each link leads to the next and the last one to the principal."""
    for link in chain:
        if not re.fullmatch(re.escape(link.object).replace(r"\*", ".*"), object):
            return False
        object = link.subject
    return chain[-1].via == "" and object in (principal, principal.split(":", maxsplit=1)[0] + ":*")


@given(st.lists(relations, max_size=10), relations, st.sampled_from(USERS), st.sampled_from(DOCUMENTS))
def test_a_grant_never_takes_a_right_away(everything: list[Relation], more: Relation, principal: str, object: str) -> None:
    texts = [one.text for one in everything]
    before = reached(texts, principal, 1, "folder", ["document"])
    after = reached([*texts, more.text], principal, 2, "folder", ["document"])

    assert after.allows(object) or not before.allows(object)


@given(st.text("a*/", max_size=8), st.text("a/", max_size=8))
def test_a_star_stands_for_any_characters(pattern: str, path: str) -> None:
    held = reached([f"document:x{pattern}#reader@user:ana"], "user:ana", 1, "folder", ["document"])

    assert held.allows(f"document:x{path}") == bool(re.fullmatch(pattern.replace("*", ".*"), path))


def test_groups_may_be_nested_and_circular() -> None:
    held = reached(
        [
            "document:a.md#reader@group:top#member",
            "group:top#member@group:middle#member",
            "group:middle#member@group:low#member",
            "group:low#member@group:top#member",
            "group:low#member@user:ana",
        ],
        "user:ana",
        1,
        "folder",
        ["document"],
    )

    assert held.allows("document:a.md")
    assert not held.allows("document:b.md")


def test_nobody_becomes_a_set_of_principals_by_taking_its_name() -> None:
    edges = ["document:a.md#reader@group:hr#member", "group:hr#member@user:ana"]

    assert not reached(edges, "group:hr#member", 1, "folder", ["document"]).allows("document:a.md")
    assert not reached(edges, "group:hr", 1, "folder", ["document"]).allows("document:a.md")


def test_everybody_is_everybody_of_a_type() -> None:
    edges = ["document:a.md#reader@user:*"]

    assert reached(edges, "user:new", 1, "folder", ["document"]).allows("document:a.md")
    assert not reached(edges, "service:new", 1, "folder", ["document"]).allows("document:a.md")


def test_a_folder_without_rules_is_open_and_a_tenants_types_close_one_by_one() -> None:
    nothing: list[str] = []

    assert reached(nothing, "user:ana", 1, "folder", []).allows("document:a.md")
    assert not reached(nothing, "user:ana", 1, "folder", []).allows("group:hr", "member")
    assert not reached(nothing, "user:ana", 1, "folder", ["document"]).allows("document:a.md")
    assert reached(nothing, "user:ana", 1, "", ["incident"]).allows("invoice:7")
    assert not reached(nothing, "user:ana", 1, "", ["incident"]).allows("incident:7")


def test_why_is_the_shortest_chain() -> None:
    edges = [
        "document:hr/*#reader@group:hr#member",
        "group:hr#member@group:eu#member",
        "group:eu#member@user:ana",
        "group:hr#member@user:ana",
    ]

    held = reached(edges, "user:ana", 1, "folder", ["document"])
    assert explain(held, "document:hr/a.md") == Why(
        True, "granted", ("document:hr/*#reader@group:hr#member", "group:hr#member@user:ana")
    )
    assert explain(reached(edges, "user:bob", 1, "folder", ["document"]), "document:hr/a.md") == Why(False, "nothing")


def test_a_check_takes_microseconds_however_many_relations_there_are() -> None:
    texts = [f"document:team{n}/*#reader@group:g{n}#member" for n in range(3_000)]
    texts += [f"group:g{n}#member@group:g{n + 1}#member" for n in range(2_999)] + ["group:g2999#member@user:ana"]
    held = reached(texts, "user:ana", 1, "folder", ["document"])

    seconds = min(timeit.repeat(lambda: held.allows("document:elsewhere/a.md"), number=1_000, repeat=5)) / 1_000
    assert held.allows("document:team7/x/y.md")
    assert seconds < 20e-6  # 2 us on the machine this was written on
