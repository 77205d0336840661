"""Who a process is, and whether one that holds a lease is still there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from standpipe.ports import Owner

_PROC = Path("/proc")


def current_owner() -> Owner:
    """This process. The host is named with its pid namespace, because a pid says nothing in another one."""
    pid = os.getpid()
    return Owner(host=_host(), pid=pid, started=_started(pid) or "")


def dead(owner: Owner) -> bool:
    """Whether the process is certainly gone: one of this host whose pid nobody has, or somebody who started at another time.

    Of another host nothing is known; its lease has to lapse.
    """
    if owner.host != _host():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's process: it exists
    started = _started(owner.pid)
    return started is not None and started != owner.started


def _host() -> str:
    try:
        namespace = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {namespace}".strip()


def _started(pid: int) -> str | None:
    """When a process started, as "boot:ticks"; "" for a zombie, which runs no more; None where the system does not say.

    Fields of /proc/PID/stat: proc(5); the name in parentheses may hold spaces and parentheses itself.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in "ZX" else f"{boot}:{fields[19]}"
