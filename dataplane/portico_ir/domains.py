"""A domain of one's own: its hosts, its certificate, and which API answers below which path.

Written by the compiler's domains pass, read by the data plane's build (mappings, rules) and by
its listener (certificate, policy, authorities). AWS §8. Keys are Redacted; what a domain lacks
makes it `broken`, which refuses its hosts and nobody else's.
"""

from __future__ import annotations

from typing import Literal

from portico_ir.policies import Struct
from portico_ir.secrets import Redacted

TlsVersion = Literal["1.0", "1.2", "1.3"]
Routing = Literal["mappings", "rules", "rules-then-mappings"]


class TlsPolicy(Struct, frozen=True, kw_only=True):
    """What a securityPolicy stands for (AWS §8.5)."""

    minimum: TlsVersion = "1.2"
    """Lowest version of TLS that is spoken."""
    ciphers: tuple[str, ...] = ()
    """Up to TLS 1.2, by OpenSSL's names, best first; empty: OpenSSL's own choice."""
    required: bool = False
    """A policy was asked for: the hosts are refused where TLS does not end here."""


class Certificate(Struct, frozen=True, kw_only=True):
    """What a domain shows its clients."""

    chain: str
    """PEM: the certificate first, then its issuers."""
    key: Redacted
    """PEM."""


class MutualTls(Struct, frozen=True, kw_only=True):
    """Whom a domain lets in (AWS §6.4)."""

    authorities: str
    """PEM: certificates a client's chain may end in."""


class Mapping(Struct, frozen=True, kw_only=True):
    """A base path and what answers below it (AWS §8.2)."""

    key: str
    """`orders/v1`, compared segment by segment; empty takes what no other key takes."""
    api: str
    """Unit id of the API."""
    stage: str
    """Name of the stage."""
    object: str = ""
    """`namespace/name` of the ApiMapping."""
    broken: str = ""
    """Not empty: what begins with the key answers 500, and why. The key stays taken, or requests
    would reach another API instead."""


class HeaderGlob(Struct, frozen=True, kw_only=True):
    """A header and what it must look like (AWS §8.4)."""

    name: str
    """Lower case."""
    value: str
    """`*` at the beginning, the end or both stands for anything."""


class Rule(Struct, frozen=True, kw_only=True):
    """A routing rule (AWS §8.4)."""

    priority: int
    """1 to 1,000,000; ascending, the first match wins."""
    headers: tuple[tuple[HeaderGlob, ...], ...] = ()
    """Of each group one must match."""
    base_paths: tuple[str, ...] = ()
    """One must begin the path, segment by segment; empty: any path."""
    api: str
    """Unit id of the API."""
    stage: str
    """Name of the stage."""
    strip: bool = False
    """Take the matched base path off before routing."""
    broken: str = ""
    """Not empty: what it matches answers 500, and why."""


class DomainUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="domain"):
    """One DomainName. Unit id `domain/<namespace>/<name>`."""

    object: str
    """`namespace/name` of the DomainName, for explain, dumps and logs."""
    hosts: tuple[str, ...] = ()
    """Lower case; `*.example.com` takes one label or more that no other domain names."""
    certificate: Certificate | None = None
    """Absent: TLS, if any, ends before us."""
    policy: TlsPolicy = TlsPolicy()
    """Lowest version and ciphers."""
    mutual: MutualTls | None = None
    """Client certificates are asked for, and nobody is let in without."""
    routing: Routing = "mappings"
    """What chooses the API."""
    mappings: tuple[Mapping, ...] = ()
    """Sorted by key."""
    rules: tuple[Rule, ...] = ()
    """Sorted by priority."""
    redirect: bool = False
    """Plaintext requests are sent to https (ours)."""
    broken: str = ""
    """Not empty: the hosts fail closed, and why."""
