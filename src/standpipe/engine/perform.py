"""Does what a granted call asks for: model or tool, watched and cancellable, its outcome checked; returns facts-to-be.

The last look at the relations and the hand-over to the driver have no await between them: a revocation that came after the
grant sends the call back to the rules instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from standpipe.core import check, permit, plan, reply
from standpipe.core.control import CONTROL, AnswerArguments, AnswerSentence
from standpipe.core.details import HANGING, NOT_SENT, Fault, Usage, Verdict
from standpipe.core.events import CallCancelled, CallCompleted, CallFailed, Cause
from standpipe.core.ids import item_id
from standpipe.core.items import (
    Checked,
    Data,
    Draft,
    Failure,
    Item,
    Label,
    Passage,
    Source,
    ToolCall,
    decode_body,
    encode_body,
    join,
    place,
)
from standpipe.core.state import Call, Deed, State, Turn, share_of
from standpipe.core.tools import AgentSpec, ToolSpec
from standpipe.core.world import ModelSpec, Policy
from standpipe.engine.spoken import Speaking, Spoken
from standpipe.errors import StandpipeError
from standpipe.ports import AccessStore, Done, Failed, Log, Models, Prompt, Search, ToolRequest, Tools
from standpipe.ports import Reply as Came

SET_BY = ", set by "
"""Stands in the origin of what somebody put in the place of a recorded outcome, before who it was."""


class Ports(msgspec.Struct, frozen=True):
    """The drivers that calls go to: models by provider, tools by tool name, and what the checks read."""

    log: Log
    search: Search
    access: AccessStore
    models: Mapping[str, Models]
    tools: Mapping[str, Tools]
    controls: Sequence[ToolSpec]
    clock: Callable[[], int]
    spoken: Spoken = msgspec.field(default_factory=Spoken)


class Outcome(msgspec.Struct, frozen=True):
    """What came of a call, before it has a place in the log."""

    call: str
    step: str
    origin: str
    drafts: tuple[Draft, ...] = ()
    usage: Usage | None = None
    verdicts: tuple[Verdict, ...] = ()
    fault: Fault | None = None
    cancelled: str = ""
    unknown: bool = False
    first_content_ms: int = 0
    elapsed_ms: int = 0
    sources: tuple[Cause, ...] = ()

    def fact(self, seq: int) -> CallCancelled | CallCompleted | CallFailed:
        """The fact at place `seq`."""
        items = tuple(place(d, item_id(seq, n), self.origin, self.step) for n, d in enumerate(self.drafts))
        if self.cancelled:
            return CallCancelled(self.call, self.cancelled, self.unknown)
        if self.fault is not None:
            return CallFailed(self.call, self.fault, items, self.usage, self.elapsed_ms, self.unknown)
        return CallCompleted(self.call, items, self.usage, self.verdicts, self.first_content_ms, self.elapsed_ms, self.sources)


class Job(msgspec.Struct, frozen=True):
    """Everything a call needs of the state, taken before the first await: the live state is not touched again."""

    call: Call
    session: str
    tenant: str
    principal: str
    folders: tuple[str, ...]
    agent: AgentSpec
    is_specialist: bool
    move: ToolCall | None
    move_item: Item | None
    shown: tuple[Item, ...]
    deed: Deed | None = None
    fence: int | None = None


def job(state: State, agents: Mapping[str, AgentSpec], call: Call, fence: int | None = None) -> Job:
    """What must be known of the state to perform a call of its open turn, or of a scope of it, under the lease with `fence`."""
    share = share_of(state, call.id)
    turn = share.turn
    assert turn is not None
    step = turn.steps[call.step].spec
    deed = turn.deeds.get(step.undoes)
    name = deed.agent if deed is not None else share.agent
    agent = agents.get(name, AgentSpec(name, ""))
    return Job(
        call=call,
        session=state.session,
        tenant=state.tenant,
        principal=state.principal,
        folders=turn.folders,
        agent=agent,
        is_specialist=bool(turn.agent),
        move=_undone(deed) if deed is not None else plan.move_of(turn, step) if step.kind == "tool" else None,
        move_item=deed.move if deed is not None else turn.items.get(step.item),
        shown=_shown(share, turn) if call.route is not None else (),
        deed=deed,
        fence=fence,
    )


def _undone(deed: Deed) -> ToolCall | None:
    return plan.moved(deed.move, deed.step) if deed.move is not None else None


def _shown(state: State, turn: Turn) -> tuple[Item, ...]:
    closed = {item.id: item for c in state.closed for item in (c.question, c.answer) if item is not None}
    items = [turn.items.get(id) or closed[id] for id in turn.shown]
    return tuple(sorted(items, key=_place))


def _place(item: Item) -> tuple[int, int]:
    seq, _, index = item.id.partition(".")
    return int(seq), int(index)


async def perform(ports: Ports, policy: Policy, job: Job) -> Outcome:
    """One call, to its end; who asks for it watches its deadline. A driver that raises has a bug: the call fails, no more."""
    began = ports.clock()
    if job.call.deadline_at <= began:  # the process stood still: nothing is begun that could not be finished
        return Outcome(job.call.id, job.call.step, job.call.target, cancelled=NOT_SENT)
    doing = _model(ports, policy.models[job.call.target], job) if job.call.route is not None else _tool(ports, job)
    try:
        done = await doing
    except StandpipeError:
        raise
    except (Exception, asyncio.CancelledError) as trouble:
        told = asyncio.current_task()
        if isinstance(trouble, asyncio.CancelledError) and (told is None or told.cancelling()):
            raise
        fault = Fault("bug", f"It broke off with {type(trouble).__name__}.")
        done = _failed(job, Failed(fault, unknown=_effect(job) != "read"))
    return msgspec.structs.replace(done, elapsed_ms=max(0, ports.clock() - began))


async def concluded(ports: Ports, job: Job, came: Came | Failed) -> Outcome:
    """What a call comes to whose answer is known without asking anybody: judged by the same checks as any other."""
    if isinstance(came, Failed):
        return _failed(job, came)
    if job.call.route is None:
        return _tool_outcome(job, came)
    return await _model_outcome(ports, job, await _with_bodies(ports.log, job), came)


def timed_out(job: Job, elapsed_ms: int, *, hanging: bool = False) -> Outcome:
    """What came of a call that was not over at its deadline; one that is `hanging` was told to stop and did not."""
    code = HANGING if hanging and _effect(job) != "read" else "timeout"
    failed = Failed(Fault(code, "It did not answer in time."), unknown=_effect(job) != "read")
    return msgspec.structs.replace(_failed(job, failed), elapsed_ms=elapsed_ms)


def _effect(job: Job) -> str:
    if job.call.route is not None:
        return "read"
    tool = permit.tool_of(job.agent, job.call.target)
    return tool.effect if tool is not None else "read"


def _failed(job: Job, failed: Failed) -> Outcome:
    drafts: tuple[Draft, ...] = ()
    if failed.told and job.move_item is not None:
        drafts = (Draft(Failure(failed.fault.code, failed.told), _derived(job, Label()), answers=_answers(job)),)
    return Outcome(
        job.call.id, job.call.step, job.call.target, drafts, fault=failed.fault, usage=failed.usage, unknown=failed.unknown
    )


def _answers(job: Job) -> str:
    """The model's call that a tool call results from; what the runtime asked for on its own answers nobody."""
    if job.deed is not None:
        return ""
    return job.move_item.id if job.move_item is not None and job.move_item.origin != "runtime" else ""


