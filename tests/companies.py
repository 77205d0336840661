"""Invented companies for tests: one cause hides behind several incidents, and two sources give different numbers.

`company(seed)` draws names, services, the hidden cause, the conflicting quantity, wording, order and format of every document.
The recurring words of all reports, equal values in other units, histories and the same quantity of other services are there to
mislead; a careful human reader finds the cause and the conflict.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import date, timedelta

from tests import company_folders as folders
from tests import company_pages as pages
from tests import company_troubles as troubles
from tests import company_words as words
from tests.company_folders import House, Report
from tests.company_pages import FORMATS, Component, Page, Setting, Workload
from tests.company_settings import ARCHITECTURE, INFRASTRUCTURE, NOTES, Conflict, Decoy, Settings
from tests.company_words import capital


@dataclass(frozen=True, slots=True)
class Company:
    """Documents by path, `access.rel` among them, the question asked of them, and what a careful reader finds."""

    seed: int
    name: str
    files: dict[str, str]
    question: str
    principal: str
    service: str
    cause: tuple[str, ...]
    cause_documents: tuple[str, ...]
    passing_documents: tuple[str, ...]
    architecture: str
    conflict: Conflict
    decoys: tuple[Decoy, ...]
    on_call: tuple[str, str]
    on_call_document: str
    stated: tuple[tuple[str, Setting], ...]
    withdraw: str
    withdrawn_document: str
    withdrawn_marker: str
    restricted: tuple[str, ...]
    restricted_markers: tuple[str, ...]


@dataclass(slots=True)
class Desk:
    """What is on the table while a company is made: chance, names in use, folders, files written."""

    rng: random.Random
    free: list[str]
    people: list[str]
    folder: dict[str, str]
    files: dict[str, str]

    def coin(self) -> str:
        """A new name."""
        return words.coin(self.rng, self.free)

    def write(self, folder: str, stem: str, page: Page) -> str:
        """Write a page in a format of its own, mostly Markdown; its path."""
        suffix = self.rng.choices(tuple(FORMATS), (80, 8, 6, 6))[0]
        path = f"{self.folder[folder]}/{stem}{suffix}"
        assert path not in self.files, path
        self.files[path] = FORMATS[suffix](page)
        return path

    def secret(self, folder: str, stem: str, paper: folders.Paper, house: House) -> tuple[str, str]:
        """Write a paper with a code that stands nowhere else; its path and the code."""
        code = f"{self.rng.choice('CDHKPRX')}{self.rng.choice('KLMTVW')}-{self.rng.randint(1000, 9999)}"
        if any(code in text for text in self.files.values()):
            return self.secret(folder, stem, paper, house)
        return self.write(folder, stem, paper(house, self.rng.choice(self.people), code)), code


def company(seed: int) -> Company:
    """The company of a seed: the same in every process, whatever the order of hashes."""
    rng = random.Random(seed)
    people = [" ".join(name) for name in zip(rng.sample(words.FIRST_NAMES, 18), rng.sample(words.SURNAMES, 18), strict=True)]
    desk = Desk(rng, list(words.FRONTS), people, _folders(rng), {})
    works, asked, component = *_workloads(desk), _component(desk)
    house = _house(desk, asked.name)
    question = rng.choice(words.QUESTIONS).format(s=asked.name)

    incidents = _incidents(desk, house, works, component, question)
    settings = Settings(rng, works, asked.name, component)
    where, architecture = _architecture(desk, settings, works, component, house)
    duty, duty_path = _runbooks(desk, house, works)
    papers = _papers(desk, house)
    principal = f"user:{rng.choice(('ana', 'kofi', 'lena', 'marek', 'noor', 'sami'))}"
    withdraw = f"document:{papers.shared}#reader@{principal}"
    desk.files["access.rel"] = _access(desk, principal, withdraw)
    return Company(
        seed=seed,
        name=house.name,
        files=desk.files,
        question=question,
        principal=principal,
        service=asked.name,
        cause=(component.term,),
        cause_documents=incidents.cause,
        passing_documents=incidents.passing,
        architecture=architecture,
        conflict=settings.conflict(where),
        decoys=tuple(settings.decoys),
        on_call=duty[asked.name],
        on_call_document=duty_path,
        stated=tuple(settings.everywhere(where)),
        withdraw=withdraw,
        withdrawn_document=papers.shared,
        withdrawn_marker=papers.shared_code,
        restricted=papers.restricted,
        restricted_markers=papers.codes,
    )


def _folders(rng: random.Random) -> dict[str, str]:
    return {
        "incidents": rng.choice(("incidents", "postmortems", "reports/incidents")),
        "services": rng.choice(("services", "architecture", "docs/services")),
        "shared": rng.choice(("services", "components", "platform", "docs/shared")),
        "state": rng.choice(("infrastructure", "state", "platform/state")),
        "oncall": rng.choice(("oncall", "on-call", "duty")),
        "runbooks": rng.choice(("runbooks", "operations", "howto")),
        "hr": rng.choice(("hr", "people")),
        "security": rng.choice(("security", "infosec")),
        "vendors": rng.choice(("vendors", "suppliers", "contracts")),
    }


def _workloads(desk: Desk) -> tuple[list[Workload], Workload]:
    rng = desk.rng
    kept = rng.sample(tuple(words.DUTIES), rng.randint(5, 7))
    teams = rng.sample(words.TEAMS, 4)
    works = [Workload(desk.coin() if rng.random() < 0.4 else name, words.DUTIES[name], rng.choice(teams)) for name in kept]
    return works, rng.choice(works)


def _component(desk: Desk) -> Component:
    mechanism = desk.rng.choice(words.MECHANISMS)
    name = desk.coin()
    match desk.rng.choice(("coined", "coined", "coined", "hyphened", "phrase")):
        case "coined":
            called = term = name
        case "hyphened":
            called = term = mechanism.noun.replace(" ", "-")
        case _:
            called, term = f"the {mechanism.noun}", mechanism.noun
    return Component(called, term, f"{name.lower()}ctl", mechanism)


def _house(desk: Desk, asked: str) -> House:
    rng = desk.rng
    tracker, board = desk.coin(), desk.coin()
    return House(
        name=desk.coin(),
        asked=asked,
        cli=desk.coin().lower(),
        tracker=tracker,
        board=board,
        supplier=desk.coin(),
        bystander=desk.coin(),
        headings={role: rng.choice(choices) for role, choices in troubles.HEADINGS.items()},
        footer=folders.house_footer(rng, tracker, board),
        error_percent=rng.choice((1, 2, 3)),
        canary_minutes=rng.choice((10, 15, 20)),
        rollback_minutes=rng.randint(3, 14),
        last_hour=rng.randint(14, 16),
    )


@dataclass(frozen=True, slots=True)
class Incidents:
    """Where the cause hides, and reports that mention the component without blaming it."""

    cause: tuple[str, ...]
    passing: tuple[str, ...]


def _incidents(desk: Desk, house: House, works: list[Workload], component: Component, question: str) -> Incidents:
    """Draw reports until no word but the cause's own is peculiar to the reports that hide it: chance must not mislead."""
    how = component.mechanism
    explained = _words(component.say(" ".join((component.called, *how.working, *how.failing, question))))
    for _ in range(200):
        reports, hidden, passing = _reports(desk, house, works, component)
        drawn = [folders.incident_page(desk.rng, house, report) for report in reports]
        told = [_words(pages.plain(page)) for page in drawn]
        elsewhere = set[str]().union(*(words for n, words in enumerate(told) if n not in hidden))
        peculiar = set.intersection(*(told[n] for n in hidden)) - elsewhere
        if peculiar <= explained:
            break
    else:
        raise AssertionError(f"no fair incidents for {house.name}")
    by_number = desk.rng.random() < 0.3
    paths = [
        desk.write("incidents", f"INC-{n + 41:04d}" if by_number else f"{report.date}-{report.trouble.slug}", page)
        for n, (report, page) in enumerate(zip(reports, drawn, strict=True))
    ]
    return Incidents(tuple(paths[n] for n in hidden), tuple(paths[n] for n in passing))


