"""Pools: which connection a request gets, how many there are, and when one is not used again."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest

from fake_upstreams import FakeDeadlines, FakeDialer, User
from portico_dataplane import tasks
from portico_dataplane.effects.dialer import Dialer, DialKind
from portico_dataplane.http.pools import Pool, Upstream, Upstreams
from portico_dataplane.settings import Settings
from portico_ir.model import Endpoint

ONE, TWO, THREE = (Endpoint(host=f"10.0.0.{n}", port=80) for n in (1, 2, 3))


class Clock:
    """Stands for `time.monotonic`, the event loop's included, from where that is."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    # Not the name in the module: a compiled module looks `time` up once.
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    return clock


class World:
    """A registry over a fake dialer, with one upstream of one address."""

    def __init__(self, *, manual: bool = False, **settings: Any) -> None:
        self.dialer = FakeDialer(manual=manual)
        self.deadlines = FakeDeadlines()
        self.registry = Upstreams(Settings(**settings), cast(Dialer, self.dialer), self.deadlines)
        self.upstream = self.registry.get("it", trusted=True)
        self.upstream.update((ONE,))

    @property
    def pool(self) -> Pool:
        assert self.upstream.sole is not None
        return self.upstream.sole

    async def user(self) -> User:
        """One that has a connection, as a request gets it."""
        user = User()
        taken = self.pool.take()
        if taken is not None:
            user.on_connection(taken)
        else:
            self.pool.connect(user)
            await turns()
        return user

    async def users(self, count: int) -> list[User]:
        """That many, at the same time."""
        return [await self.user() for _ in range(count)]


async def turns(count: int = 5) -> None:
    """Let tasks that were made begin and end."""
    for _ in range(count):
        await asyncio.sleep(0)


# --- reuse ----------------------------------------------------------------------------------------


async def test_a_new_pool_has_nothing_to_take() -> None:
    world = World()
    assert world.pool.take() is None
    user = await world.user()
    assert user.connection is not None
    assert not user.connection.reused
    assert world.registry.counts() == (1, 0)


async def test_what_was_released_is_taken_again() -> None:
    world = World()
    user = await world.user()
    connection = user.call()
    connection.release()
    assert world.registry.counts() == (1, 1)
    assert world.pool.take() is connection
    assert connection.reused
    assert world.registry.counts() == (1, 0)
    assert len(world.dialer.attempts) == 1


async def test_the_last_one_used_is_taken_first() -> None:
    """Its window is warm; and those that are not needed grow old and go."""
    world = World()
    users = await world.users(3)
    released = [user.call() for user in users]
    for connection in released:
        connection.release()
    assert [world.pool.take() for _ in range(4)] == [*reversed(released), None]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"",
    ],
    ids=["close", "1.0", "more", "part", "chunk", "until-close", "half-a-head", "nothing"],
)
async def test_what_may_not_be_used_again_is_closed(answer: bytes) -> None:
    world = World()
    user = await world.user()
    user.call(answer).release()
    assert user.wire.ended == "abort"
    assert world.registry.counts() == (0, 0)
    assert world.pool.take() is None


async def test_only_so_many_are_kept() -> None:
    world = World(upstream_max_idle=2)
    users = await world.users(3)
    for user in users:
        user.call().release()
    assert world.registry.counts() == (2, 2)
    assert [user.wire.ended for user in users] == ["", "", "abort"]


@pytest.mark.parametrize("what", ["bytes", "answer", "end", "error"])
async def test_one_that_becomes_readable_while_idle_is_dropped(what: str) -> None:
    """Whatever it is, it is no answer to a request of ours."""
    world = World()
    user = await world.user()
    connection = user.call()
    connection.release()
    if what == "end":
        connection.eof_received()
        connection.connection_lost(None)
    elif what == "error":
        connection.connection_lost(OSError("reset"))
    else:
        connection.data_received(b"?" if what == "bytes" else b"HTTP/1.1 408 Late\r\n\r\n")
        assert user.wire.ended == "abort"
    assert world.pool.take() is None
    assert world.registry.counts() == (0, 0)
    assert user.told == [("response", 200, b"ok", True)]


async def test_one_whose_transport_closes_is_not_taken() -> None:
    world = World()
    user = await world.user()
    user.call().release()
    user.wire.close()
    assert world.pool.take() is None


