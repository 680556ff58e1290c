"""Which pod is asked for usage; on a real API server in tests/cluster/test_cli_usage.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from portico_cli import usage_cluster
from portico_cli.cluster import ClusterFault, Forwarded
from portico_cli.usage import Told, UsageFault
from portico_cli.usage_cluster import ClusterKeeper


def pod(namespace: str, name: str, *arguments: str, container: str = "operator") -> dict[str, Any]:
    spec = {"containers": [{"name": container, "args": list(arguments)}]}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


class Cluster:
    """Two releases."""

    namespace = "shop"
    pods_: tuple[dict[str, Any], ...] = (
        pod("a", "a-1", "--lease=a", "--usage-port=1"),
        pod("a", "a-2", "--lease=a", "--usage-port=1"),
        pod("b", "b-1", "--lease=b", "--usage-port=2", "--usage-port=9"),
        pod("b", "proxy", "--lease=b", "--usage-port=2", container="other"),
        pod("c", "no-options"),
    )

    def __init__(self, *_: object) -> None:
        self.holders = {"a": "a-2_0a1b", "b": "b-1_ffff"}
        self.forwarded: list[tuple[str, str, int]] = []

    def pods(self, selector: str, namespace: str | None) -> Iterator[dict[str, Any]]:
        return (p for p in self.pods_ if namespace in (None, p["metadata"]["namespace"]))

    def lease(self, namespace: str, name: str) -> dict[str, Any]:
        if name not in self.holders:
            raise ClusterFault("not found", 404)
        return {"spec": {"holderIdentity": self.holders[name]}}

    def forward(self, namespace: str, pod: str, port: int) -> Forwarded:
        self.forwarded.append((namespace, pod, port))
        return Forwarded(None, lambda: "")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(usage_cluster, "Cluster", lambda *_: made)
    return made


def answering(monkeypatch: pytest.MonkeyPatch, *answers: Told) -> None:
    left = list(answers)
    monkeypatch.setattr(usage_cluster, "exchange", lambda *_: left.pop(0))


UNKNOWN = Told(404, {"message": "Invalid Usage Plan ID specified"})


def test_the_leader_of_each_release_until_one_knows_the_plan(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, UNKNOWN, Told(200, {}))
    assert ClusterKeeper(None, None, None).ask("GET", "/x").status == 200
    # The last option counts, as for the operator itself.
    assert cluster.forwarded == [("a", "a-2", 1), ("b", "b-1", 9)]


def test_a_namespace_says_which_release(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, UNKNOWN)
    assert ClusterKeeper(None, None, "b").ask("GET", "/x") == UNKNOWN
    assert cluster.forwarded == [("b", "b-1", 9)]


def test_nobody_leads(cluster: Cluster) -> None:
    cluster.holders = {"a": ""}
    with pytest.raises(UsageFault, match=r"no operator leads now \(Lease a/a, b/b\)"):
        ClusterKeeper(None, None, None).ask("GET", "/x")
    with pytest.raises(UsageFault, match="no operator of Portico runs in this namespace d"):
        ClusterKeeper(None, None, "d").ask("GET", "/x")


def test_who_may_not_look_is_told_what_to_say(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Iterator[dict[str, Any]]:
        raise ClusterFault("the API server refuses: pods is forbidden", 403)

    monkeypatch.setattr(cluster, "pods", refused)
    with pytest.raises(UsageFault, match=r"refuses.*; say --operator-namespace"):
        ClusterKeeper(None, None, None).ask("GET", "/x")
    with pytest.raises(UsageFault, match=r"forbidden$"):
        ClusterKeeper(None, None, "a").ask("GET", "/x")
