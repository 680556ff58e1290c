"""Which headers go on and come back: AWS §3.8 and RFC 9110 §7.6.1."""

from __future__ import annotations

from portico_dataplane.core import forwarding
from portico_dataplane.core.messages import Headers


def pairs(parts: list[bytes]) -> Headers:
    lines = b"".join(parts).split(b"\r\n")
    assert lines.pop() == b""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


def rest(headers: Headers, named: frozenset[bytes] = frozenset()) -> dict[bytes, bytes]:
    parts: list[bytes] = []
    forwarding.rest_request(parts, headers, named, "192.0.2.1", b"AmazonAPIGateway_abc")
    return dict(pairs(parts))


DROPPED_BY_REST = (
    "Connection Content-Encoding Content-MD5 Expect Host Max-Forwards Proxy-Authenticate Server TE "
    "Trailer Transfer-Encoding Upgrade Via WWW-Authenticate Keep-Alive Content-Length"
).split()


def test_rest_drops_what_aws_drops() -> None:
    sent: Headers = [(name.encode(), b"x") for name in DROPPED_BY_REST]
    sent += [(name.lower().encode(), b"x") for name in DROPPED_BY_REST]
    assert set(rest(sent)) == {b"X-Forwarded-For", b"User-Agent"}


def test_rest_passes_the_rest_as_spelt() -> None:
    names = "Age Accept Accept-Charset accept-encoding Authorization Date Pragma Range Referer Warn"
    found = rest([(name.encode(), b"v") for name in names.split()])
    assert set(names.encode().split()) <= set(found)


def test_rest_user_agent_is_the_clients_or_ours() -> None:
    assert rest([])[b"User-Agent"] == b"AmazonAPIGateway_abc"
    found = rest([(b"user-agent", b"curl")])
    assert found[b"user-agent"] == b"curl"
    assert b"User-Agent" not in found


def test_rest_appends_to_x_forwarded_for() -> None:
    found = rest([(b"x-forwarded-for", b"198.51.100.7"), (b"X-Forwarded-For", b"10.0.0.1")])
    assert found[b"X-Forwarded-For"] == b"198.51.100.7, 10.0.0.1, 192.0.2.1"


def test_what_connection_names_is_dropped_rfc9110_7_6_1() -> None:
    named = forwarding.connection_tokens(b"close, x-private, keep-alive")
    assert named == {b"x-private"}
    assert b"X-Private" not in rest([(b"X-Private", b"1")], named)


def test_http_turns_x_forwarded_into_forwarded() -> None:
    parts: list[bytes] = []
    sent: Headers = [
        (b"X-Forwarded-For", b"198.51.100.7, 2001:db8::1"),
        (b"Forwarded", b"for=203.0.113.9"),
        (b"X-Forwarded-Proto", b"https"),
        (b"Accept", b"*/*"),
    ]
    forwarding.http_request(parts, sent, frozenset(), "192.0.2.1", "shop.example", "http")
    found = pairs(parts)
    assert found == [
        (b"Accept", b"*/*"),
        (
            b"Forwarded",
            b'for=203.0.113.9, for=198.51.100.7, for="[2001:db8::1]", '
            b"for=192.0.2.1;host=shop.example;proto=http",
        ),
    ]


def test_rest_response_remaps_and_defaults_the_type() -> None:
    parts: list[bytes] = []
    sent: Headers = [
        (b"Server", b"nginx"),
        (b"date", b"d"),
        (b"Content-Length", b"2"),
        (b"x-amzn-RequestId", b"u"),
        (b"x-amzn-trace-id", b"t"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Own", b"1"),
    ]
    forwarding.rest_response(parts, sent, frozenset())
    assert pairs(parts) == [
        (b"x-amzn-Remapped-Server", b"nginx"),
        (b"x-amzn-Remapped-date", b"d"),
        (b"x-amzn-Remapped-Content-Length", b"2"),
        (b"x-amzn-Remapped-x-amzn-RequestId", b"u"),
        (b"x-amzn-trace-id", b"t"),
        (b"X-Own", b"1"),
        (b"Content-Type", b"application/json"),
    ]


def test_http_response_passes_all_but_hop_by_hop() -> None:
    parts: list[bytes] = []
    sent: Headers = [(b"Server", b"s"), (b"Connection", b"x"), (b"Date", b"d"), (b"X", b"1")]
    assert forwarding.http_response(parts, sent, frozenset({b"x"}))
    assert pairs(parts) == [(b"Server", b"s"), (b"Date", b"d")]


def test_spellings_are_bounded() -> None:
    table = forwarding.NameTable({b"x": forwarding.DROP})
    for number in range(10_000):
        assert table.learn(f"made-up-{number}".encode()) == forwarding.PASS
    assert len(table.spellings) == 4096
    assert table.learn(b"X") == forwarding.DROP
