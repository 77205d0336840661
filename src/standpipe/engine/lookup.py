"""Answers what the rules ask: reads permissions, balances and requests in one go and makes the world of one decision."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from standpipe.core.events import WorldRecord
from standpipe.core.ids import digest, digest_bytes
from standpipe.core.items import Source
from standpipe.core.permit import tool_of
from standpipe.core.relations import within
from standpipe.core.rulings import RuleQuestion, Ruling, ToolRules
from standpipe.core.tools import AgentSpec
from standpipe.core.world import Access, CallQuestion, Policy, Questions, World
from standpipe.engine.lapse import lapse
from standpipe.ports import AccessStore, Log, Rights, Search

DOCUMENT = "document:"
INLINE_MAX = 8
"""Permission answers that stand in the frame itself: fewer bytes than a part of its own, with its name, takes."""


class Static(msgspec.Struct, frozen=True):
    """The parts of the world that do not change while a process runs, encoded once.

    Where there are tool rules, that of a session is what they leave for a principal in `groups`; those worked out are `kept`.
    """

    policy: Policy
    agents: dict[str, AgentSpec]
    parts: dict[str, bytes]
    names: dict[str, str]
    rules: ToolRules | None = None
    groups: tuple[str, ...] = ()
    kept: dict[tuple[str, str, str, tuple[str, ...]], Static] = {}


def static(policy: Policy, agents: Mapping[str, AgentSpec], rules: ToolRules | None = None) -> Static:
    """The static parts of the world with their digests, as they read back: so live decisions use what replay will."""
    policy = msgspec.structs.replace(policy, rules=rules.digest) if rules is not None else policy
    encoded = {
        "policy": msgspec.json.encode(policy, order="deterministic"),
        "agents": msgspec.json.encode(dict(agents), order="deterministic"),
    }
    if rules is not None:
        encoded["rules"] = rules.text
    names = {name: digest_bytes(data) for name, data in encoded.items()}
    policy = msgspec.json.decode(encoded["policy"], type=Policy)
    read_back = msgspec.json.decode(encoded["agents"], type=dict[str, AgentSpec])
    read_back = {name: read_back[name] for name in agents}  # the first one is asked where none is named
    return Static(policy, read_back, {names[name]: data for name, data in encoded.items()}, names, rules)


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
        by: dict[str, str] = {}
        for call in asked.calls:
            narrow, key = fixed.agents[call.agent].documents if call.agent in fixed.agents else (), digest(call)
            ruling = _ruled(fixed, asked, call)
            may = ruling.allowed and await _permitted(search, rights, asked, call, narrow)
            (allowed if may else refused).append(key)
            if may and ruling.by:
                by[key] = ruling.by
        versions = [await _current(search, asked.tenant, document) for document in asked.documents]
        if all(right.revision == heads.revision for right in rights.values()):
            break
    return World(
        policy=fixed.policy,
        agents=fixed.agents,
        access=Access(heads.revision, heads.revoked, denied, tuple(allowed), tuple(refused), by, tuple(versions)),
        balances=await log.balances(asked.accounts) if asked.accounts else {},
    )


def _namespaces(asked: Questions) -> list[str]:
    return list(dict.fromkeys(["", *asked.folders, *(source.folder for source in asked.sources)]))


def object_of(source: Source) -> str:
    """What relations call a source: a document of its folder, or the resource itself outside of folders."""
    return DOCUMENT + source.path if source.folder else source.path


async def _current(search: Search, tenant: str, document: Source) -> Source:
    """The document's current version; an empty one if it is gone."""
    found = await search.document(tenant, document.folder, document.path)
    return msgspec.structs.replace(document, version=found.version if found is not None else "")


UNRULED = Ruling(True)


def _ruled(fixed: Static, asked: Questions, call: CallQuestion) -> Ruling:
    """What the tool rules say of a call: for the agent that makes it, and what they forbid to the session's they forbid to
    its specialists."""
    if fixed.rules is None:
        return UNRULED
    tool = tool_of(fixed.agents[call.agent], call.tool) if call.agent in fixed.agents else None
    if tool is None:
        return Ruling(False)
    of = RuleQuestion(
        tenant=asked.tenant,
        principal=call.principal,
        groups=fixed.groups,
        agent=call.agent,
        tool=call.tool,
        effect=tool.effect,
        given=call.given,
        sources=call.sources,
    )
    return ruling(fixed.rules, of, asked.agent)


def ruling(rules: ToolRules, of: RuleQuestion, root: str) -> Ruling:
    """The judgement of a question in a session of agent `root`: a scope can only narrow."""
    if root and root != of.agent and rules.judge(msgspec.structs.replace(of, agent=root)).forbidden:
        return Ruling(False, forbidden=True)
    return rules.judge(of)


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
    if len(access.denied) + len(access.allowed) + len(access.refused) + len(access.by) + len(access.versions) <= INLINE_MAX:
        return WorldRecord(fixed.names, balances, access), fixed.parts
    data = msgspec.json.encode(access, order="deterministic")
    name = digest_bytes(data)
    return WorldRecord({**fixed.names, "access": name}, balances), {**fixed.parts, name: data}
