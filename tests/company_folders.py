"""The other pages of an invented company: incident reports, runbooks, who is on call, and papers that are not for everybody."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.company_pages import Page, Part, Workload
from tests.company_troubles import HEADINGS, Trouble
from tests.company_words import capital

ROLES = tuple(HEADINGS)


@dataclass(frozen=True, slots=True)
class House:
    """What all pages of a company share: names, the habits of its reports, and numbers that every page must agree on."""

    name: str
    asked: str
    cli: str
    tracker: str
    board: str
    supplier: str
    bystander: str
    headings: dict[str, str]
    footer: tuple[str, ...]
    error_percent: int
    canary_minutes: int
    rollback_minutes: int
    last_hour: int


def house_footer(rng: random.Random, tracker: str, board: str) -> tuple[str, ...]:
    """Sentences that stand in every report of a company and mean nothing for any single one."""
    every = (
        f"Action items are tracked in {tracker}.",
        f"Graphs of the incident are kept on the {board} board.",
        "This report is blameless; it names systems and not culprits.",
        f"Comments belong into {tracker} and not into this page.",
        "The status page was updated by customer care.",
    )
    return tuple(rng.sample(every, rng.randint(1, 3)))


@dataclass(frozen=True, slots=True)
class Report:
    """One incident before it is written: when, what, who led it, and sentences added to the part of a role."""

    date: str
    trouble: Trouble
    title: str
    lead: str
    names: dict[str, str]
    added: tuple[tuple[str, str], ...]


def incident_page(rng: random.Random, house: House, report: Report) -> Page:
    """A report with the parts that this author cared to write; a part that something is added to is always there."""
    trouble, added = report.trouble, dict(report.added)
    lists = {"timeline": trouble.timeline, "factors": trouble.factors, "lessons": trouble.lessons, "actions": trouble.actions}
    texts = {"summary": trouble.summary, "impact": trouble.impact, "reason": trouble.reason}
    kept = {"summary": 1.0, "impact": 0.8, "timeline": 0.9, "reason": 0.8, "factors": 0.8, "lessons": 0.5, "actions": 0.9}
    parts = [Part("About this report", (f"Severity {rng.randint(1, 2)}, {report.date}. Incident lead: {report.lead}.",))]
    for role in ROLES:
        if role not in added and rng.random() > kept[role]:
            continue
        heading = house.headings[role]
        if role in texts:
            text = [capital(texts[role].format(**report.names)), *([added[role]] if role in added else [])]
            parts.append(Part(heading, (" ".join(text),)))
            continue
        items = [capital(one.format(**report.names)) for one in lists[role]]
        if role in added:
            items.insert(rng.randint(1, len(items)), added[role])
        if role == "timeline":
            items = [f"{clock} {item}" for clock, item in zip(_clocks(rng, len(items)), items, strict=True)]
        as_prose = role in ("factors", "lessons") and rng.random() < 0.4
        parts.append(Part(heading, (" ".join(items),)) if as_prose else Part(heading, items=tuple(items)))
    if rng.random() < 0.8:
        parts.insert(rng.randint(2, len(parts)), _response(rng))
    parts.append(Part("About reports", house.footer) if rng.random() < 0.3 else Part("Notes", house.footer))
    return Page(report.title, tuple(parts))


RESPONSE = (
    "The incident lead opened a channel and asked two engineers to join.",
    "Customer care received a short text that it could send to customers.",
    "For the first minutes it was not clear which team had to act.",
    "The logs of the last hour were copied before anything was changed.",
    "Nobody had to be woken up, since it happened during office hours.",
    "The overview board showed the trouble, but several graphs moved together and made it hard to read.",
    "Two changes of the same day were examined and found to have nothing to do with it.",
    "The database was looked at early, as always, and its load was normal.",
    "The message queue was a little longer than usual and emptied itself afterwards.",
    "A colleague who had just joined kept the notes, which was a great help.",
    "The hand-over between the two shifts took place in the middle of it and worked well.",
    "The supplier of the network was asked and had nothing to report.",
    "It took longer to agree on the severity than we would like.",
    "An attempt to reproduce it in staging did not succeed.",
    "Whoever wants to know more finds the complete record in the channel.",
    "The number of affected customers was estimated from the access log.",
)
"""How an incident was worked on: true of any of them, and of no use to a reader who looks for a reason."""


def _response(rng: random.Random) -> Part:
    told = rng.sample(RESPONSE, rng.randint(4, 9))
    half = len(told) // 2
    return Part(
        rng.choice(("Response", "How we responded", "Course of the work")), (" ".join(told[:half]), " ".join(told[half:]))
    )


def _clocks(rng: random.Random, count: int) -> list[str]:
    minute = rng.randint(7 * 60, 15 * 60)
    clocks = []
    for _ in range(count):
        clocks.append(f"{minute // 60:02d}:{minute % 60:02d}")
        minute += rng.randint(2, 24)
    return clocks


def conventions_page(rng: random.Random, house: House) -> Page:
    """How this company deploys: conditions, the canary, and when not to."""
    before = (
        "Before deploying a service, check that no incident is open.",
        "Check that the image has been in staging for at least one day before you deploy it.",
        f"Before deploying, check that the error rate of the service is below {house.error_percent} percent.",
        "Check that the previous image is still in the registry, because a rollback needs it.",
        "Tell the primary on call of the service that a deployment starts.",
        f"No deployment starts after {house.last_hour}:00 UTC or on a Friday.",
    )
    during = (
        f"`{house.cli} deploy SERVICE` starts a canary, which runs for {house.canary_minutes} minutes.",
        "If the canary is healthy, the other processes are replaced in groups.",
        "Watch the error rate and the latency until half an hour after the deployment.",
    )
    parts = (
        Part(rng.choice(("Before deploying", "Before a deployment", "Checks")), items=tuple(rng.sample(before, 5))),
        Part("Deploying", during),
    )
    return Page(rng.choice(("Deployment conventions", "How we deploy", "Deployments")), parts)


def rollback_page(rng: random.Random, house: House) -> Page:
    """How this company takes a deployment back."""
    how = (
        f"To roll back {house.asked}, run `{house.cli} rollback {house.asked}`, which puts the previous image in place.",
        f"To roll back a service such as {house.asked}, run `{house.cli} undo SERVICE` and wait until it says done.",
        f"`{house.cli} previous SERVICE` rolls a service back to the image that ran before; this holds for {house.asked} too.",
    )
    when = (
        f"Roll back when the error rate stays above {house.error_percent} percent for five minutes.",
        "You need nobody's permission to roll back.",
        "Roll back first and look for the reason afterwards.",
    )
    after = (
        f"A rollback of {house.asked} takes about {house.rollback_minutes} minutes.",
        "Migrations are not rolled back; each of them must work with the previous image.",
        "Events that were sent before a rollback stay sent.",
        "Say in the deployment channel that you rolled back, and why.",
    )
    parts = [
        Part("When", tuple(rng.sample(when, 2))),
        Part("How to roll back", (rng.choice(how),)),
        Part("Afterwards", items=tuple(rng.sample(after, 3))),
    ]
    return Page(rng.choice(("Rolling back", "Rollback", "How to roll back")), tuple(parts))


def notes_page(rng: random.Random, house: House, settings: list[str]) -> Page:
    """Old notes about the service that the question is about."""
    s = house.asked
    notes = (
        f"Check the flags of {s} before you deploy it.",
        f"While {s} is deployed, keep its board open and compare the traffic with the day before.",
        f"After a rollback of {s}, compare what was accepted with what was stored.",
        f"It is not written down who decides about a deployment of {s} during a campaign.",
        f"Short spikes of the latency of {s} during deployments are known and were never examined.",
    )
    lines = [capital(one) for one in rng.sample(notes, 3)]
    for setting in settings:
        lines.insert(rng.randint(0, len(lines)), setting)
    return Page(f"Notes on {s}", (Part("Collected notes", ("Written by several people over the years.", *lines)),))


def duty_page(rng: random.Random, works: list[Workload], duty: dict[str, tuple[str, str]]) -> Page:
    """Who is on call for which service, as primary and as secondary."""
    forms = (
        "For {s}, {p} is the primary on call and {r} is the secondary on call.",
        "The primary on call for {s} is {p}, and the secondary is {r}.",
        "{p} is on call for {s}; {r} stands in as secondary.",
    )
    form = rng.choice(forms)
    said = tuple(capital(form.format(s=one.name, p=duty[one.name][0], r=duty[one.name][1])) for one in works)
    intro = "This schedule is valid until it is replaced. Rotations change hands on Mondays."
    listed = rng.random() < 0.5
    body = Part("Who is on call", (intro,), said) if listed else Part("Rotations", (intro, *said))
    return Page(rng.choice(("On-call schedule", "Who is on call", "Duty schedule")), (body,))


def escalation_page(rng: random.Random, lead: str) -> Page:
    """What happens when a page is not answered."""
    first, second = rng.choice((5, 10)), rng.choice((15, 20, 30))
    steps = (
        f"The primary on call has {first} minutes to acknowledge a page.",
        "After that the page goes to the secondary of the same rotation.",
        f"After {second} minutes it goes to {lead}, who leads engineering.",
    )
    return Page("Escalation", (Part("The ladder", items=steps), Part("Handing over", ("Say what was tried and what runs.",))))


Paper = Callable[[House, str, str], Page]


def on_call_pay(house: House, person: str, code: str) -> Page:
    """Of the people team: what being on call pays, and who leaves the rotation."""
    return Page(
        "Pay for on-call duty",
        (
            Part(
                "Rates",
                (f"Rule {code}: being on call for {house.asked} is paid with a weekly rate that the team may not know.",),
            ),
            Part("Leaving", (f"{person} wants to leave the on-call rotation of {house.asked}. See {code}.",)),
        ),
    )


def leave_calendar(house: House, person: str, code: str) -> Page:
    """Of the people team: who is away, which would answer who is on call."""
    gap = f"While {person} is away nobody is on call for {house.asked}; file {code} has the reason."
    return Page("Leave calendar", (Part("Gaps in the rotation", (gap,)), Part("Secrecy", ("Only the people team knows.",))))


def hiring_plan(house: House, person: str, code: str) -> Page:
    """Of the people team: positions and reasons."""
    why = f"Exit interview {code} names the deployments of {house.asked} as the main burden. {person} may go next."
    return Page("Hiring plan", (Part("Positions", ("One engineer for the coming year.",)), Part("Reasons", (why,))))


def penetration_report(house: House, person: str, code: str) -> Page:
    """Of security: a hole in the way back."""
    hole = f"Finding {code}: `{house.cli}` rolls {house.asked} back to any image, also to blocked ones. Check digests by hand."
    return Page("Penetration test", (Part("Findings", (hole,)), Part("Contact", (f"Tell {person} about unknown digests.",))))


def access_review(house: House, person: str, code: str) -> Page:
    """Of security: who can still deploy."""
    found = f"Two accounts of people who left can still deploy {house.asked}; case {code} is open."
    return Page("Access review", (Part("Result", (found,)), Part("Owner", (f"{person} follows this up.",))))


def supplier_terms(house: House, person: str, code: str) -> Page:
    """Shared with single people: what a supplier wants to know about deployments."""
    s, supplier = house.asked, house.supplier
    before = (
        f"A deployment of {s} that changes requests to {supplier} must be announced two days ahead, says contract {code}.",
        f"Before deploying {s}, check the calendar of {supplier} for a freeze.",
    )
    after = (f"When {s} is rolled back, {supplier} must be told within one hour; quote {code}.",)
    call = (f"The desk of {supplier} is on call around the clock and asks for {code} first. {person} signed the contract.",)
    parts = (Part("Before deploying", items=before), Part("When rolled back", after), Part("Who to call", call))
    return Page(f"{supplier}: terms for deployments of {s}", parts)


def cloud_contract(house: House, person: str, code: str) -> Page:
    """Of procurement alone: a contract."""
    notice = f"{person} means to give notice to the provider of {house.name} next year; contract {code} allows it."
    return Page("Cloud contract", (Part("Notice", (notice,)),))
