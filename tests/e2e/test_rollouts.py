"""Everything that people do to a running gateway, under load: not one request fails."""

from __future__ import annotations

import pytest

from installation import Installation
from pod_client import PodClient

DATA_PLANE = "deployment/portico-dataplane"
OPERATOR = "deployment/portico-operator"


@pytest.mark.parametrize("workload", [DATA_PLANE, OPERATOR])
def test_rollout_restart(workload: str, client: PodClient, petstore: Installation) -> None:
    with client.load(f"rollout restart {workload}"):
        petstore.restart(workload)
    petstore.programmed("restapis", namespace="default")


@pytest.mark.parametrize("method", ["GET", "GET,POST"])
def test_scale_of_a_backend(method: str, client: PodClient, petstore: Installation) -> None:
    """Its pods end without a word: what was not sent, or may be sent twice, goes elsewhere."""
    with client.load(f"scale of a backend, {method}", methods=method):
        petstore.scale("deployment/files", 3, "default")
        petstore.scale("deployment/files", 1, "default")


def test_rollout_restart_of_a_backend(client: PodClient, petstore: Installation) -> None:
    with client.load("rollout restart of a backend", methods="GET"):
        petstore.restart("deployment/files", "default")


def test_scale_of_the_data_plane(client: PodClient, petstore: Installation) -> None:
    with client.load("scale of the data plane"):
        petstore.scale(DATA_PLANE, 3)
        petstore.scale(DATA_PLANE, 2)


def test_helm_upgrade(client: PodClient, petstore: Installation) -> None:
    """Other values of both: every pod is replaced."""
    former = petstore.names(DATA_PLANE) + petstore.names(OPERATOR)
    with client.load("helm upgrade"):
        petstore.upgrade(**{"dataPlane.logLevel": "debug", "operator.logLevel": "debug"})
        petstore.rolled_out(DATA_PLANE)
        petstore.gone(former)
    assert len(petstore.names(DATA_PLANE)) == len(petstore.names(OPERATOR)) == 2
    petstore.record("upgraded")


def test_edits(client: PodClient, petstore: Installation) -> None:
    """A Route that comes and goes, beside the one that is called."""
    kubectl = petstore.bed.kubectl
    with client.load("edits of the API"):
        for number in range(10):
            patch = f'{{"spec": {{"operationName": "edit{number}"}}}}'
            where = ("route/list-pets", "--namespace=default", "--type=merge")
            kubectl("patch", *where, "-p", patch)
            petstore.programmed("routes", namespace="default")
