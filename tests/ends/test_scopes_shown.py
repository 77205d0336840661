"""What people see of specialists: under the step that delegated, with every attempt, and with budgets counted once."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import msgspec
import pytest
from rich.console import Console
from tests.ends.scopes_told import INNER, NOW, TURN, Told, continued, heard, two_specialists

from standpipe import wiring
from standpipe.core.amounts import Amounts, Limits
from standpipe.core.details import Permit, Step, Why
from standpipe.core.events import (
    CallGranted,
    CallRefused,
    Event,
    PlanPatched,
    RelationsChanged,
    StepEnded,
    TurnRequested,
    TurnStarted,
)
from standpipe.core.items import Text, ToolCall
from standpipe.engine.access import change
from standpipe.engine.house import House
from standpipe.entrypoints.live import STEPS_MAX, picture
from standpipe.entrypoints.output import say_entry
from standpipe.entrypoints.sessions import log, show
from standpipe.entrypoints.story import Story
from standpipe.ports import Append, Appended, SessionRow


def drawn(story: Story, now: int = 3_000) -> list[str]:
    """The lines of its picture."""
    console = Console(file=io.StringIO(), width=100)
    console.print(picture(story, now))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_who_reads_along_hears_of_specialists_under_the_step_that_delegated() -> None:
    _, lines = heard(continued(two_specialists()))

    assert lines == [
        "plan 1 (next)",
        "  + st1 plan",
        "st1 plan: done in 900 ms by large (delegate, delegate)",
        "plan 2 (called by the model)",
        "  + st2 analyst Read the reports.",
        "  + st3 auditor Check the duty.",
        "st2 analyst Read the reports.: begun",
        "st3 auditor Check the duty.: begun",
        "  st2.a1 plan 1 (first look)",
        "    + st2.a1/st1 plan",
        "  st2.a1/st1 plan: failed by large (timeout: too slow)",
        "st2 analyst Read the reports.: failed in 900 ms (timeout)",
        "st2 analyst Read the reports.: begun again, attempt 2",
        "  st2.a2 plan 1 (plan: inner reason)",
        "    + st2.a2/st1 search july",
        "  st2.a2/st1 search july: done in 12 ms by search (1 data)",
        "st2 analyst Read the reports.: partial in 700 ms (gaps)",
        "  st3.a1 plan 1 (first look)",
        "    + st3.a1/st1 plan",
        "  st3.a1/st1 plan: done by large (answer)",
        "  st3.a1: the answer did not pass its checks and is asked for once more",
        "  refused: a move in st3.a1 of the model: not offered",
        "  st3.a1: time is up",
        "st3.a1 is not wanted any more (late)",
        "st3 auditor Check the duty.: failed in 2800 ms (deadline)",
        "lost: st3 auditor Check the duty.: dropped (deadline)",
        "ended: partial (gaps)",
    ]


def test_what_a_specialist_uses_is_held_by_the_turn_and_counted_once() -> None:
    story, _ = heard(two_specialists())

    assert story.spent == Amounts(3_000, 1_000, 2, 0, 4), "the turn's own call and steps, and the scope that is over"
    assert story.held == {"t1.st3.a1": INNER}, "one scope is still open"
    assert story.scopes["st2.a1"].spent == Amounts(2_000, 500, 1, 0, 1)
    assert (story.scopes["st2.a1"].outcome, story.scopes["st3.a1"].outcome) == ("failed", "")

    told = two_specialists()
    told.begin("t1.st2.a2", "analyst", "Read the reports.")
    hold = CallGranted("t1.st2.a2/st1.a1", "st2.a2/st1", "large", Amounts(9_000), NOW, Permit("p", 0), "k")
    told.add(PlanPatched("t1.st2.a2", 1, Why("first look"), (Step("st2.a2/st1", "model", "plan"),)), hold)
    story, _ = heard(told)
    assert story.spent == Amounts(3_000, 1_000, 2, 0, 4) and sum(h.microusd for h in story.held.values()) == 120_000
    assert story.scopes["st2.a2"].spent == Amounts(steps=1)
    assert story.scopes["st2.a2"].held == {hold.call: hold.hold}

    story, _ = heard(continued(two_specialists()))
    assert story.spent == Amounts(7_500, 2_200, 5, 1, 7) and not story.held
    assert story.parts == (), "the parts of a specialist's plan are not those of the question"


def test_specialists_are_drawn_under_the_step_that_delegated() -> None:
    story, _ = heard(two_specialists())
    lines = drawn(story)

    assert [line[:9] for line in lines[3:7]] == ["✓ st1    ", "▸ st2    ", "✗   st1  ", "▸ st3    "]
    assert "too slow" in lines[5] and "1.8 s" in lines[6]
    assert "plan 1 · first look" not in lines, "its plan is told by its steps"
    assert lines[7].startswith("1057 s left · 0.003 USD of 0.25 USD (and 0.06 USD held) · model calls 2/24 · tool calls 0/40")

    again, _ = heard(continued(two_specialists()))
    lines = drawn(again)
    starts = (
        "✓ st1      ",
        "✓ st2      ",
        "✗   a1     ",
        "✗     st1  ",
        "-   a2     ",
        "✓     st1  ",
        "- st3      ",
        "✓   st1    ",
    )
    assert tuple(line[:11] for line in lines[3:11]) == starts
    assert "attempt 1 by analyst → timeout" in lines[5] and "attempt 2 by analyst → partial: gaps" in lines[7]
    assert "Read the reports. → partial: gaps" in lines[4] and "Check the duty. → dropped: deadline" in lines[9]
    assert lines[11] == "lost · st3 auditor Check the duty.: dropped (deadline)"


@pytest.mark.parametrize(("room", "hidden"), [(0, 1), (-1, STEPS_MAX - 2)])
def test_when_there_is_no_room_what_is_over_gives_way_first(room: int, hidden: int) -> None:
    told = two_specialists()
    many = tuple(Step(f"st3.a1/st{n}", "tool", "search") for n in range(1, STEPS_MAX - 2 - room))
    told.add(PlanPatched("t1.st3.a1", 1, Why("plan"), many))
    told.add(CallGranted("t1.st3.a1/st1.a1", "st3.a1/st1", "search", Amounts(), NOW, Permit("p", 0), "k"))
    story, _ = heard(told)
    lines = drawn(story)

    assert lines[3].split() == ["…", str(hidden), "more", "step" if hidden == 1 else "steps"]
    text = "\n".join(lines)
    assert "too slow" not in text and "✓ st1" in text and "auditor" in text and "▸   st1" in text
    assert ("st20" in text) == (hidden == 1)


def test_a_withdrawn_task_is_drawn_no_more() -> None:
    story, _ = heard(continued(two_specialists()))
    story.parts = ("of the turn",)
    story.forget(("6.1", *(patch.item for patch in story.patches if patch.scope)))
    lines = "\n".join(drawn(story))

    assert "Read the reports." in lines and "Check the duty." not in lines and "july" not in lines
    assert story.parts == ("of the turn",)


def test_a_second_attempt_is_not_told_with_the_trouble_of_the_first() -> None:
    told = two_specialists()
    told.begin("t1.st2.a2", "analyst", "Read the reports.")
    story, _ = heard(told)

    assert "timeout" not in drawn(story)[4] and "timeout" in drawn(story)[5]


def test_what_nobody_waited_for_is_not_lost() -> None:
    told = two_specialists()
    told.add(StepEnded("st2", "dropped", "answered"), StepEnded("st3", "failed", "timeout"))
    story, lines = heard(told)

    assert [step.id for step in story.lost] == ["st3"]
    assert lines[-1] == "lost: st3 auditor Check the duty.: failed (timeout)"


def test_a_specialist_that_the_agent_does_not_have_is_named_as_the_model_did() -> None:
    told = Told()
    told.add(TurnRequested("t1", "r", (told.item(Text("Why?"), "user"),)))
    told.add(TurnStarted("t1", Limits(TURN, 60_000), Amounts(), NOW, NOW))
    plan = {"steps": [{"id": "a", "tool": "delegate", "arguments": {"to": "ghost\x1b[31m", "task": "Look."}}]}
    item = told.item(ToolCall("plan", plan), "large")
    told.add(PlanPatched("t1", 1, Why("plan", item.id), (Step("st1", "agent", "?", item.id, "0"),), (item,)))
    told.add(CallRefused("st1", "not_found"), StepEnded("st1", "refused", "not_found"))
    story, lines = heard(told)

    assert lines[1:] == [
        "  + st1 ? ghost\ufffd[31m: Look.",
        "refused: st1 ? ghost\ufffd[31m: Look.: not_found",
        "lost: st1 ? ghost\ufffd[31m: Look.: refused (not_found)",
    ]
    assert [step.id for step in story.lost] == ["st1"]


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_long_line_goes_on_further_in_than_it_began() -> None:
    with contextlib.redirect_stdout(Terminal()) as terminal:
        say_entry("plan", ["    " + "word " * 60])
    lines = terminal.getvalue().splitlines()[1:]

    assert len(lines) > 1 and lines[0].startswith("      word")
    assert all(line.startswith("        word") for line in lines[1:])


# --- in a store --------------------------------------------------------------------------------------------------------


def stored(events: Iterable[Event], verb: Callable[[House], Awaitable[int]], reader: str = "user:ana") -> None:
    """Run a verb on a store that holds these events as one session of user:ana, a frame each; `reader` may read incident 7."""

    async def main() -> None:
        async with wiring.open(store="memory:") as house:
            right = RelationsChanged("local", "", "command", granted=(f"incident:7#reader@{reader}",))
            await change(house.setup, right, "test")
            for event in events:
                row = SessionRow("s", "local", "user:ana", "coordinator", "idle", "partial", 1, 7_500)
                frame = Append("s", "local", event.seq * 100, "test", "r", event.seq - 1, (event,), row=row)
                assert isinstance(await house.ports.log.append(frame), Appended)
            assert await verb(house) == 0

    asyncio.run(main())


def test_show_lists_plan_calls_and_what_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    stored(continued(two_specialists()).events, lambda house: show(house, "last", None, json=False))
    text = capsys.readouterr().out

    assert text.split("\nplan\n")[1].split("\ncost")[0] == (
        "  epoch 1: next\n"
        "    + st1 plan: done (delegate, delegate)\n"
        "  epoch 2: called by the model\n"
        "    + st2 analyst Read the reports.: done (partial: gaps)\n"
        "        attempt 1: failed (timeout)\n"
        "          epoch 1: first look\n"
        "            + st2.a1/st1 plan: failed (timeout: too slow)\n"
        "        attempt 2: partial (gaps)\n"
        "          epoch 1: plan: inner reason\n"
        "            + st2.a2/st1 search july: done (1 data)\n"
        "    + st3 auditor Check the duty.: dropped (deadline)\n"
        "        attempt 1: failed (deadline)\n"
        "          epoch 1: first look\n"
        "            + st3.a1/st1 plan: done (answer)\n"
        "calls\n"
        "  t1.st1.a1 large · done · 900 ms · for plan by default · 500 tokens · 0.001 USD · delegate, delegate\n"
        "  t1.st2.a1 analyst · failed · 900 ms · 0.002 USD of 0.06 USD"
        " · model calls 1/6 · tool calls 0/8 · steps 1/4 · timeout\n"
        "    t1.st2.a1/st1.a1 large · failed · 0 ms · for plan by default · 0 tokens · 0.002 USD · timeout: too slow\n"
        "  t1.st3.a1 auditor · failed · 2.8 s · 0.0015 USD of 0.06 USD"
        " · model calls 1/6 · tool calls 0/8 · steps 1/4 · deadline\n"
        "    t1.st3.a1/st1.a1 large · done · 0 ms · for plan by default · 15 tokens · 0.0015 USD · answer\n"
        "  t1.st2.a2 analyst · partial · 700 ms · 0.003 USD of 0.06 USD · model calls 2/6 · tool calls 1/8 · steps 2/4 · gaps\n"
        "    t1.st2.a2/st1.a1 search · done · 12 ms · 1 data\n"
        "lost\n"
        "  st3 auditor Check the duty.: dropped (deadline)\n"
        "refused\n"
        "  a move in st3.a1 not offered\n"
        "notes\n"
        "  st3.a1: the answer did not pass its checks and is asked for once more\n"
        "  st3.a1: time is up\n"
        "  st3.a1 is not wanted any more (late)\n"
        "withdrawn\n"
        "  none"
    )
    assert "0.0075 USD of 0.25 USD · model calls 5/24 · tool calls 1/40 · steps 7/16" in text


def test_show_gives_scopes_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    stored(continued(two_specialists()).events, lambda house: show(house, "last", None, json=True))
    turn = msgspec.json.decode(capsys.readouterr().out)["turns"][0]

    assert [(s["scope"], s["call"], s["step"], s["agent"], s["outcome"], s["reason"]) for s in turn["scopes"]] == [
        ("st2.a1", "t1.st2.a1", "st2", "analyst", "failed", "timeout"),
        ("st3.a1", "t1.st3.a1", "st3", "auditor", "failed", "deadline"),
        ("st2.a2", "t1.st2.a2", "st2", "analyst", "partial", "gaps"),
    ]
    assert turn["scopes"][2]["spent"]["tool_calls"] == 1 and turn["scopes"][2]["limits"]["steps"] == 4
    assert [patch["scope"] for patch in turn["plan"]] == ["", "", "st2.a1", "st2.a2", "st3.a1"]
    assert turn["lost"] == ["st3"]
    assert turn["cost_microusd"] == 7_500


def test_the_log_has_what_a_specialist_did_further_in(capsys: pytest.CaptureFixture[str]) -> None:
    told = continued(two_specialists())
    stored(told.events, lambda house: log(house, "last", None, json=False, on=False))
    lines = capsys.readouterr().out.splitlines()

    inner = [line.split()[2] for line in lines if line[19:21] == "  "]
    assert inner == [
        *("PlanPatched", "CallGranted", "CallFailed", "HoldSettled", "StepEnded"),
        *("PlanPatched", "CallGranted", "CallCompleted", "HoldSettled", "StepEnded"),
        *(
            "PlanPatched",
            "CallGranted",
            "CallCompleted",
            "HoldSettled",
            "AnswerJudged",
            "CallRefused",
            "StepEnded",
            "DeadlinePassed",
        ),
    ]
    begun = next(line for line in lines if "ScopeStarted" in line)
    assert "scope=t1.st2.a1 agent=analyst" in begun and "“Read the reports.”" in begun
    ended = [line for line in lines if "ScopeEnded" in line]
    assert len(ended) == 3 and "outcome=failed reason=deadline" in ended[-1]


@pytest.mark.parametrize("verb", [partial(log, on=False), show])
@pytest.mark.parametrize(("reader", "seen"), [("user:ana", True), ("user:eve", False)])
def test_a_task_from_what_may_not_be_read_is_not_shown(
    verb: Any, reader: str, seen: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(continued(two_specialists()).events, lambda house: verb(house, "last", "user:ana", json=False), reader)
    text = capsys.readouterr().out
    assert "analyst" in text
    assert ("Read the reports." in text, "Check the duty." in text) == (seen, seen)
