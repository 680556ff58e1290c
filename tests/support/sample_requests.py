"""Requests as the exchange makes them, for tests of pure modules: everything has a default."""

from __future__ import annotations

from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.tls_facts import ClientCertificate, TlsFacts
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    Broken,
    DefaultMatch,
    GatewayUnit,
    HttpSegments,
    Match,
    RestSegments,
    Route,
    Stage,
)

REQUEST_ID = "9d7a7cb4-5c1b-4a0e-8d3e-0123456789ab"
SHORT_ID = "Mc7UVioPPHcEKPA="
TRACE = "Root=1-5e272390-8c398be037738dc042009320"
NOON_MS = 1_428_582_896_123
"""09/Apr/2015:12:34:56 +0000, and 123 ms."""

HANDSHAKE = TlsFacts(
    server_name="api.example.test",
    version="TLSv1.3",
    cipher="TLS_AES_128_GCM_SHA256",
    client_certificate=ClientCertificate(
        pem="PEM",
        subject="CN=s",
        issuer="CN=i",
        serial="a1:0f",
        not_before="May 28 12:30:02 2019 GMT",
        not_after="Aug  5 09:36:04 2021 GMT",
        line=b"Client-Cert: :UEVN:\r\n",
    ),
)
"""Of a client that showed a certificate."""


def match_of(kind: ApiKind, key: str) -> Match:
    """The match of a route key."""
    if key == "$default":
        return DefaultMatch()
    method, _, path = key.partition(" ")
    if kind is ApiKind.HTTP:
        return HttpSegments(method=method, path=path)
    return RestSegments(method=method, path=path)


def make_request(
    kind: ApiKind = ApiKind.REST,
    method: str = "GET",
    target: str = "/pets/7",
    *,
    key: str = "GET /pets/{petId}",
    stage: str = "$default",
    headers: Headers | None = None,
    path_parameters: dict[str, str] | None = None,
    variables: dict[str, str] | None = None,
    trace_id: str = TRACE,
    local_paths: bool = False,
    routed: bool = True,
) -> Request:
    """A request; `target` is the request line's, stage prefix included."""
    raw_path, _, query = target.partition("?")
    request = Request()
    request.method = method
    request.raw_path = raw_path
    request.path = raw_path if stage == "$default" else raw_path.removeprefix(f"/{stage}") or "/"
    request.query = query
    request.version = "1.1"
    request.headers = [(b"Host", b"api.example.test"), *(headers or [])]
    request.domain_name = "api.example.test"
    request.scheme = "https"
    request.local_port = 443
    request.source_ip = "203.0.113.9"
    request.received_ms = NOON_MS
    request.request_id = SHORT_ID if kind is ApiKind.HTTP else REQUEST_ID
    request.extended_id = SHORT_ID
    request.trace_id = trace_id
    request.gateway = GatewayUnit(local_paths=local_paths)
    request.api = ApiUnit(uid="u", api_id="abcdef1234", kind=kind, name="pets", namespace="default")
    request.stage = Stage(name=stage, variables=variables or {}, deployment_id="d1")
    if routed:
        request.route = Route(
            key=key,
            match=match_of(kind, key),
            integration=Broken(reason="a test calls nothing"),
            resource_id="r12345" if kind is ApiKind.REST else "",
        )
    request.path_parameters = path_parameters or {}
    return request
