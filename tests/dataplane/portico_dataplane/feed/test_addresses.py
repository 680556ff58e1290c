"""Addresses go forward, under one number of this pod's own."""

from __future__ import annotations

from portico_dataplane.feed.addresses import HELD_S, AddressBook, News
from portico_ir.model import Endpoint

ONE = {"a": (Endpoint(host="10.0.0.1", port=80),)}
TWO = {"a": (Endpoint(host="10.0.0.2", port=80),)}


def test_news_count_up() -> None:
    book = AddressBook()
    assert book.take(News(ONE, {"EndpointSlice": "5"}), 0)
    assert not book.take(News(dict(ONE), {"EndpointSlice": "6"}), 0)
    assert book.take(News(TWO, {"EndpointSlice": "7"}), 0)
    assert (book.current().sequence, book.current().upstreams) == (2, TWO)


def test_older_news_are_none() -> None:
    book = AddressBook()
    book.take(News(TWO, {"EndpointSlice": "7"}), 0)
    assert not book.take(News(ONE, {"EndpointSlice": "6"}), 0)
    assert book.current().upstreams == TWO
    assert book.take(News(ONE, {"EndpointSlice": "8"}), 0)


def test_versions_of_addresses_decide_where_there_are_any() -> None:
    book = AddressBook()
    book.take(News(TWO, {"Route": "1"}, 70), 0)
    assert not book.take(News(ONE, {"Route": "9"}, 69), 0)
    assert book.take(News(ONE, {"Route": "0"}, 71), 0)
    assert book.dated().sequence == 71


def test_who_agrees_is_believed_from_there_on() -> None:
    book = AddressBook()
    book.take(News(TWO, {"Service": "9"}, 70), 0)
    assert not book.take(News(dict(TWO), {"Service": "3"}, 60), 0)
    assert book.take(News(ONE, {"Service": "3"}, 61), 0)


def test_who_says_so_for_long_is_believed() -> None:
    book = AddressBook()
    book.take(News(TWO, {}, 70), 0)
    assert not book.take(News(ONE, {}, 60), 100)
    assert not book.take(News(ONE, {}, 60), 100 + HELD_S / 2)
    assert book.holds
    assert book.take(News(ONE, {}, 60), 100 + HELD_S)
    assert book.current().upstreams == ONE
    assert not book.holds


def test_time_is_counted_anew_for_each_delay() -> None:
    book = AddressBook()
    book.take(News(TWO, {}, 70), 0)
    book.take(News(ONE, {}, 60), 100)
    assert not book.take(News(TWO, {}, 71), 101)
    assert not book.take(News(ONE, {}, 60), 100 + HELD_S)
