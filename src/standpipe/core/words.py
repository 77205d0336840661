"""What words have in common: which say nothing, which are forms of one another, which can stand for one another.

A search term is the stem of a word. Names in code are also taken apart (`etcdNoLeader`, `node_filesystem_files`), since
people ask for them in plain words, and kept whole, since people also paste them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain, pairwise

# Bounded, so that a megabyte without a space is many words and not one that fills a cache.
_WORD = re.compile(r"\w{1,128}(?:['’]\w{1,128})?(?:-\w{1,128}){0,8}")
_PART = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_BREAK = re.compile(r"[-_]+")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

WORD_CHARS_MAX = 64
"""Longer than any word: a hash, a key, a blob of base64. Nobody looks for those by meaning."""
JOINED_MAX = 4
"""A chain of more words than this is a sentence in disguise (a slug, a path), and is not kept whole."""

STOP = frozenset(
    """
    a about above after again ain all also although am an and any are aren as at be because been before being below
    between both but by can cannot could couldn d did didn do does doesn doing don done down during each either else etc
    ever every few for from further get got had hadn has hasn have haven having he her here hers him his how i if in
    into is isn it its itself just let like ll m may me might mine more most much must my myself neither no nor not of
    off on once one only onto or other others our ours out over own per please rather re s same shall she should shouldn
    since so some such t than that the their theirs them then there these they this those though through to too under
    unless until up upon us ve very via was wasn we were weren what whatever when where whether which while who whom
    whose why will with within without won would wouldn yes yet you your yours yourself
    """.split()
)
"""English words that are in every text: never a term."""

_KIN = """
    machine server host node computer box instance vm | disk drive volume storage | disk filesystem partition mount |
    room space capacity | directory folder path | file document page | full filling exhausted saturated |
    almost nearly close approaching near | low insufficient lacking short scarce few |
    limit quota maximum max cap threshold ceiling | exceed surpass above over beyond hit reach |
    slow latency delay lag sluggish duration behind slowly late | fast quick rapid speed performance quickly |
    down unavailable outage offline unreachable dead disappeared missing absent |
    unreachable contact connect reach respond answer unresponsive | crash die crashloop abort panic exit terminate killed |
    restart reboot reload relaunch recreate | start launch begin boot startup initiate spawn create |
    hang stuck freeze frozen block stall | fail failure error fault broken break malfunction problem issue defect trouble |
    wrong incorrect invalid faulty bad inaccurate erroneous | corrupt damaged broken degraded |
    lose lost loss missing drop dropped | fix repair resolve solve mitigate mitigation remedy correct remediation |
    cause reason why origin root | diagnose diagnosis investigate debug troubleshoot inspect analyse analyze find |
    check verify validate confirm test inspect examine | watch monitor observe monitoring track |
    metric measurement sample statistic data number | alert alarm page notification warning notify |
    send deliver transmit dispatch forward route ship | receive get accept incoming |
    message mail email notification notice letter | credential password secret token key login |
    certificate tls ssl x509 secure https | expire expiration expiry outdated lapse valid |
    renew renewal rotate refresh replace | permission access authorization right privilege rbac allow |
    deny reject refuse forbid block | encrypt cipher encryption | clock time ntp synchronize sync | skew drift offset wrong |
    network connection link connectivity networking | nic interface adapter card ethernet | cable wire plug |
    flap change toggle bounce | packet frame datagram traffic | firewall policy rule filter | proxy gateway router balancer |
    dns resolve name resolution | ip address endpoint | port socket | cpu processor core compute |
    throttle limit slow restrict | memory ram oom heap | overcommit oversubscribe exceed | file inode |
    descriptor handle open | kernel os system | process program task daemon | application app service software program |
    container pod docker | cluster fleet group | replica copy duplicate instance shard |
    scale autoscale autoscaler autoscaling hpa grow | increase raise expand grow more bump enlarge extend |
    decrease reduce lower shrink less minimize | deploy deployment release rollout install ship | upgrade update migrate |
    version release generation | mismatch inconsistent differ different differing discrepancy disagree |
    rollback revert undo roll | config configuration setting settings option parameter yaml | reload reread apply |
    syntax format parse | schedule scheduler plan assign place placement landed | evict remove drain move preempt |
    namespace tenant project | complete finish done end | ready readiness health healthy probe liveness available |
    wait pending queue waiting | database db store datastore sql | store persist save write fsync | key-value etcd kv |
    leader master primary coordinator | quorum majority | election vote elect | member peer participant instance |
    backup snapshot restore recovery recover | delete remove erase purge drop clean cleanup |
    old stale outdated obsolete expired | retention keep history archive | log journal trace record | query request call |
    api interface endpoint | client caller consumer user | response reply answer | timeout deadline expire |
    retry repeat again | load traffic pressure | scrape collect gather fetch pull | rule expression evaluation |
    dashboard graph chart panel | shard partition | compact compaction defragment defrag | hardware device physical |
    battery power supply electricity | cloud aws azure gcp provider | image picture registry | label tag annotation |
    controller operator manager reconcile | token secret credential | silence mute suppress inhibit | noise noisy spam |
    duplicate double repeated twice multiple | queue backlog buffer | stuck pending blocked | missing absent lacking gone |
    unknown unclear | impact effect consequence result influence | severity priority urgency level |
    critical severe urgent important serious major | minor small slight low | incident outage emergency disruption event |
    crisis disaster emergency catastrophe | postmortem retrospective review report debrief analysis |
    blame fault guilt punish shame culprit mistake accuse | mistake error slip | lesson learn learning |
    timeline chronology history sequence | minutes notes record scribe transcript document | meeting conference call session |
    phone telephone call bridge | talk speak say tell communicate discuss conversation |
    rude belligerent aggressive disruptive impolite angry |
    manager boss executive director president vp leadership management | leader commander lead captain chief head |
    command order instruct direct override | assistant deputy helper backup | expert specialist sme engineer |
    engineer developer programmer technician | customer client user consumer | public external outside press media |
    internal inside inhouse | inform notify tell update communicate | police law enforcement authorities fbi |
    lawyer legal counsel attorney | attack breach intrusion hack compromise exploit | attacker hacker intruder adversary |
    infected affected compromised | isolate quarantine separate contain | evidence forensic trace |
    train training course practise practice exercise drill rehearse learn | simulate simulation exercise game drill tabletop |
    oncall pager rota rotation shift duty standby | shift turn duty | handover handoff transfer pass |
    escalate escalation raise page | night asleep sleep wake woken | holiday vacation leave absence |
    team group crew squad staff | people person human somebody | crowd crowded many | role responsibility duty function job |
    beginner newcomer new novice first | etiquette behave behavior behaviour manners conduct |
    word term glossary terminology definition vocabulary | mean meaning definition define |
    differ difference distinguish compare | template form boilerplate | website site page |
    company organization organisation business firm corporate | country national abroad foreign international overseas world |
    decide decision choose determine pick | agree consensus agreement objection | disagree dispute litigate argue |
    often frequency frequent cadence interval every | long duration length period | cost price expensive money |
    buy purchase order | hire employ recruit | salary pay wage compensation | feature functionality capability |
    guide manual tutorial documentation howto | example sample illustration | uninstall remove | import load include |
    export save output | build compile make | test check unit | package library module dependency |
    argument parameter option flag | exception error raise throw | loop iterate iteration |
    thread concurrency parallel concurrent | async asynchronous await | begin commence start initial |
    break interrupt disrupt disruption | keep retain stay remain hold |
    again repeatedly recurring repeat constantly frequently | unhealthy broken failing sick unwell |
    healthy fine well ok good ready | switch alternate flap fluctuate oscillate toggle | overflow exceed full exhausted |
    reject drop deny discard ignore skip | skip miss missed missing omit | silent quiet mute silence |
    throw discard drop remove | merge compact combine join | track trace follow | push upload publish submit |
    read load view open | change modify alter edit adjust update | choose select pick prefer | need require must necessary |
    allow permit enable let | avoid prevent stop | protect secure guard safe | danger risk hazard threat |
    warn caution alert | help support assist aid | ask request query question | answer reply respond response |
    show display print view | hide conceal mask redact | find locate search discover detect | measure size length |
    big large huge great | grow increase rise climb | fall drop decrease decline shrink | steep sudden spike surge burst |
    average mean median typical | rare seldom unusual exception | common usual typical normal regular |
    default standard preset | custom own special specific | automatic automatically auto automated automation |
    manual manually hand | temporary transient short brief | permanent persistent durable lasting | empty blank void |
    clean tidy purge cleanup | dirty stale | rack datacenter site room | region zone location place | local onsite nearby |
    remote distant offsite | redundant redundancy spare backup | replace swap exchange substitute |
    move migrate transfer relocate shift | copy clone duplicate replicate | split divide partition shard separate |
    connect attach mount plug | disconnect detach unmount unplug | close lock shut | lock mutex deadlock |
    owner maintainer responsible | group category kind sort type class | part component piece module section |
    whole entire complete full | step stage phase procedure | process procedure workflow routine | plan schedule roadmap |
    goal objective target purpose aim | law regulation compliance legal | contract agreement terms sla |
    price fee tariff rate | budget spend spending money | pay charge bill invoice | contact phone email reach call |
    address location place | newcomer hire joiner onboarding | quit resign leave departure offboarding |
    sick illness absence | vacation holiday leave | office building workplace | home remote telework | trip travel journey |
    phone mobile cell smartphone | browser web internet | search find lookup query | sign login logon signin authenticate |
    authentication identity login sso | user account identity | spy sniff eavesdrop intercept |
    malware virus trojan ransomware | phishing scam fraud | vulnerability weakness hole flaw cve | patch hotfix fix update |
    audit review inspection | approve approval consent sign-off permission | history past previous former earlier |
    future next upcoming planned | weekly week | daily day everyday | monthly month | annual yearly year |
    late delayed overdue behind | early soon ahead | before prior previous preceding | after following later subsequent |
    during while meanwhile | first initial primary | last final latest | second secondary backup |
    colleague coworker teammate peer | supervisor manager boss lead | visitor guest external | vendor supplier provider |
    partner third-party contractor | press journalist media news reporter | announce announcement publish communicate |
    statement message announcement | apologise apology sorry | feedback comment opinion review |
    summary overview abstract digest | detail specific particular | chapter section part | translate convert transform |
    raid mirror | stop halt shutdown terminate quit cease | install setup | variable setting value | pull fetch download |
    job batch cron | join attend participate | leave exit quit | soon quickly immediately | rule policy guideline principle |
    enable activate | disable deactivate | bag equipment gear | function method routine | occur happen | fire firefighter |
    book literature reading | list enumerate | count number amount quantity | link url | open unlock | hour hourly |
    diagram figure chart graph | service daemon | laptop computer workstation | screen display
