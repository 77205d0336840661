"""A question's text to clauses: which of them ask, which only tell, whether a text is to be written, what follows up."""

from __future__ import annotations

import re

import msgspec

from standpipe.drivers.models.reading.terms import STOP, pieces, terms, words


class Asked(msgspec.Struct, frozen=True):
    """The clauses that ask; what is only `told`; the `head` of a list of things asked for; whether a `document` is wanted,
    a text of some length, and which words (in lower case) then name that text and nothing it speaks of."""

    clauses: tuple[str, ...]
    told: str = ""
    head: str = ""
    document: bool = False
    product: frozenset[str] = frozenset()


_ASKING = r"(?:what|how|why|who|whom|whose|when|where|which|is|are|do|does|did|should|can|could|must|will|would|has|have)"
_VERBS_OF_WRITING = r"write|draft|create|prepare|compile|produce|generate|make|build|assemble|put\s+together"
_SENTENCE = re.compile(r"(?<=[?!])\s+|(?<=[.;])\s+(?=[A-Z(\"'“])|;\s+|\n+\s*(?:[-*•]|\d+[.)])?\s*")
_JOINED = re.compile(rf",?\s+(?:and|but|or|then|plus)\s+(?:also\s+)?(?={_ASKING}\b)|,\s+(?={_ASKING}\b)", re.I)
_LEADS_UP = re.compile(
    r"""\W*(?:(?:and|but|or|then|also)\s+)*(?:when|if|while|where)\s+
    (?!(?:is|are|was|were|do|does|did|should|can|could|must|will|would|has|have|may|shall|to)\b)""",
    re.I | re.X,
)
_EMBEDS = re.compile(
    rf"\b(?:says?|tells?|list|explain|describe|contains?|includes?|covers?|shows?|know|need)\s+(?:me\s+|us\s+)?(?={_ASKING}\b)",
    re.I,
)
_WANTS = re.compile(
    r"""\W*(?:and\s+)?(?:i|we)(?:\s+would|['’]d)?\s+(?:need|want|like)\s+
    | \W*it\s+(?:should|must|has\s+to)\s+(?:say|contain|include|cover|list|have)\s+""",
    re.I | re.X,
)
_OPENS = re.compile(rf"\W*(?:(?:and|but|also|so|then|please|in|on|at|for|to|from|of|by|with|under|since)\s+)*{_ASKING}\b", re.I)
_REQUEST = re.compile(
    rf"""\W*(?:please\s+ | (?:can|could|would|will)\s+you\s+(?:please\s+)?
    | i(?:'d|\s+would)?\s+(?:need|want|like)\s+(?:you\s+to\s+|to\s+)? | help\s+(?:me|us)\s+(?:to\s+)? | let's\s+)*
    (?P<verb>{_VERBS_OF_WRITING}|document|outline|summari[sz]e|sum\s+up|explain|describe|list|give|show|tell|find|compare|name|define
    |look\s+up|check|review)\b""",
    re.I | re.X,
)
_WRITING = re.compile(_VERBS_OF_WRITING, re.I)
_MAKING = re.compile(rf"{_VERBS_OF_WRITING}|document|outline|summari|sum", re.I)
_TEXTS = re.compile(
    r"\b(?:runbook|guide|checklist|playbook|summary|report|overview|manual|handbook|briefing|plan|instructions|procedure)s?\b",
    re.I,
)
_HOLDS = re.compile(r"\b(?:belongs?|goes?|put)\s+in(?:to)?\b|\b(?:contains?|includes?|covers?)\b", re.I)
_PRODUCT = re.compile(
    r"""\W*(?:me|us|up|together|out|a|an|the|some|my|our|short|brief|one)?\s*(?:[\w-]+\s+){0,4}?([\w-]+)\s+
    (?:for|of|on|about|to|that|which|how|covering|with|from)\b""",
    re.I | re.X,
)
_LISTED = re.compile(
    r":\s+(?=\S)|\b(?:including|covering|that\s+covers|which\s+covers|with\s+sections\s+(?:on|for|about))\s+", re.I
)
_COMMA = re.compile(r"\s*[,;]\s*(?:and\s+|or\s+)?")
_AND = re.compile(r"\s+and\s+(?=\S)", re.I)
_REPEATED = re.compile(r"\W*(when|if|for|after|before|during|where)\s+", re.I)
_LISTED_WORDS_MAX = 14