def _revoked(ports: Ports, job: Job) -> bool:
    heads = ports.access.heads(job.tenant)
    return heads.revoked > job.call.permit.revision or heads.lapsed > 0


def lapsed(ports: Ports, job: Job) -> bool:
    """Whether an effect may not begin, because its process stood still: its lease is over by now, or another's."""
    if job.fence is None or _effect(job) == "read":
        return False
    lease = ports.log.lease(job.session)
    return lease.owner is None or lease.fence != job.fence or lease.until <= ports.clock()


async def _model(ports: Ports, model: ModelSpec, job: Job) -> Outcome:
    call = job.call
    manifest = call.manifest
    assert manifest is not None
    driver = ports.models.get(model.provider)
    if driver is None:
        return _failed(job, Failed(Fault("unavailable", f"No driver for provider {model.provider}.")))
    items = await _with_bodies(ports.log, job)
    controls = _controls(ports.controls, job)
    tools = [t for t in controls if t.name == "answer"] if manifest.final else [*controls, *_offered(job)]
    speaking = _speaking(ports, job, items)
    hear = speaking.hear if not job.is_specialist else None
    prompt = Prompt(job.agent.instructions, items, tuple(tools), manifest.output_tokens_max, hear)
    if _revoked(ports, job):
        return Outcome(call.id, call.step, call.target, cancelled=NOT_SENT)
    try:
        came = await driver.call(model, prompt)
    finally:
        await speaking.close()
        ports.spoken.over(job.session, call.id)
    return _failed(job, came) if isinstance(came, Failed) else await _model_outcome(ports, job, items, came)