def _reports(
    desk: Desk, house: House, works: list[Workload], component: Component
) -> tuple[list[Report], list[int], list[int]]:
    """Reports by date, the numbers of those that hide the cause, and of those that mention the component in passing."""
    rng = desk.rng
    hiding = rng.choices((3, 4), (80, 20))[0]
    found = rng.sample(troubles.FOUND, rng.randint(6, 8))
    misread = rng.sample(troubles.MISREAD, hiding)
    order = [*found, *misread]
    if rng.random() < 0.15:
        order[-2], order[len(found) - 1] = order[len(found) - 1], order[-2]
    hidden = [n for n, one in enumerate(order) if one in misread]
    plain = [n for n, one in enumerate(order) if one in found]
    added: dict[int, list[tuple[str, str]]] = {n: [] for n in range(len(order))}
    mentions = rng.sample(component.mechanism.mentions, hiding)
    for n, role, sentence in zip(hidden, rng.sample(folders.ROLES[2:6], hiding), mentions, strict=True):
        added[n].append((role, component.say(sentence)))
    passing = [rng.choice(plain[:-1])] if rng.random() < 0.2 else []
    for n in passing:
        added[n].append(("lessons", component.say("{c} was looked at first and had been healthy all the time.")))
    for n in rng.sample(rng.choice((hidden, plain)), 2):
        added[n].append(("impact", f"Customers were told about it through {house.bystander}."))
    leads = rng.sample(desk.people, 5)
    first = rng.randint(0, 4)
    day = date(2024, 1, 8) + timedelta(days=rng.randint(0, 300))
    reports = []
    for n, trouble in enumerate(order):
        day += timedelta(days=rng.randint(9, 44))
        asked = n in hidden or rng.random() < 0.4
        names = _names(rng, house, works, asked)
        title = capital(trouble.title.format(**names))
        title = rng.choice((title, f"{day}: {title}")) if n else title
        reports.append(Report(str(day), trouble, title, leads[(first + n) % 5], names, tuple(added[n])))
    return reports, hidden, passing


