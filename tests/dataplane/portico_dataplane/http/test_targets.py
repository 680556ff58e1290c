"""Targets: which upstream, which Host, shared by all that are equal, bounded, forgotten in time."""

from __future__ import annotations

import gc
from typing import Any, cast

import pytest

from fake_upstreams import FakeDeadlines, FakeDialer
from pki import Authority
from portico_dataplane.core.templates import BadTemplate
from portico_dataplane.effects.dialer import Dialer
from portico_dataplane.http import targets as module
from portico_dataplane.http.pools import Upstream, Upstreams
from portico_dataplane.http.targets import Targets
from portico_dataplane.settings import Settings
from portico_ir import codec
from portico_ir.model import (
    Endpoint,
    EndpointSet,
    ServiceTarget,
    Target,
    UpstreamTls,
    UrlTarget,
)

ONE, TWO = Endpoint(host="10.0.0.1", port=80), Endpoint(host="10.0.0.2", port=80)
PETS = ServiceTarget(upstream="d/pets:80", host="pets.d.svc.cluster.local")


class World:
    """Targets over a registry."""

    def __init__(self) -> None:
        self.registry = Upstreams(Settings(), cast(Dialer, FakeDialer()), FakeDeadlines())
        self.targets = Targets(self.registry)

    def upstream(self, target: Target) -> Upstream:
        found = self.targets.prepared(target).upstream
        assert found is not None
        return found

    def addresses(self, target: Target) -> tuple[Endpoint, ...]:
        return self.upstream(target).balancer.endpoints

    def set(self, sequence: int = 0, **upstreams: tuple[Endpoint, ...]) -> bool:
        named = {f"d/{name}:80": found for name, found in upstreams.items()}
        return self.targets.set_endpoints(EndpointSet(sequence=sequence, upstreams=named))


# --- services -------------------------------------------------------------------------------------


def test_a_service_is_prepared() -> None:
    world = World()
    world.set(pets=(ONE,))
    found = world.targets.prepared(PETS)
    assert (found.weight, found.host_line, found.url, found.append_path) == (
        1,
        b"Host: pets.d.svc.cluster.local\r\n",
        None,
        False,
    )
    upstream = world.upstream(PETS)
    assert upstream.trusted
    assert upstream.tls is None
    assert upstream.balancer.endpoints == (ONE,)


def test_equal_targets_are_one_and_similar_ones_share_the_upstream() -> None:
    world = World()
    again = ServiceTarget(upstream="d/pets:80", host="pets.d.svc.cluster.local")
    with_path = ServiceTarget(upstream="d/pets:80", host="other", path="/v1/{id}", weight=3)
    assert world.targets.prepared(PETS) is world.targets.prepared(again)
    assert world.targets.prepared(with_path) is not world.targets.prepared(PETS)
    assert world.upstream(with_path) is world.upstream(PETS)
    assert world.targets.prepared(with_path).weight == 3


def test_append_path_needs_a_path_to_append_to() -> None:
    """Without one the client's own path goes on anyway."""
    world = World()
    bare = ServiceTarget(upstream="d/pets:80", host="h", append_path=True)
    assert not world.targets.prepared(bare).append_path
    full = ServiceTarget(upstream="d/pets:80", host="h", path="/v1", append_path=True)
    assert world.targets.prepared(full).append_path


def test_schemes_are_upstreams_of_their_own_with_the_same_addresses() -> None:
    world = World()
    secure = ServiceTarget(upstream="d/pets:80", host="pets.test:443", scheme="https")
    assert world.upstream(secure) is not world.upstream(PETS)
    world.set(pets=(ONE, TWO))
    assert world.addresses(secure) == world.addresses(PETS) == (ONE, TWO)
    upstream = world.upstream(secure)
    assert upstream.tls is not None
    assert upstream.server_name == "pets.test"
    assert world.upstream(PETS).server_name is None


