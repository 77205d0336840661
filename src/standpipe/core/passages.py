"""Where a document can be cut: headings, paragraphs, list items, code; and the pieces that search and reading show.

Offsets are code points of the text as stored. Markdown's headings are understood, and the underlined ones of
reStructuredText and plain text; what looks like neither is a paragraph. No text is so strange that it has no pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

PASSAGE_CHARS = 1_000
"""What a passage of the index aims at; one section of a page, as a rule."""
SECTION_CHARS = 2_000
"""What a piece of a document that is read whole aims at."""
UNCUT = 3
"""A sentence, or a line of code, is cut only where it is longer than this many pieces."""

TITLE_CHARS_MAX = 400
"""A longer line is no heading; it also keeps patterns that look back from meeting a line of a megabyte."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*")
_UNDERLINES = "-=~^\"'`#*+.:_<>"
_UNDERLINE = re.compile(rf"([{re.escape(_UNDERLINES)}])\1{{2,}}[ \t\r]*")
_ITEM_MARKS = frozenset("-*+•#0123456789")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)]|#\.)[ \t]+\S")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_`]*\s+(?=[\"'“‘(\[*_`]*[A-Z0-9])|\n[ \t]*\n|>[ \t]*\n|[。！？]")
_MARKUP = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[`*]+|\{[#.:][^}]*\}\s*$|<[^>]+>")


class Piece(NamedTuple):
    """The code points `start` to `end` of a text, under these headings."""

    start: int
    end: int
    heading: tuple[str, ...]


class _Block(NamedTuple):
    """A stretch that is better not cut: `kind` is "heading", "text" or "code". Blocks follow each other without a gap."""

    start: int
    end: int
    kind: str
    heading: tuple[str, ...]


def passages(text: str, path: str) -> list[Piece]:
    """The passages of a document for the index: no headings in them, never across two sections, no space around them."""
    found: list[Piece] = []
    for block in _blocks(text, path):
        if block.kind == "heading":
            continue
        for start, end in _cut(text, block, PASSAGE_CHARS):
            last = found[-1] if found else None
            if last and last.end == start and end - last.start <= PASSAGE_CHARS:
                found[-1] = last._replace(end=end)
            else:
                found.append(Piece(start, end, block.heading))
    trimmed = (_trimmed(text, piece) for piece in found)
    return [piece for piece in trimmed if any(c.isalnum() for c in text[piece.start : piece.end])]


def sections(text: str, path: str) -> list[Piece]:
    """Pieces that together are the whole text, in order, cut before headings where that is possible."""
    found: list[Piece] = []
    for block in _blocks(text, path):
        for start, end in _cut(text, block, SECTION_CHARS):
            last = found[-1] if found else None
            full = last is not None and end - last.start > SECTION_CHARS
            chapter = last is not None and block.kind == "heading" and start - last.start > SECTION_CHARS // 4
            if last is None or full or chapter:
                found.append(Piece(start, end, block.heading))
            else:
                found[-1] = last._replace(end=end)
    return found


def _trimmed(text: str, piece: Piece) -> Piece:
    inner = text[piece.start : piece.end]
    start = piece.start + len(inner) - len(inner.lstrip())
    return Piece(start, max(start, piece.start + len(inner.rstrip())), piece.heading)


def _cut(text: str, block: _Block, size: int) -> Iterator[tuple[int, int]]:
    """A block as stretches of about `size`, cut after sentences, or after lines where it is code."""
    start = block.start
    while block.end - start > size * 3 // 2:
        end = _border(text, start, block.end, size, code=block.kind == "code")
        yield start, end
        start = end
    yield start, block.end


def _border(text: str, start: int, end: int, size: int, *, code: bool) -> int:
    """The last good place to cut within `size`, else the first one after it, else a space, else wherever it must be."""
    ends = [start + size]
    stop = min(end, start + size * UNCUT)
    if code:
        at = text.rfind("\n", start + 1, start + size)
        at = at if at >= 0 else text.find("\n", start + size, stop)
        ends = [at + 1] if at >= 0 else []
    else:
        borders = [match.end() for match in _SENTENCE_END.finditer(text, start + 1, stop)]
        ends = [b for b in borders if b <= start + size][-1:] or borders[:1]
    if ends and ends[0] > start:
        return min(ends[0], end)
    at = max(text.rfind(" ", start + 1, start + size), text.rfind("\n", start + 1, start + size))
    return at + 1 if at > start else start + size


def _blocks(text: str, path: str) -> Iterator[_Block]:
    """The blocks of a text, one after the other."""
    markdown = not path.lower().endswith((".rst", ".txt"))
    lines = text.split("\n")
    titles = _markdown_titles(lines) if markdown else _underlined_titles(lines)
    headings: list[tuple[int, str]] = []
    above: tuple[str, ...] = ()
    start, at, kind = 0, 0, "text"
    heading_until, fence, blank = -1, "", False
    for number, line in enumerate(lines):
        here = at
        at += len(line) + 1
        if number <= heading_until:
            continue
        title = titles.get(number)
        bare = line.strip()
        if fence and title is None:
            if bare.startswith(fence) and not bare.strip(fence[0]):
                fence = ""
            continue
        opens = _FENCE.match(line) if markdown and bare[:1] in ("`", "~") else None
        begins = title or kind == "heading" or blank or opens or (bare[:1] in _ITEM_MARKS and _ITEM.match(line))
        blank = not bare
        if not begins or blank:
            continue
        if here > start:
            yield _Block(start, here, kind, above)
        start = here
        if title:
            level, words, heading_until = title
            kind, fence = "heading", ""
            if words:
                headings = [*(entry for entry in headings if entry[0] < level), (level, words)]
                above = tuple(words for _, words in headings)
        else:
            kind = "code" if opens or line.startswith(("    ", "\t", "|")) else "text"
            fence = opens[1] if opens else ""
    if start < len(text):
        yield _Block(start, len(text), kind, above)


_Titles = dict[int, tuple[int, str, int]]
"""By the number of its first line: a heading's level, its words, and the number of its last line."""


def _markdown_titles(lines: list[str]) -> _Titles:
    found: _Titles = {}
    fence = ""
    paragraph = ""
    before = ""
    for number, line in enumerate(lines):
        mark = line.lstrip()[:1]
        opens = _FENCE.match(line) if mark in ("`", "~") else None
        if fence:
            bare = line.strip()
            if bare.startswith(fence) and not bare.strip(fence[0]):
                fence = ""
        elif opens:
            fence = opens[1]
        elif mark == "#" and len(line) <= TITLE_CHARS_MAX and (atx := _ATX.fullmatch(line.rstrip("\r"))):
            found[number] = (len(atx[1]), _plain(atx[2] or ""), number)
        elif paragraph and mark in ("=", "-") and (setext := _SETEXT.fullmatch(line.rstrip("\r"))):
            found[number - 1] = (1 if setext[1][0] == "=" else 2, _plain(paragraph), number)
        # Only a line that stands alone can be underlined: what follows a paragraph, an item or a table is a rule.
        alone = not before.strip() and mark and mark not in "#>`~" and number not in found and "|" not in line
        paragraph = line.strip() if alone and len(line) <= TITLE_CHARS_MAX and not _ITEM.match(line) else ""
        before = line
    return found


def _underlined_titles(lines: list[str]) -> _Titles:
    """Levels by the order in which the styles appear, as docutils counts them."""
    found: _Titles = {}
    styles: list[str] = []
    for number in range(1, len(lines)):
        under = _UNDERLINE.fullmatch(lines[number]) if lines[number][:1] in _UNDERLINES else None
        title = lines[number - 1]
        if under is None or len(title) > TITLE_CHARS_MAX or not any(c.isalnum() for c in title):
            continue
        if len(lines[number].rstrip()) < len(title.strip()):
            continue
        above = lines[number - 2] if number >= 2 else ""
        overlined = above[:1] == under[1] and _UNDERLINE.fullmatch(above) is not None
        if not overlined and (above.strip() or title[:1].isspace()):
            continue
        style = under[1] * (2 if overlined else 1)
        if style not in styles:
            styles.append(style)
        found[number - 2 if overlined else number - 1] = (styles.index(style) + 1, _plain(title), number)
    return found


def _plain(title: str) -> str:
    """A heading's words without the marks around them."""
    return " ".join(_MARKUP.sub(lambda m: m[1] or "", title).split())
