"""OpenAI Chat Completions: the strict reader of replies, streamed or whole.

Nothing is a reply before a known finish reason and `[DONE]` (or the whole JSON body) have come; a call that was cut off,
or that pieces make ambiguous, never comes out. What is generated counts as progress, and nothing else does.

    reading --finish_reason--> finished --[DONE]--> done        any error --> broken
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import msgspec

from standpipe.core.details import Usage
from standpipe.core.items import Text, ToolCall
from standpipe.core.tools import ToolSpec
from standpipe.wire.openai_chat import names
from standpipe.wire.openai_errors import of_error
from standpipe.wire.outcome import Broken, Said, fault
from standpipe.wire.sse import Event, Events, Garbled

CONTENT_CHARS_MAX = 2_000_000
"""More than any model says in one reply; a stream that does not end must not fill the memory."""
BODY_BYTES_MAX = 8_388_608
CALLS_MAX = 64
NATIVE_CHARS_MAX = 64


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Piece(msgspec.Struct):
    """A tool call in a message, or a piece of one in a stream."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Piece] | None = None
    function_call: Any = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Reply(msgspec.Struct):
    """A chunk of a stream, or a whole body."""

    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_REPLY: msgspec.json.Decoder[_Reply] = msgspec.json.Decoder(_Reply)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Call:
    """A tool call as its pieces come in."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class _Trouble(Exception):
    """A fault class, and a detail in our words: how the steps of reading tell the parser to stop."""


class Parser:
    """Feed it the bytes of a reply as they come, then ask what they were. Keeps no more than the caps allow."""

    def __init__(self, tools: Sequence[ToolSpec], *, streamed: bool) -> None:
        self._names: Mapping[str, str] = names(tools)
        self._streamed = streamed
        self._events = Events()
        self._body = bytearray()
        self._content: list[str] = []
        self._refused = False
        self._calls: list[_Call] = []
        self._at: dict[int, _Call] = {}
        self._size = 0
        self._finish = ""
        self._usage: Usage | None = None
        self._broken: Broken | None = None
        self._complete = False

    @property
    def over(self) -> bool:
        """Whether no further byte can change anything."""
        return self._complete or self._broken is not None

    @property
    def answering(self) -> str:
        """The arguments of an `answer` call as far as they have come."""
        return next(("".join(c.arguments) for c in self._calls if self._names.get(c.name, c.name) == "answer"), "")

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; whether a part of the reply itself was in them."""
        if self.over:
            return False
        before = self._size
        try:
            if self._streamed:
                for event in self._events.feed(data):
                    self._event(event)
            else:
                self._body += data
                if len(self._body) > BODY_BYTES_MAX:
                    raise _Trouble("protocol", "the body is too large")
                return bool(data.strip())  # white space keeps connections alive
        except Garbled as error:
            self._break("protocol", str(error))
        except _Trouble as error:
            self._break(*error.args)
        return self._size > before

    def end(self) -> Said | Broken:
        """What came, now that no more bytes will come."""
        try:
            if not self.over and self._streamed:
                for event in self._events.end():
                    self._event(event)
            elif not self.over:
                self._whole()
            if self._broken is None:
                return self._concluded()
        except Garbled as error:
            self._break("protocol", str(error))
        except _Trouble as error:
            self._break(*error.args)
        assert self._broken is not None
        return self._broken

    def _break(self, code: str, detail: str = "") -> None:
        self._broken = self._broken or Broken(fault(code, detail), self._usage)

    def _event(self, event: Event) -> None:
        if self.over or event.name not in ("", "message", "error"):
            return
        if event.data.strip() == "[DONE]":
            self._complete = True
            return
        reply = self._reply(event.data, event.name)
        if reply is None:
            return
        if reply.choices is None and reply.usage is None:
            raise _Trouble("protocol", "a chunk without choices")
        for choice in reply.choices or ():
            self._choice(choice, choice.delta)

    def _reply(self, data: str | bytearray, name: str = "") -> _Reply | None:
        """The decoded chunk or body; None where it is an error, which ends everything."""
        try:
            reply = _REPLY.decode(data)
        except _UNREADABLE:
            raise _Trouble("protocol", "it is not the JSON of the dialect") from None
        if reply.error is not None or name == "error":
            self._broken = msgspec.structs.replace(of_error(reply.error), usage=self._usage)
            return None
        self._usage = _usage(reply.usage) or self._usage
        return reply

    def _whole(self) -> None:
        try:
            msgspec.json.decode(self._body)
        except _UNREADABLE:
            raise _Trouble("truncated") from None
        reply = self._reply(self._body)
        if reply is None:
            return
        for choice in reply.choices or ():
            message = choice.message
            for n, piece in enumerate(message.tool_calls or () if message is not None else ()):
                piece.index = n
            self._choice(choice, message)
        self._complete = True

    def _choice(self, choice: _Choice, message: _Message | None) -> None:
        if choice.index not in (0, None):
            raise _Trouble("protocol", "a choice that was not asked for")
        before = self._size
        if message is not None:
            self._take(message)
        if self._finish and self._size > before:
            raise _Trouble("protocol", "it goes on after its end")
        if choice.finish_reason:
            if self._finish not in ("", choice.finish_reason):
                raise _Trouble("protocol", "it ends twice")
            self._finish = choice.finish_reason

    def _take(self, message: _Message) -> None:
        if message.role not in (None, "", "assistant"):
            raise _Trouble("protocol", "a message that is not the assistant's")
        if message.function_call:
            raise _Trouble("protocol", "a call in a form that was not offered")
        if message.content:
            self._content.append(message.content)
        self._refused = self._refused or bool(message.refusal)
        self._size += len(message.content or "") + len(message.refusal or "") + len(message.reasoning_content or "")
        for piece in message.tool_calls or ():
            self._add(piece)
        if self._size > CONTENT_CHARS_MAX:
            raise _Trouble("protocol", "it is too large")

    def _add(self, piece: _Piece) -> None:
        """Join a piece to its call: by its index, else by its id, else it belongs to the last one. A new id is a new call."""
        if piece.type not in (None, "", "function"):
            raise _Trouble("protocol", "a call of a kind that was not offered")
        if piece.index is not None:
            call = self._at.get(piece.index)
        else:
            call = next((c for c in self._calls if piece.id and c.id == piece.id), self._calls[-1] if self._calls else None)
        if call is None or (piece.id and call.id and piece.id != call.id):
            call = _Call()
            self._calls.append(call)
            if len(self._calls) > CALLS_MAX:
                raise _Trouble("protocol", "too many calls")
        if piece.index is not None:
            self._at[piece.index] = call
        call.id = call.id or piece.id or ""
        function = piece.function or _Function()
        if function.name and call.name not in ("", function.name):
            raise _Trouble("protocol", "a call with two names")
        call.name = call.name or function.name or ""
        given = function.arguments
        told = given if isinstance(given, str) else msgspec.json.encode(given).decode() if given is not None else ""
        call.arguments.append(told)
        self._size += len(told) + len(function.name or "")

    def _concluded(self) -> Said:
        """The reply, if it came to an end, and to one that is a success."""
        if not self._complete or not self._finish:
            raise _Trouble("truncated")
        if self._finish == "content_filter" or self._refused:
            raise _Trouble("policy")
        if self._finish == "length":
            raise _Trouble("length")
        if self._finish not in ("stop", "tool_calls"):
            raise _Trouble("protocol", "it ends for a reason that is not known")
        text = "".join(self._content)
        bodies: list[Text | ToolCall] = [Text(text)] if text.strip() else []
        bodies += [self._called(call) for call in self._calls]
        if not bodies:
            raise _Trouble("empty")
        if self._finish == "tool_calls" and not self._calls:
            raise _Trouble("protocol", "it ends with calls and has none")
        honest = self._usage is not None and self._usage.output_tokens > 0
        return Said(tuple(bodies), self._usage if honest else None)

    def _called(self, call: _Call) -> ToolCall:
        if not call.name:
            raise _Trouble("protocol", "a call without a name")
        try:
            arguments = msgspec.json.decode("".join(call.arguments).strip() or "{}", type=dict[str, Any])
        except _UNREADABLE:
            raise _Trouble("protocol", "the arguments of a call are not a JSON object") from None
        native = call.id if len(call.id) <= NATIVE_CHARS_MAX else ""
        return ToolCall(self._names.get(call.name, call.name), arguments, native)


def _usage(told: Any) -> Usage | None:
    """The usage as told; None where it is absent or makes no sense."""
    if not isinstance(told, dict):
        return None
    read, said = told.get("prompt_tokens"), told.get("completion_tokens")
    if not (_count(read) and _count(said)):
        return None
    return Usage(read, said)


def _count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**50
