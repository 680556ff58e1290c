"""The head of an answer, as bytes for the client.

Called by `http/exchange.py`. One `b"".join` of prepared pieces: status lines and the date are
kept, header lines come from `core/forwarding.py` or from a whole `Response`.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from portico_dataplane.core.identifiers import id_headers
from portico_dataplane.core.messages import Request, Response
from portico_dataplane.http.lines import Line

if TYPE_CHECKING:
    from portico_dataplane.http.upstream_head import AnswerHead

_STATUS_LINES: Final[dict[int, bytes]] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii")
    for status in HTTPStatus
}

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE: Final = b"Connection: close\r\n"
KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


class Date:
    """The Date line of this second (RFC 9110 §6.6.1)."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def line(self, now_ms: int | None = None) -> bytes:
        """`Date: …\\r\\n`; `now_ms` spares reading the clock."""
        second = int(time.time()) if now_ms is None else now_ms // 1000
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")
        return self._line


def status_line(status: int) -> bytes:
    """The status line, with the registered phrase or none."""
    line = _STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


def identity(parts: list[bytes], request: Request) -> None:
    """The request's ids as AWS §2.4 has them for this kind of API."""
    for name, value in id_headers(request.api.kind, request.request_id, request.extended_id):
        parts += (name, b": ", value, b"\r\n")


def proxied_head(
    request: Request, came: AnswerHead, rest: bool, framing: bytes, date: bytes
) -> bytes:
    """Head of a backend's answer. `framing`: length and connection lines."""
    status = came.status
    first = _STATUS_LINES.get(status) or status_line(status)
    if rest:
        parts = [
            first,
            came.rest,
            date,
            b"x-amzn-RequestId: ",
            request.request_id.encode("ascii"),
            b"\r\nx-amz-apigw-id: ",
        ]
    else:
        parts = [first, came.http, b"" if came.dated else date, b"Apigw-Requestid: "]
    parts += (request.extended_id.encode("ascii"), b"\r\n", framing, b"\r\n")
    return b"".join(parts)


def upgrade_head(found: list[Line]) -> bytes:
    """Head of a 101: the backend's own lines, which carry the handshake (RFC 6455 §4.2.2)."""
    parts = [status_line(101)]
    for line in found:
        parts += (line.name, b": ", line.value, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def own_head(response: Response, identity_lines: bytes, framing: bytes, date: bytes) -> bytes:
    """Head of an answer made here."""
    parts = [status_line(response.status)]
    dated = False
    for name, value in response.headers:
        if len(name) == 4 and name.lower() == b"date":
            dated = True
        parts += (name, b": ", value, b"\r\n")
    if not dated:
        parts.append(date)
    parts += (identity_lines, framing, b"\r\n")
    return b"".join(parts)


def own_framing(response: Response, method: str) -> tuple[bytes, bytes]:
    """Length line and body of an answer made here, to a request of that method."""
    status, body = response.status, response.body
    if status < 200:
        return b"", body
    if status in (204, 304):
        return b"", b""  # and no length: RFC 9110 §8.6 has it be that of a 200
    line = b"Content-Length: %d\r\n" % len(body)
    return line, b"" if method == "HEAD" else body
