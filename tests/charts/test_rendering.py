"""What the chart renders, with every values file: whole, consistent and restricted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import helm
from helm import CHART, ROOT, VALUES, HelmFailed, Release
from pod_security import pod_specs, violations

Manifest = dict[str, Any]
Render = Callable[[Release], list[Manifest]]

CLUSTER_SCOPED = frozenset({"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"})


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [one for one in manifests if one["kind"] in kinds]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [one for one in of_kind(manifests, kind) if one["metadata"]["name"] == name]
    return found


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    return of_kind(manifests, "Deployment", "DaemonSet")


def data_planes(manifests: list[Manifest]) -> list[Manifest]:
    found = [
        one
        for one in workloads(manifests)
        if one["metadata"]["labels"]["app.kubernetes.io/component"] != "operator"
    ]
    assert found
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Labels and spec of every pod that comes of them."""
    for one in manifests:
        for spec in pod_specs(one):
            owner = one if one["kind"] == "Pod" else one["spec"]["template"]
            yield owner["metadata"]["labels"], spec


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def first_data_plane(manifests: list[Manifest]) -> Manifest:
    return next(
        one
        for one in data_planes(manifests)
        if one["metadata"]["labels"]["app.kubernetes.io/component"] == "dataplane"
    )


# --- every manifest -------------------------------------------------------------------------


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_lint_finds_nothing(values: Path, helm_home: Path) -> None:
    said = helm.run("lint", "--strict", str(CHART), f"--values={values}", home=helm_home)
    assert "WARNING" not in said


def test_nothing_is_there_twice(rendered: list[Manifest]) -> None:
    keys = Counter(
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
        for one in rendered
    )
    assert [key for key, count in keys.items() if count > 1] == []


def test_everything_has_its_scope(rendered: list[Manifest]) -> None:
    """A manifest without a namespace lands wherever kubectl happens to point."""
    wrong = [
        f"{one['kind']} {one['metadata']['name']}"
        for one in rendered
        if ("namespace" in one["metadata"]) == (one["kind"] in CLUSTER_SCOPED)
    ]
    assert wrong == []


def test_everything_carries_the_labels(rendered: list[Manifest]) -> None:
    for one in rendered:
        if one["kind"] == "CustomResourceDefinition":
            continue
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm", one["metadata"]["name"]
        assert labels["app.kubernetes.io/instance"] == "portico"


def test_labels_of_all_reach_all(render: Render) -> None:
    rendered = render(Release(values=(ROOT / "tests/charts/values/everything.yaml",)))
    without = [
        one["metadata"]["name"]
        for one in rendered
        if one["metadata"].get("labels", {}).get("example.com/team") != "platform"
    ]
    kinds = {one["metadata"]["name"] for one in of_kind(rendered, "CustomResourceDefinition")}
    assert set(without) == kinds


def test_names_are_not_longer_than_kubernetes_allows(render: Render) -> None:
    rendered = render(Release(name="a" * 53, namespace="n" * 40))
    for one in rendered:
        if one["kind"] not in {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}:
            assert len(one["metadata"]["name"]) <= 63, one["metadata"]["name"]


