"""The keyless model with specialists: whom it asks, what it makes of what comes back, and what it claims where it is one."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest
from tests.companies import Company, company
from tests.reading_loop import TOOLS, Library, Loop, Played, Specialist, delegate, play, reported
from tests.test_extractive import finds_the_cause

from standpipe.core.claims import disagreements
from standpipe.core.control import AnswerArguments, AnswerClaim, DelegateArguments
from standpipe.core.items import (
    Answer,
    Body,
    Citation,
    Claim,
    Conflict,
    ConflictValue,
    Draft,
    Failure,
    Gap,
    Item,
    Passage,
    Sentence,
    Text,
    ToolCall,
    place,
)
from standpipe.core.tools import ToolSpec
from standpipe.drivers.models.extractive import respond

SEEDS = range(20)
STAFF = {
    "incidents": "incident reports and postmortems: what went wrong before, and why",
    "architecture": "how services and their components are built, with their limits and settings",
    "operations": "deployments, rollback, and who is on call",
}
QUESTION = "What is the retry limit of billing?"
STATES = Passage("state.md", "v1", "# State\n\nThe disk of the database is full.\n", score=3.0, folder="docs")


def conversation(*bodies: tuple[Body, str] | tuple[Body, str, str], question: str = QUESTION) -> list[Item]:
    """A question, the first look, what it found, then these bodies with their origins and what they answer."""
    first: list[tuple[Body, str]] = [(Text(question), "user"), (ToolCall("search", {"query": question}), "runtime")]
    items = []
    for number, (body, origin, *answers) in enumerate([*first, *bodies]):
        items.append(place(Draft(body, answers=answers[0] if answers else ""), f"{number}.0", origin))
    return items


def calls(items: list[Item], tools: list[ToolSpec]) -> list[ToolCall]:
    found = respond(items, tools)
    assert all(isinstance(call, ToolCall) for call in found)
    return [call for call in found if isinstance(call, ToolCall)]


def asked(items: list[Item], staff: dict[str, str]) -> list[DelegateArguments]:
    """What is asked by a reader that has nothing left to look for."""
    made = calls(items, [*(tool for tool in TOOLS if tool.name in ("plan", "answer")), delegate(staff)])
    return [msgspec.convert(call.arguments, DelegateArguments) for call in made if call.name == "delegate"]


def answered(items: list[Item], tools: list[ToolSpec]) -> AnswerArguments:
    (call,) = calls(items, tools)
    assert call.name == "answer", call
    return msgspec.convert(call.arguments, AnswerArguments)


def cited(quote: str, source: str = "billing.md") -> Citation:
    return Citation(source, "v7", quote, "docs")


# --- whom it asks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "fits"),
    [
        ("everything about billing", True),
        ("DATABASES", True),
        ("reads state pages", True),
        ("sings sea shanties", False),
        ("", False),
    ],
    ids=["in the question", "in what was found", "in a path", "nowhere", "nothing said"],
)
def test_specialists_are_asked_whose_description_is_spoken_of(does: str, fits: bool) -> None:
    found = asked(conversation((STATES, "tool:search")), {"one": "lists opening hours of zoos", "two": does})

    assert [one.to for one in found] == (["two"] if fits else [])


def test_a_specialist_without_a_description_is_known_by_its_name() -> None:
    assert [one.to for one in asked(conversation(), {"billing_numbers": ""})] == ["billing_numbers"]


def test_at_most_five_are_asked_the_closest_first() -> None:
    staff = {f"s{n}": "disks" for n in range(6)} | {"billing": "retries of billing"}

    assert [one.to for one in asked(conversation((STATES, "tool:search")), staff)] == ["billing", "s0", "s1", "s2", "s3"]


def test_a_task_needs_no_other_words_and_begins_with_the_field() -> None:
    (one,) = asked(conversation(), {"billing": "knows\n billing"})

    assert one.task == f"Field: knows billing\n{QUESTION}" and "billing" in one.why
    before = [place(Draft(Text(QUESTION)), "a.0", "user"), place(Draft(Answer((Sentence("It is 3."),))), "b.0", "extractive")]
    (again,) = asked(before + conversation(question="And who changed it?"), {"billing": "knows billing"})
    assert "billing" in again.task.splitlines()[1] and again.task.endswith("And who changed it?")


def test_specialists_are_asked_once_and_go_off_no_look_of_ones_own(seed: int = 3) -> None:
    made, library = shelf(seed)
    played = supervised(seed)
    own = [item.body.name for item in played.items if isinstance(item.body, ToolCall) and item.origin == "extractive"]
    first = own.index("delegate")

    assert set(own[first:-1]) == {"delegate"} and own[:first] == ["plan", "revise", "revise"] and own[-1] == "answer"
    assert len({one.to for one in played.asked}) == len(played.asked) == 3 and all(one.optional for one in played.asked)
    assert played.revisions == play(library, made.question).revisions


def test_who_cannot_look_itself_asks_and_cannot_do_without() -> None:
    tools = [tool for tool in TOOLS if tool.name in ("plan", "answer")] + [delegate({"billing": "knows billing"})]
    plan, one = calls(conversation(), tools)

    assert [*plan.arguments["parts"]] == [QUESTION] and not plan.arguments["steps"]
    assert (one.name, one.arguments["optional"]) == ("delegate", False)


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_where_none_fits_nothing_changes(seed: int) -> None:
    made, library = shelf(seed)
    unfit = {"zoo": Specialist("giraffes", library)}

    assert Loop(library, specialists=unfit).play(made.question).items == play(library, made.question).items


# --- what comes back ---------------------------------------------------------------------------------------------------

ASKED = ToolCall("delegate", {"to": "numbers", "task": "?"})


def heard(answer: Answer, *more: tuple[Body, str], question: str = QUESTION) -> AnswerArguments:
    """What is answered when this came from a specialist, and nothing else was found but `more`."""
    items = conversation((ASKED, "extractive"), (answer, "agent:numbers", "2.0"), *more, question=question)
    return answered(items, [tool for tool in TOOLS if tool.name in ("answer", "delegate")])


def test_what_a_specialist_quotes_is_said_with_exactly_its_citations() -> None:
    row, head = "| billing | retry limit | 3 attempts |", "| name | setting | value |"
    told = Sentence("billing; setting: retry limit; value: 3 attempts", (cited(head), cited(row)))
    found = heard(Answer((told,)))

    (one,) = found.sentences
    assert one.text == told.text and {(c.source, c.quote) for c in one.citations} == {("billing.md", head), ("billing.md", row)}
    assert found.gaps == ()


def test_words_that_no_quote_has_are_not_passed_on() -> None:
    quote = "The retry limit of billing is 3 attempts."
    for lie in ("The retry limit of billing is never 3 attempts.", "The retry limit of billing is 3 attempts, ask Bob."):
        (one,) = heard(Answer((Sentence(lie, (cited(quote),)),))).sentences
        assert one.text == quote
    (left_out,) = heard(Answer((Sentence("The limit is 3 attempts.", (cited("The limit is not 3 attempts."),)),))).sentences
    assert "not" in left_out.text
    assert heard(Answer((Sentence("The retry limit of billing is 3 attempts."),))).sentences == ()


def test_what_has_no_word_of_the_question_is_passed_on_all_the_same() -> None:
    sentences = [
        Sentence(text, (cited(text),))
        for text in ("The retry limit of billing is 3 attempts.", "Nalmere kept the dead processes as owners.")
    ]
    found = heard(Answer(tuple(sentences)))

    assert [one.text for one in found.sentences] == [sentence.text for sentence in sentences]


def test_what_was_seen_already_is_not_said_twice() -> None:
    quote = "The retry limit of billing is 3 attempts."
    seen = Passage("billing.md", "v7", f"# Billing\n\n{quote} It is tried again after a second.\n", score=2.0, folder="docs")
    found = heard(Answer((Sentence(quote, (cited(quote),)),)), (seen, "tool:search"))

    assert [one.text for one in found.sentences].count(quote) == 1


def test_gaps_of_specialists_stand_only_where_nothing_answers() -> None:
    gap = Gap("The archive of 1999 is closed.", 0)
    quote = "The retry limit of billing is 3 attempts."

    assert gap.text in [one.text for one in heard(Answer(gaps=(gap,))).gaps]
    assert heard(Answer((Sentence(quote, (cited(quote),)),), (gap,))).gaps == ()


def test_a_lost_specialist_is_a_gap_only_where_nothing_answers() -> None:
    lost = conversation((ASKED, "extractive"), (Failure("timeout", "It did not answer in time."), "runtime", "2.0"))
    quote = "The retry limit of billing is 3 attempts."
    told = conversation(
        (ASKED, "extractive"), (Failure("x", "x"), "runtime", "2.0"), (Passage("b.md", "v", quote), "tool:read")
    )
    only = [tool for tool in TOOLS if tool.name == "answer"]

    assert any("numbers" in gap.text for gap in answered(lost, only).gaps)
    assert answered(told, only).gaps == () and answered(told, only).sentences


def test_who_could_not_be_asked_is_named_whatever_was_found() -> None:
    seen = Passage("b.md", "v", "The retry limit of billing is 3 attempts.")
    refused = Failure("steps", "The plan has no room for another step.")
    items = conversation((ASKED, "extractive"), (refused, "runtime", "2.0"), (seen, "tool:read"))
    found = answered(items, [tool for tool in TOOLS if tool.name == "answer"])

    assert found.sentences and [(gap.part, "`numbers`" in gap.text) for gap in found.gaps] == [(-1, True)]


def test_conflicts_are_passed_on_once() -> None:
    one, two = "The retry limit of billing is 3 attempts.", "| billing | retry limit | 5 attempts |"
    found = Conflict("retry limit", (ConflictValue("3 attempts", cited(one)), ConflictValue("5 attempts", cited(two, "s.md"))))
    again = msgspec.structs.replace(found, values=found.values[::-1])

    assert [c.about for c in heard(Answer(conflicts=(found, again))).conflicts] == ["retry limit"]


def test_quotes_of_two_specialists_that_disagree_are_a_conflict() -> None:
    one, two = "The retry limit of billing is 3 attempts.", "The retry limit of billing is 5 attempts."
    reports = (Answer((Sentence(q, (cited(q, s),)),)) for q, s in ((one, "billing.md"), (two, "billing-notes.md")))
    items = conversation((ASKED, "extractive"), *((report, "agent:numbers", "2.0") for report in reports))
    (conflict,) = answered(items, [tool for tool in TOOLS if tool.name == "answer"]).conflicts

    assert {(v.value, v.source) for v in conflict.values} == {("3 attempts", "billing.md"), ("5 attempts", "billing-notes.md")}


# --- what a specialist claims ------------------------------------------------------------------------------------------


def claimed(*documents: tuple[str, str], question: str = QUESTION, by: str = "task") -> tuple[AnswerClaim, ...]:
    passages = [Passage(source, "v1", text, folder="docs") for source, text in documents]
    items = [place(Draft(Text(question)), "0.0", by), *(place(Draft(p), f"{n}.1", "tool:read") for n, p in enumerate(passages))]
    return answered(items, [tool for tool in TOOLS if tool.name == "answer"]).claims


WAYS = [
    "# Billing\n\nThe retry limit of billing is 3 attempts.\n",
    "# Billing\n\n## Limits\n\n- retry limit: 3 attempts\n",
    "# Billing\n\n## Limits\n\n| setting | value |\n|---|---|\n| retry limit | 3 attempts |\n",
    "# Billing\n\nFor billing the retry limit is 3 attempts in both regions.\n",
    "# Billing\n\nWe run billing with a retry limit of 3 attempts.\n",
]
ELSEWHERE = [
    "# Cluster\n\n- Billing: retry limit = 3 attempts\n- checkout: retry limit = 9 attempts\n",
    "# Cluster\n\n| name | setting | value |\n|---|---|---|\n| billing | retry limit | 3 attempts |\n",
    "# Cluster\n\n## Billing\n\n- retry limit: 3 attempts\n",
]


@pytest.mark.parametrize(
    ("source", "text"), [*(("services/billing.md", text) for text in WAYS), *(("cluster.md", text) for text in ELSEWHERE)]
)
def test_however_it_is_said_it_is_the_same_claim(source: str, text: str) -> None:
    (one,) = [claim for claim in claimed((source, text)) if claim.subject == "billing"]

    assert (one.predicate, one.value, one.unit, one.source) == ("retry limit", "3", "attempts", source)
    assert one.quote in text and "3" in one.quote


def test_versions_settings_rates_and_dates_are_claimed() -> None:
    text = (
        "# Billing\n\nBilling runs on Postgres version 15.4.\n\nThe mode of billing is set to strict.\n\n"
        "On 2024-05-02 the rate limit of billing is 60 requests/s.\n"
    )
    found = {(c.predicate, c.value, c.unit, c.time) for c in claimed(("billing.md", text), question="What of billing?")}

    assert {value for _, value, *_ in found} == {"15.4", "strict", "60"}
    assert ("mode", "strict", "", "") in found and any(c[2:] == ("requests per second", "2024-05-02") for c in found)


def test_what_a_document_says_twice_differently_or_only_of_the_past_is_not_claimed() -> None:
    twice = ("# Billing\n\nThe retry limit of billing is 3 attempts.\n\nBilling: retry limit 5 attempts.\n", ())
    past = ("# Billing\n\nUntil May the retry limit of billing was 2 attempts.\n", ())

    assert claimed(("billing.md", twice[0])) == claimed(("billing.md", past[0])) == ()


def test_only_who_is_asked_by_an_agent_claims_and_at_most_twelve() -> None:
    text = "# Billing\n\n" + "\n".join(f"- {name} limit: {n} MB" for n, name in enumerate("abcdefghijklmnop", 3)).replace(
        "- ", "- Memory "
    )

    assert claimed(("billing.md", text), by="user") == ()
    assert len(claimed(("billing.md", text))) <= 12
    assert claimed(("billing.md", WAYS[0]))


def test_the_field_is_searched_and_is_no_part_of_the_question() -> None:
    library = Library({"a.md": "# Retry\n\nThe retry limit of billing is 3 attempts.\n"})
    played = Loop(library).play(f"Field: giraffes and zebras\n{QUESTION}", by="task")

    assert played.plan is not None and played.plan.parts == (QUESTION,) and not played.answer.gaps
    assert any("giraffes" in str(step.arguments.get("query")) for step in played.plan.steps)


# --- whole companies ---------------------------------------------------------------------------------------------------


@cache
def shelf(seed: int) -> tuple[Company, Library]:
    """A company, and what its principal may read."""
    made = company(seed)
    return made, Library({p: text for p, text in made.files.items() if p != "access.rel" and p not in made.restricted})


@cache
def supervised(seed: int) -> Played:
    """The company's question, with a specialist of each field; the last one is lost."""
    made, library = shelf(seed)
    staff = {name: Specialist(does, None if name == "operations" else library) for name, does in STAFF.items()}
    return Loop(library, specialists=staff).play(made.question)


