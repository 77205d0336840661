"""A question to the parts it asks for, and for each part what must be found and what kind of answer it wants."""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec

from standpipe.drivers.models.reading.focus import focus
from standpipe.drivers.models.reading.terms import STOP, WEAK, compound, forms, joined, pieces, terms, words


class Term(msgspec.Struct, frozen=True):
    """One word of a question: any of `ways` (sets of stems, all of a set) in a text means that the text has it.

    `weak` words are everyday ones; `name` marks proper names and identifiers, which nothing else can stand for.
    """

    word: str
    ways: tuple[frozenset[str], ...]
    weak: bool = False
    name: bool = False

    def within(self, vocabulary: frozenset[str]) -> bool:
        """Whether a text with these terms has the word."""
        return any(way <= vocabulary for way in self.ways)


class Part(msgspec.Struct, frozen=True):
    """One thing asked for: its words, its terms, the `context` that it takes from the rest of the question, and `kinds`.

    `leans` when the words alone do not say what it is about, so that an answer must speak of the context too. `focus` are
    the words of the very thing asked for, in pieces.
    """

    text: str
    terms: tuple[Term, ...]
    context: tuple[Term, ...] = ()
    kinds: frozenset[str] = frozenset()
    leans: bool = False
    focus: tuple[tuple[Term, ...], ...] = ()

    @property
    def strong(self) -> tuple[Term, ...]:
        """The terms that say what the part is about."""
        return tuple(term for term in self.terms if not term.weak)


class Question(msgspec.Struct, frozen=True):
    """`parts` in the order asked; `document` if a text of some length is wanted; `follow` if it speaks of an answer given;
    `subject` what all of it is about.
    """

    text: str
    parts: tuple[Part, ...]
    document: bool = False
    follow: str = ""
    subject: tuple[Term, ...] = ()


