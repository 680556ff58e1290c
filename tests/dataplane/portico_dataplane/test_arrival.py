"""Where a request arrives: AWS §3.2.5, §4.2, §8, §15.29."""

from __future__ import annotations

from typing import Any

import pytest

from portico_dataplane.arrival import LOCAL_PATHS, Turned, arrive, overridden, stage_of
from portico_dataplane.core.domains import Domain, Domains
from portico_dataplane.core.messages import Request
from portico_dataplane.core.router import RouterBuilder
from portico_dataplane.core.tls_facts import ClientCertificate, TlsFacts
from portico_dataplane.runtime import ApiRuntime, RouteRuntime, Runtime, StageRuntime
from portico_ir.domains import DomainUnit, MutualTls, Rule, TlsPolicy
from portico_ir.domains import Mapping as DomainMapping
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, ApiUnit, GatewayUnit, Stage


class _Meter:
    def record(
        self, status: int, latency_ms: float, integration_latency_ms: float, sent: int
    ) -> None:
        """Counts nothing."""


def api(kind: ApiKind, *stages: str) -> ApiRuntime:
    def runtime(name: str) -> StageRuntime:
        builder: RouterBuilder[RouteRuntime] = RouterBuilder(kind)
        return StageRuntime(Stage(name=name), builder.build(), _Meter(), None)

    unit = ApiUnit(uid="u", api_id="abc", kind=kind, name="shop", namespace="default")
    return ApiRuntime(unit, {name: runtime(name) for name in stages}, None, _Meter())


REST_ROWS = [
    ("/prod/pets", "prod", "/pets"),
    ("/prod", "prod", "/"),
    ("/prod/", "prod", "/"),
    ("//prod/pets", "prod", "/pets"),
    ("/prod//pets", "prod", "/pets"),
    ("/prod/a//b", "prod", "/a//b"),
    ("/other/pets", None, "/other/pets"),
    ("/Prod/pets", None, "/Prod/pets"),
    ("/", None, "/"),
]


@pytest.mark.parametrize(("path", "stage", "rest"), REST_ROWS)
def test_named_stages_of_a_rest_api(path: str, stage: str | None, rest: str) -> None:
    found, left = stage_of(api(ApiKind.REST, "prod"), path, "")
    assert (found.stage.name if found else None, left) == (stage, rest)


HTTP_ROWS = [
    ("/prod/pets", "prod", "/pets"),
    ("/pets", "$default", "/pets"),
    ("//pets", "$default", "//pets"),
    ("/prod//pets", "prod", "//pets"),
    ("/$default/pets", "$default", "/$default/pets"),
]


@pytest.mark.parametrize(("path", "stage", "rest"), HTTP_ROWS)
def test_default_stage_takes_what_no_name_takes(path: str, stage: str, rest: str) -> None:
    found, left = stage_of(api(ApiKind.HTTP, "$default", "prod"), path, "")
    assert found is not None
    assert (found.stage.name, left) == (stage, rest)


def request(host: str, path: str = "/", tls: TlsFacts | None = None) -> Request:
    made = Request()
    made.domain_name, made.raw_path, made.query, made.tls = host, path, "", tls
    return made


def arrived(
    runtime: Runtime, host: str, path: str, tls: TlsFacts | None = None
) -> tuple[ApiRuntime | ErrorKind, str, str]:
    found, rest, stage = arrive(runtime, request(host, path, tls), path)
    return (found.kind if isinstance(found, Turned) else found), rest, stage


def test_local_paths_name_api_and_stage() -> None:
    shop = api(ApiKind.REST, "$default")
    local = Runtime("d", GatewayUnit(local_paths=True), {"shop.test": shop}, {"abc": shop}, None)
    assert arrived(local, "any", f"{LOCAL_PATHS}abc/$default/pets/1") == (
        shop,
        "/pets/1",
        "$default",
    )
    assert arrived(local, "any", f"{LOCAL_PATHS}nope/x/y")[0] is ErrorKind.UNKNOWN_HOST
    assert arrived(local, "shop.test", "/pets") == (shop, "/pets", "")
    closed = Runtime("d", GatewayUnit(), {}, {"abc": shop}, None)
    assert arrived(closed, "any", f"{LOCAL_PATHS}abc/$default/pets")[0] is ErrorKind.UNKNOWN_HOST


