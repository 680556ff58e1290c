"""Leasing: what workers ask together goes out together, and a silent store holds up nobody."""

from __future__ import annotations

from lease_world import VirtualLoop
from portico_dataplane.core.broker import Broker
from portico_dataplane.workers.leasing import AGAIN_S, MOST_AGAIN_S, PATIENCE_S, Leasing
from portico_ir.leases import Ask, Exchange, Grant, Settlement, Tokens

LIMIT = Tokens(1, 100)


class Store:
    """Writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Exchange] = []

    def send(self, exchange: Exchange) -> None:
        self.asked.append(exchange)


class World:
    """A pod on a loop whose clock is made up."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.loop = VirtualLoop()
        self.store = Store()
        self.delivered: list[tuple[str, float]] = []
        broker = Broker("pod", 2, unix_ms=0, keeps=keeps)
        self.leasing = Leasing(self.loop, broker, self._deliver, lambda: self.loop.now * 1000)
        self.leasing.use(self.store)

    def _deliver(self, worker: str, grants: list[Grant], leaves: int) -> None:
        self.delivered += [(worker, grant.tokens) for grant in grants]

    def ask(self, worker: str, *names: str) -> None:
        asks = [Ask(name, LIMIT, want=1.0, waiting=1) for name in names]
        self.leasing.asked(worker, asks)

    def settle(self, tokens: float = 1.0) -> None:
        sent = self.store.asked[-1]
        grants = tuple(Grant(ask.id, tokens) for ask in sent.asks)
        self.leasing.settled(Settlement(serial=sent.serial, known=sent.serial - 1, grants=grants))


def test_workers_that_ask_together_are_one_exchange() -> None:
    world = World()
    world.ask("0", "a", "b")
    world.ask("1", "c")
    world.loop.run(0)
    assert [[ask.id for ask in each.asks] for each in world.store.asked] == [["a", "b", "c"]]
    world.settle()
    assert sorted(world.delivered) == [("0", 1), ("0", 1), ("1", 1)]


def test_what_comes_meanwhile_follows_the_answer() -> None:
    world = World()
    world.ask("0", "a")
    world.loop.run(0)
    world.ask("1", "b")
    world.loop.run(0.01)
    assert len(world.store.asked) == 1
    world.settle()
    world.loop.run(0)
    assert [ask.id for ask in world.store.asked[1].asks] == ["b"]


def test_a_store_that_does_not_answer_is_away() -> None:
    world = World()
    world.ask("0", "a")
    world.loop.run(PATIENCE_S - 0.01)
    assert world.delivered == []
    world.loop.run(0.02)
    assert world.delivered == [("0", 1)]  # its share
    assert world.leasing.broker.pod.away
    world.ask("1", "b")
    assert world.delivered[1:] == [("1", 1)]


def test_it_is_asked_the_very_same_again_less_and_less_often() -> None:
    world = World()
    world.ask("0", "a")
    world.loop.run(10)
    first, *rest = world.store.asked
    assert len(rest) > 5
    assert all(each is first for each in rest)
    world.settle()
    assert not world.leasing.broker.pod.away
    assert AGAIN_S < MOST_AGAIN_S


def test_a_store_that_fails_says_so_at_once() -> None:
    world = World()
    world.ask("0", "a")
    world.loop.run(0)
    world.leasing.failed()
    assert world.delivered == [("0", 1)]
    world.loop.run(AGAIN_S)
    assert len(world.store.asked) == 2


def test_another_store_is_asked_what_was_not_answered() -> None:
    world = World()
    world.ask("0", "a")
    world.loop.run(0)
    other = Store()
    world.leasing.use(other)
    assert other.asked == world.store.asked
    world.leasing.use(None)
    assert world.leasing.broker.pod.away


def test_a_lease_that_has_run_out_is_taken_back_where_nothing_is_kept() -> None:
    world = World(keeps=False)
    world.ask("0", "a")
    world.loop.run(0)
    world.settle(tokens=1.0)
    world.delivered.clear()
    world.leasing.asked("0", [Ask("a", LIMIT, spent=1.0, held=0.0, want=8.0, demand=9.0)])
    world.loop.run(5)
    assert ("1", 0.0) in world.delivered


def test_a_pod_that_rests_does_nothing() -> None:
    world = World()
    world.ask("0", "a")
    world.loop.run(0)
    world.settle()
    world.leasing.asked("0", [Ask("a", LIMIT, spent=1.0)])
    world.loop.run(1)
    world.settle(0.0)
    world.loop.run(1)
    asked = len(world.store.asked)
    world.loop.run(100)
    assert len(world.store.asked) == asked


async def test_farewell() -> None:
    world = World()
    world.ask("0", "a")
    world.loop.run(0)
    world.settle(tokens=5.0)
    world.leasing.gone("0")
    assert world.leasing.farewell()
    last = world.store.asked[-1]
    assert [(ask.id, ask.held) for ask in last.asks] == [("a", 0)]
    assert not world.leasing.settled_up.is_set()
    world.settle(0.0)
    assert world.leasing.settled_up.is_set()
    assert not world.leasing.farewell()
    world.leasing.close()