_LENGTH_MAX = 4000
_PARTS_MAX = 8
_SENTENCE = re.compile(r"(?<=[?!])\s+|(?<=[.;])\s+(?=[A-Z(\"'“])|;\s+|\n+\s*(?:[-*•]|\d+[.)])?\s*")
_ASKING = r"(?:what|how|why|who|whom|whose|when|where|which|is|are|do|does|did|should|can|could|must|will|would|has|have)"
_JOINED = re.compile(rf",?\s+(?:and|but|or|then|plus)\s+(?:also\s+)?(?={_ASKING}\b)|,\s+(?={_ASKING}\b)", re.I)
_LEADS_UP = re.compile(r"\W*(?:(?:and|but|or|then|also)\s+)*(?:when|if|while|where)\s+(?!(?:is|are|was|were|do|does|did|should|can|could|must|will|would|has|have|may|shall|to)\b)", re.I)
_EMBEDS = re.compile(
    rf"\b(?:say|says|tell|tells|list|explain|describe|contain|contains|include|includes|cover|covers|show|shows|know|need)\s+(?:me\s+|us\s+)?(?={_ASKING}\b)",
    re.I,
)
_WANTS = re.compile(r"\W*(?:and\s+)?(?:i|we)(?:\s+would|['’]d)?\s+(?:need|want|like)\s+|\W*it\s+(?:should|must|has\s+to)\s+(?:say|contain|include|cover|list|have)\s+", re.I)
_KINDS_OF_TEXT = re.compile(r"\b(?:runbook|guide|checklist|playbook|summary|report|overview|manual|handbook|briefing|plan|instructions|procedure)s?\b", re.I)
_HOLDS = re.compile(r"\b(?:belongs?|goes?|put)\s+in(?:to)?\b|\b(?:contains?|includes?|covers?)\b", re.I)
_REPEATED = re.compile(r"\W*(when|if|for|after|before|during|where)\s+", re.I)
_PRODUCT = re.compile(r"\W*(?:me|us|up|together|out|a|an|the|some|my|our|short|brief|one)?\s*(?:[\w-]+\s+){0,4}?([\w-]+)\s+(?:for|of|on|about|to|that|which|how|covering|with|from)\b", re.I)
_OPENS = re.compile(rf"\W*(?:(?:and|but|also|so|then|please|in|on|at|for|to|from|of|by|with|under|since)\s+)*{_ASKING}\b", re.I)
_REQUEST = re.compile(
    r"\W*(?:please\s+|(?:can|could|would|will)\s+you\s+(?:please\s+)?|i(?:'d| would)?\s+(?:need|want|like)\s+(?:you\s+to\s+|to\s+)?"
    r"|help\s+(?:me|us)\s+(?:to\s+)?|let's\s+)*(?P<verb>write|draft|create|prepare|compile|produce|generate|make|build|assemble|put\s+together"
    r"|document|outline|summari[sz]e|sum\s+up|explain|describe|list|give|show|tell|find|compare|name|define|look\s+up|check|review)\b",
    re.I,
)
_MAKING = re.compile(r"write|draft|create|prepare|compile|produce|generate|make|build|assemble|put|document|outline|summari|sum", re.I)
_WRITING = re.compile(r"write|draft|create|prepare|compile|produce|generate|make|build|assemble|put", re.I)
_LISTED = re.compile(r":\s+(?=\S)|\b(?:including|covering|that\s+covers|which\s+covers|with\s+sections\s+(?:on|for|about))\s+", re.I)
_COMMAS = re.compile(r"\s*[,;]\s*(?:and\s+|or\s+)?|\s+and\s+(?=\S+(?:\s+\S+)*$)")
_BACKWARD = re.compile(r"\b(?:it|its|this|that|these|those|they|them|their|there|he|she|him|her|one|ones|above|same)\b", re.I)
_FOLLOW = {
    "shorter": re.compile(r"^\W*(?:(?:please|make|can|could|you|it|that|this|be|a|bit|much|even|now|the|answer|keep|give|me|in|again|just|more)\W+)*"
                          r"(?:shorter|short|brief(?:er|ly)?|shorten|concise(?:ly)?|condense|tl;?dr|less|fewer|one\s+sentence|summar\w+|sum)\b(?:\W+(?:please|it|that|this|version|up|words|the|answer|sentences?|detail|of|a|and))*\W*$", re.I),
    "longer": re.compile(r"^\W*(?:(?:please|make|can|could|you|it|that|this|be|a|bit|much|even|now|the|answer|give|me|in|again|some|and|with|tell|us)\W+)*"
                         r"(?:longer|more|elaborate|expand|details?|continue|go\s+on|further)\b(?:\W+(?:please|it|that|this|detail(?:s|ed)?|on|about|version|information|info|the|answer|go|of))*\W*$", re.I),
}
_KINDS = {
    "check": r"\b(?:check(?:s|ed|ing)?|inspect|verif\w+|look\s+(?:at|for|into|first)|where\s+(?:do|should|can)\s+(?:i|we)\s+look|diagnos\w+|investigat\w+"
    r"|troubleshoot\w*|debug\w*|examine|find\s+out|tell\s+(?:if|whether)|confirm)\b",
    "fix": r"^\W*how\b(?!\s+(?:many|much|long|often|soon))|\b(?:how\s+(?:do|can|should|would|must|to|could|is|are)|fix\w*|resolv\w+|mitigat\w+|recover\w*|repair\w*|restor\w+|remed\w+|solv\w+"
    r"|prevent\w*|avoid\w*|steps?|procedure|handl\w+|deal\s+with|roll(?:ing)?\s+back|what\s+(?:do|should|can|must|could|shall)\s+(?:i|we|you|one|they)"
    r"|what\s+to\s+do|what\s+now|what\s+next)\b",
    "cause": r"\b(?:why|caus\w+|reasons?|leads?\s+to|led\s+to|trigger\w*|due\s+to|behind)\b",
    "impact": r"\b(?:impact\w*|effects?|affect\w*|consequences?|what\s+happens|happen\s+(?:if|when)|symptoms?|risks?|dangers?|serious)\b",
    "define": r"^\W*what(?:'s|’s|\s+is|\s+are|\s+was|\s+were)\b|\bmean(?:s|ing)?\b|\bdefin\w+|\bstands?\s+for\b|\bpurpose\b"
    r"|\bcalled\b|\bexplain\b|\bdescribe\b|\bdifferences?\b|\brole\s+of\b",
    "who": r"\b(?:who|whom|whose|people|person|which\s+(?:team|person|people|role|group))\b",
    "when": r"^\W*(?:by\s+|since\s+|until\s+)?when\b|\b(?:and|,)\s+when\s+(?:do|does|did|is|are|must|should|will)\b|\bhow\s+(?:long|soon|often|quickly|fast|late|early)\b|\bwhat\s+(?:time|date|day)\b|\bdeadline\b",
    "number": r"\bhow\s+(?:many|much|big|large|high|low|long|often|soon|fast|quickly)\b|\b(?:limits?|threshold|maximum|minimum|percentage|"
    r"capacity|timeout|quota|number\s+of|size)\b",
    "where": r"^\W*where\s+(?:is|are|does|do|can|should|did)\b|\bwhich\s+(?:file|page|url|channel|dashboard|folder|directory)\b",
}
_KIND_PATTERNS = {kind: re.compile(pattern, re.I) for kind, pattern in _KINDS.items()}
_NAME = re.compile(r"[a-z][A-Z]|[A-Z]{2,}|\d|_|[A-Z].*[A-Z]")


