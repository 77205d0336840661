"""Answers what the rules ask: reads permissions, balances and requests in one go and makes the world of one decision."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from standpipe.core.events import WorldRecord
from standpipe.core.ids import digest, digest_bytes
from standpipe.core.items import Source
from standpipe.core.relations import within
from standpipe.core.tools import AgentSpec
from standpipe.core.world import Access, CallQuestion, Policy, Questions, World
from standpipe.engine.lapse import lapse
from standpipe.ports import AccessStore, Log, Rights, Search

DOCUMENT = "document:"
INLINE_MAX = 8
"""Permission answers that stand in the frame itself: fewer bytes than a part of its own, with its name, takes."""


class Static(msgspec.Struct, frozen=True):
    """The parts of the world that do not change while a process runs, encoded once."""

    policy: Policy
    agents: dict[str, AgentSpec]
    parts: dict[str, bytes]
    names: dict[str, str]


def static(policy: Policy, agents: Mapping[str, AgentSpec]) -> Static:
    """The static parts of the world with their digests, as they read back: so live decisions use what replay will."""
    encoded = {
        "policy": msgspec.json.encode(policy, order="deterministic"),
        "agents": msgspec.json.encode(dict(agents), order="deterministic"),
    }
    names = {name: digest_bytes(data) for name, data in encoded.items()}
    policy = msgspec.json.decode(encoded["policy"], type=Policy)
    read_back = msgspec.json.decode(encoded["agents"], type=dict[str, AgentSpec])
    read_back = {name: read_back[name] for name in agents}  # the first one is asked where none is named
    return Static(policy, read_back, {names[name]: data for name, data in encoded.items()}, names)


async def look_up(log: Log, search: Search, access: AccessStore, fixed: Static, asked: Questions) -> World:
    """The world that answers these questions. Permissions are of one revision: if one changed meanwhile, it reads again."""
    while True:
        heads = access.heads(asked.tenant)
        if heads.lapsed:
            await lapse(log, access, asked.tenant)
            continue
        rights = {
            folder: await access.rights(asked.tenant, folder, asked.principal, heads.revision) for folder in _namespaces(asked)
        }
        denied = tuple(source for source in asked.sources if not rights[source.folder].allows(object_of(source)))
        allowed: list[str] = []
        refused: list[str] = []
        for call in asked.calls:
            narrow = fixed.agents[call.agent].documents if call.agent in fixed.agents else ()
            verdict = allowed if await _permitted(search, rights, asked, call, narrow) else refused
            verdict.append(digest(call))
        if all(right.revision == heads.revision for right in rights.values()):
            break
    return World(
        policy=fixed.policy,
        agents=fixed.agents,
        access=Access(heads.revision, heads.revoked, denied, tuple(allowed), tuple(refused)),
        balances=await log.balances(asked.accounts) if asked.accounts else {},
    )


def _namespaces(asked: Questions) -> list[str]:
    return list(dict.fromkeys(["", *asked.folders, *(source.folder for source in asked.sources)]))


def object_of(source: Source) -> str:
    """What relations call a source: a document of its folder, or the resource itself outside of folders."""
    return DOCUMENT + source.path if source.folder else source.path


async def _permitted(
    search: Search, rights: Mapping[str, Rights], asked: Questions, call: CallQuestion, narrow: tuple[str, ...]
) -> bool:
    """What the principal may, and the agent: `narrow` are the documents it is kept to."""
    for resource in call.resources:
        if not resource.startswith(DOCUMENT):
            if not rights[""].allows(resource):
                return False
            continue
        path = resource.removeprefix(DOCUMENT)
        visible = [f for f in asked.folders if rights[f].allows(resource) and within(narrow, path)]
        if not any([await search.document(asked.tenant, folder, path) is not None for folder in visible]):
            return False
    return True


def recorded(world: World, fixed: Static) -> tuple[WorldRecord, dict[str, bytes]]:
    """What a frame keeps of its world, and the parts it names."""
    balances = {account: (row.held, row.spent) for account, row in world.balances.items()}
    access = world.access
    if len(access.denied) + len(access.allowed) + len(access.refused) <= INLINE_MAX:
        return WorldRecord(fixed.names, balances, access), fixed.parts
    data = msgspec.json.encode(access, order="deterministic")
    name = digest_bytes(data)
    return WorldRecord({**fixed.names, "access": name}, balances), {**fixed.parts, name: data}
