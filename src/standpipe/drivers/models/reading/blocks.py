"""Text to blocks: where the paragraphs, list items, table rows and code of a Markdown, RST, HTML or plain text stand."""

from __future__ import annotations

import re

import msgspec


class Block(msgspec.Struct, frozen=True):
    """`text[start:end]` is one block. `kind` is "prose", "item", "row", "cell", "setting" or "code"; `indent` in columns.

    `label` is the exact text that a block needs to be understood: the header row of a table row, the first cell of an HTML
    row, the title of a note. `headings` are those that the text itself sets before the block.
    """

    kind: str
    start: int
    end: int
    indent: int = 0
    headings: tuple[str, ...] = ()
    label: str = ""


_FENCE = re.compile(r"\s*(?:[-*+]\s+)?(```+|~~~+)")
_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*\s*$")
_UNDERLINE = re.compile(r"([=\-~^\"'*+#`.:_])\1{2,}\s*$")
_ITEM = re.compile(r"(\s*)(?:[*+\-•]|\d{1,3}[.)]|#\.|[a-zA-Z][.)])\s+(?=\S)")
_NOTE = re.compile(r"\s*(?:!!!|\?\?\?\+?|:::)\s*[\w-]*\s*(?:\"([^\"]*)\")?")
_DIRECTIVE = re.compile(r"\s*\.\. (?:([\w:-]+)::[ \t]*)?")
_CODE_DIRECTIVES = frozenset(
    "code-block code sourcecode highlight literalinclude raw math toctree image figure include".split()
)
_OBJECTS = frozenset("data function class method attribute module option envvar confval exception describe decorator".split())
_OPTION = re.compile(r"\s*:[\w -]+:(?:\s|$)(?!.*[.!?]$)")
_SKIPPED = re.compile(
    r"\s*(?:\[[^\]]+\]:\s|!\[[^\]]*\]\([^)]*\)\s*$|<!--.*-->\s*$|</?(?:br|hr)\s*/?>\s*$|[*_-]{3,}\s*$|\+[-=+]+\+\s*$)"
)
_GRID = re.compile(r"\s*=+(?:\s+=+)+\s*$")
_TABLE_RULE = re.compile(r"\s*\|?[\s:|+-]*-[\s:|+-]*$")
_SETTING = re.compile(r"\s*(?:export\s+)?[\w\"'][\w .\-/()\"'\[\]]{0,60}\s*(?:[:=]|=>)\s*\S")
_FRONT = re.compile(r"---[ \t]*\n(?:[^\n]*\n){1,40}?---[ \t]*(?:\n|$)")
_GAP = re.compile(r"\t+| {2,}")
_TAG = re.compile(
    r"<(/?)(p|li|ul|ol|dl|dt|dd|table|thead|tbody|tr|td|th|div|section|article|blockquote|pre|h[1-6]|script|style|title|html|head|body|!doctype|nav|header|footer|main|aside)\b[^>]*>",
    re.I,
)
_PROSE_END = re.compile(r"[.!?:]['\")\]]?\s*$")
_LEVELS = "=-~^\"'"


def blocks(text: str, *, whole: bool = False) -> list[Block]:
    """The blocks of a text in their order, code included, headings not. `whole`: the text is a document from its start."""
    return _Scan(text, whole).run()


