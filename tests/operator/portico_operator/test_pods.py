"""Pods: live is ready and not terminating."""

from __future__ import annotations

from typing import Any

from portico_operator.pods import live, pods_of


def endpoint(name: str, **conditions: bool) -> dict[str, Any]:
    target = {"kind": "Pod", "name": name, "uid": f"u{name}"}
    return {"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": target}


def test_live_pods() -> None:
    slices: list[dict[str, Any]] = [
        {
            "endpoints": [
                endpoint("a", ready=True),
                endpoint("b", ready=False),
                endpoint("c", ready=True, terminating=True),
                endpoint("d"),
                {"addresses": ["10.0.0.9"], "conditions": {"ready": True}},
            ]
        },
        {"endpoints": None},
        {},
    ]
    assert {pod.name for pod in live(pods_of(slices)).values()} == {"a", "d"}


def test_a_pod_in_two_slices_is_one() -> None:
    slices = [
        {"endpoints": [endpoint("a", ready=False)]},
        {"endpoints": [endpoint("a", ready=True)]},
    ]
    assert len(live(pods_of(slices))) == 1
