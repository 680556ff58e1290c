"""Signature Version 4: claims and canonical forms, held against botocore's own."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core import sigv4
from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.sigv4 import Claim, Incomplete

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"


def of(method: str, url: str, headers: Headers) -> Request:
    _, _, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    path, _, query = (slash + target).partition("?")
    request = Request()
    request.method, request.raw_path, request.query = method, path or "/", query
    request.headers = [(b"Host", authority.encode()), *headers]
    return request


def signed(method: str, url: str, body: bytes = b"", **headers: str) -> Request:
    """As botocore signs it, in the header form."""
    aws = AWSRequest(method, url, {k.replace("_", "-"): v for k, v in headers.items()}, body)
    SigV4Auth(Credentials(KEY_ID, SECRET), "execute-api", REGION).add_auth(aws)
    lines = [(k.encode(), str(v).encode("latin-1")) for k, v in aws.headers.items()]
    return of(method, url, lines)


def verifies(request: Request, body: bytes = b"") -> bool:
    claim = sigv4.claim_of(request)
    assert isinstance(claim, Claim)
    key = sigv4.signing_key(SECRET, claim.date, REGION, "execute-api")
    payload = hashlib.sha256(body).hexdigest()
    for query in sigv4.canonical_queries(request.query):
        canonical = sigv4.canonical_request(request, claim, payload, query)
        if canonical is None:
            return False
        expected = sigv4.signature(key, sigv4.string_to_sign(claim, canonical))
        if sigv4.same(expected, claim.signature):
            return True
    return False


@pytest.mark.parametrize(
    "url",
    [
        "https://api.test/",
        "https://api.test",
        "https://api.test/prod/pets",
        "https://api.test/prod/pets/",
        "https://api.test/prod//pets",
        "https://api.test/prod/a%20b",
        "https://api.test/prod/%C3%BC",
        "https://api.test/prod/a+b",
        "https://api.test/prod/~me/x.y-z_0",
        "https://api.test/prod/a%2Fb",
        "https://api.test/prod/pets?b=2&a=1&a=0",
        "https://api.test/prod/pets?a",
        "https://api.test/prod/pets?a=&b",
        "https://api.test/prod/pets?q=a%20b%2Fc",
        "https://api.test/prod/pets?q=%7E&z=~",
        "https://api.test/prod/pets?q=a+b",
        "https://api.test/prod/pets?q=%c3%bc",
        "https://api.test:8443/prod",
    ],
)
def test_what_botocore_signs_verifies(url: str) -> None:
    assert verifies(signed("GET", url))
    assert verifies(signed("POST", url, b'{"a": 1}', Content_Type="application/json"), b'{"a": 1}')


SEGMENT = st.text(
    st.characters(codec="ascii", categories=["L", "N"], include_characters="-._~!$&'()*,;=:@"),
    max_size=6,
)
VALUE = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="-._~%"))


@given(st.lists(SEGMENT, max_size=5), st.lists(st.tuples(SEGMENT, SEGMENT), max_size=4))
def test_any_path_and_query(segments: list[str], pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    url = "https://api.test/" + "/".join(segments).lstrip("/") + (f"?{query}" if query else "")
    assert verifies(signed("GET", url))


def test_header_values_are_trimmed_and_spaces_folded() -> None:
    request = signed("GET", "https://api.test/", X_Amz_Meta="  a   b  ")
    assert verifies(request)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda r: setattr(r, "method", "DELETE"),
        lambda r: setattr(r, "raw_path", "/prod/other"),
        lambda r: setattr(r, "query", "a=2"),
        lambda r: setattr(r, "headers", [(b"Host", b"evil.test"), *r.headers[1:]]),
        lambda r: setattr(r, "headers", [*r.headers, (b"x-amz-date", b"20200101T000000Z")]),
    ],
    ids=["method", "path", "query", "host", "date"],
)
def test_what_was_tampered_with_does_not(tamper: Any) -> None:
    request = signed("GET", "https://api.test/prod/pets?a=1")
    assert verifies(request)
    tamper(request)
    assert not verifies(request)


def test_another_body_does_not() -> None:
    request = signed("POST", "https://api.test/", b"one")
    assert verifies(request, b"one")
    assert not verifies(request, b"two")


def test_the_query_form() -> None:
    aws = AWSRequest("GET", "https://api.test/prod/pets?b=2&a=1")
    SigV4QueryAuth(Credentials(KEY_ID, SECRET), "execute-api", REGION, 60).add_auth(aws)
    request = of("GET", aws.url, [])
    claim = sigv4.claim_of(request)
    assert isinstance(claim, Claim)
    assert claim.expires_s == 60
    assert verifies(request)
    request.query = request.query.replace("a=1", "a=2")
    assert not verifies(request)


def test_a_session_token_is_seen() -> None:
    aws = AWSRequest("GET", "https://api.test/")
    SigV4Auth(Credentials(KEY_ID, SECRET, "token"), "execute-api", REGION).add_auth(aws)
    lines = [(k.encode(), str(v).encode()) for k, v in aws.headers.items()]
    claim = sigv4.claim_of(of("GET", "https://api.test/", lines))
    assert isinstance(claim, Claim)
    assert claim.token


def authorized(text: str) -> Request:
    stamp = (b"X-Amz-Date", b"20261123T000000Z")
    return of("GET", "https://h/", [(b"Authorization", text.encode("latin-1")), stamp])


SCOPE = "Credential=AKID/20261123/us-east-1/execute-api/aws4_request"
REST = "SignedHeaders=host;x-amz-date, Signature=00"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Bearer abc", "'abc' not a valid key=value pair (missing equal-sign)"),
        ("", "not a valid key=value pair"),
        ("AWS4-HMAC-SHA256", "not a valid key=value pair"),
        ("AWS4-HMAC-SHA256 Signature=0", "requires 'Credential' parameter"),
        (f"AWS4-HMAC-SHA256 {SCOPE}", "requires 'Signature' parameter"),
        (f"AWS4-HMAC-SHA256 Credential=AKID, {REST}", "exactly 5 slash-delimited elements"),
        (f"AWS4-HMAC-SHA256 Credential=a/b/c/d/, {REST}", "exactly 5 slash-delimited elements"),
        (f"AWS4-ECDSA-P256-SHA256 {SCOPE}, {REST}", "not a valid key=value pair"),
    ],
)
def test_what_cannot_be_read_is_said_in_the_words_of_aws(text: str, says: str) -> None:
    found = sigv4.claim_of(authorized(text))
    if isinstance(found, Claim):
        pytest.fail(f"read as {found}")
    assert isinstance(found, Incomplete)
    assert says in found.message


def test_a_date_that_is_none() -> None:
    text = f"AWS4-HMAC-SHA256 {SCOPE}, {REST}"
    request = of("GET", "https://h/", [(b"Authorization", text.encode())])
    found = sigv4.claim_of(request)
    assert isinstance(found, Incomplete)
    assert "'X-Amz-Date' or a 'Date' header" in found.message
    request.headers = [*request.headers, (b"Date", b"Mon, 23 Nov 2026 10:11:12 GMT")]
    claim = sigv4.claim_of(request)
    assert isinstance(claim, Claim)
    assert claim.stamp == "20261123T101112Z"
    request.headers[-1] = (b"Date", b"yesterday")
    assert isinstance(sigv4.claim_of(request), Incomplete)


def test_no_claim_at_all() -> None:
    assert sigv4.claim_of(of("GET", "https://h/?X-Amz=1", [])) is None
    assert sigv4.claim_of(of("GET", "https://h/?a=X-Amz-b", [])) is None


def test_half_a_query_form() -> None:
    found = sigv4.claim_of(of("GET", "https://h/?X-Amz-Signature=00", []))
    assert isinstance(found, Incomplete)
    assert "'X-Amz-Credential'" in found.message


@given(st.text(), st.text())
def test_nothing_raises(authorization: str, query: str) -> None:
    text = authorization.encode("utf-8", "surrogatepass")
    request = of("GET", "https://h/", [(b"Authorization", text)])
    sigv4.claim_of(request)
    request.query = f"X-Amz-{query}".encode("utf-8", "replace").decode("latin-1")
    request.headers = [(b"Host", b"h")]
    found = sigv4.claim_of(request)
    if isinstance(found, Claim):
        for canonical in sigv4.canonical_queries(request.query):
            sigv4.canonical_request(request, found, "", canonical)


def chunked(key: bytes, claim: Claim, *pieces: bytes) -> bytes:
    """As clients stream it (AWS: "Signature calculations: transferring payload in chunks")."""
    previous, written = claim.signature, b""
    for piece in (*pieces, b""):
        text = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD",
                claim.stamp,
                claim.scope,
                previous,
                hashlib.sha256(b"").hexdigest(),
                hashlib.sha256(piece).hexdigest(),
            )
        )
        previous = sigv4.signature(key, text.encode())
        written += b"%x;chunk-signature=%b\r\n%b\r\n" % (len(piece), previous.encode(), piece)
    return written


def test_bodies_signed_in_chunks() -> None:
    claim = sigv4.claim_of(signed("PUT", "https://h/"))
    assert isinstance(claim, Claim)
    key = sigv4.signing_key(SECRET, claim.date, REGION, "execute-api")
    body = chunked(key, claim, b"a" * 100, b"b" * 50)
    assert sigv4.chunks_hold(key, claim, body)
    for bad in (
        b"",
        body[:-1],
        body + b"x",
        body.replace(b"a" * 100, b"c" * 100),
        chunked(b"other", claim, b"a"),
        body[body.index(b"32;") :],
    ):
        assert not sigv4.chunks_hold(key, claim, bad)
