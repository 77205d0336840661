"""Blocks to sentences: what can be quoted, word for word, and how it reads without its markup."""

from __future__ import annotations

import html
import re
from functools import cached_property, lru_cache

import msgspec

from standpipe.drivers.models.reading.blocks import Block, blocks
from standpipe.drivers.models.reading.terms import terms


class Unit(msgspec.Struct, frozen=True, dict=True):
    """One thing that can be quoted: `quote` stands word for word in its passage at `start`, `text` is how it reads.

    `kind` is that of its block. `lead` is the exact text that makes a list item or a table row understandable, and `code`
    the exact commands that a sentence ending in a colon announces.
    """

    kind: str
    quote: str
    text: str
    start: int
    headings: tuple[str, ...] = ()
    lead: str = ""
    code: str = ""

    @cached_property
    def terms(self) -> frozenset[str]:
        """The terms of the sentence itself."""
        return terms(self.text)

    @cached_property
    def around(self) -> frozenset[str]:
        """The terms of its lead-in and of the headings above it."""
        return terms(" ".join((self.lead, *self.headings)))


_LINK = re.compile(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^()\s]*(?:\([^)]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_REFERENCE = re.compile(r"\[([^\[\]]+)\]\[[^\]]*\]")
_ATTRIBUTES = re.compile(r"\{[:#.][^}]*\}")
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>")
_ROLE = re.compile(r":[\w:+-]+:`~?([^`<]+?)(?:\s*<[^>]*>)?`")
_RST_LINK = re.compile(r"`([^`<]+?)\s*<[^>]+>`_+")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", re.S)
_EMPHASIS = re.compile(r"(?<![\w*\\])([*_])(?=[^\s*_])([^*_\n]*(?:\n[^*_\n]+)*?)(?<=\S)\1(?![\w*])")
_GAP = re.compile(r"\t+| {2,}")
_SPACE = re.compile(r"\s+")
_CHECKBOX = re.compile(r"^\[[ xX]\]\s+")
_BOUNDARY = re.compile(r"[.!?…][\"'”’)\]*_`]*(?=\s+[\"'“‘(\[`*_<]*[A-Z0-9À-Þ`])|[.!?]\s*(?=<br)|(?<=[.!?:])\s*(?=\n\n)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|no|nr|fig|sec|dr|mr|mrs|ms|prof|inc|ltd|st|dept|est|min|max)|\b[A-Z]|^\W*\d{1,3})\.$",
    re.I,
)
_INLINE = re.compile(r"`[^`]*`")
_WHOLE_ITEM = 320
_CODE_LINES = 3
_CODE_CHARS = 240


def clean(raw: str) -> str:
    """A quote without its markup, on one line; inline code keeps its marks."""
    text = raw
    if "[" in text:
        text = _IMAGE.sub("", text)
        text = _REFERENCE.sub(r"\1", _LINK.sub(r"\1", text))
    if "{" in text:
        text = _ATTRIBUTES.sub("", text)
    if "`" in text:
        text = _RST_LINK.sub(r"\1", _ROLE.sub(r"`\1`", text)).replace("``", "`")
    if "<" in text or "&" in text:
        text = html.unescape(_TAGS.sub(" ", text))
    if "*" in text or "_" in text:
        text = _EMPHASIS.sub(r"\2", _STRONG.sub(r"\2", text))
    text = _SPACE.sub(" ", text.replace("\n> ", " ")).strip()
    return _CHECKBOX.sub("", text[:-1] if text.endswith("::") else text)


@lru_cache(maxsize=1024)  # every move of a turn, and every specialist, reads the same documents again
def units(text: str, headings: tuple[str, ...] = (), *, whole: bool = False) -> tuple[Unit, ...]:
    """Everything in a text that can be quoted, in its order; `headings` are those it stands under, `whole` says that it is
    a document from its beginning."""
    found: list[Unit] = []
    lead: tuple[int, str, tuple[str, ...]] | None = None  # the last line that ended in a colon, how far in, under what
    parents: list[tuple[int, str]] = []
    passage = blocks(text, whole=whole)
    for index, block in enumerate(passage):
        path = _path(headings, block.headings)
        if block.kind == "code":
            found.extend(_settings(text, block, path))
            continue
        if block.kind in ("row", "cell", "setting"):
            unit = _row(text, block, path)
            if unit.text:
                found.append(unit)
            continue
        if block.kind == "item":
            parents = [(indent, quote) for indent, quote in parents if indent < block.indent]
            led = lead is not None and lead[0] <= block.indent and lead[2] == path
            above = parents[-1][1] if parents else (lead[1] if lead and led else block.label)
        else:
            parents, above = [], block.label
        following = passage[index + 1] if index + 1 < len(passage) and passage[index + 1].kind == "code" else None
        pieces = _sentences(text, block, path, above, following)
        found.extend(pieces)
        last = pieces[-1].quote if pieces else ""
        if block.kind == "item":
            parents.append((block.indent, last if last.rstrip("*_ ").endswith((":", ",")) else ""))
            parents = [pair for pair in parents if pair[1]]
        else:
            lead = (block.indent, last, path) if last.rstrip("*_ ").endswith((":", ",")) else None
    return tuple(found)


def _path(outer: tuple[str, ...], inner: tuple[str, ...]) -> tuple[str, ...]:
    """The headings of the passage, then those that stand in it and are not among them."""
    plain = [clean(title) for title in (*outer, *inner)]
    return tuple(dict.fromkeys(title for title in plain if title))


def _sentences(text: str, block: Block, path: tuple[str, ...], above: str, code: Block | None) -> list[Unit]:
    """The sentences of a paragraph or list item; a short item stays whole."""
    raw = text[block.start : block.end]
    whole = block.kind == "item" and len(raw) <= _WHOLE_ITEM
    spans = [(0, len(raw))] if whole else _spans(raw)
    found: list[Unit] = []
    for start, end in spans:
        quote = raw[start:end]
        plain = clean(quote)
        if not plain or _is_code(plain):
            continue
        place, commands = block.start + start, ""
        if end == spans[-1][1] and plain.endswith(":") and code is not None:
            commands = text[code.start : code.end].strip("\n")
            if len(commands) > _CODE_CHARS or commands.count("\n") >= _CODE_LINES:
                commands = ""
        found.append(Unit(block.kind, quote, plain, place, path, above, commands))
    return found


def _is_code(plain: str) -> bool:
    """Whether this is a program rather than a sentence: many of its signs outside of inline code, or a keyword first."""
    if plain.startswith((">>> ", "... ", "def ", "import ", "return ", "@")) or plain.endswith(("{", ");", "};")):
        return True
    told = _INLINE.sub("", plain)
    return len(told) > 20 and sum(map(told.count, "(){}[]=<>;_")) > 0.08 * len(told)


def _spans(raw: str) -> list[tuple[int, int]]:
    """Where the sentences of a paragraph begin and end."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _BOUNDARY.finditer(raw):
        end = match.end()
        if _ABBREVIATION.search(raw[max(start, end - 12) : end]) or end <= start:
            continue
        spans.append((start, end))
        start = end + len(raw[end:]) - len(raw[end:].lstrip())
    if raw[start:].strip():
        spans.append((start, start + len(raw[start:].rstrip())))
    return spans


def cells(row: str) -> list[str]:
    """The cells of a table row: between bars, else between wide gaps."""
    if "|" in row:
        return [clean(cell) for cell in row.strip().removeprefix("|").removesuffix("|").split("|")]
    return [clean(cell) for cell in _GAP.split(row.strip())]


def _row(text: str, block: Block, path: tuple[str, ...]) -> Unit:
    """A table row with its header row as lead, a cell with its row's first cell, or a line of settings."""
    quote = text[block.start : block.end]
    if block.kind != "row":
        return Unit(block.kind, quote, clean(quote), block.start, path, block.label)
    found = cells(quote)
    heads = cells(block.label) if block.label else []
    if len(heads) == len(found) and len(found) > 1:
        named = [f"{head}: {cell}" if head else cell for head, cell in zip(heads[1:], found[1:], strict=True) if cell]
        plain = "; ".join(([found[0]] if found[0] else []) + named)
    else:
        plain = "; ".join(cell for cell in found if cell)
    return Unit("row", quote, plain, block.start, path, block.label)


_LINE_SETTING = re.compile(r"^[ \t]*(?:- )?[\w\"'.\-/]+[ \t]*[:=][ \t]*[^\s:=(][^(\n]*$", re.M)


def _settings(text: str, block: Block, path: tuple[str, ...]) -> list[Unit]:
    """The `name: value` lines of a piece of code: a configuration can be quoted, a program cannot."""
    found: list[Unit] = []
    for match in _LINE_SETTING.finditer(text, block.start, block.end):
        quote = match[0].strip()
        found.append(Unit("setting", quote, quote, match.start() + len(match[0]) - len(match[0].lstrip()), path))
    return found
