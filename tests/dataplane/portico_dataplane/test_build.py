"""Units to Runtime: what an edit rebuilds, what a refusal leaves alone (design §4, §9 rule 9)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import UPSTREAM, snapshot
from outside import outside
from portico_dataplane import build
from portico_dataplane.build import Applied, Builder
from portico_dataplane.core.egress import EgressPolicy
from portico_dataplane.core.router import Miss
from portico_dataplane.effects.dialer import Dialer
from portico_dataplane.http.deadlines import Deadlines
from portico_dataplane.http.pools import Upstreams
from portico_dataplane.http.targets import Targets
from portico_dataplane.policies.resource_policy import ResourcePolicy
from portico_dataplane.runtime import ApiRuntime, RouteRuntime, Runtime
from portico_dataplane.settings import Settings
from portico_ir import codec
from portico_ir.access import IdentitySource, JwtAuthorizer, PolicyDocument, Statement
from portico_ir.domains import DomainUnit
from portico_ir.domains import Mapping as DomainMapping
from portico_ir.model import (
    AccessLog,
    ApiKind,
    Broken,
    Endpoint,
    EndpointSet,
    GatewayUnit,
    HttpProxy,
    Manifest,
    Route,
    RoutesUnit,
    ServiceTarget,
    Snapshot,
    Stage,
    Unit,
    UrlTarget,
)
from portico_ir.policies import Authorize, Cors, FailClosed
from serving import (
    HTTP,
    REST,
    RecordingMeters,
    answering,
    function,
    proxied,
    route,
    shard_id,
    site,
    unit_id,
)

ADDRESS = (Endpoint(host="127.0.0.1", port=9),)
SHOP, ZOO = unit_id(REST, "shop"), unit_id(REST, "zoo")
Units = Mapping[str, Unit]


class Build:
    """A builder and what it is made of."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.meters = RecordingMeters()
        self.upstreams = Upstreams(Settings(), Dialer(EgressPolicy()), Deadlines(loop))
        self.targets = Targets(self.upstreams)
        self.builder = Builder(self.meters, self.targets, outside())

    async def of(self, units: Units, **upstreams: tuple[Endpoint, ...]) -> Runtime:
        """The Runtime of good units."""
        runtime, applied = await self.told(snapshot(units, upstreams or {UPSTREAM: ADDRESS}))
        assert applied.refused == {}
        return runtime

    async def told(self, document: Snapshot) -> tuple[Runtime, Applied]:
        """As a gateway does it: addresses, then the build."""
        self.targets.set_endpoints(document.endpoints)
        runtime, _, applied = await self.builder.build(document)
        return runtime, applied

    def keys(self) -> set[str]:
        """Upstreams that are kept."""
        return set(self.upstreams._by_key)


@pytest.fixture
async def building() -> Build:
    return Build()


def shop(*shards: tuple[Route, ...], **fields: Any) -> dict[str, Unit]:
    return site(REST, "shop", *shards, **fields)


def zoo(*shards: tuple[Route, ...], **fields: Any) -> dict[str, Unit]:
    return site(REST, "zoo", *(shards or ((get("/lion"),),)), **fields)


def get(path: str, **fields: Any) -> Route:
    return route(REST, f"GET {path}", **fields)


def api(runtime: Runtime, name: str) -> ApiRuntime:
    return runtime.hosts[f"{name}.test"]


def at(
    runtime: Runtime, path: str, *, name: str = "shop", method: str = "GET", stage: str = "$default"
) -> RouteRuntime | None:
    """What serves this path, if anything does."""
    found = api(runtime, name).stages[stage].router.find(method, path)
    return None if isinstance(found, Miss) else found.value


def partial(document: Snapshot, *names: str) -> Snapshot:
    """The same manifest with only these units sent."""
    units = {name: document.units[name] for name in names}
    return Snapshot(manifest=document.manifest, units=units, endpoints=document.endpoints)


def spoilt(document: Snapshot, name: str, raw: bytes, *, honest: bool = True) -> Snapshot:
    """With other bytes for a unit; `honest`: the manifest names their digest."""
    digests = dict(document.manifest.units)
    if honest:
        digests[name] = codec.digest(raw)
    return Snapshot(
        manifest=Manifest(ir_version=1, units=digests),
        units={**document.units, name: msgspec.Raw(raw)},
        endpoints=document.endpoints,
    )


# --- what an edit rebuilds ------------------------------------------------------------------------

A, B, C = (get("/a"), get("/b/{x}")), (get("/c"),), (get("/d"),)


async def test_the_same_units_give_the_same_objects(building: Build) -> None:
    units = {**shop(A, B), **zoo()}
    before, after = await building.of(units), await building.of(units)
    assert before is not after
    assert api(before, "shop") is api(after, "shop")
    assert api(before, "zoo") is api(after, "zoo")


