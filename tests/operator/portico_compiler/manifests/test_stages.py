"""Every field of Stage and ApiDeployment is read under AWS's name (AWS §3.14, §3.15, §3.16)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.manifests import stages

METHOD: dict[str, Any] = {
    "metricsEnabled": True,
    "loggingLevel": "INFO",
    "dataTraceEnabled": True,
    "throttlingBurstLimit": 5000,
    "throttlingRateLimit": 0.5,
    "cachingEnabled": True,
    "cacheTtlInSeconds": 3600,
    "cacheDataEncrypted": True,
    "requireAuthorizationForCacheControl": False,
    "unauthorizedCacheControlHeaderStrategy": "FAIL_WITH_403",
}
ROUTE: dict[str, Any] = {
    "detailedMetricsEnabled": True,
    "dataTraceEnabled": True,
    "loggingLevel": "ERROR",
    "throttlingBurstLimit": 1,
    "throttlingRateLimit": 1,
}
SPEC: dict[str, Any] = {
    "apiRef": {"name": "a"},
    "stageName": "prod",
    "description": "a",
    "deploymentRef": {"name": "v1"},
    "variables": {"a_1": "x.example:80/a?b=c&d=e,f~g#h"},
    "methodSettings": {"*/*": METHOD},
    "defaultRouteSettings": ROUTE,
    "routeSettings": {"GET /": ROUTE},
    "canarySettings": {
        "deploymentRef": {"name": "v2"},
        "percentTraffic": 0.5,
        "stageVariableOverrides": {"a": "b"},
        "useStageCache": True,
    },
    "accessLogSettings": {"format": "$context.requestId", "destination": "x"},
    "cacheClusterEnabled": True,
    "cacheClusterSize": "0.5",
    "tracingEnabled": True,
    "clientCertificateRef": {"name": "a"},
}


def test_every_field_is_read() -> None:
    spec = msgspec.convert({"spec": SPEC}, stages.Stage).spec
    pairs: list[tuple[msgspec.Struct | None, dict[str, Any]]] = [
        (spec, SPEC),
        (spec.method_settings["*/*"], METHOD),
        (spec.default_route_settings, ROUTE),
        (spec.canary_settings, SPEC["canarySettings"]),
    ]
    for struct, given in pairs:
        assert struct is not None
        names = {f.encode_name: f for f in msgspec.structs.fields(type(struct))}
        assert set(names) == set(given)
        for name, field in names.items():
            assert getattr(struct, field.name) != field.default, name


@pytest.mark.parametrize(
    ("name", "fine"),
    [
        ("prod", True),
        ("$default", True),
        ("a-b_C9", True),
        ("", False),
        ("a.b", False),
        ("$x", False),
        ("a/b", False),
        ("a" * 128, True),
        ("a" * 129, False),
    ],
)
def test_stage_names(name: str, fine: bool) -> None:
    """AWS §3.15."""
    check({"stageName": name}, fine)


@pytest.mark.parametrize(
    ("variables", "fine"),
    [
        ({"a": "b"}, True),
        ({"a" * 64: "b" * 512}, True),
        ({"a" * 65: "b"}, False),
        ({"a": "b" * 513}, False),
        ({"a-b": "c"}, False),
        ({"a": "b c"}, False),
        ({"a": "{b}"}, False),
        ({"a": ""}, False),
        ({f"v{n}": "x" for n in range(100)}, True),
        ({f"v{n}": "x" for n in range(101)}, False),
    ],
)
def test_stage_variables(variables: dict[str, str], fine: bool) -> None:
    """AWS §3.14."""
    check({"variables": variables}, fine)


@pytest.mark.parametrize(("percent", "fine"), [(0, True), (100, True), (-1, False), (101, False)])
def test_canary_shares(percent: float, fine: bool) -> None:
    """AWS §3.16."""
    check({"canarySettings": {"percentTraffic": percent}}, fine)


def check(given: dict[str, Any], fine: bool) -> None:
    spec = {"apiRef": {"name": "a"}, "stageName": "prod"} | given
    if fine:
        msgspec.convert({"spec": spec}, stages.Stage)
        return
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"spec": spec}, stages.Stage)


def test_deployments() -> None:
    spec = {
        "apiRef": {"name": "a"},
        "description": "x",
        "expectedDigest": "0" * 64,
        "revisionRef": {"name": "r"},
    }
    found = msgspec.convert({"spec": spec}, stages.ApiDeployment).spec
    assert found.expected_digest == "0" * 64
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"spec": spec | {"expectedDigest": "abc"}}, stages.ApiDeployment)
