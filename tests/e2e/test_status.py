"""`kubectl apply`, and what every object says of itself."""

from __future__ import annotations

import json
from typing import Any

from bed import eventually
from installation import DOMAIN, Installation
from kubernetes_api import GROUP_VERSION, OURS

PLACE = "every-kind"
API = {"name": "shop"}
SPECS: dict[str, dict[str, Any]] = {
    "RestApi": {},
    "HttpApi": {},
    "WebSocketApi": {"routeSelectionExpression": "$request.body.action"},
    "Route": {"apiRef": API, "routeKey": "GET /mock", "integration": {"type": "MOCK"}},
    "Authorizer": {
        "apiRef": {"name": "orders", "kind": "HttpApi"},
        "authorizerType": "JWT",
        "identitySource": "$request.header.Authorization",
        "jwtConfiguration": {"issuer": "https://issuer.test", "audience": ["shop"]},
    },
    "Stage": {"apiRef": API, "stageName": "prod"},
    "ApiDeployment": {"apiRef": API},
    "UsagePlan": {"apiStages": [{"apiRef": API, "stage": "prod"}]},
    "ApiKey": {"secretRef": {"name": "keys", "key": "one"}},
    "IamUser": {"accessKeys": [{"secretRef": {"name": "keys"}}]},
    "DomainName": {"domainNames": ["shop.test"], "certificateRef": {"name": "certificate"}},
    "ApiMapping": {"domainRef": {"name": "domainname"}, "apiRef": API, "stage": "prod"},
}
NAMES = {"RestApi": "shop", "HttpApi": "orders", "WebSocketApi": "talk"}


def conditions(item: dict[str, Any]) -> dict[str, str]:
    return {one["type"]: one["status"] for one in item.get("status", {}).get("conditions", ())}


def test_the_example_is_programmed(petstore: Installation) -> None:
    """`kubectl wait --for=condition=Programmed` has returned; now every word of status."""
    petstore.record("applied")
    (api,) = petstore.get("restapis", "default")["items"]
    assert conditions(api) == {"Accepted": "True", "ResolvedRefs": "True", "Programmed": "True"}
    assert api["status"]["observedGeneration"] == api["metadata"]["generation"]
    assert len(api["status"]["apiId"]) == 10
    routes = petstore.get("routes", "default")["items"]
    assert len(routes) == 6
    for route in routes:
        assert set(conditions(route).values()) == {"True"}, route


def test_the_api_counts_the_pods_that_serve_it(petstore: Installation) -> None:
    def counted() -> bool:
        status = petstore.get("restapi/petstore", "default")["status"]
        found = status.get("dataPlane", {})
        return (found.get("pods"), found.get("acknowledged")) == (2, 2)

    eventually(counted, "two pods are counted")


def test_kubectl_get_portico_lists_addresses(petstore: Installation) -> None:
    table = petstore.bed.kubectl("get", "portico", "--namespace=default").stdout
    (line,) = [line for line in table.splitlines() if line.startswith("restapi.portico.dev/")]
    assert f"http://petstore.default.{DOMAIN}" in line
    assert "True" in line
    assert len([line for line in table.splitlines() if line.startswith("route.portico.dev/")]) == 6


def test_every_kind_has_a_status(petstore: Installation) -> None:
    """Whether its feature is built yet or not, each says what it has been taken for."""
    kubectl = petstore.bed.kubectl
    kubectl("create", "namespace", PLACE)
    kubectl(
        *("create", "secret", "generic", "keys", f"--namespace={PLACE}"),
        "--from-literal=one=0123456789abcdef0123",
        "--from-literal=accessKeyId=AKIDEXAMPLE000000000",
        "--from-literal=secretAccessKey=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    )
    assert SPECS.keys() | {"PorticoClass"} == OURS.keys()
    for kind, spec in SPECS.items():
        metadata = {"name": NAMES.get(kind, kind.lower()), "namespace": PLACE}
        manifest = {"apiVersion": GROUP_VERSION, "kind": kind, "metadata": metadata}
        kubectl("apply", "-f", "-", stdin=json.dumps(manifest | {"spec": spec}))
    for kind in SPECS:

        def told(kind: str = kind) -> bool:
            name = NAMES.get(kind, kind.lower())
            item = petstore.get(f"{OURS[kind]}.portico.dev/{name}", PLACE)
            current = item.get("status", {}).get("observedGeneration")
            return "Accepted" in conditions(item) and current == item["metadata"]["generation"]

        eventually(told, f"status of {kind}")
    petstore.record("every-kind")
    neighbours = petstore.get("routes", "default")["items"]
    assert all(set(conditions(route).values()) == {"True"} for route in neighbours)


def test_a_deployment_is_taken_once_its_api_is_settled(petstore: Installation) -> None:
    """What it holds is a revision, and the API owns that."""
    accepted = ("--for=condition=Accepted", "--timeout=60s", f"--namespace={PLACE}")
    petstore.bed.kubectl("wait", "apideployment/apideployment", *accepted)
    owner = petstore.get("restapis/shop", PLACE)["metadata"]["uid"]
    revisions = petstore.get("controllerrevisions.apps", PLACE)["items"]
    assert owner in {
        one["uid"] for item in revisions for one in item["metadata"]["ownerReferences"]
    }


def test_a_mistake_is_told_on_its_object_and_nowhere_else(petstore: Installation) -> None:
    kubectl = petstore.bed.kubectl
    broken = {
        "apiVersion": GROUP_VERSION,
        "kind": "Route",
        "metadata": {"name": "broken", "namespace": "default"},
        "spec": {
            "apiRef": {"name": "petstore"},
            "routeKey": "GET /broken",
            "integration": {"service": {"name": "nobody", "port": 80}},
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(broken))
    refused = ("--for=condition=ResolvedRefs=false", "--timeout=60s", "--namespace=default")
    kubectl("wait", "route/broken", *refused)
    petstore.record("mistaken")
    for route in petstore.get("routes", "default")["items"]:
        told = conditions(route)["ResolvedRefs"]
        assert told == ("False" if route["metadata"]["name"] == "broken" else "True")
    kubectl("delete", "route/broken", "--namespace=default")
    misspelt = broken | {"spec": {**broken["spec"], "routKey": "GET /x"}}  # type: ignore[dict-item]
    answer = kubectl("apply", "-f", "-", stdin=json.dumps(misspelt), check=False)
    assert answer.returncode != 0
    assert 'unknown field "spec.routKey"' in answer.stderr