async def test_an_edit_rebuilds_one_route(building: Build) -> None:
    """Design §4: one edit costs what one route of one shard costs."""
    before = await building.of({**shop(A, B), **zoo()})
    edited = get("/a", integration=proxied(timeout_ms=7))
    after = await building.of({**shop((edited, A[1]), B), **zoo()})
    assert at(after, "/a") is not at(before, "/a")
    changed = at(after, "/a")
    assert changed is not None
    assert changed.forward is not None
    assert changed.forward.timeout_s == 0.007
    assert at(after, "/b/1") is at(before, "/b/1")
    assert at(after, "/c") is at(before, "/c")
    assert api(after, "zoo") is api(before, "zoo")
    # The one before is as it was: requests are still in it.
    kept = at(before, "/a")
    assert kept is not None
    assert kept.forward is not None
    assert kept.forward.timeout_s == 20.0


async def test_an_edit_of_one_shard_leaves_a_stage_without_it_alone(building: Build) -> None:
    one, two = shard_id(REST, "shop", 0), shard_id(REST, "shop", 1)
    stages = (Stage(name="dev", shards=(one, two)), Stage(name="prod", shards=(one,)))
    before = await building.of(shop(A, B, stages=stages))
    after = await building.of(shop(A, (get("/c", operation_name="new"),), stages=stages))
    was, now = api(before, "shop").stages, api(after, "shop").stages
    assert now["prod"].router is was["prod"].router
    assert now["dev"].router is not was["dev"].router
    assert at(after, "/a", stage="dev") is at(before, "/a", stage="dev")
    assert at(after, "/c", stage="dev") is not at(before, "/c", stage="dev")


async def test_an_api_without_its_routes_changed_keeps_its_routers(building: Build) -> None:
    before = await building.of(shop(A, B))
    variables = (Stage(name="$default", variables={"a": "1"}),)
    after = await building.of(shop(A, B, stages=variables, cors=Cors(allow_origins=("*",))))
    assert api(after, "shop") is not api(before, "shop")
    assert api(after, "shop").cors is not None
    now, was = api(after, "shop").stages["$default"], api(before, "shop").stages["$default"]
    assert now.stage.variables == {"a": "1"}
    assert was.stage.variables == {}
    assert now.router is was.router


async def test_routes_come_and_go(building: Build) -> None:
    before = await building.of(shop((get("/a"), get("/b")), (get("/c"),)))
    after = await building.of(shop((get("/b"), get("/e")), (get("/c"),)))
    assert at(after, "/a") is None
    assert at(after, "/e") is not None
    assert at(after, "/b") is at(before, "/b")
    assert len(api(after, "shop").stages["$default"].router) == 3
    assert at(before, "/a") is not None
    assert at(before, "/e") is None


async def test_a_route_that_moves_to_another_shard_stays_itself(building: Build) -> None:
    before = await building.of(shop((get("/a"), get("/b")), (get("/c"),)))
    after = await building.of(shop((get("/a"),), (get("/b"), get("/c"))))
    assert at(after, "/b") is at(before, "/b")
    assert len(api(after, "shop").stages["$default"].router) == 3


async def test_a_shard_that_comes_or_goes(building: Build) -> None:
    before = await building.of(shop(A))
    more = await building.of(shop(A, B, C))
    assert (at(more, "/c"), at(more, "/d")) != (None, None)
    assert at(more, "/a") is at(before, "/a")
    less = await building.of(shop(A, B))
    assert at(less, "/d") is None
    assert at(less, "/c") is at(more, "/c")


async def test_two_routes_that_change_places(building: Build) -> None:
    """Neither may take the other away with it."""

    def keyed(key: str, path: str) -> Route:
        return Route(key=key, match=get(path).match, integration=answering(200, key))

    before = await building.of(shop((keyed("one", "/a/{x}"), keyed("two", "/b"))))
    after = await building.of(shop((keyed("one", "/b"), keyed("two", "/a/{x}"))))
    for runtime, a, b in ((before, "one", "two"), (after, "two", "one")):
        routes = [at(runtime, "/a/1"), at(runtime, "/b")]
        assert [one.route.key for one in routes if one is not None] == [a, b]


async def test_a_variable_that_is_renamed(building: Build) -> None:
    await building.of(shop((get("/a/{x}"),)))
    after = await building.of(shop((get("/a/{y}"),)))
    found = api(after, "shop").stages["$default"].router.find("GET", "/a/1")
    assert not isinstance(found, Miss)
    assert found.parameters == {"y": "1"}
    assert len(api(after, "shop").stages["$default"].router) == 1


async def test_a_method_that_changes(building: Build) -> None:
    await building.of(shop((get("/a"), route(REST, "POST /a"))))
    after = await building.of(shop((get("/a"), route(REST, "ANY /a"))))
    found = at(after, "/a", method="POST")
    assert found is not None
    assert found.route.key == "ANY /a"


