"""Addresses go forward, under one number of this pod's own."""

from __future__ import annotations

from portico_dataplane.feed.addresses import AddressBook
from portico_ir.model import Endpoint

ONE: dict[str, tuple[Endpoint, ...]] = {"a": (Endpoint(host="10.0.0.1", port=80),)}
TWO: dict[str, tuple[Endpoint, ...]] = {"a": (Endpoint(host="10.0.0.2", port=80),)}


def test_news_count_up() -> None:
    book = AddressBook()
    assert book.take(ONE, {"EndpointSlice": "5"})
    assert not book.take(dict(ONE), {"EndpointSlice": "6"})
    assert book.take(TWO, {"EndpointSlice": "7"})
    assert (book.current().sequence, book.current().upstreams) == (2, TWO)


def test_older_news_are_none() -> None:
    book = AddressBook()
    book.take(TWO, {"EndpointSlice": "7"})
    assert not book.take(ONE, {"EndpointSlice": "6"})
    assert book.current().upstreams == TWO
    assert book.take(ONE, {"EndpointSlice": "8"})


def test_who_agrees_is_believed_from_there_on() -> None:
    book = AddressBook()
    book.take(TWO, {"EndpointSlice": "7", "Service": "9"})
    assert not book.take(dict(TWO), {"EndpointSlice": "7", "Service": "3"})
    assert book.take(ONE, {"EndpointSlice": "8", "Service": "3"})
