"""What a model's moves become: patches, judged answers, questions, or a failure that says what to do."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.desk import NOW, Desk, call_of, passage, policy, source
from tests.core.replies import BAD, CITED, OK, a_plan, an_answer, patches, refusals

from standpipe.core import plan, reply
from standpipe.core.details import Step, Verdict, Why
from standpipe.core.events import (
    AnswerJudged,
    Asked,
    CallGranted,
    PlanPatched,
    StepEnded,
    TurnEnded,
)
from standpipe.core.items import (
    Answer,
    Checked,
    Draft,
    Failure,
    Gap,
    Label,
    Sentence,
    Text,
    ToolCall,
)
from standpipe.core.world import Policy

# --- plain text --------------------------------------------------------------------------------------------------------


def test_plain_text_is_an_answer() -> None:
    label = Label((source("a.md"),))
    (draft,) = reply.as_moves((Draft(Text("It is 1.5 s. Wait!\nThen go on.  "), label),))
    assert isinstance(draft.body, ToolCall) and draft.label == label
    answer = reply.answer_of(draft.body)
    assert answer is not None
    assert [s.text for s in answer.sentences] == ["It is 1.5 s.", "Wait!", "Then go on."]


def test_lines_are_sentences_and_empty_ones_are_none() -> None:
    (draft,) = reply.as_moves((Draft(Text("One\n \nTwo\n\n\n- Three")),))
    assert isinstance(draft.body, ToolCall)
    answer = reply.answer_of(draft.body)
    assert answer is not None and [s.text for s in answer.sentences] == ["One", "Two", "- Three"]


def test_only_an_answer_that_fits_is_an_answer() -> None:
    assert reply.answer_of(call_of("answer", sentences=[{}])) is None
    assert reply.answer_of(call_of("plan", steps=[])) is None


def test_several_texts_are_one_answer() -> None:
    (draft,) = reply.as_moves((Draft(Text("One.")), Draft(Text("Two."))))
    assert isinstance(draft.body, ToolCall)
    answer = reply.answer_of(draft.body)
    assert answer is not None and [s.text for s in answer.sentences] == ["One.", "Two."]


def test_text_beside_a_call_is_a_remark() -> None:
    drafts = (Draft(Text("Let me look.")), Draft(call_of("search", query="x")))
    assert reply.as_moves(drafts) == drafts


@pytest.mark.parametrize("drafts", [(), (Draft(Text(" \n")),)])
def test_silence_stays_silence(drafts: tuple[Draft, ...]) -> None:
    assert reply.as_moves(drafts) == drafts


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=3))
def test_plain_text_loses_no_word(texts: list[str]) -> None:
    moves = reply.as_moves(tuple(Draft(Text(t)) for t in texts))
    bodies = [m.body for m in moves]
    if isinstance(bodies[0] if bodies else None, ToolCall):
        answer = reply.answer_of(bodies[0])  # type: ignore[arg-type]
        assert answer is not None
        assert " ".join(s.text for s in answer.sentences).split() == " ".join(texts).split()


# --- answers -----------------------------------------------------------------------------------------------------------


def test_an_answer_that_passes_is_accepted_and_ends_the_turn() -> None:
    checked = Checked(((CITED,),))
    desk = Desk().ask().came(an_answer("Five."), checked, verdicts=(OK,))
    (judged,) = desk.facts(AnswerJudged)
    assert (judged.action, judged.kept, judged.repaired, judged.dropped) == ("accept", (0,), (), ())
    (ended,) = desk.facts(TurnEnded)
    assert ended.items[0].body == Answer((Sentence("Five.", (CITED,)),))
    assert (ended.outcome, ended.reason) == ("completed", "answered")


def test_an_answer_with_a_failing_sentence_is_given_back_once_with_the_finding() -> None:
    desk = Desk().ask().came(an_answer("Five.", "Six."), verdicts=(OK, Verdict("citation", "s1", "fail", "uncited")))
    (judged,) = desk.facts(AnswerJudged)
    (told,) = judged.items
    assert (judged.action, judged.dropped) == ("resample", (1,))
    assert told.body == Failure("check", "The answer was not accepted. Repair or leave out: sentence 2: uncited")
    assert told.answers == judged.call_item
    desk.came(an_answer("Five.", "Six."), Checked(((CITED,), ())), verdicts=(OK, Verdict("citation", "s1", "fail", "uncited")))
    again = desk.facts(AnswerJudged)[1]
    assert (again.action, again.kept, again.dropped) == ("accept", (0,), (1,))
    assert desk.facts(TurnEnded)[0].outcome == "completed"


def test_an_answer_of_which_nothing_is_left_is_partial_and_says_so() -> None:
    desk = Desk().ask("What is it?").came(an_answer("Five."), verdicts=(BAD,)).came(an_answer("Five."), verdicts=(BAD,))
    (ended,) = desk.facts(TurnEnded)
    assert (ended.outcome, ended.reason) == ("partial", "gaps")
    assert ended.items[0].body == Answer(gaps=(Gap("No checked sentence answers: What is it?", 0),))


def test_a_value_that_does_not_fit_is_given_back_with_what_is_wrong() -> None:
    wrong = Verdict("schema", "value", "fail", "schema")
    desk = Desk().ask().came(an_answer("Five."), Checked(((CITED,),), problem="steps: type"), verdicts=(OK, wrong))
    (judged,) = desk.facts(AnswerJudged)
    assert judged.action == "resample"
    assert judged.items[0].body == Failure("check", "The answer was not accepted. Repair or leave out: value: steps: type")


def test_a_conflict_that_fails_is_dropped_without_asking_again() -> None:
    desk = Desk().ask().came(an_answer("Five."), verdicts=(OK, Verdict("conflict", "c0", "fail", "fewer")))
    assert [j.action for j in desk.facts(AnswerJudged)] == ["accept"]


def test_no_answer_is_given_back_when_time_or_room_is_up() -> None:
    late = Desk().ask()
    late.now = late.turn.soft_at
    late.came(an_answer("Five."), verdicts=(BAD,))
    assert [j.action for j in late.facts(AnswerJudged)] == ["accept"]
    narrow = Desk(policy=policy(steps=2)).ask().came(an_answer("Five."), verdicts=(BAD,))
    assert [j.action for j in narrow.facts(AnswerJudged)] == ["accept"]
    roomy = Desk(policy=policy(steps=3)).ask().came(an_answer("Five."), verdicts=(BAD,))
    assert [j.action for j in roomy.facts(AnswerJudged)] == ["resample"]


def test_the_final_answer_is_taken_as_it_is() -> None:
    desk = Desk(policy=policy(steps=1)).ask().came(an_answer("Five."), verdicts=(BAD,))
    assert desk.facts(PlanPatched)[0].add[0].final
    assert [j.action for j in desk.facts(AnswerJudged)] == ["accept"]


def test_a_final_answer_is_taken_as_it_is_though_there_is_room_for_steps() -> None:
    desk = Desk(policy=policy(model_calls=1)).ask().came(an_answer("Five."), verdicts=(BAD,))
    assert [j.action for j in desk.facts(AnswerJudged)] == ["accept"]


def test_a_second_answer_in_one_reply_is_refused() -> None:
    desk = Desk().ask().came(an_answer("Five."), an_answer("Six."), Checked(((CITED,),)), verdicts=(OK,))
    assert refusals(desk) == [("second answer", "A reply may hold one answer.")]
    body = desk.facts(TurnEnded)[0].items[0].body
    assert isinstance(body, Answer) and body.text == "Five."


def test_steps_that_an_answer_comes_with_are_dropped() -> None:
    desk = Desk().ask().came(call_of("search", query="x"), an_answer("Five."), verdicts=(OK,))
    assert len(desk.facts(CallGranted)) == 1
    assert [(e.step, e.outcome, e.reason) for e in desk.facts(StepEnded)][-1] == ("st2", "dropped", "answered")


# --- plans -------------------------------------------------------------------------------------------------------------


def test_a_plan_becomes_a_patch_with_its_reason() -> None:
    desk = Desk().ask().came(a_plan({}, {"after": ["p0"], "optional": True}, parts=["x", "y"]))
    patch = desk.facts(PlanPatched)[1]
    assert patch.epoch == 2 and patch.why == Why("plan", "6.0")
    assert patch.add == (
        Step("st2", "tool", "search", "6.0", "0"),
        Step("st3", "tool", "search", "6.0", "1", ("st2",), optional=True),
    )
    assert [c.step for c in desk.open()] == ["st2"]
    assert reply.parts_of(desk.turn) == ("x", "y")


def test_a_revision_is_a_patch_that_keeps_the_parts() -> None:
    desk = Desk().ask().came(a_plan({}, parts=["x", "y"])).came(passage("a.md", "five"))
    desk.came(
        call_of("revise", reason="five", add=[{"id": "r", "tool": "read", "arguments": {"source": "a.md"}, "after": ["p0"]}])
    )
    assert patches(desk)[-1] == ("revise", ["st4 read"])
    assert reply.parts_of(desk.turn) == ("x", "y")
    assert desk.turn.steps["st4"].spec.needs == ("st2",)


def test_a_plan_has_as_many_steps_as_there_is_room_for_and_says_what_was_left_out() -> None:
    desk = Desk(policy=policy(steps=4)).ask().came(a_plan({}, {"optional": True}, {}, {}))
    assert patches(desk)[1] == ("plan", ["st2 search", "st3 search"])
    assert [s.planned for s in desk.facts(PlanPatched)[1].add] == ["0", "2"]
    assert refusals(desk) == [("contracted", "The plan had no room for the steps p1, p3; they were left out.")]


def test_a_step_that_was_left_out_is_waited_for_by_nobody() -> None:
    desk = Desk(policy=policy(steps=3)).ask().came(a_plan({"optional": True}, {"after": ["p0"]}))
    assert desk.facts(PlanPatched)[1].add == (Step("st2", "tool", "search", "6.0", "1"),)
    assert [c.step for c in desk.open()] == ["st2"]


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (a_plan({"after": ["p1"]}, {"after": ["p0"]}), "in a circle"),
        (a_plan({}, {"id": "p0"}), "an id of its own"),
        (a_plan({"tool": "answer"}), "are no steps"),
        (a_plan({}, {"tool": "plan"}), "are no steps"),
        (call_of("plan", steps="all"), "do not fit"),
        (call_of("plan", steps=[], budget=5), "do not fit"),
        (call_of("revise"), "do not fit"),
        (call_of("answer", sentences=[{}]), "do not fit"),
        (call_of("ask_user"), "do not fit"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused_whole(move: ToolCall, words: str) -> None:
    desk = Desk().ask().came(move)
    ((code, text),) = refusals(desk)
    assert code == "arguments" and words in text
    assert [p for p, _ in patches(desk)] == ["begin", "continue"]


def test_a_tool_that_the_agent_does_not_have_is_not_found_and_its_name_stays_with_the_call() -> None:
    desk = Desk().ask().came(a_plan({"tool": "secret-tool"}), call_of("other-tool"))
    assert patches(desk)[1:3] == [("plan", ["st2 ?"]), ("called by the model", ["st3 ?"])]
    assert [code for code, _ in refusals(desk)] == ["not_found", "not_found"]
    assert "secret-tool" not in repr([e.fact for e in desk.events if not getattr(e.fact, "items", ())])


def test_several_moves_of_one_reply_are_several_epochs_and_share_the_room() -> None:
    desk = Desk(policy=policy(steps=5)).ask().came(a_plan({}, {}), call_of("search", query="y"), call_of("search", query="z"))
    assert patches(desk)[1:] == [("plan", ["st2 search", "st3 search"]), ("called by the model", ["st4 search"])]
    assert [p.epoch for p in desk.facts(PlanPatched)] == [1, 2, 3]
    assert refusals(desk) == [("steps", "The plan has no room for another step.")]
    assert desk.turn.spent.steps == 4


def test_two_plans_of_one_reply_share_the_room() -> None:
    more = call_of("revise", reason="x", add=[{"id": f"r{n}", "tool": "search", "arguments": {"query": "y"}} for n in (0, 1)])
    desk = Desk(policy=policy(steps=5)).ask().came(a_plan({}, {}), more)
    assert patches(desk)[1:] == [("plan", ["st2 search", "st3 search"]), ("revise", ["st4 search"])]
    assert refusals(desk) == [("contracted", "The plan had no room for the steps r1; they were left out.")]


def test_calls_of_tools_are_numbered_on() -> None:
    desk = Desk().ask().came(call_of("search", query="x"), call_of("search", query="y"))
    assert patches(desk)[1:] == [("called by the model", ["st2 search", "st3 search"])]


def test_a_call_of_a_tool_needs_room() -> None:
    desk = Desk(policy=policy(steps=2)).ask().came(call_of("search", query="x"))
    assert [code for code, _ in refusals(desk)] == ["steps"]
    assert [p for p, _ in patches(desk)] == ["begin", "finish: budget"]


def test_a_call_of_a_tool_becomes_a_step() -> None:
    desk = Desk().ask().came(Text("Let me look."), call_of("search", query="x"))
    assert patches(desk)[1] == ("called by the model", ["st2 search"])
    (call,) = desk.open()
    move = plan.move_of(desk.turn, desk.turn.steps[call.step].spec)
    assert move == ToolCall("search", {"query": "x"})


def test_only_an_answer_may_end_a_turn_that_ends() -> None:
    desk = Desk(policy=policy(steps=1)).ask().came(call_of("search", query="x"), a_plan({}), call_of("ask_user", question="?"))
    assert [code for code, _ in refusals(desk)] == ["not offered"] * 3
    assert [p for p, _ in patches(desk)] == ["finish: budget"]
    assert (desk.facts(TurnEnded)[0].outcome, desk.facts(TurnEnded)[0].reason) == ("failed", "no model could answer")


# --- questions ---------------------------------------------------------------------------------------------------------


def test_a_question_to_the_user_is_a_step_that_waits() -> None:
    desk = Desk().ask().came(call_of("ask_user", question="Which?"))
    assert patches(desk)[1] == ("asked by the model", ["st2 ask_user"])
    (asked,) = desk.facts(Asked)
    assert asked == Asked("t1.st2", "st2", "question", NOW + Policy().parked_ms)


def test_a_question_takes_the_last_room_and_the_next_number() -> None:
    last = Desk(policy=policy(steps=3)).ask().came(call_of("ask_user", question="Which?"))
    assert [a.step for a in last.facts(Asked)] == ["st2"]
    beside = Desk(policy=policy(steps=4)).ask().came(a_plan({}), call_of("ask_user", question="Which?"))
    assert [a.step for a in beside.facts(Asked)] == ["st3"]
    crowded = Desk(policy=policy(steps=3)).ask().came(a_plan({}), call_of("ask_user", question="Which?"))
    assert crowded.facts(Asked) == [] and [code for code, _ in refusals(crowded)] == ["steps"]


def test_one_question_at_a_time() -> None:
    desk = Desk().ask().came(call_of("ask_user", question="Which?"), call_of("ask_user", question="When?"))
    assert len(desk.facts(Asked)) == 1
    assert [code for code, _ in refusals(desk)] == ["second question"]


def test_a_question_needs_room_in_the_plan() -> None:
    desk = Desk(policy=policy(steps=2)).ask().came(call_of("ask_user", question="Which?"))
    assert [code for code, _ in refusals(desk)] == ["steps"]
    assert desk.facts(Asked) == []
    desk.came(an_answer("Five."), verdicts=(OK,))
    assert desk.facts(TurnEnded)[0].outcome == "completed" and desk.facts(TurnEnded)[0].spent.steps == 2


@given(st.lists(st.text(max_size=20), max_size=4), st.integers(0, 400))
def test_of_an_answer_that_is_not_finished_the_whole_sentences_are_known(texts: list[str], cut: int) -> None:
    sentences = [{"text": text, "citations": [{"source": "a", "quote": text}]} for text in texts]
    told = json.dumps({"gaps": [], "sentences": sentences, "value": {"sentences": [{"text": "no"}]}})
    found = reply.finished(told[:cut])
    assert [s.text for s in found] == texts[: len(found)]
    assert [s.text for s in reply.finished(told)] == texts


@pytest.mark.parametrize(
    "told", ["", "{", '{"sentences"', '{"sentences": [', '{"sentences": [{"txt": 1}, {"text": "a"}]}', "[" * 10_000]
)
def test_of_what_is_no_answer_no_sentence_is_known(told: str) -> None:
    assert reply.finished(told) == ()
