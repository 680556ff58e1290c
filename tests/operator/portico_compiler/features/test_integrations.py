"""Every type of integration has a branch, and its numbers become those of the contract."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import scopes
from portico_compiler.features.integrations import integration
from portico_compiler.manifests.routes import Integration
from portico_compiler.problems import Reason
from portico_ir.model import ApiKind, Broken, HttpProxy, LambdaProxy, Mock

PORTS = (
    "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}, {port: 81}]}}"
)
HTTP = {"kind": ApiKind.HTTP}


def built(given: dict[str, Any], **options: Any) -> tuple[Any, list[tuple[Reason, str]]]:
    scope = scopes.scope(PORTS, **options)
    found = integration(msgspec.convert(given, Integration), scope)
    return found, [(p.reason, p.field) for p in scope.problems]


@pytest.mark.parametrize(
    ("given", "options", "timeout", "limit"),
    [
        ({}, {}, 29_000, 10 * 1024**2),
        ({}, HTTP, 30_000, 10 * 1024**2),
        ({"timeout": "1m", "maxRequestBody": "1Gi"}, {}, 60_000, 1024**3),
        ({"timeout": "50ms", "maxRequestBody": 0}, HTTP, 50, 0),
        ({"maxRequestBody": "0"}, {}, 29_000, 0),
    ],
)
def test_limits(given: dict[str, Any], options: dict[str, Any], timeout: int, limit: int) -> None:
    found, problems = built({"url": "http://x.example", **given}, **options)
    assert problems == []
    assert (found.timeout_ms, found.max_request_body) == (timeout, limit)


@pytest.mark.parametrize(("given", "method"), [(None, ""), ("ANY", ""), ("PUT", "PUT")])
def test_the_method_is_the_client_s_unless_one_is_named(given: str | None, method: str) -> None:
    found, _ = built({"url": "http://x.example", "httpMethod": given})
    assert found.method == method


def test_the_rest_of_a_proxy() -> None:
    found, _ = built({"url": "http://x.example", "preserveHost": True})
    assert isinstance(found, HttpProxy)
    assert found.preserve_host
    assert not found.targets[0].append_path


@pytest.mark.parametrize(
    "target", [{"url": "http://x/y"}, {"service": {"name": "a", "port": 80, "path": "/y"}}]
)
def test_default_routes_append_the_path(target: dict[str, Any]) -> None:
    """AWS §4.3."""
    default, _ = built(target, key="$default", **HTTP)
    other, _ = built(target, **HTTP)
    assert default.targets[0].append_path
    assert not other.targets[0].append_path


def test_weighted_backends() -> None:
    backends = [
        {"service": {"name": "a", "port": 80}, "weight": 3},
        {"service": {"name": "a", "port": 81, "path": "/x"}, "weight": 0},
    ]
    found, problems = built({"backends": backends})
    assert problems == []
    assert [(t.upstream, t.weight, t.append_path) for t in found.targets] == [
        ("default/a:80", 3, True),
        ("default/a:81", 0, False),
    ]


def test_a_broken_backend_leaves_its_share_to_the_others() -> None:
    gone = {"service": {"name": "gone", "port": 80}}
    found, problems = built({"backends": [gone, {"service": {"name": "a", "port": 80}}]})
    assert [t.upstream for t in found.targets] == ["default/a:80"]
    assert problems == [(Reason.SERVICE_NOT_FOUND, "spec.integration.backends[0].service")]
    found, _ = built({"backends": [gone, gone]})
    assert isinstance(found, Broken)


def test_path_variables_of_the_route_and_of_mappings_may_be_named() -> None:
    mapped = {"integration.request.path.m": "method.request.querystring.q"}
    found, problems = built({"url": "http://x/{id}/{m}", "requestParameters": mapped})
    assert problems == []
    assert [m.name for m in found.mappings] == ["m"]
    _, problems = built({"url": "http://x/{id}/{m}"})
    assert problems == [(Reason.UNRESOLVED_VARIABLE, "spec.integration.url")]


def test_mappings_are_of_rest_apis() -> None:
    """On HTTP APIs requestParameters is another language, closed by the table of the unbuilt."""
    given = {"url": "http://x", "requestParameters": {"append:header.a": "b"}}
    found, problems = built(given, **HTTP)
    assert problems == []
    assert found.mappings == ()


@pytest.mark.parametrize(
    ("given", "type_"),
    [
        ({"type": "AWS_PROXY", "function": {"name": "f", "url": "http://x"}}, LambdaProxy),
        ({"type": "MOCK"}, Mock),
        ({"type": "HTTP", "url": "http://x"}, Broken),
        ({"type": "AWS", "function": "f"}, Broken),
        ({"type": "HTTP_PROXY"}, Broken),
        (
            {
                "type": "MOCK",
                "requestParameters": {"integration.request.header.content-length": "'1'"},
            },
            Broken,
        ),
    ],
)
def test_types(given: dict[str, Any], type_: type) -> None:
    assert isinstance(built(given)[0], type_)


def test_types_that_are_not_built_say_so() -> None:
    for type_ in ("HTTP", "AWS"):
        _, problems = built({"type": type_, "url": "http://x"})
        assert problems == [(Reason.NOT_IMPLEMENTED, "spec.integration.type")]
