"""Authorizers find their API, Routes find Authorizers, and an edit reaches whom it concerns."""

from __future__ import annotations

from typing import Any

import pytest

import worlds
from manifests import manifest, route
from portico_compiler import Compiled, Memo, compile  # noqa: A004
from portico_compiler.problems import Problem, Reason
from portico_ir import codec
from portico_ir.access import JwtAuthorizer
from portico_ir.model import RoutesUnit
from portico_ir.policies import Authorize, FailClosed

WEB = {"kind": "HttpApi", "name": "web"}
API = manifest("HttpApi", "web")


def who(name: str = "who", issuer: str = "https://i.example", **spec: Any) -> dict[str, Any]:
    configuration = {"issuer": issuer}
    given = {"apiRef": WEB, "authorizerType": "JWT", "jwtConfiguration": configuration, **spec}
    return manifest("Authorizer", name, given)


def guarded(name: str = "a", by: Any = "who", **spec: Any) -> dict[str, Any]:
    given = {"authorizationType": "JWT", "authorizerRef": {"name": by}, **spec}
    return route(name, f"GET /{name}", kind="HttpApi", **{"apiRef": WEB, **given})


def compiled(*raws: dict[str, Any], memo: Memo | None = None) -> Compiled:
    world, problems = worlds.of_raws(list(raws))
    assert not problems
    return compile(world, memo)


def shards(result: Compiled) -> dict[str, RoutesUnit]:
    return {i: u for i, u in worlds.units(result).items() if isinstance(u, RoutesUnit)}


def told(result: Compiled) -> list[Problem]:
    return [problem._replace(source=None) for problem in result.report.problems]


def test_a_route_names_what_its_unit_holds() -> None:
    result = compiled(
        API,
        who(),
        guarded(authorizationScopes=["x"]),
        guarded("b"),
        route("c", kind="HttpApi", key="GET /c", apiRef=WEB),
    )
    (unit,) = shards(result).values()
    assert list(unit.authorizers) == ["default/who"]
    policies = {found.key: found.policies for found in unit.routes}
    assert policies == {
        "GET /a": (Authorize(authorizer="default/who", scopes=("x",)),),
        "GET /b": (Authorize(authorizer="default/who"),),
        "GET /c": (),
    }
    assert told(result) == []


def test_nobody_names_it() -> None:
    result = compiled(API, who(), who("broken", issuer="nonsense"))
    assert all(unit.authorizers == {} for unit in shards(result).values())
    assert [(p.object.name, p.reason) for p in told(result)] == [("broken", Reason.INVALID_ADDRESS)]


def test_a_fault_is_told_once_and_closes_all_who_name_it() -> None:
    routes = [guarded(f"r{number}", "broken") for number in range(5)]
    result = compiled(API, who("broken", issuer="nonsense"), *routes)
    by_kind = [(p.object.kind, p.reason) for p in told(result)]
    assert by_kind.count(("Authorizer", Reason.INVALID_ADDRESS)) == 1
    assert by_kind.count(("Route", Reason.REF_NOT_ACCEPTED)) == 5
    for found in worlds.routes(result).values():
        (policy,) = found.policies
        assert isinstance(policy, FailClosed)
        assert "default/broken" in policy.reason


@pytest.mark.parametrize("kind", ["AWS_IAM", "NONE"])
def test_an_authorizer_that_is_not_asked(kind: str) -> None:
    result = compiled(API, who(), guarded(authorizationType=kind))
    assert any(p.field == "spec.authorizerRef" for p in told(result))
    (found,) = worlds.routes(result).values()
    assert not any(isinstance(policy, Authorize) for policy in found.policies)


def test_references_across_namespaces_need_a_grant() -> None:
    far = who()
    far["metadata"]["namespace"] = "other"
    far["spec"]["apiRef"] = {**WEB, "namespace": "default"}
    near = guarded(authorizerRef={"name": "who", "namespace": "other"})

    def grant(namespace: str, kind: str, origin: str, to: str) -> dict[str, Any]:
        spec = {
            "from": [{"group": "portico.dev", "kind": kind, "namespace": origin}],
            "to": [{"group": "portico.dev", "kind": to}],
        }
        made = manifest("ReferenceGrant", f"{kind}-{to}".lower(), spec)
        made["apiVersion"] = "gateway.networking.k8s.io/v1beta1"
        made["metadata"]["namespace"] = namespace
        return made

    inward = grant("default", "Authorizer", "other", "HttpApi")
    outward = grant("other", "Route", "default", "Authorizer")
    refused = compiled(API, far, near)
    assert [p.reason for p in told(refused)] == [Reason.REF_NOT_PERMITTED] * 2
    half = compiled(API, far, near, outward)
    reasons = {p.object.kind: p.reason for p in told(half)}
    assert reasons == {
        "Authorizer": Reason.REF_NOT_PERMITTED,
        "Route": Reason.REF_NOT_ACCEPTED,
    }
    allowed = compiled(API, far, near, outward, inward)
    assert told(allowed) == []
    (unit,) = shards(allowed).values()
    assert list(unit.authorizers) == ["other/who"]


def test_an_edit_compiles_whom_it_concerns() -> None:
    memo = Memo()
    others = [route(f"o{n}", f"GET /o{n}", kind="HttpApi", apiRef=WEB) for n in range(3)]
    first = compiled(API, who(), guarded(), *others, memo=memo)
    edited = [API, who(issuer="https://new.example"), guarded(), *others]
    second = compiled(*edited, memo=memo)
    assert codec.encode(second.snapshot) == codec.encode(compiled(*edited).snapshot)
    (before,), (after,) = shards(first).values(), shards(second).values()
    assert before.routes == after.routes
    authorizer = after.authorizers["default/who"]
    assert isinstance(authorizer, JwtAuthorizer)
    assert authorizer.issuers == ("https://new.example",)


def test_what_comes_and_goes() -> None:
    memo = Memo()
    steps = [
        [API, guarded()],
        [API, who(), guarded()],
        [API, who(issuer="nonsense"), guarded()],
        [API, who(), guarded()],
        [API, who(apiRef={"kind": "HttpApi", "name": "gone"}), guarded()],
        [API, guarded()],
    ]
    opened = []
    for raws in steps:
        result = compiled(*raws, memo=memo)
        assert codec.encode(result.snapshot) == codec.encode(compiled(*raws).snapshot)
        assert told(result) == told(compiled(*raws))
        (found,) = worlds.routes(result).values()
        opened.append(not any(isinstance(policy, FailClosed) for policy in found.policies))
    assert opened == [False, True, False, True, False, False]


def test_each_stage_has_what_its_routes_name() -> None:
    stages = [
        manifest("Stage", name, {"apiRef": WEB, "stageName": name, "variables": {"v": name}})
        for name in ("one", "two")
    ]
    staged = guarded("s", integration={"url": "http://x/${stageVariables.v}"})
    result = compiled(API, who(), guarded(), staged, *stages)
    assert {i.rsplit("/", 2)[1]: set(u.authorizers) for i, u in shards(result).items()} == {
        "*": {"default/who"},
        "one": {"default/who"},
        "two": {"default/who"},
    }


def test_without_a_stage_faults_are_still_found() -> None:
    api = manifest("HttpApi", "web", {"defaultStage": "Never"})
    result = compiled(
        api, who("broken", issuer="nonsense"), guarded(by="broken"), guarded("b", "no")
    )
    assert {(p.object.name, p.reason) for p in told(result)} >= {
        ("broken", Reason.INVALID_ADDRESS),
        ("a", Reason.REF_NOT_ACCEPTED),
        ("b", Reason.REF_NOT_FOUND),
    }
