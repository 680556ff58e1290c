"""The feed: follows one operator, reports to all, and hands the supervisor what to serve.

Run by `__main__` beside the supervisor. Promises: configuration goes only forward, also from one
operator replica to another; what cannot be had or served changes nothing of what serves; with
no operator in sight the last good snapshot serves, and after a while ClusterIPs stand in for
addresses that no longer answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from portico_dataplane.effects.stores.operator import OperatorStore
from portico_dataplane.feed.addresses import AddressBook, News
from portico_dataplane.feed.choice import Held, Patience, best
from portico_dataplane.feed.files import Address, Addresses, Missing, TokenFile, TrustFile
from portico_dataplane.feed.lastgood import Keeper, Kept, LastGood, as_served
from portico_dataplane.feed.link import Link
from portico_dataplane.feed.offers import Offered
from portico_dataplane.feed.serving import Serving, rejection
from portico_dataplane.feed.sink import Outcome, Sink
from portico_dataplane.feed.times import Times
from portico_dataplane.feed.units import Units
from portico_dataplane.tasks import spawn
from portico_ir.codec import digest, encode
from portico_ir.leases import Settlement
from portico_ir.model import IR_VERSION, Manifest, Snapshot
from portico_ir.stream import WHOLE, Acknowledgement, Hello, content_digest

_log = logging.getLogger(__name__)

_INTERNAL: Final = "*"
"""Under which a worker reports that it could not apply a configuration at all."""


class Feed:
    """Implements `link.Owner`."""

    def __init__(
        self,
        sink: Sink,
        addresses: Addresses,
        token: TokenFile,
        trust: TrustFile,
        *,
        last_good: LastGood | None = None,
        store: OperatorStore | None = None,
        pod: str = "",
        build: str = "",
        times: Times | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._resolver = addresses
        self._token = token
        self._trust = trust
        self._keeper = Keeper(last_good, self._to_keep)
        self._store = store or OperatorStore()
        self._pod = pod
        self._build = build
        self._times = times or Times()
        self._clock = clock
        self._links: dict[Address, Link] = {}
        self._tasks: dict[Address, asyncio.Task[None]] = {}
        self._followed: Link | None = None
        self._patience = Patience(self._times.lag_s)
        self._serving: Serving | None = None
        self._said: Acknowledgement | None = None
        self._lacking = False
        """What serves lacks units that no operator gave."""
        self._retry_at = 0.0
        self._tried = ""
        """Digest of the manifest that was applied, or refused, last."""
        self._kept: Kept | None = None
        self._units = Units()
        self._book = AddressBook()
        self._down_since = clock()
        self._fallback = False
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        """An operator has left, perhaps for another address."""
        self._good: Manifest | None = None
        """What serves, refused units in the version that was kept."""
        self._applying: set[asyncio.Task[Outcome]] = set()
        self.acknowledged = asyncio.Event()
        """Set once an operator's configuration serves, or the last good one does."""

    # Life.

    async def run(self) -> None:
        """Until cancelled."""
        self._kept = await self._keeper.load()
        if self._kept is not None:
            self._units.put(self._kept.units)
            self._good = self._kept.manifest
        self._down_since = self._clock()
        parts = (
            spawn(self._look(), name="operators"),
            spawn(self._tick(), name="feed clock"),
            spawn(self._keeper.run(self._times.keep_s), name="last good"),
        )
        try:
            await self._work()
        finally:
            for task in (ending := [*parts, *self._tasks.values(), *self._applying]):
                task.cancel()
            await asyncio.wait(ending)

    async def _look(self) -> None:
        """Keep a link for each operator there is."""
        told = ""
        while True:
            try:
                found = set(await self._resolver.resolve())
                told = ""
            except Missing as error:
                if str(error) != told:
                    told = str(error)
                    _log.warning("no operator found", extra={"reason": told})
                found = set(self._links)  # who was there before may still be
            for address in found - self._links.keys():
                link = Link(address, self._token, self._trust, self)
                self._links[address] = link
                self._tasks[address] = spawn(link.run(), name=f"link {address.host}")
            for address, link in list(self._links.items()):
                link.wanted = address in found
                # One that is leaving keeps its stream: it says itself when it is over.
                if not link.wanted and not link.is_open:
                    self._tasks.pop(address).cancel()
                    del self._links[address]
            self._moved.clear()
            try:
                # A pod that no operator has cannot wait as long for one to appear.
                pause = self._times.resolve_s / (1 if self._followed is not None else 5)
                async with asyncio.timeout(pause * random.uniform(0.8, 1.2)):
                    await self._moved.wait()
                # Its successor has another address; a whole fleet asks for it just now.
                await asyncio.sleep(random.uniform(0.05, 0.25))
            except TimeoutError:
                pass

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._times.tick_s)
            self._choose()
            self._judge_absence()
            if self._followed is not None:
                self._take_addresses(self._followed)
            if self._lacking and self._clock() >= self._retry_at:
                self._units.try_again()
                self._tried = ""
                self._wake.set()
            if self._serving is None:
                self._wake.set()  # the last good snapshot may be due

    # link.Owner

    def hello(self) -> Hello:
        """The pod's first frame."""
        serving = self._serving
        return Hello(
            ir_version=IR_VERSION,
            build=self._build,
            pod=self._pod,
            digest=serving.digest if serving is not None else "",
            content=serving.content if serving is not None else "",
            marks=serving.marks if serving is not None else {},
        )

    def opened(self, link: Link) -> None:
        """An operator has greeted."""
        if self._said is not None:
            link.acknowledge(self._said)
        self._choose()

    def said(self, link: Link) -> None:
        """An operator has told something new."""
        self._choose()
        if link is self._followed:
            self._take_addresses(link)
            self._judge_absence()
            self._take_marks(link)
            self._wake.set()

    def kept(self, link: Link) -> None:
        """An operator keeps leases, or no longer."""
        self._store.choose(each for each in self._links.values() if each.is_open)

    def settled(self, link: Link, settlement: Settlement) -> None:
        """An operator has answered an exchange."""
        self._store.answered(link, settlement)

    def closed(self, link: Link) -> None:
        """A stream has ended."""
        self._moved.set()
        self.kept(link)
        if link is self._followed:
            self._followed = None
            self._down_since = self._clock()
            self._choose()

    # Whom to follow, and whom to ask.

    def _sources(self, first: Link) -> list[Link]:
        """Who may have a unit: its digest says what it is, whoever gives it."""
        return [first, *(link for link in self._links.values() if link.is_open and link != first)]

    def _held(self) -> Held | None:
        if self._serving is not None:
            return self._serving.held
        if self._kept is not None:
            return Held(content_digest(self._kept.manifest), self._kept.manifest.marks)
        return None

    def _choose(self) -> None:
        followed, held = self._followed, self._held()
        open_ = {link: link.state for link in self._links.values() if link.is_open and link.digest}
        if followed is not None:
            others = [state for link, state in open_.items() if link is not followed]
            if not self._patience.is_over(followed.state, others, held, self._clock()):
                return
            _log.warning("operator lags and is left", extra={"address": str(followed.address)})
        chosen = best(open_.items(), held, random.choice)
        if chosen is None or chosen is followed:
            return
        if followed is not None:
            followed.follow(on=False, content="")
        self._followed = chosen
        _log.info("operator followed", extra={"address": str(chosen.address)})
        if self._lacking:
            self._tried = ""  # this one may have it
        self._patience.reset()
        chosen.follow(on=True, content=self._serving.content if self._serving else "")
        self._judge_absence()

    def _judge_absence(self) -> None:
        followed = self._followed
        if followed is None:
            allowed = self._clock() - self._down_since >= self._times.fallback_s
        else:  # until it has told its addresses, those at hand are as old as they were
            allowed = self._fallback and (followed.sequence is None or self._book.holds)
        if allowed != self._fallback:
            self._fallback = allowed
            _log.warning("operators are away" if allowed else "operators are back")
            self._sink.set_fallback(allowed=allowed)

    # Small news.

    def _take_addresses(self, link: Link) -> None:
        if link.sequence is None:
            return
        news = News(link.upstreams, link.state.marks, link.version)
        if self._book.take(news, self._clock()) and self._serving is not None:
            self._sink.set_endpoints(self._book.current())
            self._keeper.changed = True

    def _take_marks(self, link: Link) -> None:
        """What serves holds up to a later point, or is by now known under another digest."""
        serving = self._serving
        if serving is None or link.state.content != serving.content:
            return
        renewed = serving.renewed(link.digest, link.state, link.build)
        if renewed != serving:
            self._serving = renewed
            self._acknowledge(renewed)

    # Configuration.

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            link = self._followed
            offer = link.offer if link is not None else None
            if link is not None and offer is not None and offer.digest != self._tried:
                try:
                    done = await self._serve(link, offer)
                except Exception:  # a bug must not cost the pod all that comes after
                    _log.exception("configuration could not be applied")
                    done = False
                if not done:
                    await asyncio.sleep(self._times.tick_s * random.uniform(0.5, 1.0))
                    self._wake.set()
            elif self._serving is None and self._kept is not None and self._is_late():
                await self._serve_kept(self._kept)

    def _is_late(self) -> bool:
        return self._clock() - self._down_since >= self._times.last_good_s

    async def _serve(self, link: Link, offer: Offered) -> bool:
        """Fetch, build, swap; False: try again."""
        manifest = offer.manifest
        if manifest is None or offer.fault:
            self._tried = offer.digest
            self._refuse(offer, offer.fault, link.build)
            return True
        serving = self._serving
        if serving is not None and offer.content == serving.content and not self._lacking:
            self._tried = offer.digest  # other marks, or another build: nothing to swap
            self._take_marks(link)
            self._acknowledge(serving)
            return True
        self._units.put(link.received.take())
        lacking, is_final = await self._units.fetch(manifest, self._sources(link))
        if lacking and not is_final:
            if link is self._followed and link.offer is offer:
                _log.warning("units not fetched", extra={"reasons": lacking})
            return False
        self._lacking = bool(lacking)
        self._retry_at = self._clock() + self._times.refetch_s
        # What cannot be had serves on as it was, like a unit that cannot be built.
        had = as_served(manifest, lacking, self._good)
        addresses = self._book.current()
        snapshot = Snapshot(manifest=had, units=self._units.of(had), endpoints=addresses)
        outcome = await self._apply(snapshot)
        if outcome is None:
            return True  # a worker hangs; what comes next shall not wait for it
        self._tried = offer.digest
        if addresses.sequence != self._book.sequence:
            self._sink.set_endpoints(self._book.current())
        refused = {**outcome.refused, **lacking}
        whole = refused.get(_INTERNAL) or refused.get(WHOLE)
        if whole:
            self._refuse(offer, whole, link.build)
            return True
        self._serving = Serving(
            offer.digest, offer.content, offer.marks, offer.changed, link.build, refused
        )
        self._acknowledge(self._serving)
        self._good = as_served(manifest, refused, self._good)
        self._units.retain({*manifest.units.values(), *self._good.units.values()})
        self._keeper.changed = True
        self._take_marks(link)
        _log.info("serving", extra={"digest": offer.digest, "refused": refused})
        return True

    async def _serve_kept(self, kept: Kept) -> None:
        """No operator for a while: better what served last than nothing."""
        version = kept.endpoints.sequence
        self._book.take(News(kept.endpoints.upstreams, kept.marks, version), self._clock())
        snapshot = Snapshot(
            manifest=kept.manifest,
            units=self._units.of(kept.manifest),
            endpoints=self._book.current(),
        )
        outcome = await self._apply(snapshot)
        if outcome is None:
            return
        content = content_digest(kept.manifest)
        changed, refused = kept.manifest.marks, dict(outcome.refused)
        self._serving = Serving(
            digest(encode(kept.manifest)), content, kept.marks, changed, "", refused
        )
        self._acknowledge(self._serving)
        _log.warning("last good snapshot serves", extra={"digest": self._serving.digest})

    async def _apply(self, snapshot: Snapshot) -> Outcome | None:
        """What became of it; None: a worker does not take it, and there is something newer."""
        link = self._followed
        offer = link.offer if link is not None else None
        task = spawn(self._sink.apply(snapshot), name="apply")
        self._applying.add(task)
        task.add_done_callback(self._applying.discard)
        await asyncio.wait({task}, timeout=self._times.hung_s)
        while not task.done():
            now = self._followed
            if now is not None and now.offer is not None and now.offer is not offer:
                return None
            await asyncio.wait({task}, timeout=self._times.tick_s)
        return task.result()

    def _to_keep(self) -> Kept | None:
        serving, good = self._serving, self._good
        if serving is None or good is None:
            return None
        return Kept(
            manifest=good,
            units=self._units.encoded(good),
            endpoints=self._book.dated(),
            marks=serving.marks,
        )

    def _acknowledge(self, serving: Serving) -> None:
        self.acknowledged.set()
        self._say(serving.acknowledgement())

    def _refuse(self, offer: Offered, reason: str, build: str) -> None:
        """Nothing of it is served; what serves stays."""
        _log.error("manifest refused", extra={"digest": offer.digest, "reason": reason})
        self._say(rejection(offer, reason, build))

    def _say(self, said: Acknowledgement) -> None:
        self._said = said
        for link in self._links.values():
            link.acknowledge(said)
