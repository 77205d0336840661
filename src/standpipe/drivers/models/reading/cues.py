"""English cue words: how headings and sentences show what kind of answer they hold. No word of any one trade."""

from __future__ import annotations

import re
from functools import lru_cache

from standpipe.drivers.models.reading.sentences import Unit
from standpipe.drivers.models.reading.terms import stem, words

_HEADINGS = {
    "check": "diagnose diagnosis diagnostics investigate investigation troubleshoot troubleshooting debug debugging check checks"
    " verify verification inspect detect detection identify triage symptoms",
    "fix": "mitigate mitigation resolve resolution fix fixes remedy remediation recover recovery restore step steps procedure"
    " procedures how howto action actions response respond do doing handle handling solution workaround repair prevent avoid"
    " prevention instructions usage process during",
    "cause": "cause causes reason reasons why root diagnosis trigger triggers factor factors background meaning analysis",
    "impact": "impact effect effects consequence consequences symptom symptoms severity risk risks wrong",
    "define": "meaning overview what definition definitions about purpose introduction summary description background glossary terms",
    "who": "owner owners contact contacts team teams role roles escalation who people participants responsibilities schedule",
    "when": "schedule schedules time times date dates when timeline deadline deadlines frequency calendar windows",
    "number": "limit limits configuration settings setting threshold thresholds capacity quota quotas size sizes rates numbers",
    "where": "where location locations links dashboards channels paths files",
}
_HEADING_STEMS = {kind: frozenset(stem(word) for word in text.split()) for kind, text in _HEADINGS.items()}
_IMPERATIVE = frozenset(
    """check verify ensure make use run look inspect restart scale delete remove add increase reduce set open log login contact
    page notify ask wait stop start find identify review follow try consider avoid do don't never always keep create update
    configure install enable disable revert deploy escalate confirm validate examine investigate compare test call tell inform
    go get take let fix repair replace change move copy write read send see gather collect search monitor watch treat begin
    choose select decide define describe prepare assign turn switch roll lower raise increase decrease limit expand free clean
    clear plan schedule invite post announce join leave ping email report raise trigger acknowledge resolve determine provide
    give put pull push build remember note mention avoid refer reach escalate perform apply adjust extend introduce state
    allow attempt capture communicate execute reboot reload rotate resize remediate mark drain evict upgrade downgrade listen speak stay hand
    establish evaluate repeat return save show submit think understand view if""".split()
)
_UNITS = {
    "check": r"\b(?:check|verif\w+|inspect|look(?:ing)?\s+(?:at|for|into)|diagnos\w+|investigat\w+|examin\w+|validate|confirm|review|debug|find\s+out|identify|logs?|make\s+sure)\b",
    "fix": r"\b(?:should|must|needs?\s+to|have\s+to|has\s+to|can\s+be|try|recommended|you\s+can|in\s+order\s+to|fix|resolve|mitigat\w+|recover\w*|restor\w+|instead|by\s+\w+ing)\b",
    "cause": r"\b(?:because|caus\w+|due\s+to|as\s+a\s+result|reasons?|leads?\s+to|led\s+to|triggered|occurs?|happens?\s+(?:if|when)|since|if\b.*\bnot|fires?\s+(?:if|when)|so\s+that|why)\b",
    "impact": r"\b(?:will|cannot|can\s+not|may|might|could|impact\w*|affect\w*|unavailable|unable|lost?|los(?:e|es|ing)|degrad\w+|fails?|failing|missing|risk|critical|no\s+longer|result)\b",
    "define": r"\b(?:is|are|means?|refers?\s+to|stands?\s+for|defined\s+as|describes?|fires?|triggered|typically|when|someone|something)\b",
    "who": r"\b(?:team|owner|owned|lead|manager|engineer|commander|responsible|on[- ]call|contact|person|primary|secondary|ask|page|call|by\s+the|role|job)\b|@",
    "when": r"\b(?:\d{1,2}:\d\d|\d+\s*(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|ms|s|min|h)|monday|tuesday|wednesday|thursday|friday|saturday|sunday|"
    r"january|february|march|april|may|june|july|august|september|october|november|december|within|before|after|until|daily|weekly|monthly|every|(?:19|20)\d\d)\b",
    "number": r"\d",
    "where": r"https?://|\.\w+/|`[^`]*/[^`]*`|#\w+|\b(?:in|on|at|under)\s+the\b",
}
_UNIT_PATTERNS = {kind: re.compile(pattern, re.I) for kind, pattern in _UNITS.items()}
_POINTER = re.compile(r"^\W*(?:see|read|refer to|for more|more info\w*|learn more|click|documentation|further reading|here(?:'s| is| are))\b", re.I)
_PERSON = re.compile(r"\b[A-Z][a-z]+\s+(?:[A-Z]\.\s+)?[A-Z][a-z]+\b")


def heading_fits(kind: str, headings: tuple[str, ...]) -> bool:
    """Whether the nearest heading (or the one above it) announces this kind of answer."""
    return any(not _HEADING_STEMS[kind].isdisjoint(_stems(title)) for title in headings[-2:])


@lru_cache(maxsize=1024)
def _stems(title: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(title))


def unit_fits(kind: str, unit: Unit) -> float:
    """How much the sentence itself speaks like this kind of answer, 0..1."""
    if kind in ("check", "fix"):
        return 1.0 if instructs(unit) else 0.6 * bool(_UNIT_PATTERNS[kind].search(unit.text))
    if kind == "who" and _PERSON.search(unit.text):
        return 1.0
    return (0.5 if kind == "who" else 1.0) * bool(_UNIT_PATTERNS[kind].search(unit.text))


def instructs(unit: Unit) -> bool:
    """Whether a sentence tells to do something: its first word is a verb as English instructions begin with."""
    said = words(unit.text[:60])
    if said and said[0].lower() in ("if", "when", "once", "then", "to") and "," in unit.text:
        said = words(unit.text.split(",", 1)[1][:40])
    return bool(said) and said[0].lower() in _IMPERATIVE


def fit(kinds: frozenset[str], unit: Unit) -> float:
    """0..1: how well a sentence suits the kinds of answer wanted; 0.5 where none is known."""
    if not kinds:
        return 0.5
    best = 0.0
    for kind in sorted(kinds):
        best = max(best, 0.55 * heading_fits(kind, unit.headings) + 0.45 * unit_fits(kind, unit))
    return best


def points_elsewhere(unit: Unit) -> bool:
    """Whether a sentence only sends the reader somewhere else."""
    listed = unit.kind == "item" and unit.quote.lstrip("*_ ").startswith("[") and "](" in unit.quote
    return listed or (bool(_POINTER.match(unit.text)) and len(unit.text) < 140)
