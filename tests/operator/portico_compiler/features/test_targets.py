"""Services and URLs become targets that can be dialled, or break their route."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scopes
from portico_compiler.features import targets
from portico_compiler.features.scope import Upstream
from portico_compiler.manifests.shapes import ServiceRef
from portico_compiler.problems import ObjectRef, Reason
from portico_ir.model import Broken, ServiceTarget, UrlTarget

SERVICES = """
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: pets}
  spec:
    clusterIP: 10.0.0.1
    ports:
    - {name: http, port: 80}
    - {name: tls, port: 443}
    - {name: alt, port: 8080}
    - {name: dns, port: 53, protocol: UDP}
- apiVersion: v1
  kind: Service
  metadata: {name: six}
  spec: {clusterIP: "fd00::1", ports: [{port: 80}]}
- apiVersion: v1
  kind: Service
  metadata: {name: headless}
  spec: {clusterIP: None, ports: [{port: 80}]}
- apiVersion: v1
  kind: Service
  metadata: {name: outside}
  spec: {type: ExternalName, externalName: x, ports: [{port: 80}]}
- apiVersion: v1
  kind: Service
  metadata: {name: pets, namespace: other}
  spec: {ports: [{port: 80}]}
- apiVersion: gateway.networking.k8s.io/v1
  kind: ReferenceGrant
  metadata: {name: g, namespace: other}
  spec:
    from: [{group: portico.dev, kind: RestApi, namespace: default}]
    to: [{group: "", kind: Service}]