def understand(
    text: str, earlier: str = "", known: frozenset[str] = frozenset(), titles: frozenset[str] = frozenset()
) -> Question:
    """Read a question. `earlier` is the question of the turn before, which a follow-up may lean on; `known` are the terms of
    the documents seen, `titles` those that are the whole name of one. The parts follow from the text alone.
    """
    text = text.strip()[:_LENGTH_MAX]
    follow = next((kind for kind, pattern in _FOLLOW.items() if earlier and pattern.match(text)), "")
    if follow:
        return msgspec.structs.replace(understand(earlier, "", known, titles), text=text, follow=follow)
    asked = _clauses(text)
    document = _wants_document(text) or len(asked.clauses) >= 3
    weaker = frozenset(word.lower() for word in _KINDS_OF_TEXT.findall(text)) if document else frozenset()
    reader = Reader(known, titles, weaker)
    told, head, lean = reader.terms(asked.told), reader.terms(asked.head), reader.terms(earlier)
    parts: list[Part] = []
    for clause in asked.clauses[:_PARTS_MAX]:
        own = reader.terms(clause)
        strong = sum(not term.weak for term in own)
        points = bool(_BACKWARD.search(clause)) and not document
        first = parts[0].terms if document and parts and not head else ()
        shared = (*told, *(term for term in (*head, *first) if not term.weak))
        if (strong == 0 or points) and not document:
            before = parts[-1].terms + parts[-1].context if parts else ()
            further = (*before, *(lean if strong == 0 and not before and not told else ()))
            shared = (*shared, *(term for term in further if not term.weak))
        context = _without(shared, own)
        leans = bool(context) and not document and (strong == 0 or points or (strong == 1 and bool(told)))
        focal = tuple(_focal(group, own) for group in focus(clause))
        parts.append(Part(clause, own, context, kinds(clause), leans, focal))
    return Question(text, tuple(parts), document, subject=_subject(parts, (*head, *told)))


def _focal(group: list[str], own: tuple[Term, ...]) -> tuple[Term, ...]:
    very = {piece for word in group for piece in pieces(word)}
    return tuple(term for term in own if any(very & way for way in term.ways))


def _subject(parts: list[Part], shared: tuple[Term, ...]) -> tuple[Term, ...]:
    """What the whole question is about: what its head or its telling part says, else its first part."""
    strong = tuple(term for term in shared if not term.weak)
    return strong or tuple(term for part in parts[:1] for term in (*part.strong, *part.context) if not term.weak)


def kinds(clause: str) -> frozenset[str]:
    """What kinds of answer a clause wants, by English cue words."""
    return frozenset(kind for kind, pattern in _KIND_PATTERNS.items() if pattern.search(clause))


_POINTING = frozenset("this that these those such".split())


class Reader(msgspec.Struct, frozen=True):
    """What reading a question depends on: the terms `known` from the documents seen, those that are the whole name of one
    (`titles`), and the words that are `weaker` than usual."""

    known: frozenset[str] = frozenset()
    titles: frozenset[str] = frozenset()
    weaker: frozenset[str] = frozenset()

    def terms(self, text: str) -> tuple[Term, ...]:
        """The words of a question that mean something, each once. A word and its particle (`roll back`, `on call`) are one
        term where the documents know them as one."""
        found: dict[str, Term] = {}
        product = _product(text)
        said = words(text)
        skipped = -1
        for index, word in enumerate(said):
            before, after = said[index - 1] if index else "", said[index + 1] if index + 1 < len(said) else ""
            both = compound(word, after) if after else ()
            if both and both[0] in self.known:
                found.setdefault(both[0], Term(f"{word} {after}", (frozenset(both),)))
                skipped = index + 1
            elif index != skipped and word.lower() not in STOP and pieces(word):
                ways = [joined(one + two) for one, two in pairwise(filter(None, (before, word, after)))]
                weak = word == product or word.lower() in self.weaker or before.lower() in _POINTING
                term = _term(word, ways, weak=weak, opening=index == 0)
                if term.weak and not weak and set(pieces(word)) <= self.titles:
                    term = msgspec.structs.replace(term, weak=False)
                found.setdefault(forms(word)[-1], term)
        return tuple(found.values())


