"""What a pod is given to reach its operator: names, a token, authorities; each may change.

Read by the links of the feed at every connection, because kubelet replaces projected tokens and
mounted ConfigMaps in place. Promises: an unreadable file is a `Missing` with a reason that names
it, and the next connection tries again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from portico_ir.secrets import Redacted


class Missing(Exception):
    """A file or name is not there yet; the message says which."""


class Address(NamedTuple):
    """One operator replica."""

    name: str
    """What its certificate is for."""
    host: str
    """IP address."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Addresses(Protocol):
    """Where the operators are."""

    async def resolve(self) -> Sequence[Address]:
        """Every replica; raises `Missing` when that cannot be told now."""
        ...


class Resolver:
    """Addresses by DNS: a headless Service has one for each ready replica."""

    def __init__(self, operators: Sequence[str]) -> None:
        self._operators = [split(operator) for operator in operators]

    async def resolve(self) -> Sequence[Address]:
        """Every address of every name."""
        found: dict[Address, None] = {}
        failures: list[str] = []
        loop = asyncio.get_running_loop()
        for name, port in self._operators:
            try:
                infos = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:  # not a name at all
                failures.append(f"{name}: {_why(error)}")
                continue
            found.update((Address(name, str(info[4][0]), port), None) for info in infos)
        if not found:
            raise Missing("; ".join(failures))
        return list(found)


def split(operator: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPv6]:PORT`; ValueError for anything else."""
    host, _, port = operator.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or (":" in host) != operator.startswith("[") or not port.isascii():
        raise ValueError(f"{operator!r} is not HOST:PORT")
    if not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError(f"{operator!r} is not HOST:PORT")
    return host, int(port)


class TokenFile:
    """The projected token."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def read(self) -> Redacted:
        """The token of this moment."""
        try:
            token = self._path.read_text("ascii").strip()
        except (OSError, ValueError) as error:
            raise Missing(f"token {self._path}: {_why(error)}") from error
        if not token:
            raise Missing(f"token {self._path}: empty")
        return Redacted(token)


class TrustFile:
    """The bundle of authorities."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """A client's context that trusts what the file holds now, and nothing else."""
        try:
            status = os.stat(self._path)
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if self._context is None or seen != self._seen:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.minimum_version = ssl.TLSVersion.TLSv1_3
                context.load_verify_locations(cafile=self._path)
                self._seen, self._context = seen, context
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise Missing(f"authorities {self._path}: {_why(error)}") from error
        return self._context


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
