"""The rules of an append and of a lease, as functions of what the store holds: every implementation asks these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from standpipe.core.amounts import Balance, Move
from standpipe.core.events import VERSION, Event, Frame, SessionForked
from standpipe.core.frames import decode_frame, encode_frame, strip
from standpipe.core.upcast import Unreadable
from standpipe.errors import StoreError
from standpipe.ports import Append, Fenced, Lease, Owner, Short, Stale


class Found(msgspec.Struct, frozen=True):
    """What an append depends on, as the store has it: the log's last seq, the fence in force (0: no lease), the seq of the
    tenant's newest revocation, whether one of its requests was admitted before, and the ledger rows it moves."""

    seq: int
    fence: int
    revoked: int
    repeated: bool
    balances: Mapping[str, Balance]


def prepare(append: Append) -> tuple[bytes, dict[str, bytes]]:
    """The bytes of the frame to be, still without `prev`, and the item bodies by hash that are stored apart from it."""
    assert append.events, "an append without events"
    assert all(event.seq == append.expect_seq + n for n, event in enumerate(append.events, 1)), "seqs with a gap"
    events, bodies = strip(append.events)
    return encode_frame(frame_of(append, events)), bodies


def frame_of(append: Append, events: tuple[Event, ...] | None = None) -> Frame:
    """The frame that an append writes, still without `prev`: with its item bodies, or with these `events` instead."""
    first, events = append.expect_seq + 1, events or append.events
    return Frame(first, append.at, append.by, append.rules, append.world, events, version=VERSION)


def read_back(session: str, stored: Iterable[bytes]) -> list[Frame]:
    """The frames of a session from their stored bytes. Raises StoreError for one that cannot be read."""
    frames: list[Frame] = []
    try:
        frames.extend(map(decode_frame, stored))
    except msgspec.DecodeError as error:
        why = str(error) if isinstance(error, Unreadable) else "its bytes have been changed"
        after = f"behind seq {frames[-1].last_seq}" if frames else "it begins with"
        raise StoreError(f"The log of session {session} has a frame {after} that cannot be read: {why}.") from error
    return frames


def fork_in(append: Append) -> SessionForked | None:
    """What the append says of the past that its session shares, where it begins as a fork; None where it does not."""
    fact = append.events[0].fact
    return fact if isinstance(fact, SessionForked) else None


def refusal(append: Append, found: Found) -> Fenced | Stale | Short | None:
    """Why the append may not be written, or None: first the fence, then the order of the log, then rights, then money."""
    if append.fence is not None and append.fence != found.fence:
        return Fenced(found.fence)
    if append.expect_seq != found.seq or found.repeated:
        return Stale(found.seq)
    if append.access_revision is not None and found.revoked > append.access_revision:
        return Stale(found.seq)
    return short(append.moves, found.balances)


def short(moves: Sequence[Move], balances: Mapping[str, Balance]) -> Short | None:
    """The first account that would end over its limit, unless all moves together only lower it."""
    for account, after in moved(moves, balances).items():
        before = balances[account]
        limits = [move.limit for move in moves if move.account == account and move.limit is not None]
        grows = after.held + after.spent > before.held + before.spent
        if limits and grows and after.held + after.spent > min(limits):
            return Short(account)
    return None


def moved(moves: Sequence[Move], balances: Mapping[str, Balance]) -> dict[str, Balance]:
    """The rows as they are after the moves; `balances` has a row for every account moved."""
    after: dict[str, Balance] = {}
    for move in moves:
        row = after.get(move.account, balances[move.account])
        after[move.account] = Balance(row.held + move.held, row.spent + move.spent)
    assert all(row.held >= 0 and row.spent >= 0 for row in after.values()), "a ledger row below zero"
    return after


def taken(lease: Lease, owner: Owner, times: tuple[int, int], head: int, dead: Callable[[Owner], bool]) -> Lease | None:
    """The lease that `owner` may have where the log's last seq is `head`; `times` are now and until when.

    Its own is renewed; one of nobody alive is taken with the next fence. That its last owner did not give it back counts as a
    crash; how often that happened is forgotten once one gives it back, or the log has grown.
    """
    now, until = times
    if lease.owner == owner:
        return msgspec.structs.replace(lease, until=until)
    if lease.owner is not None and lease.until >= now and not dead(lease.owner):
        return None
    before = lease.crashes if lease.seq == head else 0
    return Lease(lease.fence + 1, until, owner, head, before + 1 if lease.owner is not None else 0)
