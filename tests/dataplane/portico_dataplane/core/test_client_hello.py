"""The reader of ClientHellos, against those that OpenSSL writes and those that nobody should."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico_dataplane.core.client_hello import MOST_BYTES, ClientHello, Unread, read


def hello(
    name: str | None = "a.example.com",
    protocols: tuple[str, ...] = (),
    most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = most
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def message(*extensions: tuple[int, bytes], suites: bytes = b"\x13\x01", record: int = 0) -> bytes:
    """One of ours, with these extensions; `record`: bytes in each record, 0 for all in one."""
    inner = b"".join(kind.to_bytes(2, "big") + vector(content, 2) for kind, content in extensions)
    body = b"\x03\x03" + bytes(32) + b"\0" + vector(suites, 2) + b"\x01\0"
    if extensions:
        body += vector(inner, 2)
    return records(b"\x01" + vector(body, 3), record)


def records(content: bytes, size: int = 0) -> bytes:
    size = size or len(content)
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"\x16\x03\x01" + vector(piece, 2) for piece in pieces)


def vector(content: bytes, length_bytes: int) -> bytes:
    return len(content).to_bytes(length_bytes, "big") + content


def sni(*names: bytes, kind: bytes = b"\0") -> tuple[int, bytes]:
    return 0, vector(b"".join(kind + vector(name, 2) for name in names), 2)


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_openssl_says(most: ssl.TLSVersion) -> None:
    found = read(hello("A.Example.com", ("h2", "http/1.1"), most))
    modern = most is ssl.TLSVersion.TLSv1_3
    assert found == ClientHello("a.example.com", (b"h2", b"http/1.1"), modern)


def test_no_name_and_no_protocols() -> None:
    assert read(hello(None)) == ClientHello("", (), True)


def test_every_beginning_of_a_hello_needs_more() -> None:
    whole = hello(protocols=("http/1.1",))
    for end in range(len(whole)):
        assert read(whole[:end]) is Unread.INCOMPLETE, end
    assert isinstance(read(whole), ClientHello)


def test_what_comes_behind_the_hello_is_not_looked_at() -> None:
    assert read(hello() + b"GET / HTTP/1.1\r\n") == ClientHello("a.example.com", (), True)


@pytest.mark.parametrize("size", [16, 100])
def test_a_hello_in_several_records(size: int) -> None:
    assert read(message(sni(b"a.example.com"), record=size)) == ClientHello(
        "a.example.com", (), False
    )


def test_a_hello_of_old_without_extensions() -> None:
    assert read(message()) == ClientHello("", (), False)


def test_a_dot_at_the_end_of_a_name_is_no_part_of_it() -> None:
    assert read(message(sni(b"a.example.com."))) == ClientHello("a.example.com", (), False)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", Unread.NOT_TLS),
        (b"\x80\x2e\x01\x00\x02", Unread.NOT_TLS),  # SSL 2
        (b"\x16\x02", Unread.NOT_TLS),
        (b"\x15\x03\x01\x00\x02\x02\x28", Unread.NOT_TLS),  # an alert
        (b"", Unread.INCOMPLETE),
        (records(b"\x02" + bytes(40)), Unread.MALFORMED),  # a ServerHello
        (b"\x16\x03\x01\x00\x00", Unread.MALFORMED),
        (b"\x16\x03\x01\x40\x01", Unread.MALFORMED),  # a record above 2¹⁴
        (records(b"\x01\xff\xff\xff"), Unread.TOO_LARGE),
        (records(b"\x01" + vector(b"\x03\x03", 3)), Unread.MALFORMED),
        (message(sni(b"a"), record=3), Unread.MALFORMED),  # one record for each few bytes
        (message(sni(b"a"), sni(b"b")), Unread.MALFORMED),  # RFC 8446 §4.2
        (message(sni(b"a", b"b")), Unread.MALFORMED),  # RFC 6066 §3
        (message(sni(b"a", kind=b"\1")), Unread.MALFORMED),
        (message(sni(b"")), Unread.MALFORMED),
        (message(sni(b"a\0.example.com")), Unread.MALFORMED),
        (message(sni(b"a/b")), Unread.MALFORMED),
        (message(sni(b"a" * 256)), Unread.MALFORMED),
        (message((16, vector(b"\0", 2))), Unread.MALFORMED),
        (message((16, vector(b"", 2))), Unread.MALFORMED),
        (message((43, vector(b"\x03", 1))), Unread.MALFORMED),
        (message(suites=b""), Unread.MALFORMED),
        (message(sni(b"a"))[:-1] + b"", Unread.INCOMPLETE),
    ],
)
def test_what_is_none(data: bytes, expected: Unread) -> None:
    assert read(data) is expected


def test_bytes_behind_the_extensions_are_a_fault() -> None:
    body = b"\x03\x03" + bytes(32) + b"\0" + vector(b"\x13\x01", 2) + b"\x01\0" + vector(b"", 2)
    assert read(records(b"\x01" + vector(body + b"x", 3))) is Unread.MALFORMED


def test_a_second_message_in_the_same_record_is_a_fault() -> None:
    whole = message(sni(b"a"))[5:]
    assert read(records(whole + b"\x01")) is Unread.MALFORMED


def test_a_hello_without_end_is_refused() -> None:
    first = b"\x01" + (MOST_BYTES - 8).to_bytes(3, "big")
    data = records(first + bytes(16_380)) + records(bytes(16_000))
    data += b"\x16\x03\x01\x40\x00"
    assert read(data) is Unread.INCOMPLETE
    assert read(data + bytes(MOST_BYTES - len(data))) is Unread.TOO_LARGE


@given(st.binary(max_size=600))
@settings(max_examples=300)
def test_anything_is_answered(data: bytes) -> None:
    assert isinstance(read(data), ClientHello | Unread)
    assert isinstance(read(records(data) if data else b""), ClientHello | Unread)


WHOLE = hello(protocols=("h2", "http/1.1"))


@given(st.data())
@settings(max_examples=400)
def test_damaged_hellos_are_answered_and_never_name_anything_odd(data: st.DataObject) -> None:
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                damaged[position] = data.draw(st.integers(0, 255))
            case 1:
                del damaged[position]
            case _:
                damaged.insert(position, data.draw(st.integers(0, 255)))
    found = read(bytes(damaged))
    if isinstance(found, ClientHello):
        assert found.server_name == found.server_name.lower()
        assert set(found.server_name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
