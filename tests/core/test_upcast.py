"""Frames of other versions: older ones are mapped step by step, later ones are told in a sentence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from standpipe.core.events import VERSION, Event, Frame, MemoryKept, WorldRecord
from standpipe.core.frames import decode_frame, encode_frame
from standpipe.core.upcast import Unreadable, upcast

FRAME = Frame(1, 5, "here", "rules", WorldRecord(), (Event(1, "runtime", (), MemoryKept("t1")),))
STORED = (
    b'{"first_seq":1,"at":5,"by":"here","rules":"rules","world":{},'
    b'"events":[[1,"runtime",[],{"type":"MemoryKept","turn":"t1"}]]}'
)


def test_a_frame_of_the_first_version_does_not_name_it() -> None:
    assert encode_frame(FRAME) == STORED
    assert decode_frame(STORED) == upcast(STORED) == FRAME


def renamed(raw: dict[str, Any]) -> dict[str, Any]:
    return raw | {"by": raw["who"]}


def counted(raw: dict[str, Any]) -> dict[str, Any]:
    return raw | {"at": raw["at"] * 1000}


def test_an_older_frame_goes_through_every_step_in_between() -> None:
    old = STORED.replace(b'"by"', b'"who"')
    third = upcast(old, 3, {1: renamed, 2: counted})
    assert (third.by, third.at, third.version) == ("here", 5000, 3)
    second = upcast(STORED[:-1] + b',"version":2}', 3, {2: counted})
    assert (second.by, second.at, second.version) == ("here", 5000, 3)


def test_a_later_frame_is_told_in_a_sentence() -> None:
    later = STORED[:-1] + b',"version":%d}' % (VERSION + 1)
    with pytest.raises(Unreadable, match=f"written in version {VERSION + 1}, and this is version {VERSION}"):
        decode_frame(later)


def test_a_fact_that_nobody_knows_yet_is_named() -> None:
    with pytest.raises(Unreadable, match=r"a fact that this version does not know \(MemoryLost\)"):
        decode_frame(STORED.replace(b"MemoryKept", b"MemoryLost"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", STORED[:-2], STORED.replace(b'"at":5', b'"at":"5"')])
def test_what_never_was_a_frame_is_none(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError) as told:
        decode_frame(data)
    assert not isinstance(told.value, Unreadable)