def _term(word: str, joints: list[str], *, weak: bool, opening: bool) -> Term:
    """A word as a term; `joints` are what it may be part of when written as one word with a neighbour."""
    own = pieces(word)
    ways = {frozenset(own)} if len(own) > word.count("-") else set()  # not by `call` alone for `on-call`
    ways |= {frozenset((joined(word),))} if len(own) > 1 or "-" in word else set()
    ways |= {frozenset((joint,)) for joint in joints}
    name = bool(_NAME.search(word)) or (word[0].isupper() and not opening)
    everyday = len(own) > word.count("-") and all(piece in WEAK or piece.isdigit() for piece in own)
    return Term(word, tuple(sorted(ways, key=sorted)), weak or (not name and everyday), name and not weak)


def _product(text: str) -> str:
    """The kind of text that is to be written (`a deployment runbook for ...`): nothing that a document must speak of."""
    request = _REQUEST.match(text)
    if not request or not _WRITING.match(request["verb"]):
        return ""
    match = _PRODUCT.match(text, request.end())
    return match[1] if match else ""


def _without(context: tuple[Term, ...], own: tuple[Term, ...]) -> tuple[Term, ...]:
    known = {term.ways for term in own}
    return tuple({term.ways: term for term in context if term.ways not in known}.values())


def _wants_document(text: str) -> bool:
    """Whether a text is to be written: a verb of making first, or any request that names a kind of text."""
    sentences = _SENTENCE.split(text)
    requests = [match for match in map(_REQUEST.match, sentences) if match]
    requested = bool(requests or _WANTS.search(text) or _HOLDS.search(text))
    return any(_MAKING.match(match["verb"]) for match in requests) or (requested and bool(_KINDS_OF_TEXT.search(text)))


class _Asked(msgspec.Struct, frozen=True):
    """The clauses that ask; what is only told; the head of a list of things asked for."""

    clauses: list[str]
    told: str = ""
    head: str = ""


def _clauses(text: str) -> _Asked:
    """Sort the sentences of a question into those that ask and those that tell."""
    asking: list[str] = []
    telling: list[str] = []
    heads: list[str] = []
    for sentence in filter(None, (piece.strip() for piece in _SENTENCE.split(text))):
        head, listed = _enumeration(sentence)
        if listed:
            asking.extend(listed)
            heads.append(head)
            continue
        clauses = [piece.strip(" ,") for piece in _JOINED.split(sentence) if piece.strip(" ,")]
        opens = [_asks(clause) for clause in clauses]
        if sentence.endswith("?") or any(opens):
            asking.extend(_joined_up(clauses, opens))
        else:
            telling.append(sentence)
    return _Asked(asking, " ".join(telling), " ".join(heads)) if asking else _Asked([text])


def _asks(clause: str) -> bool:
    """Whether a clause asks or requests something."""
    opens = _OPENS.match(clause) or _REQUEST.match(clause) or _EMBEDS.search(clause) or _WANTS.match(clause)
    return bool(opens) and not _LEADS_UP.match(clause)


def _joined_up(clauses: list[str], opens: list[bool]) -> list[str]:
    """Clauses that ask something of their own; one that only leads up to the next, or says nothing, joins its neighbour."""
    found: list[str] = []
    pending = ""
    for clause, asks in zip(clauses, opens, strict=True):
        alone = asks and any(piece for word in words(clause) if word.lower() not in STOP for piece in pieces(word))
        if found and not alone:
            found.extend(_distributed(found.pop(), clause))
        elif not alone:
            pending = f"{pending} {clause},".lstrip()
        else:
            found.append(f"{pending} {clause}".strip())
            pending = ""
    return found or [pending.rstrip(",")]


def _distributed(before: str, clause: str) -> list[str]:
    """`What to do when A` and `when B` ask two things; anything else is one."""
    repeated = _REPEATED.match(clause)
    first = re.search(rf"\b{repeated[1]}\s", before, re.I) if repeated else None
    if first and before[: first.start()].strip():
        return [before, before[: first.start()] + clause]
    return [f"{before} and {clause}"]


def _enumeration(sentence: str) -> tuple[str, list[str]]:
    """`Write X: a, b and c` gives X and the pieces, and so does `List a, b and c`; anything else gives nothing."""
    request = _REQUEST.match(sentence) or _WANTS.match(sentence)
    match = _LISTED.search(sentence)
    if match and (request or match[0].startswith(":")):
        head, tail, least = sentence[: match.start()], sentence[match.end() :], 2
    elif request:
        head, tail, least = "", sentence[request.end() :], 3
    else:
        return sentence, []
    if match and (not terms(head) or len(words(head)) < 2):
        return sentence, []
    listed = [piece.strip() for piece in _COMMAS.split(tail.rstrip(" .?!")) if piece and piece.strip()]
    if len(listed) < least or any(len(words(piece)) > 14 for piece in listed):
        return sentence, []
    return head, listed
