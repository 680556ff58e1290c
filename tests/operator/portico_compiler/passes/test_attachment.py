"""An object takes part in an API that is there, that lets it, and that is served."""

from __future__ import annotations

import pytest

from deployments import compiled, deployment, shop
from portico_compiler import ObjectRef


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ({"name": "gone"}, "RefNotFound"),
        ({"name": "shop", "kind": "HttpApi"}, "RefNotFound"),
        ({"name": "shop", "namespace": "other"}, "RefNotFound"),
        ({"name": "shop"}, "RefNotPermitted"),
    ],
)
def test_why_not(reference: dict[str, str], reason: str) -> None:
    one = deployment("v1", apiRef=reference)
    if reason == "RefNotPermitted":
        one["metadata"]["namespace"] = "other"
        reference["namespace"] = "default"
    result = compiled([*shop(), one])
    ref = ObjectRef("ApiDeployment", one["metadata"]["namespace"], "v1")
    (found,) = [c for c in result.report.conditions[ref] if c.type == "ResolvedRefs"]
    assert (found.status, found.reason) == ("False", reason)


def test_with_a_grant_it_may() -> None:
    one = deployment("v1", apiRef={"name": "shop", "namespace": "default"})
    one["metadata"]["namespace"] = "other"
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g", "namespace": "default"},
        "spec": {
            "from": [{"group": "portico.dev", "kind": "ApiDeployment", "namespace": "other"}],
            "to": [{"group": "portico.dev", "kind": "RestApi"}],
        },
    }
    result = compiled([*shop(), one, grant])
    (found,) = result.deployments.candidates
    assert found.api == ObjectRef("RestApi", "default", "shop")
    assert found.origin.deployment.namespace == "other"
