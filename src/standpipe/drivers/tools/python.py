"""Tools that are async Python functions: what the decorator makes of one, and how a call reaches it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypedDict, Unpack, get_type_hints

import msgspec

from standpipe.core.details import ABSENT, ASK, UNDO, Fault
from standpipe.core.items import Data, Draft, Label
from standpipe.core.tools import ToolSpec
from standpipe.ports import Failed, Reply, ToolRequest


class Happened(msgspec.Struct, frozen=True):
    """What `reconcile` says of a key whose effect is there: with the result that the call would have had."""

    result: Any = None


class DidNotHappen(msgspec.Struct, frozen=True):
    """What `reconcile` says of a key whose effect is not there, and will not be if nobody calls the tool again."""


KEY = "idempotency_key"
"""A parameter of this name is not the model's to fill: it gets the key, the same for every attempt of one intent."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool: what a model is told of it, and the async function that is called with its arguments as keywords.

    `parameters` is a JSON Schema; `effect` is "read", "write" or "irreversible" (which asks a person first); `resource`
    names what a call touches ("incident:{id}") and is checked for the principal; `idempotent` says that the same
    `idempotency_key` twice acts once; `approval` asks a person first; a call may take `timeout_s`.

    `reconcile(key)` is asked what came of a call whose outcome is in doubt: it answers Happened, DidNotHappen, or anything else
    if it does not know, and changes nothing. `compensate(done)` takes back what was `done` when a turn fails or is cancelled;
    it may be called again for the same, and if it has a parameter `idempotency_key`, that is its own.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    call: Callable[..., Awaitable[Any]]
    effect: str = "read"
    resource: str = ""
    idempotent: bool = False
    timeout_s: float = 30.0
    approval: bool = False
    reconcile: Callable[[str], Awaitable[Any]] | None = None
    compensate: Callable[..., Awaitable[Any]] | None = None

    def __post_init__(self) -> None:
        if self.effect not in ("read", "write", "irreversible"):
            raise ValueError(f"tool {self.name}: effect is {self.effect!r}; it is read, write or irreversible")
        for name, function in (("function", self.call), ("reconcile", self.reconcile), ("compensate", self.compensate)):
            if function is not None and not inspect.iscoroutinefunction(function):
                raise TypeError(f"tool {self.name}: its {name} must be async")
        if self.effect == "read" and (self.reconcile or self.compensate):
            raise ValueError(f"tool {self.name}: it only reads, so there is nothing to reconcile or to compensate")
        if self.effect == "irreversible" and self.compensate:
            raise ValueError(f"tool {self.name}: what is irreversible cannot be compensated; declare it a write")

    @property
    def spec(self) -> ToolSpec:
        """The tool as rules and models see it."""
        return ToolSpec(
            name=self.name,
            description=self.description,
            parameters=self.parameters,
            effect=self.effect,
            resource=self.resource,
            idempotent=self.idempotent,
            approval=self.approval,
            timeout_ms=max(1, round(self.timeout_s * 1000)),
            reconcile=self.reconcile is not None,
            compensate=self.compensate is not None,
        )


class ToolOptions(TypedDict, total=False):
    """What `tool` can be told beside the function."""

    name: str
    description: str
    effect: str
    resource: str
    idempotent: bool
    timeout_s: float
    approval: bool
    reconcile: Callable[[str], Awaitable[Any]]
    compensate: Callable[..., Awaitable[Any]]


def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[..., Awaitable[Any]]], Tool]:
    """Make a Tool of an async function: its name, docstring and annotated parameters say what a model is told.

    Raises TypeError for a function that is not async or whose parameters have no JSON form.
    """

    def made(function: Callable[..., Awaitable[Any]]) -> Tool:
        arguments = arguments_of(function)

        @functools.wraps(function)
        async def called(**given: Any) -> Any:
            key = {KEY: given.pop(KEY)} if KEY in given else {}
            typed = msgspec.convert(given, arguments)
            return await function(**{name: getattr(typed, name) for name in typed.__struct_fields__}, **key)

        named: dict[str, Any] = {"name": function.__name__, "description": inspect.getdoc(function) or function.__name__}
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"tool {function.__name__}: its function must be async")
        return Tool(parameters=plain_schema(arguments), call=called, **{**named, **options})

    return made


def arguments_of(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """A type with a field for each parameter of a function; the idempotency key is not one of them."""
    hints = get_type_hints(function)
    fields: list[Any] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"tool {function.__name__}: parameter {name} has no name that a model could fill")
        if name != KEY:
            kind = hints.get(name, Any)
            fields.append((name, kind) if parameter.default is parameter.empty else (name, kind, parameter.default))
    return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)


def plain_schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type as one object, with its definitions beside it."""
    (schema,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    name = schema["$ref"].rsplit("/", 1)[1] if "$ref" in schema else ""
    top = dict(definitions.pop(name)) if name else dict(schema)
    top.pop("title", None)
    return {**top, "$defs": definitions} if definitions else top


class PythonTools:
    """The Tools port over functions in this process."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = dict(tools)
        self._keyed = {name for name, tool in tools.items() if KEY in inspect.signature(tool.call).parameters}

    async def call(self, request: ToolRequest) -> Reply | Failed:
        """Call the function; what it raises is a failure whose words only those see who may see the arguments."""
        tool = self._tools[request.tool]
        try:
            came = await self._called(tool, request)
            if isinstance(came, Failed):
                return came
            value = msgspec.json.decode(msgspec.json.encode(came))
        except Exception as error:
            retryable = isinstance(error, OSError | TimeoutError)
            fault = Fault("error", f"It raised {type(error).__name__}.", retryable=retryable)
            told = f"{type(error).__name__}: {error}"[:2_000] if not request.purpose else ""
            return Failed(fault, unknown=tool.effect != "read", told=told)
        return Reply((Draft(Data(value), Label(integrity="tool")),))

    async def _called(self, tool: Tool, request: ToolRequest) -> Any:
        if request.purpose == UNDO:
            assert tool.compensate is not None, "the rules let only what can be taken back be taken back"
            own = {KEY: request.key} if KEY in inspect.signature(tool.compensate).parameters else {}
            return await tool.compensate(request.done, **own)
        if request.purpose == ASK:
            assert tool.reconcile is not None, "the rules let only those be asked that can be"
            said = await tool.reconcile(request.key)
            if isinstance(said, DidNotHappen):
                return Failed(Fault(ABSENT, "It did not happen."))
            unclear = Failed(Fault("unclear", "It is not known whether it happened."), unknown=True)
            return said.result if isinstance(said, Happened) else unclear
        arguments = dict(request.arguments)
        if request.tool in self._keyed:
            arguments[KEY] = request.key
        return await tool.call(**arguments)