async def _model_outcome(ports: Ports, job: Job, items: Sequence[Item], came: Came) -> Outcome:
    call = job.call
    moves = reply.as_moves(came.drafts)
    if not any(isinstance(d.body, ToolCall) for d in moves):
        return _failed(job, Failed(Fault("empty", "The reply held neither a call nor text."), came.usage))
    label = join([item.label for item in items])
    verdicts, checked = await _judged(ports.search, job, items, moves)
    drafts = tuple(Draft(body, label) for body in (*(d.body for d in moves), *((checked,) if checked is not None else ())))
    return Outcome(call.id, call.step, call.target, drafts, came.usage, verdicts, first_content_ms=came.first_content_ms)


def _speaking(ports: Ports, job: Job, items: Sequence[Item]) -> Speaking:
    """Says each sentence of the user's answer that its checks let pass, as long as no right was taken away since the grant."""
    label = join([item.label for item in items])
    evidence: dict[str, list[check.Evidence]] = {}

    async def judge(sentence: AnswerSentence) -> bool:
        if not evidence:
            evidence.update(await _evidence(ports.search, job, items))
        alone = AnswerArguments((sentence,))
        verdicts, _ = check.judge_answer(alone, evidence, None, must_cite=bool(job.folders))
        return any(v.subject == "s0" and v.status in ("pass", "abstain") for v in verdicts) and not _revoked(ports, job)

    return Speaking(judge, lambda text: ports.spoken.say(job.session, job.call.id, label, text))


async def _evidence(search: Search, job: Job, items: Sequence[Item]) -> dict[str, list[check.Evidence]]:
    """The documents that the items show or cite, by the name a citation would use."""
    evidence: dict[str, list[check.Evidence]] = {}
    for name, sources in check.known_sources(items).items():
        for source in sources:
            document = await search.document(job.tenant, source.folder, source.path, source.version)
            text = document.text if document is not None else _as_set(items, source)
            if text:
                evidence.setdefault(name, []).append(check.Evidence(source, text))
    return evidence


def _as_set(items: Sequence[Item], source: Source) -> str:
    """The text of a document version that somebody set in the place of what was recorded; empty for one nobody did."""
    bodies = (item.body for item in items if SET_BY in item.origin)
    shown = (b for b in bodies if isinstance(b, Passage) and Source(b.folder, b.source, b.version) == source)
    return "\n".join(body.text for body in shown)


def _typed(answer: ToolSpec, agent: AgentSpec) -> ToolSpec:
    """The answer tool with the schema of the agent's typed result, where it has one."""
    if agent.answer is None:
        return answer
    value = {name: part for name, part in agent.answer.items() if name != "$defs"}
    definitions = {**answer.parameters.get("$defs", {}), **agent.answer.get("$defs", {})}  # references count from the root
    properties = {**answer.parameters.get("properties", {}), "value": value}
    return msgspec.structs.replace(answer, parameters={**answer.parameters, "properties": properties, "$defs": definitions})


def _controls(controls: Sequence[ToolSpec], job: Job) -> list[ToolSpec]:
    """The moves this agent has: only who has specialists delegates, and a specialist asks nobody but its sources."""
    fitting = []
    for tool in controls:
        if tool.name == "answer":
            fitting.append(_typed(tool, job.agent))
        elif tool.name == plan.DELEGATE and job.agent.specialists:
            fitting.append(_naming(tool, job.agent.specialists))
        elif tool.name != plan.DELEGATE and not (tool.name == "ask_user" and job.is_specialist):
            fitting.append(tool)
    return fitting