@pytest.mark.slow
def test_with_specialists_companies_are_answered_no_worse() -> None:
    found = [(shelf(seed)[0], supervised(seed)) for seed in SEEDS]

    assert all({"incidents", "operations"} <= {one.to for one in played.asked} for _, played in found)
    assert sum(finds_the_cause(made, played) for made, played in found) >= 18
    assert sum(made.on_call[0] in played.text for made, played in found) >= 18
    conflicts = [(made.conflict, {v.value for v in c.values}) for made, played in found for c in played.answer.conflicts]
    assert sum(values == set(real.values) for real, values in conflicts) >= 18
    assert sum(values != set(real.values) for real, values in conflicts) <= 2


def test_specialists_that_read_one_side_each_disagree_in_their_claims() -> None:
    real = false = 0
    for seed in SEEDS[:8]:
        made, library = shelf(seed)
        said: list[Claim] = []
        for path, does in zip(made.conflict.documents, (STAFF["architecture"], "what is configured"), strict=True):
            others = {p: text for p, text in library.documents.items() if p == path or p not in made.conflict.documents}
            report = Loop(Library(others)).play(f"Field: {does}\n{made.question}", by="task")
            said += reported(report.answer).claims
        found = [{v.citation.source for v in conflict.values} for conflict in disagreements(said)]
        real += set(made.conflict.documents) in found
        false += sum(sources != set(made.conflict.documents) for sources in found)

    assert real >= 7 and false == 0
