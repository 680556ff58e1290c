"""Where one request would go, found with the engine's own parts: head parser, Runtime, router.

Called by `explain`. The snapshot is built as in a data plane, the head is parsed as from a
client, the route's own integration says what it would send; no backend is called, and issuers
and authorizers only where the user said so. Only the choice
of API and stage is repeated from `http/exchange.py`, and a test holds the two together.
"""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple
from urllib.parse import quote

from portico_cli.asking import Outside
from portico_cli.chain import Decided, decide
from portico_cli.release import version
from portico_dataplane.app import Gateway
from portico_dataplane.arrival import LOCAL_PATHS, Turned, arrive, overridden, stage_of
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.identifiers import TRACE_BYTES, trace_id
from portico_dataplane.core.messages import Request
from portico_dataplane.core.router import Miss
from portico_dataplane.core.tls_facts import ClientCertificate, TlsFacts
from portico_dataplane.http.head import RequestHead, parse
from portico_dataplane.runtime import ApiRuntime, RouteRuntime, Runtime, StageRuntime
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.meters import StageMeters
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, Snapshot

_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_ANYBODY = ClientCertificate(
    pem="", subject="", issuer="", serial="", not_before="", not_after="", line=b""
)


class Asked(NamedTuple):
    """The request in question."""

    method: str
    url: str
    """A path, or a URL with or without scheme."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    ask: bool = False
    """Whether issuers and authorizers may be asked."""

    @property
    def host(self) -> str:
        """The Host that the request would carry."""
        given = [value for name, value in self.headers if name.lower() == "host"]
        return given[-1] if given else self._parts()[0] or "localhost"

    @property
    def target(self) -> str:
        """The path and query that the request line would carry."""
        target = self._parts()[1].partition("#")[0]
        if not target.startswith("/"):
            target = f"/{target}"
        # As curl: what is not ASCII travels as UTF-8, percent-encoded.
        return quote(target, safe="".join(chr(code) for code in range(0x21, 0x7F)))

    def _parts(self) -> tuple[str, str]:
        if self.url.startswith("/"):
            return "", self.url
        rest = _SCHEME.sub("", self.url, count=1)
        cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        return rest[:cut], rest[cut:]

    def handshake(self, runtime: Runtime) -> TlsFacts | None:
        """That of the connection: a URL says so; without a scheme a domain's certificate does.

        A client certificate that is asked for is taken as given.
        """
        name = self.host.partition(":")[0].lower()
        domain = runtime.domains.find(name)
        secure = domain is not None and domain.unit.certificate is not None
        given = _SCHEME.match(self.url)
        if given is not None:
            secure = given[0].lower() == "https://"
        if not secure:
            return None
        mutual = domain is not None and domain.unit.mutual is not None
        return TlsFacts(
            server_name=name,
            version="TLSv1.3",
            cipher="",
            client_certificate=_ANYBODY if mutual else None,
        )

    def head(self) -> bytes:
        """The bytes of the head, without its empty line."""
        others = [(n, v) for n, v in self.headers if n.lower() != "host"]
        given = {name.lower() for name, _ in others}
        if "user-agent" not in given:
            others.insert(0, ("User-Agent", f"portico/{version()}"))
        if self.body and not given & {"content-length", "transfer-encoding"}:
            others.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in others]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape")


class Other(NamedTuple):
    """A route that does not take the request."""

    route: str
    key: str
    why: str


class Explained:
    """What was found out, as far as the request gets."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.error: ErrorKind | None = None
        self.why = ""
        """Why it gets no further; empty when a backend would be called."""
        self.hosts: list[str] = []
        """Where APIs answer; told when the host is unknown."""
        self.domain: dict[str, Any] = {}
        """The DomainName that the host belongs to, and what of it matched."""
        self.api: ApiRuntime | None = None
        self.found_by = ""
        self.stage: StageRuntime | None = None
        self.head: RequestHead | None = None
        self.request: Request | None = None
        self.route: RouteRuntime | None = None
        self.decided = Decided(())
        """What its chain says."""
        self.others: list[Other] = []

    def refuse(self, error: ErrorKind | None, why: str) -> Explained:
        """The request ends here."""
        self.error, self.why = error, why
        return self


class _NoLines:
    """A LineSink that keeps nothing."""

    def write(self, line: str) -> None:
        """Nothing is logged about a request that is not made."""


async def inquire(snapshot: Snapshot, asked: Asked) -> Explained:
    """Follow the request through a gateway that serves the snapshot and listens nowhere."""
    gateway = Gateway(Settings(), meters=StageMeters(), lines=_NoLines())
    await gateway.start(())
    try:
        applied = await gateway.apply(snapshot)
        explained = Explained(asked)
        if applied.refused:
            explained.why = "; ".join(
                f"{u} is refused: {why}" for u, why in applied.refused.items()
            )
        found = _follow(gateway, explained)
        if found.route is not None and not found.why:
            await _through_chain(found, found.route, Outside(gateway) if asked.ask else None)
        return found
    finally:
        await gateway.stop()


