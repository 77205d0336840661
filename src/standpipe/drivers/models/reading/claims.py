"""What documents state, as claims that can be held against those of others: amounts, versions, settings.

Subject and predicate are the words of a statement without its value. The subject is what the question is about if the statement
speaks of it, else what it says the rest of, else a name in it, else what stands above it; the predicate is all that is left, in
its order. So two documents about one setting say the same of it, whether it stands in a table, a list or a sentence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from standpipe.core.control import AnswerClaim, AnswerSentence
from standpipe.drivers.models.reading.conflict import FILLER, PER, Statement, content_of, statements, subject_of
from standpipe.drivers.models.reading.cues import heading_fits
from standpipe.drivers.models.reading.evidence import Cited, Document, dates
from standpipe.drivers.models.reading.measures import Measure
from standpipe.drivers.models.reading.question import Term
from standpipe.drivers.models.reading.terms import STOP, WEAK, pieces, stem, terms, words

CLAIMS_MAX = 12
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?[kK]?(?![a-z])|\d[\d,]*(?:\.\d+)?")
_VERSION = re.compile(r"(?<![\w.])(?:(?<=version )\d+(?:\.\d+)*|v\d+(?:\.\d+)*|\d+(?:\.\d+){2,})(?![\w.]*\w)", re.I)
_SETTING = re.compile(r"^([\w\"'.\-/ ]{2,60}?)\s*[:=]\s*[`\"']?([A-Za-z][\w.\-/]*)[`\"']?\s*$")
_SET_TO = re.compile(r"^(.{3,80}?)\s+(?:is|are)\s+set\s+to\s+[`\"']?([A-Za-z][\w\-]*)[`\"']?\.?$")
_OWNERS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"^(?:for|on)\s+(?P<s>[\w' -]+?),?\s+the\s",
        r"\bof\s+(?P<s>(?:the\s+)?[\w'-]+(?:\s+[\w'-]+){0,2}?)\s*(?:$|[:=;,.]|\b(?:is|are)\b)",
        r"^(?:we\s+(?:run|keep|use)\s+)?(?P<s>[\w' -]+?)\s+(?:has|have|runs?|uses?|gets?|with|keeps?|takes?)\b",
        r"^(?P<s>[\w' -]+?)\s*[:;,]\s+(?=\w)",
    )
)
_NAMED = re.compile(r"\b(?:a|an|the|its|their|our)\s+(?P<q>(?:[\w-]+\s+){1,4})of\s+$", re.I)
_ELSEWHERE = re.compile(r"\b(?:if|when|whenever|unless|would|could|might|may|about|around|roughly|nearly|except)\b", re.I)
_CAPITAL = re.compile(r"\w\s+[\"'`(]?([A-Z][\w-]*)")
_NAMED_MAX = 3
_PREDICATE_MAX = 8
_EACH = re.compile(r"\s*(?:\b(?:per|an?|each)\b|/)\s*")
_SIZES = {f"{name}byte": f"{name[0].upper()}B" for name in ("kilo", "mega", "giga", "tera")}
_SIZES |= {f"{name}bibyte": f"{name[0].upper()}iB" for name in ("me", "gi", "te")}
_TIMES = {short: long for long in ("second", "minute", "hour", "day") for short in (long[0], long[:3])}
_KNOWN = ("ms", "bytes", "percent", "$", "€", "£")


class Stated(msgspec.Struct, frozen=True):
    """A value as it is written, what its text says of what (`plain`), and its amount where it is a number that has one.
    `owner` is what it is said of, where the text leaves no doubt."""

    document: Document
    cited: Cited
    plain: str
    value: str
    unit: str = ""
    measure: Measure | None = None
    kind: str = ""
    owner: tuple[str, ...] = ()

    @property
    def worth(self) -> tuple[object, ...]:
        """What makes two values the same."""
        return (self.measure.amount, self.measure.dimension) if self.measure else (self.value.lower(),)


def claims(
    documents: Sequence[Document],
    said: Iterable[AnswerSentence],
    subject: Sequence[Term],
    concerned: Sequence[frozenset[str]],
) -> tuple[AnswerClaim, ...]:
    """At most CLAIMS_MAX values: those in the sentences `said`, in their order, then those of what the answer is about.

    What one document states twice with different values is left out: its words do not tell what the difference is.
    """
    quoted = {(c.source, c.quote): n for n, sentence in enumerate(said) for c in sentence.citations}
    names = _names(documents)
    ways = [way - FILLER for way in concerned]
    found: dict[tuple[str, str], dict[str, list[Stated]]] = defaultdict(lambda: defaultdict(list))
    for stated in (stated for document in documents for stated in _stated(document)):
        key = _parted(stated, subject, names)
        if all(key):
            found[key][stated.document.source].append(stated)
    ranked: list[tuple[int, int, AnswerClaim]] = []
    for key, by_source in found.items():
        plain = [own[0] for own in by_source.values() if len({stated.worth for stated in own}) == 1]
        for stated in {one.worth: one for one in reversed(plain)}.values():
            place = quoted.get((stated.document.source, stated.cited.unit.quote), len(quoted))
            if place < len(quoted) or any(way and way <= _around(stated) for way in ways):
                ranked.append((place, len(ranked), _claim(stated, key)))
    return tuple(claim for *_, claim in sorted(ranked, key=lambda entry: entry[:2])[:CLAIMS_MAX])


def _claim(stated: Stated, key: tuple[str, str]) -> AnswerClaim:
    dated = dates(stated.cited.unit.text)
    return AnswerClaim(
        subject=key[0],
        predicate=key[1],
        value=stated.value,
        source=stated.cited.passage.source,
        quote=stated.cited.unit.quote,
        unit=stated.unit,
        time="-".join(f"{number:02}" for number in dated[0]) if dated else "",
    )


def _stated(document: Document) -> Iterator[Stated]:
    """The single values that a document states: amounts, then versions and settings where a text has no amount."""
    for statement in statements(document):
        if statement.terse:
            yield _amount(statement)
        elif (phrase := _phrase(statement)) is not None:
            yield phrase
    for cited in document.cited:
        text = cited.unit.text
        version = _VERSION.search(text)
        if version and len(content_of(text)) <= _PREDICATE_MAX:
            yield Stated(document, cited, f"{text[: version.start()]} {text[version.end() :]}", version[0], kind="version")
        elif match := _SETTING.match(text) if cited.unit.kind == "setting" else _SET_TO.match(text):
            yield Stated(document, cited, match[1], match[2])


def _amount(statement: Statement) -> Stated:
    """The number as it is written, and its unit unless the words beside it say it already."""
    measure = statement.measure
    number = _NUMBER.search(measure.written)
    assert number is not None, measure
    written = (measure.written[: number.start()] + measure.written[number.end() :]).strip(" \t-")
    unit, *each = _EACH.split(written, maxsplit=1)
    name = _SIZES.get(unit.lower().removesuffix("s"), unit)
    if each:
        name = f"{name} per {_TIMES.get(each[0].lower(), each[0])}".lstrip()
    elif measure.dimension in statement.content:
        name = ""
    return Stated(statement.document, statement.cited, statement.plain, number[0], name, measure)


def _phrase(statement: Statement) -> Stated | None:
    """What a longer sentence names right before the amount, as in `gets a grace period of 30 seconds`.

    It is said of what the document is named after, if the sentence speaks of that; else nobody knows of what.
    """
    text, amount = statement.cited.unit.text, _amount(statement)
    named = _NAMED.search(text[: text.find(statement.measure.written)])
    owner = [word for word in _spoken(text) if stem(word) in statement.document.name]
    if named is None or not owner or _ELSEWHERE.search(text):
        return None
    return msgspec.structs.replace(amount, plain=named["q"], owner=tuple(owner))


def _names(documents: Iterable[Document]) -> frozenset[str]:
    """The stems that stand for something of its own: words with a capital inside a sentence, and those that name a document."""
    known = list(documents)
    inside = (word for d in known for cited in d.cited for word in _CAPITAL.findall(cited.unit.text))
    said = frozenset(piece for word in inside for piece in pieces(word))
    return said.union(*(own for d in known if len(own := subject_of(d)) == 1)) - WEAK - FILLER


def _around(stated: Stated) -> frozenset[str]:
    """The terms of a statement, of what stands above it, and of its document's name."""
    return terms(stated.plain) | stated.cited.unit.around | stated.document.name


