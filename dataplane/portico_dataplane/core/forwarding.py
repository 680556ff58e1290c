"""Which headers go on to a backend and which come back to the client, and under what name.

Called by `integrations/http.py` for every forwarded request, so the decision for a header
name is one look-up: every spelling seen is remembered (bounded). The tables are AWS §3.8
(REST, HTTP_PROXY column, as recorded) and RFC 9110 §7.6.1 (HTTP APIs). Pure.
"""

from __future__ import annotations

from typing import Final

from portico_dataplane.core.messages import Headers
from portico_ir.model import ApiKind

_MOST_SPELLINGS: Final = 4096

PASS: Final = 0
DROP: Final = 1
REMAP: Final = 2
"""Goes on as `x-amzn-Remapped-<Name>` (AWS §3.8)."""
FORWARDED_FOR: Final = 3
FORWARDED: Final = 4
USER_AGENT: Final = 5
CONTENT_TYPE: Final = 6
DATE: Final = 7

_HOP_BY_HOP: Final = (
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
)
"""RFC 9110 §7.6.1; Connection's own list is honoured beside it."""

_REST_REQUEST: Final = {
    **dict.fromkeys(_HOP_BY_HOP, DROP),
    **dict.fromkeys(
        (
            b"content-encoding",
            b"content-length",
            b"content-md5",
            b"expect",
            b"host",
            b"max-forwards",
            b"proxy-authenticate",
            b"proxy-authorization",
            b"server",
            b"via",
            b"www-authenticate",
            b"x-amzn-trace-id",
            b"x-amzn-apigateway-api-id",
            b"x-forwarded-port",
            b"x-forwarded-proto",
        ),
        DROP,
    ),
    b"x-forwarded-for": FORWARDED_FOR,
    b"user-agent": USER_AGENT,
}

# HTTP APIs turn X-Forwarded-* into Forwarded (AWS §2.4).
_HTTP_REQUEST: Final = {
    **dict.fromkeys(_HOP_BY_HOP, DROP),
    **dict.fromkeys(
        (
            b"content-length",
            b"expect",
            b"host",
            b"proxy-authenticate",
            b"proxy-authorization",
            b"x-amzn-trace-id",
            b"x-forwarded-host",
            b"x-forwarded-port",
            b"x-forwarded-proto",
        ),
        DROP,
    ),
    b"forwarded": FORWARDED,
    b"x-forwarded-for": FORWARDED_FOR,
}

_REST_RESPONSE: Final = {
    **dict.fromkeys(
        (
            b"expect",
            b"host",
            b"keep-alive",
            b"proxy-authenticate",
            b"proxy-connection",
            b"te",
            b"trailer",
            b"transfer-encoding",
            b"upgrade",
            b"via",
        ),
        DROP,
    ),
    **dict.fromkeys(
        (
            b"authorization",
            b"connection",
            b"content-length",
            b"content-md5",
            b"date",
            b"max-forwards",
            b"server",
            b"user-agent",
            b"www-authenticate",
            b"x-amzn-requestid",
            b"x-amz-apigw-id",
        ),
        REMAP,
    ),
    b"content-type": CONTENT_TYPE,
}

_HTTP_RESPONSE: Final = {
    **dict.fromkeys(_HOP_BY_HOP, DROP),
    **dict.fromkeys((b"content-length", b"apigw-requestid", b"proxy-authenticate"), DROP),
    b"date": DATE,
}


class NameTable:
    """Header name, in any spelling, to what becomes of it."""

    __slots__ = ("_by_lower", "spellings")

    def __init__(self, by_lower: dict[bytes, int]) -> None:
        self._by_lower = by_lower
        self.spellings: dict[bytes, int] = {}

    def learn(self, name: bytes) -> int:
        """The code of a spelling not seen yet."""
        code = self._by_lower.get(name.lower(), PASS)
        if len(self.spellings) < _MOST_SPELLINGS:
            self.spellings[name] = code
        return code


REQUEST_NAMES: Final = {
    ApiKind.REST: NameTable(_REST_REQUEST),
    ApiKind.HTTP: NameTable(_HTTP_REQUEST),
    ApiKind.WEBSOCKET: NameTable(_REST_REQUEST),
}
RESPONSE_NAMES: Final = {
    ApiKind.REST: NameTable(_REST_RESPONSE),
    ApiKind.HTTP: NameTable(_HTTP_RESPONSE),
    ApiKind.WEBSOCKET: NameTable(_REST_RESPONSE),
}