"""


def service(given: dict[str, Any], **settings: Any) -> tuple[Any, list[tuple[Reason, str]], Any]:
    scope = scopes.scope(SERVICES, variables={"v": "v2"}, **settings)
    ref = msgspec.convert(given, ServiceRef)
    found = targets.service_target(ref, "f", ("id",), not ref.path, scope)
    return found, [(p.reason, p.field) for p in scope.problems], scope


@pytest.mark.parametrize(
    ("given", "upstream", "host", "path"),
    [
        ({"port": 80}, "default/pets:80", "pets.default.svc.cluster.local", ""),
        ({"port": "http"}, "default/pets:80", "pets.default.svc.cluster.local", ""),
        ({"port": "alt"}, "default/pets:8080", "pets.default.svc.cluster.local:8080", ""),
        ({"port": 443}, "default/pets:443", "pets.default.svc.cluster.local:443", ""),
        (
            {"port": 443, "scheme": "https"},
            "default/pets:443",
            "pets.default.svc.cluster.local",
            "",
        ),
        (
            {"port": 80, "path": "/${stageVariables.v}/{id}?x={id}"},
            "default/pets:80",
            "pets.default.svc.cluster.local",
            "/v2/{id}?x={id}",
        ),
    ],
)
def test_services(given: dict[str, Any], upstream: str, host: str, path: str) -> None:
    found, problems, scope = service({"name": "pets", **given})
    assert problems == []
    assert found == ServiceTarget(
        upstream=upstream,
        host=host,
        scheme=given.get("scheme", "http"),
        path=path,
        append_path=not path,
    )
    assert {u.id for u in scope.upstreams} == {upstream}


@pytest.mark.parametrize(
    ("given", "reason", "field"),
    [
        ({"name": "gone", "port": 80}, Reason.SERVICE_NOT_FOUND, "f"),
        ({"name": "pets", "port": 81}, Reason.PORT_NOT_FOUND, "f.port"),
        ({"name": "pets", "port": "dns"}, Reason.PORT_NOT_FOUND, "f.port"),
        ({"name": "outside", "port": 80}, Reason.UNSUPPORTED_SERVICE, "f"),
        (
            {"name": "pets", "namespace": "other", "port": 80},
            Reason.REF_NOT_PERMITTED,
            "f.namespace",
        ),
        ({"name": "pets", "port": 80, "path": "v1"}, Reason.INVALID_ADDRESS, "f.path"),
        ({"name": "pets", "port": 80, "path": "/a b"}, Reason.INVALID_ADDRESS, "f.path"),
        ({"name": "pets", "port": 80, "path": "/a#b"}, Reason.INVALID_ADDRESS, "f.path"),
        ({"name": "pets", "port": 80, "path": "/a\n"}, Reason.INVALID_ADDRESS, "f.path"),
        ({"name": "pets", "port": 80, "path": "/{x}"}, Reason.UNRESOLVED_VARIABLE, "f.path"),
    ],
)
def test_services_that_cannot_be_called(given: dict[str, Any], reason: Reason, field: str) -> None:
    found, problems, scope = service(given)
    assert isinstance(found, Broken)
    assert problems == [(reason, field)]
    assert scope.upstreams == set()


def test_a_grant_is_for_the_kind_that_refers() -> None:
    scope = scopes.scope(SERVICES)
    ref = ServiceRef(name="pets", namespace="other", port=80)
    api = ObjectRef("RestApi", "default", "shop")
    assert isinstance(targets.service_target(ref, "f", (), False, scope, api), ServiceTarget)
    assert isinstance(targets.service_target(ref, "f", (), False, scope), Broken)


def test_backends_of_files_need_no_service() -> None:
    backends = {"default/gone": "http://127.0.0.1:9001", "default/outside": "https://x.test"}
    found, problems, scope = service({"name": "gone", "port": "web"}, backends=backends)
    assert problems == []
    assert (found.upstream, found.host) == ("default/gone:web", "gone.default.svc.cluster.local")
    assert scope.upstreams == {Upstream("default", "gone", "web")}
    found, _, _ = service({"name": "outside", "port": 81}, backends=backends)
    assert (found.upstream, found.scheme) == ("default/outside:81", "https")


@pytest.mark.parametrize(
    ("name", "address"), [("pets", "10.0.0.1:80"), ("six", "[fd00::1]:80"), ("headless", "")]
)
def test_the_cluster_address_is_for_clusters(name: str, address: str) -> None:
    assert service({"name": name, "port": 80}, mode="cluster")[0].cluster_ip == address
    assert service({"name": name, "port": 80})[0].cluster_ip == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://x.example",
        "https://x.example:8443/a/b?c=d&e=[f]",
        "http://x.example?a=b",
        "http://127.0.0.1:9001/",
        "http://[::1]:80/x",
        "http://a_b.internal/%7Bx%7D",
        "http://x.example/{id}/a?b={id}",
        "http://{id}.example/",
        "HTTP://X.example./",
        "http://http/",
    ],
)
def test_urls(url: str) -> None:
    scope = scopes.scope()
    found = targets.url_target(url, "f", ("id",), True, scope)
    assert found == UrlTarget(url=url, append_path=True)


@pytest.mark.parametrize(
    "url",
    [
        "x.example",
        "//x.example/",
        "ftp://x.example/",
        "http://",
        "http:///a",
        "http://:80/",
        "http://x.example:0/",
        "http://x.example:65536/",
        "http://x.example:a/",
        "http://a@x.example/",
        "http://a:b@x.example/",
        "http://x.example/a b",
        "http://x.example/#a",
        "http://x.example/a\\b",
        "http://x.example/ä",
        "http://ä.example/",
        "http://x.example/\r\nA: b",
        "http://x.example\t/",
        "http://[::1/",
        "http://-x.example/",
        "http://x..\\y/",
        "http://x.example/<a>",
        "javascript:alert(1)",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    scope = scopes.scope()
    assert isinstance(targets.url_target(url, "f", (), False, scope), Broken)
    assert [p.reason for p in scope.problems] == [Reason.INVALID_ADDRESS]


def test_credentials_are_not_repeated() -> None:
    scope = scopes.scope()
    found = targets.url_target("http://me:hunter2@x.example/", "f", (), False, scope)
    assert isinstance(found, Broken)
    assert "hunter2" not in found.reason
    assert "hunter2" not in scope.problems[0].message


@given(st.text(alphabet="htps:/[]@?#%.{}$ x1\n"))
def test_any_text_is_a_target_or_broken(text: str) -> None:
    found = targets.url_target(f"http://{text}", "f", ("x",), False, scopes.scope(variables={}))
    assert isinstance(found, UrlTarget | Broken)
