"""May this call be made: only from an answer in the world; what is forbidden looks like what does not exist."""

from __future__ import annotations

import msgspec
import pytest
from tests.core.desk import AGENT, READ, SEARCH

from standpipe.core import permit
from standpipe.core.details import Permit
from standpipe.core.ids import digest
from standpipe.core.tools import ToolSpec
from standpipe.core.world import Access, CallQuestion

INCIDENT = ToolSpec("incident", "An incident.", {}, resource="incident:{id}")
ASKED = CallQuestion("user:ana", "coordinator", "incident", ("incident:7",), digest({"id": "7"}))
YES = Access(3, 0, allowed=(digest(ASKED),))


def test_a_tool_is_found_by_its_exact_name() -> None:
    assert permit.tool_of(AGENT, "read") == READ
    assert permit.tool_of(AGENT, "READ") is None
    assert permit.tool_of(AGENT, "rea") is None


def test_the_question_names_what_the_call_touches() -> None:
    assert permit.question("user:ana", AGENT, INCIDENT, {"id": "7"}) == ASKED
    assert permit.resources(SEARCH, {"query": "x"}) == ()
    assert permit.resources(INCIDENT, {"id": 7}) == ("incident:7",)


def test_every_placeholder_is_filled() -> None:
    tool = msgspec.structs.replace(INCIDENT, resource="{kind}:{id}/{id}")
    assert permit.resources(tool, {"kind": "case", "id": "a"}) == ("case:a/a",)


def test_what_a_call_touches_does_not_depend_on_the_order_of_its_arguments() -> None:
    one = permit.resources(INCIDENT, {"id": "{x}", "x": "7"})
    other = permit.resources(INCIDENT, {"x": "7", "id": "{x}"})
    assert one == other == ("incident:{x}",)


def test_a_call_that_does_not_name_its_resource_raises_no_question() -> None:
    assert permit.resources(INCIDENT, {"ID": "7"}) is None
    assert permit.question("user:ana", AGENT, INCIDENT, {}) is None
    assert permit.question("user:ana", AGENT, msgspec.structs.replace(INCIDENT, resource=""), {}) is not None


def test_a_permit_says_by_which_rule_at_which_revision() -> None:
    assert permit.permit(YES, ASKED) == Permit("relation", 3)
    plain = permit.question("user:ana", AGENT, SEARCH, {"query": "x"})
    assert plain is not None
    assert permit.permit(Access(3, 0, allowed=(digest(plain),)), plain) == Permit("given to the agent", 3)


def test_without_an_answer_there_is_no_permit_and_no_refusal() -> None:
    assert permit.permit(Access(3, 0), ASKED) == ""


@pytest.mark.parametrize("name", CallQuestion.__struct_fields__)
def test_an_answer_to_another_question_is_no_answer(name: str) -> None:
    other = msgspec.structs.replace(ASKED, **{name: ("x",) if name == "resources" else "x"})
    assert permit.permit(YES, other) == ""


def test_no_wins_over_yes() -> None:
    assert permit.permit(Access(3, 0, refused=(digest(ASKED),)), ASKED) == permit.NOT_FOUND
    assert permit.permit(Access(3, 0, allowed=(digest(ASKED),), refused=(digest(ASKED),)), ASKED) == permit.NOT_FOUND