def connection_tokens(connection: bytes) -> frozenset[bytes]:
    """Names that a Connection header (lower case) takes out of the message, besides itself."""
    return frozenset(
        token
        for token in (part.strip() for part in connection.split(b","))
        if token and token not in (b"close", b"keep-alive", b"upgrade")
    )


def rest_request(
    parts: list[bytes],
    headers: Headers,
    named: frozenset[bytes],
    source_ip: str,
    user_agent: bytes,
) -> None:
    """Append the client's headers, as a REST API passes them on, to `parts`.

    `named`: lower-case names the client's Connection header listed. `user_agent`: sent when
    the client has none (AWS §2.4). X-Forwarded-For is appended to.
    """
    table = REQUEST_NAMES[ApiKind.REST]
    spellings = table.spellings
    hops = b""
    for name, value in headers:
        code = spellings.get(name)
        if code is None:
            code = table.learn(name)
        if code == PASS or code == USER_AGENT:
            if named and name.lower() in named:
                continue
            if code:
                user_agent = b""
            parts += (name, b": ", value, b"\r\n")
        elif code == FORWARDED_FOR:
            hops += value + b", "
    parts += (b"X-Forwarded-For: ", hops, source_ip.encode("ascii"), b"\r\n")
    if user_agent:
        parts += (b"User-Agent: ", user_agent, b"\r\n")


def http_request(
    parts: list[bytes],
    headers: Headers,
    named: frozenset[bytes],
    source_ip: str,
    host: str,
    scheme: str,
) -> None:
    """Append the client's headers, as an HTTP API passes them on, to `parts`.

    What came as X-Forwarded-For becomes `for=` elements of Forwarded (RFC 7239), after those
    that were there, before our own.
    """
    table = REQUEST_NAMES[ApiKind.HTTP]
    spellings = table.spellings
    earlier: list[bytes] = []
    hops: list[bytes] = []
    for name, value in headers:
        code = spellings.get(name)
        if code is None:
            code = table.learn(name)
        if code == PASS:
            if named and name.lower() in named:
                continue
            parts += (name, b": ", value, b"\r\n")
        elif code == FORWARDED:
            earlier.append(value)
        elif code == FORWARDED_FOR:
            hops += [b"for=" + _node(hop.strip()) for hop in value.split(b",") if hop.strip()]
    elements = earlier + hops
    prefix = b", ".join(elements) + b", " if elements else b""
    own = f"for={_node_text(source_ip)};host={host};proto={scheme}\r\n"
    parts += (b"Forwarded: ", prefix, own.encode("ascii"))


def _node(value: bytes) -> bytes:
    return b'"[' + value + b']"' if b":" in value and b"[" not in value else value


def _node_text(address: str) -> str:
    # RFC 7239 §6: an IPv6 address is bracketed and quoted.
    return f'"[{address}]"' if ":" in address else address


def rest_response(parts: list[bytes], headers: Headers, named: frozenset[bytes]) -> None:
    """Append a backend's headers, as a REST API lets them through, to `parts`."""
    table = RESPONSE_NAMES[ApiKind.REST]
    spellings = table.spellings
    typed = False
    for name, value in headers:
        code = spellings.get(name)
        if code is None:
            code = table.learn(name)
        if code == DROP or (named and name.lower() in named):
            continue
        if code == REMAP:
            parts += (b"x-amzn-Remapped-", name, b": ", value, b"\r\n")
            continue
        if code == CONTENT_TYPE:
            typed = True
        parts += (name, b": ", value, b"\r\n")
    if not typed:
        # AWS §2.4: REST answers are application/json unless something says otherwise.
        parts.append(b"Content-Type: application/json\r\n")


def http_response(parts: list[bytes], headers: Headers, named: frozenset[bytes]) -> bool:
    """Append a backend's headers, as an HTTP API lets them through; whether Date was among."""
    table = RESPONSE_NAMES[ApiKind.HTTP]
    spellings = table.spellings
    dated = False
    for name, value in headers:
        code = spellings.get(name)
        if code is None:
            code = table.learn(name)
        if code == DROP or (named and name.lower() in named):
            continue
        if code == DATE:
            dated = True
        parts += (name, b": ", value, b"\r\n")
    return dated
