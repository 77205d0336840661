"""An agent whose tools change the world in every way there is, driven by hand."""

from __future__ import annotations

from msgspec.structs import replace
from tests.core.desk import PRICED, Desk, call_of, policy

from standpipe.core.admit import Cancel
from standpipe.core.details import ABSENT, NOT_SENT, Fault, Verdict
from standpipe.core.events import CallCancelled, CallGranted, StepEnded, TurnEnded
from standpipe.core.items import Body, Data
from standpipe.core.tools import AgentSpec, ToolSpec

ANY = {"type": "object"}
LOOK = ToolSpec("look", "Reads.", ANY, timeout_ms=5_000)
NOTE = ToolSpec("note", "Writes.", ANY, effect="write", timeout_ms=5_000)
PUT = ToolSpec("put", "Writes once per key.", ANY, effect="write", idempotent=True, timeout_ms=5_000)
PAY = ToolSpec("pay", "Pays; can be asked.", ANY, effect="write", reconcile=True, timeout_ms=5_000)
BOOK = ToolSpec("book", "Books; can be taken back.", ANY, effect="write", compensate=True, timeout_ms=5_000)
SHIP = ToolSpec("ship", "Both.", ANY, effect="write", reconcile=True, compensate=True, timeout_ms=5_000)
SIGN = ToolSpec("sign", "Asks a person.", ANY, effect="write", approval=True, timeout_ms=5_000)
DOER = AgentSpec("doer", "Do it.", (LOOK, NOTE, PUT, PAY, BOOK, SHIP, SIGN))

BROKEN = Fault("error", "It raised RuntimeError.")
SHAKY = Fault("error", "It raised ConnectionError.", retryable=True)
GONE = Fault(ABSENT, "It did not happen.")
UNCLEAR = Fault("unclear", "It is not known whether it happened.")

ANSWER = call_of("answer", sentences=[{"text": "It is done."}])
PASSED = (Verdict("citation", "s0", "abstain"),)
DOWN = Fault("unavailable")


def doing(*names: str, **limits: int) -> Desk:
    """A turn whose model has called these tools, each with arguments of its own; their calls are open."""
    desk = Desk(DOER, policy=policy(PRICED, **limits)).ask()
    return desk.came(*(call_of(name, n=n) for n, name in enumerate(names)))


def without(desk: Desk, *names: str, **changed: ToolSpec) -> Desk:
    """The program has changed: these tools are gone, those are others now."""
    tools = tuple(changed.get(t.name, t) for t in desk.agent.tools if t.name not in names)
    desk.agent = replace(desk.agent, tools=tools)
    desk.agents = {**desk.agents, desk.agent.name: desk.agent}
    return desk


def calls(desk: Desk) -> list[tuple[str, str, str]]:
    """Every call of a tool so far: its target, its purpose, its key."""
    return [(g.target, g.purpose, g.key) for g in desk.facts(CallGranted) if g.route is None]


def kinds(desk: Desk) -> list[tuple[str, str]]:
    """Every call of a tool so far: its target and its purpose."""
    return [(target, purpose) for target, purpose, _ in calls(desk)]


def ended(desk: Desk) -> dict[str, str]:
    """How the steps that are no model's ended."""
    models = {g.step for g in desk.facts(CallGranted) if g.route is not None}
    return {s.step: s.outcome for s in desk.facts(StepEnded) if s.step not in models}


def over(desk: Desk) -> TurnEnded:
    """How the turn ended."""
    return desk.facts(TurnEnded)[-1]


def later(desk: Desk, ms: int) -> Desk:
    """Time passes, and what follows from it is decided."""
    desk.now += ms
    return desk.run()


def cancelled(desk: Desk) -> Desk:
    """Somebody wants the turn to end at once, and calls under way are given up or come to their end."""
    assert isinstance(desk.admit(Cancel(f"c{desk.state.seq}", "acme", "user:ana", desk.turn.id, "user")), list)
    return desk.run()


def unsent(desk: Desk) -> Desk:
    """The oldest open call was not sent, since rights had changed."""
    return desk.add(CallCancelled(desk.open()[0].id, NOT_SENT)).run()


def result(value: object = "ok") -> Body:
    """What a tool brings."""
    return Data(value)


def done(*names: str, **limits: int) -> Desk:
    """A turn in which these tools did what they do; the model is asked what comes next."""
    desk = doing(*names, **limits)
    for n in range(len(names)):
        desk.came(result(n))
    return desk


def failed(desk: Desk) -> Desk:
    """No model can go on, and the turn is to fail."""
    for _ in range(20):
        if desk.state.turn is None or not desk.open() or desk.open()[0].route is None:
            break
        desk.broke(DOWN)
    return desk


def specialised(*moves: str) -> Desk:
    """A coordinator whose specialist did these; its next model call is open."""
    clerk = replace(DOER, name="clerk")
    lead = replace(DOER, name="lead", specialists={"clerk": "Does things."})
    desk = Desk(lead, policy=policy(PRICED))
    desk.agents["clerk"] = clerk
    desk.ask().came(call_of("delegate", to="clerk", task="Do it."))
    desk.came(*(call_of(name, n=n) for n, name in enumerate(moves)))
    for n in range(len(moves)):
        desk.came(result(n))
    return desk
