"""What was withdrawn stays so for whoever had been shown it, also once it may be read again."""

from __future__ import annotations

from tests.core.desk import Desk, call_of, passage, source

from standpipe.core.events import AnswerJudged, CallGranted, ItemsWithdrawn


def test_a_reply_to_what_was_withdrawn_is_not_heard_though_it_may_be_read_again() -> None:
    desk = Desk().ask(folders=("f",)).came(passage("x", "About x.", score=1.0))
    desk.came(call_of("read", source="a")).came(passage("a", "The limit is 3."))
    shown = desk.open()[0].id
    desk.denied, desk.revision = {source("a")}, 2
    desk.run()
    desk.denied, desk.revision = set(), 3
    desk.came(call_of("answer", sentences=[{"text": "It is 3."}]), call=shown)

    assert [(w.sources, w.revision) for w in desk.facts(ItemsWithdrawn)] == [((source("a"),), 2), ((), 3)]
    assert desk.facts(AnswerJudged) == []
    assert [g.call for g in desk.facts(CallGranted)][-1] == "t1.st4.a2"