def _follow(gateway: Gateway, explained: Explained) -> Explained:
    head = parse(explained.asked.head(), gateway.settings.max_headers)
    if isinstance(head, ErrorKind):
        return explained.refuse(head, "the request's head is refused before it is routed")
    explained.head = head
    request = explained.request = _request(gateway, head)
    runtime = gateway.holder.current
    host = head.fields.domain
    request.tls = explained.asked.handshake(runtime)
    api, path, named = arrive(runtime, request, head.path)
    explained.domain = _domain(runtime, request)
    if isinstance(api, Turned):
        if api.kind is ErrorKind.UNKNOWN_HOST:
            explained.hosts = sorted(runtime.hosts)
            return explained.refuse(api.kind, f"no API answers at {host!r}")
        if api.location:
            return explained.refuse(None, f"the client is sent to {api.location}")
        return explained.refuse(api.kind, api.why)
    if request.mapped:
        explained.found_by = f"its domain {host}"
    elif named:
        explained.found_by = f"its apiId in {LOCAL_PATHS}"
    elif host in runtime.hosts:
        explained.found_by = f"its host {host}"
    else:
        explained.found_by = f"being the only one ({host} is no API's host)"
    explained.api = api
    request.api = api.unit
    request.method = overridden(head.method, head.fields.method_override, api.unit.kind)
    return _through_api(explained, api, request, path, named)


def _domain(runtime: Runtime, request: Request) -> dict[str, Any]:
    host = request.domain_name
    domain = runtime.domains.find(host) if host not in runtime.hosts else None
    if domain is None:
        return {}
    return {
        "name": domain.unit.object,
        "mapped": request.mapped,
        "basePath": request.base_path,
        "rule": request.routing_rule,
        "clientCertificate": domain.unit.mutual is not None,
    }


def _request(gateway: Gateway, head: RequestHead) -> Request:
    request = Request()
    request.gateway = gateway.holder.current.gateway
    request.received_ms = int(time.time() * 1000)
    request.lines = head.fields.lines
    request.method = head.method
    request.version = head.version
    request.query = head.query
    request.raw_path = request.path = head.path
    request.domain_name = head.fields.domain
    request.local_port = gateway.settings.port
    request.source_ip = "127.0.0.1"
    request.path_parameters = {}
    request.request_id = request.extended_id = "-"
    seconds = request.received_ms // 1000
    request.trace_id = trace_id(head.fields.trace_id, seconds, gateway.chance.take(TRACE_BYTES))
    return request


def _through_api(
    explained: Explained, api: ApiRuntime, request: Request, path: str, named: str
) -> Explained:
    if api.unit.disable_default_endpoint and not request.mapped:
        why = "disableExecuteApiEndpoint: the default endpoint refuses"
        return explained.refuse(ErrorKind.DEFAULT_ENDPOINT_DISABLED, why)
    stage, request.path = stage_of(api, path, named)
    own = stage.cors if stage is not None else api.cors
    cors = own if request.method == "OPTIONS" else None
    if cors is not None and cors.preflight(request.method, request.headers) is not None:
        return explained.refuse(None, "it is a CORS preflight, answered before any route")
    if stage is None:
        stages = ", ".join(sorted(api.stages)) or "none"
        why = f"no stage takes the path; stages are {stages}"
        return explained.refuse(ErrorKind.UNKNOWN_STAGE, why)
    explained.stage = stage
    request.stage = stage.stage
    if api.unit.broken:
        return explained.refuse(ErrorKind.BROKEN_ROUTE, api.unit.broken)
    found = stage.router.find(request.method, request.path)
    winner = None if isinstance(found, Miss) else found.value
    explained.others = [
        Other(one.value.route.object, one.value.route.key, one.why)
        for one in stage.router.explain(request.method, request.path)
        if one.value is not winner
    ]
    if isinstance(found, Miss):
        if found is Miss.BAD_PATH:
            return explained.refuse(ErrorKind.BAD_REQUEST, "the path is refused")
        if cors is not None:
            return explained.refuse(None, "no route takes it; CORS answers every OPTIONS request")
        rest = api.unit.kind is ApiKind.REST
        kind = ErrorKind.MISSING_AUTHENTICATION_TOKEN if rest else ErrorKind.NOT_FOUND
        return explained.refuse(kind, "no route takes it")
    explained.route = found.value
    request.route = found.value.route
    request.path_parameters = found.parameters
    if found.value.broken:
        return explained.refuse(ErrorKind.BROKEN_ROUTE, found.value.broken)
    return explained


async def _through_chain(
    explained: Explained, route: RouteRuntime, outside: Outside | None
) -> None:
    request = explained.request
    assert request is not None, "a route was found for it"
    request.caller = Caller()
    decided = await decide(route.chain, request, explained.asked.body, outside)
    explained.decided = decided
    if decided.refusal is not None:
        explained.refuse(decided.refusal.kind, decided.refusal.cause)


def answer_of(explained: Explained) -> dict[str, Any]:
    """Status and body that the client would get from the gateway itself."""
    from portico_dataplane.core import errors

    if explained.error is None:
        return {}
    kind = explained.api.unit.kind if explained.api is not None else None
    refusal = explained.decided.refusal
    response = errors.error_response(
        explained.error,
        kind,
        request_id="-",
        extended_id="-",
        message=refusal.message if refusal else None,
        error_type=refusal.error_type if refusal else "",
    )
    said: dict[str, Any] = {
        "error": str(explained.error),
        "status": response.status,
        "body": response.body.decode("utf-8", "replace"),
    }
    if refusal is not None and refusal.headers:
        said["headers"] = [[n.decode(), value.decode("latin-1")] for n, value in refusal.headers]
    return said
