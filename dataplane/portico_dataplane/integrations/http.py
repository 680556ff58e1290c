"""HTTP_PROXY, prepared: which backend, which request line, which headers.

Made by `build.py` for each route, asked by `http/exchange.py` once per attempt. Nothing is
parsed per request: targets, templates and mappings are ready objects. No I/O.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import unquote_plus, unquote_to_bytes

from portico_dataplane.core.balancing import WeightedChoice
from portico_dataplane.core.context import value as context_value
from portico_dataplane.core.forwarding import (
    first_forwarded,
    first_forwarded_for,
    forwarded,
    forwarded_for,
)
from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.templates import BadTemplate, Place, UrlTemplate, encode
from portico_dataplane.http.head import Fields
from portico_dataplane.http.pools import Upstream
from portico_ir.model import (
    ApiKind,
    FromContext,
    FromLiteral,
    FromRequest,
    HttpProxy,
    ParameterMapping,
    Source,
)

# Set by mapping, these never arrive and are no error (AWS §18).
_SILENTLY_DROPPED: Final = frozenset({b"te", b"via", b"proxy-authenticate"})
_NEVER_MAPPED: Final = frozenset(
    {"content-length", "transfer-encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id"}
)
"""AWS §3.8: mapping one of these answers 500. Two of them would frame the request anew."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class Tls(NamedTuple):
    """How TLS is spoken to a target."""

    key: str
    """In the contract; connections are shared by it."""
    context: ssl.SSLContext
    """Whom to trust and what to show."""
    server_name: str
    """To ask for and to look for; empty: the host."""


UpstreamOf = Callable[[str, str, int, Tls | None], Upstream]
"""(scheme, host, port, TLS) to the upstream of a URL whose host is only known per request."""


class Unforwardable(Exception):
    """The target cannot be formed from this request (AWS: invalid endpoint address, 500)."""


class PreparedTarget(NamedTuple):
    """One target of a route."""

    weight: int
    upstream: Upstream | None
    """None: the host holds a variable, `url.render` says which per request."""
    host_line: bytes
    """`Host: …` with CRLF; empty when the host holds a variable."""
    url: UrlTemplate | None
    """Path and query; None: the client's own."""
    append_path: bool
    tls: Tls | None = None
    """None: as usual."""


class Destination(NamedTuple):
    """Where one attempt goes."""

    upstream: Upstream
    host_line: bytes
    path: str
    """Path and query for the request line."""


