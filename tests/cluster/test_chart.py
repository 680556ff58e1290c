"""The chart against a real API server: what it would refuse, and what a release's life leaves.

Nothing schedules pods here, so hooks that run in pods are left out of `helm install`; the script
of one of them is run by hand. tests/charts checks what needs no server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import helm
from control_plane import ControlPlane
from helm import CHART, VALUES, HelmFailed, HelmMissing, Release
from kubernetes_api import Refused
from pod_security import pod_specs

Manifest = dict[str, Any]
ELSEWHERE = "monitoring.coreos.com"
"""Kinds of the Prometheus operator, which is not installed here."""
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        helm.binary()
    except HelmMissing as why:
        pytest.skip(str(why))
    return tmp_path_factory.mktemp("helm")


@pytest.fixture
def restricted_namespace(control_plane: ControlPlane, fresh_namespace: str) -> str:
    """A namespace that takes restricted pods only."""
    patch = json.dumps({"metadata": {"labels": RESTRICTED}})
    control_plane.kubectl("patch", "namespace", fresh_namespace, "--type=merge", f"-p={patch}")
    return fresh_namespace


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_api_server_takes_every_manifest(
    values: Path, cluster: ControlPlane, restricted_namespace: str, home: Path
) -> None:
    """Strictly: an unknown field is an error, as is anything that validation finds."""
    told = yaml.safe_load(values.read_text()) or {}
    namespaces = [*told.get("watchNamespaces", ())]
    for name in namespaces:
        cluster.api.create_namespace(name)
    try:
        text = helm.render(Release(namespace=restricted_namespace, values=(values,)), home)
        manifests = helm.documents(text)
        known = [one for one in manifests if ELSEWHERE not in one["apiVersion"]]
        done = cluster.kubectl(
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--force-conflicts",
            "-f",
            "-",
            stdin=yaml.safe_dump_all(known),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        assert len(done.stdout.splitlines()) == len(known)
    finally:
        for name in namespaces:
            cluster.api.remove_namespace(name)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_its_pods_are_admitted_to_a_restricted_namespace(
    values: Path, cluster: ControlPlane, restricted_namespace: str, home: Path
) -> None:
    """By the API server's own Pod Security admission, which only warns about Deployments."""
    release = Release(namespace=restricted_namespace, values=(values,))
    for manifest in helm.documents(helm.render(release, home)):
        for number, spec in enumerate(pod_specs(manifest)):
            own = {key: value for key, value in spec.items() if key != "priorityClassName"}
            metadata = {
                "name": f"{manifest['metadata']['name']}-{number}",
                "namespace": restricted_namespace,
            }
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
            cluster.api.create({**pod, "spec": {"restartPolicy": "Always", **own}}, dry_run=True)


def test_restricted_is_enforced_here(cluster: ControlPlane, restricted_namespace: str) -> None:
    """Otherwise the test above would prove nothing."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": restricted_namespace},
        "spec": {"containers": [{"name": "c", "image": "none"}]},
    }
    with pytest.raises(Refused, match="restricted"):
        cluster.api.create(pod, dry_run=True)


# --- the life of a release ------------------------------------------------------------------


class Helm:
    """helm for one cluster."""

    def __init__(self, cluster: ControlPlane, namespace: str, home: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._home = home

    def __call__(self, *arguments: str) -> str:
        config = f"--kubeconfig={self.cluster.kubeconfig}"
        return helm.run(*arguments, config, f"--namespace={self.namespace}", home=self._home)

    def objects(self, *kinds: str) -> set[str]:
        """What there is of these kinds in the release's namespace."""
        said = self.cluster.kubectl(
            "get", ",".join(kinds), "-n", self.namespace, "-o", "name"
        ).stdout
        return set(said.split())


