"""Stages: the implicit one, conflicts, restrictions, metrics."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import worlds
from portico_compiler import ObjectRef, compile  # noqa: A004
from portico_compiler.passes.stages import Metrics
from portico_compiler.problems import Reason
from portico_compiler.routekeys import RouteKey, parse
from portico_ir.policies import FailClosed

V = "portico.dev/v1alpha1"


def key(text: str) -> RouteKey:
    found = parse(text, "RestApi")
    assert isinstance(found, RouteKey)
    return found


def compiled(spec: dict[str, Any] | None = None, *stages: dict[str, Any]) -> Any:
    raws: list[dict[str, Any]] = [
        {"apiVersion": V, "kind": "RestApi", "metadata": {"name": "shop"}, "spec": spec or {}}
    ]
    for name, route_key in (("a", "GET /a"), ("b", "POST /b/{id}")):
        route = {
            "apiRef": {"name": "shop"},
            "routeKey": route_key,
            "integration": {"url": "http://x"},
        }
        raws.append({"apiVersion": V, "kind": "Route", "metadata": {"name": name}, "spec": route})
    for number, stage in enumerate(stages):
        metadata = {"name": f"s{number}"}
        body = {"apiRef": {"name": "shop"}, **stage}
        raws.append({"apiVersion": V, "kind": "Stage", "metadata": metadata, "spec": body})
    world, problems = worlds.of_raws(raws)
    assert not problems
    return compile(world)


def names(result: Any) -> list[str]:
    return [stage.name for stage in worlds.api(result).stages]


def closed(result: Any, stage: str) -> set[str]:
    found = worlds.routes(result, stage)
    return {k for k, r in found.items() if any(isinstance(p, FailClosed) for p in r.policies)}


PROD = {"stageName": "prod"}
SHOP = ObjectRef("RestApi", "default", "shop")


@pytest.mark.parametrize(
    ("default", "stages", "expected"),
    [
        ("Auto", [], ["$default"]),
        ("Auto", [PROD], ["prod"]),
        ("Auto", [PROD, {"stageName": "$default"}], ["$default", "prod"]),
        ("Always", [PROD], ["$default", "prod"]),
        ("Always", [{"stageName": "$default"}], ["$default"]),
        ("Never", [], []),
        ("Never", [PROD], ["prod"]),
        # It goes only once a Stage can serve; one of a deployment that is not there cannot.
        ("Auto", [PROD | {"deploymentRef": {"name": "v1"}}], ["$default", "prod"]),
        ("Auto", [{"stageName": "not a name"}], ["$default"]),
    ],
)
def test_the_default_stage(default: str, stages: list[dict[str, Any]], expected: list[str]) -> None:
    assert names(compiled({"defaultStage": default}, *stages)) == expected


def test_the_implicit_stage_stays_until_a_stage_was_programmed() -> None:
    """In a cluster: pods learn of the new stage one by one, and the old address serves on."""
    raws = [
        {"apiVersion": V, "kind": "RestApi", "metadata": {"name": "shop"}, "spec": {}},
        *(
            {
                "apiVersion": V,
                "kind": "Stage",
                "metadata": {"name": name},
                "spec": {"apiRef": {"name": "shop"}, "stageName": name},
            }
            for name in ("prod", "test")
        ),
    ]
    world, _ = worlds.of_raws(raws)

    def found(*established: str, without: str = "") -> list[str]:
        objects = tuple(
            msgspec.structs.replace(object_, established=object_.ref.name in established)
            for object_ in world.objects
            if object_.ref.name != without
        )
        result = compile(msgspec.structs.replace(world, objects=objects))
        (address, *_) = result.report.provisional.values() or ("",)
        assert address == ("" if established else "http://shop.default.localhost/")
        return names(result)

    assert found() == ["$default", "prod", "test"]
    assert found("prod") == ["prod", "test"]
    assert found("prod", "test") == ["prod", "test"]
    assert found(without="prod") == ["$default", "test"]


def test_only_an_address_that_a_stage_can_end_is_provisional() -> None:
    assert compiled().report.provisional == {SHOP: "http://shop.default.localhost/"}
    for spec, stages in (
        ({"defaultStage": "Always"}, []),
        ({"defaultStage": "Never"}, []),
        ({}, [PROD]),
        ({}, [{"stageName": "$default"}]),
    ):
        assert compiled(spec, *stages).report.provisional == {}


def test_of_two_stages_with_one_name_the_elder_serves() -> None:
    result = compiled({}, PROD | {"variables": {"a": "1"}}, PROD | {"variables": {"a": "2"}})
    assert worlds.api(result).stages[0].variables == {"a": "1"}
    assert worlds.condition(result, "Stage", "s1", "Accepted")[1] == Reason.CONFLICTED


def test_a_stage_of_nothing() -> None:
    result = compiled({}, PROD | {"apiRef": {"name": "gone"}})
    assert names(result) == ["$default"]
    assert worlds.condition(result, "Stage", "s0", "ResolvedRefs")[1] == Reason.REF_NOT_FOUND


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"canarySettings": {"percentTraffic": 1}}, {"GET /a", "POST /b/{id}"}),
        ({"tracingEnabled": True}, set()),
        ({}, set()),
    ],
)
def test_restrictions_close_what_they_are_about(
    settings: dict[str, Any], expected: set[str]
) -> None:
    result = compiled({}, PROD | settings, {"stageName": "open"})
    assert closed(result, "prod") == expected
    assert closed(result, "open") == set()


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (Metrics(), ()),
        (Metrics(everything=True), ("*",)),
        (Metrics(by_key={"GET /a": True}), ("GET /a",)),
        (Metrics(by_key={"GET /a": False}), ()),
        (Metrics(everything=True, by_key={"GET /a": True}), ("*",)),
        (Metrics(everything=True, by_key={"GET /a": False}), ("ANY /c", "GET /b/")),
        (Metrics(by_key={"GET /b": True, "GET /gone": True}), ("GET /b/",)),
    ],
)
def test_metrics(metrics: Metrics, expected: tuple[str, ...]) -> None:
    keys = [key("GET /a"), key("GET /b/"), key("ANY /c")]
    assert metrics.keys(keys) == expected


def test_metrics_and_log_of_a_stage() -> None:
    settings = {
        "methodSettings": {"*/*": {"metricsEnabled": True}, "~1a/GET": {"loggingLevel": "OFF"}},
        "accessLogSettings": {"format": "$context.status"},
        "variables": {"a": "b"},
    }
    (stage,) = worlds.api(compiled({}, PROD | settings)).stages
    assert stage.detailed_metrics == ("*",)
    assert stage.access_log is not None
    assert stage.access_log.format == "$context.status"
    assert stage.variables == {"a": "b"}
