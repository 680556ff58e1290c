"""Which headers go on to a backend and which come back to the client, and under what name.

The tables are AWS §3.8 (REST: the HTTP_PROXY column, as recorded) and RFC 9110 §7.6.1 (HTTP
APIs). `http/lines.py` asks once for each line it has not seen; what depends on several lines,
or on the request, is here too: X-Forwarded-For, Forwarded. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from portico_ir.model import ApiKind

PASS: Final = 0
DROP: Final = 1
"""Not passed on; or passed on in another form, by `forwarded_for` or `forwarded`."""
REMAP: Final = 2
"""Goes on as `x-amzn-Remapped-<Name>` (AWS §3.8)."""

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

_TLS_TOLD: Final = (b"client-cert", b"client-cert-chain")
"""RFC 9440 §2.4: what a client says in these is never passed on, with TLS or without."""

_REST_REQUEST: Final = dict.fromkeys(
    (
        *_HOP_BY_HOP,
        *_TLS_TOLD,
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
        b"x-forwarded-for",
        b"x-forwarded-port",
        b"x-forwarded-proto",
    ),
    DROP,
)

# HTTP APIs turn X-Forwarded-* into Forwarded (AWS §2.4).
_HTTP_REQUEST: Final = dict.fromkeys(
    (
        *_HOP_BY_HOP,
        *_TLS_TOLD,
        b"content-length",
        b"expect",
        b"forwarded",
        b"host",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"x-amzn-trace-id",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
    ),
    DROP,
)

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
}

_HTTP_RESPONSE: Final = dict.fromkeys(
    (*_HOP_BY_HOP, b"content-length", b"apigw-requestid", b"proxy-authenticate"), DROP
)


class NameTable:
    """Header name (lower case) to what becomes of it."""

    __slots__ = ("_codes", "_underscores")

    def __init__(self, codes: dict[bytes, int], *, underscores: bool = False) -> None:
        """`underscores`: a name with these counts as what CGI and WSGI take it for (RFC 3875
        §4.1.18): a backend knows no difference between `X_Forwarded_For` and X-Forwarded-For."""
        self._codes = codes
        self._underscores = underscores

    def code(self, lower: bytes) -> int:
        """PASS unless the table says otherwise."""
        if self._underscores and b"_" in lower:
            lower = lower.replace(b"_", b"-")
        return self._codes.get(lower, PASS)


REQUEST_NAMES: Final = {
    ApiKind.REST: NameTable(_REST_REQUEST, underscores=True),
    ApiKind.HTTP: NameTable(_HTTP_REQUEST, underscores=True),
    ApiKind.WEBSOCKET: NameTable(_REST_REQUEST, underscores=True),
}
RESPONSE_NAMES: Final = {
    ApiKind.REST: NameTable(_REST_RESPONSE),
    ApiKind.HTTP: NameTable(_HTTP_RESPONSE),
    ApiKind.WEBSOCKET: NameTable(_REST_RESPONSE),
}

DEFAULT_TYPE: Final = b"Content-Type: application/json\r\n"
"""AWS §2.4: REST answers are application/json unless something says otherwise."""


@lru_cache(4096)
def first_forwarded_for(source_ip: str) -> bytes:
    """The X-Forwarded-For line when none came."""
    return forwarded_for((), source_ip)


@lru_cache(4096)
def first_forwarded(source_ip: str, host: str, scheme: str) -> bytes:
    """The Forwarded line when none came."""
    return forwarded((), (), source_ip, host, scheme)


def forwarded_for(earlier: Iterable[bytes], source_ip: str) -> bytes:
    """The X-Forwarded-For line of a REST API: the hops that came, then the client."""
    hops = [value for value in earlier if value]
    hops.append(source_ip.encode("ascii", "replace"))
    return b"X-Forwarded-For: %b\r\n" % b", ".join(hops)


def forwarded(
    earlier: Iterable[bytes], hops: Iterable[bytes], source_ip: str, host: str, scheme: str
) -> bytes:
    """The Forwarded line of an HTTP API (RFC 7239, AWS §2.4).

    `earlier`: values of Forwarded that came; `hops`: values of X-Forwarded-For that came, which
    become `for=` elements behind them; our own element is last.
    """
    elements = [value for value in earlier if value]
    for value in hops:
        elements += [b"for=" + _node(hop) for part in value.split(b",") if (hop := part.strip())]
    own = f"for={_node_text(source_ip)};host={host};proto={scheme}"
    elements.append(own.encode("ascii", "replace"))
    return b"Forwarded: %b\r\n" % b", ".join(elements)


def _node(value: bytes) -> bytes:
    # A hop that is no plain address is quoted, so that it cannot add parameters of its own.
    if value.strip(b"0123456789abcdefABCDEF.") == b"":
        return value
    bare = value.strip(b'"[]')
    if bare.strip(b"0123456789abcdefABCDEF:.") == b"" and b":" in bare:
        return b'"[' + bare + b']"'
    return b'"' + value.replace(b"\\", b"").replace(b'"', b"") + b'"'


def _node_text(address: str) -> str:
    # RFC 7239 §6: an IPv6 address is bracketed and quoted.
    return f'"[{address}]"' if ":" in address else address
