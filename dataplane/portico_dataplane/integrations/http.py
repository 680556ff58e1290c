"""HTTP_PROXY, prepared: which backend, which request line, which headers.

Made by `build.py` for each route, asked by `http/exchange.py` once per attempt. Nothing is
parsed per request: targets, templates and mappings are ready objects. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import unquote_plus, unquote_to_bytes

from portico_dataplane.core.balancing import WeightedChoice
from portico_dataplane.core.context import value as context_value
from portico_dataplane.core.forwarding import connection_tokens, http_request, rest_request
from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.templates import BadTemplate, Place, UrlTemplate, encode
from portico_dataplane.http.upstream import Upstream
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
_HEADER_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

UpstreamOf = Callable[[str, str, int], Upstream]
"""(scheme, host, port) to the upstream of a URL whose host is only known per request."""


class Unforwardable(Exception):
    """The target cannot be formed from this request (AWS: invalid endpoint address, 500)."""


class PreparedTarget(NamedTuple):
    """One target of a route."""

    weight: int
    upstream: Upstream | None
    """None: the host holds a variable, `url.render` says which per request."""
    host: bytes
    """Host header, ready; empty when the host holds a variable."""
    url: UrlTemplate | None
    """Path and query; None: the client's own."""
    append_path: bool


class Destination(NamedTuple):
    """Where one attempt goes."""

    upstream: Upstream
    host: bytes
    path: str
    """Path and query for the request line."""


class HttpForward:
    """A route's way to its backends."""

    __slots__ = (
        "_choice",
        "_rest",
        "_sole",
        "_targets",
        "_upstream_of",
        "_user_agent",
        "_header_names",
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
        self.timeout_s = spec.timeout_ms / 1000
        self.max_request_body = spec.max_request_body
        self.method = spec.method
        self.preserve_host = spec.preserve_host
        self.mappings = spec.mappings
        self._rest = kind is not ApiKind.HTTP
        self._user_agent = f"AmazonAPIGateway_{api_id}".encode("ascii")
        self._targets = targets
        self._sole = targets[0] if len(targets) == 1 else None
        self._choice = WeightedChoice([target.weight for target in targets])
        self._upstream_of = upstream_of
        self._header_names = frozenset(
            mapping.name.lower().encode("latin-1", "replace")
            for mapping in spec.mappings
            if mapping.place == "header"
        )

    def destination(self, request: Request) -> Destination | None:
        """The upstream and path of this request; None: every weight is 0.

        Raises `Unforwardable` when a template cannot be filled.
        """
        target = self._sole
        if target is None:
            index = self._choice.pick()
            if index is None:
                return None
            target = self._targets[index]
        query = request.query
        if target.url is None:
            path = request.path
            if query:
                path = f"{path}?{query}"
            if self.mappings:
                path = _joined(path, [self._mapped_query(request)])
            upstream, host = target.upstream, target.host
        else:
            upstream, host, path = self._rendered(target, request)
        if upstream is None:  # pragma: no cover - build makes one or the other
            raise Unforwardable("no upstream")
        return Destination(upstream, host, path)

    def _rendered(self, target: PreparedTarget, request: Request) -> tuple[Upstream, bytes, str]:
        template = target.url
        assert template is not None
        variables = request.path_parameters
        if self.mappings:
            variables = {**variables, **self._mapped_path(request)}
        try:
            url = template.render(variables)
        except (BadTemplate, KeyError) as error:
            raise Unforwardable(str(error)) from error
        path = url.path
        if target.append_path:
            path = path.rstrip("/") + request.path
        path = path or "/"
        queries = [url.query, self._mapped_query(request) if self.mappings else "", request.query]
        path = _joined(path, queries)
        if target.upstream is not None:
            return target.upstream, target.host, path
        upstream = self._upstream_of(url.scheme, url.host, url.port)
        return upstream, url.authority.encode("ascii"), path

    def head(
        self, request: Request, destination: Destination, connection: bytes, framing: bytes
    ) -> bytes:
        """The request head towards the backend.

        `connection`: the client's Connection header; `framing`: the lines that frame the body
        or ask for an upgrade, each ending in CRLF.
        """
        host = destination.host
        if self.preserve_host:
            host = request.header(b"host") or host
        named = connection_tokens(connection) if connection else frozenset()
        headers = request.headers
        method = self.method or request.method
        parts = [
            f"{method} {destination.path} HTTP/1.1\r\nHost: ".encode("ascii"),
            host,
            b"\r\n",
        ]
        agent = self._user_agent
        if self.mappings:
            mapped = self._mapped_headers(request)
            set_names = frozenset(name.lower() for name, _ in mapped)
            headers = [(n, v) for n, v in headers if n.lower() not in set_names]
            for name, value in mapped:
                parts += (name, b": ", value, b"\r\n")
            if b"user-agent" in set_names:
                agent = b""
        if self._rest:
            rest_request(parts, headers, named, request.source_ip, agent)
            parts += (
                b"X-Forwarded-Port: %d\r\nX-Forwarded-Proto: " % request.local_port,
                request.scheme.encode("ascii"),
                b"\r\nX-Amzn-Apigateway-Api-Id: ",
                request.api.api_id.encode("ascii"),
                b"\r\n",
            )
        else:
            http_request(
                parts, headers, named, request.source_ip, request.domain_name, request.scheme
            )
        parts += (b"X-Amzn-Trace-Id: ", request.trace_id.encode("latin-1"), b"\r\n", framing)
        parts.append(b"\r\n")
        return b"".join(parts)

    # --- mappings (AWS §3.4, §3.7) ----------------------------------------------------------

    def _mapped_path(self, request: Request) -> dict[str, str]:
        found: dict[str, str] = {}
        for mapping in self.mappings:
            if mapping.place == "path":
                values = source_values(mapping.source, request)
                if values:
                    raw = isinstance(mapping.source, FromRequest) and mapping.source.place == "path"
                    found[mapping.name] = (
                        values[-1] if raw else encode(values[-1], Place.SEGMENTS)
                    )
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

    def _mapped_headers(self, request: Request) -> Headers:
        found: Headers = []
        for mapping in self.mappings:
            if mapping.place != "header":
                continue
            name = mapping.name.encode("latin-1", "replace")
            if name.lower() in _SILENTLY_DROPPED:
                continue
            for value in _decoded_values(mapping, request):
                raw = value.encode("utf-8", "surrogateescape")
                if not _HEADER_VALUE.fullmatch(raw):
                    raise Unforwardable(f"the value mapped to header {mapping.name} has controls")
                found.append((name, raw))
        return found


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

