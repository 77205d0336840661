"""The verbs about relations: grant, revoke, check, list, explain; each answers with the revision it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from standpipe.core.definitions import Definition
from standpipe.core.events import RelationsChanged
from standpipe.core.relations import Problem, Relation, parse, read, type_of
from standpipe.core.rights import Why, explain, graph, reach
from standpipe.engine.access import change, folders
from standpipe.engine.house import House
from standpipe.engine.lookup import DOCUMENT
from standpipe.entrypoints.exits import DONE, FAILED
from standpipe.entrypoints.options import Where
from standpipe.entrypoints.output import say, say_heading, say_json, trouble
from standpipe.errors import UsageError

OPERATOR = "operator"
"""Whoever may open the store on the command line."""


@dataclass(frozen=True)
class Asked:
    """May `principal` do with `object` what `relation` allows?"""

    principal: str
    object: str
    relation: str

    def told(self, allowed: bool, revision: int) -> str:
        """The answer in words."""
        return f"{self.principal} {'is' if allowed else 'is not'} {self.relation} of {self.object} at revision {revision}"


async def grant(house: House, text: str, where: Where, *, json: bool) -> int:
    """Put a relation or definition in force, in the place of the same with another end or rule."""
    relation = _said(text)
    if isinstance(relation, Relation) and 0 < relation.until <= house.ports.clock():
        raise UsageError(f"{relation.text} has ended already: name an instant to come.")
    namespace = await _namespace(house, _type(relation), where)
    wanted = RelationsChanged(where.tenant, namespace, "command", granted=(relation.text,))
    done = await change(house.setup, wanted, OPERATOR)
    if json:
        say_json({"relation": relation.text, "changed": bool(done.granted), "revision": done.revision})
    elif done.granted:
        say(f"granted {relation.text} at revision {done.revision}")
    else:
        say(f"{relation.text} was granted already; nothing changed since revision {done.revision}")
    return DONE


async def revoke(house: House, text: str, where: Where, *, json: bool) -> int:
    """Take a relation (without an end: with any) or definition out of force; one that is not in force is not found."""
    relation = _said(text)
    namespace = await _namespace(house, _type(relation), where)
    wanted = RelationsChanged(where.tenant, namespace, "command", revoked=(relation.text,))
    done = await change(house.setup, wanted, OPERATOR)
    if json:
        say_json({"relation": relation.text, "changed": bool(done.revoked), "revision": done.revision})
    elif done.revoked:
        say(f"revoked {relation.text} at revision {done.revision}")
    if not done.revoked:
        trouble(f"{relation.text} is not in force at revision {done.revision}: `standpipe access list` shows what is.")
        return FAILED
    return DONE


async def check(house: House, asked: Asked, where: Where, *, json: bool) -> int:
    """Whether a principal has a relation to an object now."""
    why, revision = await _answered(house, asked, where)
    allowed = why.allowed
    if json:
        say_json({"allowed": allowed, "revision": revision})
    else:
        say(asked.told(allowed, revision))
    return DONE if allowed else FAILED


async def explained(house: House, asked: Asked, where: Where, *, json: bool) -> int:
    """Why a principal has a relation to an object, or not: the chain that grants or excludes, or that nothing leads there."""
    why, revision = await _answered(house, asked, where)
    if json:
        told = {"allowed": why.allowed, "because": why.because, "chain": why.chain}
        say_json({**told, **({"missing": why.missing} if why.missing else {}), "revision": revision})
        return DONE if why.allowed else FAILED
    say(asked.told(why.allowed, revision))
    say(f"  {_BECAUSE[why.because].format(missing=why.missing)}")
    for link in why.chain:
        say(f"  {link}")
    return DONE if why.allowed else FAILED


_BECAUSE = {
    "open": "no relation governs it, so everybody of the tenant may",
    "granted": "because of",
    "excluded": "it is granted, and taken away again by",
    "missing": "a definition asks for `{missing}`, and no chain of relations leads there",
    "nothing": "no chain of relations leads there",
}
"""What stands before the chain."""


async def _answered(house: House, asked: Asked, where: Where) -> tuple[Why, int]:
    """Why it is allowed or not, at which revision."""
    relation = _relation(f"{asked.object}#{asked.relation}@{asked.principal}")
    namespace = await _namespace(house, type_of(asked.object), where)
    access = house.ports.access
    while True:  # until both answers are of one revision
        heads = access.heads(where.tenant)
        rights = await access.rights(where.tenant, namespace, asked.principal)
        governed = (type_of(asked.object),)
        in_force = graph(await access.relations(where.tenant, namespace), rights.revision, namespace, governed)
        held = reach(in_force, asked.principal, house.ports.clock(), explained=True)
        why = explain(held, relation.object, relation.relation)
        if access.heads(where.tenant) == heads:
            is_open = not why.allowed and rights.allows(relation.object, relation.relation)
            return Why(True, "open") if is_open else why, rights.revision


async def documents(house: House, principal: str, where: Where, *, json: bool) -> int:
    """The documents that a principal may read, of one folder or of all."""
    access = house.ports.access
    found = await folders(house.ports.log, where.tenant)
    if where.docs is not None:
        found = {await _synced(house, where.docs, where.tenant): str(where.docs)}
    while True:
        heads = access.heads(where.tenant)
        seen = {folder: await _seen(house, where.tenant, folder, principal) for folder in found}
        if access.heads(where.tenant) == heads:
            break
    if json:
        say_json({"revision": heads.revision, "documents": sorted({path for paths in seen.values() for path in paths})})
        return DONE
    for folder, paths in seen.items():
        if paths:
            say_heading(found[folder])
        for path in paths:
            say(f"  {path}")
    say(f"revision {heads.revision}")
    return DONE


async def _seen(house: House, tenant: str, folder: str, principal: str) -> list[str]:
    rights = await house.ports.access.rights(tenant, folder, principal)
    paths = sorted(await house.ports.search.versions(tenant, folder))
    return [object.removeprefix(DOCUMENT) for object in rights.filter(DOCUMENT + path for path in paths)]


async def listed(house: House, where: Where, *, json: bool) -> int:
    """The relations in force, of one folder or of all of the tenant."""
    access = house.ports.access
    found = await folders(house.ports.log, where.tenant)
    if where.docs is not None:
        folder = await _synced(house, where.docs, where.tenant)
        names = {folder: str(where.docs)}
    else:
        names = {"": "every folder", **found}
    revision = access.heads(where.tenant).revision
    relations = {namespace: await access.relations(where.tenant, namespace) for namespace in names}
    if json:
        say_json({"revision": revision, "relations": sorted({r for these in relations.values() for r in these})})
        return DONE
    for namespace, these in relations.items():
        if these:
            say_heading(names[namespace])
        for relation in these:
            say(f"  {relation}")
    say(f"revision {revision}")
    return DONE


def _relation(text: str) -> Relation:
    parsed = parse(text)
    if isinstance(parsed, Problem):
        raise UsageError(f"{parsed.found} is no relation: expected {parsed.expected}.")
    return parsed


def _said(text: str) -> Relation | Definition:
    said = read(text)
    if isinstance(said, Problem):
        raise UsageError(f"{said.found} is no relation: expected {said.expected}.")
    return said


def _type(said: Relation | Definition) -> str:
    return said.type if isinstance(said, Definition) else type_of(said.object)


async def _synced(house: House, docs: Path, tenant: str) -> str:
    return (await house.sync(docs, tenant)).folder


async def _namespace(house: House, kind: str, where: Where) -> str:
    """Where relations of this type of object belong: a folder for documents and groups, the tenant for everything else."""
    if where.docs is not None:
        return await _synced(house, where.docs, where.tenant)
    if kind not in ("document", "group"):
        return ""
    found = await folders(house.ports.log, where.tenant)
    if len(found) > 1:
        raise UsageError(f"{len(found)} folders are indexed ({', '.join(sorted(found.values()))}): name one with --docs DIR.")
    if found:
        return next(iter(found))
    if kind == "document":
        raise UsageError("No folder of documents is indexed yet: name one with --docs DIR.")
    return ""
