"""The verb serve: opens the port, takes up what was left unfinished, serves until it is told to stop, and lets go cleanly."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn

from standpipe.engine.house import House
from standpipe.entrypoints.asking import told_of
from standpipe.entrypoints.exits import DONE
from standpipe.entrypoints.http.app import app
from standpipe.entrypoints.http.auth import Door, check_host
from standpipe.entrypoints.http.connections import Patience, connection
from standpipe.entrypoints.http.front import Front
from standpipe.entrypoints.http.problems import place_of
from standpipe.entrypoints.output import say, say_json, trouble
from standpipe.errors import StandpipeError, UsageError
from standpipe.ports import SessionRow
from standpipe.settings import Key

BACKLOG = 512
SEND_BYTES = 262_144
"""What the system keeps for a client that has not taken it yet; left to itself it would keep megabytes."""
LOOK_AFTER_S = 10.0
"""How often unfinished sessions that do not move are taken up: a person's time to answer may be over, another process gone."""


async def serve(house: House, keys: Sequence[Key] | None, address: tuple[str, int], docs: Sequence[Path], *, json: bool) -> int:
    """Serve until SIGTERM or Ctrl-C.

    Raises UsageError for an address that others can reach while there are no keys, or a folder that cannot be used, and
    StandpipeError for one that is taken.
    """
    check_host(address[0], keys)
    door = Door(keys)
    with listening(*address) as sock:
        patience = Patience()
        front = Front(house, door, await folders_of(house, door, docs), patience.ping_s)
        async with running(front, sock, patience) as server:
            url = url_of(sock)
            say_json({"url": url}) if json else say(f"serving on {url}; its operations are at {url}/openapi.json")
            await _told_to_stop(server)
    return DONE


async def folders_of(house: House, door: Door, docs: Sequence[Path]) -> dict[str, list[str]]:
    """The folders' ids by tenant, indexed as they are now; what of them cannot be used is told. Raises UsageError."""
    folders: dict[str, list[str]] = {tenant: [] for tenant in door.tenants}
    for path in docs:
        synced = {tenant: await house.sync(path, tenant) for tenant in folders}
        for sentence in filter(None, {told_of(path, one) for one in synced.values()}):
            trouble(sentence)
        for tenant, one in synced.items():
            folders[tenant].append(one.folder)
    return folders


class Server(uvicorn.Server):
    """uvicorn's server, its signals left to us: being told to stop is no failure here."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.over = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def abandon(self) -> None:
        """Cut what connections are still there."""
        for left in list(self.server_state.connections):
            left.transport.abort()


@asynccontextmanager
async def running(front: Front, sock: socket.socket, patience: Patience) -> AsyncIterator[Server]:
    """Serve on a listening socket while this is entered; at the end streams are closed, and turns are let go of."""
    server = Server(
        uvicorn.Config(
            app(front),
            http=connection(patience),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=max(1, round(patience.stop_s)),
        )
    )
    serving = asyncio.ensure_future(server.serve(sockets=[sock]))
    serving.add_done_callback(lambda _: server.over.set())
    front.metrics.connections = server.server_state.connections
    keeping = asyncio.ensure_future(_look_after(front))
    try:
        yield server
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        front.stopping.set()
        server.should_exit = True
        await serving
        server.abandon()
        await asyncio.sleep(0)


async def _told_to_stop(server: Server) -> None:
    """Wait for the first SIGTERM or Ctrl-C, or the server's own end; whoever insists is not kept waiting for connections."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.force_exit = server.over.is_set()
        server.over.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await server.over.wait()


async def _look_after(front: Front) -> None:
    """Take up every unfinished session: at first all of them, later those in which nothing happened since the last look.
    What was driven meanwhile is counted, so that nothing piles up where nobody asks for numbers."""
    before: dict[str, SessionRow] = {}
    while True:
        try:
            await front.metrics.count()
            rows = await front.house.left_to_do()
            for row in rows:
                if not before or before.get(row.session) == row:
                    await _take_up(front.house, row)
            before = {row.session: row for row in rows}
        except StandpipeError as error:
            trouble(str(error))
        except Exception as bug:
            trouble(place_of(bug))
        await asyncio.sleep(LOOK_AFTER_S)


async def _take_up(house: House, row: SessionRow) -> None:
    if row.state == "parked" and (row.wakes_at is None or row.wakes_at > house.ports.clock()):
        return
    await house.resume(row.session)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens. Raises UsageError for what is no address, StandpipeError for one that cannot be had."""
    if not 0 <= port <= 65_535:
        raise UsageError(f"{port} is no port: give one from 1 to 65535, or 0 for any that is free.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UsageError(f"{host} is no address of this machine: give one such as 127.0.0.1.") from None
    family, kind, protocol, _, where = found[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        try:
            sock.bind(where)
            sock.listen(BACKLOG)
        except OSError as error:
            what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
            raise StandpipeError(f"Port {port} of {host} {what}: choose another with --port.") from None
        sock.setblocking(False)
        yield sock


def url_of(sock: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