def _parted(stated: Stated, subject: Sequence[Term], names: frozenset[str]) -> tuple[str, str]:
    """The subject and the predicate of a statement, in canonical words."""
    content = content_of(stated.plain)
    plain = _spoken(PER.sub(" ", stated.plain))
    near = _around(stated)
    asked = [term for term in subject if term.within(near)]
    owner = [*stated.owner]
    if not owner and any(term.within(content) for term in asked):
        owner = _spoken(" ".join(term.word for term in asked))
    owner = owner or _owner(stated.plain) or [word for word in plain if stem(word) in names][:_NAMED_MAX]
    owner = owner or _spoken(" ".join(term.word for term in asked)) or _above(stated)
    taken = {stem(word) for word in owner}
    rest = [word for word in plain if stem(word) not in taken and word != stated.kind][:_PREDICATE_MAX]
    if stated.kind:
        rest.append(stated.kind)
    if not rest and stated.unit and stated.measure and stated.measure.dimension not in _KNOWN:
        rest = _spoken(stated.unit)
    return " ".join(owner), " ".join(map(_singular, rest))


def _spoken(text: str) -> list[str]:
    """The words of a text that say something, in lower case, compounds in their pieces, each once."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("-", " ").lower()
    said = (word for word in words(split) if word not in STOP and stem(word) not in FILLER)
    return list(dict.fromkeys(word for word in said if len(word) > 1 or word.isdigit()))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == "s" and stem(word[:-1]) == stem(word) else word


def _owner(plain: str) -> list[str]:
    """What a statement without a name says the rest of: `Q of S`, `for S the Q`, `S has a Q`, `S: Q`."""
    for pattern in _OWNERS:
        match = pattern.search(plain.strip())
        own = _spoken(match["s"]) if match else []
        if own and len(own) <= _NAMED_MAX and frozenset(own) < frozenset(_spoken(plain)):
            return own
    return []


def _above(stated: Stated) -> list[str]:
    """The nearest heading that is about something, else the document's name."""
    for title in reversed(stated.cited.unit.headings):
        own = _spoken(title)
        name = _spoken(stated.document.source.rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("_", " "))
        if name and frozenset(name) <= frozenset(own):
            return name
        if own and not heading_fits("number", (title,)) and not {stem(word) for word in own} <= WEAK:
            return own[:_NAMED_MAX]
    return _spoken(stated.document.source.rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("_", " "))
