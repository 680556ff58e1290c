"""Addresses behind Services: ready ones, then those that still serve while they end."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from manifests import manifest, route, service
from portico_compiler import Memo, compile  # noqa: A004


def slice_(name: str, *endpoints: dict[str, Any], **more: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "pets"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": labels},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "p80", "port": 8080}],
        **more,
    }


def at(address: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions}


def addresses(*slices: dict[str, Any], port: Any = 80, **settings: Any) -> dict[str, list[str]]:
    integration = {"service": {"name": "pets", "port": port}}
    raws = [
        manifest("RestApi", "shop"),
        route("a", "GET /a", integration=integration),
        service("pets", 80, 81),
        *slices,
    ]
    world, problems = worlds.of_raws(raws, **settings)
    assert not problems
    upstreams = compile(world).snapshot.endpoints.upstreams
    return {key: [f"{e.host}:{e.port}" for e in found] for key, found in upstreams.items()}


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([], []),
        ([slice_("a")], []),
        ([slice_("a", at("10.0.0.2"), at("10.0.0.1"))], ["10.0.0.1:8080", "10.0.0.2:8080"]),
        ([slice_("a", at("10.0.0.1", ready=False))], []),
        (
            [
                slice_(
                    "a",
                    at("10.0.0.1", ready=True),
                    at("10.0.0.2", ready=False, serving=True, terminating=True),
                )
            ],
            ["10.0.0.1:8080"],
        ),
        (
            [slice_("a", at("10.0.0.2", ready=False, serving=True, terminating=True))],
            ["10.0.0.2:8080"],
        ),
        ([slice_("a", at("10.0.0.2", ready=False, serving=False, terminating=True))], []),
        ([slice_("a", at("10.0.0.2", ready=False, serving=True))], []),
        ([slice_("a", at("10.0.0.1")), slice_("b", at("10.0.0.1"))], ["10.0.0.1:8080"]),
        ([slice_("a", {"addresses": []}, {})], []),
        ([slice_("a", at("x.example"), addressType="FQDN")], []),
        ([slice_("a", at("fd00::1"), addressType="IPv6")], ["fd00::1:8080"]),
        ([slice_("a", at("10.0.0.1"), ports=[{"port": 8080}])], []),
        ([slice_("a", at("10.0.0.1"), ports=[{"name": "p80", "port": 1, "protocol": "UDP"}])], []),
        ([slice_("a", at("10.0.0.1"), ports=None, endpoints=None)], []),
        ([slice_("a", at("10.0.0.1"), endpoints="nonsense")], []),
    ],
)
def test_addresses(slices: list[dict[str, Any]], expected: list[str]) -> None:
    assert addresses(*slices) == {"default/pets:80": expected}


def test_ports_are_matched_by_name() -> None:
    ports = [{"name": "p80", "port": 8080}, {"name": "p81", "port": 9090}]
    both = slice_("a", at("10.0.0.1"), ports=ports)
    assert addresses(both, port="p81") == {"default/pets:81": ["10.0.0.1:9090"]}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:9001", ["127.0.0.1:9001"]),
        ("https://x.test/", ["x.test:443"]),
        ("http://[::1]", ["::1:80"]),
        ("nonsense", []),
        ("ftp://x", []),
        ("http://x:99999", []),
        ("", []),
    ],
)
def test_backends_come_before_slices(url: str, expected: list[str]) -> None:
    found = addresses(slice_("a", at("10.0.0.1")), backends={"default/pets": url})
    assert found == {"default/pets:80": expected}


def test_endpoints_come_and_go_without_touching_units() -> None:
    raws = [
        manifest("RestApi", "shop"),
        route("a", "GET /a", integration={"service": {"name": "pets", "port": 80}}),
        service("pets", 80),
        slice_("a", at("10.0.0.1")),
    ]
    memo = Memo()
    before = compile(worlds.of_raws(raws)[0], memo).snapshot
    raws[-1] = slice_("a", at("10.0.0.2"))
    after = compile(worlds.of_raws(raws)[0], memo).snapshot
    assert before.manifest == after.manifest
    assert [e.host for e in after.endpoints.upstreams["default/pets:80"]] == ["10.0.0.2"]
