"""CaptureLoop: takes deployments and removes revisions that nobody names, while this replica leads.

Started by `app`, beside the reconciler and never in its way: what a compile found to be ready is
taken when `captures` says so. Promises: a failure of the API server is tried again, later each
time; a leader that is killed half way leaves nothing that is served, and its successor goes on.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from portico_compiler import ObjectRef
from portico_compiler.inventory import API_KINDS
from portico_compiler.passes.captures import Candidate
from portico_operator.captures import SETTLE_S, CaptureBoard, Kept, unneeded
from portico_operator.cluster.client import ApiError
from portico_operator.cluster.revision_store import Found, NotLeading
from portico_operator.reconciler import Publication
from portico_operator.store import Store

_log = logging.getLogger(__name__)

_PAUSE_S = 0.5
"""Between two looks at a cluster that is still older than it must be."""


class Terms(NamedTuple):
    """How long things last, in seconds."""

    settle: float = SETTLE_S
    """A state must be the same for so long."""
    grace: float = 5.0
    """A revision that nobody names is left alone for so long."""
    sweep: float = 600.0
    """How often all revisions are looked through, wherever they are."""


TERMS = Terms()
"""What suits a cluster; tests are in more of a hurry."""
_NAMING = ("ApiDeployment", "Stage", *API_KINDS)
"""Kinds that decide whether somebody names a revision, and whose it is."""


class Revisions(Protocol):
    """Where revisions are; `cluster.revision_store.RevisionStore` is one."""

    async def take(self, candidate: Candidate) -> bool:
        """Writes it; False: another leader was quicker."""
        ...

    async def find(self) -> Found:
        """Everything there is."""
        ...

    async def remove(self, part: Kept) -> None:
        """Removes one part."""
        ...


class CaptureLoop:
    """One replica's part in deployments."""

    def __init__(
        self,
        store: Store,
        revisions: Revisions,
        *,
        leads: Callable[[], bool],
        refresh: Callable[[Iterable[str]], Awaitable[None]],
        classes: Callable[[], Iterable[str]],
        terms: Terms = TERMS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`refresh` lists kinds anew and lets a compile follow; `classes` are those served here."""
        self._store = store
        self._revisions = revisions
        self._leads = leads
        self._refresh = refresh
        self._classes = classes
        self._terms = terms
        self._clock = clock
        self._board = CaptureBoard(terms.settle)
        self._latest: Publication | None = None
        self._noted: Publication | None = None
        self._stirred = asyncio.Event()
        self._sweep_at = -math.inf
        self._idle: frozenset[tuple[str, str]] = frozenset()
        """Revisions that nobody named when last looked at."""
        self._found: Found | None = None

    def published(self, publication: Publication) -> None:
        """The reconciler has delivered this."""
        self._latest = publication
        self._stirred.set()

    def stir(self) -> None:
        """This replica began to lead, or leads no more."""
        self._sweep_at = -math.inf
        self._stirred.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._pause()
            self._stirred.clear()
            latest = self._latest
            if latest is None:
                continue
            now = self._clock()
            if latest is not self._noted:
                self._note(latest, now)
            if not self._leads():
                continue
            try:
                await self._take_what_is_due(now)
                await self._sweep(latest, now)
            except NotLeading as why:
                _log.info("%s", why)
            except ApiError as why:
                _log.warning("revisions could not be read or written: %s", why)
                await asyncio.sleep(_PAUSE_S)

    async def _pause(self) -> None:
        due = min(self._board.next_time(self._clock()), self._sweep_at)
        wait = max(0.05, due - self._clock()) if self._leads() else None
        if self._found is not None:
            wait = _PAUSE_S
        try:
            # Not wait_for: Python 3.11's swallows a cancellation that meets the event.
            async with asyncio.timeout(None if wait == math.inf else wait):
                await self._stirred.wait()
        except TimeoutError:
            return

    def _note(self, latest: Publication, now: float) -> None:
        self._noted = latest
        deployments = latest.compiled.deployments
        self._board.noted(deployments.candidates, latest.lists, self._version, now)
        idle = deployments.unnamed
        if idle - self._idle:
            self._sweep_at = min(self._sweep_at, now + self._terms.grace)
        self._idle = idle

    def _version(self, ref: ObjectRef) -> int:
        known = self._store.get(ref)
        return 0 if known is None else known.version

    # --- taking -------------------------------------------------------------------------

    async def _take_what_is_due(self, now: float) -> None:
        stale = self._board.stale(now)
        if stale:
            await self._refresh(stale)
            await asyncio.sleep(_PAUSE_S / 10)
        for candidate in self._board.due(now):
            try:
                first = await self._revisions.take(candidate)
            except ApiError:
                self._board.failed(candidate, self._clock())
                raise
            self._board.taken(candidate, self._clock())
            if first and candidate.captured is not None:
                _log.info(
                    "%s is taken",
                    candidate.deployment,
                    extra={
                        "revision": candidate.revision,
                        "digest": f"sha256:{candidate.captured.digest}",
                        "routes": candidate.captured.routes,
                    },
                )

    # --- removing -----------------------------------------------------------------------

    async def _sweep(self, latest: Publication, now: float) -> None:
        """First what there is, then, from a World that is not older, who names it."""
        if self._found is None:
            if now < self._sweep_at:
                return
            self._sweep_at = now + self._terms.sweep
            found = await self._revisions.find()
            if found.kept:
                self._found = found
                await self._refresh(_NAMING)
            return
        if any(latest.lists.get(kind, 0) < self._found.version for kind in _NAMING):
            await self._refresh(_NAMING)
            return
        found, self._found = self._found, None
        classes = set(self._classes())
        named = latest.compiled.deployments.named
        of_class = latest.compiled.report.classes

        def owned(api: ObjectRef) -> str:
            known = self._store.get(api)
            return known.object.uid if known and of_class.get(api) in classes else ""

        for part in unneeded(found.kept, named, owned):
            await self._revisions.remove(part)
            _log.info(
                "a revision is removed that nobody names",
                extra={"namespace": part.namespace, "name": part.name},
            )
