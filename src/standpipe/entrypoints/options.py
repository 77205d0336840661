"""The options that verbs share, as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

USER = "user:local"
TENANT = "local"

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """What every verb takes."""

    json: Flag = False
    """One JSON document on stdout."""
    policy: Path | None = None
    """The policy file; without it standpipe.toml of the working folder, if there is one."""
    store: str | None = None
    """Where sessions are kept, as in sqlite:///PATH; without it what the policy says."""


@Parameter(name="*")
@dataclass(frozen=True)
class Asking:
    """How to ask."""

    docs: Annotated[tuple[Path, ...], Parameter(negative=(), show_default=False)] = ()
    """A folder of documents to answer from; may be given several times."""
    as_: Annotated[str, Parameter(name="--as")] = USER
    """On whose behalf, as in user:ana."""
    tenant: str = TENANT
    """Who pays."""
    budget: float | None = None
    """The most it may cost, in US dollars."""
    deadline: float | None = None
    """The most it may take, in seconds."""
    session: str | None = None
    """Go on with this session; `last` is the principal's latest."""
    interrupt: Flag = False
    """Cancel the turn of this session that runs, instead of waiting for its end."""


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Whose relations, and of which folder."""

    docs: Path | None = None
    """The folder of documents it is about; needed where several were indexed."""
    tenant: str = TENANT
    """Whose relations."""


@Parameter(name="*")
@dataclass(frozen=True)
class Stopping:
    """What shall stop, and how."""

    turn: str = ""
    """Only this turn, which runs or waits, as in t2; without it, and without a scope, all turns of the session."""
    level: Literal["soft", "firm", "hard"] = "firm"
    """Soft: nothing new begins, and it answers with what it has. Firm: models and reads are broken off, effects under way are
    waited for. Hard: after five seconds effects are let go of too, and told as unknown."""
    scope: str = ""
    """Only this specialist, by its call, as in t2.st4.a1."""


@Parameter(name="*")
@dataclass(frozen=True)
class Approving:
    """What is said to an approval."""

    no: Flag = False
    """Deny it."""
    intent: str = ""
    """Only if it is for exactly this call, as the list names it."""


DemoFault = Literal["model-down", "agent-hangs", "right-withdrawn", "none"]
"""What can go off in the demo."""
SimulationMode = Literal["safety", "liveness"]
"""Faults strike for ever, or stop after a while."""

COMMON, ASKING, WHERE, STOPPING, APPROVING = Common(), Asking(), Where(), Stopping(), Approving()

Session = Annotated[str, Parameter(help="The session's id, or `last`.")]
AnySession = Annotated[str | None, Parameter(help="The session's id, or `last`; without it all of them.")]
As = Annotated[str | None, Parameter(name="--as", help="Show what this principal may see now; without it everything.")]
