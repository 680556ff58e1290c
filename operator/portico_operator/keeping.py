"""Keeping: this replica's turn at leases and quotas, from one election to the next.

Run by `app` beside everything else. Promises: what the replica before had saved is read before a
pod is told to come here; what is counted is saved every minute and once more at the end; nothing
is granted and nothing written once the Lease could be somebody else's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from portico_ir.leases import Exchange, Settlement
from portico_ir.periods import DAY_MS, day_of
from portico_operator.keeper import Keeper, Sheet, Summary

_log = logging.getLogger(__name__)


class KeepingPace(NamedTuple):
    """How often, in seconds."""

    save: float = 60.0
    """design.md §7: quotas checkpointed each minute."""
    summarise: float = 300.0
    """And the status of plans at most every five."""
    retry: float = 2.0
    """After what failed."""


PACE: Final = KeepingPace()


class Vault(Protocol):
    """Where usage outlives replicas."""

    async def load(self) -> list[Sheet]:
        """All that was saved; `Unavailable` when it cannot be read."""
        ...

    async def save(self, sheets: Sequence[Sheet]) -> None:
        """Keep these, in this order; `Unavailable` when that fails half-way."""
        ...


class Noticeboard(Protocol):
    """Where plans show what was used of them."""

    async def show(self, summaries: Mapping[str, Summary]) -> None:
        """By `namespace/name`; `Unavailable` when it fails."""
        ...


class Unavailable(Exception):
    """The API server could not be asked; the message says why."""


class Keeping:
    """Implements `delivery.server.Settler`."""

    def __init__(
        self,
        keeper: Keeper,
        vault: Vault,
        noticeboard: Noticeboard,
        *,
        leads: Callable[[], bool],
        term: Callable[[], int],
        announce: Callable[[int], None],
        pace: KeepingPace = PACE,
        unix_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        self.keeper = keeper
        self._vault = vault
        self._noticeboard = noticeboard
        self._leads = leads
        self._term = term
        self._announce = announce
        self._pace = pace
        self._unix_ms = unix_ms
        self._turn = asyncio.Event()
        self._saving = asyncio.Lock()
        self._shown: Mapping[str, Summary] = {}

    def stir(self) -> None:
        """The election may have changed something."""
        self._turn.set()

    def settle(self, class_name: str, pod_uid: str, exchange: Exchange) -> Settlement | None:
        """The answer; None: another replica keeps."""
        if not self._leads():
            return None
        return self.keeper.settle(class_name, pod_uid, exchange, self._unix_ms())

    async def save(self) -> None:
        """Keep now what has changed: what a person was told must not go with this replica.
        `Unavailable` when that fails; it is tried again as ever."""
        async with self._saving:
            sheets = self.keeper.unsaved(self._unix_ms())
            if not sheets:
                return
            try:
                await self._vault.save(sheets)
            except Unavailable:
                self.keeper.not_saved(sheets)
                raise
            self.keeper.saved(sheets)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._turn.clear()
                if not self._leads():
                    self._stop()
                    await self._turn.wait()
                elif self.keeper.term < 0:
                    await self._start()
                else:
                    await self._keep()
        finally:
            if self.keeper.term >= 0 and self._leads():
                await self._save()
            self._stop()

    async def _start(self) -> None:
        try:
            sheets = await self._vault.load()
        except Unavailable as why:
            _log.warning("usage could not be read: %s", why)
            await self._pause(self._pace.retry)
            return
        if self._leads():
            term = self._term()
            self.keeper.begin(term, sheets, self._unix_ms())
            self._announce(term)
            _log.info("keeping leases", extra={"term": term, "sheets": len(sheets)})

    async def _keep(self) -> None:
        """One save after another, and now and then what plans show."""
        shown_at = time.monotonic()
        while self._leads():
            # Usage belongs to the day on which it was counted: save at midnight too.
            left = (day_of(self._unix_ms()) + 1) * DAY_MS - self._unix_ms()
            await self._pause(min(self._pace.save, left / 1000 + 1))
            if self._leads():
                await self._save()
            if self._leads() and time.monotonic() - shown_at >= self._pace.summarise:
                shown_at = time.monotonic()
                await self._show()

    async def _save(self) -> None:
        try:
            await self.save()
        except Unavailable as why:
            _log.warning("usage could not be saved: %s", why)

    async def _show(self) -> None:
        summaries = self.keeper.summaries(self._unix_ms())
        news = {name: one for name, one in summaries.items() if self._shown.get(name) != one}
        try:
            await self._noticeboard.show(news)
        except Unavailable as why:
            _log.warning("usage could not be shown: %s", why)
        else:
            self._shown = summaries

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._turn.wait()
        except TimeoutError:
            pass
        self._turn.clear()

    def _stop(self) -> None:
        if self.keeper.term >= 0:
            self.keeper.end()
            self._announce(-1)
            self._shown = {}
