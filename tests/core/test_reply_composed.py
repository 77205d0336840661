"""What is composed of an accepted answer, and that the rules keep their limits whatever a model says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.desk import Desk, an_item, bare_turn, call_of, passage, policy, question_item, source, with_items
from tests.core.replies import BAD, CITED, OK, a_plan, an_answer

from standpipe.core import reply
from standpipe.core.control import CONTROL
from standpipe.core.events import (
    AnswerJudged,
    CallRefused,
    TurnEnded,
)
from standpipe.core.items import (
    Answer,
    Checked,
    Draft,
    Gap,
    Item,
    Label,
    Passage,
    Text,
    ToolCall,
)

# --- what is composed --------------------------------------------------------------------------------------------------


def test_the_label_of_an_answer_joins_those_of_all_its_words() -> None:
    planned = Draft(a_plan({}, parts=["x", "y"]), Label((source("plan.md"),)))
    answered = Draft(an_answer("Five."), Label((source("a.md"),)))
    desk = Desk().ask().came(planned).came(passage("a.md", "five")).came(answered, Checked(((CITED,),)), verdicts=(OK,))
    (ended,) = desk.facts(TurnEnded)
    assert ended.items[0].label.sources == (source("a.md"), source("plan.md"))
    body = ended.items[0].body
    assert isinstance(body, Answer) and body.gaps == (Gap("No checked sentence answers: y", 1),)


def test_parts_are_those_of_the_question_where_no_plan_names_any() -> None:
    turn = with_items(bare_turn(), question_item("Why?"), an_item("4.0", call_of("plan", steps=[], parts=["a", "b"])))
    assert reply.parts_of(turn) == ("Why?",)
    turn.parts_item = "4.0"
    assert reply.parts_of(turn) == ("a", "b")


def test_parts_of_a_plan_that_was_withdrawn_are_gone() -> None:
    desk = Desk().ask("Why?").came(Draft(a_plan({}, parts=["x", "y"]), Label((source("plan.md"),))))
    desk.denied = {source("plan.md")}
    desk.run()
    assert reply.parts_of(desk.turn) == ("Why?",)


def test_what_a_move_is_told_carries_the_label_of_the_move() -> None:
    secret = Label((source("a.md"),))
    desk = Desk().ask().came(Draft(call_of("plan", steps="x"), secret), Draft(an_answer("Five."), secret), verdicts=(BAD,))
    told: list[Item] = [i for f in desk.facts(CallRefused) for i in f.items] + [
        i for f in desk.facts(AnswerJudged) for i in f.items
    ]
    assert len(told) == 2 and all(i.label == secret and i.origin == "runtime" for i in told)
    assert [i.answers for i in told] == ["6.0", "6.1"] and all(i.id.endswith(".0") for i in told)


# --- whatever a model says ---------------------------------------------------------------------------------------------

names = st.sampled_from(["id", "tool", "arguments", "text"])
values = st.recursive(
    st.none() | st.integers(-1, 3) | st.sampled_from(["p0", "p1", "search", "answer", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
moves = st.one_of(
    st.builds(
        ToolCall,
        st.sampled_from([*CONTROL, "search", "read", "put", "send", "nothing"]),
        st.dictionaries(
            st.sampled_from(["steps", "add", "parts", "sentences", "gaps", "question", "query", "source", "reason"]),
            values,
            max_size=4,
        ),
    ),
    st.builds(Text, st.sampled_from(["", "Hm."])),
    st.just(a_plan({}, {"after": ["p0"]})),
    st.just(call_of("ask_user", question="?")),
    st.just(call_of("search", query="x")),
    st.just(call_of("send")),
)


@settings(max_examples=50)
@given(st.lists(st.lists(moves, max_size=4), max_size=5), st.integers(1, 6))
def test_whatever_a_model_says_the_rules_keep_their_limits_and_go_on(said: list[list[ToolCall | Text]], steps: int) -> None:
    desk = Desk(policy=policy(steps=steps)).ask(folders=("f",))
    for bodies in said:
        if desk.state.turn is None or not desk.open():
            break
        if desk.open()[0].route is None:
            desk.came(Passage("a.md", "v1", "five", folder="f", score=0.5))
        else:
            desk.came(*bodies)
        turn = desk.state.turn
        if turn is not None:
            assert (turn.spent + turn.held).short(turn.limits.amounts) == ""
            assert turn.open or turn.parked_at or any(not a.outcome for a in turn.asks.values())
    placed = [(e.seq, item.id) for e in desk.events for item in getattr(e.fact, "items", ())]
    assert len({id for _, id in placed}) == len(placed)
    assert all(id.split(".")[0] == str(seq) for seq, id in placed)