def test_certificates_are_verified() -> None:
    """AWS §3.22."""
    world = World()
    upstream = world.upstream(UrlTarget(url="https://pets.test/"))
    assert upstream.tls is not None
    assert upstream.tls.check_hostname
    assert upstream.tls.verify_mode.name == "CERT_REQUIRED"
    assert upstream.server_name == "pets.test"


@pytest.mark.parametrize("host", ["", "a b", "a\r\nX: y", "a\n", "ü", "a/b", "a@b", "a\0"])
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(BadTemplate):
        World().targets.prepared(ServiceTarget(upstream="d/pets:80", host=host))


@pytest.mark.parametrize("host", ["pets", "pets.d.svc:8080", "127.0.0.1:1", "[::1]:80"])
def test_hosts(host: str) -> None:
    found = World().targets.prepared(ServiceTarget(upstream="d/pets:80", host=host))
    assert found.host_line == f"Host: {host}\r\n".encode()


@pytest.mark.parametrize("path", ["/{", "/{a b}", "/a#b", "/../a", "/\r\n"])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(BadTemplate):
        World().targets.prepared(ServiceTarget(upstream="d/pets:80", host="h", path=path))


# --- addresses ------------------------------------------------------------------------------------


def test_addresses_reach_those_that_are_prepared_before_and_after() -> None:
    world = World()
    other = ServiceTarget(upstream="d/dogs:80", host="h")
    assert world.addresses(PETS) == ()
    assert world.set(pets=(ONE,), dogs=(TWO,))
    assert (world.addresses(PETS), world.addresses(other)) == ((ONE,), (TWO,))


def test_addresses_go_only_forward() -> None:
    """An older set never replaces a newer one; the same number may come again."""
    world = World()
    world.upstream(PETS)
    assert world.set(5, pets=(ONE,))
    assert not world.set(4, pets=(TWO,))
    assert world.addresses(PETS) == (ONE,)
    assert world.set(5, pets=(TWO,))
    assert world.addresses(PETS) == (TWO,)


def test_named_with_none_is_not_the_same_as_not_named() -> None:
    world = World()
    world.upstream(PETS)
    world.set(1, pets=(ONE,))
    world.set(2, dogs=(TWO,))
    assert world.addresses(PETS) == (ONE,)
    world.set(3, pets=())
    assert world.addresses(PETS) == ()


def test_the_same_addresses_change_nothing() -> None:
    world = World()
    world.set(1, pets=(ONE, TWO))
    upstream = world.upstream(PETS)
    upstream.balancer.pick(0.0)
    world.set(2, pets=(ONE, TWO))
    assert upstream.balancer.pick(0.0) == TWO


def test_addresses_of_what_is_forgotten_are_forgotten() -> None:
    world = World()
    other = ServiceTarget(upstream="d/dogs:80", host="h")
    world.set(1, pets=(ONE,), dogs=(ONE,))
    for target in (PETS, other):
        world.upstream(target)
    world.set(2, pets=(ONE,))
    world.targets.retain({PETS})
    assert world.addresses(other) == ()
    # Those of the newest set wait for the configuration that names them.
    world.set(3, pets=(ONE,), dogs=(TWO,))
    world.targets.retain({PETS})
    assert world.addresses(other) == (TWO,)


# --- URLs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "key", "host", "address"),
    [
        ("http://h", "http:url:h:80", b"h", Endpoint(host="h", port=80)),
        ("http://h:8080/a?b=c", "http:url:h:8080", b"h:8080", Endpoint(host="h", port=8080)),
        ("https://H/", "https:url:h:443", b"H", Endpoint(host="h", port=443)),
        ("http://[::1]:8/", "http:url:::1:8", b"[::1]:8", Endpoint(host="::1", port=8)),
        ("http://h/{a}?{b}", "http:url:h:80", b"h", Endpoint(host="h", port=80)),
    ],
)
def test_urls(url: str, key: str, host: bytes, address: Endpoint) -> None:
    world = World()
    found = world.targets.prepared(UrlTarget(url=url, weight=2))
    upstream = world.upstream(UrlTarget(url=url, weight=2))
    assert (upstream.key, found.weight) == (key, 2)
    assert found.host_line == b"Host: " + host + b"\r\n"
    assert upstream.balancer.endpoints == (address,)
    # The dialer decides whether that address may be reached.
    assert not upstream.trusted


