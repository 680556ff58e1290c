"""Both operators are gone: pods serve what they have, also after they start again."""

from __future__ import annotations

import pytest

from bed import eventually
from installation import HOST, NAMESPACE, Installation
from pod_client import PodClient

DATA_PLANE = "deployment/portico-dataplane"
OPERATOR = "deployment/portico-operator"


@pytest.fixture(scope="module")
def abandoned(petstore: Installation) -> Installation:
    """No operator; they come back with the last test."""
    petstore.scale(OPERATOR, 0)
    return petstore


def test_pods_stay_ready(abandoned: Installation, client: PodClient) -> None:
    with client.load("operators gone"):
        for pod in abandoned.pods(DATA_PLANE):
            assert pod["status"]["containerStatuses"][0]["ready"]


def test_a_container_that_is_killed_serves_its_last_good(
    abandoned: Installation, client: PodClient
) -> None:
    pod = abandoned.pods(DATA_PLANE)[0]
    name = pod["metadata"]["name"]
    (before,) = pod["status"]["containerStatuses"]
    container = before["containerID"].rpartition("/")[2]
    ctr = ("ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", "--all")
    abandoned.bed.on_node(*ctr, container)

    def again() -> bool:
        (now,) = abandoned.get(f"pod/{name}", NAMESPACE)["status"]["containerStatuses"]
        return now["containerID"] != before["containerID"] and bool(now["ready"])

    eventually(again, "the container serves again")
    address = abandoned.get(f"pod/{name}", NAMESPACE)["status"]["podIP"]
    asked = ("curl", "-sS", "--fail", "-H", f"Host: {HOST}", f"http://{address}:8080/pets/1")
    assert "Tiger" in client.in_its_network(*asked)


def test_a_backend_is_rolled_meanwhile(abandoned: Installation, client: PodClient) -> None:
    """Nobody tells the pods of new addresses: the Service's own stands in."""
    with client.load("a backend is rolled without operators", methods="GET"):
        abandoned.restart("deployment/files", "default")


def test_operators_come_back(abandoned: Installation, client: PodClient) -> None:
    with client.load("operators come back"):
        abandoned.scale(OPERATOR, 2)
        abandoned.programmed("restapis", "routes", namespace="default")
    abandoned.record("operators-back")