class HttpForward:
    """A route's way to its backends."""

    __slots__ = (
        "_api_id",
        "_choice",
        "_from_context",
        "_rest",
        "_sole",
        "_static",
        "_tails",
        "_targets",
        "_upstream_of",
        "_user_agent",
        "mappings",
        "max_request_body",
        "method",
        "preserve_host",
        "timeout_s",
    )

    def __init__(
        self,
        spec: HttpProxy,
        kind: ApiKind,
        api_id: str,
        targets: tuple[PreparedTarget, ...],
        upstream_of: UpstreamOf,
    ) -> None:
        _check(spec)
        self.timeout_s = spec.timeout_ms / 1000
        self.max_request_body = spec.max_request_body
        self.method = spec.method
        self.preserve_host = spec.preserve_host
        self.mappings = spec.mappings
        self._from_context = frozenset(
            mapping.name.lower().encode("ascii")
            for mapping in spec.mappings
            if mapping.place == "header" and isinstance(mapping.source, FromContext)
        ) - {b"host", *_SILENTLY_DROPPED}
        self._rest = kind is not ApiKind.HTTP
        self._api_id = api_id
        self._user_agent = f"User-Agent: AmazonAPIGateway_{api_id}\r\n".encode("ascii")
        self._targets = targets
        self._sole = targets[0] if len(targets) == 1 else None
        self._choice = WeightedChoice([target.weight for target in targets])
        self._upstream_of = upstream_of
        self._static = self._always() if not spec.mappings else None
        self._tails: dict[int, bytes] = {}

    def _always(self) -> Destination | None:
        """The destination of every request without a query, when there is just one."""
        target = self._sole
        if target is None or target.upstream is None or target.url is None or target.append_path:
            return None
        if not target.url.is_static:
            return None
        url = target.url.render({})
        return Destination(target.upstream, target.host_line, _joined(url.path or "/", [url.query]))

    def destination(self, request: Request) -> Destination | None:
        """The upstream and path of this request; None: every weight is 0.

        Raises `Unforwardable` when a template cannot be filled.
        """
        query = request.query
        if self._static is not None and not query:
            return self._static
        target = self._sole
        if target is None:
            index = self._choice.pick()
            if index is None:
                return None
            target = self._targets[index]
        if target.url is not None:
            return self._rendered(target, target.url, request)
        path = request.path
        if query:
            path = f"{path}?{query}"
        if self.mappings:
            path = _joined(path, [self._mapped_query(request)])
        if target.upstream is None:  # pragma: no cover - only a URL's host may hold a variable
            raise Unforwardable("no upstream")
        return Destination(target.upstream, target.host_line, path)

    def _rendered(
        self, target: PreparedTarget, template: UrlTemplate, request: Request
    ) -> Destination:
        variables = request.path_parameters
        try:
            if self.mappings:
                variables = {**variables, **self._mapped_path(request)}
            url = template.render(variables)
        except (BadTemplate, KeyError) as error:
            raise Unforwardable(str(error)) from error
        path = url.path
        if target.append_path:
            path = path.rstrip("/") + request.path
        mapped = self._mapped_query(request) if self.mappings else ""
        path = _joined(path or "/", [url.query, mapped, request.query])
        if target.upstream is not None:
            return Destination(target.upstream, target.host_line, path)
        upstream = self._upstream_of(url.scheme, url.host, url.port, target.tls)
        return Destination(upstream, f"Host: {url.authority}\r\n".encode("ascii"), path)

    def head(
        self, request: Request, client: Fields, destination: Destination, framing: bytes
    ) -> bytes:
        """The request head towards the backend.

        `client`: the fields that came; `framing`: the lines that frame the body or ask for an
        upgrade, each ending in CRLF.
        """
        method = self.method or request.method
        host_line = destination.host_line
        if self.preserve_host:
            came = request.header(b"host")
            host_line = b"Host: %b\r\n" % came if came else host_line
        tls = request.tls
        port = request.local_port if request.scheme == "http" else -request.local_port
        passed = client.rest if self._rest else client.http
        if request.caller.user_arn:
            passed = self._without_signature(passed, client)
        parts = [
            host_line,
            passed,
            b"" if client.user_agent or not self._rest else self._user_agent,
            self._forwarded(request, client),
            self._tails.get(port) or self._tail(port),
        ]
        if tls is not None and tls.client_certificate is not None:
            parts.append(tls.client_certificate.line)
        if self.mappings:
            parts = self._with_mapped_headers(request, parts)
        parts += (
            b"X-Amzn-Trace-Id: ",
            request.trace_id.encode("latin-1"),
            b"\r\n",
            framing,
            b"\r\n",
        )
        return b"".join([f"{method} {destination.path} HTTP/1.1\r\n".encode("ascii"), *parts])

    def _without_signature(self, passed: bytes, client: Fields) -> bytes:
        """AWS §6.3: a signature that was verified goes no further."""
        block = b"\r\n" + passed
        for line in client.lines:
            if line.lower == b"authorization":
                block = block.replace(b"\r\n" + (line.rest if self._rest else line.http), b"\r\n")
        return block[2:]

    def _tail(self, port: int) -> bytes:
        """Lines that are the same for every request of this route on this port; a negative one
        speaks TLS."""
        tail = b""
        if self._rest:
            scheme = "https" if port < 0 else "http"
            tail = (
                f"X-Forwarded-Port: {abs(port)}\r\nX-Forwarded-Proto: {scheme}\r\n"
                f"X-Amzn-Apigateway-Api-Id: {self._api_id}\r\n"
            ).encode("ascii")
        self._tails[port] = tail
        return tail

    def _forwarded(self, request: Request, client: Fields) -> bytes:
        """Who the request came from, as this kind of API says it (AWS §2.4)."""
        source_ip = request.source_ip
        if not client.forwarded:
            if self._rest:
                return first_forwarded_for(source_ip)
            return first_forwarded(source_ip, request.domain_name, request.scheme)
        hops = [line.value for line in client.lines if line.lower == b"x-forwarded-for"]
        if self._rest:
            return forwarded_for(hops, source_ip)
        earlier = [line.value for line in client.lines if line.lower == b"forwarded"]
        return forwarded(earlier, hops, source_ip, request.domain_name, request.scheme)

    # --- mappings (AWS §3.4, §3.7) ----------------------------------------------------------

    def _mapped_path(self, request: Request) -> dict[str, str]:
        found: dict[str, str] = {}
        for mapping in self.mappings:
            if mapping.place == "path":
                values = source_values(mapping.source, request)
                if values:
                    raw = isinstance(mapping.source, FromRequest) and mapping.source.place == "path"
                    found[mapping.name] = values[-1] if raw else encode(values[-1], Place.SEGMENTS)
        return found

    def _mapped_query(self, request: Request) -> str:
        pairs: list[str] = []
        for mapping in self.mappings:
            if mapping.place == "querystring":
                name = encode(mapping.name, Place.QUERY)
                pairs += [
                    f"{name}={encode(value, Place.QUERY)}"
                    for value in _decoded_values(mapping, request)
                ]
        return "&".join(pairs)

    def _with_mapped_headers(self, request: Request, lines: list[bytes]) -> list[bytes]:
        """Header lines with the mapped ones in place of any other of their name (AWS §3.4).

        What is mapped from the context (who calls, above all) is never the client's own word, not
        even where the context has no value (ours).
        """
        mapped = self._mapped_headers(request)
        hosts = [pair for pair in mapped if pair[0].lower() == b"host"]
        if len(hosts) > 1:  # RFC 9112 §3.2: a request has one, whatever its source has
            mapped = [pair for pair in mapped if pair not in hosts] + hosts[-1:]
        names = self._from_context.union(name.lower() for name, _ in mapped)
        kept = [
            line
            for line in b"".join(lines).splitlines(keepends=True)
            if line.partition(b":")[0].lower() not in names
        ]
        return kept + [b"%b: %b\r\n" % pair for pair in mapped]

    def _mapped_headers(self, request: Request) -> Headers:
        found: Headers = []
        for mapping in self.mappings:
            if mapping.place != "header":
                continue
            name = mapping.name.encode("ascii")
            if name.lower() in _SILENTLY_DROPPED:
                continue
            for value in _decoded_values(mapping, request):
                raw = value.encode("utf-8", "surrogateescape")
                if not _HEADER_VALUE.fullmatch(raw):
                    raise Unforwardable(f"the value mapped to header {mapping.name} has controls")
                found.append((name, raw))
        return found


