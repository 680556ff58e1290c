"""Every object becomes a Document, decoded once per version."""

from __future__ import annotations

import msgspec

import worlds
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import accept, decode, referred
from portico_compiler.problems import ObjectRef, Reason, Severity
from portico_compiler.world import Object

ROUTE = """
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: a, namespace: team}
spec: {apiRef: {name: shop, kind: HttpApi}, routeKey: GET /a, integration: {url: "http://x"}}
"""


def one(text: str) -> Object:
    world, problems = worlds.world(text)
    assert not problems
    (found,) = world.objects
    return found


def test_a_route_knows_its_key_and_api() -> None:
    document = decode(one(ROUTE))
    assert document.valid
    assert document.key is not None
    assert document.key.slot == "GET /a"
    assert document.api == ObjectRef("HttpApi", "team", "shop")


def test_a_broken_route_keeps_key_and_api() -> None:
    document = decode(one(ROUTE.replace("integration:", "integraton:")))
    assert not document.valid
    assert document.key is not None
    assert document.api == ObjectRef("HttpApi", "team", "shop")
    assert [p.reason for p in document.problems] == [Reason.UNKNOWN_FIELD, Reason.MISSING_FIELD]


def test_a_route_with_a_bad_key_is_nowhere() -> None:
    document = decode(one(ROUTE.replace("GET /a", "GET a")))
    assert document.key is None
    assert document.api is not None


def test_what_is_not_built_is_a_problem_of_valid_documents_only() -> None:
    with_key = ROUTE.replace(
        "spec: {",
        "spec: {requestValidator: {validateRequestBody: true}, methodResponses: {'200': {}}, ",
    )
    found = decode(one(with_key)).problems
    assert [(p.reason, p.severity, p.field) for p in found] == [
        (Reason.NOT_IMPLEMENTED, Severity.ERROR, "spec.requestValidator.validateRequestBody"),
        (Reason.FIELDS_IGNORED, Severity.WARNING, ""),
    ]
    assert "spec.methodResponses" in found[1].message
    broken = decode(one(with_key.replace("routeKey", "routKey")))
    assert Reason.NOT_IMPLEMENTED not in [p.reason for p in broken.problems]


def test_documents_stay_while_versions_do() -> None:
    memo = Memo()
    object_ = one(ROUTE)
    first = accept([object_], memo)[0]
    memo.close()
    moved = msgspec.structs.replace(object_, created="9", generation=3)
    second = accept([moved], memo)[0]
    assert second is first
    assert second.object is moved
    memo.close()
    edited = msgspec.structs.replace(object_, resource_version="other")
    assert accept([edited], memo)[0] is not first
    memo.close()
    again = msgspec.structs.replace(edited, uid="other")
    assert accept([again], memo)[0].object is again


def test_references_stay_in_their_namespace_by_default() -> None:
    route = ObjectRef("Route", "team", "a")
    assert referred(route, "RestApi", None, "b") == ObjectRef("RestApi", "team", "b")
    assert referred(route, "RestApi", "c", "b") == ObjectRef("RestApi", "c", "b")
