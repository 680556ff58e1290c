"""Mint: makes the Secrets of ApiKeys that have none, where a PorticoClass has keys generated.

Run by `app`; which Secrets are wanted is the compiler's to say (`passes/generation.py`), how they
are written `cluster.key_secrets`'s. Promises: only the replica that leads makes any; what exists is
never written to; a value is made for one attempt, and remembered by nobody here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from portico_compiler.passes.generation import WantedSecret
from portico_ir.secrets import Redacted
from portico_operator.key_values import random_value

_log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 16
"""Requests under way: 100,000 keys must not starve status writes."""


class MintPace(NamedTuple):
    """In seconds."""

    retry: float = 2.0
    """After what failed, and then twice as long each time."""
    longest: float = 300.0
    """But never longer."""
    settle: float = 30.0
    """What is made shows in the World long before; if it does not, it went again."""


PACE: Final = MintPace()


class NotMade(Exception):
    """The API server refused, or could not be asked; the message says why."""


class Secrets(Protocol):
    """Where Secrets are made."""

    async def make(self, wanted: WantedSecret, value: Redacted) -> bool:
        """False: there is one already. `NotMade` when there is none and none could be made."""
        ...


class _Attempt(NamedTuple):
    next_at: float
    failures: int


class Mint:
    """One replica's part."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        leads: Callable[[], bool],
        pace: MintPace = PACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._leads = leads
        self._pace = pace
        self._clock = clock
        self._wanted: tuple[WantedSecret, ...] = ()
        self._attempts: dict[WantedSecret, _Attempt] = {}
        self._stirred = asyncio.Event()

    def published(self, wanted: Iterable[WantedSecret]) -> None:
        """What the latest compile wants."""
        self._wanted = tuple(wanted)
        self._stirred.set()

    def stir(self) -> None:
        """The election may have changed something."""
        self._stirred.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._stirred.clear()
            wanted = set(self._wanted)
            self._attempts = {w: a for w, a in self._attempts.items() if w in wanted}
            if self._leads():
                await self._make_due()
            await self._pause()

    async def _make_due(self) -> None:
        now = self._clock()
        known = self._attempts
        due = [w for w in self._wanted if w not in known or known[w].next_at <= now]
        for start in range(0, len(due), MOST_AT_ONCE):
            await asyncio.gather(*(self._make(w) for w in due[start : start + MOST_AT_ONCE]))

    async def _make(self, wanted: WantedSecret) -> None:
        if not self._leads():
            return
        failures = 0 if wanted not in self._attempts else self._attempts[wanted].failures
        place = f"{wanted.api_key.namespace}/{wanted.name}"
        try:
            if await self._secrets.make(wanted, Redacted(random_value())):
                _log.info("made Secret %s for %s", place, wanted.api_key)
        except NotMade as why:
            _log.warning("Secret %s for %s could not be made: %s", place, wanted.api_key, why)
            wait = min(self._pace.longest, self._pace.retry * 2**failures)
            self._attempts[wanted] = _Attempt(self._clock() + wait, failures + 1)
        else:
            self._attempts[wanted] = _Attempt(self._clock() + self._pace.settle, 0)

    async def _pause(self) -> None:
        """Until something has changed, or something is to be tried again."""
        if not self._leads() or not self._wanted:
            await self._stirred.wait()
            return
        next_at = min((a.next_at for a in self._attempts.values()), default=self._clock())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, next_at - self._clock())):
                await self._stirred.wait()
