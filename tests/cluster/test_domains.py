"""Hosts of their own on a real API server: labels of a namespace decide, as they are now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION, KubernetesApi
from manifests import manifest
from operators import condition, eventually, running
from portico_operator.settings import DataPlane

ALLOWED = {
    "allowedDomains": [
        {"domains": ["*.shop.example"], "namespaceSelector": {"matchLabels": {"team": "shop"}}}
    ]
}


@pytest.fixture
def edge(cluster: ControlPlane) -> Iterator[KubernetesApi]:
    """A class of this test's own."""
    class_ = {**manifest("PorticoClass", "edge", ALLOWED), "metadata": {"name": "edge"}}
    cluster.api.apply(class_)
    yield cluster.api
    cluster.api.delete(GROUP_VERSION, "PorticoClass", "edge")


def domain(name: str, host: str, namespace: str) -> dict[str, Any]:
    spec = {"className": "edge", "domainNames": [host], "certificateRef": {"name": "c"}}
    return manifest("DomainName", name, spec, namespace)


async def test_a_namespace_is_given_a_domain_by_its_labels(
    cluster: ControlPlane, edge: KubernetesApi, fresh_namespace: str
) -> None:
    planes = (DataPlane("edge", "edge-dataplane"),)
    async with running(cluster, fresh_namespace, data_planes=planes) as app:
        edge.apply(domain("ours", "www.shop.example", fresh_namespace))
        edge.apply(domain("theirs", "www.pets.example", fresh_namespace))
        edge.apply(domain("under", "x.localhost", fresh_namespace))

        def accepted(name: str) -> tuple[str, str, str]:
            return condition(edge, "DomainName", name, fresh_namespace, "Accepted")

        def label(team: str | None) -> None:
            patch = json.dumps({"metadata": {"labels": {"team": team}}})
            cluster.kubectl("patch", "namespace", fresh_namespace, "--type=merge", f"-p={patch}")

        await eventually(lambda: accepted("ours")[1] == "HostNotAllowed", "without the label")
        assert "give www.shop.example to other namespaces" in accepted("ours")[2]
        await asyncio.to_thread(label, "shop")
        await eventually(lambda: accepted("ours")[1] != "HostNotAllowed", "with the label")
        assert "not among the allowedDomains" in accepted("theirs")[2]
        assert "is under localhost" in accepted("under")[2]
        await asyncio.to_thread(label, None)
        await eventually(lambda: accepted("ours")[1] == "HostNotAllowed", "without it again")

        # Once nothing chooses by labels, nobody watches namespaces.
        class_ = manifest("PorticoClass", "edge", {"allowedDomains": [{"domains": ["*.example"]}]})
        edge.apply({**class_, "metadata": {"name": "edge"}})
        await eventually(lambda: accepted("ours")[1] != "HostNotAllowed", "open to all")
        assert not [scope for scope in app.store.wanted() if scope.kind == "Namespace"]
