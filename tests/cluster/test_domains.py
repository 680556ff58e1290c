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
from pki import Authority
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


async def test_certificates_and_truststores_are_watched(
    cluster: ControlPlane, edge: KubernetesApi, fresh_namespace: str
) -> None:
    """What a domain names is read when it comes and when it changes, and missed when it goes."""
    authority, host = Authority(), "www.shop.example"
    clients = {"truststoreRef": {"name": "clients"}}
    wanted = domain("shop", host, fresh_namespace)
    wanted["spec"] |= {"certificateRef": {"name": "tls"}, "mutualTlsAuthentication": clients}

    def holder(kind: str, name: str, entries: dict[str, str]) -> dict[str, Any]:
        metadata = {"name": name, "namespace": fresh_namespace}
        contents = {"stringData" if kind == "Secret" else "data": entries}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **contents}

    def certificate(*hosts: str) -> dict[str, Any]:
        pair = authority.server(*hosts)
        return holder("Secret", "tls", {"tls.crt": pair.chain, "tls.key": pair.key})

    edge.apply({**manifest("PorticoClass", "edge"), "metadata": {"name": "edge"}})
    planes = (DataPlane("edge", "edge-dataplane"),)
    async with running(cluster, fresh_namespace, data_planes=planes):
        edge.apply(wanted)

        def said(type_: str) -> tuple[str, str, str]:
            return condition(edge, "DomainName", "shop", fresh_namespace, type_)

        async def until(type_: str, reason: str, text: str = "") -> None:
            await eventually(
                lambda: said(type_)[1] == reason and text in said(type_)[2], f"{type_} {reason}"
            )

        await until("ResolvedRefs", "RefNotFound", "Secret")
        edge.apply(certificate("other.example"))
        await until("CertificateValid", "HostNotCovered", "other.example")
        await until("ResolvedRefs", "RefNotFound", "ConfigMap")
        edge.apply(holder("ConfigMap", "clients", {"ca.crt": "none"}))
        await until("ResolvedRefs", "CertificateInvalid", "it holds none")
        edge.apply(holder("ConfigMap", "clients", {"ca.crt": authority.pem}))
        await until("ResolvedRefs", "ResolvedRefs")
        edge.apply(certificate(host))
        await eventually(lambda: not said("CertificateValid")[1], "the certificate fits")
        status = edge.get(GROUP_VERSION, "DomainName", "shop", fresh_namespace)["status"]
        assert status["addresses"] == [f"https://{host}/"]
        edge.delete("v1", "ConfigMap", "clients", fresh_namespace)
        await until("ResolvedRefs", "RefNotFound", "ConfigMap")
