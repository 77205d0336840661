"""What a yes is worth: one call with exactly these arguments, on what it was asked on, for a while; and it is judged again."""

from __future__ import annotations

import msgspec
import pytest
from tests.core.desk import AGENT, PUT, SEND, Desk, call_of, passage, policy, source
from tests.core.gates import granted, moved, refused, told

from standpipe.core import consent
from standpipe.core.admit import Refusal, Reply
from standpipe.core.details import Fault
from standpipe.core.events import Asked, CallGranted, ItemsWithdrawn
from standpipe.core.items import Draft, Label, Source, ToolCall
from standpipe.core.state import Ask
from standpipe.core.tools import AgentSpec
from standpipe.core.world import Access, Policy

MAIL = Draft(call_of("send", to="ben"), Label((source("a.md", "v0"), Source("", "incident:7", "")), "document"))


def parked(*moves: ToolCall | Draft, desk: Desk | None = None) -> Desk:
    desk = moved(*(moves or (MAIL,)), desk=desk)
    assert desk.turn.parked_at
    return desk


def said(desk: Desk, allow: bool = True, **given: str) -> Desk:
    assert not isinstance(desk.admit(Reply("y", "acme", "user:ana", desk.facts(Asked)[-1].ask, allow, **given)), Refusal)
    return desk.run()


def test_what_is_asked_is_one_call_on_the_versions_it_is_made_from_now() -> None:
    [asked] = parked().facts(Asked)
    assert asked.intent == consent.intent("send", {"to": "ben"}, granted(said(parked())).key)
    assert asked.sources == (source("a.md", "v1"),)
    others = [("put", {"to": "ben"}, "k"), ("send", {"to": "eve"}, "k"), ("send", {"to": "ben"}, "l")]
    assert len({consent.intent(*one) for one in [("send", {"to": "ben"}, "k"), *others]}) == 4


def test_nobody_is_asked_before_it_is_known_what_the_call_is_made_from() -> None:
    desk = Desk()
    desk.versions["a.md"] = None
    assert moved(MAIL, desk=desk).facts(Asked) == [] and refused(desk) == [] and "st2" in desk.turn.live
    assert consent.current(Access(1, 0), MAIL.label) is None
    assert consent.current(Access(1, 0, versions=(source("a.md"), source("b.md"))), MAIL.label) == (source("a.md"),)
    assert consent.current(Access(1, 0), Label()) == ()
    assert consent.documents(MAIL.label) == (source("a.md", ""),)


@pytest.mark.parametrize("version", ["v2", ""])
def test_a_yes_is_void_once_a_document_it_was_asked_on_has_another_version(version: str) -> None:
    desk = parked()
    desk.versions["a.md"] = version
    assert refused(said(desk)) == [("st2", "void")]
    assert told(desk)[0].text == consent.SAID["void"]
    assert [g.target for g in desk.facts(CallGranted)] == ["extractive", "extractive"]


def test_a_yes_is_void_for_other_arguments() -> None:
    desk = parked()
    item = desk.turn.items[desk.turn.steps["st2"].spec.item]
    desk.turn.items[item.id] = msgspec.structs.replace(item, body=call_of("send", to="eve"))
    assert refused(said(desk)) == [("st2", "void")]


def test_a_yes_does_not_outlive_its_time() -> None:
    desk = parked()
    asked = desk.facts(Asked)[0]
    desk.admit(Reply("y", "acme", "user:ana", asked.ask, True))
    desk.now = asked.until
    desk.run()
    assert refused(desk) == [("st2", "expired")]


def test_who_says_yes_too_late_is_told() -> None:
    desk = parked()
    desk.now = desk.facts(Asked)[0].until
    answer = desk.admit(Reply("y", "acme", "user:ana", "t1.st2", True))
    assert isinstance(answer, Refusal) and answer.code == "not found"


def test_a_yes_is_for_one_call_the_same_call_is_asked_again() -> None:
    desk = said(parked()).came(passage("b.md", "sent")).came(MAIL)
    assert [a.ask for a in desk.facts(Asked)] == ["t1.st2", "t1.st4"]
    assert desk.facts(Asked)[0].intent != desk.facts(Asked)[1].intent
    again = desk.admit(Reply("z", "acme", "user:ana", "t1.st2", True))
    assert isinstance(again, Refusal) and again.code == "not found"


def test_a_yes_holds_for_another_attempt_at_the_same_call() -> None:
    careful = AgentSpec("coordinator", "", (msgspec.structs.replace(PUT, approval=True, idempotent=True),))
    desk = said(parked(call_of("put"), desk=Desk(careful))).broke(Fault("error", retryable=True))
    assert [g.target for g in desk.facts(CallGranted)][1:] == ["put", "put"] and len(desk.facts(Asked)) == 1


def test_budget_and_rights_are_looked_at_again_when_the_turn_goes_on() -> None:
    poor = parked(desk=Desk(policy=policy(tool_calls=1)))
    poor.turn.reserve = msgspec.structs.replace(poor.turn.reserve, tool_calls=1)
    assert refused(said(poor)) == [("st2", "budget")]
    gone = parked()
    gone.denied = {source("a.md", "v0")}
    assert said(gone).facts(ItemsWithdrawn) and "send" not in [g.target for g in gone.facts(CallGranted)]


def test_who_names_another_call_than_is_asked_for_has_said_nothing() -> None:
    desk = parked()
    wrong = desk.admit(Reply("y", "acme", "user:ana", "t1.st2", True, "other"))
    assert isinstance(wrong, Refusal) and wrong.code == "void"
    assert granted(said(desk, intent=desk.facts(Asked)[0].intent)).target == "send"


def test_an_approval_of_a_log_without_intents_still_counts() -> None:
    ask = Ask("t1.st2", "st2", "approval", 10, 4, "allowed")
    assert consent.judge(ask, "x", (source("a.md"),), 9) == "allowed"
    assert consent.judge(ask, "x", (), 10) == "expired"


def test_what_is_shown_of_a_planned_call_is_what_would_be_done() -> None:
    steps = [{"id": "a", "tool": "send", "arguments": {"to": "ben"}}, {"id": "b", "tool": "read", "arguments": {"source": "x"}}]
    desk = moved(call_of("plan", steps=steps))
    assert consent.shown(desk.turn, desk.turn.steps["st2"].spec).body == call_of("send", to="ben")


def test_who_is_asked() -> None:
    state = Desk().ask().state
    assert consent.wanted(state, SEND) and not consent.wanted(state, PUT)
    fork = msgspec.structs.replace(state, parent="p")
    assert consent.wanted(fork, PUT) and not consent.wanted(fork, AGENT.tools[0])
    assert Policy().rules == ""
