"""Asks and grants survive every way they travel: the workers' channel, the stream, a script."""

from __future__ import annotations

import msgspec
import pytest

from portico_ir.leases import Ask, Exchange, Grant, Requests, Settlement, Tokens, Use

ASKS = (
    Ask("bucket", Tokens(0.5, 3), 1.0, 2.5, 100.0, 8.0, waiting=2),
    Ask("quota/p/k", Requests("p", "k", 1000, "WEEK", 1), held=7, period=20_780),
    Ask("quota/p/k", Requests("p", "k")),
)
GRANTS = (Grant("bucket", 4.0, 12.5, 6.0, 3.0, True), Grant("q", period=20_780, ends_ms=9.5))
EXCHANGE = Exchange(
    holder="pod-1", serial=7, acknowledged=6, leaves=2, asks=ASKS, usage=(Use("p", "k", 20_780, 3),)
)
SETTLEMENT = Settlement(serial=7, known=6, durable=5, now_ms=1.5, leaves=6, grants=GRANTS)


@pytest.mark.parametrize("value", [EXCHANGE, SETTLEMENT, Exchange(holder="p", serial=1)])
def test_there_and_back(value: Exchange | Settlement) -> None:
    for encode, decode in (
        (msgspec.json.encode, msgspec.json.decode),
        (msgspec.msgpack.encode, msgspec.msgpack.decode),
    ):
        assert decode(encode(value), type=type(value)) == value


def test_a_newer_peer_may_say_more() -> None:
    ask = msgspec.json.decode(b'["a",["tokens",1,2],0,0,0,0,0,0,0,"more"]', type=Ask)
    assert ask == Ask("a", Tokens(1, 2))
    old = msgspec.json.decode(b'["a",["tokens",1,2]]', type=Ask)
    assert old == Ask("a", Tokens(1, 2))
