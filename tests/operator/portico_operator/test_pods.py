"""Pods: what EndpointSlices say of them."""

from __future__ import annotations

from typing import Any

from portico_operator.pods import PodState, pods_of


def endpoint(name: str, **conditions: bool) -> dict[str, Any]:
    target = {"kind": "Pod", "name": name, "uid": f"u{name}"}
    return {"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": target}


def test_conditions_mean_what_they_mean_to_kubernetes() -> None:
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
    assert pods_of(slices) == {
        "ua": PodState("ua", "a", ready=True, terminating=False),
        "ub": PodState("ub", "b", ready=False, terminating=False),
        "uc": PodState("uc", "c", ready=True, terminating=True),
        "ud": PodState("ud", "d", ready=True, terminating=False),
    }


def test_a_pod_in_two_slices_is_one() -> None:
    slices = [
        {"endpoints": [endpoint("a", ready=False)]},
        {"endpoints": [endpoint("a", ready=True)]},
    ]
    assert pods_of(slices) == {"ua": PodState("ua", "a", ready=True, terminating=False)}
