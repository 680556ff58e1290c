"""Signature Version 4: what a request says of its signature, and what the signature should be.

Called by `policies/signature.py`. Source: "Signature Version 4 signing process" (AWS IAM user
guide), service `execute-api` (AWS §6.3), and what botocore signs. Promises: a claim is read or
refused with AWS's words, nothing raises; the canonical forms are of the bytes that came.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from portico_dataplane.core.messages import Headers, Request

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"
EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()

_STAMP: Final = re.compile(r"\d{8}T\d{6}Z")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_SPACES: Final = re.compile(rb" +")
_PLAIN_PATH: Final = re.compile(r"(/[A-Za-z0-9_~-]+)+/?")
"""Nothing to escape or to leave out."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*")


class Claim(NamedTuple):
    """What a request says about its signature."""

    access_key: str
    date: str
    """`YYYYMMDD` of the scope."""
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    """Lower case, in the order given."""
    signature: str
    stamp: str
    """`YYYYMMDDTHHMMSSZ`: when it was signed."""
    expires_s: int | None
    """Query form: how long it holds; None: the header form."""
    token: bool
    """Comes with a session token, of which there are none here."""

    @property
    def scope(self) -> str:
        """As it stands in the string to sign."""
        return f"{self.date}/{self.region}/{self.service}/{self.terminator}"


class Incomplete(NamedTuple):
    """The claim cannot be read; AWS's words say why."""

    message: str


def claim_of(request: Request) -> Claim | Incomplete | None:
    """The claim of a request; None when it makes none."""
    authorization = request.header(b"authorization")
    if authorization is not None:
        return _from_header(authorization.decode("latin-1"), request)
    if "X-Amz-" in request.query:
        return _from_query(request.query)
    return None


def _from_header(text: str, request: Request) -> Claim | Incomplete:
    algorithm, _, rest = text.strip().partition(" ")
    if algorithm != ALGORITHM:
        return Incomplete(_not_pairs(text))
    fields: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals:
            return Incomplete(_not_pairs(text))
        fields[name] = value
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(name)
    ]
    stamp = _header_stamp(request)
    if not stamp:
        missing.append(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    if missing:
        return Incomplete(f"{' '.join(missing)} Authorization={ALGORITHM}")
    return _claim(
        fields["Credential"],
        fields["SignedHeaders"],
        fields["Signature"],
        stamp,
        None,
        request.header(b"x-amz-security-token") is not None,
    )


def _header_stamp(request: Request) -> str:
    """When it was signed: X-Amz-Date, else Date, whose own form is another (RFC 9110 §5.6.7)."""
    stamp = request.header(b"x-amz-date")
    if stamp is not None:
        return stamp.decode("latin-1")
    date = request.header(b"date")
    if date is None:
        return ""
    try:
        at = parsedate_to_datetime(date.decode("latin-1"))
    except ValueError:
        return date.decode("latin-1")
    return at.strftime("%Y%m%dT%H%M%SZ")


def _not_pairs(text: str) -> str:
    word = text.strip().rpartition(" ")[2].partition(",")[0][:64]
    # AWS has only this sentence, whatever is wrong; the header's value is not repeated in full.
    return (
        f"'{word}' not a valid key=value pair (missing equal-sign) in Authorization header: "
        f"'{text.strip()[:64]}'."
    )


def _from_query(query: str) -> Claim | Incomplete | None:
    fields = {name: value for name, value in _decoded_pairs(query) if name.startswith("X-Amz-")}
    wanted = ("Algorithm", "Credential", "Date", "SignedHeaders", "Signature")
    missing = [name for name in wanted if not fields.get(f"X-Amz-{name}")]
    if len(missing) == len(wanted):
        return None
    if missing:
        names = " ".join(f"AWS query-string parameters must include 'X-Amz-{n}'." for n in missing)
        return Incomplete(f"{names} Re-examine the query-string parameters.")
    if fields["X-Amz-Algorithm"] != ALGORITHM:
        return Incomplete(f"Unsupported AWS 'algorithm': '{fields['X-Amz-Algorithm'][:64]}'.")
    expires = fields.get("X-Amz-Expires", "300")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 7):
        return Incomplete("X-Amz-Expires should be a number of seconds, at most 604800.")
    return _claim(
        fields["X-Amz-Credential"],
        fields["X-Amz-SignedHeaders"],
        fields["X-Amz-Signature"],
        fields["X-Amz-Date"],
        min(int(expires), 604_800),
        "X-Amz-Security-Token" in fields,
    )


