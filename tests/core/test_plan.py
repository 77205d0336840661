"""The plan: what is ready, what fits, and that a patch never makes a circle."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.desk import an_item, bare_step, bare_turn, call_of, with_items, with_steps

from standpipe.core import plan
from standpipe.core.amounts import Amounts, Limits
from standpipe.core.control import PlannedStep
from standpipe.core.details import Step
from standpipe.core.items import Text, ToolCall
from standpipe.core.state import Turn
from standpipe.core.tools import AgentSpec, ToolSpec

names = st.sampled_from("abcdefgh")
planned_lists = st.lists(
    st.builds(PlannedStep, names, st.just("read"), st.just({}), st.lists(names, max_size=3).map(tuple), st.booleans()),
    max_size=8,
    unique_by=lambda p: p.id,
).map(tuple)


def on(id: str, *needs: str) -> Step:
    return Step(id=id, kind="tool", does="read", needs=needs)


# --- what is ready -----------------------------------------------------------------------------------------------------


def test_a_step_is_ready_when_all_it_needs_has_ended_and_nobody_performs_it() -> None:
    first, second, third = bare_step("st1"), bare_step("st2", needs=("st1",)), bare_step("st3", needs=("st9",))
    turn = with_steps(bare_turn(), first, second, third)
    assert [s.spec.id for s in plan.ready(turn)] == ["st1", "st3"]
    first.call = "t1.st1.a1"
    turn.open[first.call] = None
    assert [s.spec.id for s in plan.ready(turn)] == ["st3"]
    del turn.open[first.call]
    assert [s.spec.id for s in plan.ready(turn)] == ["st1", "st3"]
    del turn.live["st1"]
    assert [s.spec.id for s in plan.ready(turn)] == ["st2", "st3"]


def test_a_step_needs_all_that_it_needs() -> None:
    turn = with_steps(bare_turn(), bare_step("st1"), bare_step("st2"), bare_step("st3", needs=("st1", "st2")))
    del turn.live["st1"]
    assert [s.spec.id for s in plan.ready(turn)] == ["st2"]


# --- what a step performs ----------------------------------------------------------------------------------------------


def test_a_step_performs_the_call_it_came_from() -> None:
    turn = with_items(bare_turn(), an_item("5.0", call_of("read", source="a.md")))
    assert plan.move_of(turn, Step("st1", "tool", "read", item="5.0")) == ToolCall("read", {"source": "a.md"})


@pytest.mark.parametrize("name", ["steps", "add"])
def test_a_planned_step_performs_its_own_entry(name: str) -> None:
    entries = [{"id": "a", "tool": "search", "arguments": {"query": "x"}}, {"id": "b", "tool": "read"}]
    turn = with_items(bare_turn(), an_item("5.0", call_of("plan", **{name: entries})))
    assert plan.move_of(turn, Step("st1", "tool", "search", item="5.0", planned="0")) == ToolCall("search", {"query": "x"})
    assert plan.move_of(turn, Step("st2", "tool", "read", item="5.0", planned="1")) == ToolCall("read", {})
    assert plan.move_of(turn, Step("st3", "tool", "read", item="5.0", planned="2")) is None


def test_a_step_performs_nothing_once_what_asked_for_it_is_gone() -> None:
    turn = with_items(bare_turn(), an_item("5.0", call_of("read")), an_item("5.1", Text("x")))
    assert plan.move_of(turn, Step("st1", "tool", "read", item="9.9")) is None
    assert plan.move_of(turn, Step("st1", "tool", "read", item="5.1")) is None
    turn.withdrawn["5.0"] = None
    assert plan.move_of(turn, Step("st1", "tool", "read", item="5.0")) is None


# --- what fits ---------------------------------------------------------------------------------------------------------


def test_there_is_room_for_what_is_neither_used_nor_kept() -> None:
    limits = Limits(Amounts(steps=10), 1)
    assert plan.room(bare_turn(limits=limits, spent=Amounts(steps=4), reserve=Amounts(steps=1))) == 5
    assert plan.room(bare_turn(limits=limits, spent=Amounts(steps=10), reserve=Amounts(steps=1))) == -1


@settings(max_examples=40)
@given(planned_lists, st.integers(-2, 10))
def test_a_contracted_plan_keeps_as_much_as_fits_and_gives_optional_steps_up_first(
    planned: tuple[PlannedStep, ...], room: int
) -> None:
    kept = plan.contracted(planned, room)
    gone = [n for n in range(len(planned)) if n not in kept]
    assert len(kept) == min(len(planned), max(room, 0))
    assert list(kept) == sorted(set(kept))
    if any(not planned[n].optional for n in gone):
        assert not any(planned[n].optional for n in kept)
    for optional in (True, False):
        of_kind = [n for n, p in enumerate(planned) if p.optional is optional]
        left = [n for n in of_kind if n in kept]
        assert of_kind[: len(left)] == left


# --- placing and circles -----------------------------------------------------------------------------------------------

HANDS = AgentSpec("a", "", (ToolSpec("read", "", {}), ToolSpec("search", "", {})), specialists={"analyst": "Knows."})


def planned_turn() -> Turn:
    """A turn whose plan called its two steps `old` and `b`."""
    entries = [{"id": "old", "tool": "read"}, {"id": "b", "tool": "read"}]
    turn = with_items(bare_turn(), an_item("4.0", call_of("plan", steps=entries)))
    return with_steps(turn, bare_step("st1", item="4.0", planned="0"), bare_step("st2", item="4.0", planned="1"))


def test_planned_steps_get_the_next_numbers_and_wait_for_steps_old_and_new() -> None:
    first = PlannedStep("a", "read", after=("old", "nobody", "old"))
    second = PlannedStep("b", "search", after=("a", "b"), optional=True)
    assert plan.placed(planned_turn(), {0: first, 2: second}, "5.0", 1, HANDS) == (
        Step("st4", "tool", "read", "5.0", "0", ("st1",)),
        Step("st5", "tool", "search", "5.0", "2", ("st4",), optional=True),
    )


def test_only_planned_steps_have_names() -> None:
    turn = planned_turn()
    with_items(turn, an_item("6.0", call_of("read", source="a")))
    with_steps(turn, bare_step("st3", kind="model"), bare_step("st4", item="6.0"))
    assert plan.names(turn) == {"old": "st1", "b": "st2"}


def test_a_name_that_is_used_again_means_the_new_step() -> None:
    planned = {0: PlannedStep("b", "read"), 1: PlannedStep("c", "read", after=("b",))}
    assert plan.placed(planned_turn(), planned, "5.0", 0, HANDS)[1].needs == ("st3",)


def test_the_words_of_a_model_are_no_name_of_a_tool() -> None:
    steps = plan.placed(bare_turn(), {0: PlannedStep("secret-7", "tell 7")}, "5.0", 0, HANDS)
    assert steps == (Step("st1", "tool", "?", "5.0", "0"),)


def test_a_planned_delegation_is_a_step_of_the_specialist() -> None:
    planned = {
        0: PlannedStep("a", "delegate", {"to": "analyst", "optional": True}),
        1: PlannedStep("b", "delegate", {"to": "x"}),
    }
    assert [(s.kind, s.does, s.optional) for s in plan.placed(bare_turn(), planned, "5.0", 0, HANDS)] == [
        ("agent", "analyst", True),
        ("agent", "?", False),
    ]


@pytest.mark.parametrize(
    ("steps", "circle"),
    [
        ((), False),
        ((on("1"), on("2", "1"), on("3", "1", "2")), False),
        ((on("2", "1"), on("1")), False),
        ((on("1", "2"), on("2", "1")), True),
        ((on("1"), on("2", "3"), on("3", "4"), on("4", "2")), True),
        ((on("1", "outside"),), False),
    ],
)
def test_circles(steps: tuple[Step, ...], circle: bool) -> None:
    assert plan.cyclic(steps) is circle


@settings(max_examples=40)
@given(planned_lists)
def test_a_patch_without_a_circle_can_be_walked_to_its_end(planned: tuple[PlannedStep, ...]) -> None:
    steps = plan.placed(bare_turn(), dict(enumerate(planned)), "5.0", 0, HANDS)
    turn = with_steps(bare_turn(), *(bare_step(s.id, needs=s.needs) for s in steps))
    for _ in steps:
        for step in plan.ready(turn):
            del turn.live[step.spec.id]
    assert bool(turn.live) is plan.cyclic(steps)