_FILLER = "|".join(
    """please make can could you it that this be a bit much even now the answer keep give me us in again just more some and with
    tell""".split()
)
_TAIL = "|".join(
    """please it that this version up words the answer sentence sentences detail details detailed info of on about a and
    go""".split()
)
_FOLLOW = {
    kind: re.compile(rf"\W*(?:(?:{_FILLER})\W+)*(?:{said})\b(?:\W+(?:{_TAIL}))*\W*", re.I)
    for kind, said in {
        "shorter": r"short|shorter|shorten|brief(?:er|ly)?|concise(?:ly)?|condense|tl;?dr|less|fewer|one\s+sentence|summar\w+",
        "longer": r"longer|more|elaborate|expand|details?|continue|go\s+on|further",
    }.items()
}
_FOLLOW_CHARS_MAX = 100


def follow(text: str) -> str:
    """ "shorter" or "longer" for words that only ask for another length of the answer before, else nothing."""
    if len(text) > _FOLLOW_CHARS_MAX:
        return ""
    return next((kind for kind, pattern in _FOLLOW.items() if pattern.fullmatch(text)), "")


def clauses(text: str) -> Asked:
    """Sort the sentences of a question. One that asks nothing stands as told, unless nothing asks."""
    asking: list[str] = []
    telling: list[str] = []
    heads: list[str] = []
    for sentence in filter(None, (piece.strip() for piece in _SENTENCE.split(text))):
        head, listed = _enumeration(sentence)
        if listed:
            asking.extend(listed)
            heads.append(head)
            continue
        pieces_of = [piece.strip(" ,") for piece in _JOINED.split(sentence) if piece.strip(" ,")]
        opens = [_asks(clause) for clause in pieces_of]
        if sentence.endswith("?") or any(opens):
            asking.extend(_joined_up(pieces_of, opens))
        else:
            telling.append(sentence)
    document = _wants_document(text) or len(asking) >= 3
    product = frozenset(word.lower() for word in _TEXTS.findall(text)) if document else frozenset()
    product |= frozenset(filter(None, (_product(clause) for clause in (*asking, *heads))))
    if not asking:
        return Asked((text,), document=document, product=product)
    return Asked(tuple(asking), " ".join(telling), " ".join(heads), document, product)


def _wants_document(text: str) -> bool:
    """Whether a text is to be written: a verb of making first, or any request that names a kind of text."""
    requests = [match for match in map(_REQUEST.match, _SENTENCE.split(text)) if match]
    requested = bool(requests or _WANTS.search(text) or _HOLDS.search(text))
    return any(_MAKING.match(match["verb"]) for match in requests) or (requested and bool(_TEXTS.search(text)))


def _product(text: str) -> str:
    """The kind of text that is to be written (`a deployment runbook for ...`)."""
    request = _REQUEST.match(text)
    if not request or not _WRITING.match(request["verb"]):
        return ""
    match = _PRODUCT.match(text, request.end())
    return match[1].lower() if match else ""


def _asks(clause: str) -> bool:
    """Whether a clause asks or requests something."""
    opens = _OPENS.match(clause) or _REQUEST.match(clause) or _EMBEDS.search(clause) or _WANTS.match(clause)
    return bool(opens) and not _LEADS_UP.match(clause)


def _joined_up(found: list[str], opens: list[bool]) -> list[str]:
    """Clauses that ask something of their own; one that only leads up to the next, or says nothing, joins its neighbour."""
    joined: list[str] = []
    pending = ""
    for clause, asks in zip(found, opens, strict=True):
        alone = asks and any(piece for word in words(clause) if word.lower() not in STOP for piece in pieces(word))
        if joined and not alone:
            joined.extend(_distributed(joined.pop(), clause))
        elif not alone:
            pending = f"{pending} {clause},".lstrip()
        else:
            joined.append(f"{pending} {clause}".strip())
            pending = ""
    return joined or [pending.rstrip(",")]


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
    listed = [piece.strip() for piece in _COMMA.split(tail.rstrip(" .?!")) if piece.strip()]
    if listed and not re.search(r"[,;]\s*(?:and|or)\s+\S+(?:\s+\S+)*$", tail[-200:], re.I):
        last = _AND.split(listed.pop())
        listed += [" and ".join(last[:-1]), last[-1]] if len(last) > 1 else last
    if len(listed) < least or any(len(words(piece)) > _LISTED_WORDS_MAX for piece in listed):
        return sentence, []
    return head, listed
