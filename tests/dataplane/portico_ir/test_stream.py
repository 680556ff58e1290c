"""Frames between versions; marks; what counts as the same content."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_ir.codec import Undecodable, digest
from portico_ir.leases import Ask, Exchange, Grant, Requests, Settlement, Tokens, Use
from portico_ir.model import Endpoint, Manifest
from portico_ir.secrets import Redacted
from portico_ir.stream import (
    Acknowledgement,
    Addresses,
    Advance,
    Follow,
    FromOperator,
    FromPod,
    Hello,
    Keeping,
    Offer,
    Settle,
    Settled,
    Token,
    Unknown,
    content_digest,
    decode_from_operator,
    decode_from_pod,
    encode_frame,
    is_forward,
    manifest_of,
    merged,
    offer_of,
)

OPERATORS: tuple[FromOperator, ...] = (
    Hello(ir_version=1, build="b", class_name="c", digest="d", content="e", marks={"Route": "1"}),
    Advance(digest="d", content="c", marks={"Route": "1"}),
    Addresses(
        sequence=3,
        since=2,
        upstreams={"a": (Endpoint(host="h", port=1),), "b": ()},
        removed=("c",),
        marks={"Route": "1"},
    ),
    Keeping(term=3),
    Keeping(),
    Settled(settlement=Settlement(serial=2, grants=(Grant("b", 1.5), Grant("q", period=3)))),
)
PODS: tuple[FromPod, ...] = (
    Hello(ir_version=1, pod="p"),
    Follow(on=False),
    Follow(content="c"),
    Acknowledgement(digest="d", content="c", refused={"u": "why"}, marks={"R": "1"}, build="b"),
    Token(token=Redacted("secret")),
    Settle(
        exchange=Exchange(
            holder="p",
            serial=2,
            asks=(Ask("b", Tokens(1, 2), 0.5), Ask("q", Requests("p", "k", 9, "WEEK", 1))),
            usage=(Use("p", "k", 7, 3),),
        )
    ),
)


@pytest.mark.parametrize("frame", OPERATORS)
def test_what_an_operator_says_is_understood(frame: FromOperator) -> None:
    assert decode_from_operator(encode_frame(frame)) == frame


@pytest.mark.parametrize("frame", PODS)
def test_what_a_pod_says_is_understood(frame: FromPod) -> None:
    assert decode_from_pod(encode_frame(frame)) == frame


def test_the_manifest_travels_verbatim() -> None:
    manifest = Manifest(ir_version=1, units={"b": "2", "a": "1"}, marks={"Route": "9"})
    encoded, frame = offer_of(manifest, {"Route": "10"})
    offer = decode_from_operator(frame)
    assert isinstance(offer, Offer)
    assert bytes(offer.manifest) == encoded
    assert digest(offer.manifest) == digest(encoded)
    assert manifest_of(offer) == manifest
    assert offer.marks == {"Route": "10"}


@pytest.mark.parametrize("frame", [*OPERATORS, offer_of(Manifest(ir_version=1, units={}), {})[1]])
def test_a_field_of_a_newer_operator_is_ignored(frame: FromOperator | bytes) -> None:
    encoded = frame if isinstance(frame, bytes) else encode_frame(frame)
    newer = json.dumps(json.loads(encoded) | {"newer": {"x": [1]}}).encode()
    assert type(decode_from_operator(newer)) is type(decode_from_operator(encoded))


def test_a_kind_of_a_newer_peer_is_passed_over() -> None:
    assert decode_from_operator(b'{"frame":"lease","x":{}}') == Unknown("lease")
    assert decode_from_pod(b'{"frame":"usage"}') == Unknown("usage")
    assert decode_from_pod(b'{"frame":"manifest"}') == Unknown("manifest"), "not a pod's to say"


def test_a_newer_field_inside_the_manifest_is_refused() -> None:
    offer = decode_from_operator(
        b'{"frame":"manifest","manifest":{"ir_version":1,"units":{},"n":1}}'
    )
    assert isinstance(offer, Offer)
    with pytest.raises(Undecodable, match="unknown field `n`"):
        manifest_of(offer)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b'{"frame":1}', b'{"frame":"marks"}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_frame_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode_from_operator(data)
    with pytest.raises(Undecodable):
        decode_from_pod(data.replace(b"marks", b"acknowledgement"))


def test_a_token_does_not_show_itself() -> None:
    assert "secret" not in repr(decode_from_pod(encode_frame(PODS[-1])))


def test_content_is_what_makes_pods_do_something() -> None:
    one = Manifest(ir_version=1, units={"a": "1", "b": "2"}, marks={"R": "1"}, build="x")
    same = Manifest(ir_version=1, units={"b": "2", "a": "1"}, marks={"R": "2"}, build="y")
    assert content_digest(one) == content_digest(same)
    for other in (
        Manifest(ir_version=2, units={"a": "1", "b": "2"}),
        Manifest(ir_version=1, units={"a": "2", "b": "1"}),
        Manifest(ir_version=1, units={"a": "1"}),
    ):
        assert content_digest(other) != content_digest(one)


@pytest.mark.parametrize(
    ("new", "old", "forward"),
    [
        ({}, {}, True),
        ({"R": "10"}, {"R": "9"}, True),
        ({"R": "9"}, {"R": "10"}, False),
        ({"R": "11", "S": "1"}, {"R": "10", "S": "2"}, False),
        ({"R": "11"}, {"R": "10", "S": "2"}, True),
        ({"R": "x"}, {"R": "x"}, True),
        ({"R": "x"}, {"R": "1"}, False),
        ({"R": "1"}, {"R": "x"}, False),
        ({"R": "²"}, {"R": "1"}, False),
    ],
)
def test_forward(new: dict[str, str], old: dict[str, str], forward: bool) -> None:
    assert is_forward(new, old) is forward


marks = st.dictionaries(st.sampled_from("RST"), st.integers(0, 200).map(str))


@given(marks, marks)
def test_merged_marks_are_behind_neither(one: dict[str, str], other: dict[str, str]) -> None:
    both = merged(one, other)
    assert is_forward(both, one)
    assert is_forward(both, other)
    assert both.keys() == one.keys() | other.keys()
