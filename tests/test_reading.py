"""How the keyless model reads: what can be quoted, what a question asks, what is a conflict, what recurs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.core.items import Draft, Item, Passage, Text, place
from standpipe.drivers.models.reading.clauses import clauses, follow
from standpipe.drivers.models.reading.conflict import disagreements
from standpipe.drivers.models.reading.evidence import Evidence, dates, gather
from standpipe.drivers.models.reading.measures import measures
from standpipe.drivers.models.reading.question import understand
from standpipe.drivers.models.reading.recurrence import recurring
from standpipe.drivers.models.reading.sentences import Unit, clean, units
from standpipe.drivers.models.reading.terms import stem, terms

MARKDOWN = """---
title: Front
weight: 20
---

# Disk full

Intro says one thing. It says e.g. another,
over two lines. See [the *other* page](../other.md){:target="_blank"}.

## Diagnosis

Check the following:

* Look at `df`.
* Logs of the
  last hour
    1. nested

Run this:

```shell
$ df -h
```

| name | setting | value |
|---|---|---|
| orders | timeout | 5 s |

!!! warning "Careful"
    Do not delete the wrong file.

max_connections: 20
idle_timeout = 5m

```yaml
replicas: 3
```
"""
RST = """Title
=====

.. note:: Read this first.

.. py:data:: LIMIT

    How many bytes at most.

    .. code-block:: python

        secret = compute(LIMIT)