def test_two_releases_share_nothing(render: Render) -> None:
    """Not even in one namespace, but for the kinds, which belong to the cluster."""

    def keys(release: Release) -> set[tuple[str, str, str]]:
        return {
            (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
            for one in render(release)
        }

    planes = (ROOT / "tests/charts/values/planes.yaml",)
    first = keys(Release(name="portico")) | keys(Release(name="portico", values=planes))
    for second in (
        Release(name="portico-two"),
        Release(name="two"),
        Release(name="edge", values=planes),
        Release(namespace="other"),
    ):
        assert {key[0] for key in first & keys(second)} == {"CustomResourceDefinition"}


def test_two_releases_name_nothing_of_each_other_s(render: Render) -> None:
    """Whatever a pod is told or a role allows is the release's own."""
    values = (ROOT / "tests/charts/values/planes.yaml",)
    rendered = render(Release(name="blue", namespace="gateways", values=values))
    for one in rendered:
        if one["kind"] != "CustomResourceDefinition":
            text = json.dumps(one)
            named = set(re.findall(r"(?<![\w./-])portico-[a-z]+(?:-[a-z]+)*", text))
            # Images, the audience of tokens and the owner of fields are every release's.
            assert named <= {"portico-dataplane", "portico-operator", "portico-chart"}, one


def test_a_release_of_any_name_is_named_after_it(render: Render) -> None:
    for name, full in (
        ("portico", "portico"),
        ("edge", "edge-portico"),
        ("my-portico", "my-portico"),
    ):
        rendered = render(Release(name=name))
        for kind, suffix in (
            ("Secret", "-ca"),
            ("ConfigMap", "-ca-bundle"),
            ("Deployment", "-operator"),
            ("Deployment", "-dataplane"),
            ("Service", "-operator-stream"),
        ):
            assert named(rendered, kind, f"{full}{suffix}")
        (spec,) = pod_specs(named(rendered, "Job", f"{full}-class"))
        (told,) = json.loads(spec["containers"][0]["env"][0]["value"])
        assert told["metadata"]["name"] == full


# --- pods -----------------------------------------------------------------------------------


def test_every_pod_is_restricted(rendered: list[Manifest]) -> None:
    found = list(pods(rendered))
    assert len(found) >= 3
    assert [problem for _, spec in found for problem in violations(spec)] == []


def test_only_who_needs_it_gets_an_account_token(rendered: list[Manifest]) -> None:
    automatic = {
        labels["app.kubernetes.io/component"]
        for labels, spec in pods(rendered)
        if spec["automountServiceAccountToken"]
    }
    assert automatic <= {"operator", "class"}
    assert all(
        one["automountServiceAccountToken"] is False for one in of_kind(rendered, "ServiceAccount")
    )


def test_every_container_says_what_it_needs(rendered: list[Manifest]) -> None:
    for _, spec in pods(rendered):
        for container in spec["containers"]:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()


def test_what_pods_name_is_there(rendered: list[Manifest]) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in rendered}
    for _, spec in pods(rendered):
        if "serviceAccountName" in spec:
            assert ("ServiceAccount", spec["serviceAccountName"]) in there
        mounted = {mount["name"] for c in spec["containers"] for mount in c.get("volumeMounts", ())}
        assert mounted == {volume["name"] for volume in spec.get("volumes", ())}
        for volume in spec.get("volumes", ()):
            for source in (volume.get("projected") or {}).get("sources", ()):
                if "configMap" in source:
                    assert ("ConfigMap", source["configMap"]["name"]) in there


def test_probes_name_ports_that_are_open(rendered: list[Manifest]) -> None:
    for one in workloads(rendered):
        for spec in pod_specs(one):
            (container,) = spec["containers"]
            open_ = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["port"] in open_


def test_a_pod_has_the_time_that_its_drain_takes(rendered: list[Manifest]) -> None:
    for plane in data_planes(rendered):
        (spec,) = pod_specs(plane)
        (container,) = spec["containers"]
        given = dict(
            argument.removeprefix("--").split("=", 1)
            for argument in container["args"]
            if argument.startswith("--drain")
        )
        hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = int(given["drain-delay"]) + int(given["drain-seconds"])
        assert spec["terminationGracePeriodSeconds"] > hook + drain


def test_the_data_plane_keeps_its_last_good_in_memory(rendered: list[Manifest]) -> None:
    for plane in data_planes(rendered):
        (spec,) = pod_specs(plane)
        (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "last-good"]
        assert volume["emptyDir"]["medium"] == "Memory"
        (container,) = spec["containers"]
        (mount,) = [m for m in container["volumeMounts"] if m["name"] == "last-good"]
        assert f"--last-good={mount['mountPath']}" in container["args"]


def test_the_data_plane_shows_a_token_for_the_operator_only(rendered: list[Manifest]) -> None:
    for plane in data_planes(rendered):
        (spec,) = pod_specs(plane)
        tokens = [
            source["serviceAccountToken"]
            for volume in spec["volumes"]
            for source in (volume.get("projected") or {}).get("sources", ())
            if "serviceAccountToken" in source
        ]
        assert [token["audience"] for token in tokens] == ["portico-operator"]


def test_an_image_is_named_as_asked(render: Render) -> None:
    rendered = render(Release(values=(ROOT / "tests/charts/values/everything.yaml",)))
    images = {spec["containers"][0]["image"] for _, spec in pods(rendered)}
    digest = "sha256:" + "0123456789abcdef" * 4
    assert images == {
        "registry.example.com/mirror/portico-operator:1.2.3",
        f"registry.example.com/mirror/portico-dataplane@{digest}",
    }


def test_a_user_left_to_the_cluster_is_left_out(render: Render) -> None:
    rendered = render(Release(values=(ROOT / "tests/charts/values/everything.yaml",)))
    (spec,) = pod_specs(named(rendered, "Deployment", "portico-gateway-operator"))
    assert "runAsGroup" not in spec["securityContext"]
    assert spec["securityContext"]["runAsUser"] == 1234


# --- what selects what ----------------------------------------------------------------------


