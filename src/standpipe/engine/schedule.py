"""Which sessions this process drives: at most one drive a session, started again if something came in as it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from standpipe.engine.drive import Setup
from standpipe.engine.lease import drive_leased


class Drives:
    """The drives of this process. `start` is cheap and may be called as often as one likes."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._tasks: dict[str, asyncio.Task[Exception | None]] = {}
        self._again: set[str] = set()
        self._troubles: dict[str, Exception] = {}
        self.began: Callable[[str, int], None] | None = None
        """Told of each session that this process begins to drive, and of the last seq of its log."""

    @property
    def sessions(self) -> Collection[str]:
        """Those that are driven now."""
        return self._tasks.keys()

    def start(self, session: str) -> None:
        """See to it that the session is driven to where nothing is left to do, whatever has been appended until now."""
        if session in self._tasks:
            self._again.add(session)
        else:
            self._tasks[session] = asyncio.ensure_future(self._run(session))

    async def watch(self, session: str) -> None:
        """Wait until the drive ends, after starting it again if it has (its lease was lost, say).

        Raises what it ended with, now or before (StoreError, or a bug).
        """
        if session not in self._tasks and session not in self._troubles:
            self.start(session)
        await self.settled(session)

    async def settled(self, session: str) -> None:
        """Wait until this process does not drive the session. Raises what its drive ended with."""
        while (task := self._tasks.get(session)) is not None:
            await asyncio.wait({task})
            if not task.cancelled() and (trouble := task.result()) is not None:
                self._troubles.pop(session, None)
                raise trouble
        if (before := self._troubles.pop(session, None)) is not None:
            raise before

    async def close(self) -> None:
        """Let go of all sessions; their logs say where to go on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, session: str) -> Exception | None:
        """Drive the session; what went wrong, for who waits for this and for who looks later."""
        try:
            if self.began is not None:
                seq, _ = await self._setup.ports.log.heads(session)
                self.began(session, seq)
            while True:
                self._again.discard(session)
                await drive_leased(self._setup, session)
                if session not in self._again:
                    return None
        except Exception as trouble:
            self._troubles[session] = trouble
            return trouble
        finally:
            self._tasks.pop(session, None)
            self._again.discard(session)
