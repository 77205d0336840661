"""What is wrong with stored frames, commits, bodies and parts: every digest made again, every link followed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import NamedTuple

import msgspec

from standpipe.core.events import SessionForked
from standpipe.core.frames import decode_frame, digest_commit
from standpipe.core.ids import digest_bytes
from standpipe.core.upcast import Unreadable


class StoredFrame(NamedTuple):
    """A frame as stored; `id` is its place in the order of all frames of the store."""

    id: int
    session: str
    first_seq: int
    last_seq: int
    digest: str
    data: bytes


class Commit(NamedTuple):
    """A link of the commit chain: it covers the frames after those of the commit before it, up to the one with id `frame`."""

    number: int
    frame: int
    digest: str


def frame_faults(
    frames: Iterable[StoredFrame],
    heads: Mapping[str, tuple[int, str]],
    commits: Iterable[Commit],
    parts: Set[str],
    end: Callable[[str, int], str],
) -> list[str]:
    """A sentence for each fault in the frames (in order of id), their links, their commits, and the heads of the logs.

    `end` tells the digest of the frame of a log that ends at a seq, so that the past of a fork can be held against it.
    """
    faults: list[str] = []
    reached: dict[str, tuple[int, str]] = {}
    links = _Links(commits)
    for frame in frames:
        faults += _faults_of(frame, reached.get(frame.session), parts, end)
        faults += links.take(frame)
        reached[frame.session] = (frame.last_seq, frame.digest)
    faults += links.end()
    for session in sorted(reached.keys() | heads.keys()):
        if reached.get(session, (0, "")) != heads.get(session, (0, "")):
            seq, _ = heads.get(session, (0, ""))
            faults.append(f"Session {session}: its log was written up to seq {seq}, but its frames do not end there.")
    return faults


def fork_faults(forks: Iterable[tuple[str, str, int, bytes | None]]) -> Iterator[str]:
    """A sentence for each fork whose first frame does not say what the store has kept of it: (session, parent, at, frame)."""
    for session, parent, at, data in forks:
        try:
            fact = decode_frame(data or b"").events[0].fact
        except (msgspec.DecodeError, IndexError):
            fact = None
        if not isinstance(fact, SessionForked) or (fact.session, fact.parent, fact.at) != (session, parent, at):
            yield f"Session {session}: it does not say that it was forked from session {parent} at seq {at}."


def content_faults(kind: str, contents: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """A sentence for each content that does not have the digest it is stored under."""
    return (f"The {kind} {digest} has been changed." for digest, data in contents if digest_bytes(data) != digest)


def _faults_of(
    stored: StoredFrame, before: tuple[int, str] | None, parts: Set[str], end: Callable[[str, int], str]
) -> Iterator[str]:
    where = f"Session {stored.session}, frame at seq {stored.first_seq}:"
    if digest_bytes(stored.data) != stored.digest:
        yield f"{where} its bytes have been changed."
    try:
        frame = decode_frame(stored.data)
    except msgspec.DecodeError as error:
        yield f"{where} {error}." if isinstance(error, Unreadable) else f"{where} it cannot be read."
        return
    fork = frame.events[0].fact if frame.events and before is None else None
    seq, prev = before or (0, "")
    if isinstance(fork, SessionForked):
        seq, prev = fork.at, fork.head
        if end(fork.parent, seq) != prev:
            yield f"{where} it was not forked from what session {fork.parent} holds up to seq {seq}."
    seqs = [event.seq for event in frame.events]
    if seqs != list(range(seq + 1, stored.last_seq + 1)) or frame.first_seq != stored.first_seq:
        yield f"{where} it does not follow seq {seq}."
    if frame.prev != prev:
        yield f"{where} it was not written after the frame that stands before it."
    for digest in frame.world.parts.values():
        if digest not in parts:
            yield f"{where} a part of its world is missing ({digest})."


class _Links:
    """The commit chain, followed while the frames pass by."""

    def __init__(self, commits: Iterable[Commit]) -> None:
        self._commits = iter(commits)
        self._next = next(self._commits, None)
        self._prev = ""
        self._heads: list[tuple[str, str]] = []

    def take(self, frame: StoredFrame) -> Iterator[str]:
        """The faults that show when this frame comes next."""
        while self._next is not None and self._next.frame < frame.id:
            yield from self._close(self._next)
        self._heads.append((frame.session, frame.digest))

    def end(self) -> Iterator[str]:
        """The faults that show when there are no more frames."""
        while self._next is not None:
            yield from self._close(self._next)
        if self._heads:
            yield f"{len(self._heads)} frames at the end belong to no commit: the commit chain was cut."

    def _close(self, commit: Commit) -> Iterator[str]:
        if digest_commit(self._prev, self._heads) != commit.digest:
            yield f"Commit {commit.number}: what it wrote is not what is there now."
        self._prev, self._heads = commit.digest, []
        self._next = next(self._commits, None)