def _naming(delegate: ToolSpec, specialists: Mapping[str, str]) -> ToolSpec:
    """The delegate tool with the specialists there are, a line each."""
    lines = [delegate.description, *(f"{name}: {description}" for name, description in specialists.items())]
    properties = {**delegate.parameters.get("properties", {}), "to": {"type": "string", "enum": list(specialists)}}
    return msgspec.structs.replace(
        delegate, description="\n".join(lines), parameters={**delegate.parameters, "properties": properties}
    )


def _offered(job: Job) -> list[ToolSpec]:
    """The agent's tools; without a folder there is nothing to search or read."""
    return [t for t in job.agent.tools if job.folders or t.name not in ("search", "read")]


async def _with_bodies(log: Log, job: Job) -> tuple[Item, ...]:
    missing = [item.hash for item in job.shown if item.body is None]
    bodies = await log.bodies(job.tenant, missing) if missing else {}
    whole = [
        msgspec.structs.replace(i, body=decode_body(bodies[i.hash])) if i.body is None and i.hash in bodies else i
        for i in job.shown
    ]
    return tuple(item for item in whole if item.body is not None)


async def _judged(
    search: Search, job: Job, items: Sequence[Item], moves: Sequence[Draft]
) -> tuple[tuple[Verdict, ...], Checked | None]:
    """The verdicts on the first answer among the moves; a reply without one is judged by its shape alone."""
    move = next((d.body for d in moves if isinstance(d.body, ToolCall) and d.body.name == "answer"), None)
    answer = reply.answer_of(move) if move is not None else None
    if answer is None:
        known = sum(isinstance(d.body, ToolCall) and d.body.name in CONTROL for d in moves)
        return (Verdict("shape", "reply", "pass", seen=f"{len(moves)} moves, {known} of control"),), None
    evidence = await _evidence(search, job, items)
    return check.judge_answer(answer, evidence, job.agent.answer, must_cite=bool(job.folders))


async def _tool(ports: Ports, job: Job) -> Outcome:
    call, move = job.call, job.move
    driver = ports.tools.get(call.target)
    if move is None or driver is None:
        return _failed(job, Failed(Fault("not_found", "Nothing by that name was found.")))
    request = ToolRequest(
        tool=call.target,
        arguments=move.arguments,
        key=call.key,
        tenant=job.tenant,
        principal=job.principal,
        folders=job.folders,
        agent=job.agent,
        purpose=call.purpose,
        done=_done(job, move),
    )
    if _revoked(ports, job) or lapsed(ports, job):
        return Outcome(call.id, call.step, call.target, cancelled=NOT_SENT)
    came = await driver.call(request)
    return _failed(job, came) if isinstance(came, Failed) else _tool_outcome(job, came)


def _done(job: Job, move: ToolCall) -> Done | None:
    if job.deed is None:
        return None
    result = next((item.body.value for item in job.deed.items if isinstance(item.body, Data)), None)
    return Done(job.deed.key, move.arguments, result)


def _tool_outcome(job: Job, came: Came) -> Outcome:
    call = job.call
    verdict = check.judge_result(came.drafts, sum(len(encode_body(d.body)) for d in came.drafts))
    if verdict.status != "pass":
        return _failed(job, Failed(Fault("too large", "The result is too large to be used."), unknown=_effect(job) != "read"))
    drafts = tuple(msgspec.structs.replace(d, answers=_answers(job), label=_tool_label(job, d)) for d in came.drafts)
    return Outcome(call.id, call.step, f"tool:{call.target}", drafts=drafts, verdicts=(verdict,), sources=came.sources)


def _tool_label(job: Job, draft: Draft) -> Label:
    """Documents carry their own label, whatever was asked for them; anything else derives from the call."""
    return _derived(job, draft.label) if isinstance(draft.body, Data) else draft.label


def _derived(job: Job, own: Label) -> Label:
    """The label of what a tool says: its own, its arguments', and the resource it touched."""
    tool = permit.tool_of(job.agent, job.call.target)
    touched = permit.resources(tool, job.move.arguments) if tool is not None and job.move is not None else ()
    resources = Label(tuple(Source("", resource, "") for resource in touched or ()))
    given = [item.label for item in (job.move_item, *(job.deed.items if job.deed is not None else ())) if item is not None]
    return join([own, resources, *given], "tool")
