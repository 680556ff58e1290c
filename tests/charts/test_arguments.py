"""The command lines that the chart writes are read by the programs, and mean what is rendered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import helm
from helm import HelmFailed, Release
from pod_security import pod_specs
from portico_dataplane import settings as data_plane_settings
from portico_dataplane.limit_arguments import LIMITS
from portico_operator import settings as operator_settings

Manifest = dict[str, Any]
Render = Callable[[Release], list[Manifest]]
NAMESPACE = "portico-system"
VALUES = helm.ROOT / "tests" / "charts" / "values"


def container(manifests: list[Manifest], component: str) -> dict[str, Any]:
    return the_container(workload(manifests, component))


def workload(manifests: list[Manifest], component: str) -> Manifest:
    (found,) = [
        one
        for one in manifests
        if one["kind"] in {"Deployment", "DaemonSet"}
        and one["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ]
    return found


def data_planes(manifests: list[Manifest]) -> list[dict[str, Any]]:
    """The containers of every data plane."""
    return [
        the_container(one)
        for one in manifests
        if one["kind"] in {"Deployment", "DaemonSet"}
        and one["metadata"]["labels"]["app.kubernetes.io/component"] != "operator"
    ]


def the_container(of: Manifest) -> dict[str, Any]:
    (spec,) = pod_specs(of)
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
    assert len({settings.stream_port, settings.admin_port, settings.usage_port}) == 3
    services = names(rendered, "Service")
    assert settings.stream_service in services
    planes = {plane.name for plane in settings.data_planes}
    assert planes <= services
    assert planes == {one["pod"]["serviceAccountName"] for one in data_planes(rendered)}
    assert settings.ca_secret in names(rendered, "Secret")
    assert settings.ca_bundle in names(rendered, "ConfigMap")
    for one in rendered:
        if one["kind"] == "Job":
            (spec,) = pod_specs(one)
            told = json.loads(spec["containers"][0]["env"][0]["value"])
            assert [plane.class_name for plane in settings.data_planes] == [
                document["metadata"]["name"] for document in told
            ]
            assert settings.base_domain == told[0]["spec"]["baseDomain"]


def test_each_data_plane_has_a_class_a_service_and_pods_of_its_own(render: Render) -> None:
    rendered = render(Release(values=(VALUES / "planes.yaml",)))
    operator = container(rendered, "operator")
    settings = operator_settings.read(operator["args"], environment(operator))
    assert settings.data_planes == (
        operator_settings.DataPlane("public", "portico-gw-dataplane"),
        operator_settings.DataPlane("edge-of-the-world", "portico-gw-edge"),
        operator_settings.DataPlane("internal", "portico-gw-internal"),
    )
    accounts = [one["pod"]["serviceAccountName"] for one in data_planes(rendered)]
    assert len(accounts) == len(set(accounts)) == 3


def test_a_data_plane_has_what_it_says_and_the_rest_of_the_first(render: Render) -> None:
    rendered = render(Release(values=(VALUES / "planes.yaml",)))
    edge, internal = (workload(rendered, f"dataplane-{key}") for key in ("edge", "internal"))
    assert (edge["kind"], internal["kind"]) == ("DaemonSet", "Deployment")
    assert the_container(edge)["image"] == "portico-dataplane:9.9.9"
    assert "--workers=1" in the_container(edge)["args"]
    assert "--workers=2" in the_container(internal)["args"]
    assert ports(the_container(edge)) == {"traffic": 8081, "tls": 8443, "admin": 9904}
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]
        for one in rendered
        if one["kind"] == "HorizontalPodAutoscaler"
    }
    assert scaled == {"portico-gw-dataplane", "portico-gw-internal"}
    kept = {one["metadata"]["name"] for one in rendered if one["kind"] == "PodDisruptionBudget"}
    assert "portico-gw-edge" not in kept
    assert "portico-gw-internal" in kept


def test_a_port_of_the_nodes_is_the_first_s_only(render: Render) -> None:
    rendered = render(Release(values=(VALUES / "planes.yaml",)))
    given = [
        (one["metadata"]["name"], entry["nodePort"])
        for one in rendered
        if one["kind"] == "Service"
        for entry in one["spec"]["ports"]
        if "nodePort" in entry
    ]
    assert given == [("portico-gw-dataplane", 30080)]


def test_tls_has_a_port_everywhere_or_nowhere(render: Render) -> None:
    def found(*sets: str) -> tuple[set[str], set[str], list[str]]:
        rendered = render(Release(sets=sets))
        container = the_container(workload(rendered, "dataplane"))
        services = [one for one in rendered if one["kind"] == "Service"]
        traffic = next(one for one in services if one["metadata"]["name"] == "portico-dataplane")
        told = {f"{entry['name']}:{entry['port']}" for entry in traffic["spec"]["ports"]}
        policies = [one for one in rendered if one["kind"] == "NetworkPolicy"]
        policy = next(o for o in policies if o["metadata"]["name"] == "portico-dataplane")
        opened = [entry["port"] for entry in policy["spec"]["ingress"][0]["ports"]]
        return set(ports(container)), told, opened

    assert found() == (
        {"traffic", "tls", "admin"},
        {"http:80", "https:443"},
        ["traffic", "tls"],
    )
    assert found("dataPlane.tls.enabled=false") == (
        {"traffic", "admin"},
        {"http:80"},
        ["traffic"],
    )


def test_the_default_certificate_is_mounted_and_named(render: Render) -> None:
    sets = ("dataPlane.tls.defaultCertificateSecret=mine", "dataPlane.proxyProtocol=true")
    one = workload(render(Release(sets=sets)), "dataplane")
    settings = data_plane_settings.parse(the_container(one)["args"], {})
    assert settings.proxy_protocol
    assert settings.tls_certificate == "/var/run/portico/tls/tls.crt"
    assert settings.tls_key == "/var/run/portico/tls/tls.key"
    volumes = one["spec"]["template"]["spec"]["volumes"]
    assert {"secretName": "mine", "defaultMode": 0o440} in [v.get("secret") for v in volumes]


def test_limits_are_options_of_the_same_names(render: Render, tmp_path: Path) -> None:
    """Each value of `dataPlane.limits` is one field of the data plane's settings, and each option
    there is has a value; what nobody sets is not said."""
    known = yaml.safe_load((helm.ROOT / "charts" / "portico" / "values.yaml").read_text())
    names = known["dataPlane"]["limits"]
    assert len(names) == len(LIMITS)
    given = {name: number for number, name in enumerate(names, 1_000_000)}
    given |= {name: 7.5 for name in names if name.endswith(("Timeout", "Lag"))}
    file = tmp_path / "limits.yaml"
    file.write_text(yaml.safe_dump({"dataPlane": {"limits": given}}))
    args = container(render(Release(values=(file,))), "dataplane")["args"]
    settings = data_plane_settings.parse(args, {})
    read = sorted(getattr(settings, limit.field) for limit in LIMITS)
    assert read == sorted(given.values())
    usual = container(render(Release()), "dataplane")["args"]
    assert not [one for one in usual if one.partition("=")[0] in {limit.option for limit in LIMITS}]


@pytest.mark.parametrize(
    "wrong", ["maxConnections=0", "maxInFlight=many", "overloadLag=-1", "headTimeout=0", "max=1"]
)
def test_a_limit_that_is_none_is_refused(helm_home: Path, wrong: str) -> None:
    with pytest.raises(HelmFailed, match="limits"):
        helm.render(Release(sets=(f"dataPlane.limits.{wrong}",)), helm_home)


def test_two_ports_of_one_number_are_refused(helm_home: Path) -> None:
    with pytest.raises(HelmFailed, match="need a port each"):
        helm.render(Release(sets=("operator.ports.admin=9902",)), helm_home)


def test_two_data_planes_of_one_class_are_refused(helm_home: Path) -> None:
    release = Release(sets=("dataPlanes.internal.class.name=portico",))
    with pytest.raises(HelmFailed, match="two data planes serve the class portico"):
        helm.render(release, helm_home)


def test_the_data_plane_reads_its_own(rendered: list[Manifest]) -> None:
    for found in data_planes(rendered):
        settings = data_plane_settings.parse(found["args"], environment(found))
        assert settings.port == ports(found)["traffic"]
        assert settings.admin_port == ports(found)["admin"]
        assert settings.tls_port == ports(found)["tls"]
        mounts = {mount["mountPath"] for mount in found["volumeMounts"]}
        for file in (settings.tls_certificate, settings.tls_key):
            assert not file or any(file.startswith(mount) for mount in mounts)
        named = dict(a.removeprefix("--").split("=", 1) for a in found["args"] if "=" in a)
        for option in ("token-file", "ca-file", "last-good"):
            assert any(named[option].startswith(mount) for mount in mounts), option


def test_the_data_plane_calls_the_operator_by_a_name_that_its_certificate_has(
    rendered: list[Manifest],
) -> None:
    from portico_operator.app import _names

    operator = container(rendered, "operator")
    told = operator_settings.read(operator["args"], environment(operator))
    (address,) = {
        a.removeprefix("--operator=")
        for found in data_planes(rendered)
        for a in found["args"]
        if a.startswith("--operator=")
    }
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
