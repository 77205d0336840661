"""HTML as plain text with Markdown's headings, so that everything after it knows one kind of document.

Not `html.parser`: on broken input it takes quadratic time, and a document may be anything. This reader looks at each
character a bounded number of times, knows no errors, and keeps words in their order.
"""

from __future__ import annotations

import re
from html import unescape

TITLE_CHARS_MAX = 300

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_SPACE = re.compile(r"[ \t\r\n\f\xa0]+")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_ENDS = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in ("script", "style", "template", "svg", "nav", "noscript")}
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BREAKS = {
    "br": "\n", "li": "\n- ", "tr": "\n", "td": " | ", "th": " | ", "dd": "\n", "dt": "\n\n", "hr": "\n\n", "option": "\n"
}  # fmt: skip
_BLOCKS = frozenset(
    """address article aside blockquote body caption details dialog div dl fieldset figcaption figure footer form header html
    main ol p section summary table ul""".split()
)


def to_text(source: str) -> str:
    """The words of a page: a heading is a line that starts with `#`, an item one that starts with `-`, code is fenced."""
    return _Reading(source).text()


class _Reading:
    """One pass over a page."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._out: list[str] = []
        self._title = ""
        self._in_title = False
        self._headed = False
        self._verbatim = 0

    def text(self) -> str:
        at = 0
        while at < len(self._source):
            at = self._step(at)
        text = _BLANK_LINES.sub("\n\n", "".join(self._out)).strip()
        if self._title and not self._headed:
            text = f"# {self._title.strip()}\n\n{text}"
        return text + "\n" if text else ""

    def _step(self, at: int) -> int:
        """Take up the text from `at` to the next tag and the tag itself; where to go on."""
        source = self._source
        opening = source.find("<", at)
        if opening < 0:
            opening = len(source)
        self._data(source[at:opening])
        if opening == len(source):
            return opening
        if source.startswith("<!--", opening):
            end = source.find("-->", opening + 4)
            return len(source) if end < 0 else end + 3
        tag = _TAG.match(source, opening)
        if tag is None and source[opening + 1 : opening + 2] not in ("!", "?"):
            self._data("<")
            return opening + 1
        end = source.find(">", opening)
        if end < 0:
            return len(source)  # a tag that was never finished
        if tag is None:
            return end + 1
        name = tag[2].lower()
        if not tag[1] and name in _ENDS and source[end - 1] != "/":
            closing = _ENDS[name].search(source, end)
            return len(source) if closing is None else closing.start()
        self._tag(name, closing=bool(tag[1]))
        return end + 1

    def _data(self, data: str) -> None:
        if not data:
            return
        words = unescape(data) if "&" in data else data
        if self._in_title:
            self._title = _SPACE.sub(" ", self._title + words[:TITLE_CHARS_MAX]).lstrip()[:TITLE_CHARS_MAX]
        elif self._verbatim:
            self._out.append(words)
        else:
            self._out.append(_SPACE.sub(" ", words))

    def _tag(self, name: str, *, closing: bool) -> None:
        if name == "title":
            self._in_title = not closing and not self._title
        elif name in _HEADINGS:
            self._headed = self._headed or name == "h1"
            self._out.append("\n\n" if closing else f"\n\n{_HEADINGS[name]} ")
        elif name == "pre":
            self._verbatim = max(0, self._verbatim + (-1 if closing else 1))
            self._out.append("\n```\n\n" if closing else "\n\n```\n")
        elif name in _BREAKS and not closing:
            self._out.append(_BREAKS[name])
        elif name in _BLOCKS:
            self._out.append("\n\n")
