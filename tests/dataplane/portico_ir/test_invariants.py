"""What must hold between units."""

from __future__ import annotations

import msgspec

from portico_ir import codec
from portico_ir.access import IdentitySource, JwtAuthorizer
from portico_ir.invariants import Violation, check, check_routes
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    DefaultMatch,
    GatewayUnit,
    HttpProxy,
    HttpSegments,
    LambdaProxy,
    Match,
    Mock,
    MockResponse,
    RestSegments,
    Route,
    RoutesUnit,
    Stage,
    Unit,
    UpstreamTls,
    UrlTarget,
)
from portico_ir.policies import Authorize

API = "api/default/RestApi/shop"
SHARD = "routes/default/RestApi/shop/*/0"
HEADER = IdentitySource(place="header", name="authorization")
WHO = JwtAuthorizer(name="n/who", issuers=("https://i",), source=HEADER)


def api(**changes: object) -> ApiUnit:
    fields: dict[str, object] = {
        "uid": "u",
        "api_id": "abc",
        "kind": ApiKind.REST,
        "name": "shop",
        "namespace": "default",
        "hosts": ("shop.default.localhost",),
        "stages": (Stage(name="$default", shards=(SHARD,)),),
    }
    return ApiUnit(**(fields | changes))  # type: ignore[arg-type]


def route(key: str = "GET /", match: Match | None = None, integration: object = None) -> Route:
    return Route(
        key=key,
        match=match or RestSegments(method="GET", path="/"),
        integration=integration or Mock(),  # type: ignore[arg-type]
    )


def found(units: dict[str, Unit]) -> list[str]:
    return [violation.message for violation in check(units)]


def with_route(one: Route, kind: ApiKind = ApiKind.REST) -> list[str]:
    return found({API: api(kind=kind), SHARD: RoutesUnit(api=API, routes=(one,))})


def test_a_good_set_has_none() -> None:
    good: dict[str, Unit] = {
        "gateway": GatewayUnit(),
        API: api(),
        SHARD: RoutesUnit(api=API, routes=(route(),)),
    }
    assert check(good) == []


def test_a_missing_shard() -> None:
    assert check({API: api()}) == [Violation(API, f"stage '$default' misses unit {SHARD}")]


def test_a_shard_of_nobody_and_of_somebody_else() -> None:
    assert found({SHARD: RoutesUnit(api=API)}) == [f"unit {API} is missing"]
    other = "api/default/RestApi/other"
    units: dict[str, Unit] = {
        API: api(),
        other: api(hosts=(), stages=()),
        SHARD: RoutesUnit(api=other),
    }
    assert found(units) == [f"{SHARD} belongs to {other}"]


def test_hosts() -> None:
    other = "api/default/RestApi/zoo"
    units: dict[str, Unit] = {
        API: api(stages=()),
        other: api(stages=(), hosts=("shop.default.localhost", "Upper")),
    }
    assert found(units) == [
        f"host 'shop.default.localhost' belongs to {API}",
        "host 'Upper' is not lower case",
    ]


def test_two_stages_of_one_name_and_two_routes_of_one_key() -> None:
    stages = (Stage(name="a"), Stage(name="a"))
    assert found({API: api(stages=stages)}) == ["two stages have one name"]
    shard = RoutesUnit(api=API, routes=(route(), route()))
    assert found({API: api(), SHARD: shard}) == ["two routes have the key 'GET /'"]


def test_too_many_routes() -> None:
    shard = RoutesUnit(api=API, routes=tuple(route(f"GET /{n}") for n in range(501)))
    assert found({API: api(), SHARD: shard}) == ["501 routes in one unit"]


def test_routes_fit_their_api() -> None:
    http = HttpSegments(method="GET", path="/")
    assert with_route(route(match=http)) == [
        "route 'GET /': an HTTP match in an API of another kind"
    ]
    assert with_route(route(), ApiKind.HTTP) == [
        "route 'GET /': a REST match in an API of another kind"
    ]
    assert with_route(route(match=DefaultMatch())) == [
        "route 'GET /': REST APIs have no $default route"
    ]
    bad = RestSegments(method="GET", path="a")
    assert with_route(route(match=bad)) == ["route 'GET /': path 'a' does not start with '/'"]


def test_integrations_can_be_called() -> None:
    url = UrlTarget(url="http://a")
    assert with_route(route(integration=HttpProxy(targets=()))) == ["route 'GET /': no target"]
    negative = HttpProxy(targets=(UrlTarget(url="http://a", weight=-1),))
    assert with_route(route(integration=negative)) == ["route 'GET /': a weight is negative"]
    hasty = LambdaProxy(target=url, function="f", timeout_ms=0)
    assert with_route(route(integration=hasty)) == ["route 'GET /': the timeout is not positive"]
    odd = Mock(responses=(MockResponse(pattern="", status=99),))
    assert with_route(route(integration=odd)) == ["route 'GET /': a status is out of range"]


def test_the_gateway_unit_has_one_name() -> None:
    assert found({"other": GatewayUnit()}) == ["the gateway unit must have the id 'gateway'"]


def test_what_was_checked_before_is_not_looked_at_again() -> None:
    """Its faults were found then: an edit of one route costs that route."""
    unfit = route(match=HttpSegments(method="GET", path="/"))
    shard = RoutesUnit(api="api/n/RestApi/a", routes=(unfit,))
    assert check_routes("routes/s", shard, api())
    assert not check_routes("routes/s", shard, api(), shard)
    edited = RoutesUnit(api="api/n/RestApi/a", routes=(unfit, route("POST /", DefaultMatch())))
    (violation,) = check_routes("routes/s", edited, api(), shard)
    assert "POST /" in violation.message


def test_routes_are_looked_at_again_when_an_authorizer_is_gone() -> None:
    policy = Authorize(authorizer="who", scopes=())
    guarded = msgspec.structs.replace(route(), policies=(policy,))
    before = RoutesUnit(api="api/n/RestApi/a", routes=(guarded,), authorizers={"who": WHO})
    after = RoutesUnit(api="api/n/RestApi/a", routes=(guarded,))
    (violation,) = check_routes("routes/s", after, api(), before)
    assert "'who'" in violation.message


def test_terms_of_tls_are_there_and_have_their_key() -> None:
    terms = UpstreamTls(server_name="pets.example")
    key = codec.tls_key(terms)
    proxy = HttpProxy(targets=(UrlTarget(url="https://a", tls=key),))
    secure = route("GET /", HttpSegments(method="GET", path="/"), proxy)
    function = UrlTarget(url="https://a", tls=key)
    called = route("POST /", DefaultMatch(), LambdaProxy(target=function, function="f"))

    def checked(tls: dict[str, UpstreamTls], known: RoutesUnit | None = None) -> list[str]:
        unit = RoutesUnit(api="api/n/HttpApi/a", routes=(secure, called), tls=tls)
        found = check_routes("routes/s", unit, api(kind=ApiKind.HTTP), known)
        return [violation.message for violation in found]

    with_terms = RoutesUnit(api="api/n/HttpApi/a", routes=(secure, called), tls={key: terms})
    assert not any("TLS" in message for message in checked({key: terms}))
    assert sum(f"TLS terms {key!r} are missing" in message for message in checked({})) == 2
    assert sum("are missing" in message for message in checked({}, with_terms)) == 2
    assert any("others than their key says" in one for one in checked({"other": terms}))
