"""Server-sent events out of bytes, however these are cut: the stream format of the HTML standard, and stricter.

An event counts once its empty line has come. Bytes that are not UTF-8 and events without end are errors, not guesses.
"""

from __future__ import annotations

import re

import msgspec

EVENT_BYTES_MAX = 4_194_304
"""More than any event of a dialect has; an event that does not end must not fill the memory."""
_END = re.compile(rb"\r\n|\n|\r")
_BOM = "\ufeff"


class Garbled(Exception):
    """The bytes are no event stream; the words say why, and are ours."""


class Event(msgspec.Struct, frozen=True):
    """One event: its name (empty for most) and its data lines, joined."""

    name: str
    data: str


class Events:
    """Takes bytes, gives events. Keeps at most one unfinished event."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._looked = 0
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self._first = True
        self._bare = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete. Raises Garbled."""
        self._rest += data
        events: list[Event] = []
        at = 0
        while (end := _END.search(self._rest, max(at, self._looked))) is not None:
            if end.group() == b"\r":
                if end.end() == len(self._rest):  # it may be the first half of a CRLF
                    break
                self._bare = True
            self._line(bytes(self._rest[at : end.start()]), events)
            at = end.end()
        del self._rest[:at]
        self._looked = max(len(self._rest) - 1, 0)
        if len(self._rest) + self._size > EVENT_BYTES_MAX:
            raise Garbled("an event is too large")
        return events

    def end(self) -> list[Event]:
        """The event that the end of the stream completes: only where single CRs end the lines can there be one."""
        events: list[Event] = []
        if self._bare and self._rest.endswith(b"\r"):
            self._line(bytes(self._rest[:-1]), events)
            self._rest.clear()
        return events

    def _line(self, raw: bytes, events: list[Event]) -> None:
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise Garbled("it is not UTF-8") from None
        if self._first:
            self._first, line = False, line.removeprefix(_BOM)
        if not line:
            if self._data:
                events.append(Event(self._name, "\n".join(self._data)))
            self._name, self._size = "", 0
            self._data.clear()
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._size += len(raw)
        elif field == "event":
            self._name = value
