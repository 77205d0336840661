"""What requests and responses look like, as types and as the OpenAPI document made from them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any, Literal

import msgspec

from standpipe.core.admit import QUESTION_BYTES_MAX
from standpipe.core.explain import Node
from standpipe.engine.approvals import Approval
from standpipe.entrypoints.http.auth import PRINCIPAL, PRINCIPAL_CHARS
from standpipe.entrypoints.http.problems import MEDIA_TYPE, Problem
from standpipe.entrypoints.http.streams import EVENT_STREAM, JSON

TEXT = "text/plain"
REQUEST_KEY = r"^[!-~]{1,200}$"
SEQ = r"^[0-9]{1,18}$"
PART = r"^[0-9A-Za-z./]{1,200}$"
VISIBLE = r"[^\s\x1c-\x1f\x85\ufeff]"
"""Something beside white space, in words that mean the same to every kind of regular expression."""


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request body."""


class NewSession(_Body, frozen=True):
    """A session to open; without `agent` it is the first one there is."""

    agent: str = ""


Amount = Annotated[float, msgspec.Meta(gt=0, lt=1e9)]


class NewTurn(_Body, frozen=True):
    """A message to the agent, and the most that its turn may cost and take. With `interrupt` the turn that runs is cancelled,
    instead of waited for."""

    question: Annotated[str, msgspec.Meta(pattern=VISIBLE, max_length=QUESTION_BYTES_MAX)]
    budget_usd: Amount | None = None
    deadline_s: Amount | None = None
    interrupt: bool = False


class Cancel(_Body, frozen=True):
    """Which turn shall end, that runs or waits; without `turn` the latest. `scope` is a specialist's call (`t2.st4.a1`) where
    that alone shall end, or `session` for all turns.

    Soft: nothing new begins, and it answers with what it has. Firm: models and reads are broken off, effects under way are
    waited for. Hard: after five seconds effects are let go of too, and told as unknown. A level is only ever raised.
    """

    turn: str = ""
    level: Literal["soft", "firm", "hard"] = "firm"
    scope: str = ""


class Decision(_Body, frozen=True):
    """Yes or no to an approval; with its `intent`, only to exactly that call."""

    session: str
    ask: str
    allow: bool
    intent: str = ""


class Session(msgspec.Struct, frozen=True):
    """A session."""

    session: str
    agent: str


class Cited(msgspec.Struct, frozen=True):
    """`quote` stands word for word in `version` of document `source`."""

    source: str
    version: str
    quote: str


class Side(Cited, frozen=True):
    """What one source says."""

    value: str


class Disagreement(msgspec.Struct, frozen=True):
    """Sources that give different values for the same thing."""

    about: str
    values: list[Side]


class Done(msgspec.Struct, frozen=True):
    """What a turn came to: the document of `ask --json`."""

    session: str
    turn: str
    outcome: Literal["completed", "partial", "failed", "cancelled", "parked"]
    reason: str
    answer: str
    citations: list[Cited]
    gaps: list[str]
    conflicts: list[Disagreement]
    cost_microusd: int
    tokens: int
    model_calls: int
    tool_calls: int
    elapsed_ms: int
    plan_epochs: int


class Cancelling(msgspec.Struct, frozen=True):
    """The turn that will end, or the part of the session that `scope` says."""

    session: str
    turn: str
    scope: str


class Why(msgspec.Struct, frozen=True):
    """What led to an answer or to a part of it: a tree each."""

    session: str
    nodes: list[Node]


class Approvals(msgspec.Struct, frozen=True):
    """What waits for a yes or no of the principal."""

    approvals: list[Approval]


class Decided(msgspec.Struct, frozen=True):
    """What was said to an approval."""

    session: str
    ask: str
    allow: bool


class Health(msgspec.Struct, frozen=True):
    """Whether the server can do its work, and how many sessions it drives at the moment."""

    status: Literal["ok"]
    store: Literal["ok"]
    running: int


