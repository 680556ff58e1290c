"""The kinds that the operator lists and watches, and where the API server has them.

Used by every module of this package. The plural names are those of crds/; a test compares.
"""

from __future__ import annotations

from typing import NamedTuple

from portico_compiler.manifests.kinds import GROUP, KINDS
from portico_compiler.revisions.packing import LABEL

VERSION = "v1alpha1"
NAMESPACE = "Namespace"
REVISION_SELECTOR = LABEL
"""Label of the ControllerRevisions that are ours; a cluster has many others."""


class Resource(NamedTuple):
    """Where one kind is."""

    kind: str
    """As in `kind:`."""
    group: str
    """API group; empty: core."""
    version: str
    """Version that is asked for."""
    plural: str
    """As in paths."""
    namespaced: bool = True
    """Has a namespace."""
    selector: str = ""
    """Label selector of every list and watch."""

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path of the collection, of one object, or of a part of it."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{namespace}" if namespace else ""
        rest = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{where}/{self.plural}{rest}"

    def scope(self, namespace: str) -> tuple[str, dict[str, str]]:
        """Path and parameters of a list or watch of one namespace; empty: the cluster.

        Namespaces themselves are in none; one alone is asked for by its name, because that is how
        RBAC limits who may see it.
        """
        parameters = {"labelSelector": self.selector} if self.selector else {}
        if self.namespaced:
            return self.path(namespace), parameters
        if namespace and self.kind == NAMESPACE:
            parameters["fieldSelector"] = f"metadata.name={namespace}"
        return self.path(), parameters


def _ours(kind: str, plural: str) -> Resource:
    return Resource(kind, GROUP, VERSION, plural, KINDS[kind].namespaced)


OURS: dict[str, Resource] = {
    kind: _ours(kind, plural)
    for kind, plural in (
        ("PorticoClass", "porticoclasses"),
        ("RestApi", "restapis"),
        ("HttpApi", "httpapis"),
        ("WebSocketApi", "websocketapis"),
        ("Route", "routes"),
        ("Authorizer", "authorizers"),
        ("Stage", "stages"),
        ("ApiDeployment", "apideployments"),
        ("UsagePlan", "usageplans"),
        ("ApiKey", "apikeys"),
        ("IamUser", "iamusers"),
        ("DomainName", "domainnames"),
        ("ApiMapping", "apimappings"),
    )
}
"""Our kinds, all of them required."""

CORE: dict[str, Resource] = {
    resource.kind: resource
    for resource in (
        Resource("Service", "", "v1", "services"),
        Resource("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
        Resource("Secret", "", "v1", "secrets"),
        Resource("ConfigMap", "", "v1", "configmaps"),
        Resource(
            "ControllerRevision", "apps", "v1", "controllerrevisions", selector=REVISION_SELECTOR
        ),
        Resource(NAMESPACE, "", "v1", "namespaces", namespaced=False),
    )
}
"""Kubernetes' kinds, required in the namespaces that are referred to; namespaces themselves where
something chooses by their labels."""

GRANTS: tuple[Resource, ...] = tuple(
    Resource("ReferenceGrant", "gateway.networking.k8s.io", version, "referencegrants")
    for version in ("v1", "v1beta1")
)
"""Optional: the first version that is served counts; none means no grant."""
