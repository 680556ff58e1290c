"""Targets: where an integration or an authorizer calls.

Called like `model.py`, which is made of these; the data plane resolves them at connect time.
"""

from __future__ import annotations

from typing import Final, Literal

from portico_ir.policies import Struct

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
"""By scheme (RFC 9110 §4.2)."""


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


class UrlTarget(Struct, frozen=True, kw_only=True, tag_field="target", tag="url"):
    """A plain URL; the dialer decides whether its address may be reached."""

    url: str
    """`http(s)://host[:port][/path][?query]` with `{name}` variables anywhere."""
    append_path: bool = False
    """Append the client's path (after stage): `$default` routes of HTTP APIs (AWS §4.3)."""
    weight: int = 1
    """As in ServiceTarget."""


Target = ServiceTarget | UrlTarget
