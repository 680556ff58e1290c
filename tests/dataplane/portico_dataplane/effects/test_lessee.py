"""Lessee: requests that wait for a token get it, or an answer in time, and cost nothing after."""

from __future__ import annotations

from lease_world import VirtualLoop
from portico_dataplane.core.holds import Stake
from portico_dataplane.core.lease import ASK, BucketLease, QuotaLease
from portico_dataplane.effects.lessee import LOOK_S, WAIT_S, Lessee, unix_ms
from portico_ir.leases import Ask, Grant, Requests

BEGIN = 1_795_435_200_000


class World:
    """One worker on a loop whose clock is made up; what it sends is written down."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.sent: list[Ask] = []
        self.lessee = Lessee(self.loop, self.sent.extend, now=self.now)
        self.bucket: BucketLease = self.lessee.leases.bucket("b", 1, 100)
        self.stake = Stake(self.bucket)
        self.results: list[tuple[int, bool]] = []

    def now(self) -> int:
        return BEGIN + int(self.loop.now * 1000)

    def request(self, number: int = 0, lease: BucketLease | QuotaLease | None = None) -> None:
        lease = lease or self.bucket
        assert lease.take(self.now()) == ASK
        self.lessee.wait(lease, lambda passed: self.results.append((number, passed)))

    def grant(self, tokens: float, *, more: bool = False, recheck: float = 1000) -> None:
        self.lessee.granted([Grant("b", tokens, more=more, recheck_ms=recheck)], 3)


def test_those_who_wait_ask_together() -> None:
    world = World()
    for number in range(3):
        world.request(number)
    assert world.sent == []
    world.loop.run(0)
    (ask,) = world.sent
    assert (ask.id, ask.waiting) == ("b", 3)
    assert ask.want >= 3


def test_they_get_tokens_in_the_order_in_which_they_came() -> None:
    world = World()
    for number in range(3):
        world.request(number)
    world.loop.run(0)
    world.grant(2)
    assert world.results == [(0, True), (1, True), (2, False)]
    assert world.bucket.waiting == 0
    assert world.lessee.leases.leaves == 3


def test_while_there_may_be_more_they_ask_again() -> None:
    world = World()
    for number in range(3):
        world.request(number)
    world.loop.run(0)
    world.grant(1, more=True)
    assert world.results == [(0, True)]
    world.loop.run(0)
    assert [ask.waiting for ask in world.sent] == [3, 2]
    world.grant(2)
    assert world.results == [(0, True), (1, True), (2, True)]


def test_nobody_answers() -> None:
    world = World()
    world.request()
    world.loop.run(WAIT_S - 0.001)
    assert world.results == []
    world.loop.run(0.002)
    assert world.results == [(0, True)]  # by its grace
    world.lessee.leases.keeps = False
    world.request(1)
    world.loop.run(WAIT_S)
    assert world.results[1:] == [(1, False)]


def test_an_answer_that_comes_late_is_not_lost() -> None:
    world = World()
    world.request()
    world.loop.run(1)
    world.grant(5)
    assert world.bucket.tokens == 4  # one of them is spent
    assert world.results == [(0, True)]


def test_who_has_gone_is_not_told() -> None:
    world = World()
    told: list[bool] = []
    world.bucket.take(world.now())
    waiting = world.lessee.wait(world.bucket, told.append)
    waiting.end()
    waiting.end()
    world.loop.run(1)
    world.grant(5)
    assert told == []
    assert world.bucket.tokens == 5


def test_leases_in_use_are_looked_after() -> None:
    world = World()
    world.request()
    world.loop.run(0)
    world.grant(100)
    for _ in range(20):
        world.bucket.take(world.now())
        world.loop.run(LOOK_S)
        if world.bucket.asked:
            world.grant(0)
    spent = sum(ask.spent for ask in world.sent)
    assert spent >= 15
    for _ in range(20):
        world.loop.run(LOOK_S)
        if world.bucket.asked:
            world.grant(0)
    assert not world.lessee.leases.busy
    assert (world.sent[-1].held, world.sent[-1].want) == (0, 0)
    quiet = len(world.sent)
    world.loop.run(100)
    assert len(world.sent) == quiet


def test_at_the_end_everything_is_reported() -> None:
    world = World()
    free = world.lessee.leases.quota("q", Requests("p", "k"))
    free.take(world.now())
    world.request()
    world.loop.run(0)
    world.grant(10)
    world.bucket.take(world.now())
    world.lessee.close()
    assert {(ask.id, ask.spent) for ask in world.sent[1:]} == {("q", 1), ("b", 2)}
    world.loop.run(10)


def test_the_stamp_is_unix_time() -> None:
    assert 1_700_000_000_000 < unix_ms() < 4_000_000_000_000
