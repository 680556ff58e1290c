"""Where a request arrives: which API, which stage, under which path.

Asked by `http/exchange.py` for every request and by `portico explain`, so that both say the
same. The rules are AWS §3.2.5 (slashes, stage prefix of REST APIs), §4.2 (HTTP APIs), §8 (domains)
and §15.29 (X-HTTP-Method-Override). A request for a default endpoint without TLS costs one look-up.
No I/O.
"""

from __future__ import annotations

from typing import Final

from portico_dataplane.core.domains import Domain
from portico_dataplane.core.messages import Request, Response
from portico_dataplane.runtime import ApiRuntime, Runtime, StageRuntime
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, ApiUnit, Broken, DefaultMatch, Route, Stage

LOCAL_PATHS: Final = "/_aws/execute-api/"
"""Development: `/_aws/execute-api/<apiId>/<stage>/…` under any host."""

NO_API: Final = ApiUnit(uid="", api_id="", kind=ApiKind.REST, name="", namespace="")
NO_STAGE: Final = Stage(name="")
NO_ROUTE: Final = Route(key="", match=DefaultMatch(), integration=Broken(reason="no route"))
"""What a request has that did not get so far."""

_SEVEN: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Turned:
    """A request that reaches no API, and what becomes of it."""

    __slots__ = ("kind", "location", "unit", "why")

    def __init__(self, kind: ErrorKind, why: str, location: str = "") -> None:
        self.kind = kind
        """The error that answers it; of a redirect what would, were there none."""
        self.why = why
        """For people."""
        self.location = location
        """Not empty: the client is sent there instead."""
        self.unit = NO_API
        """What its request has for an API."""

    def redirect(self, method: str) -> Response:
        """To `location`; what is no GET keeps its method and body (RFC 9110 §15.4.9)."""
        status = 301 if method in ("GET", "HEAD") else 308
        return Response(status, [(b"Location", self.location.encode("latin-1", "replace"))])


_UNKNOWN: Final = Turned(ErrorKind.UNKNOWN_HOST, "no API answers to this host")


def arrive(runtime: Runtime, request: Request, path: str) -> tuple[ApiRuntime | Turned, str, str]:
    """The API, the path to route, and the stage when the path or a domain names it outright."""
    if runtime.gateway.local_paths and path.startswith(LOCAL_PATHS):
        request.scheme = "http" if request.tls is None else "https"
        api_id, _, rest = path[len(LOCAL_PATHS) :].partition("/")
        named, _, rest = rest.partition("/")
        return runtime.apis.get(api_id) or _UNKNOWN, "/" + rest, named
    api = runtime.hosts.get(request.domain_name)
    if api is not None and request.tls is None:
        return api, path, ""
    return _at_domain(runtime, request, api, path)


def _at_domain(
    runtime: Runtime, request: Request, api: ApiRuntime | None, path: str
) -> tuple[ApiRuntime | Turned, str, str]:
    """The same where a domain of one's own may be concerned: a host or a handshake for it."""
    tls = request.tls
    request.scheme = "http" if tls is None else "https"
    domain = runtime.domains.find(request.domain_name) if api is None else None
    if tls is not None and tls.server_name != request.domain_name:
        # A domain's client certificates and TLS settings hold for its own handshakes only.
        meant = runtime.domains.find(tls.server_name) if tls.server_name else None
        lenient = domain is not None and not domain.strict and not tls.server_name
        if meant is not domain and not lenient:
            return Turned(ErrorKind.MISDIRECTED_REQUEST, _misdirected(tls.server_name)), path, ""
    if domain is None:
        return api or runtime.sole or _UNKNOWN, path, ""
    unit = domain.unit
    if unit.broken:
        return Turned(ErrorKind.BROKEN_ROUTE, f"{unit.object}: {unit.broken}"), path, ""
    if tls is None and (unit.redirect or domain.strict):
        why = f"{unit.object} is reached by https only"
        location = _secure_url(runtime, request) if unit.redirect else ""
        return Turned(ErrorKind.TLS_REQUIRED, why, location), path, ""
    if unit.mutual is not None and tls is not None and tls.client_certificate is None:
        # A connection that was there before the domain asked for certificates.
        why = f"{unit.object} asks for client certificates, and this connection showed none"
        return Turned(ErrorKind.TLS_REQUIRED, why), path, ""
    return _chosen(runtime, request, domain, path)


def _chosen(
    runtime: Runtime, request: Request, domain: Domain, path: str
) -> tuple[ApiRuntime | Turned, str, str]:
    choice = domain.choose(path, request.headers if domain.asks_headers else [])
    name = domain.unit.object
    if choice is None:
        if domain.unit.routing == "rules":
            return Turned(ErrorKind.NO_ROUTING_RULE, f"no rule of {name} matches"), path, ""
        return Turned(ErrorKind.NO_MAPPING, f"no mapping of {name} takes the path"), path, ""
    request.base_path, request.routing_rule = choice.base_path, choice.rule
    if choice.broken:
        return Turned(ErrorKind.BROKEN_ROUTE, f"{name}: {choice.broken}"), path, ""
    api = runtime.units.get(choice.api)
    if api is None:
        return Turned(ErrorKind.BROKEN_ROUTE, f"{name}: {choice.api} is not served"), path, ""
    request.mapped = True
    return api, choice.path, choice.stage


def _misdirected(server_name: str) -> str:
    asked = f"was for {server_name!r}" if server_name else "named no host"
    return f"the handshake {asked}, and that is not the request's domain"


def _secure_url(runtime: Runtime, request: Request) -> str:
    port = runtime.gateway.https_port
    host = request.domain_name if port == 443 else f"{request.domain_name}:{port}"
    query = f"?{request.query}" if request.query else ""
    return f"https://{host}{request.raw_path}{query}"


def stage_of(api: ApiRuntime, path: str, named: str) -> tuple[StageRuntime | None, str]:
    """The stage, and the path without its prefix."""
    rest = api.unit.kind is ApiKind.REST
    if rest:
        path = _collapsed(path)
    if named:
        return api.stages.get(named), path
    if api.default_stage is None or len(api.stages) > 1:
        first, slash, tail = path[1:].partition("/")
        stage = api.stages.get(first)
        if stage is not None and first != "$default":
            tail = slash + tail
            return stage, (_collapsed(tail) if rest else tail) or "/"
    return api.default_stage, path


def _collapsed(path: str) -> str:
    # AWS §3.2.5: leading slashes collapse before matching, inner ones do not.
    return "/" + path.lstrip("/") if path[:2] == "//" else path


def overridden(method: str, override: bytes | None, kind: ApiKind) -> str:
    """The method to route: REST APIs honour X-HTTP-Method-Override (AWS §15.29)."""
    if override is None or kind is not ApiKind.REST:
        return method
    wanted = override.decode("latin-1").upper()
    return wanted if wanted in _SEVEN else method
