"""The CRDs on a real API server: served, structural, shown, and of one mind with the compiler."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import worlds
from control_plane import CRDS, ControlPlane
from kubernetes_api import GROUP_VERSION, OURS, Refused
from portico_compiler import validation
from portico_compiler.compiler import compile  # noqa: A004
from portico_compiler.manifests.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("manifests/**/*.yaml"))
GOLDEN = sorted((ROOT / "tests" / "golden" / "cases").glob("*.in.yaml"))
ROUTE = {
    "apiRef": {"name": "shop"},
    "routeKey": "GET /",
    "integration": {"url": "http://backend.example/"},
}


def documents(file: Path) -> list[dict[str, Any]]:
    """Objects in a file, Lists unpacked; what is no object is left out."""
    found: list[dict[str, Any]] = []
    for document in yaml.safe_load_all(file.read_text()):
        items = document.get("items", [document]) if isinstance(document, dict) else []
        found += [item for item in items if isinstance(item, dict) and item.get("kind")]
    return found


def is_accepted(document: dict[str, Any]) -> bool:
    """Whether the compiler has nothing to say about the object by itself."""
    _, refused = worlds.of_raws([document])
    body = {key: document[key] for key in document if key not in ("apiVersion", "kind", "metadata")}
    return not refused and not validation.read(document["kind"], body).faults


def ours(file: Path) -> list[dict[str, Any]]:
    """Objects of our kinds that the compiler accepts."""
    return [d for d in documents(file) if d["kind"] in OURS and is_accepted(d)]


def placed(document: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The object in a namespace that exists."""
    metadata = {"name": document["metadata"]["name"]}
    if document["kind"] != "PorticoClass":
        metadata["namespace"] = namespace
    return document | {"metadata": metadata}


def tried(cluster: ControlPlane, document: dict[str, Any]) -> dict[str, Any]:
    """What the API server makes of it; nothing is kept."""
    trial = placed(document, "default")
    if document["kind"] == "PorticoClass":
        # Tests of the chart leave theirs, as uninstalling does.
        trial["metadata"]["name"] += "-on-trial"
    return cluster.api.create(trial, dry_run=True)


def made(kind: str, spec: dict[str, Any], namespace: str, name: str = "one") -> dict[str, Any]:
    """An object of one of our kinds."""
    return placed(
        {"apiVersion": GROUP_VERSION, "kind": kind, "metadata": {"name": name}}, namespace
    ) | {"spec": spec}


def in_order(document: dict[str, Any]) -> dict[str, Any]:
    """The same with the keys of every mapping sorted."""
    ordered: dict[str, Any] = json.loads(json.dumps(document, sort_keys=True))
    return ordered


def test_every_kind_is_established_and_structural(cluster: ControlPlane) -> None:
    found = {}
    for file in CRDS.glob("*.yaml"):
        name = yaml.safe_load(file.read_text())["metadata"]["name"]
        crd = cluster.api.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
        conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
        assert conditions["Established"] == "True"
        assert conditions["NamesAccepted"] == "True", "a short name is taken"
        assert conditions.get("NonStructuralSchema", "False") == "False"
        found[crd["spec"]["names"]["kind"]] = crd["spec"]["names"]["plural"]
    assert found == OURS


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
def test_examples_are_taken_as_they_stand(
    cluster: ControlPlane, fresh_namespace: str, file: Path
) -> None:
    for document in documents(file):
        answer = cluster.kubectl(
            "create",
            "--dry-run=server",
            "--validate=strict",
            "-o",
            "json",
            "-f",
            "-",
            stdin=json.dumps(placed(document, fresh_namespace)),
        )
        assert json.loads(answer.stdout)["kind"] == document["kind"]


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.name.removesuffix(".in.yaml"))
def test_what_the_compiler_accepts_is_accepted(cluster: ControlPlane, file: Path) -> None:
    """And comes back, defaults filled in, as what compiles to the same."""
    for document in ours(file):
        answer = tried(cluster, document)
        body = {"spec": answer["spec"]} if "spec" in answer else {}
        reading = validation.read(document["kind"], body)
        assert not reading.faults
        sent = {"spec": document["spec"]} if "spec" in document else {}
        assert reading.content == validation.read(document["kind"], sent).content


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.name.removesuffix(".in.yaml"))
def test_defaults_change_nothing_that_is_compiled(cluster: ControlPlane, file: Path) -> None:
    # The API server sorts the keys of mappings, so let them be sorted before.
    before = [in_order(d) for d in documents(file) if d["kind"] in KINDS]
    after = []
    for document in before:
        if document["kind"] in OURS and is_accepted(document):
            answer = tried(cluster, document)
            document = document | {"spec": answer.get("spec", {})}
        after.append(document)
    snapshots = []
    for raws in (before, after):
        world, _ = worlds.of_raws(raws)
        result = compile(world)
        snapshots.append((worlds.snapshot_document(result), worlds.status_document(result, [])))
    assert snapshots[0] == snapshots[1]


