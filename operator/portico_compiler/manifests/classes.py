"""PorticoClass: what the platform team decides for a whole data plane.

Read by the pass that makes the gateway unit and the hosts of default endpoints.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from portico_compiler.manifests.shapes import (
    Host,
    LabelSelector,
    PlacedSecretKeyRef,
    Shape,
    Throttle,
)

Cidr = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$",
        max_length=64,
        description="an address or a range such as 10.0.0.0/8",
    ),
]
CidrOrHost = Annotated[str, Meta(min_length=1, max_length=253)]


class AllowedDomain(Shape, frozen=True, kw_only=True):
    """Which namespaces may claim which domains."""

    namespace_selector: LabelSelector | None = None
    """Labels of the namespace; absent: every namespace."""
    domains: tuple[Host, ...] = ()
    """Domains, and with `*.` what is below them."""


class Egress(Shape, frozen=True, kw_only=True):
    """Where `url` targets may lead although it is private."""

    allow: tuple[CidrOrHost, ...] = ()
    """Ranges and host names."""


RedisUrl = Annotated[
    str,
    Meta(
        pattern=r"^rediss?(\+sentinel|\+cluster)?://.+$",
        max_length=2048,
        description="a URL such as redis://host:6379/0, rediss://… for TLS, "
        "redis+sentinel://host:26379,other:26379/name or redis+cluster://host:6379",
    ),
]


class RedisStore(Shape, frozen=True, kw_only=True):
    """A Redis or Valkey that keeps usage."""

    url: RedisUrl
    """`redis://host:port/db`, `redis+sentinel://…/name`, `redis+cluster://…`; `rediss…` for TLS."""
    secret_ref: PlacedSecretKeyRef | None = None
    """Secret with the password; entry `password` unless `key` names another."""


class Store(Shape, frozen=True, kw_only=True):
    """Where usage is kept (design.md §7)."""

    redis: RedisStore | None = None
    """Absent: with the operator."""
    failure_mode: Literal["Keep", "Refuse"] = "Keep"
    """Store away: keep the last shares, or refuse."""


class PorticoClassSpec(Shape, frozen=True, kw_only=True):
    """spec of a PorticoClass."""

    default: bool = False
    """Takes objects without className."""
    base_domain: Host | None = None
    """Parent of default endpoints' hosts."""
    address_template: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    """Host of a default endpoint: `{api}.{namespace}.{baseDomain}`."""
    account_id: Annotated[str, Meta(pattern=r"^[0-9]{12}$", description="twelve digits")] | None = (
        None
    )
    """In ARNs and `$context.accountId`."""
    region: (
        Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}$", description="a region such as us-east-1")]
        | None
    ) = None
    """In ARNs and signature scopes."""
    account_throttle: Throttle | None = None
    """Token bucket of everything together."""
    allowed_domains: tuple[AllowedDomain, ...] = ()
    """Who may claim which domains; none: anybody any that is not under a baseDomain."""
    egress: Egress | None = None
    """Where `url` targets may lead."""
    trusted_proxies: Annotated[tuple[Cidr, ...], Meta(max_length=1000)] = ()
    """Whose `X-Forwarded-For` is believed."""
    store: Store | None = None
    """Where usage is kept."""
    generate_api_keys: bool = False
    """The operator makes the Secret of an ApiKey that has none; the chart must let it."""


class PorticoClass(Shape, frozen=True, kw_only=True):
    """A PorticoClass's document."""

    spec: PorticoClassSpec = PorticoClassSpec()
    """What is wanted."""