def test_selectors_find_their_pods(rendered: list[Manifest]) -> None:
    by_component = {
        labels["app.kubernetes.io/component"]: (labels, spec) for labels, spec in pods(rendered)
    }
    for one in workloads(rendered):
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert selects(one["spec"]["selector"]["matchLabels"], labels)
    for one in of_kind(rendered, "Service"):
        chosen = [
            (component, spec)
            for component, (labels, spec) in by_component.items()
            if selects(one["spec"]["selector"], labels)
        ]
        (component, spec) = chosen[0]
        assert [name for name, _ in chosen] == [component]
        open_ = {port["name"] for port in spec["containers"][0]["ports"]}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= open_
    for one in of_kind(rendered, "PodDisruptionBudget"):
        wanted = one["spec"]["selector"]["matchLabels"]
        assert sum(selects(wanted, labels) for labels, _ in by_component.values()) == 1


def test_services_do_not_take_each_other_s_pods(render: Render) -> None:
    ours = render(Release(name="portico"))
    theirs = render(Release(name="portico-two"))
    for one in of_kind(ours, "Service"):
        assert not any(selects(one["spec"]["selector"], labels) for labels, _ in pods(theirs))


def test_selectors_outlive_an_upgrade(render: Render) -> None:
    """Selectors cannot change; versions in pod labels would restart pods for nothing."""
    for one in workloads(render(Release())):
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert not {"app.kubernetes.io/version", "helm.sh/chart"} & labels.keys()


def test_network_policies_let_through_what_is_needed(rendered: list[Manifest]) -> None:
    policies = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]
        for one in of_kind(rendered, "NetworkPolicy")
    }
    if not policies:
        return
    labels = {found["app.kubernetes.io/component"]: found for found, _ in pods(rendered)}

    def may(source: str, target: str, port: str) -> bool:
        return any(
            port in {entry["port"] for entry in rule["ports"]}
            and (
                "from" not in rule
                or any(
                    selects(peer["podSelector"]["matchLabels"], labels[source])
                    for peer in rule["from"]
                    if "podSelector" in peer
                )
            )
            for rule in policies[target]["ingress"]
        )

    planes = [one for one in labels if one.startswith("dataplane")]
    assert set(planes) == {one for one in policies if one.startswith("dataplane")}
    for plane in planes:
        assert may(plane, "operator", "stream")
        assert may("test", plane, "admin")
    assert may("test", "operator", "admin")
    assert not may("test", "operator", "stream")
    open_ports = {port["port"] for rule in policies["operator"]["egress"] for port in rule["ports"]}
    assert 53 in open_ports
    assert open_ports & {443, 8443}


