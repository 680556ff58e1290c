"""Of two Routes with one key the elder serves; of two as old, the first by name."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

import worlds
from manifests import manifest, route
from portico_compiler import Compiled, World, compile  # noqa: A004
from portico_compiler.problems import Reason


def compiled(*raws: dict[str, Any], ages: dict[str, str] | None = None) -> Compiled:
    world, problems = worlds.of_raws(list(raws))
    assert not problems
    objects = tuple(
        msgspec.structs.replace(o, created=(ages or {}).get(o.ref.name, o.created))
        for o in world.objects
    )
    return compile(World(settings=world.settings, objects=objects))


API = manifest("RestApi", "shop")


def winner(result: Compiled) -> str:
    (found,) = worlds.routes(result).values()
    return found.object


@pytest.mark.parametrize("order", list(itertools.permutations(["b", "a", "c"])))
def test_age_decides_and_order_does_not(order: tuple[str, ...]) -> None:
    raws = [route(name, f"GET /x/{{{name}}}") for name in order]
    result = compiled(API, *raws, ages={"b": "1", "a": "2", "c": "3"})
    assert winner(result) == "default/b"
    assert {p.object.name for p in result.report.problems} == {"a", "c"}
    assert all(p.reason is Reason.CONFLICTED for p in result.report.problems)
    assert all("Route default/b" in p.message for p in result.report.problems)


@pytest.mark.parametrize("order", list(itertools.permutations(["b", "a"])))
def test_then_the_name(order: tuple[str, ...]) -> None:
    raws = [route(name, "GET /x") for name in order]
    assert winner(compiled(API, *raws, ages={"a": "1", "b": "1"})) == "default/a"


def test_two_thousand_routes_with_one_mistake() -> None:
    raws = [route(f"r{n}", f"GET /r{n}") for n in range(2000)]
    raws[1234]["spec"]["routeKey"] = "GET /r7"
    result = compiled(API, *raws)
    (problem,) = result.report.problems
    assert problem.object.name == "r1234"
    assert len(worlds.routes(result)) == 1999


def test_a_route_whose_key_cannot_be_read_takes_no_part() -> None:
    result = compiled(API, route("a", "GET"), route("b", "GET /"))
    assert winner(result) == "default/b"


def test_routes_of_an_api_that_is_not_there() -> None:
    result = compiled(API, route("a", "GET /", api="gone"))
    assert worlds.routes(result) == {}
    assert [p.reason for p in result.report.problems] == [Reason.REF_NOT_FOUND]


def test_routes_of_other_namespaces_need_a_grant() -> None:
    foreign = route("a", "GET /foreign")
    foreign["metadata"]["namespace"] = "team"
    foreign["spec"]["apiRef"]["namespace"] = "default"
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g"},
        "spec": {
            "from": [{"group": "portico.dev", "kind": "Route", "namespace": "team"}],
            "to": [{"group": "portico.dev", "kind": "RestApi", "name": "shop"}],
        },
    }
    assert worlds.routes(compiled(API, foreign)) == {}
    assert list(worlds.routes(compiled(API, foreign, grant))) == ["GET /foreign"]


def test_websocket_routes_are_decoded_and_not_served() -> None:
    api = manifest("WebSocketApi", "chat")
    send = route("send", "send", api="chat", kind="WebSocketApi")
    result = compiled(api, send)
    assert [(p.object.kind, p.reason) for p in result.report.problems] == [
        ("WebSocketApi", Reason.NOT_IMPLEMENTED),
        ("Route", Reason.NOT_IMPLEMENTED),
    ]
    (lost,) = compiled(send).report.problems[:1]
    assert lost.reason in (Reason.NOT_IMPLEMENTED, Reason.REF_NOT_FOUND)
