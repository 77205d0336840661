"""What every test stands on: no network, the same random examples each time, and where the real documents are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = {"127.0.0.1", "::1", "localhost"}

# A busy machine is no failure, and a red run means the same for whoever repeats it.
settings.register_profile("standpipe", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("standpipe")


def _refuse_the_network(event: str, args: tuple[object, ...]) -> None:
    """An audit hook: a connection that would leave this machine is an error, in whatever library it begins."""
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in LOOPBACK:
        raise AssertionError(f"a test tried to reach {args[1][0]}")


sys.addaudithook(_refuse_the_network)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder with corpora of real documents: STANDPIPE_CORPORA, or beside the checkout; skipped where there is none."""
    folder = Path(os.environ.get("STANDPIPE_CORPORA", ROOT / ".." / "shared" / "corpora")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no corpora at {folder}")
    return folder
