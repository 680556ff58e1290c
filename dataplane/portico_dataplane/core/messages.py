"""What a gateway talks about: a request with where it arrived, a whole response, an outcome.

Made by `http/exchange.py`, read by policies, integrations, error texts and access logs.
Pure data. Header names and values stay bytes as on the wire; paths stay percent-encoded
(AWS §3.2: what goes on is the client's raw path).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from portico_dataplane.core.caller import NOBODY, Caller

if TYPE_CHECKING:
    from portico_dataplane.core.tls_facts import TlsFacts
    from portico_ir.errors import ErrorKind
    from portico_ir.model import ApiUnit, GatewayUnit, Route, Stage

Headers = list[tuple[bytes, bytes]]
"""Names as received (their case is the client's), values without surrounding spaces."""


class HeaderLine(Protocol):
    """A header line as a connection read it."""

    @property
    def name(self) -> bytes:
        """As spelt."""
        ...

    @property
    def value(self) -> bytes:
        """Without surrounding spaces."""
        ...

    @property
    def lower(self) -> bytes:
        """The name in lower case."""
        ...


class Request:
    """One request after routing. Everything a policy or integration may look at.

    Raw means: exactly the client's bytes, decoded as latin-1 when a str. Defaults live on the
    class: a request sets only what it knows.
    """

    method: str
    """Upper case as sent (or as X-HTTP-Method-Override says, AWS §15.29)."""
    raw_path: str
    """The request line's path before `?`, stage prefix included."""
    path: str
    """Raw path after stage and mapping; what is routed and, by default, sent on."""
    query: str
    """Raw query string without `?`; empty when there is none."""
    version: str
    """`1.1` or `1.0`."""
    domain_name: str
    """Host without port, lower case; `$context.domainName`."""
    scheme: str = "http"
    """`http` or `https`, towards the client."""
    local_port: int
    """Port the client reached."""
    source_ip: str
    """The client's address, through trusted proxies."""
    received_ms: int
    """Unix time in milliseconds when the head was complete; the request's one clock reading."""
    request_id: str
    """REST: UUID (a client's own UUID is kept, AWS §2.4). HTTP: like `Mc7UVioPPHcEKPA=`."""
    extended_id: str
    """REST: `x-amz-apigw-id`; HTTP: the same as request_id."""
    trace_id: str
    """`X-Amzn-Trace-Id` as it goes on."""
    gateway: GatewayUnit
    api: ApiUnit
    stage: Stage
    route: Route
    path_parameters: dict[str, str]
    """Variable name to raw (still percent-encoded) value."""
    caller: Caller = NOBODY
    """Who calls; one of its own as soon as the route has a chain."""
    tls: TlsFacts | None = None
    """What the handshake told; None on a connection without TLS."""
    mapped: bool = False
    """It came to a domain of one's own: no stage stands in its path."""
    base_path: str = ""
    """Of a domain's mapping or rule, what of the path it matched."""
    routing_rule: str = ""
    """Priority of the domain's rule that matched."""
    lines: Sequence[HeaderLine] = ()
    """What `headers` is made of, the first time somebody asks."""
    _headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """Name and value in order, repeats kept."""
        found = self._headers
        if found is None:
            found = self._headers = [(line.name, line.value) for line in self.lines]
        return found

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self._headers = headers

    def header(self, name: bytes) -> bytes | None:
        """Value of the first header of that (lower-case) name, in any case."""
        found = self._headers
        if found is None:  # as a connection read them: their names are in lower case already
            for line in self.lines:
                if line.lower == name:
                    return line.value
            return None
        for key, value in found:
            if len(key) == len(name) and key.lower() == name:
                return value
        return None


class Response:
    """A whole answer made here: by a policy, a function's conversion, a mock, an error."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        """Without Content-Length and Date: whoever writes it adds the framing."""
        self.body = body

    def __repr__(self) -> str:
        return f"Response({self.status}, {self.headers!r}, {self.body!r})"


class Outcome:
    """How a request ended, for metrics and the access log. Every request has one.

    Defaults live on the class: making one costs next to nothing.
    """

    status: int = 0
    """Status sent to the client; 0 when the client left before one was sent."""
    response_length: int = 0
    """Bytes of body sent."""
    response_latency_ms: float = 0.0
    """Head complete to last byte handed to the socket."""
    integration_latency_ms: float = -1.0
    """Request sent to response head (AWS IntegrationLatency); -1: nothing was called."""
    integration_status: int = 0
    """Status of the backend; 0: none."""
    error: ErrorKind | None = None
    """What the gateway itself answered, if it did."""
    integration_error: str = ""
    """Cause of a failed call, for the log; never sent to a client."""