@pytest.mark.parametrize("kind", sorted(OURS))
def test_unknown_fields_are_refused(cluster: ControlPlane, fresh_namespace: str, kind: str) -> None:
    with pytest.raises(Refused) as refused:
        cluster.api.create(made(kind, {"apiKeyRequird": True}, fresh_namespace), dry_run=True)
    assert 'unknown field "spec.apiKeyRequird"' in refused.value.message


def test_unknown_fields_deep_inside_are_refused(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    spec = ROUTE | {"integration": ROUTE["integration"] | {"tlsConfig": {"caReff": 1}}}  # type: ignore[operator]
    with pytest.raises(Refused) as refused:
        cluster.api.create(made("Route", spec, fresh_namespace), dry_run=True)
    assert 'unknown field "spec.integration.tlsConfig.caReff"' in refused.value.message


@pytest.mark.parametrize("kind", ["RestApi", "HttpApi", "WebSocketApi", "PorticoClass"])
def test_a_spec_may_be_absent_where_all_of_it_has_defaults(
    cluster: ControlPlane, fresh_namespace: str, kind: str
) -> None:
    document = made(kind, {}, fresh_namespace)
    del document["spec"]
    answer = cluster.api.create(document, dry_run=True)
    content = KINDS[kind].shape()
    assert validation.read(kind, {"spec": answer["spec"]}).content == content


def test_null_is_the_same_as_absent(cluster: ControlPlane, fresh_namespace: str) -> None:
    spec = ROUTE | {"throttle": None, "authorizationType": None, "requestModels": None}
    answer = cluster.api.create(made("Route", spec, fresh_namespace), dry_run=True)
    assert "throttle" not in answer["spec"]
    assert answer["spec"]["authorizationType"] == "NONE"
    assert not validation.read("Route", {"spec": spec}).faults


def test_a_label_is_what_an_api_is_called(cluster: ControlPlane, fresh_namespace: str) -> None:
    for kind in ("RestApi", "HttpApi", "WebSocketApi"):
        for name in ("with.dot", "x" * 64):
            document = made(kind, {}, fresh_namespace, name)
            _, problems = worlds.of_raws([document])
            with pytest.raises(Refused) as refused:
                cluster.api.create(document, dry_run=True)
            assert problems[0].message in refused.value.message
        cluster.api.create(made(kind, {}, fresh_namespace, "x" * 63), dry_run=True)


def test_a_deployment_is_immutable(cluster: ControlPlane, fresh_namespace: str) -> None:
    document = made("ApiDeployment", {"apiRef": {"name": "shop"}}, fresh_namespace)
    cluster.api.create(document)
    labelled = document | {"metadata": document["metadata"] | {"labels": {"a": "b"}}}
    cluster.api.apply(labelled)
    changed = document | {"spec": {"apiRef": {"name": "shop"}, "description": "other"}}
    with pytest.raises(Refused) as refused:
        cluster.api.apply(changed)
    assert "spec: Invalid value" in refused.value.message
    assert "an ApiDeployment is immutable: make another one" in refused.value.message


def test_a_route_may_move_to_another_api(cluster: ControlPlane, fresh_namespace: str) -> None:
    cluster.api.create(made("Route", ROUTE, fresh_namespace))
    moved = cluster.api.apply(made("Route", ROUTE | {"apiRef": {"name": "other"}}, fresh_namespace))
    assert moved["spec"]["apiRef"]["name"] == "other"


# --- what kubectl shows -----------------------------------------------------------------------


def status(ready: str, **more: Any) -> dict[str, Any]:
    """A status as the operator writes it."""
    condition = {
        "type": "Programmed",
        "status": ready,
        "reason": "Programmed",
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "observedGeneration": 1,
    }
    return {"observedGeneration": 1, "conditions": [condition]} | more


def test_get_portico_lists_every_kind(cluster: ControlPlane, fresh_namespace: str) -> None:
    specs: dict[str, dict[str, Any]] = {
        "Route": ROUTE,
        "Stage": {"apiRef": {"name": "one"}, "stageName": "prod"},
        "Authorizer": {"apiRef": {"name": "one"}, "authorizerType": "REQUEST", "function": "f"},
        "ApiDeployment": {"apiRef": {"name": "one"}},
        "ApiKey": {"secretRef": {"name": "keys"}},
        "DomainName": {"domainNames": ["shop.example"]},
        "ApiMapping": {"domainRef": {"name": "one"}, "apiRef": {"name": "one"}},
    }
    url = "http://one.test.localhost"
    more = {
        "apiId": "abcdefghij",
        "addresses": [url],
        "dataPlane": {"pods": 2, "acknowledged": 2, "propagation": "87ms"},
    }
    try:
        for kind in OURS:
            document = made(kind, specs.get(kind, {}), fresh_namespace)
            cluster.api.create(document)
            shown = {key: document[key] for key in ("apiVersion", "kind", "metadata")}
            cluster.api.apply(shown | {"status": status("True", **more)}, "status")
        plain = cluster.kubectl("get", "portico", "-n", fresh_namespace).stdout
        listed = set(re.findall(r"^(\w+)\.portico\.dev/one ", plain, re.MULTILINE))
        assert listed == {kind.lower() for kind in OURS}
        wide = cluster.kubectl("get", "restapis", "-n", fresh_namespace, "-o", "wide").stdout
        heading, line = (re.split(r"\s{2,}", text.strip()) for text in wide.splitlines())
        assert heading == ["NAME", "ADDRESS", "CLASS", "API-ID", "PODS", "READY", "REASON", "AGE"]
        assert line[1:3] == [url, "abcdefghij"], "CLASS is empty"
        heading_only = cluster.kubectl("get", "routes", "-n", fresh_namespace).stdout.split("\n")[0]
        assert heading_only.split() == ["NAME", "API", "KEY", "READY", "AGE"]
    finally:
        cluster.api.delete(GROUP_VERSION, "PorticoClass", "one")


def test_short_names_and_explain_work(cluster: ControlPlane) -> None:
    for name in ("pclass", "rapi", "hapi", "wsapi", "rt", "authz", "stg", "apidep", "uplan"):
        cluster.kubectl("get", name, "-A")
    for name in ("akey", "iamu", "dname", "amap"):
        cluster.kubectl("get", name, "-A")
    said = cluster.kubectl("explain", "routes.spec.integration.timeout").stdout
    assert "a duration such as 29s" in said


def test_waiting_for_programmed_works(cluster: ControlPlane, fresh_namespace: str) -> None:
    document = made("Route", ROUTE, fresh_namespace)
    cluster.api.create(document)
    shown = {key: document[key] for key in ("apiVersion", "kind", "metadata")}
    cluster.api.apply(shown | {"status": status("True")}, "status")
    cluster.kubectl(
        "wait", "--for=condition=Programmed", "--timeout=30s", "-n", fresh_namespace, "route/one"
    )


def test_the_status_is_no_part_of_the_spec(cluster: ControlPlane, fresh_namespace: str) -> None:
    document = made("Route", ROUTE, fresh_namespace)
    first = cluster.api.create(document)
    shown = {key: document[key] for key in ("apiVersion", "kind", "metadata")}
    second = cluster.api.apply(shown | {"status": status("False")}, "status")
    assert second["metadata"]["generation"] == first["metadata"]["generation"] == 1
    third = cluster.api.apply(document | {"spec": ROUTE | {"routeKey": "GET /b"}})
    assert third["metadata"]["generation"] == 2
    assert third["status"] == second["status"]
