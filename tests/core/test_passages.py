"""Passages: headings of three notations, where texts are cut, and that nothing of a text is lost or invented."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.core.passages import PASSAGE_CHARS, SECTION_CHARS, UNCUT, passages, sections


def shown(text: str, path: str) -> list[tuple[tuple[str, ...], str]]:
    """Heading path and words of each passage."""
    return [(piece.heading, text[piece.start : piece.end]) for piece in passages(text, path)]


def test_markdown_headings_make_a_path() -> None:
    text = "Before.\n\n# One\n\nFirst.\n\n## Two ##\nSecond.\n\n### `Three` [link](x.md) {#id}\n\nThird.\n\n## Four\nFourth.\n"

    assert shown(text, "a.md") == [
        ((), "Before."),
        (("One",), "First."),
        (("One", "Two"), "Second."),
        (("One", "Two", "Three link"), "Third."),
        (("One", "Four"), "Fourth."),
    ]


def test_underlined_headings_of_markdown() -> None:
    text = (
        "Title\n=====\n\nText.\n\nPart\n----\nMore.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nTwo lines,\nno title\n---\n\nEnd.\n"
    )

    assert [heading for heading, _ in shown(text, "a.md")] == [("Title",), ("Title", "Part")]


def test_what_stands_in_code_is_no_heading() -> None:
    text = "# Shell\n\n```sh\n# not a heading\nls\n```\n\n~~~\n# nor this\n```\n~~~\nAfter.\n"

    assert [heading for heading, _ in shown(text, "a.md")] == [("Shell",)]


def test_underlined_headings_of_restructured_text_by_order_of_style() -> None:
    text = (
        "=====\nTitle\n=====\n\nIntro.\n\nFirst\n-----\n\nOne.\n\nDeep\n~~~~\n\nTwo.\n\nSecond\n------\n\nThree.\n\n"
        "a   b\n=== ===\n1   2\n\n::\n\n    Indented\n    --------\n"
    )

    found = shown(text, "a.rst")
    assert [heading for heading, _ in found] == [
        ("Title",),
        ("Title", "First"),
        ("Title", "First", "Deep"),
        ("Title", "Second"),
    ]
    assert "Indented" in found[-1][1]


def test_a_hash_in_plain_text_is_no_heading() -> None:
    assert shown("# a comment\nvalue = 1\n", "a.txt") == [((), "# a comment\nvalue = 1")]


def test_passages_keep_sections_apart_and_sentences_whole() -> None:
    sentences = [f"Sentence number {n} says something about a thing that can happen here." for n in range(120)]
    text = "# A\n\n" + " ".join(sentences) + "\n\n# B\n\nShort.\n"

    found = shown(text, "a.md")
    assert all(piece.endswith("here.") for _, piece in found[:-1])
    assert all(len(piece) <= PASSAGE_CHARS * 3 // 2 for _, piece in found)
    assert found[-1] == (("B",), "Short.")
    assert " ".join(piece for _, piece in found[:-1]) == " ".join(sentences)


def test_long_code_is_cut_between_lines() -> None:
    lines = [f"kubectl get pod number-{n} --all-namespaces" for n in range(200)]
    text = "```\n" + "\n".join(lines) + "\n```\n"

    for _, piece in shown(text, "a.md"):
        assert all(line in lines for line in piece.strip("`\n").split("\n"))


def test_a_line_without_any_border_is_cut_all_the_same() -> None:
    assert all(len(piece) <= PASSAGE_CHARS * UNCUT for _, piece in shown("x" * 20_000, "a.md"))
    assert "".join(piece for _, piece in shown("x" * 20_000, "a.md")) == "x" * 20_000


def test_a_heading_without_text_is_no_passage() -> None:
    assert shown("# Only\n\n## Titles\n\n---\n", "a.md") == []


notation = st.sampled_from(
    ["# H\n", "T\n===\n", "- item\n", "```\n", "text. More\n", "\n", "\r\n", "    code\n", "| a |\n", "x" * 300]
)


@given(st.one_of(st.text(), st.lists(notation, max_size=60).map("".join)), st.sampled_from(["a.md", "a.rst", "a.txt", "id"]))
def test_sections_are_the_whole_text_and_passages_lie_in_it(text: str, path: str) -> None:
    covered = sections(text, path)
    assert "".join(text[piece.start : piece.end] for piece in covered) == text

    end = 0
    for piece in passages(text, path):
        assert end <= piece.start < piece.end <= len(text)
        assert text[piece.start : piece.end] == text[piece.start : piece.end].strip()
        end = piece.end


@pytest.mark.parametrize("path", ["a.md", "a.txt"])
@pytest.mark.parametrize(
    "strange",
    [
        "#" + " " * 400_000 + "x",
        "# " + "[" * 400_000,
        "a\n" * 200_000,
        "- " * 200_000,
        "```\n" * 100_000,
        "=" * 400_000,
        "#\n" * 100_000,
    ],
)
def test_no_text_takes_long(path: str, strange: str) -> None:
    before = time.monotonic()
    passages(strange, path)
    sections(strange, path)
    assert time.monotonic() - before < 5


def test_sections_begin_at_headings_where_they_can() -> None:
    text = "".join(f"## Part {n}\n\n" + "Some words about it. " * 60 + "\n\n" for n in range(4))

    pieces = sections(text, "a.md")
    assert all(text[piece.start :].startswith("## Part") for piece in pieces)
    assert all(piece.end - piece.start <= SECTION_CHARS * 3 // 2 for piece in pieces)
