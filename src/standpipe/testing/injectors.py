"""What may strike a simulated process, where, and which states of a session it met when it did.

Each seed arms some of the injectors and leaves the others out, so that one fault does not hide another (swarm testing: Groce
et al., ISSTA 2012). Whether one strikes is drawn from the seed at every boundary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from standpipe.core.pending import open_turns, performed
from standpipe.core.state import Call, State
from standpipe.testing.scenario import chance

ALL = "append", "appended", "read", "claim", "release", "wait", "balances", "search", "remember", "told", "acted"
"""The boundaries at which things may happen: before and after an append, at other uses of the store, and when a model or a
tool has done what it does. `model` and `tool` are those at which it is asked."""
_STORE = "append", "appended", "read", "claim", "release", "wait", "balances", "search", "remember"

INJECTORS: Mapping[str, tuple[str, ...]] = {
    "crash": (*ALL, "model", "tool"),
    "stop": ALL,
    "cancel": ALL,
    "delay": ALL,
    "error": _STORE,
    "clock jump": ALL,
    "revocation": ALL,
    "duplicate message": ALL,
    "late message": ALL,
    "two workers": ALL,
    "torn write": _STORE,
    "full disk": _STORE,
    "tool error": ("tool", "acted"),
    "tool timeout": ("tool", "acted"),
    "tool garbage": ("acted",),
    "model error": (),
    "model timeout": (),
    "model garbage": (),
    "model overload": (),
    "model bug": (),
}
"""The faults, and at which boundaries each may strike; those of models are drawn where a model is asked, from its scenario."""
CLASSES = tuple(INJECTORS)

STATES = "idle", "planning", "model open", "tool open", "effect open", "scope open", "parked", "recovering"
"""What a session may be in when a fault meets it; several at once. Planning: its turn runs, and nothing is under way."""

ARMED_SHARE = 0.5
TOOL_WEIGHT = 5
"""Tools are called rarely; where one is, it is mostly they that fail."""
RATES = 0.02, 0.08, 0.25
"""How likely something strikes at a boundary, in a seed's share of lives."""


class Injectors:
    """The injectors of one run: what strikes next, and how often each fault met each state."""

    def __init__(self, seed: int, without: Collection[str] = (), *, armed: bool, calm_at: float = float("inf")) -> None:
        """`without` are faults that never happen; nothing is drawn unless `armed`, nor from `calm_at` on (seconds)."""
        self._random = chance(seed, "strikes")
        self._without = frozenset(without)
        swarm = tuple(name for name in CLASSES if self._random.random() < ARMED_SHARE) or CLASSES
        self._armed = tuple(name for name in swarm if name not in self._without) if armed else ()
        self._rate = self._random.choice(RATES)
        self.calm_at = calm_at
        self.met: dict[str, Counter[str]] = {name: Counter() for name in CLASSES}

    def draw(self, place: str, now: float) -> str:
        """What strikes at this boundary; empty for nothing. `now` in seconds from the start."""
        if not self._armed or now >= self.calm_at or self._random.random() >= self._rate:
            return ""
        fitting = [f for f in self._armed if place in INJECTORS[f] for _ in range(TOOL_WEIGHT if f.startswith("tool") else 1)]
        return self._random.choice(fitting) if fitting else ""

    def allows(self, fault: str) -> bool:
        """Whether this fault may happen at all."""
        return fault not in self._without

    def strikes(self, fault: str, states: Collection[str]) -> None:
        """A fault happens to a session that is in these states."""
        self.met[fault].update(states)

    def told(self) -> dict[str, dict[str, int]]:
        """How often each fault met each state, all of them named."""
        return {fault: {state: met[state] for state in STATES} for fault, met in self.met.items()}


def states_of(state: State, effects: Mapping[str, str], granted: Mapping[str, bool]) -> list[str]:
    """What a session is in. `effects` are those of tools by name; `granted` says of calls whether who performs one lives."""
    if state.turn is None:
        return ["idle"]
    found = [_kind(call, effects) for turn in open_turns(state) for call in performed(turn)]
    found += ["parked"] if state.turn.parked_at else []
    found += ["scope open"] if state.turn.scopes else []
    found += ["recovering"] if any(not granted.get(call.id, True) for call in _open(state)) else []
    return list(dict.fromkeys(found)) or ["planning"]


def _open(state: State) -> Iterator[Call]:
    return (call for turn in open_turns(state) for call in performed(turn))


def _kind(call: Call, effects: Mapping[str, str]) -> str:
    if call.route is not None:
        return "model open"
    return "tool open" if effects.get(call.target, "read") == "read" else "effect open"
