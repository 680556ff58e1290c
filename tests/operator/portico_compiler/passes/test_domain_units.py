"""Units of domains: for their own data plane, encoded once, with addresses for people."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from manifests import manifest
from portico_compiler import Memo, ObjectRef, compile  # noqa: A004
from portico_ir.domains import DomainUnit


def a_class(name: str, **spec: Any) -> dict[str, Any]:
    return {**manifest("PorticoClass", name, spec), "metadata": {"name": name}}


def domain(name: str, *hosts: str, **spec: Any) -> dict[str, Any]:
    return manifest("DomainName", name, {"domainNames": list(hosts), **spec})


def test_a_data_plane_gets_the_domains_of_its_class() -> None:
    raws = [
        a_class("public", default=True),
        a_class("edge"),
        domain("a", "a.example"),
        domain("b", "b.example", className="edge"),
    ]
    world, _ = worlds.of_raws(raws, mode="cluster", classes=("public", "edge"))
    found = {
        name: [unit_id for unit_id in snapshot.manifest.units if unit_id.startswith("domain/")]
        for name, snapshot in compile(world).snapshots.items()
    }
    assert found == {"public": ["domain/default/a"], "edge": ["domain/default/b"]}


def test_what_did_not_change_is_the_same_object() -> None:
    memo = Memo()
    raws = [domain("a", "a.example"), domain("b", "b.example")]
    first = compile(worlds.of_raws(raws)[0], memo).snapshot
    raws[1] = domain("b", "other.example")
    second = compile(worlds.of_raws(raws)[0], memo).snapshot
    assert second.units["domain/default/a"] is first.units["domain/default/a"]
    assert second.units["domain/default/b"] != first.units["domain/default/b"]


@pytest.mark.parametrize(
    ("settings", "plain", "secure"),
    [
        ({}, "http://a.example", "https://b.example"),
        ({"port": 8080}, "http://a.example:8080", "https://b.example"),
        ({"port": 8080, "tls_port": 8443}, "http://a.example:8080", "https://b.example:8443"),
        ({"port": 80, "tls_port": 443}, "http://a.example", "https://b.example"),
    ],
)
def test_addresses(settings: dict[str, Any], plain: str, secure: str) -> None:
    raws = [
        manifest("RestApi", "shop"),
        domain("a", "A.example"),
        domain("b", "b.example", certificateRef={"name": "c"}),
        manifest("ApiMapping", "m", {"domainRef": {"name": "a"}, "apiRef": {"name": "shop"}}),
        manifest(
            "ApiMapping",
            "n",
            {"domainRef": {"name": "b"}, "apiRef": {"name": "shop"}, "apiMappingKey": "v1/x"},
        ),
    ]
    found = compile(worlds.of_raws(raws, **settings)[0]).report.addresses
    shown = {ref.name: urls for ref, urls in found.items() if ref.kind != "RestApi"}
    assert shown == {
        "a": (f"{plain}/",),
        "b": (f"{secure}/",),
        "m": (f"{plain}/",),
        "n": (f"{secure}/v1/x",),
    }


def test_a_broken_domain_keeps_its_hosts_and_shows_nothing() -> None:
    raws = [domain("a", "a.example", certificateRef={"name": "gone"}, securityPolicy="TLS_1_2")]
    result = compile(worlds.of_raws(raws, today="20261123")[0])
    unit = worlds.units(result)["domain/default/a"]
    assert isinstance(unit, DomainUnit)
    assert unit.hosts == ("a.example",)
    assert unit.broken
    assert unit.certificate is None
    assert result.report.addresses[ObjectRef("DomainName", "default", "a")]


def test_redirects_know_the_port() -> None:
    def port(**settings: Any) -> int:
        result = compile(worlds.of_raws([manifest("RestApi", "shop")], **settings)[0])
        unit: Any = worlds.units(result)["gateway"]
        return int(unit.https_port)

    assert (port(), port(tls_port=8443)) == (443, 8443)
