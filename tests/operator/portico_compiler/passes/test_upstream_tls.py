"""TLS to backends: terms by what they say, looked up anew when anything they name changes."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import yaml

import worlds
from manifests import manifest, route, service
from pki import Authority, Pair
from portico_compiler import Memo, Reason, compile  # noqa: A004
from portico_ir import codec
from portico_ir.domains import Certificate
from portico_ir.integrations import targets_of
from portico_ir.model import Broken, RoutesUnit, ServiceTarget, UpstreamTls, UrlTarget

CA, OTHER = Authority(), Authority("Other")
DAY = "20261123"
URL = {"url": "https://backend.example/"}
PETS = {"service": {"name": "pets", "port": 443}}
API = manifest("RestApi", "shop")


def ca(pem: str, name: str = "ca", kind: str = "ConfigMap") -> dict[str, Any]:
    data = {"ca.crt": pem}
    field = "data" if kind == "ConfigMap" else "stringData"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data}


def shown(pair: Pair, name: str = "shown") -> dict[str, Any]:
    data = {"tls.crt": pair.chain, "tls.key": pair.key}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def calling(name: str, target: dict[str, Any], **tls: Any) -> dict[str, Any]:
    return route(name, f"GET /{name}", integration={**target, "tlsConfig": tls})


class World:
    """What one memo makes of one manifest after another."""

    def __init__(self) -> None:
        self.memo = Memo()

    def terms(self, *documents: dict[str, Any], today: str = DAY) -> dict[str, UpstreamTls | str]:
        """By the name of the Route: its terms, or why it is broken."""
        raws = [API, service("pets", 80, 443), *documents]
        world, refused = worlds.of_raws(raws, today=today)
        assert not refused
        self.result = compile(world, self.memo)
        assert codec.encode(compile(world).snapshot) == codec.encode(self.result.snapshot)
        found: dict[str, UpstreamTls | str] = {}
        units = worlds.units(self.result).values()
        for unit in (unit for unit in units if isinstance(unit, RoutesUnit)):
            for one in unit.routes:
                name = one.object.partition("/")[2]
                if isinstance(one.integration, Broken):
                    found[name] = one.integration.reason
                for target in targets_of(one.integration):
                    found[name] = unit.tls[target.tls] if target.tls else UpstreamTls()
        return found

    @property
    def reasons(self) -> list[Reason]:
        return [problem.reason for problem in self.result.report.problems]


def test_what_is_asked_for() -> None:
    pair = CA.client("gateway")
    found = World().terms(
        ca(CA.pem),
        shown(pair),
        calling("own", URL, caRef={"name": "ca"}),
        calling("named", URL, serverNameToVerify="pets.example"),
        calling("shows", URL, clientCertificateRef={"name": "shown"}),
        calling("anybody", URL, insecureSkipVerification=True),
        calling("nothing", URL, insecureSkipVerification=False),
        route("usual", "GET /usual", integration=URL),
    )
    (certificate,) = (
        one.certificate
        for one in found.values()
        if isinstance(one, UpstreamTls) and one.certificate
    )
    assert certificate == Certificate(chain=pair.chain, key=certificate.key)
    assert certificate.key.reveal() == pair.key
    assert found == {
        "own": UpstreamTls(authorities=CA.pem),
        "named": UpstreamTls(server_name="pets.example"),
        "shows": UpstreamTls(certificate=certificate),
        "anybody": UpstreamTls(any_authority=True),
        "nothing": UpstreamTls(),
        "usual": UpstreamTls(),
    }


def test_equal_terms_are_sent_once() -> None:
    world = World()
    many = [calling(f"r{n}", PETS, caRef={"name": "ca"}) for n in range(50)]
    world.terms(
        ca(CA.pem), *many, calling("other", URL, caRef={"name": "same"}), ca(CA.pem, "same")
    )
    (unit,) = (u for u in worlds.units(world.result).values() if isinstance(u, RoutesUnit))
    assert list(unit.tls.values()) == [UpstreamTls(authorities=CA.pem)]


def test_a_service_is_spoken_to_by_tls_when_terms_are_given() -> None:
    """AWS §4.3: plain HTTP unless tlsConfig is given."""
    world = World()
    world.terms(
        calling("named", PETS, serverNameToVerify="pets.example"),
        calling("anybody", PETS, insecureSkipVerification=True),
        calling("nothing", PETS),
    )
    schemes: dict[str, tuple[str, str]] = {}
    for one in worlds.routes(world.result).values():
        (target,) = targets_of(one.integration)
        assert isinstance(target, ServiceTarget)
        schemes[one.object.partition("/")[2]] = target.scheme, target.host
    host = "pets.default.svc.cluster.local"
    assert schemes == {
        "named": ("https", host),
        "anybody": ("http", f"{host}:443"),
        "nothing": ("http", f"{host}:443"),
    }


def test_a_local_backend_says_itself_how_it_is_spoken_to() -> None:
    """A developer's service has no certificate; the manifest is the cluster's."""
    text = yaml.safe_dump_all([API, calling("r", PETS, serverNameToVerify="pets.example")])
    for url, scheme in (("http://127.0.0.1:9001", "http"), ("https://127.0.0.1:9001", "https")):
        result = worlds.compiled(text, backends={"default/pets": url})
        (target,) = targets_of(worlds.routes(result)["GET /r"].integration)
        assert isinstance(target, ServiceTarget)
        assert (target.scheme, bool(target.tls)) == (scheme, scheme == "https")


def test_a_plain_url_cannot_be_called_by_terms() -> None:
    world = World()
    plain = {"url": "http://backend.example"}
    found = world.terms(ca(CA.pem), calling("r", plain, caRef={"name": "ca"}))
    assert "is not an https:// URL" in str(found["r"])
    assert world.reasons == [Reason.INVALID_COMBINATION]


def test_a_stage_variable_may_say_the_scheme() -> None:
    target = {"url": "${stageVariables.where}"}
    documents = [API, calling("r", target, serverNameToVerify="a.example")]
    for name, where in (("good", "https://a.example"), ("bad", "http://a.example")):
        spec = {"apiRef": {"name": "shop"}, "stageName": name, "variables": {"where": where}}
        documents.append(manifest("Stage", name, spec))
    world, _ = worlds.of_raws(documents)
    result = compile(world)
    (good,) = targets_of(worlds.routes(result, "good")["GET /r"].integration)
    assert isinstance(good, UrlTarget)
    assert good.tls
    assert isinstance(worlds.routes(result, "bad")["GET /r"].integration, Broken)


@pytest.mark.parametrize("name", ["a b", "a/b", "-a.example", "a..b", "x" * 64, "*.example", "ü"])
def test_names_that_are_none(name: str) -> None:
    world = World()
    assert isinstance(world.terms(calling("r", URL, serverNameToVerify=name))["r"], str)
    assert world.reasons == [Reason.INVALID_VALUE]


@pytest.mark.parametrize("name", ["localhost", "a_b.example", "127.0.0.1", "::1", "A.example"])
def test_names(name: str) -> None:
    found = World().terms(calling("r", URL, serverNameToVerify=name))
    assert found == {"r": UpstreamTls(server_name=name)}


def test_what_is_named_may_change_appear_and_go() -> None:
    """The memo knows what a Route was made of."""
    world = World()
    routes = [
        calling("r", URL, caRef={"name": "ca"}, clientCertificateRef={"name": "shown"}),
        calling("neighbour", URL),
    ]
    first, second = CA.client("first"), CA.client("second")

    def terms(*documents: dict[str, Any]) -> UpstreamTls | str:
        found = world.terms(*documents, *routes)
        assert found["neighbour"] == UpstreamTls()
        return found["r"]

    assert "there is no Secret and no ConfigMap default/ca" in str(terms())
    assert world.reasons == [Reason.REF_NOT_FOUND]
    assert "there is no Secret default/shown" in str(terms(ca(CA.pem)))
    before = terms(ca(CA.pem), shown(first))
    assert isinstance(before, UpstreamTls)
    after = terms(ca(CA.pem), shown(second))
    assert isinstance(after, UpstreamTls)
    assert (before.authorities, before.certificate != after.certificate) == (CA.pem, True)
    # A Secret of the name comes before a ConfigMap.
    both = terms(ca(CA.pem), ca(OTHER.pem, kind="Secret"), shown(second))
    assert isinstance(both, UpstreamTls)
    assert both.authorities == OTHER.pem
    assert isinstance(terms(ca(CA.pem)), str)


def test_a_certificate_that_expires_tomorrow_is_told_of_tomorrow() -> None:
    world = World()
    ends = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
    documents = [
        shown(CA.client("gateway", until=ends)),
        calling("r", URL, clientCertificateRef={"name": "shown"}),
    ]
    before = world.terms(*documents)
    assert world.reasons == []
    assert world.terms(*documents, today="20261124") == before  # shown all the same
    assert world.reasons == [Reason.CERTIFICATE_EXPIRED]


def test_without_a_day_no_key_leaves() -> None:
    """`portico compile` writes Secrets only where it is asked to."""
    world = World()
    tls = {"clientCertificateRef": {"name": "shown"}}
    found = world.terms(shown(CA.client("a")), calling("r", PETS, **tls), today="")
    assert found == {"r": UpstreamTls()}
    (target,) = targets_of(worlds.routes(world.result)["GET /r"].integration)
    assert isinstance(target, ServiceTarget)
    assert target.scheme == "https"
