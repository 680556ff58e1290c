"""Chunked bodies (RFC 9112 §7.1): decoded from any pieces, never past the end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.http.body import LAST_CHUNK, ChunkedBody, MalformedBody, chunk


def decode(data: bytes, cuts: list[int] | None = None) -> tuple[bytes, ChunkedBody]:
    body = ChunkedBody()
    out = b""
    edges = [0, *sorted(cuts or []), len(data)]
    for start, end in itertools.pairwise(edges):
        piece = data[start:end]
        if body.complete:
            body.rest += piece
        elif piece:
            out += body.feed(piece)
    return out, body


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    st.binary(max_size=20),
    st.data(),
)
def test_any_segmentation_gives_the_same(
    pieces: list[bytes], behind: bytes, data: st.DataObject
) -> None:
    raw = b"".join(chunk(piece) for piece in pieces) + LAST_CHUNK + behind
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=6))
    payload, body = decode(raw, cuts)
    assert payload == b"".join(pieces)
    assert body.complete
    assert body.rest == behind


def test_extensions_and_trailers_are_dropped() -> None:
    payload, body = decode(b"3;a=b\r\nabc\r\n0;x\r\nX-Trailer: 1\r\n\r\nrest")
    assert payload == b"abc"
    assert body.rest == b"rest"


@pytest.mark.parametrize(
    "raw",
    [
        b"g\r\n",
        b"-1\r\n",
        b"0x5\r\n",
        b" 5\r\n",
        b"5 \r\nhello\r\n",
        b"\r\n",
        b"ffffffffffffffff\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloXX",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\nHost: a\r\n\r\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5;" + b"x" * 20_000 + b"\r\n",
        b"1;" + b"x" * 20_000,
        b"0\r\n" + b"X: " + b"y" * 9_000 + b"\r\nZ: " + b"y" * 9_000 + b"\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:16]),
)
def test_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode(raw)


@given(st.binary(max_size=200))
def test_nothing_else_is_raised(raw: bytes) -> None:
    try:
        decode(raw)
    except MalformedBody:
        pass