=======  =====
setting  value
=======  =====
retries  3
=======  =====
"""
HTML = """<html><head><title>No</title></head><body><h1>Roll back</h1><p>Run <b>undo</b> &amp; wait. Then rest.</p>
<ul><li>First item.</li></ul><table><tr><td>pool</td><td>40 connections</td></tr></table></body></html>"""
PLAIN = "Servers\n\nWHAT THEY DO\n\nThey serve. They rest.\n\nname   port\nalpha   80\n"


def read(text: str) -> list[Unit]:
    return [*units(text, whole=True)]


def said(text: str) -> list[str]:
    return [unit.text for unit in read(text)]


@pytest.mark.parametrize(
    "text", [MARKDOWN, RST, HTML, PLAIN, "", "\n\n", "```\nnever closed", "| a |", "<td>", "- ", "x" * 5000]
)
def test_every_quote_stands_where_it_says(text: str) -> None:
    for unit in read(text):
        assert text[unit.start : unit.start + len(unit.quote)] == unit.quote
        assert unit.lead in text and unit.code in text


@settings(max_examples=200)
@given(st.text(alphabet="ab.!? \n#*-|:`<>[]()=_1\t", max_size=300))
def test_every_quote_stands_where_it_says_in_any_text(text: str) -> None:
    for unit in read(text):
        assert text[unit.start : unit.start + len(unit.quote)] == unit.quote
        assert unit.text.strip() and unit.lead in text and unit.code in text


def test_markdown_gives_sentences_items_rows_and_settings() -> None:
    found = read(MARKDOWN)
    texts = [unit.text for unit in found]

    assert texts[:3] == ["Intro says one thing.", "It says e.g. another, over two lines.", "See the other page."]
    assert "title: Front" not in texts
    by_text = {unit.text: unit for unit in found}
    assert by_text["Look at `df`."].lead == "Check the following:"
    assert by_text["Logs of the last hour"].kind == "item"
    assert by_text["Run this:"].code == "$ df -h"
    assert by_text["orders; setting: timeout; value: 5 s"].lead == "| name | setting | value |"
    assert by_text["Do not delete the wrong file."].lead == "Careful"
    assert by_text["max_connections: 20"].kind == "setting" and by_text["replicas: 3"].kind == "setting"
    assert by_text["Look at `df`."].headings == ("Disk full", "Diagnosis")


def test_other_formats_give_the_same() -> None:
    assert said(RST) == ["Read this first.", "How many bytes at most.", "retries; value: 3"]
    assert read(RST)[1].lead == "LIMIT" and read(RST)[0].headings == ("Title",)
    assert said(HTML) == ["Run undo & wait.", "Then rest.", "First item.", "40 connections"]
    assert read(HTML)[0].headings == ("Roll back",) and read(HTML)[3].lead == "pool"
    assert said(PLAIN) == ["They serve.", "They rest.", "alpha; port: 80"]
    assert read(PLAIN)[0].headings == ("Servers", "WHAT THEY DO")


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("**Bold** and _soft_ and `code_with_marks`", "Bold and soft and `code_with_marks`"),
        ("a [link](http://x/y_(z)) here", "a link here"),
        ("snake_case_name stays", "snake_case_name stays"),
        ("see :ref:`this <that>` and ``x``", "see `this` and `x`"),
        ("one<br/>two &lt;three", "one two <three"),
        ("[ ] open task", "open task"),
    ],
)
def test_markup_goes_and_words_stay(raw: str, plain: str) -> None:
    assert clean(raw) == plain


@pytest.mark.parametrize(
    "same",
    [
        ("evaluate", "evaluation", "evaluating"),
        ("fail", "failing", "failure"),
        ("configure", "configuration"),
        ("recover", "recovery"),
        ("policy", "policies"),
        ("broke", "break", "broken"),
        ("blame", "blameless"),
    ],
)
def test_inflections_share_a_stem(same: tuple[str, ...]) -> None:
    assert len({stem(word) for word in same}) == 1


def test_compounds_are_found_however_they_are_written() -> None:
    assert terms("etcdNoLeader") >= {"etcd", "leader"}
    assert terms("post-mortem") & terms("postmortem")
    assert terms("rolling back") & terms("rollback") and terms("on call") & terms("on-call")
    assert "several" not in terms("several") and stem("several") not in {stem("severe")} & terms("several")


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What should I check first when etcd has no leader?", ["What should I check first when etcd has no leader?"]),
        ("What does it cost and who pays?", ["What does it cost", "who pays?"]),
        ("Write a guide for x: the checks, how to stop, and who decides.", ["the checks", "how to stop", "who decides"]),
        ("When a node is down, what do I do?", ["When a node is down, what do I do?"]),
        ("What to do when A fails and when B fails?", ["What to do when A fails", "What to do when B fails?"]),
        ("List what to check, the steps and the person.", ["what to check", "the steps", "the person"]),
        ("The disk is full. What now?", ["What now?"]),
        ("Compare read and write latency.", ["Compare read and write latency."]),
    ],
)
def test_a_question_falls_into_what_it_asks(question: str, parts: list[str]) -> None:
    assert list(clauses(question).clauses) == parts


def test_what_is_told_counts_for_what_is_asked() -> None:
    asked = understand("The disk array of db7 is broken. What now?")

    assert asked.parts[0].leans and {term.word for term in asked.parts[0].context} >= {"disk", "array", "db7"}


def test_the_parts_do_not_depend_on_what_was_seen() -> None:
    question = "Write a runbook for orders: how to roll back, and who is on call."
    seen = understand(question, known=frozenset({"rollback", "oncal"}), titles=frozenset({"order"}))

    assert [part.text for part in seen.parts] == [part.text for part in understand(question).parts]
    assert [term.word for term in seen.parts[0].strong] == ["roll back"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Shorter, please", "shorter"),
        ("Can you make it shorter?", "shorter"),
        ("More details please", "longer"),
        ("How long is it?", ""),
        ("Give me more memory for orders", ""),
    ],
)
def test_only_words_about_the_length_follow_up(text: str, kind: str) -> None:
    assert follow(text) == kind


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("5 s", "5000 ms"),
        ("2 GiB", "2048 MiB"),
        ("1,000 events", "1000 events"),
        ("60 seconds", "1 minute"),
        ("5%", "5 percent"),
    ],
)
def test_equal_amounts_in_different_units_are_equal(one: str, two: str) -> None:
    (a,), (b,) = measures(f"It is {one}"), measures(f"It is {two}")

    assert (a.amount, a.dimension) == (b.amount, b.dimension)


@pytest.mark.parametrize("text", ["at 10:22 UTC", "on 2026-03-05", "version 15.6.1", "INC-0041", "in 2024", "10-20 items"])
def test_times_dates_versions_and_names_are_no_amounts(text: str) -> None:
    assert not [measure for measure in measures(text) if measure.dimension]


def seen(documents: dict[str, str]) -> Evidence:
    """Documents that were read whole."""
    items: list[Item] = [place(Draft(Text("what?")), "0.0", "user")]
    for number, (source, text) in enumerate(documents.items(), 1):
        items.append(place(Draft(Passage(source, "v1", text)), f"{number}.0", "tool:read"))
    return gather(items)


PAGE = "services/orders.md"
STATE = "state/cluster.md"


@pytest.mark.parametrize(
    ("page", "state"),
    [
        ("# Orders\n\n## Limits\n\n- batch size: 50 events\n", "# State\n\n- Orders, batch size: 500 events\n"),
        (
            "# Orders\n\n| setting | value |\n|---|---|\n| batch size | 50 events |\n",
            "The batch size of orders is 500 events.\n",
        ),
        ("# Orders\n\nOrders runs with a batch size of 50 events.\n", "# State\n\n## Orders\n\n- batch size = 500 events\n"),
        (
            "# Orders\n\nOn every start an old orders process gets a batch size of 50 events to finish with.\n",
            "- orders batch size: 500 events\n",
        ),
    ],
)
def test_different_values_of_one_thing_are_a_conflict(page: str, state: str) -> None:
    (found,) = disagreements(seen({PAGE: page, STATE: state}).documents)

    assert {found.one.measure.written, found.two.measure.written} == {"50 events", "500 events"}
    assert "batch size" in found.about.lower()


@pytest.mark.parametrize(
    ("page", "state"),
    [
        ("# Orders\n\n- timeout: 5 s\n", "- orders timeout: 5000 ms\n"),  # equal
        ("# Orders\n\nThe timeout was raised from 2 s to 5 s.\n", "- orders timeout: 2 s\n"),  # history
        ("# Orders\n\n- timeout: 5 s\n", "- payments timeout: 2 s\n"),  # another subject
        ("# Orders\n\n- timeout: 5 s\n", "In staging the timeout of orders is 2 s.\n"),  # another place
        ("# Orders\n\n- read timeout: 5 s\n", "- orders write timeout: 2 s\n"),  # another thing
        ("# Orders\n\n- timeout: 5 s\n", "# State\n\nThe queue of orders holds 20 events.\n"),  # another unit
        ("# Orders\n\n- timeout: 5 s\n", "Orders needs payments with a timeout of 2 s.\n"),  # said of somebody else
    ],
)
def test_what_only_looks_like_a_conflict_is_none(page: str, state: str) -> None:
    others = {"services/payments.md": "# Payments\n\nPayments takes money.\n"}

    assert disagreements(seen({PAGE: page, STATE: state, **others}).documents) == []


def test_pages_of_a_kind_speak_each_of_their_own_subject() -> None:
    documents = {f"services/{name}.md": f"# {name}\n\n- queue depth limit: {n}00 events\n" for n, name in enumerate("ab", 1)}

    assert disagreements(seen(documents).documents) == []


def reports(sentences: list[str]) -> dict[str, str]:
    """A series of reports, each with a sentence of its own between what all of them hold."""
    return {
        f"incidents/2026-0{n}-11-case.md": f"# Case {n}\n\nOwner: Storage. Closed.\n\n## Impact\n\n{sentence} People waited.\n"
        for n, sentence in enumerate(sentences, 1)
    }


PASSING = ["A cable broke.", "A disk was full.", "Two alarms fired."]
HIDDEN = [
    "Most leases in Quernhold were stale.",
    "Nobody restarted Quernhold then.",
    "It ended when Quernhold had forgotten them.",
]


def test_what_recurs_in_the_latest_is_found_and_forms_are_not() -> None:
    found = recurring(seen(reports(PASSING + HIDDEN)), frozenset())

    assert [finding.words for finding in found if finding.name] == ["Quernhold"]
    assert len(found[0].sources) == 3 and all("case" in source for source in found[0].sources)


def test_what_was_asked_or_stands_everywhere_does_not_recur() -> None:
    everywhere = [f"Graph {n} of Quernhold shows it." for n in range(3)] + HIDDEN

    assert not recurring(seen(reports(PASSING + HIDDEN)), terms("Quernhold"))
    assert "Quernhold" not in [finding.words for finding in recurring(seen(reports(everywhere)), frozenset())]
    assert not recurring(seen(reports(PASSING + HIDDEN[:2])), frozenset())


@pytest.mark.parametrize("text", ["2026-03-05", "5 March 2026", "March 5, 2026", "20260305", "2026_03_05"])
def test_dates_are_read_as_people_write_them(text: str) -> None:
    assert dates(f"on {text} it began") == [(2026, 3, 5)]
