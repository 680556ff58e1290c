"""DomainName and ApiMapping are read whole (design.md §3, AWS §8)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.manifests import domains

RULE: dict[str, Any] = {
    "priority": 10,
    "conditions": [
        {"matchHeaders": {"anyOf": [{"header": "x-version", "valueGlob": "v2*"}]}},
        {"matchBasePaths": {"anyOf": ["orders"]}},
    ],
    "actions": [{"invokeApi": {"apiRef": {"name": "a"}, "stage": "prod", "stripBasePath": True}}],
}
DOMAIN: dict[str, Any] = {
    "className": "public",
    "domainNames": ["api.example.com", "*.example.com"],
    "certificateRef": {"name": "a"},
    "securityPolicy": "TLS_1_2",
    "mutualTlsAuthentication": {"truststoreRef": {"name": "a"}},
    "routingMode": "ROUTING_RULE_THEN_API_MAPPING",
    "routingRules": [RULE],
    "allowedMappings": {"namespaces": "Selector", "selector": {"matchLabels": {"a": "b"}}},
    "extensions": {"redirectHttp": True},
}
MAPPING: dict[str, Any] = {
    "description": "a",
    "domainRef": {"name": "a", "namespace": "b"},
    "apiMappingKey": "orders/v2/items",
    "apiRef": {"name": "a", "kind": "HttpApi"},
    "stage": "prod",
}


def _asking(header: str, glob: str) -> dict[str, Any]:
    match = {"matchHeaders": {"anyOf": [{"header": header, "valueGlob": glob}]}}
    return RULE | {"conditions": [match]}


def _below(path: str) -> dict[str, Any]:
    return RULE | {"conditions": [{"matchBasePaths": {"anyOf": [path]}}]}


@pytest.mark.parametrize("path", ["a", "a/b", "...", "..a/.b", "v1.0/$-_.+!*'()", ".well-known/x"])
def test_base_paths(path: str) -> None:
    msgspec.convert({"spec": DOMAIN | {"routingRules": [_below(path)]}}, domains.DomainName)


@pytest.mark.parametrize(
    ("shape", "given"), [(domains.DomainName, DOMAIN), (domains.ApiMapping, MAPPING)]
)
def test_every_field_is_read(shape: Any, given: dict[str, Any]) -> None:
    spec = msgspec.convert({"spec": given}, shape).spec
    names = {f.encode_name: f for f in msgspec.structs.fields(type(spec))}
    assert set(names) == set(given)
    for name, field in names.items():
        assert getattr(spec, field.name) != field.default, name


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        (domains.DomainName, {"domainNames": []}),
        (domains.DomainName, {"domainNames": ["a b"]}),
        (domains.DomainName, DOMAIN | {"routingMode": "NONE"}),
        (domains.DomainName, DOMAIN | {"securityPolicy": "TLS_1_3"}),
        (domains.DomainName, DOMAIN | {"routingRules": [_asking("a b", "v1")]}),
        (domains.DomainName, DOMAIN | {"routingRules": [_asking("a", "v*1")]}),
        (domains.DomainName, DOMAIN | {"routingRules": [_asking("a", "v/1")]}),
        (domains.DomainName, DOMAIN | {"routingRules": [RULE | {"priority": 0}]}),
        *(
            (domains.DomainName, DOMAIN | {"routingRules": [_below(text)]})
            for text in ("", "/a", "a/", "a//b", "..", "a/./b", "a b", "a/..")
        ),
        (domains.ApiMapping, MAPPING | {"apiMappingKey": "a b"}),
        (domains.ApiMapping, MAPPING | {"apiMappingKey": "a" * 301}),
        (domains.ApiMapping, MAPPING | {"stage": "a b"}),
    ],
)
def test_what_is_refused(shape: Any, spec: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"spec": spec}, shape)
