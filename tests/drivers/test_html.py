"""HTML as text: the words of a page in their order, and that no page is too broken or too strange to be read in no time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.drivers.search.html import to_text


def test_html_becomes_text_with_headings_items_and_code() -> None:
    page = """<!DOCTYPE html><html><head><title>The &amp; page</title><style>p { color: <red> }</style>
    <script>if (a < b) document.write("<p>no</p>")</script></head><body><nav><a href="/">Home</a></nav>
    <h2 class="x">Cause</h2><p>A <b>disk</b>
    was&nbsp;full &lt;95 %&gt;.</p><!-- <p>not this</p> --><ul><li>One<li>Two</ul>
    <pre>a  b\n  c</pre><table><tr><td>1<td>2</table>x < y<br/>end</body></html>"""

    assert [line.strip() for line in to_text(page).split("\n") if line.strip()] == [
        "# The & page", "## Cause", "A disk was full <95 %>.", "- One", "- Two", "```", "a  b", "c", "```", "| 1 | 2", "x < y",
        "end",
    ]  # fmt: skip
    assert "\n```\na  b\n  c\n```\n" in to_text(page)


def test_a_page_with_a_heading_needs_no_title() -> None:
    assert to_text("<title>Site - A</title><h1>A</h1>text") == "# A\n\ntext\n"
    assert to_text("") == ""
    assert to_text("<p></p>") == ""


@given(
    st.lists(
        st.sampled_from(["<", ">", "<!--", "-->", "<p>", "</p", "<script>", "&amp", ";", "a", "\n", "<pre>", "<h1>", "'", '"'])
    )
)
def test_no_page_is_so_broken_that_it_cannot_be_read(parts: list[str]) -> None:
    to_text("".join(parts))


@pytest.mark.parametrize(
    "part", ["<", "<!--", "<a ", "<a>", "<title>a", "<nav>", "<script>", "&", "<pre>", "\n ", "<!", "<a x='"]
)
def test_no_page_takes_long(part: str) -> None:
    before = time.monotonic()
    to_text(part * 100_000)
    to_text(part * 100_000 + ">")
    assert time.monotonic() - before < 5
