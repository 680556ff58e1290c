"""The operator as store: whoever was elected last is asked, and nobody else's answer counts."""

from __future__ import annotations

from portico_dataplane.effects.stores.operator import OperatorStore
from portico_ir.leases import Exchange, Settlement

EXCHANGE = Exchange(holder="pod", serial=1)
ANSWER = Settlement(serial=1)


class Operator:
    """One replica."""

    def __init__(self, term: int) -> None:
        self.term = term
        self.asked: list[Exchange] = []

    def settle(self, exchange: Exchange) -> None:
        self.asked.append(exchange)


class World:
    """Writes down what the store tells."""

    def __init__(self) -> None:
        self.store = OperatorStore()
        self.told: list[str] = []
        self.store.attach(
            lambda settlement: self.told.append("settled"),
            lambda: self.told.append("failed"),
            lambda: self.told.append("changed"),
        )


async def test_nobody_keeps() -> None:
    world = World()
    world.store.send(EXCHANGE)
    world.store.choose([Operator(-1)])
    world.store.send(EXCHANGE)
    assert world.told == ["failed", "failed"]
    await world.store.close()


def test_the_one_that_was_elected_last() -> None:
    world = World()
    old, new = Operator(3), Operator(4)
    world.store.choose([old, new, Operator(-1)])
    world.store.send(EXCHANGE)
    assert (old.asked, new.asked) == ([], [EXCHANGE])
    world.store.choose([old, new])
    assert world.told == ["changed"]
    world.store.answered(old, ANSWER)
    world.store.answered(new, ANSWER)
    assert world.told == ["changed", "settled"]


def test_it_leaves() -> None:
    world = World()
    old, new = Operator(3), Operator(4)
    world.store.choose([old])
    world.store.choose([])
    world.store.send(EXCHANGE)
    world.store.choose([new])
    assert world.told == ["changed", "changed", "failed", "changed"]


def test_before_anybody_asks() -> None:
    store = OperatorStore()
    store.choose([Operator(1)])
    store.answered(Operator(1), ANSWER)