TYPES = (NewSession, NewTurn, Cancel, Decision, Session, Done, Cancelling, Why, Approvals, Decided, Health, Problem)


def openapi(*, keyed: bool) -> bytes:
    """The OpenAPI document; `keyed` says whether callers need a key or name their principal themselves."""
    _, components = msgspec.json.schema_components(TYPES, ref_template="#/components/schemas/{name}")
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Standpipe", "version": version("standpipe")},
        "paths": _paths(keyed),
        "components": {"schemas": components},
    }
    if keyed:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    return msgspec.json.encode(document)


def _paths(keyed: bool) -> dict[str, Any]:
    session = _given("path", "id", "The session's id.")
    after = _given("query", "after", "Events after this seq.", SEQ)
    last = _given("header", "Last-Event-ID", "Instead of `after`: the last event seen.", SEQ)
    key = _given("header", "Idempotency-Key", "A repeated request with the same key is one request.", REQUEST_KEY)
    of = _given("query", "of", "An item (17.0), step (st4, t1.st4), call or sentence (s1); else the last answer.", PART)
    paths: dict[str, dict[str, Any]] = {
        "/v1/sessions": {"post": _operation("openSession", {201: Session}, NewSession, key)},
        "/v1/sessions/{id}/turns": {"post": _operation("ask", {200: Done}, NewTurn, session, key, text=EVENT_STREAM)},
        "/v1/sessions/{id}/events": {"get": _operation("events", {200: None}, None, session, after, last, text=EVENT_STREAM)},
        "/v1/sessions/{id}/cancel": {"post": _operation("cancel", {202: Cancelling}, Cancel, session, key)},
        "/v1/sessions/{id}/why": {"get": _operation("why", {200: Why}, None, session, of)},
        "/v1/approvals": {
            "get": _operation("approvals", {200: Approvals}, None),
            "post": _operation("decide", {200: Decided}, Decision, key),
        },
        "/v1/health": {"get": _operation("health", {200: Health}, None)},
        "/metrics": {"get": _operation("metrics", {200: None}, None, text=TEXT)},
    }
    opened = paths["/v1/sessions"]["post"]["responses"]["201"]
    id = {"id": "$response.body#/session"}
    opened["links"] = {name: {"operationId": name, "parameters": id} for name in ("ask", "events", "cancel", "why")}
    if not keyed:
        principal = _given("header", "X-Principal", "On whose behalf; without it user:local.", PRINCIPAL)
        principal["schema"] |= {"minLength": PRINCIPAL_CHARS[0], "maxLength": PRINCIPAL_CHARS[1]}
        for operation in (o for path in paths.values() for o in path.values()):
            operation["parameters"].append(principal)
    return paths


def _operation(name: str, done: dict[int, Any], body: Any, *given: dict[str, Any], text: str = "") -> dict[str, Any]:
    """One operation: what it answers by status, as a document or as `text` of some kind, and what it takes; any problem is a
    problem document."""
    responses: dict[str, Any] = {"default": {"description": "A problem.", "content": {MEDIA_TYPE: _ref(Problem)}}}
    for status, type in done.items():
        content = {JSON: _ref(type)} if type is not None else {}
        if text:
            content[text] = {"schema": {"type": "string"}}
        responses[str(status)] = {"description": "Done.", "content": content}
    operation: dict[str, Any] = {"operationId": name, "parameters": list(given), "responses": responses}
    if body is not None:
        needed = any(field.required for field in msgspec.structs.fields(body))
        operation["requestBody"] = {"required": needed, "content": {JSON: _ref(body)}}
    return operation


def _ref(type: Any) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{type.__name__}"}}


def _given(where: str, name: str, description: str, pattern: str = "") -> dict[str, Any]:
    schema = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return {"name": name, "in": where, "required": where == "path", "description": description, "schema": schema}
