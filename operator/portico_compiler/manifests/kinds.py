"""The table of every kind that is read: its versions, its struct, how it is named.

Used by `world` (which documents are objects), `validation` (how they are decoded) and by
whoever lists kinds.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from portico_compiler.manifests import access, apis, classes, core, domains, routes, stages

GROUP = "portico.dev"
OUR_VERSIONS = (f"{GROUP}/v1alpha1",)


class Kind(NamedTuple):
    """How one kind is read."""

    name: str
    """As in `kind:`."""
    api_versions: tuple[str, ...]
    """Accepted values of `apiVersion:`."""
    shape: type[msgspec.Struct]
    """Struct of the document without envelope and metadata."""
    ours: bool = True
    """Group portico.dev: gets conditions, unknown fields are refused."""
    namespaced: bool = True
    """Has a namespace."""
    label_name: bool = False
    """The name must be a DNS label because it becomes part of a host name."""


def _core(shape: type[msgspec.Struct], *versions: str) -> Kind:
    return Kind(shape.__name__, versions, shape, ours=False)


def _ours(shape: type[msgspec.Struct]) -> Kind:
    return Kind(shape.__name__, OUR_VERSIONS, shape)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _ours(classes.PorticoClass)._replace(namespaced=False),
        _ours(apis.RestApi)._replace(label_name=True),
        _ours(apis.HttpApi)._replace(label_name=True),
        _ours(apis.WebSocketApi)._replace(label_name=True),
        _ours(routes.Route),
        _ours(access.Authorizer),
        _ours(stages.Stage),
        _ours(stages.ApiDeployment),
        _ours(access.UsagePlan),
        _ours(access.ApiKey),
        _ours(access.IamUser),
        _ours(domains.DomainName),
        _ours(domains.ApiMapping),
        _core(core.Service, "v1"),
        _core(core.EndpointSlice, "discovery.k8s.io/v1"),
        _core(core.Secret, "v1"),
        _core(core.ConfigMap, "v1"),
        _core(core.ControllerRevision, "apps/v1"),
        _core(
            core.ReferenceGrant,
            "gateway.networking.k8s.io/v1",
            "gateway.networking.k8s.io/v1beta1",
        ),
    )
}