def test_the_only_api_takes_unknown_hosts_where_it_may() -> None:
    shop = api(ApiKind.REST, "$default")
    assert arrived(Runtime("d", GatewayUnit(), {}, {}, shop), "any", "/")[0] is shop
    nowhere = Runtime("d", GatewayUnit(), {}, {}, None)
    assert arrived(nowhere, "any", "/")[0] is ErrorKind.UNKNOWN_HOST


# --- domains of one's own (AWS §8) ----------------------------------------------------------

ORDERS = "api/default/RestApi/orders"


def domain(name: str, *hosts: str, **fields: Any) -> DomainUnit:
    fields.setdefault("mappings", (DomainMapping(key="v1", api=ORDERS, stage="prod"),))
    return DomainUnit(object=f"default/{name}", hosts=hosts, **fields)


def serving(*units: DomainUnit, https_port: int = 443) -> tuple[Runtime, ApiRuntime]:
    orders = api(ApiKind.REST, "prod")
    domains = Domains((Domain(unit), unit.hosts) for unit in units)
    gateway = GatewayUnit(https_port=https_port)
    hosts = {"orders.localhost": orders}
    return Runtime("d", gateway, hosts, {}, None, domains, {ORDERS: orders}), orders


def handshake(server_name: str, shown: ClientCertificate | None = None) -> TlsFacts:
    return TlsFacts(
        server_name=server_name, version="TLSv1.3", cipher="C", client_certificate=shown
    )


SOMEBODY = ClientCertificate(
    pem="P", subject="CN=s", issuer="CN=i", serial="1", not_before="a", not_after="b", line=b""
)


def test_a_mapping_names_api_and_stage_and_takes_its_key_off() -> None:
    runtime, orders = serving(domain("d", "shop.example"))
    made = request("shop.example", "/v1/pets")
    assert arrive(runtime, made, "/v1/pets") == (orders, "/pets", "prod")
    assert (made.mapped, made.base_path, made.scheme) == (True, "v1", "http")
    assert arrived(runtime, "shop.example", "/v2/pets")[0] is ErrorKind.NO_MAPPING
    assert arrived(runtime, "other.example", "/v1/pets")[0] is ErrorKind.UNKNOWN_HOST


def test_rules_alone_answer_404_where_none_matches() -> None:
    rule = Rule(priority=1, base_paths=("v1",), api=ORDERS, stage="prod")
    runtime, orders = serving(domain("d", "shop.example", routing="rules", rules=(rule,)))
    made = request("shop.example", "/v1/pets")
    assert arrive(runtime, made, "/v1/pets") == (orders, "/v1/pets", "prod")
    assert made.routing_rule == "1"
    assert arrived(runtime, "shop.example", "/v2")[0] is ErrorKind.NO_ROUTING_RULE


def test_what_is_broken_answers_500_and_only_that() -> None:
    mappings = (
        DomainMapping(key="gone", api="", stage="x", broken="there is no RestApi"),
        DomainMapping(key="lost", api="api/a/RestApi/b", stage="x"),
        DomainMapping(key="v1", api=ORDERS, stage="prod"),
    )
    runtime, orders = serving(
        domain("d", "shop.example", mappings=mappings),
        domain("e", "bad.example", broken="no certificate"),
    )
    assert arrived(runtime, "shop.example", "/v1")[0] is orders
    for path in ("/gone", "/gone/x", "/lost"):
        assert arrived(runtime, "shop.example", path)[0] is ErrorKind.BROKEN_ROUTE
    assert arrived(runtime, "bad.example", "/v1")[0] is ErrorKind.BROKEN_ROUTE


