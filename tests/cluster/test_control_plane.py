"""The test bed itself: what tests of the operator rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane import ControlPlane, Missing, programs
from kubernetes_api import Refused

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


def test_kubectl_reaches_it_and_knows_its_version(control_plane: ControlPlane) -> None:
    assert "Server Version: v1." in control_plane.kubectl("version").stdout


def test_access_control_is_real(control_plane: ControlPlane, fresh_namespace: str) -> None:
    api = control_plane.api
    account = {"name": "reader", "namespace": fresh_namespace}
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    token = api.service_account_token(fresh_namespace, "reader")
    config = control_plane.kubeconfig_with(token, "reader")
    asked = ("auth", "can-i", "list", "secrets", "-n", fresh_namespace)
    refused = control_plane.kubectl(*asked, f"--kubeconfig={config}", check=False)
    assert refused.stdout.strip() == "no"


def test_tokens_are_reviewed_by_audience_and_pod(
    control_plane: ControlPlane, fresh_namespace: str
) -> None:
    api = control_plane.api
    account = {"name": "pod", "namespace": fresh_namespace}
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    spec = {"serviceAccountName": "pod", "containers": [{"name": "c", "image": "none"}]}
    pod = api.create({"apiVersion": "v1", "kind": "Pod", "metadata": account, "spec": spec})
    token = api.service_account_token(
        fresh_namespace, "pod", audiences=["portico-operator"], pod=pod
    )

    def reviewed(audience: str) -> dict[str, object]:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {"name": ""},
            "spec": {"token": token, "audiences": [audience]},
        }
        status: dict[str, object] = api.create(review)["status"]
        return status

    ours = reviewed("portico-operator")
    assert ours["authenticated"] is True
    assert ours["user"]["extra"]["authentication.kubernetes.io/pod-uid"] == [  # type: ignore[index]
        pod["metadata"]["uid"]
    ]
    assert reviewed("another").get("authenticated", False) is False


def test_a_removed_namespace_is_gone(control_plane: ControlPlane) -> None:
    api = control_plane.api
    api.create_namespace("short-lived")
    api.create({**CONFIG_MAP, "metadata": {"name": "left", "namespace": "short-lived"}})
    api.remove_namespace("short-lived")
    with pytest.raises(Refused) as refused:
        api.get("v1", "Namespace", "short-lived")
    assert refused.value.status == 404


def test_the_api_server_comes_back_over_the_same_data() -> None:
    with ControlPlane() as mine:
        url = mine.url
        made = mine.api.create({**CONFIG_MAP, "metadata": {"name": "kept", "namespace": "default"}})
        mine.kill_api_server()
        with pytest.raises(OSError):
            mine.api.get("v1", "ConfigMap", "kept", "default")
        mine.start_api_server()
        assert mine.url == url
        again = mine.api.get("v1", "ConfigMap", "kept", "default")
        assert again["metadata"]["uid"] == made["metadata"]["uid"]
        folder = mine.folder
    assert not folder.exists()


def test_versions_from_before_a_compaction_are_gone() -> None:
    with ControlPlane() as mine:
        path = "/api/v1/namespaces/default/configmaps"
        before = mine.api.request("GET", path).body["metadata"]["resourceVersion"]
        for number in range(3):
            metadata = {"name": f"c{number}", "namespace": "default"}
            mine.api.create({**CONFIG_MAP, "metadata": metadata})
        mine.stop_api_server()
        mine.compact()
        mine.start_api_server()
        with pytest.raises(Refused) as refused:
            mine.api.request("GET", f"{path}?resourceVersion={before}&resourceVersionMatch=Exact")
        assert refused.value.status == 410


def test_assets_are_used_where_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(Missing, match="has no kube-apiserver, etcd, kubectl"):
        programs()
    for name in ("kube-apiserver", "etcd", "kubectl"):
        (tmp_path / name).touch(0o755)
    assert programs() == tmp_path


def test_a_machine_without_go_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Missing, match="no go on the PATH"):
        programs()