def _names(rng: random.Random, house: House, works: list[Workload], asked: bool) -> dict[str, str]:
    others = [one.name for one in works if one.name != house.asked]
    s, t = (house.asked, rng.choice(others)) if asked else rng.sample(others, 2)
    return {"s": s, "t": t, "n": str(rng.randint(4, 58))}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def _architecture(
    desk: Desk, settings: Settings, works: list[Workload], component: Component, house: House
) -> tuple[dict[tuple[str, str], str], str]:
    """Write the pages of services, of the component and of the state; what is stated where, and the component's path."""
    rng, stated = desk.rng, settings.stated
    where: dict[tuple[str, str], str] = {}
    for work in works:
        s = work.name
        others = rng.sample([one.name for one in works if one is not work], 2)
        if s == house.asked and rng.random() < 0.5:
            others.append(component.called)
        limits = pages.limits_part(rng, stated[ARCHITECTURE].get(s, []), settings.remarks.get(s, []))
        where[ARCHITECTURE, s] = desk.write("services", s.lower(), pages.workload_page(rng, work, tuple(others), limits))
    own = stated[ARCHITECTURE].get(component.called)
    page = pages.component_page(rng, component, pages.limits_part(rng, own, []) if own else None)
    architecture = desk.write("shared", component.term.lower().replace(" ", "-"), page)
    where[ARCHITECTURE, component.called] = architecture

    exported = [setting for subject in stated[INFRASTRUCTURE].values() for setting in subject]
    title = rng.choice(("Cluster state", "What runs", "Settings in production"))
    page = pages.state_page(rng, title, exported, settings.staging)
    state = desk.write("state", rng.choice(("cluster", "current", "export")), page)
    where.update({(INFRASTRUCTURE, subject): state for subject in stated[INFRASTRUCTURE]})
    regions = f"{house.name} runs in two regions. If one is lost, the other takes all customers."
    desk.write("state", "regions", Page("Regions", (pages.Part("Traffic", (regions, "Databases are promoted by hand.")),)))
    noted = [one.fill(rng.choice(pages.SENTENCES)) for one in stated[NOTES].get(house.asked, [])]
    if noted or rng.random() < 0.5:
        page = folders.notes_page(rng, house, noted)
        where[NOTES, house.asked] = desk.write("runbooks", f"{house.asked.lower()}-notes", page)
    return where, architecture


