"""Content: the same bytes for the same members, and documents again that refer from home only."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

import pytest

from deployments import SHOP, captured, compiled, deployment, shop, stage, target, targets
from manifests import manifest, route, service
from portico_compiler import ObjectRef
from portico_compiler.revisions import content, packing
from portico_compiler.revisions.content import Frozen


def frozen(data: bytes, api: ObjectRef = SHOP) -> Frozen:
    found = content.thaw(data, api, "v1")
    assert isinstance(found, Frozen), found
    return found


def test_what_is_captured() -> None:
    state = captured(shop(route("b", "GET /b"), route("a", "GET /a", **target(1))))
    assert json.loads(state.data) == {
        "api": {"kind": "RestApi", "name": "shop", "spec": {}},
        "authorizers": [],
        "format": 1,
        "routes": [
            {"name": "a", "spec": {"integration": target(1)["integration"], "routeKey": "GET /a"}},
            {
                "name": "b",
                "spec": {"integration": {"url": "http://backend.example/"}, "routeKey": "GET /b"},
            },
        ],
    }
    assert state.digest == hashlib.sha256(state.data).hexdigest()
    assert (state.routes, state.authorizers) == (2, 0)


def test_stages_plans_keys_and_services_are_no_part_of_it() -> None:
    raws = shop()
    before = captured(raws).digest
    raws += [
        stage("prod", variables={"x": "1"}),
        service("pets", 80),
        manifest(
            "UsagePlan", "gold", {"apiStages": [{"apiRef": {"name": "shop"}, "stage": "prod"}]}
        ),
        deployment("v0"),
    ]
    assert captured(raws).digest == before


def test_the_order_of_documents_changes_nothing() -> None:
    raws = shop(*(route(f"r{n}", f"GET /r{n}") for n in range(20)))
    expected = captured(raws)
    chance = random.Random(7)
    for _ in range(5):
        chance.shuffle(raws)
        assert captured(raws) == expected


def test_every_member_counts() -> None:
    raws = shop(route("a", "GET /a"), route("b", "GET /b"))
    known = {captured(raws).digest}
    for edited in (
        [*raws, route("c", "GET /c")],
        raws[:-1],
        [*raws[:-1], route("renamed", "GET /b")],
        [manifest("RestApi", "shop", {"description": "other"}), *raws[1:]],
    ):
        digest = captured(edited).digest
        assert digest not in known
        known.add(digest)


def test_thawed_documents_are_named_apart() -> None:
    found = frozen(captured(shop(route("a", "GET /a"), functions={"f": {"url": "http://f"}})).data)
    assert [d.ref for d in found.routes] == [ObjectRef("Route", "default", "a@v1")]
    assert [d.api for d in found.routes] == [SHOP]
    assert all(d.valid for d in found.documents)
    assert set(found.api.content.spec.functions) == {"f"}


AUTHORIZER = {
    "apiRef": {"name": "shop"},
    "authorizerType": "COGNITO_USER_POOLS",
    "providerARNs": ["arn:aws:cognito-idp:eu-west-1:000000000000:userpool/p"],
}


def _member(name: str, spec: Any, namespace: str = "") -> dict[str, Any]:
    return {"name": name, "spec": spec} | ({"namespace": namespace} if namespace else {})


def _content(**parts: Any) -> bytes:
    whole: dict[str, Any] = {
        "format": 1,
        "api": {"kind": "RestApi", "name": "shop", "spec": {}},
        "authorizers": [],
        "routes": [],
    }
    return json.dumps(whole | parts).encode()


def test_members_of_other_namespaces_refer_from_the_api_s() -> None:
    """Whoever writes a revision must not speak in the name of another namespace."""
    spec = {
        "routeKey": "GET /a",
        "integration": {"service": {"name": "pets", "port": 80}},
        "authorizationType": "COGNITO_USER_POOLS",
        "authorizerRef": {"name": "who", "namespace": "team"},
    }
    pools = {"authorizerType": "COGNITO_USER_POOLS", "providerARNs": AUTHORIZER["providerARNs"]}
    data = _content(
        routes=[_member("a", spec, "team"), _member("a", {**spec, "routeKey": "GET /b"})],
        authorizers=[
            _member("who", pools, "team"),
            _member("who", pools),
            _member("who.team", pools),
        ],
    )
    found = frozen(data)
    assert {d.ref.namespace for d in found.documents} == {"default"}
    assert [d.ref.name for d in found.routes] == ["team/a@v1", "a@v1"]
    assert list(found.authorizers) == ["who.team.x", "who", "who.team"]
    for document in found.routes:
        assert document.content.spec.authorizer_ref.name == "who.team.x"
        assert document.content.spec.authorizer_ref.namespace is None


FAULTS: list[tuple[Any, str]] = [
    (b"not json", "cannot be read"),
    (b"\xff", "cannot be read"),
    (_content(more=1), "cannot be read"),
    (_content(format=2), "is of format 2"),
    (_content(api={"kind": "HttpApi", "name": "shop", "spec": {}}), "it is of HttpApi shop"),
    (_content(api={"kind": "RestApi", "name": "other", "spec": {}}), "it is of RestApi other"),
    (_content(routes=[_member("a", {}), _member("a", {})]), "a Route twice"),
    (_content(authorizers=[_member("a", {}), _member("a", {})]), "an Authorizer twice"),
    (_content(routes=[_member("../a", {})]), "cannot be read"),
    (_content(routes=[_member("a\n", {})]), "cannot be read"),
    (_content(routes=[_member("a", {}, "B")]), "cannot be read"),
    (b'{"format":1,"api":' + b"[" * 100_000, "cannot be read"),
]


@pytest.mark.parametrize(("data", "words"), FAULTS)
def test_what_is_no_state_of_the_api(data: bytes, words: str) -> None:
    found = content.thaw(data, SHOP, "v1")
    assert isinstance(found, str)
    assert words.replace("an Authorizer", "a Authorizer") in found or words in found


def test_a_state_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    state = captured(shop(*(route(f"r{n}", f"GET /r{n}") for n in range(3))))
    monkeypatch.setattr(content, "MAX_ROUTES", 2)
    assert "more than 2" in str(content.thaw(state.data, SHOP, "v1"))
    monkeypatch.setattr(packing, "MAX_ROUTES", 2)
    assert "more than the 2" in packing.why_too_large(state)
    monkeypatch.undo()
    monkeypatch.setattr(packing, "CHUNK_BYTES", 2)
    assert "bytes of specs" in packing.why_too_large(state)


def test_what_is_wrong_with_a_held_route_is_said_and_breaks_it_alone() -> None:
    spec = {"routeKey": "GET /bad", "integration": {"typo": 1}}
    good = {"routeKey": "GET /good", "integration": {"url": "http://x/"}}
    data = _content(routes=[_member("bad", spec), _member("good", good)])
    captured_ = content.Captured(data, hashlib.sha256(data).hexdigest(), 2, 0)
    origin = packing.Origin(
        packing.ApiOrigin(kind="RestApi", name="shop"), packing.DeploymentOrigin(name="v1")
    )
    raws = [*shop(), deployment("v1", "kept"), stage("prod", "v1")]
    result = compiled([*raws, *packing.pack(captured_, "kept", "", origin, None)])
    assert targets(result, "prod") == {"GET /bad": "broken", "GET /good": "http://x/"}
    assert "Route default/bad@v1: spec.integration.typo" in str(result.report.problems)