def _claim(
    credential: str, signed: str, signature: str, stamp: str, expires_s: int | None, token: bool
) -> Claim | Incomplete:
    parts = credential.split("/")
    if len(parts) != 5 or not all(parts):
        return Incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{credential[:128]}'"
        )
    if _STAMP.fullmatch(stamp) is None:
        return Incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{stamp[:64]}'. See "
            "http://en.wikipedia.org/wiki/ISO_8601"
        )
    names = tuple(name.lower() for name in signed.split(";"))
    key, date, region, service, term = parts
    return Claim(key, date, region, service, term, names, signature, stamp, expires_s, token)


# --- canonical forms --------------------------------------------------------------------------


def canonical_request(
    request: Request, claim: Claim, payload_hash: str, query: str
) -> bytes | None:
    """The bytes that were hashed; None when a header that was signed is not there."""
    headers = _canonical_headers(request.headers, claim.signed_headers)
    if headers is None:
        return None
    path = request.raw_path
    if _PLAIN_PATH.fullmatch(path) is None:
        path = quote(normalised(path), safe="/~")
    signed = ";".join(claim.signed_headers)
    head = f"{request.method}\n{path}\n{query}\n"
    return b"\n".join(
        (head.encode("latin-1", "replace") + headers, signed.encode("latin-1", "replace"))
    ) + f"\n{payload_hash}".encode("latin-1", "replace")


def normalised(path: str) -> str:
    """RFC 3986 §5.2.4 and single slashes: every service but S3 signs the path so."""
    kept: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if kept:
                kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    text = "/" + "/".join(kept)
    return text + "/" if kept and parts[-1] in ("", ".", "..") else text


def canonical_queries(query: str) -> Iterator[str]:
    """The forms that signers make of a query: each part encoded anew, or sorted as it came."""
    if not query:
        yield ""
        return
    pairs = [
        (_encoded(name), _encoded(value))
        for name, value in _decoded_pairs(query)
        if name != "X-Amz-Signature"
    ]
    anew = "&".join([f"{name}={value}" for name, value in sorted(pairs)])
    yield anew
    came = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if part and name != "X-Amz-Signature":
            came.append((name, value))
    as_sent = "&".join([f"{name}={value}" for name, value in sorted(came)])
    if as_sent != anew:
        yield as_sent


def _encoded(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote(text, safe="-_.~", errors="surrogateescape")


def _decoded_pairs(query: str) -> list[tuple[str, str]]:
    """Names and values, each escape decoded once; `+` is a plus, as signers see it."""
    pairs: list[tuple[str, str]] = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    # As bytes: what is no UTF-8 must come out as it went in.
    return unquote_to_bytes(text.encode("latin-1", "replace")).decode("utf-8", "surrogateescape")


def _canonical_headers(headers: Headers, signed: Iterable[str]) -> bytes | None:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        key = name.lower()
        if b"  " in value:
            value = _SPACES.sub(b" ", value).strip(b" ")
        found[key] = found[key] + b"," + value if key in found else value
    lines: list[bytes] = []
    for wanted in signed:
        key = wanted.encode("latin-1", "replace")
        joined = found.get(key)
        if joined is None:
            return None
        lines += (key, b":", joined, b"\n")
    return b"".join(lines)


def string_to_sign(claim: Claim, canonical: bytes) -> bytes:
    """What the key signs."""
    digest = hashlib.sha256(canonical).hexdigest()
    return f"{ALGORITHM}\n{claim.stamp}\n{claim.scope}\n{digest}".encode("latin-1", "replace")


def signature(key: bytes, text: bytes) -> str:
    """HMAC-SHA-256, in hex."""
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service, derived from a secret access key."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


# --- bodies signed in chunks ------------------------------------------------------------------

STREAMED: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"

_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f]{64})\r\n")


def chunks_hold(key: bytes, claim: Claim, body: bytes) -> bool:
    """Whether every chunk of an `aws-chunked` body follows from the one before it."""
    previous, at = claim.signature, 0
    while True:
        head = _CHUNK.match(body, at)
        if head is None:
            return False
        size = int(head[1], 16)
        data = body[head.end() : head.end() + size]
        at = head.end() + size
        if len(data) != size or body[at : at + 2] != b"\r\n":
            return False
        at += 2
        text = "\n".join(
            (
                f"{ALGORITHM}-PAYLOAD",
                claim.stamp,
                claim.scope,
                previous,
                EMPTY_HASH,
                hashlib.sha256(data).hexdigest(),
            )
        )
        expected = signature(key, text.encode("latin-1", "replace"))
        if not same(expected, head[2].decode("ascii")):
            return False
        if size == 0:
            return at == len(body)
        previous = expected


def is_digest(text: str) -> bool:
    """Whether a payload hash is one."""
    return _HEX.fullmatch(text) is not None