async def test_the_default_route_of_an_http_api(building: Build) -> None:
    def units(*keys: str) -> dict[str, Unit]:
        return site(HTTP, "shop", tuple(route(HTTP, key) for key in keys))

    with_it = await building.of(units("$default", "GET /a"))
    assert at(with_it, "/x") is not None
    assert at(await building.of(units("GET /a")), "/x") is None
    assert at(await building.of(units("$default", "GET /a")), "/x") is not None


async def test_stages_come_and_go(building: Build) -> None:
    def units(*names: str) -> dict[str, Unit]:
        return shop(A, stages=tuple(Stage(name=name) for name in names))

    before = await building.of(units("$default", "dev"))
    after = await building.of(units("dev", "prod"))
    assert set(api(after, "shop").stages) == {"dev", "prod"}
    assert api(after, "shop").default_stage is None
    assert api(before, "shop").default_stage is api(before, "shop").stages["$default"]
    assert api(after, "shop").stages["dev"].router is api(before, "shop").stages["dev"].router
    assert at(after, "/a", stage="prod") is not None


@pytest.mark.parametrize("detailed", [("*",), ("GET /a",)], ids=["all", "one"])
async def test_detailed_metrics_are_switched_on_and_off(
    building: Build, detailed: tuple[str, ...]
) -> None:
    def metered(runtime: Runtime, path: str) -> bool:
        found = at(runtime, path)
        assert found is not None
        return found.meter is not None

    plain, on = shop(A), shop(A, stages=(Stage(name="$default", detailed_metrics=detailed),))
    before = await building.of(plain)
    assert not metered(before, "/a")
    with_them = await building.of(on)
    assert metered(with_them, "/a")
    assert metered(with_them, "/b/1") is (detailed == ("*",))
    assert not metered(await building.of(plain), "/a")
    labels = set(building.meters.by_labels)
    assert ("test", "shop", "rest", "$default", "GET /a") in labels


async def test_meters_survive_a_build(building: Build) -> None:
    """Counters live outside a Runtime, under names that survive a compile."""
    before = await building.of(shop(A))
    after = await building.of(shop(B))
    assert api(after, "shop").meter is api(before, "shop").meter
    was, now = api(before, "shop").stages["$default"], api(after, "shop").stages["$default"]
    assert now.meter is was.meter
    assert set(building.meters.by_labels) == {
        ("test", "shop", "rest", "", ""),
        ("test", "shop", "rest", "$default", ""),
    }


async def test_an_access_log_is_switched_on_and_off(building: Build) -> None:
    asked = (Stage(name="$default", access_log=AccessLog(format="$context.status")),)
    assert api(await building.of(shop(A)), "shop").stages["$default"].log_line is None
    after = await building.of(shop(A, stages=asked))
    assert api(after, "shop").stages["$default"].log_line is not None
    again = await building.of(shop(A))
    assert api(again, "shop").stages["$default"].log_line is None


async def test_an_api_that_changes_its_kind_is_built_anew(building: Build) -> None:
    """What a route does to headers depends on the kind of its API."""
    name = unit_id(REST, "shop")
    await building.of(shop((get("/a"),)))
    units = site(HTTP, "shop", (route(HTTP, "GET /a"),))
    api_unit = units[unit_id(HTTP, "shop")]
    shard = units[shard_id(HTTP, "shop")]
    assert isinstance(shard, RoutesUnit)
    after = await building.of(
        {name: api_unit, shard_id(HTTP, "shop"): RoutesUnit(api=name, routes=shard.routes)}
    )
    assert api(after, "shop").unit.kind is ApiKind.HTTP
    assert at(after, "/a") is not None
    # Every slash counts in an HTTP API (AWS §4.2).
    assert at(after, "/a/") is None


async def test_an_api_id_that_changes_reaches_every_route(building: Build) -> None:
    """It stands in the headers that backends see."""
    before = await building.of(shop(A))
    after = await building.of(shop(A, api_id="other00000"))
    assert at(after, "/a") is not at(before, "/a")
    assert set(after.apis) == {"other00000"}


async def test_an_api_that_goes(building: Build) -> None:
    await building.of({**shop(A), **zoo()})
    after = await building.of(zoo())
    assert set(after.hosts) == {"zoo.test"}
    assert set(after.apis) == {"zooxxxxxxx"}


# --- what is sent ---------------------------------------------------------------------------------


async def test_only_what_is_new_need_be_sent(building: Build) -> None:
    """Design §4: a pod fetches what it lacks."""
    before = await building.of({**shop(A, B), **zoo()})
    new = snapshot({**shop(A, C), **zoo()}, {UPSTREAM: ADDRESS})
    after, applied = await building.told(partial(new, shard_id(REST, "shop", 1)))
    assert applied.refused == {}
    assert at(after, "/d") is not None
    assert at(after, "/a") is at(before, "/a")
    assert api(after, "zoo") is api(before, "zoo")


