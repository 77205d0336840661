"""Which share of a session each fact and item belongs to: a turn, or a scope of it, by name (`t2`, `t2.st4.a1`)."""

from __future__ import annotations

from standpipe.core import events as e
from standpipe.core.ids import scope_of


class Shares:
    """One pass over a session's facts in order; `owner` tells the share of every item that came by."""

    def __init__(self) -> None:
        """Nothing has come by yet."""
        self.turn = ""
        self.owner: dict[str, str] = {}

    def take(self, fact: e.Fact) -> str:
        """The share that the next fact stands in. The task that begins a scope is the scope's, its result is not."""
        self.turn = fact.turn if isinstance(fact, e.TurnStarted) else self.turn
        home = self._home(fact)
        owner = fact.scope if isinstance(fact, e.ScopeStarted) else home
        self.owner |= {item.id: owner for item in getattr(fact, "items", ())}
        return home

    def _home(self, fact: e.Fact) -> str:
        match fact:
            case e.AnswerJudged():
                return self.owner.get(fact.call_item, self.turn)
            case e.ItemsWithdrawn():
                return next((self.owner[id] for id in fact.ids if id in self.owner), self.turn)
            case e.CallRefused(step="", items=items):
                return self.owner.get(items[0].answers, self.turn) if items else self.turn
            case e.CallRefused(step=step) | e.StepEnded(step=step):
                name = f"{self.turn}.{step}"
            case _:
                named = (getattr(fact, field, "") for field in ("turn", "call", "ask", "scope"))
                name = next(filter(None, named), self.turn)
        return name if hasattr(fact, "turn") else scope_of(name) or name.partition(".")[0]
