"""The answer: quoted sentences for each part, what recurs, what sources disagree on, and what nothing supports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from standpipe.core.control import (
    AnswerArguments,
    AnswerConflict,
    AnswerConflictValue,
    AnswerGap,
    AnswerSentence,
    CitedQuote,
)
from standpipe.core.items import Answer, Conflict, Passage
from standpipe.drivers.models.reading.claims import claims
from standpipe.drivers.models.reading.conflict import disagreements
from standpipe.drivers.models.reading.cues import instructs
from standpipe.drivers.models.reading.evidence import Cited, Evidence, Move, steps_of
from standpipe.drivers.models.reading.planning import findings
from standpipe.drivers.models.reading.question import Question
from standpipe.drivers.models.reading.recurrence import Finding
from standpipe.drivers.models.reading.relevance import Lens
from standpipe.drivers.models.reading.select import Choice, alike, choose
from standpipe.drivers.models.reading.sentences import clean
from standpipe.drivers.models.reading.support import Support, support
from standpipe.drivers.models.reading.terms import terms

SENTENCES_MAX = 16
_ONE_PART = 6
_SHORT_MAX = 4
_CONFLICTS_MAX = 4
_CONFLICTS_PASSED_MAX = 8
_TOLD_LONG, _TOLD = 4, 3  # sentences of one specialist beside one's own, in a text of some length and else


def answer(
    question: Question, evidence: Evidence, lenses: Sequence[Lens], banned: frozenset[str] = frozenset()
) -> AnswerArguments:
    """The best answer that what is in sight supports; sentences whose quote is in `banned` are left out."""
    candidates: list[list[Choice]] = []
    judgements = [support(lens) for lens in lenses]
    for index, (lens, judged) in enumerate(zip(lenses, judgements, strict=True)):
        candidates.append(choose(lens, index, judged, SENTENCES_MAX, banned) if judged.documents else [])
    found_again = _looked_into(question, evidence, lenses)
    extra = [choice for finding in found_again for choice in _recurring(finding, evidence, _part_for(lenses), banned)]
    long = question.document or question.follow == "longer"
    most = SENTENCES_MAX - len(extra) if long else _ONE_PART + 3 * (len(lenses) - 1)
    chosen = _ordered(shared_out(candidates, most), extra)
    told = passed_on(evidence, lenses, chosen, banned, _TOLD_LONG if long else _TOLD)
    quoted = tuple(sentence(choice) for choice in (*chosen, *told))
    for part, choices in enumerate(candidates):
        choices += [choice for choice in told if choice.part == part]
    gaps = _gaps(evidence, lenses, judgements, candidates)
    listed = _conflicts(question, evidence, found_again)
    concerned = [*_concerned(question, found_again), *(query for move in evidence.made("revise") for query in _searched(move))]
    stated = claims(evidence.documents, quoted, question.subject, concerned) if evidence.task else ()
    return AnswerArguments(quoted, tuple(gaps), tuple(listed), stated)


def shared_out(candidates: Sequence[Sequence[Choice]], most: int) -> list[list[Choice]]:
    """At most `most` of the candidates, part by part in turn; a sentence that suits several parts goes to the one it suits
    best, a part without any other keeps its best all the same."""
    best = [part[0].score if part else 1.0 for part in candidates]
    suits: dict[str, tuple[float, int]] = {}
    for index, part in enumerate(candidates):
        for choice in part:
            quote = choice.cited.unit.quote
            suits[quote] = max(suits.get(quote, (0.0, 0)), (choice.score / best[index], index))
    own = [[c for c in part if suits[c.cited.unit.quote][1] == n] or list(part[:1]) for n, part in enumerate(candidates)]
    found: list[list[Choice]] = [[] for _ in candidates]
    for place in range(most):
        for index, part in enumerate(own):
            if place < len(part) and sum(map(len, found)) < most:
                found[index].append(part[place])
    return found


def shortened(before: Answer) -> AnswerArguments:
    """The answer before in a third of its sentences: its first one, then the first of each further part."""
    most = min(_SHORT_MAX, max(1, -(-len(before.sentences) // 3)))
    by_part = {sentence.part: sentence for sentence in reversed(before.sentences)}
    ordered = dict.fromkeys((*before.sentences[:1], *(by_part[part] for part in sorted(by_part)), *before.sentences))
    kept = tuple(ordered)[:most]
    return AnswerArguments(
        tuple(AnswerSentence(s.text, tuple(CitedQuote(c.source, c.quote) for c in s.citations)) for s in kept),
        tuple(AnswerGap(gap.text) for gap in before.gaps),
        tuple(_again(one) for one in before.conflicts),
    )


def passed_on(
    evidence: Evidence, lenses: Sequence[Lens], chosen: Sequence[Choice], banned: frozenset[str], most: int
) -> list[Choice]:
    """What specialists said beside that: of each at most `most` sentences, its first ones, those of documents that nobody else
    saw before others, none saying again what another says, and none that was in sight and not chosen; at the part whose words
    they have, else at the one their specialist counted."""
    found: list[Choice] = []
    sight = {(d.folder, d.source): [p.text for p in d.passages] for d in evidence.documents}
    seen = {place for place, texts in sight.items() if texts}
    for report in evidence.reports:
        own = 0
        for told in sorted(report.told, key=lambda told: (told.citations[0].folder, told.citations[0].source) in seen):
            main = told.citations[0]
            cited = Cited(told.unit, Passage(main.source, main.version, main.quote, folder=main.folder), 0, told.citations)
            known = any(main.quote in text for text in sight.get((main.folder, main.source), ()))
            if own == most or known or main.quote in banned or any(alike(cited, c.cited) for c in (*chosen, *found)):
                continue
            shares = [lens.share(lens.mask(told.unit.terms)) for lens in lenses]
            counted = told.part if 0 <= told.part < len(lenses) else _part_for(lenses)
            best = max(range(len(lenses)), key=lambda n: (shares[n], n == counted))
            found.append(Choice(cited, best if shares[best] else counted, 0.0))
            own += 1
    return sorted(found, key=lambda choice: choice.part)


def _gaps(
    evidence: Evidence, lenses: Sequence[Lens], judgements: Sequence[Support], candidates: Sequence[Sequence[Choice]]
) -> list[AnswerGap]:
    """What nothing answers, with what specialists say of it and who was lost; else what was asked for and is not mentioned; who
    could not be asked."""
    gaps: list[AnswerGap] = []
    for index, (lens, judged, found) in enumerate(zip(lenses, judgements, candidates, strict=True)):
        spoken = frozenset[str]().union(*(choice.cited.unit.terms for choice in found if choice.cited.citations))
        missing = [word for word in judged.missing if not spoken or not terms(word) <= spoken]
        if not found:
            gaps.append(AnswerGap(_nothing(lens, judged.missing), index))
            gaps += [gap for gap in _reported_gaps(evidence, index) if gap.text != gaps[-1].text]
        elif missing:
            gaps.append(AnswerGap(f"Not mentioned in what was found: {', '.join(missing)}.", index))
    unasked = (loss.name for loss in evidence.lost if loss.unasked)  # the others the runtime names itself
    return gaps + [AnswerGap(f"The specialist `{name}` was lost: the plan had no room for it.") for name in unasked]


def _reported_gaps(evidence: Evidence, part: int) -> list[AnswerGap]:
    told = [gap.text for report in evidence.reports for gap in report.answer.gaps if gap.part in (part, -1)]
    lost = [f"The specialist `{loss.name}` was asked, and nothing came of it." for loss in evidence.lost if not loss.unasked]
    return [AnswerGap(text, part) for text in dict.fromkeys((*told, *lost))]


def _nothing(lens: Lens, missing: Sequence[str]) -> str:
    tail = f" ({', '.join(missing)}: not found there.)" if missing else ""
    return f"Nothing in the documents answers: {lens.part.text.rstrip(' .') or 'an empty question'}{tail}"


def _ordered(chosen: list[list[Choice]], extra: list[Choice]) -> list[Choice]:
    """The most relevant sentence first, then part by part; what recurs stands after the sentences of its part."""
    found = sorted((choice for part in chosen for choice in part), key=lambda choice: -choice.score)[:1]
    for index, part in enumerate(chosen):
        found += [choice for choice in part if choice not in found]
        found += [choice for choice in extra if choice.part == index and not any(alike(choice.cited, o.cited) for o in found)]
    return found


def sentence(choice: Choice) -> AnswerSentence:
    """A choice as it is said: with its lead-in where it cannot stand alone, with its commands, each with its own quote."""
    unit, source = choice.cited.unit, choice.cited.passage.source
    if choice.cited.citations:
        return AnswerSentence(unit.text, tuple(CitedQuote(c.source, c.quote) for c in choice.cited.citations), choice.part)
    text, quotes = unit.text, [CitedQuote(source, unit.quote)]
    if unit.kind == "row" and unit.lead and unit.text != unit.quote:
        quotes.insert(0, CitedQuote(source, unit.lead))
    elif unit.lead and len(unit.lead) <= 160 and _needs_lead(unit.text, unit.kind):
        quotes.insert(0, CitedQuote(source, unit.lead))
        text = f"{led(unit.lead)}: {text}"
    if unit.code:
        quotes.append(CitedQuote(source, unit.code))
        commands = [line.strip().removeprefix("$ ") for line in unit.code.splitlines() if line.strip()]
        text = f"{text} {', '.join(f'`{command}`' for command in commands)}"
    return AnswerSentence(text, tuple(quotes), choice.part)


def _needs_lead(text: str, kind: str) -> bool:
    return kind in ("item", "cell", "prose") and (len(text.split()) <= 4 or not text.rstrip("`*_)").endswith((".", "!", "?")))


def led(lead: str) -> str:
    """A lead-in without its markup and its last sign."""
    return clean(lead).rstrip(" :,")


def _part_for(lenses: Sequence[Lens]) -> int:
    """The part that a warning belongs to: the first that asks what to check, else what to do, else the first."""
    for kind in ("check", "cause", "fix"):
        for index, lens in enumerate(lenses):
            if kind in lens.part.kinds:
                return index
    return 0


def _looked_into(question: Question, evidence: Evidence, lenses: Sequence[Lens]) -> list[Finding]:
    """The findings that a revision of this turn searched for and that proved to be a thing: a name, or words that another
    document is about or speaks of more than once."""
    searched = [query for move in evidence.made("revise") for query in _searched(move)]
    found = findings(question, evidence, lenses) if searched else []
    return [
        finding
        for finding in found
        if any(set(finding.terms) <= query for query in searched) and (finding.name or _explained(finding, evidence))
    ][:2]


def _searched(move: Move) -> list[frozenset[str]]:
    """What a move searches for, as terms."""
    return [terms(str(arguments.get("query", ""))) for _, arguments in steps_of(move)]


def _explained(finding: Finding, evidence: Evidence) -> bool:
    wanted = set(finding.terms)
    others = [d for d in evidence.documents if d.group != finding.series]
    return any(wanted <= d.headings | d.name or sum(wanted <= c.unit.terms for c in d.cited) > 1 for d in others)


def _recurring(finding: Finding, evidence: Evidence, part: int, banned: frozenset[str]) -> list[Choice]:
    """The sentences in which it recurs, one of each of three documents, and what the document about it says to do."""
    wanted = set(finding.terms)
    found: list[Choice] = []
    for source in finding.sources[:3]:
        places = [c for c in finding.places if c.passage.source == source and c.unit.quote not in banned]
        if places:
            found.append(Choice(max(places, key=lambda c: len(c.unit.terms)), part, 0.0))
    about = [d for d in evidence.documents if d.group != finding.series or d.source not in finding.sources]
    about = [d for d in about if wanted <= d.name | terms(" ".join(h for c in d.cited for h in c.unit.headings[:1]))]
    for document in about[:1]:
        told = [cited for cited in document.cited if cited.unit.quote not in banned and len(cited.unit.terms) > 3]
        best = sorted(told, key=lambda c: (not instructs(c.unit), not wanted <= c.unit.terms, c.place))[:3]
        found += [Choice(cited, part, 0.0) for cited in sorted(best, key=lambda c: c.place)]
    return found


def _concerned(question: Question, found_again: Iterable[Finding]) -> list[frozenset[str]]:
    """What the answer is about, as sets of terms: what the question is about, and what recurs."""
    concerned = [way for term in question.subject for way in term.ways]
    return concerned + [frozenset(finding.terms) for finding in found_again]


def _conflicts(question: Question, evidence: Evidence, found_again: Iterable[Finding]) -> list[AnswerConflict]:
    """What sources disagree on, as far as it concerns the question or what recurs; then what specialists found disputed."""
    concerned = _concerned(question, found_again)
    listed = []
    for one in disagreements(evidence.documents):
        near = one.terms | one.one.context | one.two.context
        if any(way <= near for way in concerned):
            listed.append(
                AnswerConflict(one.about, tuple(_side(side.cited, side.measure.written) for side in (one.one, one.two)))
            )
    listed = listed[:_CONFLICTS_MAX]
    for conflict in (_again(conflict) for report in evidence.reports for conflict in report.answer.conflicts):
        if not any(_sides(conflict) == _sides(other) for other in listed):
            listed.append(conflict)
    return listed[:_CONFLICTS_PASSED_MAX] if evidence.reports else listed


def _again(conflict: Conflict) -> AnswerConflict:
    sides = tuple(AnswerConflictValue(v.value, v.citation.source, v.citation.quote) for v in conflict.values)
    return AnswerConflict(conflict.about, sides)


def _sides(conflict: AnswerConflict) -> frozenset[tuple[str, str]]:
    return frozenset((side.source, " ".join(side.value.split())) for side in conflict.values)


def _side(cited: Cited, value: str) -> AnswerConflictValue:
    return AnswerConflictValue(value, cited.passage.source, cited.unit.quote)
