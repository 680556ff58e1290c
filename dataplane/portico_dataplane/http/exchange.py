"""One request's story: arrive, route, decide, call, answer, account.

Made by a stream port (`http/connection.py`; anything that offers the same) for each head.
Takes the Runtime once and keeps it. Nothing awaits while no policy or integration needs the
outside world: callbacks only. Promises: exactly one outcome per request, the upstream is
released or closed, metrics and access log always run, an error after the first byte of an
answer cuts the connection.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from portico_dataplane.arrival import NO_ROUTE, NO_STAGE, Turned, arrive, overridden, stage_of
from portico_dataplane.core import errors
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.identifiers import TRACE_BYTES, chosen_request_id, trace_id
from portico_dataplane.core.load import Share
from portico_dataplane.core.messages import Outcome, Request, Response
from portico_dataplane.core.router import Miss
from portico_dataplane.core.verdicts import CONTINUE, Reject
from portico_dataplane.http import answer as heads
from portico_dataplane.http.admission import Admission
from portico_dataplane.http.buffering import Buffering
from portico_dataplane.http.forwarding import Forwarding
from portico_dataplane.http.head import RequestHead
from portico_dataplane.http.lines import as_lines, headers_of
from portico_dataplane.http.tunnel import Tunnel
from portico_dataplane.policies.cors import CorsPolicy
from portico_dataplane.runtime import ApiRuntime, RouteRuntime, StageRuntime
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind

if TYPE_CHECKING:
    from portico_dataplane.app import Gateway
    from portico_dataplane.http.connection import ClientConnection
    from portico_dataplane.http.upstream import UpstreamConnection

_log = logging.getLogger(__name__)

_HTTP: Final = ApiKind.HTTP


class Exchange:
    """From head to last byte."""

    # Defaults live on the class: a request sets only what happens to it.
    answered = False
    """Whether the first byte of an answer has been written."""
    _done = False
    _asked = False
    _api: ApiRuntime | None = None
    _stage: StageRuntime | None = None
    _cors: CorsPolicy | None = None
    _route: RouteRuntime | None = None
    _share: Share | None = None
    """Of its API, while it is one of the requests under way."""

    def __init__(
        self, gateway: Gateway, client: ClientConnection, head: RequestHead, now: float
    ) -> None:
        self.gateway = gateway
        self.client = client
        self.head = head
        self.started = now
        """Monotonic seconds."""
        self.keep_alive = head.fields.keep_alive
        self.request = Request()
        self.outcome = Outcome()
        self._work: Forwarding | Buffering | Tunnel | Admission | None = None
        """The integration at work (mypyc loses a union's default on the class)."""

    # --- arrive, route ----------------------------------------------------------------------

    def begin(self) -> None:
        """Route the request and start whatever answers it."""
        gateway = self.gateway
        gateway.in_flight += 1
        head = self.head
        fields = head.fields
        request = self.request
        runtime = gateway.holder.current
        gateway_unit = request.gateway = runtime.gateway
        request.received_ms = int(time.time() * 1000)
        request.lines = fields.lines
        request.method = head.method
        request.version = head.version
        request.query = head.query
        request.domain_name = fields.domain
        request.local_port = self.client.port
        request.source_ip = self.client.peer
        if gateway_unit.trusted_proxies:
            request.source_ip = gateway.client_address(self.client.peer, request.headers)
        request.path_parameters = {}
        request.stage, request.route = NO_STAGE, NO_ROUTE
        request.raw_path = head.path
        request.tls = self.client.tls
        api, request.path, named = arrive(runtime, request, head.path)
        if isinstance(api, Turned):
            request.api = api.unit
            self._identify(ApiKind.REST)
            if api.location:
                self.answer(api.redirect(request.method))
            else:
                self.reject(api.kind)
            return
        self._api = api
        self._cors = api.cors
        unit = request.api = api.unit
        self._identify(unit.kind)
        if fields.method_override is not None:
            request.method = overridden(head.method, fields.method_override, unit.kind)
        self._route_request(api, request.path, named)

    def _identify(self, kind: ApiKind) -> None:
        """The ids of AWS §2.4."""
        request, fields = self.request, self.head.fields
        second = request.received_ms // 1000
        own, short, trace = self.gateway.names.draw(second)
        request.extended_id = short
        if fields.trace_id is not None:
            trace = trace_id(fields.trace_id, second, self.gateway.chance.take(TRACE_BYTES))
        request.trace_id = trace
        if kind is _HTTP:
            own = short
        elif fields.request_id is not None:
            own = chosen_request_id(fields.request_id, own)
        request.request_id = own

    def _route_request(self, api: ApiRuntime, path: str, named: str) -> None:
        request = self.request
        unit = api.unit
        if unit.disable_default_endpoint and not request.mapped:
            self.reject(ErrorKind.DEFAULT_ENDPOINT_DISABLED)
            return
        stage = api.sole_stage
        if stage is None or named or path[:2] == "//":
            stage, request.path = stage_of(api, path, named)
        if stage is not None:
            self._stage = stage
            self._cors = stage.cors
            request.stage = stage.stage
        gateway = self.gateway
        if not gateway.load.admit(api.share, gateway.deadlines.lag_s):
            self.reject(ErrorKind.OVERLOAD)
            return
        self._share = api.share
        cors = self._cors
        if cors is not None and request.method == "OPTIONS":
            # Before anything else, but counted and logged where it belongs (AWS §2.2, §4.7).
            preflight = cors.preflight(request.method, request.headers)
            if preflight is not None:
                self.answer(preflight, decorated=True)
                return
        if stage is None:
            self.reject(ErrorKind.UNKNOWN_STAGE)
            return
        if unit.broken:
            self.reject(ErrorKind.BROKEN_ROUTE)
            return
        found = stage.router.find(request.method, request.path)
        if isinstance(found, Miss):
            self._missed(api, found)
            return
        route = self._route = found.value
        request.route = route.route
        request.path_parameters = found.parameters
        if route.broken:
            self.reject(ErrorKind.BROKEN_ROUTE)
            return
        if route.chain:
            self._admit(route)
        else:
            self.run(route)

    def _admit(self, route: RouteRuntime) -> None:
        """Ask the route's chain; while nothing must be asked of others, nothing waits."""
        request = self.request
        request.caller = Caller()
        for position, policy in enumerate(route.chain, 1):
            verdict = policy.on_request(request)
            if verdict is not CONTINUE:
                work = self._work = Admission(self, route, position)
                work.settle(verdict)
                return
        self.run(route)

    def run(self, route: RouteRuntime) -> None:
        """The route's integration; first the body's limit and the client's wish to be asked."""
        forward, buffered = route.forward, route.buffered
        fields = self.head.fields
        length = fields.content_length
        if length:
            what = forward or buffered
            if what is not None and length > what.max_request_body:
                self.reject(ErrorKind.REQUEST_TOO_LARGE)
                return
            self.ask_for_body()
        if forward is not None:
            work = self._work = Forwarding(self, forward)
            work.start()
        elif buffered is not None:
            other = self._work = Buffering(self, buffered, route.target)
            other.start()

    def ask_for_body(self) -> None:
        """Who waits for 100 before sending a body gets it, once."""
        if self.head.fields.expects_continue and not self._asked:
            self._asked = True
            self.client.transport.write(heads.CONTINUE)

    def _missed(self, api: ApiRuntime, miss: Miss) -> None:
        if miss is Miss.BAD_PATH:
            self.reject(ErrorKind.BAD_REQUEST)
        elif self._cors is not None and self.request.method == "OPTIONS":
            self.answer(self._cors.unrouted_options(), decorated=True)
        elif api.unit.kind is _HTTP:
            self.reject(ErrorKind.NOT_FOUND)
        else:
            self.reject(ErrorKind.MISSING_AUTHENTICATION_TOKEN)

    # --- what the client's side tells ---------------------------------------------------------

    def on_request_body(self, piece: bytes, complete: bool) -> None:
        """The client's body, piece by piece; what nobody wants any more is dropped."""
        if self._work is not None:
            try:
                self._work.on_request_body(piece, complete)
            except Exception:
                self.fail()

    def refuse_body(self, kind: ErrorKind) -> None:
        """The body is too large, too slow or broken."""
        self.keep_alive = False
        if self.answered:
            self.cut("the request body was refused")
        else:
            self.reject(kind)

    def admitted(self, route: RouteRuntime) -> None:
        """The chain let the request through after it had to wait: call the integration."""
        self._work = None
        self.run(route)

    def hand_over(self, tunnel: Tunnel) -> None:
        """The backend switched: from here on this is the work."""
        self._work = tunnel
        self.gateway.load.leave(self._share)
        self._share = None

    def on_client_paused(self, paused: bool) -> None:
        """The client is behind with reading, or not any more."""
        work = self._work
        if isinstance(work, Forwarding | Tunnel):
            work.on_client_paused(paused)

    def on_client_tunnel_data(self, data: bytes) -> None:
        """Bytes of a tunnel."""
        work = self._work
        if isinstance(work, Tunnel):
            work.on_client_tunnel_data(data)

    def on_client_gone(self) -> None:
        """The client left: its upstream call goes with it."""
        if not self._done:
            if not self.outcome.status:
                self.outcome.integration_error = "the client closed the connection"
            self._account(time.monotonic())

    def end_tunnel(self) -> None:
        """The backend closed its side of the tunnel."""
        self._account(time.monotonic())
        self.client.close_tunnel()

    # --- answer, account ----------------------------------------------------------------------

    def connection_line(self) -> bytes:
        """What the answer says about the connection; the last word on keeping it."""
        if not self.keep_alive or self.gateway.draining:
            self.keep_alive = False
            return heads.CLOSE
        return b"" if self.head.version == "1.1" else heads.KEEP_ALIVE

    def proxied_head(self, connection: UpstreamConnection, framing: bytes) -> bytes:
        """The head of a backend's answer; from here on an error can only cut."""
        if self._cors is not None:
            came = headers_of(connection.answer.lines)
            changed = as_lines(self._cors.decorate(self.request.headers, came))
            connection.answer = connection.answer.with_lines(changed)
        self.answered = True
        request = self.request
        rest = request.api.kind is not _HTTP
        date = self.gateway.date.line()
        return heads.proxied_head(request, connection.answer, rest, framing, date)

    def reject(self, kind: ErrorKind, cause: str = "") -> None:
        """Answer with an error."""
        self.refuse(Reject(kind, cause))

    def refuse(self, verdict: Reject) -> None:
        """Answer with an error and, where AWS has particulars, its text, type and headers."""
        kind, cause, message, headers, error_type = verdict
        request = self.request
        api = self._api
        self.outcome.error = kind
        self.outcome.integration_error = cause
        if errors.closes(kind):
            self.keep_alive = False
        response = errors.error_response(
            kind,
            api.unit.kind if api is not None else None,
            request_id=request.request_id,
            extended_id=request.extended_id,
            message=message,
            error_type=error_type,
        )
        response.headers.extend(headers)
        self.answer(response, identified=True)

    def answer(
        self, response: Response, *, identified: bool = False, decorated: bool = False
    ) -> None:
        """Write a whole answer made here."""
        if self._done:
            return
        headers = response.headers
        api = self._api
        if self._cors is not None and not decorated:
            headers = self._cors.decorate(self.request.headers, headers)
            response = Response(response.status, headers, response.body)
        client, head = self.client, self.head
        if not client.body_complete and (head.fields.expects_continue or not client.may_go_on):
            # Who waits for 100 may send no body at all (RFC 9110 §10.1.1): what comes next
            # cannot be told apart. Who sends a long one is not listened to.
            self.keep_alive = False
        self.outcome.status = response.status
        lines, body = heads.own_framing(response, head.method)
        ids: list[bytes] = []
        if not identified and api is not None:
            heads.identity(ids, self.request)
        raw = heads.own_head(
            response, b"".join(ids), lines + self.connection_line(), self.gateway.date.line()
        )
        self.answered = True
        self.outcome.response_length = len(body)
        client.transport.write(raw + body if body else raw)
        self.finish(time.monotonic())

    def cut(self, cause: str) -> None:
        """After the first byte an error can only cut the connection."""
        self.outcome.integration_error = cause
        self.keep_alive = False
        client = self.client
        self._account(time.monotonic())
        client.abort()

    def finish(self, now: float) -> None:
        """The whole answer is written; `now`: monotonic."""
        self._account(now)
        self.client.finished(self.keep_alive, now)

    def _account(self, now: float) -> None:
        """Always, and once: release what is held, count, log."""
        if self._done:
            return
        self._done = True
        gateway = self.gateway
        gateway.in_flight -= 1
        gateway.load.leave(self._share)
        work, self._work = self._work, None
        if work is not None:
            work.end()
        outcome = self.outcome
        outcome.response_latency_ms = (now - self.started) * 1000
        stage, api = self._stage, self._api
        meter = stage.meter if stage is not None else api.meter if api is not None else None
        if meter is None:
            meter = gateway.unknown_meter
        latency, integration = outcome.response_latency_ms, outcome.integration_latency_ms
        meter.record(outcome.status, latency, integration, outcome.response_length)
        route = self._route
        if route is not None and route.meter is not None:
            route.meter.record(outcome.status, latency, integration, outcome.response_length)
        if stage is not None and stage.log_line is not None:
            gateway.lines.write(stage.log_line(self.request, outcome))
        if gateway.dev_line is not None:
            gateway.lines.write(gateway.dev_line(self.request, outcome))
        if outcome.integration_error and outcome.error is not None:
            gateway.log_failure(self.request, outcome, now)

    def fail(self) -> None:
        """A bug of ours: the one rescue. The client learns nothing of it."""
        _log.exception("request %s failed", getattr(self.request, "request_id", "-"))
        if self.answered:
            self.cut("a bug")
        else:
            self.reject(ErrorKind.INTERNAL)
