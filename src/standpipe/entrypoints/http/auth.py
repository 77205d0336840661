"""On whose behalf a request is: the principal of its key, or, where only this machine can connect, the one it names."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple

from starlette.datastructures import Headers

from standpipe.entrypoints.http.problems import Wrong
from standpipe.entrypoints.options import TENANT, USER
from standpipe.entrypoints.session import principal_named
from standpipe.errors import UsageError
from standpipe.settings import Key

_ODD = re.compile(r"[\s/@#\x00-\x1f]")
PRINCIPAL, PRINCIPAL_CHARS = r"^[a-z][a-z0-9_-]*:[!-\"$-)+-.0-?A-~]+$", (3, 200)
"""What a header can name: a type and an id of visible ASCII without `#`, `*`, `/` and `@`."""
CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Caller(NamedTuple):
    """Who asks, and who pays."""

    tenant: str
    principal: str


LOCAL = Caller(TENANT, USER)


class Door:
    """Tells who a caller is. `keys` None: nobody can connect but from this machine, and whoever does is believed."""

    def __init__(self, keys: Sequence[Key] | None) -> None:
        """Raises UsageError for a key whose principal or tenant can be none."""
        self.callers = None if keys is None else {key.sha256: _caller(key) for key in keys}

    @property
    def tenants(self) -> list[str]:
        """Whose requests can come in."""
        return sorted({caller.tenant for caller in (self.callers or {"": LOCAL}).values()})

    def caller(self, headers: Headers) -> Caller:
        """The caller of a request with these headers. Raises Wrong."""
        return _named(headers) if self.callers is None else _known(headers, self.callers)


def check_host(host: str, keys: Sequence[Key] | None) -> None:
    """Raises UsageError if others than this machine could come in without a key."""
    if keys is None and not is_local(host):
        raise UsageError(
            f"Whoever can reach {host} could act for anybody: serve on 127.0.0.1, or name keys in [auth] of the policy file."
        )


def is_local(host: str) -> bool:
    """Whether only this machine is reached by this name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _caller(key: Key) -> Caller:
    principal_named(key.principal)
    if _ODD.search(key.principal) or not key.tenant or _ODD.search(key.tenant):
        raise UsageError("[auth]: a tenant or principal is a name without white space, `/`, `@` or `#`.")
    return Caller(key.tenant, key.principal)


def _known(headers: Headers, callers: Mapping[str, Caller]) -> Caller:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    digest = hashlib.sha256(key.strip().encode("latin-1")).hexdigest()
    if scheme.lower() != "bearer" or digest not in callers:
        raise Wrong(HTTPStatus.UNAUTHORIZED, "Send a key that the server knows as `Authorization: Bearer KEY`.", CHALLENGE)
    return callers[digest]


def _named(headers: Headers) -> Caller:
    """The principal that a request from this machine names. A page in a browser that had its own name resolve to this
    machine would come with that name in `Host`."""
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if re.search(r":\d*\Z", host) else host
    if not is_local(name.strip("[]")):
        raise Wrong(HTTPStatus.MISDIRECTED_REQUEST, "Without [auth] the server answers to localhost only.")
    principal = headers.get("x-principal", USER)
    if not re.fullmatch(PRINCIPAL, principal) or len(principal) > PRINCIPAL_CHARS[1]:
        detail = "X-Principal is no principal: expected TYPE:ID, as in user:ana."
        raise Wrong(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "X-Principal"})
    return Caller(TENANT, principal)