async def test_the_digest_is_the_manifest_s(building: Build) -> None:
    document = snapshot(shop(A), {})
    runtime, applied = await building.told(document)
    assert applied.digest == runtime.digest == codec.digest(codec.encode(document.manifest))


async def test_a_unit_nobody_sent_is_refused(building: Build) -> None:
    document = snapshot({**shop(A), **zoo()}, {})
    runtime, applied = await building.told(partial(document, ZOO, shard_id(REST, "zoo"), SHOP))
    assert set(applied.refused) == {shard_id(REST, "shop")}
    assert set(runtime.hosts) == {"zoo.test"}


# --- what is refused ------------------------------------------------------------------------------


def wrong_digest(document: Snapshot) -> tuple[Snapshot, str]:
    name = shard_id(REST, "shop")
    other = codec.encode(RoutesUnit(api=SHOP, routes=(get("/evil"),)))
    return spoilt(document, name, other, honest=False), name


def undecodable(document: Snapshot) -> tuple[Snapshot, str]:
    name = shard_id(REST, "shop")
    return spoilt(document, name, b'{"unit":"routes","api":"x","surprise":1}'), name


def unknown_policy(document: Snapshot) -> tuple[Snapshot, str]:
    """Fail closed: it must not open the route."""
    name = shard_id(REST, "shop")
    unit = json.loads(bytes(document.units[name]))
    unit["routes"][0]["policies"] = [{"policy": "from_the_future"}]
    return spoilt(document, name, json.dumps(unit).encode()), name


def undecodable_api(document: Snapshot) -> tuple[Snapshot, str]:
    return spoilt(document, SHOP, b"[]"), SHOP


def missing_shard(document: Snapshot) -> tuple[Snapshot, str]:
    units = dict(document.manifest.units)
    del units[shard_id(REST, "shop")]
    manifest = Manifest(ir_version=1, units=units)
    sent = {name: raw for name, raw in document.units.items() if name in units}
    return Snapshot(manifest=manifest, units=sent, endpoints=document.endpoints), SHOP


def somebody_else_s_shard(document: Snapshot) -> tuple[Snapshot, str]:
    raw = codec.encode(RoutesUnit(api=ZOO, routes=(get("/a"),)))
    return spoilt(document, shard_id(REST, "shop"), raw), SHOP


def broken_invariant(document: Snapshot) -> tuple[Snapshot, str]:
    name = shard_id(REST, "shop")
    raw = codec.encode(RoutesUnit(api=SHOP, routes=(get("/a"), get("/a"))))
    return spoilt(document, name, raw), name


def routes_for_an_api(document: Snapshot) -> tuple[Snapshot, str]:
    return spoilt(document, SHOP, codec.encode(RoutesUnit(api=SHOP))), SHOP


def an_api_for_routes(document: Snapshot) -> tuple[Snapshot, str]:
    return spoilt(document, shard_id(REST, "shop"), codec.encode(shop()[SHOP])), SHOP


def two_stages_of_one_name(document: Snapshot) -> tuple[Snapshot, str]:
    twice = (Stage(name="a"), Stage(name="a"))
    return spoilt(document, SHOP, codec.encode(shop(A, stages=twice)[SHOP])), SHOP


def somebody_else_s_host(document: Snapshot) -> tuple[Snapshot, str]:
    """The elder by id keeps it: `aviary` stands before `shop`."""
    taken = shop(A, hosts=("aviary.test",))[SHOP]
    return spoilt(document, SHOP, codec.encode(taken)), SHOP


REFUSALS = pytest.mark.parametrize(
    "spoil",
    [
        wrong_digest,
        undecodable,
        unknown_policy,
        undecodable_api,
        missing_shard,
        somebody_else_s_shard,
        broken_invariant,
        routes_for_an_api,
        an_api_for_routes,
        two_stages_of_one_name,
        somebody_else_s_host,
    ],
)


def neighbours(lion: str = "/lion") -> dict[str, Unit]:
    return {**site(REST, "aviary", (get("/owl"),)), **zoo((get(lion),))}


@REFUSALS
async def test_a_refused_unit_keeps_its_previous_version(building: Build, spoil: Any) -> None:
    """Rule 9: it changes nothing of its own and holds up no other."""
    before = await building.of({**shop(A), **neighbours()})
    edited = shop((get("/new"),))
    document, name = spoil(snapshot({**edited, **neighbours("/tiger")}, {UPSTREAM: ADDRESS}))
    after, applied = await building.told(document)
    assert set(applied.refused) == {name}
    assert applied.refused[name]
    assert api(after, "shop") is api(before, "shop")
    assert at(after, "/a") is at(before, "/a")
    assert at(after, "/tiger", name="zoo") is not None
    assert api(after, "aviary") is api(before, "aviary")
    # And it is taken again once it is whole.
    healed, told = await building.told(snapshot({**edited, **neighbours("/tiger")}, {}))
    assert told.refused == {}
    assert at(healed, "/new") is not None
    assert at(healed, "/a") is None
    assert api(healed, "zoo") is api(after, "zoo")