def test_urls_with_one_origin_share_the_upstream() -> None:
    world = World()
    one, two = (UrlTarget(url=f"http://h/{path}") for path in "ab")
    assert world.upstream(one) is world.upstream(two)


def test_a_url_and_a_service_never_share() -> None:
    """One is checked when it is dialled, the other was resolved by reference."""
    world = World()
    url = world.upstream(UrlTarget(url="http://pets:80"))
    assert url is not world.upstream(ServiceTarget(upstream="pets:80", host="pets"))


def test_a_host_with_a_variable_has_no_upstream_yet() -> None:
    world = World()
    found = world.targets.prepared(UrlTarget(url="http://{tenant}.test/{id}"))
    assert (found.upstream, found.host_line) == (None, b"")
    upstream = world.targets.by_address("http", "a.test", 80)
    assert upstream is world.targets.by_address("http", "a.test", 80)
    assert upstream.balancer.endpoints == (Endpoint(host="a.test", port=80),)


@pytest.mark.parametrize("url", ["", "h", "ftp://h", "http://", "http://u@h/", "http://h:x/"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(BadTemplate):
        World().targets.prepared(UrlTarget(url=url))


def test_hosts_that_requests_choose_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_DYNAMIC", 3)
    world = World()
    kept = UrlTarget(url="http://h0/")
    for target in (kept, PETS):
        world.targets.prepared(target)
    chosen = [world.targets.by_address("http", f"h{number}", 80) for number in range(3)]
    # What is used stays young.
    assert world.targets.by_address("http", "h1", 80) is chosen[1]
    for number in range(3, 5):
        world.targets.by_address("http", f"h{number}", 80)
    assert world.targets.by_address("http", "h1", 80) is chosen[1]
    assert world.targets.by_address("http", "h2", 80) is not chosen[2]
    # A route's own host is not for requests to push out.
    assert world.upstream(kept) is chosen[0]
    assert world.targets.by_address("http", "h0", 80) is chosen[0]


# --- forgetting -----------------------------------------------------------------------------------


def keys(world: World) -> set[str]:
    return set(cast(Any, world.registry)._by_key)


def test_what_is_not_used_is_forgotten() -> None:
    world = World()
    url, dynamic = UrlTarget(url="http://h/"), UrlTarget(url="http://{x}/")
    prepared = world.targets.prepared(PETS)
    for target in (url, dynamic):
        world.targets.prepared(target)
    world.targets.by_address("http", "chosen", 80)
    world.targets.retain({PETS, dynamic})
    assert keys(world) == {"http:service:d/pets:80", "http:url:chosen:80"}
    assert world.targets.prepared(PETS) is prepared
    assert world.targets.prepared(url).upstream is not None


def test_an_upstream_stays_while_one_of_its_targets_does() -> None:
    world = World()
    other = ServiceTarget(upstream="d/pets:80", host="other")
    upstream = world.upstream(PETS)
    assert world.upstream(other) is upstream
    world.targets.retain({other})
    assert world.upstream(PETS) is upstream
    world.targets.retain(set())
    assert world.upstream(PETS) is not upstream
    world.set(1, pets=(ONE,))
    assert world.addresses(PETS) == (ONE,)


def test_targets_are_released_one_by_one() -> None:
    world = World()
    other = ServiceTarget(upstream="d/pets:80", host="other")
    url = UrlTarget(url="http://h/")
    upstream = world.upstream(PETS)
    for target in (other, url):
        world.upstream(target)
    world.targets.release([PETS, url])
    assert keys(world) == {"http:service:d/pets:80"}
    assert world.upstream(other) is upstream
    world.targets.release([other, other])
    assert keys(world) == set()


def test_what_a_failed_build_left_behind_goes_with_the_next_look_at_all() -> None:
    world = World()
    with pytest.raises(BadTemplate):
        world.targets.prepared(ServiceTarget(upstream="d/dogs:80", host="a\r\nb"))
    world.upstream(PETS)
    world.targets.retain({PETS})
    assert keys(world) == {"http:service:d/pets:80"}


# --- TLS ------------------------------------------------------------------------------------------

CA = Authority()
OWN = UpstreamTls(authorities=CA.pem)
NAMED = UpstreamTls(authorities=CA.pem, server_name="pets.example")
SHOWN = UpstreamTls(authorities=CA.pem, certificate=CA.client("a").contract())
ANYBODY = UpstreamTls(any_authority=True)
TERMS = {codec.tls_key(terms): terms for terms in (OWN, NAMED, SHOWN, ANYBODY)}


def secure(terms: UpstreamTls | None, **fields: Any) -> ServiceTarget:
    """PETS by these terms."""
    key = "" if terms is None else codec.tls_key(terms)
    given = {"upstream": "d/pets:80", "host": "pets.test:443", **fields}
    return ServiceTarget(scheme="https", tls=key, **given)


def test_connections_of_different_terms_are_never_shared() -> None:
    world = World()
    every = [secure(None), *(secure(terms) for terms in (OWN, NAMED, SHOWN, ANYBODY))]
    upstreams = [world.targets.prepared(target, TERMS).upstream for target in every]
    assert len({id(upstream) for upstream in upstreams}) == len(every)
    with_path = secure(OWN, path="/v1")
    assert world.targets.prepared(with_path, TERMS).upstream is upstreams[1]
    world.set(pets=(ONE,))
    for upstream in upstreams:
        assert upstream is not None
        assert upstream.balancer.endpoints == (ONE,)


def test_a_context_is_of_whom_to_trust_and_what_to_show() -> None:
    """Not of the name: a thousand names cost one."""
    world = World()
    own, named, shown, anybody = (
        world.targets.prepared(secure(terms), TERMS).upstream
        for terms in (OWN, NAMED, SHOWN, ANYBODY)
    )
    assert own is not None
    assert named is not None
    assert shown is not None
    assert anybody is not None
    assert own.tls is named.tls is not None
    assert (own.server_name, named.server_name) == ("pets.test", "pets.example")
    assert own.tls is not shown.tls
    assert anybody.tls is not None
    assert not anybody.tls.check_hostname


def test_contexts_that_nobody_uses_are_gone() -> None:
    world = World()
    target = secure(OWN)
    world.targets.prepared(target, TERMS)
    assert len(world.targets._contexts) == 1
    world.targets.release([target])
    gc.collect()
    assert len(world.targets._contexts) == 0


def test_terms_that_cannot_be_used_break_what_names_them() -> None:
    world = World()
    with pytest.raises(BadTemplate, match="are missing"):
        world.targets.prepared(secure(OWN))
    nonsense = UpstreamTls(authorities="nonsense")
    key = codec.tls_key(nonsense)
    with pytest.raises(BadTemplate, match="authorities: no PEM"):
        world.targets.prepared(secure(nonsense), {key: nonsense})


def test_hosts_that_requests_choose_are_called_by_the_targets_terms() -> None:
    world = World()
    target = UrlTarget(url="https://{x}/", tls=codec.tls_key(NAMED))
    prepared = world.targets.prepared(target, TERMS)
    assert prepared.tls is not None
    upstream = world.targets.by_address("https", "chosen.test", 0, prepared.tls)
    assert upstream.tls is prepared.tls.context
    assert upstream.server_name == "pets.example"
    usual = world.targets.by_address("https", "chosen.test", 0)
    assert usual is not upstream
    assert usual.server_name == "chosen.test"
    plain = world.targets.by_address("http", "chosen.test", 0, prepared.tls)
    assert plain.tls is None
