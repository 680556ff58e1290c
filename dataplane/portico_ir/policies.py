"""Policies as data: one struct each, a closed tagged union.

A policy that a data plane does not know refuses the unit (fail closed): that is why the
union is closed and unknown fields are errors.
"""

from __future__ import annotations

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


PolicySpec = Cors | FailClosed
