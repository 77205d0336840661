"""English cue words: what kind of answer a clause asks for, and how headings and sentences show what kind they hold.

No word of any one trade stands here. Patterns are written over several lines; white space in them means nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

from standpipe.drivers.models.reading.sentences import Unit
from standpipe.drivers.models.reading.terms import stem, terms, words


def _patterns(**written: str) -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(pattern, re.I | re.X) for kind, pattern in written.items()}


_CLAUSES = _patterns(
    check=r"""\b(?: check(?:s|ed|ing)? | inspect | verif\w+ | look\s+(?:at|for|into|first) | diagnos\w+ | investigat\w+
        | where\s+(?:do|should|can)\s+(?:i|we)\s+look | troubleshoot\w* | debug\w* | examine | find\s+out
        | tell\s+(?:if|whether) | confirm )\b""",
    fix=r"""^\W*how\b(?!\s+(?:many|much|long|often|soon))
        | \b(?: how\s+(?:do|can|should|would|must|to|could|is|are) | fix\w* | resolv\w+ | mitigat\w+ | recover\w* | repair\w*
        | restor\w+ | remed\w+ | solv\w+ | prevent\w* | avoid\w* | steps? | procedure | handl\w+ | deal\s+with
        | roll(?:ing)?\s+back | what\s+(?:do|should|can|must|could|shall)\s+(?:i|we|you|one|they) | what\s+to\s+do
        | what\s+now | what\s+next )\b""",
    cause=r"\b(?: why | caus\w+ | reasons? | leads?\s+to | led\s+to | trigger\w* | due\s+to | behind )\b",
    impact=r"""\b(?: impact\w* | effects? | affect\w* | consequences? | what\s+happens | happen\s+(?:if|when) | symptoms?
        | risks? | dangers? | serious )\b""",
    define=r"""^\W*what(?:'s|’s|\s+is|\s+are|\s+was|\s+were)\b
        | \b(?: mean(?:s|ing)? | defin\w+ | stands?\s+for | purpose | called | explain | describe | differences?
        | role\s+of )\b""",
    who=r"""\b(?: who | whom | whose | the\s+(?:people|persons?)\s+(?:on|who|responsible|in\s+charge)
        | which\s+(?:team|person|people|role|group) )\b""",
    when=r"""^\W*(?:by\s+|since\s+|until\s+)?when\b | (?:and|,)\s+when\s+(?:do|does|did|is|are|must|should|will)\b
        | \b(?: how\s+(?:long|soon|often|quickly|fast|late|early) | what\s+(?:time|date|day) | deadline )\b""",
    number=r"""\b(?: how\s+(?:many|much|big|large|high|low|long|often|soon|fast|quickly) | limits? | threshold
        | maximum | minimum | percentage | capacity | timeout | quota | number\s+of | size )\b""",
    where=r"""^\W*where\s+(?:is|are|does|do|can|should|did)\b
        | \bwhich\s+(?:file|page|url|channel|dashboard|folder|directory)\b""",
)
_UNITS = _patterns(
    check=r"""\b(?: check | verif\w+ | inspect | look(?:ing)?\s+(?:at|for|into) | diagnos\w+ | investigat\w+ | examin\w+
        | validate | confirm | review | debug | find\s+out | identify | logs? | make\s+sure )\b""",
    fix=r"""\b(?: should | must | needs?\s+to | have\s+to | has\s+to | can\s+be | try | recommended | you\s+can
        | in\s+order\s+to | fix | resolve | mitigat\w+ | recover\w* | restor\w+ | instead | by\s+\w+ing )\b""",
    cause=r"""\b(?: because | caus\w+ | due\s+to | as\s+a\s+result | reasons? | leads?\s+to | led\s+to | triggered | occurs?
        | happens?\s+(?:if|when) | since | if\b.*\bnot | fires?\s+(?:if|when) | so\s+that | why )\b""",
    impact=r"""\b(?: will | cannot | can\s+not | may | might | could | impact\w* | affect\w* | unavailable | unable | lost?
        | los(?:e|es|ing) | degrad\w+ | fails? | failing | missing | risk | critical | no\s+longer | result )\b""",
    define=r"""\b(?: is | are | means? | refers?\s+to | stands?\s+for | defined\s+as | describes? | fires? | triggered
        | typically | when | someone | something )\b""",
    who=r"""\b(?: team | person | owner | owned | lead | manager | responsible | on[-\s]call | contact | primary | secondary
        | ask | page | call | by\s+the | role | job )\b | @""",
    when=r"""\d{1,2}:\d\d | \b\d+\s*(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|ms|s|min|h)\b | \b(?:19|20)\d\d\b
        | \b(?: monday | tuesday | wednesday | thursday | friday | saturday | sunday | january | february | march | april | may
        | june | july | august | september | october | november | december | within | before | after | until | daily | weekly
        | monthly | every )\b""",
    number=r"\d",
    where=r"https?:// | \.\w+/ | `[^`]*/[^`]*` | \#\w+ | \b(?:in|on|at|under)\s+the\b",
)
_HEADINGS = {
    "check": """diagnose diagnosis diagnostics investigate investigation troubleshoot troubleshooting debug debugging check
        checks verify verification inspect detect detection identify triage symptoms""",
    "fix": """mitigate mitigation resolve resolution fix fixes remedy remediation recover recovery restore step steps procedure
        procedures how howto action actions response respond do doing handle handling solution workaround repair prevent avoid
        prevention instructions usage process during""",
    "cause": "cause causes reason reasons why root diagnosis trigger triggers factor factors background meaning analysis",
    "impact": "impact effect effects consequence consequences symptom symptoms severity risk risks wrong",
    "define": """meaning overview what definition definitions about purpose introduction summary description background
        glossary terms""",
    "who": "owner owners contact contacts team teams role roles escalation who people participants responsibilities schedule",
    "when": "schedule schedules time times date dates when timeline deadline deadlines frequency calendar windows",
    "number": "limit limits configuration settings setting threshold thresholds capacity quota quotas size sizes rates numbers",
    "where": "where location locations links dashboards channels paths files",
}
_HEADING_STEMS = {kind: frozenset(stem(word) for word in text.split()) for kind, text in _HEADINGS.items()}
_IMPERATIVE = frozenset(
    """acknowledge add adjust allow always announce apply ask assign attempt avoid begin build call capture change check choose
    clean clear collect communicate compare configure confirm consider contact copy create decide decrease define delete
    deploy describe determine disable do don't drain email enable ensure escalate establish evaluate evict examine
    execute expand extend find fix follow free gather get give go hand identify if increase inform inspect install
    introduce investigate invite join keep leave let limit listen log login look lower make mark mention monitor move
    never note notify open page perform ping plan post prepare provide pull push put raise reach read reboot reduce
    refer reload remediate remember remove repair repeat replace report resize resolve restart return revert review roll
    rotate run save scale schedule search see select send set show speak start state stay stop submit switch take tell
    test think treat trigger try turn understand update upgrade use validate verify view wait watch write""".split()
)
_MENDS = re.compile(r"\b(?:fix|resolv|mitigat|recover|repair|restor|remed|solv|prevent|avoid|handl|deal\b|roll)", re.I)
_POINTER = re.compile(
    r"""^\W*(?: see | read | refer\s+to | for\s+more | more\s+info\w* | learn\s+more | click | documentation | further\s+reading
    | here(?:'s|\s+is|\s+are) )\b""",
    re.I | re.X,
)
_POINTER_CHARS = 140
_IS = re.compile(r"\W*((?:[\w'’/()\"“”-]+\s+){1,6}?)(?:is|are|means?|refers?\s+to|stands?\s+for|describes?|consists?)\b", re.I)
_PERSON = re.compile(r"\b[A-Z][a-z]+\s+(?:[A-Z]\.\s+)?[A-Z][a-z]+\b")


def kinds(clause: str) -> frozenset[str]:
    """What kinds of answer a clause asks for. `What should I check` asks for a check alone."""
    found = {kind for kind, pattern in _CLAUSES.items() if pattern.search(clause)}
    if "check" in found and not _MENDS.search(clause):
        found.discard("fix")
    return frozenset(found)


def heading_fits(kind: str, headings: tuple[str, ...]) -> bool:
    """Whether the nearest heading (or the one above it) announces this kind of answer."""
    return any(not _HEADING_STEMS[kind].isdisjoint(_stems(title)) for title in headings[-2:])


@lru_cache(maxsize=1024)
def _stems(title: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(title))


def unit_fits(kind: str, unit: Unit) -> float:
    """How much the sentence itself speaks like this kind of answer, 0..1."""
    if kind in ("check", "fix"):
        return 1.0 if instructs(unit) else 0.6 * bool(_UNITS[kind].search(unit.text))
    if kind == "who" and _PERSON.search(unit.text):
        return 1.0
    return (0.5 if kind == "who" else 1.0) * bool(_UNITS[kind].search(unit.text))


def instructs(unit: Unit) -> bool:
    """Whether a sentence tells to do something: its first word is a verb as English instructions begin with."""
    said = words(unit.text[:60])
    if said and said[0].lower() in ("if", "when", "once", "then", "to", "before", "after") and "," in unit.text:
        said = words(unit.text.split(",", 1)[1][:40])
    return bool(said) and said[0].lower() in _IMPERATIVE


def defines(unit: Unit, subject: frozenset[str], *, first: bool) -> bool:
    """Whether a sentence says what something is: it begins with it and `is` or the like, or it is what stands first under a
    heading of just these words, or beside a label of them."""
    titles = [terms(title) for title in (unit.lead, *(unit.headings[-1:] if first else ()))]
    if any(subject <= title and len(title - subject) <= 1 for title in titles):
        return True
    opening = _IS.match(unit.text)
    return opening is not None and subject <= terms(opening[1])


def fit(wanted: frozenset[str], unit: Unit) -> float:
    """0..1: how well a sentence suits the kinds of answer wanted; 0.5 where none is known."""
    return max((0.55 * heading_fits(k, unit.headings) + 0.45 * unit_fits(k, unit) for k in sorted(wanted)), default=0.5)


def points_elsewhere(unit: Unit) -> bool:
    """Whether a sentence only sends the reader somewhere else."""
    listed = unit.kind == "item" and unit.quote.lstrip("*_ ").startswith("[") and "](" in unit.quote
    return listed or (bool(_POINTER.match(unit.text)) and len(unit.text) < _POINTER_CHARS)
