"""erase: what a session or an item held is shown to nobody and stored nowhere, and the log is as whole as before."""

from __future__ import annotations

from pathlib import Path

import apsw
from tests.ends.command_line import CommandLine

QUESTION = "How is the intake pump restarted in the Quillfeather cellar?"
GONE = "Quillfeather"


def stored(folder: Path) -> bytes:
    """Everything in the files of the store."""
    return b"".join(path.read_bytes() for path in (folder / ".standpipe").iterdir())


def asked(standpipe: CommandLine, question: str, docs: Path, *more: str) -> str:
    return str(standpipe("ask", question, "--docs", docs, "--json", *more).json["session"])


def item_of(standpipe: CommandLine, session: str, kind: str) -> str:
    """The last item of a kind."""
    items = [item for event in standpipe("log", session, "--json").json for item in event["data"].get("items", ())]
    return str([item["id"] for item in items if (item.get("body") or {}).get("type") == kind][-1])


def test_a_session_is_erased_and_the_log_stays_whole(docs: Path, standpipe: CommandLine) -> None:
    session = asked(standpipe, QUESTION, docs)
    other = asked(standpipe, "What is the pressure limit of the intake pump?", docs)
    assert GONE.encode() in stored(standpipe.folder)
    done = standpipe("erase", session, "--json").json
    assert (done["session"], done["item"]) == (session, "")
    assert done["items"] > 5 and done["bodies"] > 3
    assert GONE.encode() not in stored(standpipe.folder)

    verified = standpipe("verify", "--json").json
    assert verified["violations"] == [] and verified["erased"] == done["bodies"]
    assert f"{done['bodies']} of its bodies erased: no violation" in standpipe("verify", session).out
    assert "(erased)" in standpipe("show", session).out and GONE not in standpipe("show", session).out
    assert "(erased)" in standpipe("log", session).out and GONE not in standpipe("log", session).out
    why = standpipe("why", session)
    assert why.status == 0 and "erased" in why.out and GONE not in why.out
    assert standpipe("replay", session).status == 0
    events = standpipe("log", session, "--json").json
    assert (events[-1]["kind"], events[-1]["by"]) == ("ItemsErased", "operator")
    assert len(events[-1]["data"]["ids"]) == done["items"]
    assert "(erased)" not in standpipe("show", other).out
    assert standpipe("verify").status == 0


def test_what_another_session_holds_too_stays_until_that_is_erased_as_well(docs: Path, standpipe: CommandLine) -> None:
    first, second = asked(standpipe, QUESTION, docs), asked(standpipe, QUESTION, docs)
    done = standpipe("erase", first, "--json").json
    assert done["kept"] > 0 and GONE.encode() in stored(standpipe.folder)
    assert GONE not in standpipe("show", first).out and GONE in standpipe("show", second).out
    assert GONE not in standpipe("why", first).out + standpipe("log", first).out
    assert "stays, because other sessions hold the same" in standpipe("erase", first).out
    assert standpipe("erase", second, "--json").json["kept"] == 0
    assert GONE.encode() not in stored(standpipe.folder)
    assert standpipe("verify").status == 0


def test_an_item_is_erased_wherever_its_tenant_holds_the_same(docs: Path, standpipe: CommandLine) -> None:
    first, second = asked(standpipe, QUESTION, docs), asked(standpipe, QUESTION, docs)
    elsewhere = asked(standpipe, QUESTION, docs, "--tenant", "acme")
    question = "2.0"
    done = standpipe("erase", f"{first}/{question}", "--json").json
    assert (done["item"], done["items"], done["bodies"], done["kept"]) == (question, 2, 1, 0)
    for session in (first, second):
        assert "(erased)" in standpipe("show", session).out.splitlines()[3]
    assert "(erased)" not in standpipe("show", elsewhere).out
    assert standpipe("verify", "--json").json["violations"] == []
    assert standpipe("erase", f"{first}/{question}", "--json").json["items"] == 0


def test_an_erased_answer_is_remembered_no_more(docs: Path, standpipe: CommandLine) -> None:
    session = asked(standpipe, "How is the intake pump restarted?", docs)
    con = apsw.Connection(str(standpipe.folder / ".standpipe" / "standpipe.db"))

    def remembered() -> list[object]:
        shelf = "SELECT id FROM shelves WHERE folder = ''"
        tables = ("documents WHERE shelf IN", "postings WHERE shelf IN")
        return [row for table in tables for row in con.execute(f"SELECT 1 FROM {table} ({shelf})")]

    assert remembered()
    standpipe("erase", f"{session}/{item_of(standpipe, session, 'answer')}")
    assert not remembered()
    con.close()
    follow_up = standpipe("ask", "And what is its pressure limit?", "--session", session, "--json")
    assert "6 bar" in follow_up.json["answer"] or follow_up.json["gaps"]
    assert standpipe("verify").status == 0 and standpipe("replay", session).status == 0


def test_what_is_not_there_or_at_work_is_told(docs: Path, standpipe: CommandLine) -> None:
    assert standpipe("erase", "last").status == 4
    session = asked(standpipe, "How is the intake pump restarted?", docs)
    assert standpipe("erase", "nothing").status == 4
    missing = standpipe("erase", f"{session}/999.0")
    assert missing.status == 4 and "There is no item 999.0 in session" in missing.trouble
    con = apsw.Connection(str(standpipe.folder / ".standpipe" / "standpipe.db"))
    con.execute("UPDATE sessions SET row = json_set(row, '$.state', 'running') WHERE session = ?", (session,))
    con.close()
    ran = standpipe("erase", session)
    assert ran.status == 4 and "is at work: wait for its end or" in ran.trouble


def test_a_body_that_nobody_had_erased_is_missed(docs: Path, standpipe: CommandLine) -> None:
    session = asked(standpipe, QUESTION, docs)
    con = apsw.Connection(str(standpipe.folder / ".standpipe" / "standpipe.db"))
    con.execute("DELETE FROM bodies WHERE instr(CAST(body AS TEXT), ?)", (GONE,))
    con.close()
    ran = standpipe("verify", session, "--json")
    assert ran.status == 4 and "the body of item 2.0 is gone, and nobody had it erased" in ran.out
