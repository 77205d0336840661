"""Which passages answer a question best: the terms of documents, and one score over what the asking principal may see.

Okapi BM25 (Robertson and Zaragoza, 2009) over passages, to which the score of their whole document is added, because an
answer is often asked for in words that stand elsewhere on its page. A word of the question also counts where only a word
of the same kin stands (see `words`), for less. Every statistic (how many passages, how long, how many hold a term) is
taken over the visible documents alone: a document that may not be seen changes no score, no order and no count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

import msgspec

from standpipe.core.passages import Piece, passages
from standpipe.core.words import joined, kin, terms

K1 = 1.2
B = 0.75
"""The usual constants of BM25; nothing between 0.9 and 2.0, and 0.5 and 0.9, did better on the questions of this project."""
KIN_WEIGHT = 0.55
"""What a word of the same kin is worth where the documents also have the word itself."""
KIN_WEIGHT_ALONE = 0.8
"""The same where they do not: then it is the best there is."""
JOINED_WEIGHT = 0.8
"""What two neighbouring words of the question are worth that the documents write as one."""
AGAIN = 0.75
"""Each further passage of a document counts this much less, so that other documents are seen beside it."""
QUERY_CHARS_MAX = 4_000
CONCEPTS_MAX = 64
"""What of a question is looked at, so that a pasted log file costs no more than a question."""
PASSAGES_MAX = 65_535
"""Passages of a document that can be found; those of any real document, and a number of 16 bits."""


class Indexed(msgspec.Struct, frozen=True):
    """A document as the index keeps it: its passages, how many terms each has, and where each term is.

    `postings` are pairs, one after the other: the number of a passage and how often the term is in it or in its headings.
    """

    pieces: tuple[Piece, ...]
    lengths: tuple[int, ...]
    postings: dict[str, list[int]]


class Concept(msgspec.Struct, frozen=True):
    """One thing a question is about: a term, and others that may stand for it. `weight` is what finding it is worth."""

    term: str
    kin: tuple[str, ...] = ()
    weight: float = 1.0


class Visible(msgspec.Struct, frozen=True):
    """A document that may be seen: where it is, and how many terms each of its passages has."""

    folder: str
    path: str
    lengths: Sequence[int]
    memory: bool = False


class Ranked(msgspec.Struct, frozen=True):
    """A passage by number, and its score."""

    document: int
    passage: int
    score: float


Postings = Mapping[str, Mapping[int, Sequence[int]]]
"""By term and document (a number of the caller's), the pairs of `Indexed.postings`."""


def index(text: str, path: str) -> Indexed:
    """What is kept of a document so that it can be found. The words of its path and of its headings count in each passage."""
    pieces = passages(text, path)[:PASSAGES_MAX]
    name = Counter(terms(path.rpartition(".")[0] or path))
    headings: dict[tuple[str, ...], Counter[str]] = {}
    lengths: list[int] = []
    postings: dict[str, list[int]] = {}
    for number, piece in enumerate(pieces):
        above = headings.get(piece.heading)
        if above is None:
            above = headings[piece.heading] = name + Counter(terms(" ".join(piece.heading)))
        counts = Counter(terms(text[piece.start : piece.end]))
        counts.update(above)
        lengths.append(counts.total())
        for term, count in counts.items():
            if term in postings:
                postings[term] += (number, count)
            else:
                postings[term] = [number, count]
    return Indexed(tuple(pieces), tuple(lengths), postings)


def concepts(query: str) -> tuple[Concept, ...]:
    """What a question is about; empty if it says nothing that could be looked for."""
    query = query[:QUERY_CHARS_MAX]
    asked = list(dict.fromkeys(terms(query)))[:CONCEPTS_MAX]
    found = [Concept(term, tuple(sorted(kin(term).difference(asked)))) for term in asked]
    found += [Concept(term, weight=JOINED_WEIGHT) for term in dict.fromkeys(joined(query)) if term not in asked]
    return tuple(found[: 2 * CONCEPTS_MAX])


def wanted(asked: Sequence[Concept]) -> list[str]:
    """The terms whose postings `rank` needs, sorted."""
    return sorted({term for concept in asked for term in (concept.term, *concept.kin)})


def rank(asked: Sequence[Concept], documents: Mapping[int, Visible], postings: Postings, limit: int) -> list[Ranked]:
    """The best passages of `documents` (all that may be seen, also those that do not match), best first.

    `postings` may speak of other documents: they are passed over. Equal scores are ordered by path, place and folder.
    """
    sizes = {number: sum(document.lengths) for number, document in documents.items()}
    count = sum(len(document.lengths) for document in documents.values())
    if limit < 1 or not sum(sizes.values()):
        return []
    collection = _Collection(documents, sizes, count, sum(sizes.values()) / count, sum(sizes.values()) / len(documents))
    passage_scores: dict[tuple[int, int], float] = {}
    document_scores: dict[int, float] = {}
    for concept in asked:
        in_passages: dict[tuple[int, int], float] = {}
        in_documents: dict[int, float] = {}
        for pairs, worth in _variants(concept, collection, postings):
            _best(pairs, worth, collection, in_passages, in_documents)
        for place, score in in_passages.items():
            passage_scores[place] = passage_scores.get(place, 0.0) + score
        for number, score in in_documents.items():
            document_scores[number] = document_scores.get(number, 0.0) + score
    found = [Ranked(d, p, score + document_scores[d]) for (d, p), score in passage_scores.items()]
    return _mixed(found, documents, limit)


class _Collection(NamedTuple):
    """The visible documents and what BM25 wants to know of them; lengths are in terms."""

    documents: Mapping[int, Visible]
    sizes: dict[int, int]
    passages: int
    passage_mean: float
    document_mean: float


_Pairs = dict[int, Sequence[int]]


def _variants(concept: Concept, collection: _Collection, postings: Postings) -> list[tuple[_Pairs, float]]:
    """The visible postings of a concept's term and of its kin, each with what it is worth."""
    seen: list[tuple[_Pairs, float]] = []
    for term in (concept.term, *concept.kin):
        pairs = {number: found for number, found in postings.get(term, {}).items() if number in collection.documents}
        held_by = sum(len(found) for found in pairs.values()) // 2
        seen.append((pairs, log(1 + (collection.passages - held_by + 0.5) / (held_by + 0.5))))
    (itself, own), *others = seen
    if not itself:
        return [(pairs, KIN_WEIGHT_ALONE * concept.weight * rarity) for pairs, rarity in others]
    kin_worth = [(pairs, KIN_WEIGHT * concept.weight * min(rarity, own)) for pairs, rarity in others]
    return [(itself, concept.weight * own), *kin_worth]


def _best(
    pairs: _Pairs,
    worth: float,
    collection: _Collection,
    in_passages: dict[tuple[int, int], float],
    in_documents: dict[int, float],
) -> None:
    """Raise the scores of one concept to what this variant of it gives: the best counts, so that kin do not add up."""
    for number, found in pairs.items():
        lengths = collection.documents[number].lengths
        whole = 0
        for at in range(0, len(found), 2):
            count = found[at + 1]
            whole += count
            score = worth * _saturated(count, lengths[found[at]] / collection.passage_mean)
            place = (number, found[at])
            if score > in_passages.get(place, 0.0):
                in_passages[place] = score
        score = worth * _saturated(whole, collection.sizes[number] / collection.document_mean)
        if score > in_documents.get(number, 0.0):
            in_documents[number] = score


def _saturated(count: int, length: float) -> float:
    """How much `count` occurrences say in a text `length` times as long as the mean one."""
    return count * (K1 + 1) / (count + K1 * (1 - B + B * length))


def _mixed(found: list[Ranked], documents: Mapping[int, Visible], limit: int) -> list[Ranked]:
    """The best `limit` passages when each further one of a document counts less; memory takes a quarter of the places."""

    def order(one: Ranked) -> tuple[float, str, int, str]:
        document = documents[one.document]
        return (-one.score, document.path, one.passage, document.folder)

    taken: Counter[int] = Counter()
    weighed: list[Ranked] = []
    for one in sorted(found, key=order):
        weighed.append(Ranked(one.document, one.passage, round(one.score * AGAIN ** taken[one.document], 4)))
        taken[one.document] += 1
    memories = max(1, limit // 4)
    best: list[Ranked] = []
    for one in sorted(weighed, key=order):
        memories -= documents[one.document].memory
        if memories >= 0 or not documents[one.document].memory:
            best.append(one)
        if len(best) == limit:
            break
    return best
