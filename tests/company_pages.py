"""Pages as parts that can be written as Markdown, plain text, reStructuredText or HTML, and the pages of a company that hold
what is configured: architecture, state, notes."""

from __future__ import annotations

import html
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.company_words import Mechanism, capital


@dataclass(frozen=True, slots=True)
class Part:
    """A section: paragraphs, then list items, then table rows whose first row is the header."""

    heading: str
    text: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A document in no particular format."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """A service of the company, what it does and who owns it."""

    name: str
    does: str
    team: str


@dataclass(frozen=True, slots=True)
class Component:
    """The shared component that fails: how sentences call it, the words that must be found, its command, how it works."""

    called: str
    term: str
    tool: str
    mechanism: Mechanism

    def say(self, sentence: str) -> str:
        """The sentence with the component's name and command in it."""
        return capital(sentence.format(c=self.called, tool=self.tool))


@dataclass(frozen=True, slots=True)
class Setting:
    """One statement: this quantity of this subject is said to be this."""

    subject: str
    quantity: str
    text: str

    def fill(self, template: str, **more: str) -> str:
        """The statement in the words of a template."""
        article = "an" if self.quantity[0] in "aeiou" else "a"
        return capital(template.format(s=self.subject, q=self.quantity, v=self.text, a=article, **more))


SENTENCES = (
    "The {q} of {s} is {v}.",
    "The {q} of {s} is set to {v}.",
    "{s} runs with {a} {q} of {v}.",
    "{s} has {a} {q} of {v}.",
    "For {s} the {q} is {v}.",
    "We run {s} with {a} {q} of {v}.",
)
LINES = ("{s} {q}: {v}", "{q} of {s}: {v}", "{s}: {q} {v}", "{s}: {q} = {v}", "{s}, {q}: {v}")
OWN_LINES = ("{q}: {v}", "{q} = {v}", "{q}: {v} in both regions")
RAISED = (
    "The {q} of {s} was raised from {old} to {v} in {month}.",
    "Until {month} the {q} of {s} was {old}; since then it is {v}.",
    "In {month} the {q} of {s} went from {old} to {v}.",
)
STAGING = ("In staging the {q} of {s} is only {v}.", "The staging copy of {s} has {a} {q} of {v}.")


def state_page(rng: random.Random, title: str, settings: list[Setting], remarks: list[str]) -> Page:
    """What is configured, for all services: as lists, as a table, as sentences, or under a heading for each service."""
    style = rng.choice(("lines", "table", "sentences", "headed"))
    intro = (f"Exported at 06:{rng.randint(10, 59)} UTC. One entry is one setting in production.",)
    end = (Part("Remarks", tuple(remarks)),) if remarks else ()
    subjects = list(dict.fromkeys(setting.subject for setting in settings))
    match style:
        case "lines":
            line = rng.choice(LINES)
            body: tuple[Part, ...] = (Part("Settings", intro, tuple(one.fill(line) for one in settings)),)
        case "table":
            rows = tuple((one.subject, one.quantity, one.text) for one in settings)
            body = (Part("Settings", intro, rows=(("name", "setting", "value"), *rows)),)
        case "sentences":
            body = (Part("Settings", (*intro, *(one.fill(rng.choice(SENTENCES)) for one in settings))),)
        case _:
            line = rng.choice(OWN_LINES[:2])
            body = tuple(
                Part(capital(subject), items=tuple(one.fill(line) for one in settings if one.subject == subject))
                for subject in subjects
            )
    return Page(title, (*body, *end))


def limits_part(rng: random.Random, settings: list[Setting], remarks: list[str]) -> Part:
    """The settings as the owner's page has them: the subject is the page's, or named again."""
    heading = rng.choice(("Limits", "Settings", "Numbers", "Configuration"))
    match rng.choice(("table", "own", "lines", "sentences", "sentences")):
        case "table":
            rows = tuple((one.quantity, one.text) for one in settings)
            return Part(heading, tuple(remarks), rows=(("setting", "value"), *rows))
        case "own":
            line = rng.choice(OWN_LINES)
            return Part(heading, tuple(remarks), tuple(one.fill(line) for one in settings))
        case "lines":
            line = rng.choice(LINES)
            return Part(heading, tuple(remarks), tuple(one.fill(line) for one in settings))
        case _:
            return Part(heading, (*(one.fill(rng.choice(SENTENCES)) for one in settings), *remarks))


DATA = (
    "{s} keeps its rows in a Postgres database of its own, which no other service reads.",
    "{s} keeps nothing on disk; what it knows can be computed anew at any time.",
    "{s} stores one document for each customer and overwrites it on every change.",
    "All changes that {s} makes are also sent to the message queue.",
)
WEAKNESSES = (
    "{s} starts cold and answers slowly for the first seconds.",
    "If one region is lost, {s} runs in the other one with half of its capacity.",
    "A reader of {s} may see data that is up to a minute old.",
    "{s} cannot be tested without {t}, which makes its tests slow.",
    "The oldest code of {s} is the import of addresses, and few people know it.",
)
PROSE = (
    "{s} was taken over from a supplier some years ago and has been written anew in parts since then.",
    "The code of {s} is built twice a day, and its tests run for about a quarter of an hour.",
    "Whoever changes the interface of {s} tells the teams that use it and waits for their answer.",
    "{s} is used mostly during the day; at night only jobs talk to it.",
    "New colleagues of the {team} team usually begin with small changes to {s}.",
    "{s} has a board of its own with the traffic, the errors and the latency.",
    "There is a plan to move {s} to another language, which nobody is working on.",
    "The {team} team looks at the questions about {s} every morning.",
)
DEPLOYING = (
    "Before deploying {s}, check that no migration of its database is running.",
    "Before deploying {s}, look at its error rate and its latency of the past hour.",
    "{s} is deployed in groups, and each group is watched for some minutes.",
    "A deployment of {s} that changes the form of an event needs a second reviewer.",
    "After a deployment of {s}, its overview board is watched for half an hour.",
    "Do not deploy {s} together with {t}, since one of them may hide the faults of the other.",
)


