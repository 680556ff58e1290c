"""ClusterIPs standing in: only when operators are away, and only for addresses that all fail."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import cast

import pytest

from engine import UPSTREAM
from fake_upstreams import FakeDeadlines, FakeDialer
from portico_dataplane.core.retries import MOST_ATTEMPTS
from portico_dataplane.effects.dialer import Dialer
from portico_dataplane.http.pools import Upstream, Upstreams
from portico_dataplane.settings import Settings
from portico_ir.model import ApiKind, Endpoint, ServiceTarget
from raw_http import RawClient
from raw_upstream import Upstream as RawUpstream
from serving import Serving, everything, function, proxied, site

ONE, TWO, VIP = (Endpoint(host=f"10.0.0.{n}", port=80) for n in (1, 2, 99))


@pytest.fixture
def registry() -> Upstreams:
    return Upstreams(Settings(), cast(Dialer, FakeDialer()), FakeDeadlines())


@pytest.fixture
def upstream(registry: Upstreams) -> Upstream:
    upstream = registry.get("it", trusted=True)
    upstream.update((ONE, TWO))
    upstream.set_cluster_ip(VIP)
    return upstream


def picked(upstream: Upstream, attempt: int = 1) -> Endpoint | None:
    pool = upstream.pick(0.0, attempt)
    return None if pool is None else pool.endpoint


def test_with_operators_it_is_never_picked(upstream: Upstream) -> None:
    for endpoint in (ONE, TWO):
        upstream.balancer.failed(endpoint, 0.0)
    assert {picked(upstream, attempt) for attempt in (1, 2, 3)} <= {ONE, TWO}


def test_without_operators_addresses_that_work_are_preferred(
    registry: Upstreams, upstream: Upstream
) -> None:
    registry.set_fallback(allowed=True)
    upstream.balancer.failed(ONE, 0.0)
    assert {picked(upstream) for _ in range(4)} <= {ONE, TWO}


def test_when_none_works_it_stands_in_until_one_does(
    registry: Upstreams, upstream: Upstream
) -> None:
    registry.set_fallback(allowed=True)
    for endpoint in (ONE, TWO):
        upstream.balancer.failed(endpoint, 0.0)
    assert picked(upstream) == VIP
    upstream.balancer.failed(VIP, 0.0)
    assert picked(upstream) == VIP
    upstream.balancer.succeeded(ONE)
    assert picked(upstream) in (ONE, TWO)


def test_the_last_attempt_of_a_request_is_its(registry: Upstreams, upstream: Upstream) -> None:
    registry.set_fallback(allowed=True)
    assert picked(upstream, MOST_ATTEMPTS) == VIP
    registry.set_fallback(allowed=False)
    assert picked(upstream, MOST_ATTEMPTS) in (ONE, TWO)


def test_a_service_without_addresses_stays_without(registry: Upstreams, upstream: Upstream) -> None:
    """The operator's last word was that none is ready."""
    upstream.update(())
    registry.set_fallback(allowed=True)
    assert picked(upstream) is None


def test_one_address_has_a_pool_of_its_own_again_when_operators_are_back(
    registry: Upstreams, upstream: Upstream
) -> None:
    upstream.update((ONE,))
    sole = upstream.sole
    assert sole is not None
    registry.set_fallback(allowed=True)
    assert upstream.sole is None
    assert upstream.pick(0.0) is sole
    upstream.balancer.failed(ONE, 0.0)
    standby = upstream.pick(0.0)
    assert standby is not None
    assert standby.endpoint == VIP
    upstream.update((ONE,))
    assert not standby.retired, "an update of addresses leaves it alone"
    registry.set_fallback(allowed=False)
    assert upstream.sole is sole
    assert standby.retired
    assert not sole.retired


def test_a_headless_service_has_none(registry: Upstreams, upstream: Upstream) -> None:
    upstream.set_cluster_ip(None)
    registry.set_fallback(allowed=True)
    for endpoint in (ONE, TWO):
        upstream.balancer.failed(endpoint, 0.0)
    assert picked(upstream) in (ONE, TWO)
    upstream.set_cluster_ip(VIP)
    assert picked(upstream) == VIP


# --- a whole gateway ------------------------------------------------------------------------


@pytest.fixture
def dead() -> Iterator[list[Endpoint]]:
    """Addresses that refuse connections."""
    held = [socket.socket() for _ in range(6)]
    for sock in held:
        sock.bind(("127.0.0.1", 0))  # bound, not listening
    yield [Endpoint(host="127.0.0.1", port=sock.getsockname()[1]) for sock in held]
    for sock in held:
        sock.close()


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("kind", [ApiKind.HTTP, ApiKind.REST])
def test_no_request_fails_after_a_backend_was_rolled(
    dead: list[Endpoint], count: int, kind: ApiKind
) -> None:
    with RawUpstream() as upstream:
        target = ServiceTarget(
            upstream=UPSTREAM, host="pets", cluster_ip=f"127.0.0.1:{upstream.port}"
        )
        units = site(kind, "a", everything(kind, proxied(targets=(target,))))
        with Serving(units, upstream=upstream, endpoints=tuple(dead[:count])) as serving:
            assert statuses(serving, "a", b"GET") != {200}
            serving.run(_allow(serving, allowed=True))
            for method in (b"GET", b"POST"):
                assert statuses(serving, "a", method) == {200}
            serving.run(_allow(serving, allowed=False))
            assert statuses(serving, "a", b"GET") != {200}


async def _allow(serving: Serving, *, allowed: bool) -> None:
    serving.gateway.set_fallback(allowed=allowed)


def statuses(serving: Serving, name: str, method: bytes) -> set[int]:
    found: set[int] = set()
    for _ in range(8):
        with RawClient(serving.port) as client:
            client.send(
                b"%b /x HTTP/1.1\r\nHost: %b.test\r\nContent-Length: 0\r\n\r\n"
                % (method, name.encode())
            )
            found.add(client.read_answer().status)
    return found


def test_calls_of_functions_too(dead: list[Endpoint]) -> None:
    with RawUpstream() as upstream:
        target = ServiceTarget(
            upstream=UPSTREAM, host="pets", cluster_ip=f"127.0.0.1:{upstream.port}"
        )
        units = site(ApiKind.HTTP, "a", everything(ApiKind.HTTP, function(target=target)))
        with Serving(units, upstream=upstream, endpoints=tuple(dead[:3])) as serving:
            serving.run(_allow(serving, allowed=True))
            statuses(serving, "a", b"GET")
            assert upstream.exchanges, "the function was reached"
