"""The verbs of the command line as scripts use them: exit statuses, one JSON document, plain text, sentences of trouble."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.ends.command_line import CommandLine

from standpipe import wiring
from standpipe.core.events import Event, Frame, ItemsWithdrawn, RelationsChanged, TurnEnded
from standpipe.core.frames import items_of
from standpipe.engine.access import change
from standpipe.entrypoints import asking
from standpipe.entrypoints.options import Asking
from standpipe.errors import Refused
from standpipe.ports import Append, Hear, Log
from standpipe.settings import load

BONUS = "document:pay/bonus.md#reader@user:jonna"
RESTART = "How do I restart the intake pump?"
KEYS = {
    *("session", "turn", "outcome", "reason", "answer", "citations", "gaps", "conflicts", "cost_microusd", "tokens"),
    *("model_calls", "tool_calls", "elapsed_ms", "plan_epochs"),
}


def test_an_answer_is_one_json_document(standpipe: CommandLine, docs: Path) -> None:
    ran = standpipe("ask", RESTART, "--docs", docs, "--json")
    told = ran.json

    assert ran.status == 0
    assert set(told) == KEYS
    assert told["outcome"] == "completed" and told["gaps"] == [] and told["turn"] == "t1"
    assert "green button" in told["answer"]
    assert told["citations"][0].keys() == {"source", "version", "quote"}
    assert all(citation["quote"] in (docs / citation["source"]).read_text() for citation in told["citations"])
    assert all(isinstance(told[name], int) for name in KEYS if name.endswith(("_microusd", "_ms", "calls", "epochs")))
    assert told["model_calls"] >= 2 and told["tool_calls"] >= 1 and told["tokens"] > 0


def test_an_answer_is_plain_text_with_numbered_citations(standpipe: CommandLine, docs: Path) -> None:
    ran = standpipe("ask", RESTART, "--docs", docs)

    assert ran.status == 0
    assert not ran.err
    assert "green button" in ran.out and "[1] pumps/intake.md@" in ran.out
    assert all(f"\n{word}\n" in ran.out for word in ("citations", "gaps", "conflicts", "withdrawn", "cost"))
    assert "standpipe why last" in ran.out


def test_what_nothing_answers_is_partial(standpipe: CommandLine, docs: Path) -> None:
    ran = standpipe("ask", "Which colour has the hat of the mayor?", "--docs", docs, "--json")

    assert ran.status == 3
    assert ran.json["outcome"] == "partial"
    assert ran.json["gaps"] and not ran.json["citations"]


def test_a_session_is_listed_shown_and_proven(standpipe: CommandLine, docs: Path) -> None:
    session = standpipe("ask", RESTART, "--docs", docs, "--json").json["session"]
    rows = standpipe("sessions", "--json").json
    shown = standpipe("show", "last", "--json").json
    events = standpipe("log", session, "--json").json

    assert [(row["session"], row["state"], row["outcome"], row["principal"]) for row in rows] == [
        (session, "idle", "completed", "user:local")
    ]
    assert set(rows[0]) == {"session", "state", "outcome", "principal", "agent", "turns", "cost_microusd"}
    assert shown["session"] == session and shown["turns"][0]["plan"][0]["code"] == "first look"
    assert {call["state"] for call in shown["turns"][0]["calls"]} == {"done"}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert set(events[0]) == {"seq", "at", "kind", "by", "causes", "data"}
    assert (events[0]["kind"], events[-1]["kind"]) == ("SessionOpened", "MemoryKept")
    assert standpipe("replay", "last", "--json").json["divergences"] == []
    assert standpipe("verify", "--json").json == {"sessions": 1, "events": len(events), "violations": []}
    for verb in ("sessions", "show", "log", "replay", "verify", "why"):
        ran = standpipe(verb, *(["last"] if verb != "sessions" else []))
        assert ran.status == 0 and not ran.err and (session in ran.out or verb in ("log", "verify", "why"))


def test_a_session_goes_on_for_its_principal_only(standpipe: CommandLine, docs: Path) -> None:
    session = standpipe("ask", RESTART, "--docs", docs, "--as", "user:ana", "--json").json["session"]
    again = standpipe("ask", "Who is on duty for it?", "--as", "user:ana", "--session", "last", "--json").json
    other = standpipe("ask", RESTART, "--as", "user:ben", "--session", session)
    unknown = standpipe("ask", RESTART, "--as", "user:ben", "--session", "0" * 32)

    assert (again["session"], again["turn"]) == (session, "t2")
    assert other.status == unknown.status == 4
    assert other.trouble == unknown.trouble
    assert standpipe("sessions", "--json").json[0]["turns"] == 2


def test_relations_are_changed_checked_and_explained(standpipe: CommandLine, ruled: Path) -> None:
    bonus = "document:pay/bonus.md#reader@user:pell"
    refused = standpipe("access", "check", "user:pell", "document:pay/bonus.md", "--docs", ruled)
    granted = standpipe("access", "grant", bonus, "--json")
    again = standpipe("access", "grant", bonus, "--json")
    chain = standpipe("access", "explain", "user:pell", "document:pumps/intake.md", "--json")
    allowed = standpipe("access", "check", "user:pell", "document:pay/bonus.md", "--json")
    listed = standpipe("access", "list", "--json")
    revoked = standpipe("access", "revoke", bonus)
    nothing = standpipe("access", "revoke", bonus)

    assert refused.status == 4 and "is not reader" in refused.out
    assert granted.json["changed"] and granted.json["revision"] > 0
    assert again.status == 0 and again.json == {**granted.json, "changed": False}
    assert chain.json["chain"] == ["document:pumps/*#reader@group:crew#member", "group:crew#member@user:pell"]
    assert allowed.status == 0 and allowed.json == {"allowed": True, "revision": granted.json["revision"]}
    assert bonus in listed.json["relations"] and listed.json["revision"] == granted.json["revision"]
    assert revoked.status == 0 and f"at revision {granted.json['revision'] + 1}" in revoked.out
    assert nothing.status == 4 and "is not in force" in nothing.trouble
    assert "user:pell" in standpipe("access", "list").out


def test_changes_at_the_same_time_are_all_made(ruled: Path, tmp_path: Path) -> None:
    async def grant_all() -> tuple[list[int], list[str]]:
        async with wiring.open(store=f"sqlite:///{tmp_path}/standpipe.db") as house:
            folder = (await house.sync(ruled)).folder
            wanted = [
                RelationsChanged("local", folder, "command", granted=(f"document:pay/bonus.md#reader@user:u{n}",))
                for n in (*range(8), 0)
            ]
            done = await asyncio.gather(*(change(house.setup, one, "test") for one in wanted))
            return [one.revision for one in done], await house.ports.access.relations("local", folder)

    revisions, relations = asyncio.run(grant_all())

    assert len(set(revisions)) == 8, "granted twice is granted once"
    assert len([relation for relation in relations if "@user:u" in relation]) == 8


def test_where_a_relation_belongs_must_be_clear(standpipe: CommandLine, docs: Path, tmp_path: Path) -> None:
    relation = "document:pumps/*#reader@user:ana"
    other = tmp_path / "other"
    other.mkdir()
    (other / "page.md").write_text("# Page\n\nWords.\n")
    none = standpipe("access", "grant", relation)
    incident = standpipe("access", "grant", "incident:7#reader@user:ana")
    one = standpipe("access", "grant", relation, "--docs", docs)
    standpipe("access", "list", "--docs", other)
    two = standpipe("access", "grant", relation)

    assert none.status == 2 and "--docs" in none.trouble
    assert one.status == incident.status == 0
    assert two.status == 2 and "--docs" in two.trouble
    assert standpipe("access", "check", "user:ben", "incident:7").status == 4


def test_only_what_a_principal_may_see_now_is_shown_to_it(standpipe: CommandLine, ruled: Path) -> None:
    asked = standpipe("ask", "What is the bonus of the crew?", "--docs", ruled, "--as", "user:jonna", "--json").json
    assert "310 crowns" in asked["answer"]
    before = [standpipe(verb, "last", "--as", "user:jonna").out for verb in ("log", "show", "why")]
    assert "bonus.md" in "".join(before)

    standpipe("access", "revoke", "document:pay/bonus.md#reader@user:jonna")

    for verb in ("log", "show", "why"):
        for form in ((), ("--json",)):
            shown = standpipe(verb, "last", "--as", "user:jonna", *form)
            assert shown.status == 0 and "310 crowns" not in shown.out and "bonus.md" not in shown.out, (verb, form)
            assert "bonus" in standpipe(verb, "last", *form).out
    again = standpipe("ask", "What is the bonus of the crew?", "--as", "user:jonna", "--session", "last", "--json")
    assert again.status == 3 and "310 crowns" not in again.out


@pytest.mark.parametrize("verb", [("log",), ("log", "--follow"), ("show",), ("why",)])
def test_a_session_of_another_principal_is_shown_like_one_that_does_not_exist(
    standpipe: CommandLine, docs: Path, verb: tuple[str, ...]
) -> None:
    session = standpipe("ask", RESTART, "--docs", docs, "--as", "user:jonna", "--json").json["session"]
    told = [standpipe(*verb, name, "--as", "user:pell") for name in (session, "0" * 32, "last")]

    assert {(ran.status, ran.out, ran.err) for ran in told} == {(4, "", told[0].trouble + "\n")}
    assert session not in told[0].trouble
    standpipe("ask", RESTART, "--docs", docs, "--as", "user:pell")
    assert standpipe("show", "last", "--as", "user:jonna", "--json").json["session"] == session


class Late:
    """A log whose readers hear of a turn's end only when something else has happened since."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.first: Callable[[], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def listen(self, session: str, hear: Hear) -> Callable[[], None]:
        return self._log.listen(session, lambda _: hear(None))

    async def read(self, session: str, after: int = 0, *, bodies: bool = True) -> list[Frame]:
        frames = await self._log.read(session, after, bodies=bodies)
        ended = any(isinstance(event.fact, TurnEnded) for frame in frames for event in frame.events)
        if ended and self.first is not None:
            first, self.first = self.first, None
            await first()
        return frames