@pytest.mark.parametrize(
    "asks", [{"mutual": MutualTls(authorities="PEM")}, {"policy": TlsPolicy(required=True)}]
)
def test_what_asks_for_tls_is_refused_without(asks: dict[str, Any]) -> None:
    runtime, orders = serving(domain("d", "shop.example", **asks))
    assert arrived(runtime, "shop.example", "/v1")[0] is ErrorKind.TLS_REQUIRED
    good = handshake("shop.example", SOMEBODY)
    assert arrived(runtime, "shop.example", "/v1", good)[0] is orders
    # No name: the settings of the default certificate held, not the domain's.
    unnamed = handshake("", SOMEBODY)
    assert arrived(runtime, "shop.example", "/v1", unnamed)[0] is ErrorKind.MISDIRECTED_REQUEST


def test_a_connection_older_than_client_certificates_is_refused() -> None:
    runtime, _ = serving(domain("d", "shop.example", mutual=MutualTls(authorities="PEM")))
    facts = handshake("shop.example")
    assert arrived(runtime, "shop.example", "/v1", facts)[0] is ErrorKind.TLS_REQUIRED


@pytest.mark.parametrize(
    ("server_name", "host", "served"),
    [
        ("a.example", "a.example", True),
        ("b.example", "a.example", True),  # both are of one DomainName
        ("x.wild.example", "y.wild.example", True),
        ("a.example", "c.example", False),
        ("c.example", "a.example", False),
        ("a.example", "orders.localhost", False),
        ("orders.localhost", "a.example", False),
        ("nobody.example", "a.example", False),
        ("", "a.example", True),
        ("", "orders.localhost", True),
        ("orders.localhost", "orders.localhost", True),
        ("nobody.example", "orders.localhost", True),  # no domain is concerned
    ],
)
def test_a_handshake_is_for_its_own_domain(server_name: str, host: str, served: bool) -> None:
    runtime, orders = serving(
        domain("ab", "a.example", "b.example", "*.wild.example"), domain("c", "c.example")
    )
    path = "/v1" if host != "orders.localhost" else "/prod"
    made = request(host, path, handshake(server_name))
    found, _, _ = arrive(runtime, made, path)
    if served:
        assert found is orders
    else:
        assert isinstance(found, Turned)
        assert found.kind is ErrorKind.MISDIRECTED_REQUEST
        assert "handshake" in found.why
    assert made.scheme == "https"


@pytest.mark.parametrize(
    ("method", "port", "status", "location"),
    [
        ("GET", 443, 301, b"https://shop.example/v1?a=1"),
        ("HEAD", 443, 301, b"https://shop.example/v1?a=1"),
        ("POST", 8443, 308, b"https://shop.example:8443/v1?a=1"),
    ],
)
def test_plaintext_is_sent_to_https(method: str, port: int, status: int, location: bytes) -> None:
    mutual = MutualTls(authorities="PEM")
    unit = domain("d", "shop.example", redirect=True, mutual=mutual)
    runtime, orders = serving(unit, https_port=port)
    made = request("shop.example", "/v1")
    made.query = "a=1"
    found, _, _ = arrive(runtime, made, "/v1")
    assert isinstance(found, Turned)
    answer = found.redirect(method)
    assert (answer.status, answer.headers) == (status, [(b"Location", location)])
    assert arrived(runtime, "shop.example", "/v1", handshake("shop.example", SOMEBODY))[0] is orders


@pytest.mark.parametrize(
    ("override", "kind", "expected"),
    [
        (None, ApiKind.REST, "POST"),
        (b"put", ApiKind.REST, "PUT"),
        (b"PATCH", ApiKind.REST, "PATCH"),
        (b"PATCH", ApiKind.HTTP, "POST"),
        (b"TRACE", ApiKind.REST, "POST"),
        (b"\xff", ApiKind.REST, "POST"),
    ],
)
def test_method_override(override: bytes | None, kind: ApiKind, expected: str) -> None:
    assert overridden("POST", override, kind) == expected
