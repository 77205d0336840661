"""The verbs about relations: grant, revoke, check, list, explain; each answers with the revision it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from standpipe.core.events import RelationsChanged
from standpipe.core.relations import Problem, Relation, explain, graph, parse, type_of
from standpipe.engine.access import change, folders
from standpipe.engine.house import House
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
    """Put a relation in force; one that is in force already stays so."""
    relation = _relation(text)
    namespace = await _namespace(house, relation.object, where)
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
    """Take a relation out of force; one that is not in force is not found."""
    relation = _relation(text)
    namespace = await _namespace(house, relation.object, where)
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
    allowed, _, revision = await _answered(house, asked, where)
    if json:
        say_json({"allowed": allowed, "revision": revision})
    else:
        say(asked.told(allowed, revision))
    return DONE if allowed else FAILED


async def explained(house: House, asked: Asked, where: Where, *, json: bool) -> int:
    """The chain of relations by which a principal has a relation to an object."""
    allowed, chain, revision = await _answered(house, asked, where)
    if json:
        say_json({"allowed": allowed, "chain": chain, "revision": revision})
        return DONE if allowed else FAILED
    say(asked.told(allowed, revision))
    for link in chain:
        say(f"  {link}")
    if not chain:
        say("  no relation governs it, so everybody of the tenant may" if allowed else "  no chain of relations leads there")
    return DONE if allowed else FAILED


async def _answered(house: House, asked: Asked, where: Where) -> tuple[bool, tuple[str, ...], int]:
    """Whether it is allowed, by which chain, at which revision."""
    relation = _relation(f"{asked.object}#{asked.relation}@{asked.principal}")
    namespace = await _namespace(house, asked.object, where)
    access = house.ports.access
    while True:  # until both answers are of one revision
        rights = await access.rights(where.tenant, namespace, asked.principal)
        in_force = graph(await access.relations(where.tenant, namespace))
        if access.heads(where.tenant).revision == rights.revision:
            chain = explain(in_force, asked.principal, relation.object, relation.relation)
            return rights.allows(relation.object, relation.relation), chain, rights.revision


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


async def _synced(house: House, docs: Path, tenant: str) -> str:
    return (await house.sync(docs, tenant)).folder


async def _namespace(house: House, object: str, where: Where) -> str:
    """Where a relation of this object belongs: a folder for documents and groups, the tenant for everything else."""
    if where.docs is not None:
        return await _synced(house, where.docs, where.tenant)
    kind = type_of(object)
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
