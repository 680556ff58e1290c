"""Listening sockets, opened by the supervisor and inherited by workers.

Called before any worker starts. Promises: a port in use is an error that names it, although
the sockets themselves are SO_REUSEPORT (which would share the port with a stranger of the
same user in silence); every worker slot has its own sockets, which stay open here, so that
connections queued for a dead worker wait for its replacement instead of being reset.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import replace
from typing import NamedTuple

from portico_dataplane.settings import Settings


class ListenError(Exception):
    """Cannot listen; the message is for the person who started the process."""


class Address(NamedTuple):
    """Where one socket binds."""

    family: socket.AddressFamily
    host: str
    port: int


def listen(host: str, port: int, workers: int, backlog: int) -> list[list[socket.socket]]:
    """Sockets by worker; each worker has one per address of `host`, all on one port."""
    addresses = _addresses(host, port)
    slots: list[list[socket.socket]] = [[] for _ in range(workers)]
    try:
        if port == 0:
            free = _free_port(addresses[0])
            addresses = [address._replace(port=free) for address in addresses]
        probes = [_bound(address, reuse_port=False, backlog=0) for address in addresses]
        for probe in probes:
            probe.close()
        for slot in slots:
            for address in addresses:
                slot.append(_bound(address, reuse_port=True, backlog=backlog))
    except OSError as error:
        close(slots)
        raise _explained(error, host, addresses[0].port) from error
    return slots


def listen_for(settings: Settings) -> tuple[Settings, list[list[socket.socket]]]:
    """Sockets of traffic by worker, and settings that say which of them speak TLS: a TLS port
    that was to be any is named."""
    slots = listen(settings.host, settings.port, settings.workers, settings.backlog)
    if settings.tls_port is None:
        return settings, slots
    try:
        more = listen(settings.host, settings.tls_port, settings.workers, settings.backlog)
    except ListenError:
        close(slots)
        raise
    settings = replace(settings, tls_port=int(more[0][0].getsockname()[1]))
    return settings, [first + second for first, second in zip(slots, more, strict=True)]


def secure(slot: list[socket.socket], settings: Settings) -> list[socket.socket]:
    """Those of a slot that speak TLS: they are told by their port."""
    return [sock for sock in slot if sock.getsockname()[1] == settings.tls_port]


def plain(slot: list[socket.socket], settings: Settings) -> list[socket.socket]:
    """The others."""
    return [sock for sock in slot if sock.getsockname()[1] != settings.tls_port]


def listen_once(host: str, port: int, backlog: int = 128) -> list[socket.socket]:
    """Sockets of a server that is one process: the admin port, a gateway without workers."""
    addresses = _addresses(host, port)
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            bound = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_bound(address._replace(port=bound), reuse_port=False, backlog=backlog))
    except OSError as error:
        close([sockets])
        raise _explained(error, host, port) from error
    return sockets


def listen_unix(path: str) -> socket.socket:
    """A Unix socket only this user may connect to."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # Bound under a umask, so that there is no moment at which others may connect.
        former = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(former)
        sock.listen(16)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {path}: {os.strerror(error.errno or 0)}") from error
    sock.setblocking(False)
    return sock


def close(slots: list[list[socket.socket]]) -> None:
    """Give the port up."""
    for slot in slots:
        for sock in slot:
            sock.close()


def shown(sock: socket.socket) -> str:
    """`127.0.0.1:8080`, `[::1]:8080`."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family is socket.AF_INET6 else f"{host}:{port}"


def _addresses(host: str, port: int) -> list[Address]:
    if not host:
        wildcards = [Address(socket.AF_INET, "0.0.0.0", port)]
        if _has_ipv6():
            wildcards.append(Address(socket.AF_INET6, "::", port))
        return wildcards
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"cannot listen on {host!r}: no such address") from error
    addresses = [Address(family, str(name[0]), port) for family, _, _, _, name in found]
    if not _has_ipv6():
        addresses = [a for a in addresses if a.family is not socket.AF_INET6] or addresses
    return list(dict.fromkeys(addresses))


def _has_ipv6() -> bool:
    # Compiled in is not switched on: containers often have no ::1.
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _free_port(address: Address) -> int:
    # Free on the first address only; should another address refuse it, `listen` says so.
    with _bound(address, reuse_port=False, backlog=0) as probe:
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def _bound(address: Address, *, reuse_port: bool, backlog: int) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        # Connections of the former process in TIME_WAIT do not hold the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address.family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        if backlog:
            # At once, not when a worker is up: a second gateway then sees the port in use.
            sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _explained(error: OSError, host: str, port: int) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return ListenError(f"port {port} is in use")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ListenError(f"port {port} may not be opened by this user")
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(f"cannot listen on {host!r}: not an address of this machine")
    return ListenError(f"cannot listen on port {port}: {os.strerror(error.errno or 0)}")


def _remove_stale(path: str) -> None:
    # A socket file outlives a killed process; one that still answers is in use.
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        os.unlink(path)
    else:
        raise OSError(errno.EADDRINUSE, "in use")
