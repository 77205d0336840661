"""The words invented companies are made of: names, quantities with their units, and how shared components fail."""

from __future__ import annotations

import random
from dataclasses import dataclass

FRONTS = (
    *("Quern", "Thistle", "Marl", "Bram", "Oster", "Fenn", "Sedge", "Tamar", "Corb", "Dunn", "Elder", "Garn", "Hask", "Isen"),
    *("Jorr", "Kelm", "Lorn", "Morrow", "Nether", "Pell", "Rusk", "Stav", "Tull", "Ulver", "Varn", "Wend", "Yarr", "Zell"),
)
BACKS = (
    *("hold", "gate", "mere", "field", "tide", "row", "bank", "croft", "den", "fold", "garth", "lyn", "ost", "pike"),
    *("rill", "stow", "thorpe", "vane", "wold", "combe"),
)
FIRST_NAMES = (
    *("Alma", "Bodo", "Celia", "Dario", "Edda", "Farid", "Greta", "Hanno", "Imke", "Jalil", "Kaja", "Lorenz", "Mirela"),
    *("Nils", "Odile", "Pavel", "Quirin", "Rosa", "Selma", "Teun", "Ulla", "Viktor", "Wanda", "Yannis", "Zora"),
)
SURNAMES = (
    *("Abelard", "Brannock", "Cavaldi", "Dressel", "Eskola", "Farrand", "Gantry", "Holloway", "Ivarsen", "Jessup", "Kovalik"),
    *("Lantos", "Madigan", "Novello", "Orsini", "Pruett", "Quillon", "Roskam", "Sandoz", "Tervo", "Umbrell", "Vasari"),
)
TEAMS = ("Orders", "Growth", "Ledger", "Studio", "Harbour", "Northern", "Clients", "Mobile", "Archive")
MONTHS = ("January", "March", "April", "May", "June", "September", "October", "November")

# What a service of the given name does; coined names borrow a duty.
DUTIES = {
    "checkout": "turns a basket into an order",
    "billing": "makes invoices at the end of each period",
    "profiles": "keeps what customers tell about themselves",
    "messaging": "sends mails and text messages",
    "scheduling": "assigns jobs to engineers in the field",
    "inventory": "counts what lies in the warehouses",
    "pricing": "computes what an article costs a customer",
    "thumbnails": "scales pictures to the sizes that the apps use",
    "exports": "hands data to partners every night",
    "matching": "pairs offers with requests",
    "metering": "takes in readings from the meters",
    "quotes": "answers what a delivery would cost",
    "shipments": "follows parcels from door to door",
    "ticketing": "sells seats and prints their codes",
    "payouts": "transfers earnings to drivers",
    "order-intake": "accepts orders from partners",
    "label-printer": "prints labels in the depots",
    "tour-planner": "computes the tours of the vans",
    "claims": "registers damage that customers notice",
    "subscriptions": "renews what customers have subscribed to",
}