"""
"""Words used for each other in questions about running systems and the people who run them, a group between bars. Collected
by hand for this project. A word may be in several groups; what shares no group with it is no kin of it."""

_Endings = dict[str, tuple[tuple[str, str, int], ...]]


def _by_last(*endings: tuple[str, str, int]) -> _Endings:
    """Endings by their last letter, in their order: what is replaced, by what, and how many letters must stand before it."""
    return {last: tuple(e for e in endings if e[0][-1] == last) for last in {ending[-1] for ending, _, _ in endings}}


_INFLECTIONS = _by_last(
    ("ating", "ate", 2), ("ated", "ate", 2), ("izing", "ize", 3), ("ized", "ize", 3), ("ising", "ise", 3), ("ised", "ise", 3),
    ("sses", "ss", 2), ("ies", "y", 2), ("ied", "y", 2), ("ingly", "", 4), ("edly", "", 4), ("ings", "", 3), ("ing", "", 3),
    ("ed", "", 3), ("ss", "ss", 0), ("us", "us", 0), ("is", "is", 0), ("s", "", 3),
)  # fmt: skip
_DERIVATIONS = _by_last(
    *((ending, "", 4) for ending in
      """ications ication icate izations ization isations isation ations ation ators ator ate ities ity ments ment ness ances
      ance ences ence able ible ably ize ise izer iser fully ful ally""".split()),
    ("ency", "ent", 4), ("ancy", "ant", 4), ("ition", "", 5), ("iz", "", 5), ("is", "", 5),
    ("ion", "", 3), ("er", "", 3), ("or", "", 3), ("ive", "", 3), ("al", "", 3), ("ly", "", 3),
)  # fmt: skip
_LAST = _by_last(("e", "", 3), ("y", "", 3))
_DOUBLED = frozenset("bdgmnprt")
_VOWELS = frozenset("aeiouy")


def terms(text: str) -> list[str]:
    """The terms of a text in their order; words that say nothing left out."""
    return list(chain.from_iterable(map(forms, _WORD.findall(text))))


@lru_cache(maxsize=1 << 16)
def forms(word: str) -> tuple[str, ...]:
    """The terms of one word as it is written: the stems of its parts, and if there are several, the whole as one."""
    plain = [part.partition("'")[0] for part in _BREAK.split(word.replace("’", "'")) if part[:1] not in ("", "'")]
    parts: list[str] = []
    several = len(plain) > 1
    for piece in plain:
        if len(piece) > WORD_CHARS_MAX:
            continue
        if not piece.isascii():
            parts += _split_unspaced(piece.lower())
            continue
        found = _PART.findall(piece)
        several = several or len(found) > 1
        # A letter between digits (`k8s`) is no word; a digit after a word (`sev1`) is.
        parts += found if len(found) < 2 else [part for part in found if len(part) > 1 or part.isdigit()]
    lowered = [part.lower() for part in parts]
    stems = [stem(part) for part in lowered if part not in STOP]
    if several and len(plain) <= JOINED_MAX and word.isascii():
        stems.append(stem("".join(plain).lower()[:WORD_CHARS_MAX]))
    return tuple(stems)


def joined(text: str) -> list[str]:
    """Each two neighbouring words written as one: `time stamps` is also `timestamps`, `read only` also `readonly`."""
    words = _WORD.findall(text)
    return [stem((a + b).lower()) for a, b in pairwise(words) if (a + b).isascii() and (a + b).isalnum()]


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """What the forms of an English word share; `word` in lower case. A word of another language is itself.

    Not a known algorithm: Porter's idea (1980) in three passes, and a tenth of the time of a faithful Python port, which
    would be most of the cost of making an index. Measured on this project's questions it finds as much.
    """
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    word = _without(word, _INFLECTIONS)
    for _ in range(2):
        word = _without(word, _DERIVATIONS)
    word = _without(word, _LAST)
    return word[:-2] if len(word) >= 6 and word.endswith("ur") else word


def kin(term: str) -> frozenset[str]:
    """The terms that may stand for a term."""
    return _kinship().get(term, frozenset())


@lru_cache(maxsize=1)
def _kinship() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for group in _KIN.split("|"):
        stems = {stem(word) for word in group.split()}
        for one in stems:
            found.setdefault(one, set()).update(stems - {one})
    return {one: frozenset(others) for one, others in found.items()}


def _without(word: str, endings: _Endings) -> str:
    """The word with the first of the endings that it has replaced, if enough of it is left and can be spoken."""
    for ending, put, left in endings.get(word[-1], ()):
        if word.endswith(ending):
            stump = word[: len(word) - len(ending)]
            if len(stump) < left or _VOWELS.isdisjoint(stump):
                continue
            undouble = not put and len(stump) > 3 and stump[-1] == stump[-2] and stump[-1] in _DOUBLED
            return stump[:-1] if undouble else stump + put
    return word


def _split_unspaced(piece: str) -> list[str]:
    """Chinese, Japanese and Korean in pairs of characters, since they are written without spaces; anything else whole."""
    if len(piece) < 3 or not _IDEOGRAPH.search(piece):
        return [piece]
    return [piece[at : at + 2] for at in range(len(piece) - 1)]