@REFUSALS
async def test_what_is_refused_at_once_serves_nothing(building: Build, spoil: Any) -> None:
    document, name = spoil(snapshot({**shop(A), **neighbours()}, {UPSTREAM: ADDRESS}))
    runtime, applied = await building.told(document)
    assert set(applied.refused) == {name}
    assert set(runtime.hosts) == {"aviary.test", "zoo.test"}


async def test_a_unit_of_a_later_version_s_kind_is_refused_alone(building: Build) -> None:
    """What an operator one version ahead has that this pod has not (design §4)."""
    novel = "domain/default/shop"
    document = snapshot({**shop(A), novel: DomainUnit(object="default/shop")}, {UPSTREAM: ADDRESS})
    document = spoilt(document, novel, b'{"unit":"novel","object":"default/shop"}')
    runtime, applied = await building.told(document)
    assert set(applied.refused) == {novel}
    assert at(runtime, "/a") is not None


async def test_domains_find_the_apis_of_their_own_version(building: Build) -> None:
    unit = DomainUnit(
        object="default/shop",
        hosts=("shop.example",),
        mappings=(DomainMapping(key="", api=SHOP, stage="$default"),),
    )
    before = await building.of({**shop(A), "domain/default/shop": unit})
    after = await building.of({**shop(B), "domain/default/shop": unit})
    assert before.domains is after.domains
    assert after.units[SHOP] is api(after, "shop")
    assert after.units[SHOP] is not before.units[SHOP]
    gone = await building.of({"domain/default/shop": unit})
    assert SHOP not in gone.units
    assert gone.domains.find("shop.example") is not None


async def test_each_refused_unit_is_named(building: Build) -> None:
    document = snapshot({**shop(A, B, C), **zoo()}, {})
    for bucket in (0, 2):
        document = spoilt(document, shard_id(REST, "shop", bucket), b"{}")
    _, applied = await building.told(document)
    assert set(applied.refused) == {shard_id(REST, "shop", bucket) for bucket in (0, 2)}


async def test_going_back_to_what_is_kept_needs_nothing_sent(building: Build) -> None:
    """Design §4: a refused unit keeps its previous version, so nobody need send it again."""
    old = snapshot({**shop(A), **zoo()}, {UPSTREAM: ADDRESS})
    before, _ = await building.told(old)
    new = snapshot({**shop(B, stages=(Stage(name="x"),)), **zoo()}, {UPSTREAM: ADDRESS})
    bad = spoilt(new, shard_id(REST, "shop"), b"{}")
    _, applied = await building.told(bad)
    assert set(applied.refused) == {shard_id(REST, "shop")}
    again, applied = await building.told(partial(old))
    assert applied.refused == {}
    assert at(again, "/a") is at(before, "/a")


async def test_a_refused_version_keeps_what_it_refers_to(building: Build) -> None:
    """Addresses that the new version does not name any more are still the old one's."""
    elsewhere = ServiceTarget(upstream="test/other:80", host="other")
    before = await building.of(shop(A), **{UPSTREAM: ADDRESS})
    moved = shop((get("/a", integration=proxied(targets=(elsewhere,))),))
    document, _ = undecodable_api(snapshot(moved, {"test/other:80": ADDRESS}))
    after, _ = await building.told(document)
    kept = at(after, "/a")
    assert kept is at(before, "/a")
    assert kept is not None
    assert kept.forward is not None
    destination = kept.forward._sole
    assert destination is not None
    assert destination.upstream is not None
    assert destination.upstream.pick(0.0) is not None


async def test_a_newer_contract_is_refused_whole(building: Build) -> None:
    before = await building.of(shop(A))
    document = snapshot(shop(B), {})
    newer = Snapshot(
        manifest=Manifest(ir_version=2, units=document.manifest.units), units=document.units
    )
    after, applied = await building.told(newer)
    assert set(applied.refused) == {"manifest"}
    assert api(after, "shop") is api(before, "shop")
    # Nothing of it was lost: the next good one builds on what serves.
    assert at(await building.of(shop(A)), "/a") is at(before, "/a")


# --- the gateway unit -----------------------------------------------------------------------------


async def test_the_gateway_unit(building: Build) -> None:
    one = GatewayUnit(account_id="123456789012", local_paths=True)
    assert (await building.of({"gateway": one, **shop(A)})).gateway == one