async def test_one_that_was_held_back_reads_again_for_the_next() -> None:
    """The client was behind when the last byte came: nobody else would let it read again."""
    world = World()
    user = await world.user()
    connection = user.call()
    connection.hold(True)
    assert not user.wire.reading
    connection.release()
    assert user.wire.reading


# --- how many -------------------------------------------------------------------------------------


async def test_connections_are_bounded_and_requests_wait_in_order() -> None:
    world = World(upstream_max_connections=2)
    first, second = await world.users(2)
    waiting = [User() for _ in range(3)]
    for user in waiting:
        world.pool.connect(user)
    await turns()
    assert [user.connection for user in waiting] == [None, None, None]
    assert len(world.dialer.attempts) == 2
    second.call().release()
    assert waiting[0].connection is second.connection
    first.call().release()
    assert waiting[1].connection is first.connection
    waiting[0].call().release()
    assert waiting[2].connection is second.connection
    assert world.registry.counts() == (2, 0)
    assert len(world.dialer.attempts) == 2


async def test_an_attempt_counts_as_a_connection() -> None:
    world = World(manual=True, upstream_max_connections=1)
    users = [User(), User()]
    for user in users:
        world.pool.connect(user)
    await turns()
    assert len(world.dialer.attempts) == 1
    world.dialer.attempts[0].succeed()
    await turns()
    assert users[0].connection is not None
    assert users[1].connection is None


async def test_only_so_many_wait() -> None:
    """Design §6: overload, at once."""
    world = World(upstream_max_connections=1, upstream_max_waiting=1)
    (first,) = await world.users(1)
    waiting, refused = User(), User()
    world.pool.connect(waiting)
    world.pool.connect(refused)
    assert refused.told == [("none", None)]
    assert waiting.told == []
    first.call().release()
    assert waiting.connection is first.connection


async def test_one_that_left_the_queue_is_passed_over() -> None:
    world = World(upstream_max_connections=1)
    (first,) = await world.users(1)
    gone, next_ = User(), User()
    world.pool.connect(gone)
    world.pool.connect(next_)
    world.pool.forget(gone)
    world.pool.forget(User())  # one that never waited
    first.call().release()
    assert gone.connection is None
    assert next_.connection is first.connection


