"""Targets: where an integration or an authorizer calls.

Called like `model.py`, which is made of these; the data plane resolves them at connect time.
"""

from __future__ import annotations

from typing import Final, Literal

from portico_ir.domains import Certificate
from portico_ir.policies import Struct

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
"""By scheme (RFC 9110 §4.2)."""


class UpstreamTls(Struct, frozen=True, kw_only=True):
    """How TLS is spoken to a backend (AWS §3.22, §4.3); `RoutesUnit.tls` holds them by digest."""

    server_name: str = ""
    """Sent as SNI and looked for in the certificate; empty: the target's host."""
    authorities: str = ""
    """PEM of the only ones trusted; empty: the system's."""
    certificate: Certificate | None = None
    """What the gateway shows; absent: nothing."""
    any_authority: bool = False
    """Take certificates of unknown authorities; name and dates must be right all the same."""


class ServiceTarget(Struct, frozen=True, kw_only=True, tag_field="target", tag="service"):
    """A Kubernetes Service by reference; its addresses come as endpoints."""

    upstream: str
    """Key into EndpointSet.upstreams: `namespace/service:port`."""
    host: str
    """Authority sent as Host, e.g. `pets.default.svc.cluster.local:80`."""
    scheme: Literal["http", "https"] = "http"
    """How to speak to it."""
    path: str = ""
    """Path and query with `{name}` variables; empty: the client's own path (after stage)."""
    append_path: bool = False
    """Append the client's path (after stage) to `path`."""
    weight: int = 1
    """Share among the targets of one integration; 0 takes nothing."""
    cluster_ip: str = ""
    """`ip:port`, tried when the stream has been down and every endpoint refuses."""
    tls: str = ""
    """Key into `RoutesUnit.tls`, where the scheme is https; empty: as UpstreamTls() says."""


class UrlTarget(Struct, frozen=True, kw_only=True, tag_field="target", tag="url"):
    """A plain URL; the dialer decides whether its address may be reached."""

    url: str
    """`http(s)://host[:port][/path][?query]` with `{name}` variables anywhere."""
    append_path: bool = False
    """Append the client's path (after stage): `$default` routes of HTTP APIs (AWS §4.3)."""
    weight: int = 1
    """As in ServiceTarget."""
    tls: str = ""
    """As in ServiceTarget."""


Target = ServiceTarget | UrlTarget
