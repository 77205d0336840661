"""Words to terms: what two spellings of one word share, which words carry no meaning, which carry little."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from snowballstemmer.english_stemmer import EnglishStemmer

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_MIXED = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")
_PLURAL_ACRONYM = re.compile(r"[A-Z]{2,}s")

STOP = frozenset(
    """a about above after again all also although am an and any are aren't as at be because been before being below
    between both but by can can't cannot could couldn't did didn't do does doesn't doing don't done down during each
    either else etc ever every few for from further had hadn't has hasn't have haven't having he her here hers him
    his how i i'd i'll i'm i've if in into is isn't it it's its itself just less let let's like ll may me might mine
    more most much must my myself neither no nor not of off on once one only onto or other others our ours out over
    own per please rather re s same shall she several should shouldn't since so some such t than that that's the
    their theirs them then there there's these they this those though through to too under until unless up upon us
    ve very via was wasn't we we're we've were weren't what what's whatever when when's where whether which while
    who who's whom whose why will with within without won't would wouldn't yes yet you you're you've your yours
    yourself""".split()
)
"""English function words: never a term."""

_WEAK_WORDS = """able about accept access achieve acknowledge act action actual add address adjust admit advise affect afraid
    afternoon afterwards agree aim allow alone already always angry annoy answer anybody anymore anyone
    anything anyway anywhere apart apologize appear apply approach appropriate area arise around arrange
    arrive article ashamed ask aspect assign assume attempt attend available avoid aware away awful back bad
    base basic beat beautiful become beforehand begin behave behind believe belong bend besides best better
    big bit blow bored borrow bother brief bright bring broad broken build burn burst busy call calm cancel
    capable care careful carefully carry case catch cause cease certain chance change chase cheap check choose
    circumstance clean clear clever climb close clue cold collapse collect combine come comfortable commit
    common compare complain complete complex compose concentrate concern confirm confuse consider constant
    contain continue convince cool cope copy correct count couple course cover crazy create criticize cross
    cry curious current cut daily damage danger dare day dead deal decide deep deeply default define
    definition delay delete deliver demand deny depart depend describe deserve desire destroy detail determine
    develop differ different difficult dig direct dirty disagree disappear discover discuss dislike divide
    document doubt draft drag drift drive drop dry due dull eager earlier early earn ease easy eat effect
    effort eliminate embarrass emerge empty enable encourage end enjoy enormous enough ensure enter entire
    equal escape especially essential establish evening eventual everybody everyone everything everywhere
    exact example exceed excellent excite excuse execute exist expand expect expensive explain explode explore
    express extend extra extreme fact fail fair familiar famous far fast fault favorite fear feed feel fight
    figure fill final find fine finish firm first fit fix flat flee flow fly focus fold follow force foreign
    forever forget forgive form forward found free freeze frequent fresh friend full fun funny furthermore
    gain gather general generate gentle get give glad go goal gone good grab grant grateful grave great greet
    group grow guess guide guy half halt handle hang happen happy hard harm hate have hear heavy help hide
    high hit hold hope horrible hot hour huge hungry hurry hurt idea identify ignore ill imagine immediate
    impact important impossible impress improve include incorrect increase indicate individual infer inform
    information inner insert inside insist inspect instead instruction intend interest introduce investigate
    invite involve irritate issue item job join joke judge jump junior keen keep kick kill kind knock know
    lack land large last late later latest laugh lay lazy lead leap learn leave leftover lend length lie lift
    light likely limit link list listen little live load local lock lonely long look loose lose lost lot loud
    love lovely low lower machine mad main mainly make manage manner manually many mark marry massive match
    matter mature maximum maybe mean meaning meanwhile measure meet mention mere mess method middle mind
    minimum minute miss mistake mix modern modify moment month moreover morning mostly move multiple
    mysterious name narrow nasty natural near neat necessary need negative nervous new next nice night nobody
    none normal normally note nothing notice now nowhere number obey object obtain obvious occasion occur odd
    offer often okay old older oldest oldish open opposite order ordinary organize originally otherwise
    outside overcome overflow overview owe own pack page pain part partial participate particular pass past
    pause pay people percent perfect perform perhaps permanent permit persist person pick piece place plain
    plan play pleasant please plenty point polite poor popular positive possess possible pour power precise
    prefer prepare present pretend pretty prevent previous print prior probable probably problem procedure
    proceed process produce progress promise promote proof proper properly propose protect proud prove provide
    pull punish purchase pure purpose pursue push put quarter question quick quickly quiet quit quite raise
    randomly rapid rare rate reach reaction read ready real realize rear reason reasonable recall receive
    recent recognize recommend recover reduce refer refuse regard regular reject relate relax release relevant
    reliable rely remain remember remind remove repair repeat replace reply report represent request require
    rescue resist resolve resort respond rest restrict result retain retire retry return reuse reveal reverse
    revert review reward rid ride right rise role roll room rough round rude ruin rule run rush sad safe
    satisfy save say scare scatter seat section secure see seek seem seen seldom select send senior sense
    sentence separate serious service set settle shake shape share sharp shift shine shock shoot short shout show
    shrink shut sick side sign silent silly similar simple single sit situation size skip sleep slide slight
    slip slow slowly small smart smell smile smooth soft solve somebody somehow someone someplace something
    sometimes somewhat somewhere soon sooner sorry sort sound spare speak special specific speed spell spend
    spill spin split spoil spot spread stable stand stare start state status stay steady steal steep step
    stick still stir stop store straight strange stretch strict strike strong struggle stuff stupid succeed
    success sudden suffer suggest suit summarize summary super supply support suppose sure surprise surround
    survive suspect swap swear sweep swim swing switch tackle take talk tall teach tear tell tempt tend term
    terrible test text thank thick thin thing think threaten throw tie tight time tiny tire tired today
    together told tool top topic total touch tough toward trace trade transfer transform translate trap travel
    treat trick trip trouble troubleshoot true trust truth try turn twice twist type typical ugly unable
    understand unexpected unhappy unit unknown unlikely unusual update upset urgent use used useful usual
    utter vague valid value vanish various vast view visible visit voice wait wake walk want warm warn wash
    waste watch way weak weaken wear week weekend weigh welcome whole wide wild willing win wipe wise wish
    witness wonder word work worry worse worst worth wrap write wrong year yell yesterday yet yield young""".split()

_IRREGULAR = dict(
    pair.split("/")
    for pair in """began/begin begun/begin bought/buy broke/break broken/break brought/bring built/build came/come chose/choose
    chosen/choose dealt/deal drew/draw drawn/draw drove/drive driven/drive fallen/fall fell/fall felt/feel found/find gave/give
    given/give gone/go got/get grew/grow grown/grow held/hold hidden/hide hid/hide kept/keep knew/know known/know led/lead
    left/leave lent/lend lost/lose made/make meant/mean met/meet paid/pay people/person ran/run rose/rise risen/rise said/say
    sat/sit saw/see seen/see sent/send shown/show sold/sell spent/spend spoke/speak spoken/speak stood/stand stuck/stick
    taken/take taught/teach thought/think threw/throw thrown/throw told/tell took/take understood/understand went/go won/win
    woke/wake woken/wake wrote/write written/write""".split()
)
_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """What the inflections of an English word share: Porter2 (snowballstem.org), with -y, -ery, -ure and -less let go."""
    word = word.lower()
    found: str = EnglishStemmer().stemWord(
        _IRREGULAR.get(word, word)
    )  # a stemmer holds its word: one per call, so that threads can call
    if len(found) >= 8 and found.endswith("less"):
        return stem(found[:-4])
    if len(found) >= 7 and found.endswith("eri"):
        return found[:-3]
    if len(found) >= 5 and found.endswith("i"):
        found = found[:-1]
    return found[:-2] if len(found) >= 6 and found.endswith("ur") else found


WEAK = frozenset(stem(word) for word in _WEAK_WORDS)
"""Stems of everyday words that say little about a subject: a question may use them where a document does not."""


def words(text: str) -> list[str]:
    """The words of a text as they stand; hyphenated ones are one word."""
    return _WORD.findall(text)


@lru_cache(maxsize=65536)
def pieces(word: str) -> tuple[str, ...]:
    """The stems of the words a word is made of (`etcdNoLeader`, `post-mortem`), stop words left out, in their order."""
    found: list[str] = []
    for plain in word.replace(_APOSTROPHE, "'").split("-"):
        lower = plain.lower()
        if lower in STOP:
            continue
        base = plain.removesuffix("'s").removesuffix("'")
        if _PLURAL_ACRONYM.fullmatch(base):
            found.append(base[:-1].lower())
        elif base.isascii() and _MIXED.search(base):
            found.extend(stem(part) for part in _CAMEL.findall(base) if part.lower() not in STOP)
        elif base:
            found.append(stem(base))
    return tuple(found)


@lru_cache(maxsize=65536)
def forms(word: str) -> tuple[str, ...]:
    """All terms a word counts as: its pieces, and for a compound the whole written as one word."""
    return (*pieces(word), joined(word)) if made_up(word) else pieces(word)


def made_up(word: str) -> bool:
    """Whether a word is made of several: `post-mortem`, `etcdNoLeader`."""
    return "-" in word or (word.isascii() and not _PLURAL_ACRONYM.fullmatch(word) and bool(_MIXED.search(word)))


def joined(word: str) -> str:
    """A compound as one term: `post-mortem` and `postmortem` are the same."""
    return stem(word.replace("-", "").replace("'", "").replace(_APOSTROPHE, ""))


def terms(text: str) -> frozenset[str]:
    """The set of terms of a text, compounds of a word and its particle (`rolls back`, `on call`) among them."""
    found = _WORD.findall(text)
    single = {term for word in found for term in forms(word)}
    return frozenset(single.union(*(compound(one, two) for one, two in pairwise(found) if one in _BEFORE or two in _AFTER)))


_LIGHT = frozenset(
    """be becom bring carri come end figur fill find get give go hang help hold keep look make move pick point put run set show
    sort stand start stay take talk think turn wait work write""".split()
)
_AFTER = frozenset("back up out down off over away in".split())
_BEFORE = frozenset("on off On Off".split())


@lru_cache(maxsize=65536)
def compound(one: str, two: str) -> tuple[str, ...]:
    """What two neighbouring words count as together if one of them is a particle: `rolled back` is a `rollback`. Verbs that
    make everyday idioms with any particle do not count."""
    if two in _AFTER and one.lower() not in STOP and stem(one) not in _LIGHT:
        return (stem(stem(one) + two),)
    if one.lower() in _BEFORE and two.lower() not in STOP:
        return (stem(one.lower() + two),)
    return ()


def flow(text: str) -> list[str]:
    """The stems of a text in their order, stop words left out: what stands near what."""
    return [stem for word in _WORD.findall(text) for stem in pieces(word)]
