"""Policies as data: one struct each, a closed tagged union.

A policy that a data plane does not know refuses the unit (fail closed): that is why the
union is closed and unknown fields are errors.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Struct(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """What every shape of the contract has in common."""


class Cors(Struct, frozen=True, kw_only=True, tag_field="policy", tag="cors"):
    """`corsConfiguration` (AWS §4.7)."""

    allow_origins: tuple[str, ...] = ()
    """Exact origins, `*`, `https://*` or `http://*`, as written."""
    allow_methods: tuple[str, ...] = ()
    """Upper case, or `*`."""
    allow_headers: tuple[str, ...] = ()
    """Header names, or `*`."""
    expose_headers: tuple[str, ...] = ()
    """Header names, or `*`."""
    max_age: int | None = None
    """Seconds; -1 to 86400; absent: no header."""
    allow_credentials: bool = False
    """Never together with origin `*`."""


class FailClosed(Struct, frozen=True, kw_only=True, tag_field="policy", tag="fail_closed"):
    """Something that restricts this route is broken or not built: answer 500, call nothing."""

    reason: str
    """For logs and explain; never sent to a client."""


class Authorize(Struct, frozen=True, kw_only=True, tag_field="policy", tag="authorize"):
    """An authorizer decides who calls (AWS §4.9, §4.10, §6)."""

    authorizer: str
    """Key into the `authorizers` of the unit that holds the route."""
    scopes: tuple[str, ...] = ()
    """`authorizationScopes`: a token must hold one of them; empty: none is asked for."""


class Signature(Struct, frozen=True, kw_only=True, tag_field="policy", tag="signature"):
    """`authorizationType: AWS_IAM`: a Signature Version 4, and a policy that allows (AWS §6.3)."""


class RequireKey(Struct, frozen=True, kw_only=True, tag_field="policy", tag="require_key"):
    """`apiKeyRequired`: a key of a plan that opens this stage (AWS §7.3)."""

    source: Literal["HEADER", "AUTHORIZER"] = "HEADER"
    """`x-api-key`, or the authorizer's `usageIdentifierKey` (AWS §6.5)."""


class Throttle(Struct, frozen=True, kw_only=True, tag_field="policy", tag="throttle"):
    """A token bucket that every request of the route passes (AWS §3.18)."""

    rate: float
    """Tokens per second; 0 with burst 0 lets nothing through."""
    burst: int
    """Capacity."""
    per_client: bool = False
    """One bucket for each client address (ours), instead of one for all."""
    instead_of_stage: bool = False
    """The stage's own setting for this route, which its default does not add to (AWS §3.15)."""


PolicySpec = Cors | FailClosed | Authorize | Signature | RequireKey | Throttle