@pytest.fixture(scope="module")
def alone(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane of its own, without our kinds: releases bring and leave them."""
    with ControlPlane(control_plane.binaries) as running:
        yield running


@pytest.fixture(scope="module")
def release(alone: ControlPlane, home: Path) -> Helm:
    alone.api.create_namespace("portico-system")
    return Helm(alone, "portico-system", home)


def test_a_release_lives(release: Helm) -> None:
    """Installed, used, upgraded, uninstalled, installed again: in one order, so in one test."""
    kubectl = release.cluster.kubectl

    # The first install: the kinds come with it, the class after it (by a Job, here by hand).
    said = release("install", "portico", str(CHART), "--no-hooks")
    assert "kubectl get portico" in said
    apply_class(release)
    assert len(kubectl("get", "crd", "-o", "name").stdout.split()) == 13

    # The operator fills what the chart made empty; users make what is theirs.
    fill = '{"data": {"ca.crt": "filled"}}'
    kubectl(
        "patch", "configmap", "portico-ca-bundle", "-n", release.namespace, "--type=merge",
        f"-p={fill}",
    )  # fmt: skip
    secret = '{"data": {"authority.json": "ZmlsbGVk"}}'
    kubectl(
        "patch", "secret", "portico-ca", "-n", release.namespace, "--type=merge", f"-p={secret}"
    )
    kubectl("create", "-n", "default", "-f", "-", stdin=yaml.safe_dump(api("petstore")))

    # An upgrade: nothing of that is lost, and the class says what the values say now.
    release("upgrade", "portico", str(CHART), "--no-hooks", "--set=baseDomain=apis.example.com")
    apply_class(release)
    bundle = kubectl(
        "get", "configmap", "portico-ca-bundle", "-n", release.namespace, "-o", "json"
    ).stdout
    assert json.loads(bundle)["data"] == {"ca.crt": "filled"}
    kept = kubectl("get", "secret", "portico-ca", "-n", release.namespace, "-o", "json").stdout
    assert json.loads(kept)["data"] == {"authority.json": "ZmlsbGVk"}
    found = json.loads(kubectl("get", "porticoclass", "portico", "-o", "json").stdout)
    assert found["spec"] == {
        "default": True,
        "baseDomain": "apis.example.com",
        "generateApiKeys": False,
    }

    # An uninstall leaves the kinds, the class and what users made; nothing else.
    release("uninstall", "portico", "--no-hooks")
    assert len(kubectl("get", "crd", "-o", "name").stdout.split()) == 13
    kubectl("get", "porticoclass", "portico")
    kubectl("get", "restapi", "petstore", "-n", "default")
    namespaced = (
        "deployments,daemonsets,services,serviceaccounts,secrets,roles,rolebindings,"
        "networkpolicies,poddisruptionbudgets,jobs,pods"
    )
    assert release.objects(*namespaced.split(",")) == set()
    for kind in ("clusterroles", "clusterrolebindings"):
        ours = kubectl("get", kind, "-l", "app.kubernetes.io/name=portico", "-o", "name").stdout
        assert ours == ""

    # And it can be installed again over all that.
    release("install", "portico", str(CHART), "--no-hooks")
    kubectl("get", "restapi", "petstore", "-n", "default")


def api(name: str) -> Manifest:
    metadata = {"name": name}
    return {
        "apiVersion": "portico.dev/v1alpha1",
        "kind": "RestApi",
        "metadata": metadata,
        "spec": {},
    }


def apply_class(release: Helm) -> None:
    """What the Job does, as its account, without a pod."""
    done = run_job(release)
    assert done.returncode == 0, done.stderr
    assert "is applied" in done.stdout


def run_job(
    release: Helm, spec: Manifest | None = None, name: str = "portico"
) -> subprocess.CompletedProcess[str]:
    """The Job's script; with another spec than the values' if one is given."""
    hooks = helm.documents(release("get", "hooks", name))
    (job,) = [one for one in hooks if one["kind"] == "Job"]
    (pod,) = pod_specs(job)
    (container,) = pod["containers"]
    (variable,) = container["env"]
    documents = json.loads(variable["value"])
    for document in documents:
        document["spec"] = document["spec"] if spec is None else spec
    account = release.cluster.folder / "account"
    account.mkdir(exist_ok=True)
    (account / "token").write_text(
        release.cluster.api.service_account_token(release.namespace, pod["serviceAccountName"])
    )
    (account / "ca.crt").write_bytes(release.cluster.ca_file.read_bytes())
    _, *script = container["command"]
    return subprocess.run(
        [sys.executable, *script],
        env={
            "PATH": os.environ["PATH"],
            "ACCOUNT": str(account),
            "SERVER": release.cluster.url,
            "CLASSES": json.dumps(documents),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_class_that_is_refused_says_why(release: Helm) -> None:
    done = run_job(release, {"acountId": "123456789012"})
    assert done.returncode == 1
    assert "acountId" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def another_namespace(alone: ControlPlane) -> Iterator[str]:
    alone.api.create_namespace("edge-system")
    yield "edge-system"
    alone.api.remove_namespace("edge-system")


def test_two_releases_live_in_one_cluster(
    release: Helm, another_namespace: str, home: Path
) -> None:
    """The second brings a class of its own, and neither touches what is the other's."""
    kubectl = release.cluster.kubectl
    second = Helm(release.cluster, another_namespace, home)
    with pytest.raises(HelmFailed, match="cannot be imported into the current release"):
        second("install", "portico", str(CHART), "--no-hooks")
    # With the first one's name, and so its class's: the class stays whose it is.
    second("install", "portico", str(CHART), "--no-hooks", "--set=crds.install=false")
    apply_class(release)
    done = run_job(second)
    assert done.returncode == 1
    assert "PorticoClass portico belongs to the release portico-system/portico" in done.stderr
    assert "class.name" in done.stderr
    assert "Traceback" not in done.stderr
    values = ("--set=crds.install=false", "--set=class.name=edge", "--set=class.default=false")
    second("upgrade", "portico", str(CHART), "--no-hooks", *values)
    done = run_job(second)
    assert done.returncode == 0, done.stderr
    # In one namespace too, under another name.
    third = Helm(release.cluster, another_namespace, home)
    third("install", "third", str(CHART), "--no-hooks", *values[:1], "--set=class.default=false")
    assert run_job(third, name="third").returncode == 0
    classes = json.loads(kubectl("get", "porticoclass", "-o", "json").stdout)["items"]
    assert {one["metadata"]["name"]: one["spec"]["default"] for one in classes} == {
        "portico": True,
        "edge": False,
        "third-portico": False,
    }
    before = release("get", "manifest", "portico")
    second("uninstall", "portico", "--no-hooks")
    third("uninstall", "third", "--no-hooks")
    assert release("get", "manifest", "portico") == before
    ours = kubectl("get", "clusterrole", "-l", "app.kubernetes.io/name=portico", "-o", "name")
    assert "clusterrole.rbac.authorization.k8s.io/portico-operator-portico-system" in ours.stdout
    assert "edge-system" not in ours.stdout


def test_a_class_of_a_release_that_is_gone_can_be_handed_over(
    release: Helm, another_namespace: str, home: Path
) -> None:
    """With the very command that the refusal names."""
    second = Helm(release.cluster, another_namespace, home)
    values = ("--set=crds.install=false", "--set=class.default=false")
    second("install", "portico", str(CHART), "--no-hooks", *values)
    said = run_job(second).stderr
    command = said.partition("kubectl ")[2].split()
    release.cluster.kubectl(*command)
    done = run_job(second)
    assert done.returncode == 0, done.stderr
    refused = run_job(release)
    assert "belongs to the release edge-system/portico" in refused.stderr
    second("uninstall", "portico", "--no-hooks")
    release.cluster.kubectl(*command)
    apply_class(release)


def test_accounts_may_what_the_roles_say(release: Helm) -> None:
    """`kubectl auth can-i`, asked as the ServiceAccounts themselves."""
    cluster, namespace = release.cluster, release.namespace

    def may(account: str, *question: str) -> bool:
        token = cluster.api.service_account_token(namespace, account)
        config = f"--kubeconfig={cluster.kubeconfig_with(token, account)}"
        return cluster.kubectl("auth", "can-i", *question, config, check=False).stdout == "yes\n"

    operator = "portico-operator"
    assert may(operator, "list", "routes.portico.dev", "-A")
    assert may(operator, "patch", "routes.portico.dev/status", "--subresource=status", "-A") or may(
        operator, "patch", "routes.portico.dev", "--subresource=status", "-A"
    )
    assert may(operator, "patch", "secrets/portico-ca", "-n", namespace)
    assert may(operator, "create", "tokenreviews.authentication.k8s.io")
    for refused in (
        ("patch", "routes.portico.dev", "-A"),
        ("delete", "routes.portico.dev", "-A"),
        ("create", "secrets", "-n", namespace),
        ("patch", "secrets/another", "-n", namespace),
        ("patch", "leases/another", "-n", namespace),
        ("get", "pods", "-A"),
        ("patch", "configmaps/portico-ca-bundle", "-n", "default"),  # read: for truststores
        ("create", "configmaps", "-n", "default"),
        ("delete", "customresourcedefinitions"),
    ):
        assert not may(operator, *refused), refused
    data_plane = "portico-dataplane"
    for refused in (
        ("get", "secrets", "-n", namespace),
        ("get", "configmaps/portico-ca-bundle", "-n", namespace),
        ("list", "routes.portico.dev", "-A"),
        ("create", "tokenreviews.authentication.k8s.io"),
    ):
        assert not may(data_plane, *refused), refused


def test_values_that_the_schema_refuses_change_nothing(release: Helm) -> None:
    before = release("get", "manifest", "portico")
    with pytest.raises(HelmFailed, match="replicass"):
        release("upgrade", "portico", str(CHART), "--no-hooks", "--set=operator.replicass=3")
    assert release("get", "manifest", "portico") == before