def _runbooks(desk: Desk, house: House, works: list[Workload]) -> tuple[dict[str, tuple[str, str]], str]:
    """Write how to deploy and roll back, and who is on call; the rotation of each service and the schedule's path."""
    rng = desk.rng
    teams = list(dict.fromkeys(work.team for work in works))
    people = rng.sample(desk.people, 2 * len(teams))
    rotation = {team: (people[2 * n], people[2 * n + 1]) for n, team in enumerate(teams)}
    duty = {work.name: rotation[work.team] for work in works}
    desk.write("runbooks", "deployments", folders.conventions_page(rng, house))
    desk.write("runbooks", "rollback", folders.rollback_page(rng, house))
    path = desk.write("oncall", "schedule", folders.duty_page(rng, works, duty))
    if rng.random() < 0.7:
        desk.write("oncall", "escalation", folders.escalation_page(rng, rng.choice(desk.people)))
    return duty, path


@dataclass(frozen=True, slots=True)
class Papers:
    """What not everybody may read, by path, with the codes that stand in it."""

    shared: str
    shared_code: str
    restricted: tuple[str, ...]
    codes: tuple[str, ...]


def _papers(desk: Desk, house: House) -> Papers:
    kept: list[tuple[str, str, folders.Paper]] = [
        ("hr", "on-call-pay", folders.on_call_pay),
        ("hr", "leave", folders.leave_calendar),
        ("security", "penetration-test", folders.penetration_report),
    ]
    more: list[tuple[str, str, folders.Paper]] = [
        ("hr", "hiring", folders.hiring_plan),
        ("security", "access-review", folders.access_review),
        ("vendors", "cloud", folders.cloud_contract),
    ]
    kept += desk.rng.sample(more, desk.rng.randint(1, 3))
    written = [desk.secret(folder, stem, paper, house) for folder, stem, paper in kept]
    shared, code = desk.secret("vendors", f"{house.supplier.lower()}-terms", folders.supplier_terms, house)
    return Papers(shared, code, tuple(path for path, _ in written), tuple(code for _, code in written))


def _access(desk: Desk, principal: str, withdraw: str) -> str:
    """Who reads what: the principal everything that engineers read, and one paper of a supplier by name."""
    rng, folder = desk.rng, desk.folder
    all_engineers = rng.choice(("engineering", "product", "makers"))
    nested, hr, security, buyers = rng.choice(("sre", "backend")), "people-team", "security", "procurement"
    open_folders = ("incidents", "services", "shared", "state", "oncall", "runbooks")
    paths = list(dict.fromkeys(folder[one] for one in open_folders))
    lines = [f"document:{path}/*#reader@group:{all_engineers}#member" for path in paths]
    lines += [
        f"document:{folder['hr']}/*#reader@group:{hr}#member",
        f"document:{folder['security']}/*#reader@group:{security}#member",
        f"document:{folder['vendors']}/*#reader@group:{buyers}#member",
        f"group:{all_engineers}#member@group:{nested}#member",
        f"group:{all_engineers}#member@group:{security}#member",
        f"group:{rng.choice((all_engineers, nested))}#member@{principal}",
        f"group:{hr}#member@user:ben",
        f"group:{security}#member@user:ida",
        f"group:{buyers}#member@user:petra",
        withdraw,
    ]
    if rng.random() < 0.5:
        rng.shuffle(lines)
    return "\n".join(("// Who may read what.", *lines)) + "\n"
