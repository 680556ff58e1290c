"""Who a request came from, as each kind of API tells its backends."""

from __future__ import annotations

import pytest

from portico_dataplane.core import forwarding
from portico_ir.model import ApiKind


def test_rest_appends_to_x_forwarded_for() -> None:
    line = forwarding.forwarded_for([b"198.51.100.7", b"10.0.0.1"], "192.0.2.1")
    assert line == b"X-Forwarded-For: 198.51.100.7, 10.0.0.1, 192.0.2.1\r\n"
    assert forwarding.first_forwarded_for("192.0.2.1") == b"X-Forwarded-For: 192.0.2.1\r\n"


def test_http_turns_x_forwarded_for_into_forwarded_aws_2_4() -> None:
    line = forwarding.forwarded(
        [b"for=203.0.113.9"],
        [b"198.51.100.7, 2001:db8::1"],
        "192.0.2.1",
        "shop.example",
        "http",
    )
    assert line == (
        b'Forwarded: for=203.0.113.9, for=198.51.100.7, for="[2001:db8::1]", '
        b"for=192.0.2.1;host=shop.example;proto=http\r\n"
    )


def test_ipv6_is_bracketed_and_quoted_rfc7239_6() -> None:
    line = forwarding.first_forwarded("2001:db8::7", "a", "https")
    assert line == b'Forwarded: for="[2001:db8::7]";host=a;proto=https\r\n'


def test_a_hop_cannot_add_parameters() -> None:
    line = forwarding.forwarded([], [b'x;proto=https;by="me"'], "192.0.2.1", "a", "http")
    assert line.startswith(b'Forwarded: for="x;proto=https;by=me", for=192.0.2.1;')


def test_every_kind_has_its_tables() -> None:
    for kind in ApiKind:
        assert forwarding.REQUEST_NAMES[kind].code(b"transfer-encoding") == forwarding.DROP
        assert forwarding.RESPONSE_NAMES[kind].code(b"x-own") == forwarding.PASS
    assert forwarding.RESPONSE_NAMES[ApiKind.REST].code(b"server") == forwarding.REMAP
    assert forwarding.RESPONSE_NAMES[ApiKind.HTTP].code(b"server") == forwarding.PASS


@pytest.mark.parametrize("kind", ApiKind)
def test_a_name_with_underscores_is_what_a_backend_takes_it_for(kind: ApiKind) -> None:
    """RFC 3875 §4.1.18: CGI and WSGI read both as HTTP_X_FORWARDED_FOR."""
    names = forwarding.REQUEST_NAMES[kind]
    for name in (b"x_forwarded_for", b"x-forwarded_for", b"client_cert", b"content_length"):
        assert names.code(name) == forwarding.DROP
    assert names.code(b"x_api_version") == forwarding.PASS
    assert forwarding.RESPONSE_NAMES[kind].code(b"content_length") == forwarding.PASS