def test_an_empty_list_of_peers_is_nobody_for_metrics_and_everybody_for_traffic(
    render: Render,
) -> None:
    none = Release(sets=("networkPolicy.metricsFrom=null",))
    policy = named(render(none), "NetworkPolicy", "portico-dataplane")["spec"]
    traffic, admin = policy["ingress"]
    assert "from" not in traffic
    (peer,) = admin["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"


# --- shapes of the data plane ---------------------------------------------------------------


def test_a_daemon_set_has_no_replicas_and_no_autoscaler(render: Render) -> None:
    rendered = render(Release(sets=("dataPlane.kind=DaemonSet",)))
    found = first_data_plane(rendered)
    assert found["kind"] == "DaemonSet"
    assert "replicas" not in found["spec"]
    assert "strategy" not in found["spec"]
    assert found["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_an_autoscaler_owns_the_replicas(render: Render) -> None:
    rendered = render(Release(sets=("dataPlane.autoscaling.enabled=true",)))
    found = first_data_plane(rendered)
    assert "replicas" not in found["spec"]
    (scaler,) = of_kind(rendered, "HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == found["metadata"]["name"]


def test_a_daemon_set_cannot_be_scaled(render: Render) -> None:
    sets = ("dataPlane.kind=DaemonSet", "dataPlane.autoscaling.enabled=true")
    with pytest.raises(HelmFailed, match="as many pods as nodes"):
        render(Release(sets=sets))


def test_workers_are_left_to_the_data_plane(render: Render) -> None:
    (spec,) = pod_specs(first_data_plane(render(Release())))
    assert not [a for a in spec["containers"][0]["args"] if a.startswith("--workers")]
    (spec,) = pod_specs(first_data_plane(render(Release(sets=("dataPlane.workers=3",)))))
    assert "--workers=3" in spec["containers"][0]["args"]


def test_pods_spread(render: Render) -> None:
    for one in workloads(render(Release())):
        (spec,) = pod_specs(one)
        keys = [c["topologyKey"] for c in spec["topologySpreadConstraints"]]
        assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


# --- kinds and the class --------------------------------------------------------------------


def test_the_chart_s_definitions_are_those_of_the_tree() -> None:
    """After a change: cp crds/*.yaml charts/portico/files/crds/."""
    tree = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    chart = {path.name: path.read_text() for path in (CHART / "files/crds").glob("*.yaml")}
    assert len(tree) == 13
    assert chart == tree


def test_definitions_are_rendered_as_they_are_and_kept(render: Render) -> None:
    """Helm reads numbers as floats: a limit of 10485760 must not come out as 1.048576e+07."""
    rendered = {one["metadata"]["name"]: one for one in render(Release()) if kept(one)}
    definitions = [
        yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))
    ]
    for definition in definitions:
        annotations = definition["metadata"].setdefault("annotations", {})
        annotations["helm.sh/resource-policy"] = "keep"
        assert rendered[definition["metadata"]["name"]] == definition
    assert len(rendered) == len(definitions), "nothing else survives an uninstall"


def kept(manifest: Manifest) -> bool:
    annotations = manifest["metadata"].get("annotations") or {}
    return annotations.get("helm.sh/resource-policy") == "keep"


def test_definitions_can_be_left_to_others(render: Render) -> None:
    rendered = render(Release(sets=("crds.install=false",)))
    assert not of_kind(rendered, "CustomResourceDefinition")


def test_a_release_fits_into_its_secret(helm_home: Path) -> None:
    """Helm keeps chart and manifests, compressed and in base64, in one Secret of 1 MiB at most."""
    import base64
    import gzip

    parts = [base64.b64encode(path.read_bytes()) for path in CHART.rglob("*") if path.is_file()]
    parts.append(helm.render(Release(values=(VALUES[0],)), helm_home).encode())
    size = len(base64.b64encode(base64.b64encode(gzip.compress(b"".join(parts)))))
    assert size < 700_000


def test_the_class_says_what_the_values_say(render: Render) -> None:
    rendered = render(Release(values=(ROOT / "tests/charts/values/namespaces.yaml",)))
    (spec,) = pod_specs(named(rendered, "Job", "edge-class"))
    (told,) = json.loads(spec["containers"][0]["env"][0]["value"])
    assert (told["kind"], told["metadata"]["name"]) == ("PorticoClass", "edge")
    assert told["metadata"]["annotations"] == {
        "meta.helm.sh/release-name": "portico",
        "meta.helm.sh/release-namespace": "portico-system",
    }
    assert told["spec"] == {
        "default": False,
        "baseDomain": "apis.example.com",
        "addressTemplate": "{api}-{namespace}.{baseDomain}",
        "accountId": "123456789012",
        "trustedProxies": ["10.0.0.0/8"],
    }


def test_each_data_plane_brings_its_class(render: Render) -> None:
    rendered = render(Release(values=(ROOT / "tests/charts/values/planes.yaml",)))
    (spec,) = pod_specs(named(rendered, "Job", "portico-gw-class"))
    told = json.loads(spec["containers"][0]["env"][0]["value"])
    assert {one["metadata"]["name"]: one["spec"] for one in told} == {
        "public": {"default": True, "baseDomain": "localhost"},
        "internal": {"default": False, "baseDomain": "internal.localhost"},
        "edge-of-the-world": {
            "default": False,
            "baseDomain": "edge.example.com",
            "region": "eu-central-1",
        },
    }


def test_a_class_can_be_left_to_others(render: Render) -> None:
    sets = ("class.create=false", "dataPlanes.internal.class.create=true")
    (spec,) = pod_specs(named(render(Release(sets=sets)), "Job", "portico-class"))
    (told,) = json.loads(spec["containers"][0]["env"][0]["value"])
    assert told["metadata"]["name"] == "internal"
    without = Release(sets=(sets[0], "dataPlanes.internal.class.create=false"))
    assert not of_kind(render(without), "Job")


def test_the_class_is_no_part_of_the_release(render: Render) -> None:
    """Helm refuses a manifest of a kind that this very release brings."""
    rendered = render(Release())
    assert not of_kind(rendered, "PorticoClass")
    (job,) = of_kind(rendered, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"].startswith("post-install,post-upgrade")


def test_the_authority_is_made_empty(render: Render) -> None:
    """An upgrade must not wipe what the operator has put there: the chart states no contents."""
    for kind, name in (("Secret", "portico-ca"), ("ConfigMap", "portico-ca-bundle")):
        found = named(render(Release()), kind, name)
        assert not {"data", "stringData", "binaryData"} & found.keys()


def test_notes_say_how_to_go_on(helm_home: Path) -> None:
    """`helm template` leaves them out; a dry run shows them."""
    notes = (CHART / "templates/NOTES.txt").read_text()
    for promised in ("rollout status", "kubectl get portico", "port-forward", "uninstall"):
        assert promised in notes