def _check(spec: HttpProxy) -> None:
    """BadTemplate for what must not stand in a request head; the route fails closed then."""
    if spec.method and _TOKEN.fullmatch(spec.method) is None:
        raise BadTemplate("not a method")
    for mapping in spec.mappings:
        if mapping.place != "header":
            continue
        if _TOKEN.fullmatch(mapping.name) is None:
            raise BadTemplate(f"not the name of a header: {mapping.name!r}")
        if mapping.name.lower() in _NEVER_MAPPED:
            raise BadTemplate(f"the header {mapping.name} may not be mapped")


def _joined(path: str, queries: list[str]) -> str:
    given = [query for query in queries if query]
    if not given:
        return path
    return f"{path}{'&' if '?' in path else '?'}{'&'.join(given)}"


def _decoded_values(mapping: ParameterMapping, request: Request) -> list[str]:
    source = mapping.source
    values = source_values(source, request)
    if isinstance(source, FromRequest) and source.place == "path":
        return [unquote_to_bytes(value).decode("utf-8", "replace") for value in values]
    return values


def source_values(source: Source, request: Request) -> list[str]:
    """The values of a mapping's source; empty when it is missing. Path values stay raw."""
    if isinstance(source, FromLiteral):
        return [source.value]
    if isinstance(source, FromContext):
        found = context_value(source.name, request)
        return [] if found is None else [found]
    if source.place == "path":
        raw = request.path_parameters.get(source.name)
        return [] if raw is None else [raw]
    if source.place == "header":
        # AWS §3.2: header names are processed case-sensitively in REST mappings; clients and
        # HTTP say otherwise, so any case is taken.
        wanted = source.name.lower().encode("latin-1", "replace")
        values = [
            value.decode("utf-8", "surrogateescape")
            for name, value in request.headers
            if name.lower() == wanted
        ]
    else:
        values = [
            unquote_plus(value)
            for name, _, value in (pair.partition("=") for pair in request.query.split("&"))
            if name and unquote_plus(name) == source.name
        ]
    # AWS §3.7: a single value is the last one when repeated.
    return values if source.multi else values[-1:]
