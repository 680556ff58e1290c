"""What is compared and where it is put: cases, bodies, and an entry of the registry.

Used by `systems` and `peers`. Host, paths and certificate are the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark import snapshots
from portico_dataplane.effects.self_signed import SelfSigned

_PRINTABLE = bytes(range(32, 96))

BODIES: dict[str, bytes] = {
    "small": b'{"id": 1, "name": "Rex", "kind": "dog", "price": 24.9}',
    "10k": _PRINTABLE * (10 * 1024 // len(_PRINTABLE)),
    "1m": _PRINTABLE * (1024 * 1024 // len(_PRINTABLE)),
}
"""Path on the upstream to its body: 54 bytes of JSON, 10 KB, 1 MB."""

FULL = "full"
"""The case of the full chain; its answers are small ones."""
TLS = "tls"
"""The case of TLS 1.3 on kept-alive connections; its answers are small ones too."""
CASES = (*BODIES, TLS, FULL)

HOST = snapshots.PLAIN_HOST
CONNECTIONS = 64


@dataclass(frozen=True)
class Site:
    """Where a system is put."""

    directory: Path
    """Its own; configuration and logs."""
    port: int
    """To listen on."""
    admin_port: int
    upstream_port: int
    envoy: Path | None
    """Envoy's binary, when it is among the systems."""


@dataclass(frozen=True)
class System:
    """One entry of the registry."""

    name: str
    program: str | None
    """Debian program it needs; None when it brings its own."""
    command: Callable[[Site], list[str]]
    """Writes the configuration, says how to start it in the foreground."""
    version: Callable[[Site], str]
    cases: tuple[str, ...] = tuple(BODIES)
    """What it can be asked."""


def body_of(case: str) -> bytes:
    """What answers a case."""
    return BODIES["small" if case in (FULL, TLS) else case]


def certificate(site: Site) -> tuple[Path, Path, Path]:
    """A certificate, its key, and both in one file: ECDSA P-256, as all of them would have."""
    made = SelfSigned().certificate("localhost")
    assert made is not None
    key = made.key.reveal()
    paths = [site.directory / f"tls.{kind}" for kind in ("crt", "key", "pem")]
    for path, text in zip(paths, (made.chain, key, made.chain + key), strict=True):
        path.write_text(text)
    return paths[0], paths[1], paths[2]
