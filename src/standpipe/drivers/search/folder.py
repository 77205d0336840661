"""A folder of documents on disk: which files are read, what their text is, and why the others are not.

A file is read as it is found, never through a link: who may write into one part of a folder could otherwise have files of
another part read under a name of their own. What a link inside the folder points to is read under its own name anyway.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from standpipe.core.ids import digest, digest_bytes
from standpipe.core.relations import Problem, parse_access_file
from standpipe.drivers.search.html import to_text
from standpipe.errors import UsageError
from standpipe.ports import Document

SUFFIXES = (".md", ".txt", ".rst", ".html")
RULES = "access.rel"
FILE_BYTES_MAX = 5_000_000
ENTRIES_MAX = 100_000
"""A folder with more entries than this is not a folder of documents: somebody named the root of a disk."""
CHUNK_BYTES = 1_000_000
CHUNK_FILES = 256
"""What is read before it is handed on, so that a large folder is never in memory as a whole."""

_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\r?\n(.{0,20000}?)^\1[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(title|description|summary)[ \t]*[:=][ \t]*(\S.*?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_ANY_FIELD = re.compile(r"\s*(?:#.*\n\s*)*[\w.-]+[ \t]*[:=]")

_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Chunk(msgspec.Struct, frozen=True):
    """Documents whose bytes are not those already known."""

    changed: tuple[Document, ...]
    gone: tuple[str, ...] = ()


class Folder:
    """One look at a folder. `known` are the versions that need not be read into documents again.

    The counts (`documents`, `replaced`, `skipped` by reason) are complete when all chunks were taken.
    """

    def __init__(self, root: Path, known: Mapping[str, str]) -> None:
        """Raises UsageError for what is not a folder that can be read."""
        self.root = root
        self.documents = 0
        self.replaced = 0
        self.skipped: Counter[str] = Counter()
        self._known = known
        self._files = list(_files(root, self.skipped))

    def chunks(self) -> Iterator[Chunk]:
        """What changed since `known`, in order of path; what is gone comes first."""
        gone = sorted(self._known.keys() - {path for path, _ in self._files})
        if gone:
            yield Chunk((), tuple(gone))
        changed: list[Document] = []
        no_more: list[str] = []
        size = 0
        for path, file in self._files:
            read = self._read(path, file)
            if isinstance(read, Document):
                changed.append(read)
                size += len(read.text)
            elif read and path in self._known:
                no_more.append(path)
            if size > CHUNK_BYTES or len(changed) == CHUNK_FILES:
                yield Chunk(tuple(changed), tuple(no_more))
                changed, no_more, size = [], [], 0
        if changed or no_more:
            yield Chunk(tuple(changed), tuple(no_more))

    def _read(self, path: str, file: Path) -> Document | str:
        """A document that changed, the empty string for one that did not, or the reason why it is none."""
        data = _bytes(file)
        text = _text(data) if isinstance(data, bytes) else data
        if isinstance(data, str) or isinstance(text, str):
            self.skipped[str(text)] += 1
            return str(text)
        words, whole = text
        self.documents += 1
        self.replaced += not whole
        version = digest_bytes(data)
        if self._known.get(path) == version:
            return ""
        return Document(path, version, _stripped(to_text(words) if path.lower().endswith(".html") else words))


def folder_id(tenant: str, root: Path) -> str:
    """The id of a folder: the same for the same real path and tenant, whoever asks and wherever from."""
    return digest([tenant, os.path.realpath(root)])


def rules(root: Path) -> tuple[str, ...] | None:
    """The relations that the folder's access.rel says, None if it has none.

    Raises UsageError if there is one that cannot be read or understood: whatever it was meant to say, it was not "open".
    """
    file = root / RULES
    if not os.path.lexists(file):
        return None
    try:
        status = file.stat()
        data = file.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size <= FILE_BYTES_MAX else None
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}): make it readable, or remove it.") from error
    if data is None:
        raise UsageError(f"{file} is no file of at most {FILE_BYTES_MAX // 1_000_000} MB: make it one, or remove it.")
    try:
        found = parse_access_file(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{file}, line {line}: found bytes that are not UTF-8; save the file as UTF-8.") from error
    if isinstance(found, Problem):
        raise UsageError(f"{file}, line {found.line}: found {found.found}; expected {found.expected}.")
    return found


def _files(root: Path, skipped: Counter[str]) -> Iterator[tuple[str, Path]]:
    """The files to look into, by their path in the folder, in order of path within each directory."""
    waiting = [("", root)]
    entries = 0
    while waiting:
        prefix, folder = waiting.pop()
        found = _entries(folder, bool(prefix), skipped)
        entries += len(found)
        if entries > ENTRIES_MAX:
            raise UsageError(f"The folder {root} has more than {ENTRIES_MAX:,} files: name a folder with documents only.")
        for entry in found:
            path = prefix + entry.name
            if path == RULES:
                continue
            reason = _passed_over(entry)
            if entry.is_dir(follow_symlinks=False) and not reason:
                waiting.append((path + "/", Path(entry.path)))
            elif reason:
                skipped[reason] += 1
            else:
                yield path, Path(entry.path)


def _entries(folder: Path, inside: bool, skipped: Counter[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError as error:
        if inside:
            return []  # removed while we looked
        raise UsageError(f"There is no folder {folder}: name one that exists.") from error
    except NotADirectoryError as error:
        if inside:
            return []
        raise UsageError(f"{folder} is not a folder: name the folder that the documents are in.") from error
    except OSError as error:
        if inside:
            skipped["unreadable"] += 1
            return []
        raise UsageError(f"The folder {folder} cannot be read ({error.strerror}): make it readable.") from error


def _passed_over(entry: os.DirEntry[str]) -> str:
    """Why an entry is not even opened; empty: it is."""
    name = entry.name
    if name.startswith("."):
        return "hidden"
    if entry.is_symlink():
        return "link"
    if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 or c == "\x7f" for c in name):
        return "name"
    if entry.is_dir(follow_symlinks=False):
        return ""
    if not entry.is_file(follow_symlinks=False):
        return "special"
    return "" if name.lower().endswith(SUFFIXES) else "type"


def _bytes(file: Path) -> bytes | str:
    """The bytes of a file, or why there are none."""
    try:
        handle = os.open(file, _OPEN)
    except OSError:
        return "unreadable"
    with open(handle, "rb") as opened:
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                return "special"
            if status.st_size > FILE_BYTES_MAX:
                return "large"
            data = opened.read(FILE_BYTES_MAX + 1)
        except OSError:
            return "unreadable"
    return "large" if len(data) > FILE_BYTES_MAX else data


def _text(data: bytes) -> tuple[str, bool] | str:
    """The words in some bytes and whether all of them were UTF-8; or why they are no text."""
    if b"\0" in data:
        return "binary"
    if not data.strip():
        return "empty"
    try:
        return data.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        text = data.decode("utf-8-sig", errors="replace")
    return "binary" if text.count("\ufffd") * 10 > len(text) else (text, False)


def _stripped(text: str) -> str:
    """The text without its front matter, of which the title and the description stay, as a heading and a paragraph."""
    front = _FRONT.match(text)
    if front is None or not _ANY_FIELD.match(front[2]):
        return text
    fields = {name.lower(): value.strip("\"'") for name, value in _FIELD.findall(front[2])}
    title = fields.get("title", "")
    about = fields.get("description") or fields.get("summary", "")
    kept = (f"# {title}\n\n" if title else "") + (f"{about}\n\n" if about and about not in ("|", ">", "|-", ">-") else "")
    return kept + text[front.end() :].lstrip("\r\n")
