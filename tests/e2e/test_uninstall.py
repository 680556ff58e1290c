"""`helm uninstall` leaves the kinds, the users' objects, and what those own."""

from __future__ import annotations

from bed import eventually
from installation import NAMESPACE, Installation
from kubernetes_api import OURS
from pod_client import PodClient

REVISIONS = "controllerrevisions.apps"


def objects(installation: Installation) -> dict[str, str]:
    """Every object of our kinds, and every ControllerRevision: name to uid."""
    found = {}
    for plural in (*(f"{plural}.portico.dev" for plural in OURS.values()), REVISIONS):
        for item in installation.get(plural)["items"]:
            metadata = item["metadata"]
            key = f"{plural} {metadata.get('namespace', '')}/{metadata['name']}"
            found[key] = metadata["uid"]
    return found


def test_uninstall(client: PodClient, petstore: Installation) -> None:
    before = objects(petstore)
    secrets = {item["metadata"]["uid"] for item in petstore.get("secrets", "default")["items"]}
    assert "restapis.portico.dev default/petstore" in before
    petstore.uninstall()
    left = petstore.bed.kubectl("get", "all", f"--namespace={NAMESPACE}", "-o", "name").stdout
    assert left == ""
    served = petstore.bed.kubectl("api-resources", "--api-group=portico.dev", "-o", "name").stdout
    assert len(served.splitlines()) == len(OURS)
    assert objects(petstore) == before
    assert secrets == {i["metadata"]["uid"] for i in petstore.get("secrets", "default")["items"]}
    petstore.record("uninstalled")


def test_nothing_of_the_release_is_left(petstore: Installation) -> None:
    """Beyond the kinds, and the class that everyone's objects belong to."""
    kinds = "clusterroles,clusterrolebindings,roles,rolebindings,services,configmaps,secrets"
    kinds += ",serviceaccounts,leases,jobs,networkpolicies,poddisruptionbudgets"
    found = petstore.get(f"{kinds} --selector=app.kubernetes.io/instance=portico")["items"]
    assert [f"{item['kind']}/{item['metadata']['name']}" for item in found] == []


def test_an_install_finds_everything_again(client: PodClient, petstore: Installation) -> None:
    before = objects(petstore)
    petstore.install()
    petstore.programmed("restapis", "routes", namespace="default")
    eventually(lambda: objects(petstore) == before, "the same objects")
    with client.load("installed again"):
        assert petstore.test()
    petstore.uninstall()
