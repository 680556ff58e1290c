"""Extending: what plans declare of extended quotas, carried into the Redis of their class.

Run by `app`; the operator's own ledgers know plans without it. A Redis is told when something has
changed, and every minute, because a declaration may be about a period that is yet to begin.
Promises: only the replica that leads writes; told twice is told once; a Redis that is away is told
when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from portico_ir.access import Plan
from portico_operator.usage_server import Unreachable

_log = logging.getLogger(__name__)

AGAIN_S: Final = 60.0


class Declared(Protocol):
    """A store that must be told."""

    async def declare(self, plans: Sequence[Plan]) -> None:
        """What plans let keys do beyond their quotas; `Unreachable` when it cannot be told."""
        ...


class Extending:
    """One replica's part."""

    def __init__(
        self,
        told: Callable[[], Mapping[str, tuple[Declared, Sequence[Plan]]]],
        *,
        leads: Callable[[], bool],
        again: float = AGAIN_S,
    ) -> None:
        """`told`: by class, whom to tell what."""
        self._told = told
        self._leads = leads
        self._again = again
        self._stirred = asyncio.Event()
        self._away: set[str] = set()

    def stir(self) -> None:
        """Plans, stores or the election may have changed."""
        self._stirred.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._stirred.clear()
            told = self._told() if self._leads() else {}
            for class_name, (store, plans) in told.items():
                await self._tell(class_name, store, plans)
            if not told:
                await self._stirred.wait()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._again):
                    await self._stirred.wait()

    async def _tell(self, class_name: str, store: Declared, plans: Sequence[Plan]) -> None:
        try:
            await store.declare(plans)
        except Unreachable as why:
            if class_name not in self._away:
                _log.warning("extensions of class %s cannot be told: %s", class_name, why)
            self._away.add(class_name)
        else:
            self._away.discard(class_name)
