"""Where output goes: answers to stdout, sentences of trouble to stderr; nothing that could steer a terminal gets through."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

import msgspec

from standpipe.entrypoints.words import clean, one_line

COLUMNS_MAX = 120


def prepare() -> None:
    """No character is too strange for the streams: what they cannot encode is written escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def on_terminal() -> bool:
    """Whether somebody watches stderr on a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def say(text: str = "", indent: str = "") -> None:
    """Lines on stdout; on a terminal long ones are wrapped, continued after `indent`."""
    print(_wrapped(clean(text), indent) if sys.stdout.isatty() else clean(text), flush=True)


def say_changed(mark: str, text: str) -> None:
    """A line of a comparison on stdout, behind its mark: on a terminal what is gone (`-`) is red, what is new (`+`) green."""
    colour = {"-": 31, "+": 32}.get(mark, 36)
    line = clean(f"{mark} {text}")
    plain = not sys.stdout.isatty() or os.environ.get("TERM", "") in ("", "dumb") or "NO_COLOR" in os.environ
    print(line if plain else f"\x1b[{colour}m{line}\x1b[0m", flush=True)


def say_heading(text: str) -> None:
    """A heading on stdout, bold on a terminal."""
    bold = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    print(f"\x1b[1m{clean(text)}\x1b[0m" if bold else clean(text), flush=True)


def say_entry(word: str, entries: list[str]) -> None:
    """A heading with what belongs under it, or `none`; an entry may be indented further."""
    say_heading(word)
    for entry in entries or ["none"]:
        further = len(entry) - len(entry.lstrip())
        say(f"  {entry}", " " * (4 + further))


def say_json(value: object, *, indent: int = 2) -> None:
    """One JSON document on stdout; with indent 0 as one line."""
    data = msgspec.json.encode(value)
    sys.stdout.write((msgspec.json.format(data, indent=indent) if indent else data).decode() + "\n")
    sys.stdout.flush()


def trouble(sentence: str) -> None:
    """One sentence on stderr."""
    print(one_line(sentence), file=sys.stderr, flush=True)


def _wrapped(text: str, indent: str) -> str:
    width = min(COLUMNS_MAX, shutil.get_terminal_size().columns)
    lines = (textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False) for line in text.split("\n"))
    return "\n".join(lines)
