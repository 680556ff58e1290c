"""PodWatch: who is there, who has left, and that nobody knows yet."""

from __future__ import annotations

from typing import Any

from fake_kube import FakeKube, error
from portico_operator.cluster.pod_watch import PodWatch


def slice_of(name: str, *pods: str) -> dict[str, Any]:
    targets = [{"targetRef": {"kind": "Pod", "name": pod, "uid": f"u{pod}"}} for pod in pods]
    return {"metadata": {"name": name}, "endpoints": targets}


def watch() -> PodWatch:
    return PodWatch(FakeKube(), "n", "dataplane", lambda: None)


def test_nothing_is_known_before_a_list() -> None:
    pods = watch()
    assert not pods.known
    pods.listed([slice_of("s", "a", "b")], 1)
    assert pods.known
    assert set(pods.states) == {"ua", "ub"}


def test_pods_that_left_are_gone_until_they_are_back() -> None:
    pods = watch()
    pods.listed([slice_of("s", "a", "b")], 1)
    pods.event("MODIFIED", slice_of("s", "b"))
    assert pods.is_gone("ua")
    assert not pods.is_gone("ub")
    assert not pods.is_gone("never seen")
    pods.event("ADDED", slice_of("t", "a"))
    assert not pods.is_gone("ua")
    pods.event("BOOKMARK", {"metadata": {}})
    pods.event("DELETED", slice_of("t", "a"))
    assert pods.is_gone("ua")


def test_pods_that_may_not_be_listed_are_none() -> None:
    pods = watch()
    pods.absent(error(403))
    assert pods.known
    assert not pods.states
