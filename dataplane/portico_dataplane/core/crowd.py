"""How many connections each client has.

Asked by whoever accepts one: `http/connection.py`, and `http/handshakes.py` for TLS, where a
client counts from before its handshake. Promises: pure; remembers nobody who is gone; an IPv6
client is its /64, because whoever has one address there has them all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

CLIENT: Final = "client"
"""One client has too many connections."""
TOTAL: Final = "total"
"""All clients together have."""


class Crowd:
    """Connections by the client's address."""

    __slots__ = ("_exempt", "_held", "_most", "refused")

    def __init__(self, most: int, exempt: Callable[[str], bool]) -> None:
        """`most` per client; 0: any number. `exempt`: who brings other people's requests."""
        self._most = most
        self._exempt = exempt
        self._held: dict[str, int] = {}
        self.refused = {CLIENT: 0, TOTAL: 0}
        """How many connections were turned away, and why."""

    def enter(self, address: str) -> bool:
        """Count one more; False, and not counted: it has as many as it may."""
        if not self._most:
            return True
        client = _client(address)
        held = self._held.get(client, 0)
        if held >= self._most and not self._exempt(address):
            self.refused[CLIENT] += 1
            return False
        self._held[client] = held + 1
        return True

    def leave(self, address: str) -> None:
        """One that was counted is gone."""
        if not self._most:
            return
        client = _client(address)
        left = self._held.get(client, 0) - 1
        if left > 0:
            self._held[client] = left
        else:
            self._held.pop(client, None)

    def __len__(self) -> int:
        """Clients that have connections, where they are counted."""
        return len(self._held)


def _client(address: str) -> str:
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}::/64"