@pytest.mark.parametrize("end", ["lost", "closed", "not kept"])
async def test_a_place_that_becomes_free_is_for_who_waits(end: str) -> None:
    world = World(upstream_max_connections=1)
    (first,) = await world.users(1)
    waiting = User()
    world.pool.connect(waiting)
    connection = first.call(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    if end == "lost":
        connection.connection_lost(None)
    elif end == "closed":
        connection.close()
    else:
        connection.release()
    await turns()
    assert waiting.connection is not None
    assert waiting.connection is not connection
    assert world.registry.counts() == (1, 0)


async def test_one_that_says_it_will_not_wait_is_handed_to_nobody() -> None:
    world = World(upstream_max_connections=1)
    (first,) = await world.users(1)
    waiting = User()
    world.pool.connect(waiting)
    first.call(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=0\r\n\r\n").release()
    await turns()
    assert waiting.connection is not None
    assert waiting.connection is not first.connection


async def test_an_attempt_that_fails_is_told_and_the_next_one_tries() -> None:
    world = World(manual=True, upstream_max_connections=1)
    users = [User(), User()]
    for user in users:
        world.pool.connect(user)
    await turns()
    world.dialer.attempts[0].fail(DialKind.TIMEOUT)
    await turns()
    assert users[0].told == [("none", DialKind.TIMEOUT)]
    world.dialer.attempts[1].succeed()
    await turns()
    assert users[1].connection is not None
    assert world.registry.counts() == (1, 0)


async def test_what_the_dialer_is_told() -> None:
    world = World(connect_timeout_s=3.0)
    context = cast(Any, object())
    secured = world.registry.get("s", tls=context, server_name="pets.test", trusted=False)
    secured.update((TWO,))
    assert secured.sole is not None
    secured.sole.connect(User())
    await world.user()
    first, second = world.dialer.attempts
    assert (first.host, first.port) == ("10.0.0.2", 80)
    told = {
        "timeout_s": 3.0,
        "tls": context,
        "server_hostname": "pets.test",
        "session": None,
        "trusted": False,
    }
    assert first.options == told
    assert second.options == {**told, "tls": None, "server_hostname": None, "trusted": True}


# --- how long -------------------------------------------------------------------------------------


async def test_idle_ones_are_closed_after_their_time(clock: Clock) -> None:
    world = World(upstream_idle_timeout_s=10.0)
    old, new = await world.users(2)
    old.call().release()
    clock.now += 6
    new.call().release()
    clock.now += 5
    world.deadlines.expire()
    assert (old.wire.ended, new.wire.ended) == ("abort", "")
    assert world.registry.counts() == (1, 1)
    clock.now += 5
    world.deadlines.expire()
    assert new.wire.ended == "abort"
    assert world.registry.counts() == (0, 0)


async def test_the_sweep_rests_when_there_is_nothing_idle(clock: Clock) -> None:
    world = World(upstream_idle_timeout_s=10.0)
    assert not world.deadlines.waiting
    user = await world.user()
    assert not world.deadlines.waiting
    user.call().release()
    assert world.deadlines.waiting
    clock.now += 10
    world.deadlines.expire()
    assert not world.deadlines.waiting
    (await world.user()).call().release()
    assert world.deadlines.waiting


async def test_one_that_is_too_old_is_not_taken_although_no_sweep_saw_it(clock: Clock) -> None:
    """A backend that closes after 5 s may do so while our request travels."""
    world = World()
    user = await world.user()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=5, max=9\r\n\r\n"
    user.call(answer).release()
    clock.now += 3.9
    taken = world.pool.take()
    assert taken is user.connection
    user.call(answer).release()
    clock.now += 4.0
    assert world.pool.take() is None
    assert user.wire.ended == "abort"
    assert world.registry.counts() == (0, 0)


@pytest.mark.parametrize(
    ("says", "kept_s"),
    [
        (b"timeout=5", 4.0),
        (b"Timeout=5, max=100", 4.0),
        (b"max=100, timeout=5", 4.0),
        (b"timeout=9999", 55.0),
        (b"timeout=99999999999", 55.0),
        (b"timeout=-1", 55.0),
        (b"timeout=x", 55.0),
        (b"max=100", 55.0),
        (b"", 55.0),
        (b"timeout=1", 0.0),
        (b"timeout=0", 0.0),
    ],
)
async def test_keep_alive_of_the_backend_is_honoured(
    says: bytes, kept_s: float, clock: Clock
) -> None:
    """Design §6.6: idle shorter than the upstream's `Keep-Alive: timeout`, and than ours."""
    world = World()
    user = await world.user()
    user.call(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: %b\r\n\r\n" % says).release()
    if kept_s:
        clock.now += kept_s - 0.001
        assert world.pool.take() is user.connection
        user.call().release()
        clock.now += kept_s
    assert world.pool.take() is None
    assert user.wire.ended == "abort"


# --- addresses ------------------------------------------------------------------------------------


def picked(upstream: Upstream, count: int) -> list[Endpoint | None]:
    pools = [upstream.pick(0.0) for _ in range(count)]
    return [None if pool is None else pool.endpoint for pool in pools]


async def test_addresses_take_turns() -> None:
    world = World()
    assert picked(world.upstream, 2) == [ONE, ONE]
    world.upstream.update((ONE, TWO, THREE))
    assert world.upstream.sole is None
    assert picked(world.upstream, 6) == [ONE, TWO, THREE] * 2
    world.upstream.update(())
    assert picked(world.upstream, 1) == [None]


async def test_an_address_that_fails_is_avoided_for_a_while() -> None:
    world = World()
    world.upstream.update((ONE, TWO))
    for _ in range(2):
        world.upstream.balancer.failed(ONE, 0.0)
    assert picked(world.upstream, 3) == [TWO] * 3
    world.upstream.balancer.succeeded(ONE)
    assert set(picked(world.upstream, 2)) == {ONE, TWO}


async def test_an_address_that_leaves_ends_what_nobody_uses_and_the_rest_later() -> None:
    world = World()
    idle, used = await world.users(2)
    idle.call().release()
    world.upstream.update((TWO,))
    assert (idle.wire.ended, used.wire.ended) == ("abort", "")
    assert world.registry.counts() == (1, 0)
    used.call().release()
    assert used.wire.ended == "abort"
    assert used.told == [("response", 200, b"ok", True)]
    assert world.registry.counts() == (0, 0)


async def test_an_address_that_stays_keeps_its_connections() -> None:
    world = World()
    user = await world.user()
    user.call().release()
    world.upstream.update((ONE, TWO))
    assert user.wire.ended == ""
    world.upstream.update((ONE,))
    assert world.pool.take() is user.connection


async def test_an_address_that_comes_back_begins_anew() -> None:
    world = World()
    used = await world.user()
    world.upstream.update(())
    world.upstream.update((ONE,))
    again = await world.user()
    used.call().release()
    again.call().release()
    assert (used.wire.ended, again.wire.ended) == ("abort", "")
    assert world.registry.counts() == (1, 1)


async def test_who_waits_at_an_address_that_leaves_is_still_served() -> None:
    world = World(upstream_max_connections=1)
    used = await world.user()
    waiting = User()
    world.pool.connect(waiting)
    world.upstream.update((TWO,))
    used.call().release()
    assert waiting.connection is used.connection
    waiting.call().release()
    assert world.registry.counts() == (0, 0)


async def test_an_attempt_to_an_address_that_left_is_used_once() -> None:
    world = World(manual=True)
    user = User()
    world.pool.connect(user)
    await turns()
    world.upstream.update((TWO,))
    world.dialer.attempts[0].succeed()
    await turns()
    user.call().release()
    assert user.wire.ended == "abort"


# --- upstreams ------------------------------------------------------------------------------------


async def test_the_same_key_is_the_same_upstream() -> None:
    world = World()
    assert world.registry.get("it", trusted=True) is world.upstream
    assert world.registry.get("other", trusted=True) is not world.upstream


async def test_what_no_configuration_names_is_dropped() -> None:
    world = World()
    idle, used = await world.users(2)
    idle.call().release()
    world.registry.drop("it")
    assert idle.wire.ended == "abort"
    assert used.wire.ended == ""
    # Counted until it is gone, although nothing names it.
    assert world.registry.counts() == (1, 0)
    assert world.registry.get("it", trusted=True) is not world.upstream
    used.call().release()
    assert used.wire.ended == "abort"
    assert world.registry.counts() == (0, 0)


async def test_a_request_that_began_with_a_dropped_upstream_ends_with_it() -> None:
    """Rule 9: it keeps its Runtime, and what that refers to; a retry needs an address too."""
    world = World()
    world.upstream.update((ONE, TWO))
    assert world.upstream.pick(0.0) is not None
    world.registry.drop("it")
    for _ in range(2):
        pool = world.upstream.pick(0.0)
        assert pool is not None
        user = User()
        pool.connect(user)
        await turns()
        user.call().release()
        assert user.wire.ended == "abort"
    assert world.registry.counts() == (0, 0)


async def test_dropping_what_is_not_there() -> None:
    World().registry.drop("nothing")


async def test_the_end_of_everything() -> None:
    """Rule 16: idle, in use, waiting, connecting, retired: nothing is left."""
    world = World(upstream_max_connections=3)
    retired, idle, used = await world.users(3)
    idle.call().release()
    waiting = User()
    world.upstream.update((TWO,))
    world.dialer.manual = True
    connecting = User()
    world.pool.connect(connecting)
    await turns()
    assert tasks.running() == 1
    other = world.registry.get("other", trusted=True)
    other.update((THREE,))
    assert other.sole is not None
    for _ in range(4):
        other.sole.connect(waiting)
    await world.registry.close()
    assert tasks.running() == 0
    assert [user.wire.ended for user in (retired, idle, used)] == ["abort"] * 3
    assert connecting.connection is None
    assert world.registry.counts() == (0, 0)
    # Nobody is told: whoever used them ends too.
    assert used.told == waiting.told == connecting.told == []


async def test_what_ends_does_not_make_another() -> None:
    world = World(upstream_max_connections=1)
    used = await world.user()
    waiting = User()
    world.pool.connect(waiting)
    await world.registry.close()
    await turns()
    assert used.wire.ended == "abort"
    assert len(world.dialer.attempts) == 1
    assert waiting.connection is None


async def test_it_says_what_it_is() -> None:
    world = World()
    assert "it" in repr(world.upstream)
    assert list(world.upstream.pools()) == [world.pool]
