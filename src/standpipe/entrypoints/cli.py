"""The command line: its verbs and options, and what each exit status means. Heavy parts load when a verb needs them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.argument import Argument
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from standpipe.entrypoints.exits import CANCELLED, DONE, USAGE, of_error
from standpipe.entrypoints.options import (
    APPROVING,
    ASKING,
    COMMON,
    STOPPING,
    WHERE,
    AnySession,
    Approving,
    As,
    Asking,
    Common,
    DemoFault,
    Flag,
    Session,
    SimulationMode,
    Stopping,
    Where,
)
from standpipe.entrypoints.output import prepare, trouble
from standpipe.errors import StandpipeError

app = App(
    name="standpipe",
    help="A runtime for AI agents in production: durable, budgeted, permission-checked, explainable.",
    version=lambda: version("standpipe"),
    suppress_keyboard_interrupt=False,
)
DOCS = Parameter(negative=(), show_default=False)
relations = App(name="access", help="Relations: who may read what. Each answers with a revision.")
app.command(relations)


def main(tokens: Sequence[str] | None = None) -> None:
    """Run one verb and leave with its exit status."""
    sys.exit(run(sys.argv[1:] if tokens is None else tokens))


def run(tokens: Sequence[str]) -> int:
    """One verb: 0 done, 2 usage, 3 partial, 4 refused, failed or not found, 5 parked, 130 cancelled."""
    prepare()
    try:
        status = app(list(tokens), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        trouble(_usage(error))
        return USAGE
    except StandpipeError as error:
        trouble(str(error))
        return of_error(error)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return CANCELLED
    return status if isinstance(status, int) else DONE


def _usage(error: CycloptsError) -> str:
    """What is wrong with the command line, in one sentence that says where to look."""
    verb = " ".join(["standpipe", *(error.command_chain or ())])
    match error:
        case UnknownCommandError(unused_tokens=[unknown, *_]):
            return f"There is no verb `{unknown}`: `{verb} --help` lists those there are."
        case UnknownOptionError(token=token):
            what = f"There is no option `{token.keyword or token.value}`"
        case UnusedCliTokensError(unused_tokens=[*extra]):
            what = f"`{' '.join(extra)}` is too much: put quotes around what belongs together"
        case MissingArgumentError(argument=Argument(name=name)):
            what = f"{name} needs a value"
        case CoercionError(token=token) if token is not None:
            what = f"`{token.value}` is no value for `{token.keyword or token.value}`"
        case RepeatArgumentError(token=token):
            what = f"`{token.keyword}` is given twice"
        case _:
            what = str(error).replace(". ", ", ").rstrip(".")
    return f"{what}; see `{verb} --help`."


def _with_house(common: Common, verb: Callable[[Any], Coroutine[Any, Any, int]]) -> int:
    """Run a verb on the open house that the common options name."""
    from standpipe import wiring

    async def opened() -> int:
        async with wiring.open(common.policy, store=common.store) as house:
            return await verb(house)

    return asyncio.run(opened())


@app.command
def ask(question: str, /, *, how: Asking = ASKING, common: Common = COMMON) -> int:
    """Ask a question; the answer cites its sources. Ctrl-C cancels.

    Parameters
    ----------
    question
        What you want to know.
    """
    from standpipe.entrypoints import asking

    return _with_house(common, lambda house: asking.ask(house, question, how, json=common.json))


@app.command
def demo(*, fault: Annotated[tuple[DemoFault, ...], Parameter(negative=())] = (), common: Common = COMMON) -> int:
    """Tell the runbook story on the sample documents that come along.

    Parameters
    ----------
    fault
        What goes off on the way; may be given several times. Without it everything does.
    """
    from standpipe.entrypoints import demo as telling

    return asyncio.run(telling.demo(common, fault))


@app.command
def resume(session: AnySession = None, /, *, common: Common = COMMON) -> int:
    """Go on with every unfinished turn, or with that of one session."""
    from standpipe.entrypoints import asking

    return _with_house(common, lambda house: asking.resume(house, session, json=common.json))


@app.command
def cancel(session: Session, /, *, how: Stopping = STOPPING, common: Common = COMMON) -> int:
    """Have the turns of a session end, one of them, or one specialist; waits until they have."""
    from standpipe.entrypoints import stopping

    return _with_house(common, lambda house: stopping.cancel(house, session, how, json=common.json))


@app.command
def approve(session: AnySession = None, ask: str = "", /, *, how: Approving = APPROVING, common: Common = COMMON) -> int:
    """Say yes to a tool call that waits for it, or no; without ASK, list what waits.

    Parameters
    ----------
    ask
        Which, as the list names it (t1.st2).
    """
    from standpipe.entrypoints import approving

    return _with_house(common, lambda house: approving.approve(house, session, ask, how, json=common.json))


@app.command
def serve(
    *, host: str = "127.0.0.1", port: int = 8000, docs: Annotated[tuple[Path, ...], DOCS] = (), common: Common = COMMON
) -> int:
    """Serve sessions over HTTP, and go on with every unfinished turn. Ctrl-C or SIGTERM ends it.

    Parameters
    ----------
    host
        The address to serve on; another than of this machine alone needs keys in [auth] of the policy file.
    port
        The port; 0 takes any that is free.
    docs
        A folder of documents that new sessions search; may be given several times.
    """
    from standpipe.entrypoints.http import serving
    from standpipe.settings import load

    keys = load(common.policy).keys
    return _with_house(common, lambda house: serving.serve(house, keys, (host, port), docs, json=common.json))


@app.command
def sessions(*, common: Common = COMMON) -> int:
    """List the sessions, the one written to last first."""
    from standpipe.entrypoints import sessions as listing

    return _with_house(common, lambda house: listing.sessions(house, json=common.json))


@app.command
def log(session: Session, /, *, follow: Flag = False, as_: As = None, common: Common = COMMON) -> int:
    """Show the events of a session.

    Parameters
    ----------
    follow
        Go on with new events as they are written, a line each, until Ctrl-C.
    """
    from standpipe.entrypoints import sessions as listing

    return _with_house(common, lambda house: listing.log(house, session, as_, json=common.json, on=follow))


@app.command
def show(session: Session, /, *, as_: As = None, common: Common = COMMON) -> int:
    """Show plan, calls and cost of a session."""
    from standpipe.entrypoints import sessions as listing

    return _with_house(common, lambda house: listing.show(house, session, as_, json=common.json))


@app.command
def why(session: Session, /, *, of: str | None = None, as_: As = None, common: Common = COMMON) -> int:
    """Show what led to the answer, or to one part of it.

    Parameters
    ----------
    of
        An item (17.0), a step (st4, t1.st4) or a sentence (s1).
    """
    from standpipe.entrypoints import causes

    return _with_house(common, lambda house: causes.why(house, session, of, as_, json=common.json))


@app.command
def fork(
    session: Session,
    /,
    *,
    at: int | None = None,
    set: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    common: Common = COMMON,
) -> int:
    """Branch a session at a frame of its log, and run on from there.

    What changed the world is not done again, and anything else that would waits for a person. Only what follows is paid for.

    Parameters
    ----------
    at
        The last seq that is shared, or any of its frame; without it where --set says, or the end.
    set
        SEQ=FILE: put the JSON in FILE in the place of the outcome at SEQ; may be given several times.
    """
    from standpipe.entrypoints import forking

    return _with_house(common, lambda house: forking.fork(house, session, at, set, json=common.json))


@app.command
def diff(a: Session, b: Session, /, *, as_: As = None, common: Common = COMMON) -> int:
    """Show where two sessions tell different stories, the first divergence first."""
    from standpipe.entrypoints import forking

    return _with_house(common, lambda house: forking.diff(house, (a, b), as_, json=common.json))


@app.command
def replay(session: Session, /, *, common: Common = COMMON) -> int:
    """Decide a session again from its log, and report any divergence."""
    from standpipe.entrypoints import proof

    return _with_house(common, lambda house: proof.replay(house, session, json=common.json))


@app.command
def verify(session: AnySession = None, /, *, common: Common = COMMON) -> int:
    """Check that the log is whole and that every invariant holds."""
    from standpipe.entrypoints import proof

    return _with_house(common, lambda house: proof.verify(house, session, json=common.json))


@app.command
def erase(what: str, /, *, common: Common = COMMON) -> int:
    """Erase what a session holds, or one item of it and the same content wherever its tenant has it. The log stays whole.

    Parameters
    ----------
    what
        A session's id or `last`, or with an item behind it (last/17.0, as `standpipe log` names it).
    """
    from standpipe.entrypoints import erasing

    return _with_house(common, lambda house: erasing.erase(house, what, json=common.json))


@app.command
def doctor(*, common: Common = COMMON) -> int:
    """Check what Standpipe needs on this machine, and say what to do."""
    from standpipe.entrypoints import doctor as checks

    return asyncio.run(checks.doctor(common))


@app.command
def simulate(
    *,
    seeds: int = 300,
    from_: Annotated[int, Parameter(name="--from")] = 0,
    seed: int | None = None,
    mode: SimulationMode | None = None,
    json: Flag = False,
) -> int:
    """Live through random worlds under faults, and check that every promise holds.

    Parameters
    ----------
    seeds
        How many; 300 or more must come by every kind of fault and every ending.
    from_
        The first of them.
    seed
        This one alone.
    mode
        Faults for ever (safety), or faults that stop, and then everything must end (liveness); without it seeds take turns.
    json
        JSON, a line each; the last is the report.
    """
    from standpipe.entrypoints import simulating

    return simulating.simulate(seeds, from_, seed, mode, json=json)


@relations.command
def grant(relation: str, /, *, where: Where = WHERE, common: Common = COMMON) -> int:
    """Grant a relation, as in document:hr/*#reader@group:hr#member, `... until 2026-12-01T00:00Z` if it ends, or put a
    definition in force, as in document#reader = viewer & employee - blocked."""
    from standpipe.entrypoints import access

    return _with_house(common, lambda house: access.grant(house, relation, where, json=common.json))


@relations.command
def revoke(relation: str, /, *, where: Where = WHERE, common: Common = COMMON) -> int:
    """Revoke a relation, as it stands in `access list`."""
    from standpipe.entrypoints import access

    return _with_house(common, lambda house: access.revoke(house, relation, where, json=common.json))


@relations.command
def check(principal: str, object: str, /, *, relation: str = "reader", where: Where = WHERE, common: Common = COMMON) -> int:
    """Say whether a principal (user:ana) may read an object (document:hr/plan.md)."""
    from standpipe.entrypoints import access

    asked = access.Asked(principal, object, relation)
    return _with_house(common, lambda house: access.check(house, asked, where, json=common.json))


@relations.command(name="list")
def list_(*, as_: As = None, where: Where = WHERE, common: Common = COMMON) -> int:
    """List the relations in force, or with --as PRINCIPAL the documents that this principal may read."""
    from standpipe.entrypoints import access

    if as_ is not None:
        return _with_house(common, lambda house: access.documents(house, as_, where, json=common.json))
    return _with_house(common, lambda house: access.listed(house, where, json=common.json))


@relations.command
def explain(principal: str, object: str, /, *, relation: str = "reader", where: Where = WHERE, common: Common = COMMON) -> int:
    """Show why a principal may read an object or not: the chain of relations that grants it, or what excludes it."""
    from standpipe.entrypoints import access

    asked = access.Asked(principal, object, relation)
    return _with_house(common, lambda house: access.explained(house, asked, where, json=common.json))
