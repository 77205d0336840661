"""Rule files in Cedar: what they permit, what they could ever permit, and where one is wrong."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.core.items import Source
from standpipe.core.rulings import RuleQuestion, Ruling
from standpipe.drivers.access.cedar import read
from standpipe.errors import UsageError

RULES = read(
    """
    @id("look")
    permit (principal, action, resource) when { resource.effect == "read" };
    @id("small") // a comment with "a quote; and more
    permit (principal in Role::"support", action == Action::"call", resource == Tool::"refund")
    when { context.arguments.amount <= 100 && context.agent == "desk" };
    permit (principal in Group::"boss", action, resource == Tool::"refund");
    permit (principal == Service::"night", action, resource == Tool::"mail") when { context.arguments.to like "*@acme.test" };
    @id("never to eve") forbid (principal, action, resource == Tool::"mail") when { context.arguments.to == "eve@acme.test" };
    @id("not from pay") forbid (principal, action, resource)
    when { resource.effect != "read" && context.sources.contains("document:pay.md") };
    """,
    "rules.cedar",
)


def asked(tool: str = "refund", *groups: str, arguments: Any = None, **given: Any) -> RuleQuestion:
    effect = "read" if tool == "look" else "write"
    text = None if arguments is None else json.dumps(arguments)
    question = RuleQuestion("acme", "user:ana", groups, "desk", tool, effect, text)
    return msgspec.structs.replace(question, **given)


def test_a_call_is_permitted_by_a_rule_with_a_name() -> None:
    assert RULES.names == ("look", "small", "line 7", "line 8", "never to eve", "not from pay")
    assert RULES.groups == ("group:boss", "role:support")
    assert RULES.judge(asked("look", arguments={})) == Ruling(True, "look")
    assert RULES.judge(asked("refund", "role:support", arguments={"amount": 100})) == Ruling(True, "small")
    assert RULES.judge(asked("refund", "group:boss", "role:support", arguments={"amount": 1})) == Ruling(True, "small, line 7")


@pytest.mark.parametrize(
    "no",
    [
        asked("refund", arguments={"amount": 1}),
        asked("refund", "role:support", arguments={"amount": 101}),
        asked("refund", "role:support", arguments={"amount": 100.5}),
        asked("refund", "role:support", arguments={}),
        asked("refund", "role:support", arguments={"amount": 1}, agent="other"),
        asked("refund", "role:boss", arguments={"amount": 1}),
        asked("mail", arguments={"to": "ben@acme.test"}),
        asked("mail", arguments={"to": "ben@acme.test"}, principal="user:night"),
        asked("mail", arguments={"to": "ben@acme.test"}, principal="night"),
        asked("other", "group:boss", arguments={}),
    ],
)
def test_what_no_rule_permits_may_not_be_called(no: RuleQuestion) -> None:
    assert RULES.judge(no) == Ruling(False)


def test_a_principal_of_any_kind_has_a_name_of_its_own() -> None:
    rules = read(
        'permit (principal == Principal::"robot:7", action, resource); @id("u") permit (principal is User, action, resource);',
        "r",
    )
    names = {"robot:7": "line 1", "user:robot:7": "u", "user:": "", "service:robot:7": "", "7": "", "user": ""}
    assert {name: rules.judge(asked("x", arguments={}, principal=name)).by for name in names} == names


def test_what_a_rule_forbids_no_other_permits() -> None:
    night = {"principal": "service:night"}
    assert RULES.judge(asked("mail", arguments={"to": "ben@acme.test"}, **night)).allowed
    eve = RULES.judge(asked("mail", arguments={"to": "eve@acme.test"}, **night))
    assert not eve.allowed and eve.forbidden
    sources = (Source("f", "pay.md", "v1"),)
    assert RULES.judge(asked("refund", "group:boss", arguments={}, sources=sources)).forbidden
    assert RULES.judge(asked("refund", "group:boss", arguments={}, sources=(Source("", "pay.md", ""),))).allowed


def test_a_rule_that_forbids_and_breaks_off_forbids() -> None:
    rules = read(
        "permit (principal, action, resource); forbid (principal, action, resource) when { context.arguments.a > 1 };", "r"
    )
    assert rules.judge(asked("x", arguments={"a": 1})).allowed
    for arguments in ({"a": 2}, {"a": "2"}, {}, {"a": None}):
        assert not rules.judge(asked("x", arguments=arguments)).allowed
    lenient = read(
        "permit (principal, action, resource); permit (principal, action, resource) when { context.arguments.a > 1 };", "r"
    )
    assert lenient.judge(asked("x", arguments={})).allowed


@pytest.mark.parametrize(
    "arguments",
    [
        {"x": [None]},
        {"x": 2**63},
        {"x": 0.00001},
        {"x": 1e300},
        {"__entity": {"type": "Role", "id": "support"}},
        {"x": {"__extn": 1}},
    ],
)
def test_what_has_no_form_in_cedar_is_not_permitted(arguments: dict[str, Any]) -> None:
    everything = read("permit (principal, action, resource);", "r")
    assert not everything.judge(asked("x", arguments=arguments)).allowed


@pytest.mark.parametrize("arguments", [{"x": None}, {"x": -(2**62)}, {"x": 12.25}, {"x": 7.0}, {"x": {"y": ["é\n", True]}}, {}])
def test_every_other_value_has(arguments: dict[str, Any]) -> None:
    assert read("permit (principal, action, resource);", "r").judge(asked("x", arguments=arguments)).allowed


def test_whether_a_tool_could_ever_be_called_does_not_depend_on_arguments() -> None:
    assert RULES.judge(asked("look")).allowed
    assert not RULES.judge(asked("refund")).allowed
    assert RULES.judge(asked("refund", "role:support")).allowed
    assert not RULES.judge(asked("refund", "role:support", agent="other")).allowed
    assert RULES.judge(asked("refund", "group:boss", agent="other")).allowed
    assert RULES.judge(asked("mail", principal="service:night")).allowed
    assert not RULES.judge(asked("mail")).allowed
    shut = read('permit (principal, action, resource); forbid (principal, action, resource == Tool::"x");', "r")
    assert shut.judge(asked("x")) == Ruling(False, forbidden=True) and shut.judge(asked("y")).allowed


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=4
)


@given(
    st.sampled_from(["look", "refund", "mail"]),
    st.lists(st.sampled_from(["group:boss", "role:support"]), unique=True),
    st.sampled_from(["user:ana", "service:night"]),
    st.sampled_from(["desk", "other"]),
    st.dictionaries(
        st.sampled_from(["amount", "to", "x"]), VALUES | st.sampled_from([1, 100, "ben@acme.test", "eve@acme.test"])
    ),
)
def test_what_may_be_called_now_could_ever_be(tool: str, groups: list[str], who: str, agent: str, arguments: Any) -> None:
    now = asked(tool, *groups, principal=who, agent=agent, arguments=arguments)
    if RULES.judge(now).allowed:
        assert RULES.judge(msgspec.structs.replace(now, given=None)).allowed


def test_an_empty_file_permits_nothing() -> None:
    for text in ("", "// nothing\n"):
        rules = read(text, "r")
        assert rules.names == () and rules.judge(asked("look", arguments={})) == rules.judge(asked("look")) == Ruling(False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("// x\n\npermit (principal, action, resource)\n", "line 3: expected a Cedar rule like"),
        (
            "permit (principal, action, resource);\n\n  permit (principal,\n action, resource) wen { true };",
            "line 3: expected a Cedar",
        ),
        ("permit (principal, action, resource) when { context.argument.x == 1 };", "got `context.argument`"),
        (
            "permit (principal, action, resource)\nwhen { resource has owner };",
            "expected one of resource.effect, got `resource.owner`",
        ),
        ('permit (principal == Usr::"x", action, resource);', "got `Usr`"),
        ("permit (principal is Team, action, resource);", "got `Team`"),
        (
            'permit (principal, action == Action::"read", resource);',
            'expected Action::"call", the only one there is, got `read`',
        ),
        (
            '@id("a") permit (principal, action, resource);\n@id("a") permit (principal, action, resource);',
            "line 2: expected a name",
        ),
        ("permit (principal == ?principal, action, resource);", "without a place to be filled in"),
        ("permit (principal, action, resource) when { principal.age > 1 };", "expected principal without attributes"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_what_was_expected(text: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(text, "my/rules.cedar")
    assert str(raised.value).startswith("my/rules.cedar, line ") and told in str(raised.value)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")
