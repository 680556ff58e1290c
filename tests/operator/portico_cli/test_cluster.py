"""A cluster as the command line reaches it; on a real API server in tests/cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico_cli.cluster import Cluster, ClusterFault

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, user: u, namespace: shop}}
- {name: two, context: {cluster: c, user: u}}
clusters:
- {name: c, cluster: {server: "http://127.0.0.1:1"}}
users:
- {name: u, user: {token: t}}
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    return str(file)


def test_the_namespace_is_that_of_the_context(kubeconfig: str) -> None:
    assert Cluster(kubeconfig, None).namespace == "shop"
    assert Cluster(kubeconfig, "two").namespace == "default"


def test_no_cluster_is_one_sentence(tmp_path: Path, kubeconfig: str) -> None:
    for file, context in ((str(tmp_path / "nowhere"), None), (kubeconfig, "three")):
        with pytest.raises(ClusterFault, match="no cluster: ") as raised:
            Cluster(file, context)
        assert "\n" not in str(raised.value)
        assert raised.value.status == 0


def test_nobody_answers(kubeconfig: str) -> None:
    with pytest.raises(ClusterFault, match="cannot be reached") as raised:
        list(Cluster(kubeconfig, None).list("apikeys", None))
    assert "\n" not in str(raised.value)