# Each asks for what must be looked at first, for the way back, and for the people on duty.
QUESTIONS = (
    "Write a deployment runbook for the {s} service: what to check before deploying, how to roll back, and who is on call.",
    "Please write a deployment runbook for {s}. It should say what must be checked before a deployment, how a deployment is "
    "rolled back and who is on call.",
    "I deploy {s} next week. Give me a runbook: checks before the deployment, the rollback, and the people on call.",
    "How do we deploy {s} safely? List what to check beforehand, the steps to roll back and the person on call.",
    "Draft the runbook for deploying {s}: checks, rollback, and the on-call rotation.",
    "What belongs into a runbook for deployments of {s}? I need the checks, the way to roll back, and who is on call.",
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that is configured: its name, how its unit may be written, usual values, an equal way to say them."""

    name: str
    units: tuple[str, ...]
    values: tuple[int, ...]
    other: tuple[int, str] | None = None

    def text(self, value: int, unit: int = 0) -> str:
        """The value with its unit, in one of its spellings."""
        number = f"{value:,}" if value >= 1000 and unit == 0 else str(value)
        return f"{number} {self.units[unit % len(self.units)]}"

    def in_other_unit(self, value: int) -> str | None:
        """The same amount in another unit, if there is one."""
        return f"{value * self.other[0]} {self.other[1]}" if self.other else None


QUANTITIES = (
    Quantity("request timeout", ("seconds", "s"), (2, 3, 4, 5, 8, 10, 12), (1000, "ms")),
    Quantity("shutdown grace period", ("seconds", "s"), (15, 20, 25, 30, 45, 60), (1000, "ms")),
    Quantity("idle timeout", ("seconds", "s"), (40, 60, 90, 120, 240, 300), (1000, "ms")),
    Quantity("lock wait limit", ("seconds", "s"), (3, 6, 9, 12, 18, 24), (1000, "milliseconds")),
    Quantity("cache lifetime", ("minutes", "min"), (5, 10, 15, 20, 30, 60), (60, "seconds")),
    Quantity("memory limit", ("GiB",), (2, 3, 4, 6, 8, 16), (1024, "MiB")),
    Quantity("connection pool limit", ("connections",), (10, 20, 25, 40, 50, 60, 80)),
    Quantity("retry limit", ("attempts",), (2, 3, 4, 5, 6, 8)),
    Quantity("batch size", ("events",), (50, 100, 200, 250, 500)),
    Quantity("replica count", ("replicas",), (2, 3, 4, 6, 9, 12)),
    Quantity("queue depth limit", ("messages", "messages"), (1000, 2000, 5000, 8000, 10000)),
    Quantity("upload size limit", ("MB", "megabytes"), (5, 10, 20, 25, 50, 100)),
    Quantity("rate limit", ("requests per second",), (60, 100, 200, 400, 500)),
)


@dataclass(frozen=True, slots=True)
class Mechanism:
    """How one kind of shared component works and fails, and the sentences in which incidents touch on it."""

    noun: str
    duty: str
    mentions: tuple[str, ...]
    working: tuple[str, ...]
    failing: tuple[str, ...]
    remedy: tuple[str, ...]


MECHANISMS = (
    Mechanism(
        "lease broker",
        "hands out leases, so that only one process at a time owns a name",
        (
            "{c} still counted the former processes as owners and turned the new ones away.",
            "For some minutes most of the names in {c} belonged to processes that had already ended.",
            "It got better by itself as soon as {c} had let the entries of the dead owners expire.",
            "A look at {c} showed a heap of orphaned leases, and nobody followed this up.",
            "Clearing the leftover owners out of {c} by hand ended the waiting at once.",
        ),
        (
            "An owner asks {c} for a name, receives a lease and renews it at intervals.",
            "An owner that ends in an orderly way gives its leases up first, and the names are free at once.",
        ),
        (
            "An owner that is killed keeps its leases until they expire, and nobody else can take these names meanwhile.",
            "{c} cannot tell a dead process from a slow one.",
        ),
        ("Run `{tool} drain` for the owner first, and go on only when it holds no lease any more.",),
    ),
    Mechanism(
        "key vault cache",
        "keeps the signing keys near the processes that verify signatures",
        (
            "{c} went on answering with the key from before the change.",
            "Half of the refused requests had been verified against an outdated key out of {c}.",
            "Emptying {c} made the refusals disappear, which was put down to coincidence.",
            "Signatures were valid, but the copy in {c} was from the day before.",
            "Two nodes of {c} disagreed about which key was current.",
        ),
        ("{c} fetches a key when somebody asks for it and keeps it for a day.", "All nodes of {c} answer from memory."),
        (
            "After a change of keys the nodes keep the former key until it is a day old.",
            "A process that starts in that time trusts the former key and refuses everything signed with the current one.",
        ),
        ("Run `{tool} purge --everywhere` after each change of keys, and compare the fingerprints of all nodes.",),
    ),
    Mechanism(
        "schema mirror",
        "copies the layouts of events to every region",
        (
            "{c} was eleven versions behind, so new fields were dropped silently.",
            "Events were read with an old layout that {c} had not replaced yet.",
            "Once {c} had caught up, the figures were complete again without any other change.",
            "The copy of the layouts in {c} dated from the previous evening.",
            "Consumers asked {c} for a layout that it did not know yet.",
        ),
        ("Producers register a layout in one region, and {c} copies it to the others.", "Consumers ask the nearest copy only."),
        (
            "The copy runs in a single thread and falls behind when many layouts are registered together.",
            "A consumer that meets an unknown layout uses the newest one it has, and loses the fields missing there.",
        ),
        ("Wait until `{tool} lag` prints zero for all regions, and only then let producers use a new layout.",),
    ),
    Mechanism(
        "settings distributor",
        "delivers settings to all processes",
        (
            "{c} had delivered an empty snapshot to the processes that started first.",
            "Several processes ran with built-in values because {c} answered them with half a file.",
            "After {c} had been asked a second time, the same processes behaved normally.",
            "The settings that {c} handed out at that moment lacked their last third.",
            "It was seen that {c} was rewriting its snapshot at the very minute, and then forgotten.",
        ),
        ("{c} renders all settings into one snapshot every few minutes.", "A process reads the snapshot once, when it starts."),
        (
            "The snapshot is rewritten in place, so a process that starts in that second reads an incomplete one.",
            "Values that are missing are replaced by built-in ones without any message.",
        ),
        ("Freeze the snapshot with `{tool} freeze` as long as processes start, and compare its digest on every host.",),
    ),
    Mechanism(
        "number allocator",
        "gives out blocks of unique numbers",
        (
            "{c} had no free block left for the processes that asked last.",
            "Within two minutes the ranges of {c} were used up, most of them by processes that never drew a number.",
            "Things moved again when {c} was given a fresh range.",
            "A graph of {c} touched zero at that time and was taken for a gap in the data.",
            "Processes stood still because {c} let them wait for their next block.",
        ),
        ("A process takes a block of a thousand numbers from {c} when it starts.", "Unused numbers of a block are lost."),
        (
            "When many processes start one after the other, each takes a block and the range runs dry.",
            "A process without a block waits in silence until somebody adds a range.",
        ),
        ("Add a range with `{tool} extend` first, so that at least three blocks for each process are free.",),
    ),
    Mechanism(
        "connection relay",
        "shares database connections among many processes",
        (
            "{c} kept handing out connections whose other end was gone.",
            "The first query on each connection from {c} ended in a reset.",
            "Half of the connections in {c} were dead, as a count on the following day proved.",
            "A restart of {c}, done for another reason, made the failures stop.",
            "Queries hung in {c} and never reached the database.",
        ),
        ("{c} opens a fixed number of connections and lends them to whoever asks.", "It tests a connection when it opens it."),
        (
            "{c} does not test a connection again when it lends it.",
            "After a change of the primary node all lent connections lead nowhere until somebody uses and loses them.",
        ),
        ("Run `{tool} recycle` after every change of the primary, and wait until the count of stale connections is zero.",),
    ),
    Mechanism(
        "address book",
        "tells processes where the others are",
        (
            "{c} still contained instances that had been switched off.",
            "One request in five went to an address out of {c} behind which nobody answered.",
            "The errors ended when {c} had forgotten the instances that were gone.",
            "Addresses of the day before turned up in an excerpt from {c}.",
            "Clients had asked {c} and been sent into the void.",
        ),
        ("Every instance announces itself to {c} and repeats this at intervals.", "Clients ask {c} and remember the answer."),
        (
            "An instance that ends without signing off stays in {c} for several minutes.",
            "Clients go on using its address meanwhile, since they ask again only when the answer is old.",
        ),
        ("Let instances sign off with `{tool} leave`, and end them a minute later.",),
    ),
    Mechanism(
        "timestamp authority",
        "stamps entries with a time on which all regions agree",
        (
            "{c} was four seconds ahead of the hosts.",
            "Entries were refused as coming from the future, according to the stamps of {c}.",
            "When {c} had been set right, the refused entries were accepted.",
            "One of the nodes of {c} drifted, which only a later comparison brought to light.",
            "The stamps that {c} gave to neighbouring entries ran against their order.",
        ),
        ("{c} asks three clocks and takes the middle one.", "Entries with a stamp in the future are refused by their readers."),
        (
            "A node that has just started trusts its own clock for some minutes.",
            "Its stamps may be seconds ahead, and all readers refuse what carries them.",
        ),
        ("Wait until `{tool} skew` shows less than fifty milliseconds on every node, and let no traffic reach it earlier.",),
    ),
    Mechanism(
        "traffic governor",
        "limits how much each client may send",
        (
            "{c} counted the new instances as strangers and slowed them down.",
            "Most of the refused requests had been turned away by {c} and never got any further.",
            "As {c} learned to know the instances, the refusals became rare.",
            "The allowance in {c} had been divided among instances that no longer ran.",
            "Someone noticed that {c} was throttling, but the graph was normal again a little later.",
        ),
        ("{c} divides an allowance among the instances of a client.", "An unknown instance begins with a small share."),
        (
            "The share of an instance that ended is kept for ten minutes.",
            "Its successors must make do with small shares and are throttled although the client is within its allowance.",
        ),
        ("Hand the shares over with `{tool} inherit`, or raise the allowance for the time of a replacement.",),
    ),
    Mechanism(
        "partition assigner",
        "decides which worker reads which partition",
        (
            "{c} moved partitions to and fro without coming to an end.",
            "A third of the partitions had no reader, as the log of {c} showed afterwards.",
            "With {c} standing still for a moment, the work was done within a minute.",
            "Workers spent their time giving up what {c} had assigned to them a moment ago.",
            "During the whole time {c} was busy with one reshuffle after another.",
        ),
        (
            "{c} spreads the partitions evenly over the workers it knows.",
            "Each arrival and each departure makes it spread anew.",
        ),
        (
            "While partitions move, nobody reads them.",
            "Workers that arrive one after the other cause one reshuffle each, and the partitions stand still for minutes.",
        ),
        ("Pause it with `{tool} pause`, let all workers arrive, and resume it once.",),
    ),
)


def coin(rng: random.Random, free: list[str]) -> str:
    """A name that begins like no other of the company; `free`, the beginnings that are left, shrinks."""
    return free.pop(rng.randrange(len(free))) + rng.choice(BACKS)


def capital(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]
