"""Kubernetes' own kinds, as far as they are read; fields we do not read are skipped.

Read by the passes that resolve Services and permissions.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A struct of Kubernetes: more fields than these are no mistake."""


class ServicePort(Part, frozen=True, kw_only=True):
    """A port of a Service."""

    port: Annotated[int, Meta(ge=1, le=65535)]
    """Number that clients use."""
    name: str | None = None
    """Name; EndpointSlices carry the same."""
    protocol: str | None = None
    """TCP when absent."""
    target_port: int | str | None = None
    """Number or name at the pod; EndpointSlices already say the number."""


class ServiceSpec(Part, frozen=True, kw_only=True):
    """spec of a Service."""

    type: str | None = None
    """ClusterIP when absent."""
    ports: tuple[ServicePort, ...] = ()
    """What it offers."""
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    """Virtual address; `None` for headless Services."""
    external_name: str | None = None
    """For ExternalName."""


class Service(Part, frozen=True, kw_only=True):
    """A Service's document."""

    spec: ServiceSpec = ServiceSpec()
    """What is offered."""


class EndpointConditions(Part, frozen=True, kw_only=True):
    """State of an endpoint; absent means unknown."""

    ready: bool | None = None
    """Takes traffic; unknown counts as ready."""
    serving: bool | None = None
    """Would take traffic if it were not ending."""
    terminating: bool | None = None
    """Is ending."""


class SliceEndpoint(Part, frozen=True, kw_only=True):
    """One pod, mostly."""

    addresses: tuple[str, ...] = ()
    """Addresses, of which the first counts."""
    conditions: EndpointConditions = EndpointConditions()
    """Its state."""


class SlicePort(Part, frozen=True, kw_only=True):
    """A port of every endpoint of a slice."""

    name: str | None = None
    """The Service port's name."""
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """Number at the pod."""
    protocol: str | None = None
    """TCP when absent."""


class EndpointSlice(Part, frozen=True, kw_only=True):
    """An EndpointSlice's document."""

    address_type: str = "IPv4"
    """IPv4, IPv6 or FQDN."""
    endpoints: tuple[SliceEndpoint, ...] = ()
    """Who answers."""
    ports: tuple[SlicePort, ...] = ()
    """On which ports."""


class Secret(Part, frozen=True, kw_only=True):
    """A Secret's document; its contents are not read here."""

    type: str | None = None
    """E.g. kubernetes.io/tls."""
    data: Any = None
    """Entries in base64, redacted."""
    string_data: Any = None
    """Entries as text, redacted."""


class ConfigMap(Part, frozen=True, kw_only=True):
    """A ConfigMap's document."""

    data: dict[str, str] = {}
    """Entries."""
    binary_data: dict[str, str] = {}
    """Entries in base64."""


class ControllerRevision(Part, frozen=True, kw_only=True):
    """A ControllerRevision's document; `revisions.packing` reads those that are ours."""

    data: Any = None
    """A state, or a part of one."""


class GrantFrom(Part, frozen=True, kw_only=True):
    """Who may refer."""

    group: str
    """API group; empty for Kubernetes' core."""
    kind: str
    """Kind of the object that refers."""
    namespace: str
    """Its namespace."""


class GrantTo(Part, frozen=True, kw_only=True):
    """What may be referred to."""

    group: str
    """API group; empty for Kubernetes' core."""
    kind: str
    """Kind of the object."""
    name: str | None = None
    """One object; absent: all of the kind."""


class ReferenceGrantSpec(Part, frozen=True, kw_only=True):
    """spec of a ReferenceGrant."""

    from_: tuple[GrantFrom, ...] = msgspec.field(name="from", default=())
    """Who may refer."""
    to: tuple[GrantTo, ...] = ()
    """What may be referred to in this namespace."""


class ReferenceGrant(Part, frozen=True, kw_only=True):
    """A ReferenceGrant's document."""

    spec: ReferenceGrantSpec = ReferenceGrantSpec()
    """What is granted."""