async def test_a_gateway_unit_that_goes_takes_its_permissions_along(building: Build) -> None:
    await building.of({"gateway": GatewayUnit(egress_open=True), **shop(A)})
    assert (await building.of(shop(A))).gateway == GatewayUnit()


@pytest.mark.parametrize("raw", [b"{}", codec.encode(RoutesUnit(api="x"))], ids=["bytes", "kind"])
async def test_a_refused_gateway_unit_keeps_its_previous_version(
    building: Build, raw: bytes
) -> None:
    one = GatewayUnit(account_id="123456789012")
    await building.of({"gateway": one, **shop(A)})
    document = snapshot({"gateway": GatewayUnit(egress_open=True), **shop(B)}, {})
    after, applied = await building.told(spoilt(document, "gateway", raw))
    assert set(applied.refused) == {"gateway"}
    assert after.gateway == one
    assert at(after, "/c") is not None


async def test_the_sole_api(building: Build) -> None:
    units = {"gateway": GatewayUnit(sole_api=SHOP), **shop(A), **zoo()}
    runtime = await building.of(units)
    assert runtime.sole is api(runtime, "shop")
    nobody = await building.of({**units, "gateway": GatewayUnit(sole_api="api/test/RestApi/gone")})
    assert nobody.sole is None


async def test_a_host_moves_from_one_api_to_another(building: Build) -> None:
    both = ("shop.test", "www.test")
    await building.of({**shop(A, hosts=both), **zoo()})
    after = await building.of({**shop(A), **zoo(hosts=("www.test", "zoo.test"))})
    assert after.hosts["www.test"] is api(after, "zoo")
    assert after.hosts["shop.test"] is api(after, "shop")


async def test_a_host_that_a_kept_version_still_claims(building: Build) -> None:
    """Who has it in the manifest has it: a refused unit does not hold another one up."""
    await building.of({**shop(A, hosts=("shop.test", "www.test")), **zoo()})
    new = snapshot({**shop(A), **zoo(hosts=("www.test", "zoo.test"))}, {})
    after, applied = await building.told(spoilt(new, SHOP, b"{}"))
    assert set(applied.refused) == {SHOP}
    assert after.hosts["www.test"] is api(after, "zoo")
    assert after.hosts["shop.test"] is api(after, "shop")


# --- one route alone ------------------------------------------------------------------------------

