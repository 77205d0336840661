"""Which sessions this process drives: at most one drive a session, started again if something came in as it ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection

from standpipe.engine.drive import Result, Setup
from standpipe.engine.lease import drive_leased
from standpipe.engine.parking import CRASHES_MAX, park
from standpipe.errors import StandpipeError, StoreError

AGAIN_S = 2.0
"""How long after the store failed a session is driven again, whoever waits for it or not: so that its turn comes to an end."""


class Drives:
    """The drives of this process. `start` is cheap and may be called as often as one likes."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._tasks: dict[str, asyncio.Task[bool]] = {}
        self._again: set[str] = set()
        self._troubles: dict[str, Exception] = {}
        self._bugs: dict[str, tuple[int, int]] = {}
        self._suspects = asyncio.Lock()
        self._unrecorded: dict[str, list[Result]] = {}
        self._closed = False
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
        elif not self._closed:
            self._troubles.pop(session, None)
            self._tasks[session] = task = asyncio.ensure_future(self._run(session))
            task.add_done_callback(lambda _: self._forget(session, task))

    def watch(self, session: str) -> asyncio.Future[bool]:
        """The drive of the session, started again if it ended (its lease was lost, say); in the end it says whether it failed.
        Raises what it ended with before (StoreError, or a bug) until it is started again, and StoreError once all is closed."""
        self._check(session)
        if self._closed:
            raise StoreError("The house is closed; open it again to go on.")
        if session not in self._tasks:
            self.start(session)
        return self._tasks[session]

    async def settled(self, session: str) -> None:
        """Wait until this process does not drive the session. Raises what its drive ended with."""
        while (task := self._tasks.get(session)) is not None:
            await asyncio.wait({task})
        self._check(session)

    def _check(self, session: str) -> None:
        trouble = self._troubles.get(session)
        if trouble is not None:
            raise trouble

    async def close(self) -> None:
        """Let go of all sessions; their logs say where to go on."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _try_again(self, session: str) -> None:
        """Go on where the store failed, unless somebody has done so."""
        if session in self._troubles:
            self.start(session)

    def _forget(self, session: str, task: asyncio.Task[bool]) -> None:
        """One that was cancelled before it began could not say so itself."""
        if self._tasks.get(session) is task:
            del self._tasks[session]

    async def _run(self, session: str) -> bool:
        unrecorded = self._unrecorded.pop(session, [])
        try:
            if self.began is not None:
                seq, _ = await self._setup.ports.log.heads(session)
                self.began(session, seq)
            while True:
                self._again.discard(session)
                await drive_leased(self._setup, session, unrecorded, self._suspects)
                self._bugs.pop(session, None)
                if session not in self._again:
                    return False
        except Exception as trouble:
            self._troubles[session] = trouble
            if isinstance(trouble, StoreError) and not self._closed:  # nobody else may: the lease may still be ours
                asyncio.get_running_loop().call_later(AGAIN_S, self._try_again, session)
            if not isinstance(trouble, StandpipeError):
                await self._blame(session, trouble)
            if unrecorded:
                self._unrecorded[session] = unrecorded
            return True
        finally:
            self._tasks.pop(session, None)
            self._again.discard(session)

    async def _blame(self, session: str, bug: Exception) -> None:
        """A drive broke off with a bug; when it does so again and again at one place of the log, the session is parked."""
        with contextlib.suppress(StoreError):
            seq, _ = await self._setup.ports.log.heads(session)
            place, times = self._bugs.get(session, (seq, 0))
            self._bugs[session] = (seq, times + 1 if place == seq else 1)
            if self._bugs[session][1] >= CRASHES_MAX:
                del self._bugs[session]
                what = f"driving it broke off with {type(bug).__name__} {CRASHES_MAX} times at the same place of its log"
                await park(self._setup, session, what)
