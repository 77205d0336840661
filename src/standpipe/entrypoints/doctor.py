"""The verb doctor: what Standpipe needs on this machine, whether it is there, and what to do if not."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import msgspec

from standpipe import wiring
from standpipe.engine.access import folders, synced
from standpipe.engine.house import House
from standpipe.entrypoints.exits import DONE, FAILED
from standpipe.entrypoints.options import Common
from standpipe.entrypoints.output import say, say_json
from standpipe.entrypoints.words import plural
from standpipe.errors import StandpipeError
from standpipe.settings import POLICY_FILE, Settings, load

PYTHON_LEAST = (3, 11)
SQLITE_LEAST = (3, 53)
"""Before it, a WAL that several connections share can be corrupted."""
FILE = "sqlite:///"


class Finding(msgspec.Struct, frozen=True):
    """One check: what was looked at, whether it is well, what was found, and what to do if it is not well."""

    check: str
    well: bool
    found: str
    advice: str = ""


async def doctor(common: Common) -> int:
    """Every check, told; done if all is well."""
    findings = [*_machine(), _terminal()]
    settings = _settings(common, findings)
    if settings is not None:
        findings += [finding async for finding in _store(common.store or settings.store, common)]
    well = all(finding.well for finding in findings)
    if common.json:
        say_json({"well": well, "checks": findings})
    for finding in () if common.json else findings:
        say(f"{'ok ' if finding.well else 'BAD'} {finding.check}: {finding.found}", "    ")
        if finding.advice:
            say(f"    {finding.advice}", "    ")
    return DONE if well else FAILED


def _machine() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    well = sys.version_info >= PYTHON_LEAST
    yield Finding("python", well, python, "" if well else "Install Python 3.11 or newer.")
    sqlite = apsw.sqlite_lib_version()
    well = tuple(map(int, sqlite.split(".")[:2])) >= SQLITE_LEAST
    yield Finding("sqlite", well, f"{sqlite}, apsw {apsw.apsw_version()}", "" if well else "Install apsw 3.54 or newer.")


def _terminal() -> Finding:
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if sys.stderr.isatty():
        return Finding("terminal", True, f"live view, {os.environ.get('TERM', 'unknown')}, {encoding}")
    return Finding("terminal", True, "none on stderr: no live view")


def _settings(common: Common, findings: list[Finding]) -> Settings | None:
    """The settings, and the finding about where they come from."""
    name = common.policy or Path(POLICY_FILE)
    try:
        settings = load(common.policy)
    except StandpipeError as error:
        findings.append(Finding("policy", False, str(error), "Correct the file, then look again."))
        return None
    there = common.policy is not None or name.exists()
    routes = "; ".join(f"{task}: {', '.join(models)}" for task, models in settings.policy.routes.items())
    findings.append(Finding("policy", True, f"{name if there else 'defaults'}, routes {routes}"))
    try:
        rules = wiring.rules(settings.rules)
    except StandpipeError as error:
        findings.append(Finding("rules", False, str(error), "Correct the rule file, then look again."))
        return None
    if rules is not None:
        findings.append(Finding("rules", True, f"{settings.rules}, {plural(len(rules.names), 'rule')}, digest {rules.digest}"))
    return settings


async def _store(url: str, common: Common) -> AsyncIterator[Finding]:
    """Whether the store can be opened, is whole and can be written, and what is indexed in it."""
    path = Path(url.removeprefix(FILE)) if url.startswith(FILE) else None
    if path is not None and not path.exists():
        yield _place(path)
        return
    try:
        async with wiring.open(common.policy, store=url) as house:
            broken = (_damage(path) if path is not None else []) or await house.ports.log.chain()
            rows = await house.ports.log.rows()
            found = f"{url}, {plural(len(rows), 'session')}"
            advice = "Put a copy back in its place, or move it away: a new store is made."
            yield Finding("store", not broken, "; ".join([found, *broken[:3]]), advice if broken else "")
            for row in (row for row in rows if row.trouble):
                again = f"See `standpipe log {row.session}`; `standpipe resume {row.session}` tries it once more."
                yield Finding("session", False, f"{row.session} is parked: {row.trouble}", again)
            async for finding in _documents(house):
                yield finding
    except StandpipeError as error:
        yield Finding("store", False, str(error), "See what the sentence says, then look again.")


def _place(path: Path) -> Finding:
    """Whether a store that is not there yet could be made."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    well = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    found = f"none yet at {path}; the first question makes it" if well else f"none at {path}, and {folder} cannot be written"
    return Finding("store", well, found, "" if well else "Name a store in a folder that you may write, with --store.")


def _damage(path: Path) -> list[str]:
    """What SQLite itself finds wrong with the file, in its words."""
    con = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = [str(row[0]) for row in con.execute("PRAGMA quick_check(3)")]
    except apsw.Error as error:
        found = [str(error)]
    finally:
        con.close()
    return [line for line in found if line != "ok"]


async def _documents(house: House) -> AsyncIterator[Finding]:
    """One finding for each folder that was indexed."""
    tenants = {fact.tenant for fact in await synced(house.ports.log)}
    for tenant in sorted(tenants):
        for folder, root in (await folders(house.ports.log, tenant)).items():
            count = plural(len(await house.ports.search.versions(tenant, folder)), "document")
            there = Path(root).is_dir()
            found = f"{count} of {root} for tenant {tenant}" + ("" if there else ", which is no longer there")
            yield Finding("documents", True, found)
    if not tenants:
        yield Finding("documents", True, "none indexed yet; `standpipe ask QUESTION --docs DIR` does that")