BAD: dict[str, Route] = {
    "fail-closed": get("/bad", policies=(FailClosed(reason="not built"),)),
    "fail-closed-without-a-reason": get("/bad", policies=(FailClosed(reason=""),)),
    "cors-on-a-route": get("/bad", policies=(Cors(allow_origins=("*",)),)),
    "broken": get("/bad", integration=Broken(reason="no such Service")),
    "broken-without-a-reason": get("/bad", integration=Broken(reason="")),
    "fail-closed-mock": get(
        "/bad", integration=answering(200), policies=(FailClosed(reason="no"),)
    ),
    "path": get(
        "/bad",
        integration=proxied(targets=(ServiceTarget(upstream=UPSTREAM, host="h", path="/{a b}"),)),
    ),
    "host-that-ends-the-line": get(
        "/bad",
        integration=proxied(targets=(ServiceTarget(upstream=UPSTREAM, host="h\r\nX-Evil: 1"),)),
    ),
    "second-target": get(
        "/bad",
        integration=proxied(
            targets=(
                ServiceTarget(upstream=UPSTREAM, host="h"),
                UrlTarget(url="http://h:99999/"),
            )
        ),
    ),
    "method-that-ends-the-line": get("/bad", integration=proxied(method="GET / HTTP/1.1\r\nX: y")),
    "function": get(
        "/bad", integration=function(target=UrlTarget(url="http://{host}:port{/functions"))
    ),
    **{
        f"url-{number}": get("/bad", integration=HttpProxy(targets=(UrlTarget(url=url),)))
        for number, url in enumerate(
            ("ftp://h/", "http://", "http://h/#x", "h", "http://h:0/", "http://h/../x", "http://{/")
        )
    },
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_what_cannot_be_prepared_fails_closed_alone(building: Build, bad: Route) -> None:
    """Design §3: one mistake never takes down its neighbours."""
    runtime = await building.of(shop((get("/a"), bad), B))
    broken = at(runtime, "/bad")
    assert broken is not None
    assert broken.broken
    for path in ("/a", "/c"):
        good = at(runtime, path)
        assert good is not None
        assert not good.broken
    # And it heals alone.
    healed = await building.of(shop((get("/a"), get("/bad")), B))
    again = at(healed, "/bad")
    assert again is not None
    assert not again.broken
    assert at(healed, "/a") is at(runtime, "/a")


# --- upstreams ------------------------------------------------------------------------------------


def to(upstream: str) -> HttpProxy:
    return proxied(targets=(ServiceTarget(upstream=upstream, host="h"),))


async def test_upstreams_that_nothing_names_are_dropped(building: Build) -> None:
    await building.of(
        shop((get("/a", integration=to("t/a:1")), get("/b", integration=to("t/b:1"))))
    )
    assert building.keys() == {"http:service:t/a:1", "http:service:t/b:1"}
    await building.of(shop((get("/a", integration=to("t/a:1")),)))
    assert building.keys() == {"http:service:t/a:1"}
    await building.of(shop((get("/a", integration=function()),)))
    assert building.keys() == {f"http:service:{UPSTREAM}"}
    await building.of({})
    assert building.keys() == set()


async def test_an_upstream_survives_an_edit(building: Build) -> None:
    """State lives outside a Runtime: pools and health do not begin anew."""
    await building.of(shop((get("/a", integration=to("t/a:1")),)))
    before = building.upstreams._by_key["http:service:t/a:1"]
    edited = proxied(targets=to("t/a:1").targets, timeout_ms=5)
    await building.of(shop((get("/a", integration=edited),)))
    assert building.upstreams._by_key["http:service:t/a:1"] is before


async def test_routes_to_one_service_share_an_upstream(building: Build) -> None:
    routes = tuple(get(f"/{n}", integration=to("t/a:1")) for n in range(50))
    await building.of({**shop(routes), **zoo((get("/lion", integration=to("t/a:1")),))})
    assert building.keys() == {"http:service:t/a:1"}


async def test_addresses_that_serve_stay_until_the_swap(building: Build) -> None:
    """A set that does not name an upstream says nothing about it; one that is empty does."""
    before = await building.of(shop((get("/a", integration=to("t/a:1")),)), **{"t/a:1": ADDRESS})
    serving = at(before, "/a")
    assert serving is not None
    assert serving.forward is not None
    sole = serving.forward._sole
    assert sole is not None
    assert sole.upstream is not None
    building.targets.set_endpoints(EndpointSet(sequence=2, upstreams={"t/b:1": ADDRESS}))
    assert sole.upstream.pick(0.0) is not None
    building.targets.set_endpoints(EndpointSet(sequence=3, upstreams={"t/a:1": ()}))
    assert sole.upstream.pick(0.0) is None


# --- in slices ------------------------------------------------------------------------------------

PER_SHARD = 500


def large(edited: int | None = None, shards: int = 20) -> dict[str, Unit]:
    """10,000 routes; one may be edited."""
    return shop(
        *(
            tuple(
                get(
                    f"/s{shard}/r{number}/{{id}}",
                    operation_name="new" if shard * PER_SHARD + number == edited else "",
                )
                for number in range(PER_SHARD)
            )
            for shard in range(shards)
        )
    )


async def turns_during(building: Build, document: Snapshot) -> int:
    """How often the loop came round while this was built."""
    turns = 0
    built = asyncio.get_running_loop().create_task(building.told(document))
    while not built.done():
        turns += 1
        await asyncio.sleep(0)
    assert built.result()[1].refused == {}
    return turns


async def test_a_build_lets_requests_run(building: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Design §6: slices. Where the clock says so, it yields at least once in a few dozen routes."""
    monkeypatch.setattr(build, "SLICE_S", 0.0)
    routes = 20 * PER_SHARD
    assert await turns_during(building, snapshot(large(), {})) > routes / 32
    # One edit: a shard is decoded and compared, one route is built.
    edited = partial(snapshot(large(edited=777), {}), shard_id(REST, "shop", 1))
    assert await turns_during(building, edited) < routes / 32


async def test_a_short_build_does_not_wait_for_the_loop(
    building: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SLICE_S", 1e9)
    assert await turns_during(building, snapshot({**shop(A, B), **zoo()}, {})) == 1


# --- whatever a snapshot holds --------------------------------------------------------------------

SAMPLE: dict[str, Unit] = {
    "gateway": GatewayUnit(account_id="123456789012", sole_api=SHOP),
    **shop(
        (
            get("/a", integration=proxied(method="POST", preserve_host=True)),
            get("/f/{x}", integration=function()),
            route(REST, "ANY /m/{proxy+}", answering(200, "{}")),
            get("/u", integration=HttpProxy(targets=(UrlTarget(url="http://{h}/x?y={z}"),))),
        ),
        stages=(
            Stage(
                name="$default",
                access_log=AccessLog(format="$context.status"),
                detailed_metrics=("*",),
            ),
            Stage(name="dev", variables={"a": "b"}),
        ),
        cors=Cors(allow_origins=("https://a.test",), max_age=5),
    ),
}
TEXTS = st.sampled_from(
    ("", "/", "{", "}", "/{}", "/{+}", "/{a+}/b", "/%ZZ", "\r\n", "\0", "ü", "http://", "$default",
     "ANY", "GET", SHOP, ZOO, "zoo.test", "$context.", "*", "a" * 3000, "\ud800")
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*path, index))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Snapshot:
    """A good snapshot with a few things changed somewhere."""
    units = {name: json.loads(codec.encode(unit)) for name, unit in SAMPLE.items()}
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(units)))
        path = draw(st.sampled_from(places(units[name])))
        if not path:
            units[name] = draw(VALUES)
            continue
        inside = units[name]
        for step in path[:-1]:
            inside = inside[step]
        what = draw(st.sampled_from(("change", "change", "remove", "repeat")))
        if what == "change":
            # Something of the same type is what gets past the decoder.
            alike = {str: TEXTS, int: st.integers(), bool: st.booleans()}
            kind = type(inside[path[-1]])
            inside[path[-1]] = draw(alike.get(kind, VALUES) | VALUES)
        elif what == "remove":
            del inside[path[-1]]
        elif isinstance(inside, list):
            inside.append(inside[path[-1]])
        else:
            inside[draw(TEXTS)] = inside[path[-1]]
    raw = {name: json.dumps(unit).encode("utf-8", "surrogatepass") for name, unit in units.items()}
    if draw(st.integers(0, 9)) == 0:
        name = draw(st.sampled_from(sorted(raw)))
        raw[name] = raw[name][: draw(st.integers(0, len(raw[name])))]
    good = {name: codec.encode(unit) for name, unit in zoo().items()}
    every = {**raw, **good}
    digests = {name: codec.digest(data) for name, data in every.items()}
    if draw(st.integers(0, 9)) == 0:
        digests.pop(draw(st.sampled_from(sorted(raw))))
    return Snapshot(
        manifest=Manifest(ir_version=1, units=digests),
        units={name: msgspec.Raw(data) for name, data in every.items()},
    )


@given(mutated(), mutated())
def test_building_never_raises(one: Snapshot, two: Snapshot) -> None:
    """Rule 6; and a neighbour that is whole serves, whatever stands beside it."""

    async def story() -> None:
        building = Build()
        before = await building.of({**SAMPLE, **zoo()})
        for document in (one, two):
            runtime, applied = await building.told(document)
            assert all(isinstance(reason, str) and reason for reason in applied.refused.values())
            assert set(applied.refused) <= set(document.manifest.units)
            assert applied.refused.keys().isdisjoint({ZOO, shard_id(REST, "zoo")}) or (
                # Only a host that another API claims first may take it away.
                "belongs to" in applied.refused[ZOO]
            )
            if ZOO not in applied.refused:
                assert api(runtime, "zoo") is api(before, "zoo")
        again = await building.of({**SAMPLE, **zoo()})
        assert at(again, "/a") is not None

    asyncio.run(story())


async def test_it_knows_whose_authorizers_are_in_place() -> None:
    """State that is kept beside a Runtime goes when these do."""
    source = IdentitySource(place="header", name="Authorization")
    people = JwtAuthorizer(name="d/people", issuers=("https://i.example",), source=source)
    guarded = route(REST, "GET /a", policies=(Authorize(authorizer="d/people"),))
    units = site(REST, "shop", (guarded,))
    shard = units[shard_id(REST, "shop")]
    assert isinstance(shard, RoutesUnit)
    units[shard_id(REST, "shop")] = msgspec.structs.replace(shard, authorizers={"d/people": people})
    building = Build()
    assert building.builder.authorizers == frozenset()
    runtime = await building.of(units)
    assert building.builder.authorizers == {people}
    served = at(runtime, "/a")
    assert served is not None
    assert len(served.chain) == 1
    await building.of(site(REST, "shop", (route(REST, "GET /a"),)))
    assert building.builder.authorizers == frozenset()


async def test_an_edit_of_a_resource_policy_reaches_every_route(building: Build) -> None:
    """AWS §3.21: it stands in the chain of each route of the stage."""

    def fenced(*statements: Statement) -> dict[str, Unit]:
        policy = PolicyDocument(statements=statements)
        stage = Stage(name="$default", shards=(shard_id(REST, "shop"),), policy=policy)
        return site(REST, "shop", (get("/a"), get("/b")), stages=(stage,))

    def policies(runtime: Runtime) -> list[object]:
        found = [at(runtime, path) for path in ("/a", "/b")]
        return [
            one._policy for r in found if r for one in r.chain if isinstance(one, ResourcePolicy)
        ]

    everybody = Statement(allow=True, actions=("*",), resources=("*",), principals=("*",))
    first = policies(await building.of(fenced(everybody)))
    assert len(first) == 2
    assert first[0] is first[1]
    assert policies(await building.of(fenced(everybody)))[0] is first[0]
    assert policies(await building.of(fenced()))[0] is not first[0]
    assert policies(await building.of(shop((get("/a"), get("/b"))))) == []
