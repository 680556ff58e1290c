"""Names that a request carries: request id, extended id, trace id, and the headers that show them.

Called by `http/exchange.py` for every request, so each costs well under a microsecond and takes
its chance from `Chance`, which draws from the system once per few hundred requests. Pure: bytes
of chance and the clock come in as arguments. Formats are AWS's (AWS §2.4): REST ids are UUIDs,
extended ids and those of HTTP APIs look like `Mc7UVioPPHcEKPA=`.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from portico_dataplane.core.messages import Headers
from portico_ir.model import ApiKind

REST_BYTES: Final = 16
SHORT_BYTES: Final = 11
TRACE_BYTES: Final = 12
"""How many random bytes each kind of id takes."""

REPLACED_REQUEST_ID: Final = "UUID_REPLACED_INVALID_REQUEST_ID"
"""What access logs show for a client's own request id that is no UUID (AWS §2.4)."""

_UUID: Final = re.compile(
    rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
)
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

_ROOT: Final = re.compile(r"1-[0-9a-fA-F]{8}-[0-9a-fA-F]{24}")
_PARENT: Final = re.compile(r"[0-9a-fA-F]{16}")
_SAMPLED: Final = frozenset({"0", "1", "?"})
_OTHER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}=[A-Za-z0-9_.:/@-]{1,128}")
_MOST_OTHERS: Final = 8


class Chance:
    """Random bytes in small pieces: one draw from `source` serves hundreds of ids.

    No byte is handed out twice, so an id is as hard to guess as `source` is (`os.urandom`).
    One per process: a forked copy would hand out the same bytes.
    """

    __slots__ = ("_at", "_bytes", "_size", "_source")

    def __init__(self, source: Callable[[int], bytes], size: int = 8192) -> None:
        self._source = source
        self._size = size
        self._bytes = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """`count` bytes never given before."""
        at = self._at
        end = at + count
        if end > len(self._bytes):
            self._bytes = self._source(max(self._size, count))
            at, end = 0, count
        self._at = end
        return self._bytes[at:end]


def rest_request_id(chance: bytes) -> str:
    """A UUID of version 4 from 16 random bytes; 120 of their bits are in it.

    The variant's two free bits are fixed (`a`): looking them up would cost a tenth of it all.
    """
    digits = chance.hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def extended_id(chance: bytes) -> str:
    """Sixteen characters like `Mc7UVioPPHcEKPA=` from 11 random bytes."""
    return b2a_base64(chance, newline=False).translate(_URL_SAFE).decode("ascii")


class Names:
    """The ids of one request after another, spelt in bulk: hex and base64 once per hundred.

    The same as the three functions give one by one, at a quarter of the price. No two requests
    share a byte of `source`.
    """

    __slots__ = ("_at", "_digits", "_root", "_second", "_short", "_source")

    BATCH: Final = 128

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._at = self.BATCH
        self._digits = self._short = self._root = ""
        self._second = -1

    def draw(self, second: int) -> tuple[str, str, str]:
        """Request id, extended id and trace id."""
        at = self._at
        if at == self.BATCH:
            self._spell()
            at = 0
        self._at = at + 1
        if second != self._second:
            self._second = second
            self._root = f"Root=1-{second & 0xFFFFFFFF:08x}-"
        start = at * 2 * (REST_BYTES + TRACE_BYTES)
        digits = self._digits[start : start + 2 * (REST_BYTES + TRACE_BYTES)]
        start = at * 16
        return (
            f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}",
            self._short[start : start + 15] + "=",
            self._root + digits[32:],
        )

    def _spell(self) -> None:
        self._digits = self._source((REST_BYTES + TRACE_BYTES) * self.BATCH).hex()
        chance = bytearray(self._source((SHORT_BYTES + 1) * self.BATCH))
        # In groups of eleven and a zero: the 15th character ends in the zero bits in which the
        # base64 of eleven bytes ends, and the 16th stands where the padding does.
        chance[SHORT_BYTES :: SHORT_BYTES + 1] = bytes(self.BATCH)
        self._short = b2a_base64(chance, newline=False).translate(_URL_SAFE).decode("ascii")


def http_request_id(chance: bytes) -> str:
    """The request id of HTTP APIs: it has the form of an extended id (AWS §10.4)."""
    return extended_id(chance)


def chosen_request_id(header: bytes | None, generated: str) -> str:
    """The client's own `x-amzn-RequestId` when it is a UUID (AWS §2.4), else `generated`."""
    if header is not None and is_uuid(header):
        return header.decode("ascii")
    return generated


def is_uuid(value: bytes) -> bool:
    """Hexadecimal digits in groups of 8-4-4-4-12."""
    return _UUID.fullmatch(value) is not None


# --- X-Amzn-Trace-Id (AWS §2.4, §10.6) ------------------------------------------------------


def trace_id(incoming: bytes | None, now_s: int, chance: bytes) -> str:
    """`X-Amzn-Trace-Id` as it goes on to a backend: `Root=1-<8 hex time>-<24 hex>`.

    A client's Root, Parent and Sampled are kept, and so are other well-formed fields; what is
    malformed counts as missing. Only Root is made up here (recorded, AWS §18 captures): a Parent
    or Sampled of ours would tell a backend's own tracing that somebody had decided for it.
    """
    if not incoming:
        return f"Root=1-{now_s & 0xFFFFFFFF:08x}-{chance.hex()}"
    root = parent = sampled = ""
    others: list[str] = []
    for part in incoming.decode("latin-1").split(";"):
        field = part.strip()
        name, _, value = field.partition("=")
        lowered = name.lower()
        if lowered == "root":
            root = value if _ROOT.fullmatch(value) else root
        elif lowered == "parent":
            parent = value if _PARENT.fullmatch(value) else parent
        elif lowered == "sampled":
            sampled = value if value in _SAMPLED else sampled
        elif len(others) < _MOST_OTHERS and _OTHER.fullmatch(field):
            others.append(field)
    fields = [f"Root={root}" if root else trace_id(None, now_s, chance)]
    if parent:
        fields.append(f"Parent={parent}")
    if sampled:
        fields.append(f"Sampled={sampled}")
    return ";".join(fields + others)


def answered_trace_id(trace: str, request_id: str) -> str:
    """The trace id as a REST API answers it: Parent and Sampled are made up where missing.

    The Parent is a digest of trace and request id, so that it is one per request without
    another draw of chance.
    """
    fields = trace.split(";")
    root, rest = fields[0], fields[1:]
    kept = [field for field in rest if not field.startswith(("Parent=", "Sampled="))]
    parent = next((field for field in rest if field.startswith("Parent=")), "")
    sampled = next((field for field in rest if field.startswith("Sampled=")), "Sampled=0")
    if not parent:
        seed = f"{root};{request_id}".encode("utf-8", "replace")
        parent = f"Parent={blake2b(seed, digest_size=8).hexdigest()}"
    return ";".join([root, parent, sampled, *kept])


# --- headers that every answer carries ------------------------------------------------------


def id_headers(api_kind: ApiKind | None, request_id: str, extended: str) -> Headers:
    """The id headers of any answer, spelt as AWS spells them (AWS §2.4).

    Without an API (unknown host, broken head) as a REST API: that is what AWS's edge does.
    """
    if api_kind is ApiKind.HTTP:
        return [(b"Apigw-Requestid", request_id.encode("latin-1"))]
    return [
        (b"x-amzn-RequestId", request_id.encode("latin-1")),
        (b"x-amz-apigw-id", extended.encode("latin-1")),
    ]
