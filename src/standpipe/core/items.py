"""What a conversation is made of: items with typed portable bodies, labels that say where their bytes come from.

An item never changes. Its body is kept apart from the event that carries it (by hash, within the tenant), so that a body
can be erased while the log stays whole. `body` is None where it was erased or not loaded.
"""

from __future__ import annotations

from typing import Any

import msgspec

from standpipe.core.ids import digest_bytes


class Source(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One version of one document: `folder` is the namespace of its relations, `path` its id within the folder.

    A resource that a tool touched is a source too: outside of folders (`folder` empty), `path` its object ("incident:7").
    """

    folder: str
    path: str
    version: str


class Label(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who may read an item: whoever may read every source in `sources`.

    `integrity` is "user", "agent", "tool" or "document": who chose these bytes.
    """

    sources: tuple[Source, ...] = ()
    integrity: str = "agent"


class Text(msgspec.Struct, frozen=True, tag="text", omit_defaults=True, gc=False):
    """Plain words: what a user said, what a model said beside its calls, a note of the runtime to the model."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, tag="call", omit_defaults=True, gc=False):
    """A move of a model: call `name` with `arguments`. `native` is the provider's own id of it, if it has one."""

    name: str
    arguments: dict[str, Any] = {}
    native: str = ""


class Passage(msgspec.Struct, frozen=True, tag="passage", omit_defaults=True, gc=False):
    """A piece of a document version: `text` stands at code point `start` of it, under the headings `heading`.

    `score` is the rank score where the passage was found by a search, 0 where it was read. `memory` marks what an
    earlier turn produced: it leads to its sources and is never cited itself.
    """

    source: str
    version: str
    text: str
    heading: tuple[str, ...] = ()
    start: int = 0
    score: float = 0.0
    folder: str = ""
    memory: bool = False


class Data(msgspec.Struct, frozen=True, tag="data", omit_defaults=True, gc=False):
    """A typed value that a tool returned."""

    value: Any


class Failure(msgspec.Struct, frozen=True, tag="failure", omit_defaults=True, gc=False):
    """What a model is told about a call that gave nothing: `code` for rules, `text` for reading."""

    code: str
    text: str


class Citation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`quote` stands word for word in `version` of document `source` (of folder `folder`)."""

    source: str
    version: str
    quote: str
    folder: str = ""


class Sentence(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One sentence of an answer, the part of the question it answers (an index), and what supports it."""

    text: str
    citations: tuple[Citation, ...] = ()
    part: int = 0


class Gap(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Something asked that could not be answered; `part` is the part of the question, -1 for the whole."""

    text: str
    part: int = -1


class ConflictValue(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One side of a conflict: what `citation` says the value is."""

    value: str
    citation: Citation


class Conflict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Sources that give different values for the same thing, all shown, none preferred."""

    about: str
    values: tuple[ConflictValue, ...]


class Claim(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A typed statement: `predicate` of `subject` is `value` (in `unit`, at `time`), as `citation` says."""

    subject: str
    predicate: str
    value: str
    citation: Citation
    unit: str = ""
    time: str = ""


class Answer(msgspec.Struct, frozen=True, tag="answer", omit_defaults=True, gc=False):
    """A checked answer, of a turn or of a specialist: most relevant sentence first."""

    sentences: tuple[Sentence, ...] = ()
    gaps: tuple[Gap, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    value: Any = None
    claims: tuple[Claim, ...] = ()

    @property
    def text(self) -> str:
        """The sentences, a line each."""
        return "\n".join(sentence.text for sentence in self.sentences)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The citations of all sentences in the order of their first use, each once."""
        return tuple(dict.fromkeys(c for s in self.sentences for c in s.citations))


class Checked(msgspec.Struct, frozen=True, tag="checked", omit_defaults=True, gc=False):
    """What the checks verified of an answer call: for its n-th sentence the citations, for its n-th conflict the values,
    for its n-th claim the citation (nothing where they failed), and in words what is wrong with its typed value. Never shown
    to a model."""

    citations: tuple[tuple[Citation, ...], ...] = ()
    conflicts: tuple[tuple[ConflictValue, ...], ...] = ()
    problem: str = ""
    claims: tuple[Citation | None, ...] = ()


Body = Text | ToolCall | Passage | Data | Failure | Answer | Checked


class Item(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One piece of content. `id` is its place in the log, `hash` and `bytes` are those of the encoded body.

    `kind` is the tag of the body's type. `answers` is the id of the ToolCall item this item results from, `step` the
    plan step that brought it, `origin` who made it ("user", "extractive", "tool:search", "agent:analyst", ...; "task" for what
    a specialist was asked).
    """

    id: str
    kind: str
    hash: str
    bytes: int
    label: Label
    origin: str
    answers: str = ""
    step: str = ""
    body: Body | None = None


ITEM_OVERHEAD_BYTES = 256
"""More than any dialect adds around one item."""

_TAGS: dict[type, str] = {
    Text: "text",
    ToolCall: "call",
    Passage: "passage",
    Data: "data",
    Failure: "failure",
    Answer: "answer",
    Checked: "checked",
}
_BODY: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)


class Draft(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An item before it has a place in a log: what a driver returns."""

    body: Body
    label: Label = Label()
    answers: str = ""


def encode_body(body: Body) -> bytes:
    """The canonical bytes of a body: what is hashed, stored and counted."""
    return msgspec.json.encode(body, order="deterministic")


def decode_body(data: bytes) -> Body:
    """The body that `encode_body` made bytes of."""
    return _BODY.decode(data)


def place(draft: Draft, id: str, origin: str, step: str = "") -> Item:
    """The item that a draft becomes at its place in the log; its body is the one that storage will give back."""
    data = encode_body(draft.body)
    free = isinstance(draft.body, ToolCall | Data)  # only these hold values of any shape, which may read back otherwise
    return Item(
        id=id,
        kind=_TAGS[type(draft.body)],
        hash=digest_bytes(data),
        bytes=len(data),
        label=draft.label,
        origin=origin,
        answers=draft.answers,
        step=step,
        body=decode_body(data) if free else draft.body,
    )


def join(labels: list[Label], integrity: str = "agent") -> Label:
    """The label of something derived from inputs with these labels: readable only by who may read them all."""
    return Label(tuple(sorted({source for label in labels for source in label.sources})), integrity)
