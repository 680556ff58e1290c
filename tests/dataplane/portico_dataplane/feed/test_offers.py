"""Offers: what was sent is judged, and what came unasked counts only under its own digest."""

from __future__ import annotations

import msgspec

from portico_dataplane.feed.offers import MOST_RECEIVED, Received, offered
from portico_ir.codec import digest
from portico_ir.model import IR_VERSION, Manifest
from portico_ir.stream import Offer, decode_from_operator, offer_of


def units(*encoded: bytes) -> dict[str, msgspec.Raw]:
    return {digest(each): msgspec.Raw(each) for each in encoded}


def test_what_came_is_taken_once() -> None:
    received = Received()
    received.add(units(b"[1]"))
    received.add(units(b"[2]", b"[1]"))
    assert received.take() == {digest(b"[1]"): b"[1]", digest(b"[2]"): b"[2]"}
    assert received.take() == {}


def test_what_its_digest_does_not_name_is_passed_over() -> None:
    received = Received()
    received.add({digest(b"[1]"): msgspec.Raw(b"[2]"), **units(b"[3]")})
    assert received.take() == {digest(b"[3]"): b"[3]"}


def test_what_nobody_takes_does_not_pile_up() -> None:
    received = Received()
    half = MOST_RECEIVED // 2
    for number in range(10):
        received.add(units(b'"%d%b"' % (number, b"x" * half)))
        assert sum(map(len, received._units.values())) <= MOST_RECEIVED
    (last,) = received.take().values()
    assert last.startswith(b'"9')


def test_an_offer_of_another_version_has_a_fault_and_no_other_effect() -> None:
    encoded, frame = offer_of(Manifest(ir_version=IR_VERSION + 1, units={"a": "b"}), {})
    read = decode_from_operator(frame)
    assert isinstance(read, Offer)
    assert read.units == {}
    found = offered(read)
    assert found.digest == digest(encoded)
    assert "irVersion" in found.fault
    unreadable = offered(Offer(manifest=msgspec.Raw(b"[]")))
    assert unreadable.manifest is None
    assert unreadable.fault.startswith("not readable")