class _Scan:
    """One pass over the lines of a text; what is open is closed by a blank line, a heading or a block of another kind."""

    def __init__(self, text: str, whole: bool) -> None:
        self.text = text
        self.first = whole
        self.found: list[Block] = []
        self.path: list[tuple[int, str]] = []
        self.kind = ""
        self.start = self.end = self.indent = self.lines = 0
        self.fence = ""
        self.header = self.note = ""
        self.note_indent = -1
        self.code_indent = -1
        self.blank = True
        self.listed = -1
        self.grid = 0
        self.table_end = -1

    def run(self) -> list[Block]:
        front = _FRONT.match(self.text)
        offset = front.end() if front else 0
        for line in self.text[offset:].split("\n"):
            self.line(line, offset)
            offset += len(line) + 1
        self.close()
        return self.found

    def line(self, line: str, offset: int) -> None:
        """Take one line that stands at `offset`."""
        fence = _FENCE.match(line)
        if self.fence:
            self.in_fence(line, offset, fence)
            return
        if not line.strip():
            self.close()
            self.blank = True
            return
        indent = len(line) - len(line.lstrip())
        blank, self.blank = self.blank, False
        self.leave(indent)
        if fence and (self.lines == 0 or indent < 4 or line.lstrip()[:3] in ("```", "~~~")):
            self.close()
            self.fence, self.start = fence[1], offset + len(line) + 1
        elif not self.structure(line, offset, indent):
            self.words(line, offset, indent, blank)

    def in_fence(self, line: str, offset: int, fence: re.Match[str] | None) -> None:
        if fence and fence[1].startswith(self.fence) and line.strip() == fence[1]:
            self.emit("code", self.start, offset - 1)
            self.fence = ""

    def leave(self, indent: int) -> None:
        """End the note, code or list that a line at this indent no longer belongs to."""
        if indent <= self.note_indent:
            self.note, self.note_indent = "", -1
        if indent <= self.code_indent:
            self.code_indent = -1
        if not self.kind and indent <= self.listed:
            self.listed = -1

    def structure(self, line: str, offset: int, indent: int) -> bool:
        """Whether the line is a mark of structure rather than words; if so it is dealt with."""
        heading = _HEADING.match(line)
        if heading:
            self.close()
            self.enter(len(heading[1]), heading[2])
        elif _UNDERLINE.match(line) and indent == 0:
            self.underline(line)
        elif line.lstrip().startswith("|"):
            self.row(line, offset, indent)
        elif _GRID.match(line):
            self.close()
            self.grid = (self.grid + 1) % 3
        elif _SKIPPED.match(line) or (_OPTION.match(line) and not self.kind):
            self.close()
        elif _DIRECTIVE.match(line) and line.lstrip().startswith(".. "):
            self.directive(line, offset, indent)
        elif line.lstrip().startswith(("!!!", "???", ":::")):
            self.close()
            note = _NOTE.match(line)
            self.note, self.note_indent = (note[1] or "" if note else ""), indent
        else:
            return False
        return True

    def enter(self, level: int, title: str) -> None:
        self.first = False
        self.path = [*((depth, old) for depth, old in self.path if depth < level), (level, title)]
        self.header, self.listed, self.note, self.note_indent = "", -1, "", -1

    def underline(self, line: str) -> None:
        """A line of one sign: the title is the one line before it, if there is just one."""
        if self.kind == "prose" and self.lines == 1:
            title = self.text[self.start : self.end].strip()
            self.kind = ""
            self.enter(1 + max(0, _LEVELS.find(line[0])), title)
        else:
            self.close()

    def row(self, line: str, offset: int, indent: int) -> None:
        """A row of a Markdown table; the row above the rule is the header of those below it."""
        self.close()
        follows, self.table_end = offset == self.table_end, offset + len(line) + 1
        if not follows:
            self.header = ""
        if not _TABLE_RULE.match(line):
            self.emit("row", offset + indent, offset + len(line.rstrip()), indent, self.header)
        elif follows and self.found and self.found[-1].kind == "row" and not self.found[-1].label:
            last = self.found.pop()
            self.header = self.text[last.start : last.end]

    def directive(self, line: str, offset: int, indent: int) -> None:
        """A mark of reStructuredText: code follows, or a note, or what is said of an object, which then labels it."""
        self.close()
        match = _DIRECTIVE.match(line)
        name = match[1] if match else None
        if match is None or name is None or name in _CODE_DIRECTIVES:
            self.code_indent = indent
            return
        argument = line[match.end() :].strip()
        described = ":" in name or name in _OBJECTS
        if described or self.note_indent < 0:
            self.note, self.note_indent = argument if described else "", indent
        if argument and not described and not argument.replace(".", "").isdigit():  # not the version of a `versionadded`
            self.extend("prose", offset + match.end(), offset + len(line.rstrip()), indent + 1)

    def words(self, line: str, offset: int, indent: int, blank: bool) -> None:
        """A line of words, of settings or of code without a fence."""
        item = _ITEM.match(line)
        if self.grid:
            self.close()
            if self.grid == 1:
                self.header = line.strip()
            else:
                self.emit("row", offset + indent, offset + len(line.rstrip()), indent, self.header)
        elif self.code_indent >= 0 or (self.kind == "code" and indent >= self.indent):
            self.extend("code", offset, offset + len(line), indent)
        elif item:
            self.close()
            self.extend("item", offset + item.end(), offset + len(line.rstrip()), indent)
            self.listed = indent
        elif blank and indent >= 4 and self.listed < 0 and self.note_indent < 0 and not _PROSE_END.search(line):
            self.extend("code", offset, offset + len(line), indent)
        else:
            start = offset + indent + (2 if line.lstrip().startswith("> ") else 0)
            self.extend(self.kind or "prose", start, offset + len(line.rstrip()), indent)

    def extend(self, kind: str, start: int, end: int, indent: int) -> None:
        if self.kind != kind:
            self.close()
            self.kind, self.start, self.indent, self.lines = kind, start, indent, 0
        self.end = end
        self.lines += 1

    def close(self) -> None:
        """Emit what is open. A paragraph that ends with `::` is followed by code."""
        if not self.kind:
            return
        kind, self.kind = self.kind, ""
        piece = self.text[self.start : self.end]
        if piece.endswith("::") and kind != "code":
            self.code_indent = self.indent
        if "<" in piece and kind != "code" and _TAG.search(piece):
            self.tagged(piece)
        elif kind == "prose" and self.lines > 1 and self.listing(piece):
            pass
        elif kind == "prose" and self.lines == 1 and self.titled(piece):
            self.enter(2 if piece.isupper() else 1, piece.strip())
        else:
            self.emit(kind, self.start, self.end, self.indent, self.note)
        self.lines = 0

    def titled(self, piece: str) -> bool:
        """Whether a line that stands alone is a heading: in capitals, or the first line of a document, and no sentence."""
        first, self.first = self.first, False
        title = piece.strip()
        return len(title) <= 80 and title[-1:].isalnum() and (first or (title.isupper() and len(title) > 2))

    def listing(self, piece: str) -> bool:
        """Emit a paragraph that is really a list of `name: value` lines or a table in columns; whether it was one."""
        lines = piece.split("\n")
        columns = {len(_GAP.split(line.strip())) for line in lines}
        if all(_SETTING.match(line) for line in lines):
            kind, label = "setting", self.note
        elif len(columns) == 1 and columns != {1}:
            kind, label = "row", "" if any(c.isdigit() for c in lines[0]) else lines[0].strip()
        else:
            return False
        offset = self.start
        for line in lines:
            indent = len(line) - len(line.lstrip())
            if not (kind == "row" and line.strip() == label):
                self.emit(kind, offset + indent, offset + len(line.rstrip()), indent, label)
            offset += len(line) + 1
        return True

    def tagged(self, piece: str) -> None:
        """Split a block of HTML at its tags; the first cell of a table row labels the others."""
        place, tag, label, first = 0, "", "", False
        for match in [*_TAG.finditer(piece), None]:
            end = match.start() if match else len(piece)
            inner = piece[place:end]
            start = self.start + place + len(inner) - len(inner.lstrip())
            if inner.strip() and tag not in ("script", "style", "title", "head"):
                if re.fullmatch(r"h[1-6]", tag):
                    self.enter(int(tag[1]), inner.strip())
                elif first:
                    label, first = inner.strip(), False
                else:
                    kind = {"li": "item", "td": "cell", "th": "cell", "pre": "code"}.get(tag, "prose")
                    self.emit(kind, start, start + len(inner.strip()), 0, label)
            if match is None:
                return
            tag = "" if match[1] else match[2].lower()
            if match[2].lower() == "tr":
                label, first = "", not match[1]
            elif match[2].lower() == "th" and not match[1] and not first:
                tag = "style"
            place = match.end()

    def emit(self, kind: str, start: int, end: int, indent: int = 0, label: str = "") -> None:
        if end > start and self.text[start:end].strip():
            self.first = False
            self.found.append(Block(kind, start, end, indent, tuple(title for _, title in self.path), label))