def test_an_answer_is_withheld_to_the_last_moment(ruled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def ask() -> None:
        kept = wiring.stores(f"sqlite:///{tmp_path}/standpipe.db")
        log = Late(kept.log)
        house = wiring.build(load({}), replace(kept, log=cast(Log, log)), (wiring.COORDINATOR,), {}, None)
        right = RelationsChanged("local", (await house.sync(ruled)).folder, "command", revoked=(BONUS,))

        async def revoke() -> None:
            await change(house.setup, right, "test")

        log.first = revoke
        try:
            await asking.ask(house, "What is the bonus of the crew?", Asking((ruled,), "user:jonna"), json=False)
        finally:
            await house.close()

    with pytest.raises(Refused, match="withheld"):
        asyncio.run(ask())
    assert not capsys.readouterr().out


def test_resume_goes_on_with_every_unfinished_turn(standpipe: CommandLine, docs: Path, tmp_path: Path) -> None:
    async def ask_and_leave() -> None:
        async with wiring.open(store=f"sqlite:///{tmp_path}/.standpipe/standpipe.db") as house:
            await house.ask(RESTART, docs=[docs])

    asyncio.run(ask_and_leave())
    assert standpipe("sessions", "--json").json[0]["state"] == "running"
    resumed = standpipe("resume")

    assert resumed.status == 0 and "completed" in resumed.out
    assert standpipe("sessions", "--json").json[0]["state"] == "idle"
    assert standpipe("resume", "--json").json == []
    assert standpipe("resume", "last").status == 0
    assert standpipe("verify").status == 0


def test_the_doctor_says_what_to_do(standpipe: CommandLine, docs: Path, tmp_path: Path) -> None:
    fresh = standpipe("doctor")
    assert fresh.status == 0 and "none yet" in fresh.out
    assert not (tmp_path / ".standpipe").exists()

    standpipe("access", "list", "--docs", docs)
    well = standpipe("doctor", "--json").json
    assert well["well"] and {finding["check"] for finding in well["checks"]} >= {
        "python",
        "sqlite",
        "policy",
        "store",
        "documents",
    }
    assert any("4 documents" in finding["found"] for finding in well["checks"])

    (tmp_path / "standpipe.toml").write_text("[routes.default]\nmodels = ['none']\n")
    (tmp_path / "broken.db").write_bytes(b"not a database" * 1000)
    ill = standpipe("doctor")
    broken = standpipe("doctor", "--policy", "/dev/null", "--store", "sqlite:///broken.db")
    unwritable = standpipe("doctor", "--policy", "/dev/null", "--store", "sqlite:///docs/pumps/intake.md/standpipe.db")
    assert ill.status == 4 and "standpipe.toml, line 2" in ill.out
    assert broken.status == 4 and "BAD store" in broken.out
    assert unwritable.status == 4 and "BAD store" in unwritable.out


# --- as processes ------------------------------------------------------------------------------------------------------


def test_help_needs_nothing_heavy() -> None:
    script = "import sys, standpipe.entrypoints.cli; print(*sorted(sys.modules))"
    loaded = set(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split())

    assert not loaded & {"apsw", "rich.live", "markdown_it", "jsonschema_rs", "standpipe.wiring", "standpipe.engine.house"}


def test_no_escapes_go_into_a_pipe_whatever_the_environment_says(standpipe: CommandLine, docs: Path) -> None:
    process = standpipe.start("ask", RESTART, "--docs", docs, FORCE_COLOR="1", TERM="xterm-256color", CLICOLOR_FORCE="1")
    out, err = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "\x1b" not in out and not err


def test_a_reader_that_leaves_is_no_trouble(standpipe: CommandLine, docs: Path) -> None:
    standpipe("ask", RESTART, "--docs", docs)
    for form in ((), ("--json",), ("--follow",)):
        process = standpipe.start("log", "last", *form)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()

        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 0
        process.stderr.close()


def test_following_a_log_prints_lines_until_it_is_interrupted(standpipe: CommandLine, ruled: Path) -> None:
    session = standpipe("ask", "What is the bonus of the crew?", "--docs", ruled, "--as", "user:jonna", "--json").json[
        "session"
    ]
    process = standpipe.start("log", "last", "--follow", "--json", "--as", "user:jonna")
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or kind(lines[-1]) != "MemoryKept":
        lines.append(process.stdout.readline())
    before = len(lines)
    standpipe("access", "revoke", BONUS)
    standpipe("ask", "Who is on duty for the drain pump?", "--as", "user:jonna", "--session", "last")
    asyncio.run(withdrawn(f"sqlite:///{standpipe.folder}/.standpipe/standpipe.db", session))
    while kind(lines[-1]) != "ItemsWithdrawn":
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert "310 crowns" in "".join(lines[:before]) and "Pell Osko" in "".join(lines[before:])
    assert "310 crowns" not in "".join(lines[before:]) and "bonus.md" not in "".join(lines[before:])
    assert json.loads(lines[-1])["data"]["sources"] == []
    assert process.returncode == 130 and not err


async def withdrawn(store: str, session: str) -> None:
    """The last event of a session: that its source of the bonus was withdrawn."""
    kept = wiring.stores(store)
    frames = await kept.log.read(session)
    labels = {item.label for frame in frames for event in frame.events for item in items_of(event)}
    [bonus] = {source for label in labels for source in label.sources if source.path == "pay/bonus.md"}
    seq = frames[-1].last_seq
    event = Event(seq + 1, "runtime", (seq,), ItemsWithdrawn(("6.0",), (bonus,), 2))
    await kept.log.append(Append(session, "local", 0, "test", "", expect_seq=seq, events=(event,)))
    assert kept.store is not None
    kept.store.close()


def kind(line: str) -> str:
    """What kind of event a line tells of."""
    return str(json.loads(line)["kind"])
