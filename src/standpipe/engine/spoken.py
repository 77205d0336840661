"""What answers have said so far: checked sentences of calls that are still open in this process, for those who listen.

It is the one thing shown that stands in no log: a sentence is said once it is finished and its checks passed, and counts no
more when its call is over. What is kept is the log's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from standpipe.core.control import AnswerSentence
from standpipe.core.items import Label
from standpipe.core.reply import finished


class Line(msgspec.Struct, frozen=True):
    """All that a call has said so far, and what it derives from."""

    label: Label
    text: str


class Spoken:
    """The lines of open calls, by session."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[str, Line]] = {}
        self._listening: dict[str, set[asyncio.Future[None]]] = {}

    def of(self, session: str) -> Mapping[str, Line]:
        """What the open calls of a session have said."""
        return self._lines.get(session, {})

    def say(self, session: str, call: str, label: Label, sentence: str) -> None:
        """A call says one more sentence."""
        lines = self._lines.setdefault(session, {})
        before = lines[call].text if call in lines else ""
        lines[call] = Line(label, f"{before}{sentence}\n")
        for listener in self._listening.pop(session, ()):
            if not listener.done():
                listener.set_result(None)

    def over(self, session: str, call: str) -> None:
        """A call is over: what it said is no longer said."""
        lines = self._lines.get(session, {})
        lines.pop(call, None)
        if not lines:
            self._lines.pop(session, None)

    def news(self, session: str) -> asyncio.Future[None]:
        """Done when something more is said in the session. Cancel it when nobody waits for it any more."""
        listener: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listening.setdefault(session, set()).add(listener)
        listener.add_done_callback(lambda done: self._forget(session, done))
        return listener

    def _forget(self, session: str, listener: asyncio.Future[None]) -> None:
        others = self._listening.get(session, set())
        others.discard(listener)
        if not others:
            self._listening.pop(session, None)


class Speaking:
    """Hears the arguments of one `answer` call as they come, and hands on each finished sentence that `judge` lets pass.

    Nothing runs before anything is heard.
    """

    def __init__(self, judge: Callable[[AnswerSentence], Awaitable[bool]], say: Callable[[str], None]) -> None:
        self._judge, self._say = judge, say
        self._more = asyncio.Event()
        self._arguments = ""
        self._ends = 0
        self._task: asyncio.Task[None] | None = None

    def hear(self, arguments: str) -> None:
        """The arguments as far as they have come."""
        ends = arguments.count("}")
        if ends == self._ends:
            return
        self._arguments, self._ends = arguments, ends
        self._more.set()
        if self._task is None:
            self._task = asyncio.ensure_future(self._speak())

    async def close(self) -> None:
        """Nothing more is said."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _speak(self) -> None:
        said = 0
        while True:
            await self._more.wait()
            self._more.clear()
            for sentence in finished(self._arguments)[said:]:
                said += 1
                if await self._judge(sentence):
                    self._say(sentence.text)
