"""The command lines that the chart writes are read by the programs, and mean what is rendered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from helm import Release
from pod_security import pod_specs
from portico_dataplane import settings as data_plane_settings
from portico_operator import settings as operator_settings

Manifest = dict[str, Any]
Render = Callable[[Release], list[Manifest]]
NAMESPACE = "portico-system"
TRUSTED = ("portico-ca", "portico-ca-bundle")


def container(manifests: list[Manifest], component: str) -> dict[str, Any]:
    (found,) = [
        one
        for one in manifests
        if one["kind"] in {"Deployment", "DaemonSet"}
        and one["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ]
    (spec,) = pod_specs(found)
    (only,) = spec["containers"]
    return {**only, "pod": spec}


def environment(of: dict[str, Any]) -> dict[str, str]:
    """As the pod `the-pod` would see it."""
    fields = {"metadata.name": "the-pod", "metadata.namespace": NAMESPACE, "spec.nodeName": "node"}
    return {
        entry["name"]: entry.get("value")
        or fields[entry.get("valueFrom", {})["fieldRef"]["fieldPath"]]
        for entry in of["env"]
    }


def names(manifests: list[Manifest], kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in manifests if one["kind"] == kind}


def ports(of: dict[str, Any]) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in of["ports"]}


def test_the_operator_reads_its_own(rendered: list[Manifest]) -> None:
    found = container(rendered, "operator")
    settings = operator_settings.read(found["args"], environment(found))
    assert settings.namespace == NAMESPACE
    assert settings.identity.startswith("the-pod")
    assert settings.stream_port == ports(found)["stream"]
    assert settings.admin_port == ports(found)["admin"]
    services = names(rendered, "Service")
    assert {settings.data_plane_service, settings.stream_service} <= services
    assert (
        settings.data_plane_account == container(rendered, "dataplane")["pod"]["serviceAccountName"]
    )
    assert settings.ca_secret in names(rendered, "Secret")
    assert settings.ca_bundle in names(rendered, "ConfigMap")
    for one in rendered:
        if one["kind"] == "Job":
            (spec,) = pod_specs(one)
            told = json.loads(spec["containers"][0]["env"][0]["value"])
            assert settings.class_name == told["metadata"]["name"]
            assert settings.base_domain == told["spec"]["baseDomain"]


def test_the_data_plane_reads_its_own(rendered: list[Manifest]) -> None:
    found = container(rendered, "dataplane")
    settings = data_plane_settings.parse(found["args"], environment(found))
    assert settings.port == ports(found)["traffic"]
    assert settings.admin_port == ports(found)["admin"]
    mounts = {mount["mountPath"] for mount in found["volumeMounts"]}
    named = dict(a.removeprefix("--").split("=", 1) for a in found["args"] if "=" in a)
    for option in ("token-file", "ca-file", "last-good"):
        assert any(named[option].startswith(mount) for mount in mounts), option


def test_the_data_plane_calls_the_operator_by_a_name_that_its_certificate_has(
    rendered: list[Manifest],
) -> None:
    from portico_operator.app import _names

    operator = container(rendered, "operator")
    told = operator_settings.read(operator["args"], environment(operator))
    (address,) = [
        a.removeprefix("--operator=")
        for a in container(rendered, "dataplane")["args"]
        if a.startswith("--operator=")
    ]
    host, _, port = address.rpartition(":")
    assert host in _names(told)
    assert int(port) == told.stream_port
    service = host.partition(".")[0]
    (found,) = [
        one for one in rendered if one["kind"] == "Service" and one["metadata"]["name"] == service
    ]
    # Headless: the port is the pod's own, whatever targetPort says.
    assert found["spec"]["clusterIP"] == "None"
    assert [entry["port"] for entry in found["spec"]["ports"]] == [told.stream_port]


def test_the_lease_is_the_one_that_may_be_written(rendered: list[Manifest]) -> None:
    found = container(rendered, "operator")
    settings = operator_settings.read(found["args"], environment(found))
    allowed = {
        name
        for one in rendered
        if one["kind"] == "Role"
        for rule in one["rules"]
        if "leases" in rule["resources"]
        for name in rule.get("resourceNames", ())
    }
    assert allowed == {settings.lease}


def test_the_operator_serves_the_namespaces_that_it_may_read(render: Render) -> None:
    release = Release(sets=("watchNamespaces={shop,warehouse,shop}",))
    found = container(render(release), "operator")
    settings = operator_settings.read(found["args"], environment(found))
    assert settings.watch_namespaces == ("shop", "warehouse")
    roles = {one["metadata"]["namespace"] for one in render(release) if one["kind"] == "Role"}
    assert roles == {"shop", "warehouse", NAMESPACE}


@pytest.mark.parametrize(
    ("sets", "port"),
    [
        ((), None),
        (("dataPlane.service.port=8000",), 8000),
        (("public.scheme=https",), None),
        (("public.scheme=https", "public.port=8443"), 8443),
        (("public.port=8080",), 8080),
    ],
)
def test_addresses_name_a_port_where_clients_must(
    sets: tuple[str, ...], port: int | None, render: Render
) -> None:
    found = container(render(Release(sets=sets)), "operator")
    assert operator_settings.read(found["args"], environment(found)).public_port == port


def test_nobody_writes_to_disk(rendered: list[Manifest]) -> None:
    """Keys and configuration stay in memory: whatever can be written to is a tmpfs."""
    for component in ("operator", "dataplane"):
        for volume in container(rendered, component)["pod"].get("volumes", ()):
            if "emptyDir" in volume:
                assert volume["emptyDir"]["medium"] == "Memory"
                assert "sizeLimit" in volume["emptyDir"]
