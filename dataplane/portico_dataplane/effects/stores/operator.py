"""The store of a cluster by default: the operator that holds the Lease, over the streams there are.

Made by `__main__` and given to the feed, which knows who keeps, and to the accounting. Promises:
an exchange goes to one operator at a time; when another takes over, the one that has not been
answered goes to it as it is, and what the old one had not saved is handed in again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from portico_ir.leases import Exchange, Settlement


class Keeper(Protocol):
    """An operator; `feed.link.Link` is one."""

    @property
    def term(self) -> int:
        """The higher one keeps; -1: it does not."""
        ...

    def settle(self, exchange: Exchange) -> None:
        """Ask it."""
        ...


class OperatorStore:
    """Implements `workers.leasing.Store`."""

    def __init__(self) -> None:
        self._keeper: Keeper | None = None
        self._settled: Callable[[Settlement], None] = _nobody
        self._failed: Callable[[], None] = _nobody
        self._changed: Callable[[], None] = _nobody

    def attach(
        self,
        settled: Callable[[Settlement], None],
        failed: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        """Who asks; `changed` is called when another operator should be asked."""
        self._settled, self._failed, self._changed = settled, failed, changed

    def send(self, exchange: Exchange) -> None:
        """Ask."""
        if self._keeper is None:
            self._failed()
        else:
            self._keeper.settle(exchange)

    async def close(self) -> None:
        """The streams are the feed's."""

    # --- the feed -----------------------------------------------------------------------------

    def choose(self, open_: Iterable[Keeper]) -> None:
        """Of those that can be asked, the one that was elected last."""
        keeping = [keeper for keeper in open_ if keeper.term >= 0]
        chosen = max(keeping, key=lambda keeper: keeper.term, default=None)
        if chosen is not self._keeper:
            self._keeper = chosen
            self._changed()

    def answered(self, keeper: Keeper, settlement: Settlement) -> None:
        """An operator has answered; one that was left says nothing that counts."""
        if keeper is self._keeper:
            self._settled(settlement)


def _nobody(*_: object) -> None:
    """Nobody asks yet."""
