"""Who listens to a log, within one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from standpipe.core.events import Frame
from standpipe.ports import Hear


class Listeners:
    """Who wants to hear of each session."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._by_session: dict[str, dict[object, Hear]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_session)

    def listen(self, session: str, hear: Hear) -> Callable[[], None]:
        """Have `hear` told of the session, until what is returned is called."""
        key = object()
        self._by_session.setdefault(session, {})[key] = hear

        def stop() -> None:
            others = self._by_session.get(session, {})
            others.pop(key, None)
            if not others:
                self._by_session.pop(session, None)

        return stop

    def tell(self, session: str, frame: Frame | None) -> None:
        """The log has grown: by this frame, or by what somebody else wrote."""
        heard = self._by_session.get(session)
        if heard:
            for hear in tuple(heard.values()):
                hear(frame)

    def stir(self, sessions: Iterable[str] | None = None) -> None:
        """Have all who listen to these sessions, or to any, look for themselves."""
        for session in tuple(self._by_session) if sessions is None else sessions:
            self.tell(session, None)

    async def sleep(self, session: str, seconds: float) -> None:
        """Until something is heard of the session, or for so long."""
        rung = asyncio.get_running_loop().create_future()
        stop = self.listen(session, lambda _: None if rung.done() else rung.set_result(None))
        try:
            async with asyncio.timeout(seconds):
                await rung
        except TimeoutError:
            return
        finally:
            stop()
