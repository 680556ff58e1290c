"""The stream server: aiohttp over TLS, one task per pod, the latest state to each.

The reconciler publishes into it (`ports.Delivery`), status reads its fleets.
Promises: nobody without a good token gets a byte of configuration, nor any of another class; a
slow pod holds up nobody and is sent only the latest; publishing never waits.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Protocol

from aiohttp import web

from portico_ir.leases import Exchange, Settlement
from portico_ir.model import IR_VERSION, EndpointSet, Snapshot
from portico_ir.secrets import Redacted
from portico_ir.stream import PATH, UNITS_PATH, Acknowledgement, Keeping, encode_frame
from portico_operator.delivery.access import Access, Denial, Grant, Undecided
from portico_operator.delivery.board import Board
from portico_operator.delivery.fleet import Fleet, Propagation
from portico_operator.delivery.session import GOING_AWAY, Session
from portico_operator.delivery.units import Shelf
from portico_operator.pods import PodState

_log = logging.getLogger(__name__)

_HEARTBEAT_S: Final = 10.0
_BUFFERED: Final = 64 * 1024
"""Bytes a slow pod has not taken before its stream waits for it."""
_SHUTDOWN_S: Final = 2.0
_KEEPALIVE_S: Final = 90.0
"""Longer than a pod keeps its side, so that it never writes into a closing connection."""


class Measures(Protocol):
    """Where delivery counts; `metrics` implements it."""

    def propagated(self, class_name: str, seconds: float) -> None:
        """Every live pod has acknowledged a change that was made so long ago."""
        ...


class Settler(Protocol):
    """Who keeps leases; `keeping` implements it."""

    def settle(self, class_name: str, pod_uid: str, exchange: Exchange) -> Settlement | None:
        """The answer; None: another replica keeps them."""
        ...


class _Nobody:
    def settle(self, class_name: str, pod_uid: str, exchange: Exchange) -> Settlement | None:
        """This replica keeps nothing."""
        return None


class _Silent:
    def propagated(self, class_name: str, seconds: float) -> None:
        """Nobody counts."""


class ClassDelivery:
    """One class: what it should have, who has it, and the streams of its pods."""

    def __init__(self, name: str, build: str) -> None:
        self.name = name
        self.board = Board(name, build, IR_VERSION)
        self.fleet = Fleet(build)
        self.shelf = Shelf(time.monotonic)
        self.sessions: dict[str, Session] = {}
        """By pod uid; a newer stream of a pod replaces the older."""

    def wake(self) -> None:
        """There may be something to send."""
        for session in self.sessions.values():
            session.wake()


class StreamServer:
    """Implements `ports.Delivery`."""

    def __init__(
        self,
        access: Access,
        *,
        build: str,
        measures: Measures | None = None,
        settler: Settler | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.access = access
        self._settler = settler or _Nobody()
        self._keeping = b""
        """What pods are told that come; empty: this replica keeps nothing, which is as usual."""
        self.undecided = 0
        """Requests turned away because the API server could not be asked."""
        self.closed: Counter[str] = Counter()
        """Streams that ended, by why."""
        self._build = build
        self._measures = measures or _Silent()
        self._clock = clock
        self._classes: dict[str, ClassDelivery] = {}
        self._listeners: list[Callable[[], None]] = []
        self._closing = False
        app = web.Application()
        app.router.add_get(PATH, self._stream)
        app.router.add_get(UNITS_PATH + "{digest}", self._unit)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_SHUTDOWN_S,
            keepalive_timeout=_KEEPALIVE_S,
        )

    # Life.

    async def start(self, sockets: Iterable[socket.socket], tls: ssl.SSLContext) -> None:
        """Serve on sockets that are bound."""
        await self._runner.setup()
        for sock in sockets:
            await web.SockSite(self._runner, sock, ssl_context=tls).start()

    async def close(self) -> None:
        """Send pods elsewhere and stop."""
        self._closing = True
        for each in self._classes.values():
            for session in list(each.sessions.values()):
                session.end(GOING_AWAY, "this operator ends")
        await self._runner.cleanup()

    def keep(self, term: int) -> None:
        """Pods may settle their leases here, as elected in `term`; -1: no longer."""
        frame = encode_frame(Keeping(term=term))
        self._keeping = frame if term >= 0 else b""
        for each in self._classes.values():
            for session in each.sessions.values():
                session.say("keeping", frame)

    # ports.Delivery

    def publish(
        self, class_name: str, snapshot: Snapshot, *, changed_at: float | None = None
    ) -> int:
        """Pods of this class should serve this. Returns its serial, which stays the same while
        what pods do does; `changed_at` is when the newest change in it was made (Unix time)."""
        each = self._class(class_name)
        manifest = snapshot.manifest
        has_addresses = each.board.set_endpoints(
            snapshot.endpoints.upstreams, snapshot.endpoints.sequence
        )
        if each.board.publish(manifest, snapshot.units):
            each.shelf.replace(
                {known: snapshot.units[unit] for unit, known in manifest.units.items()}
            )
            now = self._clock()
            self._measure(
                each,
                each.fleet.published(
                    content=each.board.content,
                    marks=manifest.marks,
                    changed_at=now if changed_at is None else changed_at,
                    now=now,
                ),
            )
            self._changed()
        elif has_addresses:
            _log.debug("endpoints changed", extra={"class": class_name})
        each.wake()
        return each.fleet.serial

    def set_endpoints(
        self, class_name: str, endpoints: EndpointSet, marks: Mapping[str, str] | None = None
    ) -> None:
        """Pods of this class should use these addresses; nothing else has changed."""
        each = self._class(class_name)
        if marks:
            each.board.advance(marks)
        if each.board.set_endpoints(endpoints.upstreams, endpoints.sequence) or marks:
            each.wake()

    def advance(self, class_name: str, marks: Mapping[str, str]) -> None:
        """The latest publication holds up to here; pods are told within half a second."""
        each = self._class(class_name)
        each.board.advance(marks)
        each.wake()

    # What pods say of it.

    def subscribe(self, changed: Callable[[], None]) -> None:
        """`changed` is called whenever a report came, changed or went."""
        self._listeners.append(changed)

    def fleet(self, class_name: str) -> Fleet:
        """The pods of a class."""
        return self._class(class_name).fleet

    def set_pods(self, class_name: str, states: Iterable[PodState]) -> None:
        """The class's pods as its EndpointSlices show them."""
        each = self._class(class_name)
        self._measure(each, each.fleet.set_pods(states, self._clock()))
        self._changed()

    def streams(self) -> dict[str, int]:
        """Open streams by class."""
        return {name: len(each.sessions) for name, each in self._classes.items()}

    # Requests.

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        token = _bearer(request)
        grant = await self._admitted(token)
        if isinstance(grant, web.Response):
            return grant
        assert token is not None
        # Small frames: deflating them for each pod would cost more than it saves.
        socket_ = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, compress=False, max_msg_size=1024 * 1024, writer_limit=_BUFFERED
        )
        if not socket_.can_prepare(request).ok:
            return web.Response(status=426, text="a WebSocket is spoken here\n")
        await socket_.prepare(request)
        each = self._class(grant.class_name)
        session = Session(
            socket_,
            request.transport,
            grant,
            token,
            each.board,
            self.access,
            self._clock,
            partial(self._settler.settle, grant.class_name, grant.pod_uid),
        )
        if self._keeping:
            session.say("keeping", self._keeping)
        before = each.sessions.get(grant.pod_uid)
        each.sessions[grant.pod_uid] = session
        each.fleet.joined(grant.pod_uid, grant.pod_name)
        if before is not None:
            before.end(GOING_AWAY, "the pod has opened another stream")
        self._changed()
        try:
            await session.run(lambda said: self._acknowledged(each, session, said))
        finally:
            if each.sessions.get(grant.pod_uid) is session:
                del each.sessions[grant.pod_uid]
            each.fleet.left(grant.pod_uid)
            self.closed[session.why] += 1
            self._changed()
        return socket_

    async def _unit(self, request: web.Request) -> web.Response:
        grant = await self._admitted(_bearer(request))
        if isinstance(grant, web.Response):
            return grant
        shelf = self._class(grant.class_name).shelf
        name = request.match_info["digest"]
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body = await shelf.gzipped(name)
            headers["Content-Encoding"] = "gzip"
        else:
            body = shelf.encoded(name)
        if body is None:
            return web.Response(status=404, text="no such unit\n")
        return web.Response(body=body, headers=headers)

    async def _admitted(self, token: Redacted | None) -> Grant | web.Response:
        if self._closing:
            return web.Response(status=503, text="this operator ends\n")
        verdict = await self.access.admit(token)
        if isinstance(verdict, Denial):
            _log.info("pod refused", extra={"reason": verdict.reason, "detail": verdict.message})
            return web.Response(status=401, text=f"{verdict.reason}: {verdict.message}\n")
        if isinstance(verdict, Undecided):
            self.undecided += 1
            return web.Response(status=503, text="the token cannot be reviewed now\n")
        return verdict

    # Within.

    def _class(self, name: str) -> ClassDelivery:
        each = self._classes.get(name)
        if each is None:
            each = self._classes[name] = ClassDelivery(name, self._build)
        return each

    def _acknowledged(self, each: ClassDelivery, session: Session, said: Acknowledgement) -> None:
        if each.sessions.get(session.grant.pod_uid) is not session:
            return  # a newer stream of the pod speaks for it
        uid = session.grant.pod_uid
        before = each.fleet.told(uid)
        self._measure(each, each.fleet.acknowledged(uid, said, self._clock()))
        if each.fleet.told(uid) != before:
            self._changed()

    def _measure(self, each: ClassDelivery, done: list[Propagation]) -> None:
        for propagation in done:
            self._measures.propagated(each.name, propagation.seconds)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


def _bearer(request: web.Request) -> Redacted | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return Redacted(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
