"""Who waits for a log to grow, within one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Waiters:
    """Futures by session. A wake-up says only "look again"; waiters look at the log themselves."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._by_session: dict[str, set[asyncio.Future[None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_session)

    async def sleep(self, session: str, seconds: float) -> None:
        """Until the session is woken, or for so long. Raises what `fail` was given."""
        future = asyncio.get_running_loop().create_future()
        waiting = self._by_session.setdefault(session, set())
        waiting.add(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return
        finally:
            waiting.discard(future)
            if not waiting and self._by_session.get(session) is waiting:
                del self._by_session[session]

    def wake(self, sessions: Iterable[str]) -> None:
        """Resume everybody who waits for one of these."""
        for session in sessions:
            for future in self._by_session.get(session, ()):
                if not future.done():
                    future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Resume everybody with an error."""
        for waiting in self._by_session.values():
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
