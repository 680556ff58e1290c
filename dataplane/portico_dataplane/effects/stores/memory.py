"""The store of file mode: a ledger in this process, for the one pod that there is.

Made by `workers/accounting.py`. What it counts ends with the process.
"""

from __future__ import annotations

from collections.abc import Callable

from portico_ir.leases import Exchange, Settlement
from portico_ir.ledger import Ledger


class MemoryStore:
    """Implements `workers.leasing.Store`; answers at once."""

    def __init__(self, settled: Callable[[Settlement], None], unix_ms: Callable[[], float]) -> None:
        self.ledger = Ledger(alone=True)
        self._settled = settled
        self._unix_ms = unix_ms

    def send(self, exchange: Exchange) -> None:
        """Ask."""
        self._settled(self.ledger.settle(exchange, self._unix_ms()))

    async def close(self) -> None:
        """Nothing to close."""