def workload_page(rng: random.Random, work: Workload, others: tuple[str, ...], limits: Part) -> Page:
    """The architecture page of a service."""
    s, t = work.name, rng.choice(others)
    intro = f"{capital(s)} {work.does}. The {work.team} team owns it."
    parts = [
        Part("What it does", (intro, capital(rng.choice(DATA).format(s=s)))),
        Part("Dependencies", (capital(f"{s} needs {', '.join(others[:-1])} and {others[-1]} to be up."),)),
        Part("Deploying", items=tuple(capital(one.format(s=s, t=t)) for one in rng.sample(DEPLOYING, rng.randint(2, 4)))),
        limits,
    ]
    if rng.random() < 0.7:
        weak = tuple(capital(one.format(s=s, t=t)) for one in rng.sample(WEAKNESSES, 2))
        parts.append(Part(rng.choice(("Known weaknesses", "Caveats", "What to know")), weak))
    prose = [capital(one.format(s=s, team=work.team)) for one in rng.sample(PROSE, rng.randint(2, 5))]
    parts.append(Part(rng.choice(("History and habits", "Working on it", "Background")), (" ".join(prose),)))
    if rng.random() < 0.3:
        parts[2], parts[3] = parts[3], parts[2]
    return Page(capital(s), tuple(parts))


def component_page(rng: random.Random, component: Component, limits: Part | None) -> Page:
    """The page that explains the failing component, in none of the words of a question about deployments."""
    how, say = component.mechanism, component.say
    intro = say(rng.choice(("{c} {duty}.", "{c} is a shared part of the platform. It {duty}.")).replace("{duty}", how.duty))
    metric = f"The metric `{component.tool}_stale` is zero on a normal day, and nobody is paged for it."
    parts = [
        Part(rng.choice(("Purpose", "What it is for")), (intro,)),
        Part("How it works", tuple(say(one) for one in how.working)),
        Part(rng.choice(("What goes wrong", "Limits of the design", "Failure modes")), tuple(say(one) for one in how.failing)),
        Part(rng.choice(("How to live with it", "Avoiding it", "Advice")), tuple(say(one) for one in how.remedy)),
    ]
    if limits:
        parts.insert(rng.choice((2, 4)), limits)
    if rng.random() < 0.5:
        parts.append(Part("Numbers to watch", (metric,)))
    return Page(capital(component.called), tuple(parts))


def markdown(page: Page) -> str:
    """The page as Markdown."""
    blocks = [f"# {page.title}"]
    for part in page.parts:
        blocks += [f"## {part.heading}", *part.text]
        if part.items:
            blocks.append("\n".join(f"- {item}" for item in part.items))
        if part.rows:
            lines = [f"| {' | '.join(row)} |" for row in part.rows]
            blocks.append("\n".join([lines[0], "|---" * len(part.rows[0]) + "|", *lines[1:]]))
    return "\n\n".join(blocks) + "\n"


def plain(page: Page) -> str:
    """The page as plain text with headings in capitals and tables in columns."""
    blocks = [page.title]
    for part in page.parts:
        blocks += [part.heading.upper(), *part.text]
        if part.items:
            blocks.append("\n".join(f"* {item}" for item in part.items))
        if part.rows:
            blocks.append("\n".join("   ".join(row) for row in part.rows))
    return "\n\n".join(blocks) + "\n"


def restructured(page: Page) -> str:
    """The page as reStructuredText with simple tables."""
    blocks = [f"{page.title}\n{'=' * len(page.title)}"]
    for part in page.parts:
        blocks += [f"{part.heading}\n{'-' * len(part.heading)}", *part.text]
        if part.items:
            blocks.append("\n".join(f"* {item}" for item in part.items))
        if part.rows:
            widths = [max(len(row[column]) for row in part.rows) for column in range(len(part.rows[0]))]
            rule = "  ".join("=" * width for width in widths)
            lines = [
                "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in part.rows
            ]
            blocks.append("\n".join([rule, lines[0], rule, *lines[1:], rule]))
    return "\n\n".join(blocks) + "\n"


def hypertext(page: Page) -> str:
    """The page as HTML."""
    title = html.escape(page.title, quote=False)
    lines = ["<!doctype html>", f"<html><head><title>{title}</title></head><body>", f"<h1>{title}</h1>"]
    for part in page.parts:
        lines.append(f"<h2>{html.escape(part.heading, quote=False)}</h2>")
        lines += [f"<p>{html.escape(text, quote=False)}</p>" for text in part.text]
        if part.items:
            lines += ["<ul>", *(f"<li>{html.escape(item, quote=False)}</li>" for item in part.items), "</ul>"]
        if part.rows:
            cells = ["".join(f"<td>{html.escape(cell, quote=False)}</td>" for cell in row) for row in part.rows]
            lines += ["<table>", *(f"<tr>{row}</tr>" for row in cells), "</table>"]
    return "\n".join([*lines, "</body></html>"]) + "\n"


FORMATS: dict[str, Callable[[Page], str]] = {".md": markdown, ".txt": plain, ".rst": restructured, ".html": hypertext}
