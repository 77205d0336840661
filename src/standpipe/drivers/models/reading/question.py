"""A question to the parts it asks for, and for each part what must be found and what kind of answer it wants."""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec

from standpipe.drivers.models.reading.clauses import clauses, follow
from standpipe.drivers.models.reading.cues import kinds
from standpipe.drivers.models.reading.focus import focus
from standpipe.drivers.models.reading.terms import STOP, WEAK, compound, forms, joined, made_up, pieces, words

_LENGTH_MAX = 4000
_PARTS_MAX = 8
_PART_CHARS = 300
_BACKWARD = re.compile(r"\b(?:it|its|this|that|these|those|they|them|their|there|he|she|him|her|one|ones|above|same)\b", re.I)
_NAME = re.compile(r"[a-z][A-Z]|[A-Z]{2,}|\d|_|[A-Z].*[A-Z]")
_POINTING = frozenset("this that these those such".split())


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
        return strong(self.terms)


class Question(msgspec.Struct, frozen=True):
    """`parts` in the order asked; `document` if a text of some length is wanted; `follow` if it speaks of an answer given;
    `subject` what all of it is about.
    """

    text: str
    parts: tuple[Part, ...]
    document: bool = False
    follow: str = ""
    subject: tuple[Term, ...] = ()


def strong(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Those that are no everyday words."""
    return tuple(term for term in terms if not term.weak)


def understand(
    text: str, earlier: str = "", known: frozenset[str] = frozenset(), titles: frozenset[str] = frozenset()
) -> Question:
    """Read a question. `earlier` is the question of the turn before, which a follow-up may lean on; `known` are the terms of
    the documents seen, `titles` those that are the whole name of one. The parts follow from the text alone.
    """
    text = text.strip()[:_LENGTH_MAX]
    length = follow(text) if earlier else ""
    if length:
        return msgspec.structs.replace(understand(earlier, "", known, titles), text=text, follow=length)
    asked = clauses(text)
    reader = _Reader(known, titles, asked.product)
    told, head, lean = reader.terms(asked.told), reader.terms(asked.head), strong(reader.terms(earlier))
    parts: list[Part] = []
    for clause in asked.clauses[:_PARTS_MAX]:
        own = reader.terms(clause)
        count = len(strong(own))
        points = bool(_BACKWARD.search(clause)) and not asked.document
        first = parts[0].terms if asked.document and parts and not head else ()
        shared = (*told, *strong((*head, *first)))
        if (count == 0 or points) and not asked.document:
            before = parts[-1].terms + parts[-1].context if parts else ()
            shared = (*shared, *strong(before), *(lean if count == 0 and not before and not told else ()))
        context = _without(shared, own)
        leans = bool(context) and not asked.document and (count == 0 or points or (count == 1 and bool(told)))
        focal = tuple(_focal(group, own) for group in focus(clause))
        parts.append(Part(clause[:_PART_CHARS], own, context, kinds(clause), leans, focal))
    return Question(text, tuple(parts), asked.document, subject=_subject(parts, (*head, *told)))


def _subject(parts: list[Part], shared: tuple[Term, ...]) -> tuple[Term, ...]:
    """What the whole question is about: what its head or its telling part says, else its first part."""
    return strong(shared) or tuple(term for part in parts[:1] for term in strong((*part.terms, *part.context)))


def _focal(group: list[str], own: tuple[Term, ...]) -> tuple[Term, ...]:
    very = {piece for word in group for piece in pieces(word)}
    return tuple(term for term in own if any(very & way for way in term.ways))


def _without(context: tuple[Term, ...], own: tuple[Term, ...]) -> tuple[Term, ...]:
    known = {term.ways for term in own}
    return tuple({term.ways: term for term in context if term.ways not in known}.values())


class _Reader(msgspec.Struct, frozen=True):
    """What reading a question depends on: the terms `known` from the documents seen, those that are the whole name of one
    (`titles`), and the words that are `weaker` than usual."""

    known: frozenset[str] = frozenset()
    titles: frozenset[str] = frozenset()
    weaker: frozenset[str] = frozenset()

    def terms(self, text: str) -> tuple[Term, ...]:
        """The words of a text that mean something, each once. A word and its particle (`roll back`, `on call`) are one term
        where the documents know them as one."""
        found: dict[str, Term] = {}
        said = words(text)
        skipped = -1
        for index, word in enumerate(said):
            before, after = said[index - 1] if index else "", said[index + 1] if index + 1 < len(said) else ""
            both = compound(word, after) if after else ()
            if both and both[0] in self.known:
                found.setdefault(both[0], Term(f"{word} {after}", (frozenset(both),)))
                skipped = index + 1
            elif index != skipped and word.lower() not in STOP and pieces(word) and (len(word) > 1 or not word.islower()):
                joints = [joined(one + two) for one, two in pairwise(filter(None, (before, word, after)))]
                weak = word.lower() in self.weaker or before.lower() in _POINTING
                term = _term(word, joints, weak=weak, opening=index == 0)
                if term.weak and not weak and set(pieces(word)) <= self.titles:
                    term = msgspec.structs.replace(term, weak=False)
                found.setdefault(forms(word)[-1], term)
        return tuple(found.values())


def _term(word: str, joints: list[str], *, weak: bool, opening: bool) -> Term:
    """A word as a term; `joints` are what it may be part of when written as one word with a neighbour."""
    own = pieces(word)
    made = made_up(word)
    ways = {frozenset(own)} if len(own) > 1 or not made else set()  # `on-call` is not there by `call` alone
    ways |= {frozenset((joined(word),))} if made else set()
    ways |= {frozenset((joint,)) for joint in joints}
    name = bool(_NAME.search(word)) or (word[0].isupper() and not opening)
    everyday = (len(own) > 1 or not made) and all(piece in WEAK or piece.isdigit() for piece in own)
    return Term(word, tuple(sorted(ways, key=sorted)), weak or (not name and everyday), name and not weak)
