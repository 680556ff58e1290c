"""The table of what is not built is read as it is written."""

from __future__ import annotations

from typing import Any

import pytest

from portico_compiler.features import unbuilt
from portico_compiler.features.unbuilt import LISTED, RESTRICTS, Effect
from portico_compiler.manifests.kinds import KINDS


def route(**spec: Any) -> dict[str, Any]:
    return {"spec": {"apiRef": {"name": "shop"}, **spec}}


def used(kind: str, body: dict[str, Any]) -> list[tuple[str, Effect]]:
    return [(field.field, field.effect) for field in unbuilt.used_by(kind, body)]


def test_what_asks_for_nothing() -> None:
    idle = route(
        authorizationType="NONE",
        authorizationScopes=[],
        apiKeyRequired=False,
        throttle={},
        requestValidator={"validateRequestBody": False},
        integration={"connectionType": "INTERNET", "cacheKeyParameters": []},
    )
    assert used("Route", idle) == []
    assert used("Stage", {"spec": {"methodSettings": {"*/*": {"loggingLevel": "OFF"}}}}) == []


def test_what_asks_for_something_in_the_order_of_the_table() -> None:
    body = route(
        integration={"credentials": "arn:x", "contentHandling": "CONVERT_TO_TEXT"},
        requestValidator={"validateRequestBody": True},
    )
    assert used("Route", body) == [
        ("spec.requestValidator.validateRequestBody", RESTRICTS),
        ("spec.integration.credentials", LISTED),
        ("spec.integration.contentHandling", LISTED),
    ]


def test_zero_is_a_limit() -> None:
    body = {"spec": {"methodSettings": {"*/*": {"cacheTtlInSeconds": 0}}}}
    assert used("Stage", body) == [("spec.methodSettings[*/*].cacheTtlInSeconds", LISTED)]
    assert used("RestApi", {"spec": {"minimumCompressionSize": 0}})


def test_a_default_of_true_asks_when_it_is_false() -> None:
    def settings(value: bool) -> dict[str, Any]:
        key = "requireAuthorizationForCacheControl"
        return {"spec": {"methodSettings": {"~1a/GET": {key: value}}}}

    assert used("Stage", settings(True)) == []
    assert used("Stage", settings(False))


def test_wildcards_are_filled_in() -> None:
    stage = {"spec": {"methodSettings": {"~1a/GET": {}, "~1b/GET": {"cachingEnabled": True}}}}
    assert used("Stage", stage) == [("spec.methodSettings[~1b/GET].cachingEnabled", LISTED)]
    steps = unbuilt.used_by("Stage", stage)[0].steps
    assert steps == ("spec", "methodSettings", "~1b/GET", "cachingEnabled")


def test_some_fields_ask_on_some_apis_only() -> None:
    integration = {"requestParameters": {"append:header.a": "b"}, "responseTransferMode": "STREAM"}
    assert used("Route", route(integration=integration)) == []
    of_http = route(integration=integration, apiRef={"name": "shop", "kind": "HttpApi"})
    assert used("Route", of_http) == [("spec.integration.requestParameters", RESTRICTS)]
    function = route(integration=integration | {"type": "AWS_PROXY"})
    assert used("Route", function) == [("spec.integration.responseTransferMode", LISTED)]


def test_parameters_in_the_path_are_always_there() -> None:
    assert used("Route", route(requestParameters={"method.request.path.id": True})) == []
    assert used("Route", route(requestParameters={"method.request.header.a": False})) == []
    assert used("Route", route(requestParameters={"method.request.header.a": True}))


@pytest.mark.parametrize("body", [{}, {"spec": None}, {"spec": []}, {"spec": {"throttle": 3}}])
@pytest.mark.parametrize("kind", KINDS)
def test_any_document_may_be_asked(kind: str, body: dict[str, Any]) -> None:
    unbuilt.used_by(kind, body)


def test_the_table_names_kinds_and_fields_that_there_are() -> None:
    assert set(unbuilt.FIELDS) <= set(KINDS)
    assert set(unbuilt.KINDS) <= set(KINDS)
    for rows in unbuilt.FIELDS.values():
        paths = [row.path for row in rows]
        assert len(set(paths)) == len(paths)
        assert all(path.startswith("spec.") for path in paths)
