"""What says who calls, and by what an answer is remembered (AWS §4.10, §6.1)."""

from __future__ import annotations

from typing import Literal

import pytest

from portico_dataplane.core.credential_sources import Sources
from portico_dataplane.core.messages import Headers
from portico_ir.access import IdentitySource
from portico_ir.model import ApiKind
from sample_requests import make_request

REST, HTTP = ApiKind.REST, ApiKind.HTTP


def sources(
    kind: ApiKind,
    *places: tuple[Literal["header", "querystring", "context", "stageVariable"], str],
) -> Sources:
    return Sources(tuple(IdentitySource(place=place, name=name) for place, name in places), kind)


@pytest.mark.parametrize("kind", [REST, HTTP])
@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([(b"Authorization", b"a")], "a"),
        ([(b"AUTHORIZATION", b"a b")], "a b"),
        ([(b"authorization", "gr\u00fc\u00df".encode())], "gr\u00fc\u00df"),
        ([(b"X-Authorization", b"a")], None),
        ([(b"Authorization", b"")], None),
        ([(b"Authorization", b"  ")], None),
        ([(b"Authorization", b""), (b"authorization", b"b")], ("", "b")),
        ([(b"Authorization", b"a"), (b"authorization", b"b")], ("a", "b")),
    ],
)
def test_headers(kind: ApiKind, headers: Headers, key: object) -> None:
    assert (
        sources(kind, ("header", "Authorization")).key(make_request(kind, headers=headers)) == key
    )


@pytest.mark.parametrize(
    ("kind", "query", "key"),
    [
        (REST, "?token=a", "a"),
        (REST, "?Token=a", None),
        (REST, "?token=", None),
        (REST, "?token", None),
        (REST, "", None),
        (REST, "?x=1&token=a%20b", "a b"),
        (REST, "?x=1;token=a", "a"),
        (HTTP, "?x=1;token=a", None),
        (HTTP, "?token=a&token=b", ("a", "b")),
    ],
)
def test_parameters(kind: ApiKind, query: str, key: object) -> None:
    request = make_request(kind, target=f"/pets/7{query}")
    assert sources(kind, ("querystring", "token")).key(request) == key


def test_variables_and_context() -> None:
    both = sources(HTTP, ("stageVariable", "tenant"), ("context", "routeKey"))
    request = make_request(HTTP, key="GET /pets/{petId}", variables={"tenant": "blue"})
    assert both.key(request) == ("blue", "GET /pets/{petId}")
    assert both.key(make_request(HTTP)) is None
    assert sources(HTTP, ("context", "identity.sourceIp")).key(request) == "203.0.113.9"
    assert sources(HTTP, ("context", "nothing")).key(request) is None


def test_what_events_show() -> None:
    """HTTP APIs join the values of one name, REST takes the last (AWS §4.4, §3.27)."""
    headers = [(b"A", b"1"), (b"a", b"2")]
    for kind, text in ((REST, "2"), (HTTP, "1,2")):
        one = sources(kind, ("header", "A"))
        request = make_request(kind, target="/x?b=3", headers=headers)
        key = one.key(request)
        assert key == ("1", "2")
        assert one.texts(key) == (text,)
        two = sources(kind, ("header", "A"), ("querystring", "b"))
        key = two.key(request)
        assert key is not None
        assert two.texts(key) == (text, "3")


def test_no_two_identities_have_one_key() -> None:
    """A function may look at another line than we did: its answer is for this request's lines."""
    one = sources(REST, ("header", "A"))
    two = sources(REST, ("header", "A"), ("header", "B"))
    keys = [
        one.key(make_request(headers=[(b"A", b"1"), (b"A", b"2")])),
        one.key(make_request(headers=[(b"A", b"2"), (b"A", b"1")])),
        one.key(make_request(headers=[(b"A", b"('1', '2')")])),
        one.key(make_request(headers=[(b"A", b"1,2")])),
        two.key(make_request(headers=[(b"A", b"1"), (b"A", b"2"), (b"B", b"3")])),
        two.key(make_request(headers=[(b"A", b"1"), (b"B", b"2"), (b"B", b"3")])),
    ]
    assert len(set(keys)) == len(keys)
