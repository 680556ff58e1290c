"""The hot modules: what the compiled build turns into native code, and nothing else.

A module is here when a request runs through it often enough to be seen in
`python tests/bench/micro.py --profile`. What runs once per configuration, once per connection to
a backend, or awaits is left out: compiling it gains nothing a user would notice, takes time, and
makes one more module that cannot be patched or subclassed. So are modules whose whole work is
one call into C already (msgspec, re).

Read by `native_build.py`, and by `native_proof.py` for what must be native in a test run. A new
module of the request path belongs here once the microbenchmark shows it.
"""

from __future__ import annotations

from typing import Final

PACKAGES: Final = ("portico_ir", "portico_dataplane")
"""What is laid beside the compiled modules, so that one folder holds a whole data plane."""

HOT: Final = (
    "portico_dataplane.arrival",
    "portico_dataplane.core.broker",
    "portico_dataplane.core.caller",
    "portico_dataplane.core.context",
    "portico_dataplane.core.credentials",
    "portico_dataplane.core.forwarding",
    "portico_dataplane.core.identifiers",
    "portico_dataplane.core.key_counters",
    "portico_dataplane.core.lease",
    "portico_dataplane.core.leases",
    "portico_dataplane.core.line",
    "portico_dataplane.core.load",
    "portico_dataplane.core.messages",
    "portico_dataplane.core.retries",
    "portico_dataplane.core.router",
    "portico_dataplane.core.trie",
    "portico_dataplane.effects.lessee",
    "portico_dataplane.holder",
    "portico_dataplane.http.admission",
    "portico_dataplane.http.answer",
    "portico_dataplane.http.body",
    "portico_dataplane.http.buffering",
    "portico_dataplane.http.connection",
    "portico_dataplane.http.deadlines",
    "portico_dataplane.http.exchange",
    "portico_dataplane.http.forwarding",
    "portico_dataplane.http.head",
    "portico_dataplane.http.lines",
    "portico_dataplane.http.pools",
    "portico_dataplane.http.stall",
    "portico_dataplane.http.tunnel",
    "portico_dataplane.http.upstream",
    "portico_dataplane.http.upstream_head",
    "portico_dataplane.integrations.http",
    "portico_dataplane.policies.require_key",
    "portico_dataplane.policies.throttle",
    "portico_dataplane.runtime",
    "portico_dataplane.telemetry.access_log",
    "portico_dataplane.telemetry.meters",
    "portico_dataplane.workers.leasing",
    "portico_ir.ledger",
    "portico_ir.stock",
)

NEAR: Final = {
    "portico_dataplane.core.arns": "one regular expression and one join",
    "portico_dataplane.core.authorizer_cache": "one look-up in a dict",
    "portico_dataplane.core.authorizer_context": "access logs and mappings that name an authorizer",
    "portico_dataplane.core.balancing": "asked only where an upstream has several addresses",
    "portico_dataplane.core.claims": "once for each token that nobody has seen",
    "portico_dataplane.core.conditions": "policies with conditions only",
    "portico_dataplane.core.credential_sources": "closures, on routes with a function authorizer",
    "portico_dataplane.core.crowd": "once per connection",
    "portico_dataplane.core.domains": "hosts of one's own: closures, a few look-ups",
    "portico_dataplane.core.egress": "once per connection to a backend",
    "portico_dataplane.core.errors": "answers that are refusals",
    "portico_dataplane.core.explanation": "portico explain",
    "portico_dataplane.core.facts": "policies with conditions only",
    "portico_dataplane.core.holds": "what compiled classes cannot do: weak references, endings",
    "portico_dataplane.core.jose": "once for each token that nobody has seen; arithmetic in C",
    "portico_dataplane.core.judgement": "closures; kept answers remember what it said",
    "portico_dataplane.core.keyring": "a look-up for each token that nobody has seen",
    "portico_dataplane.core.paths": "paths with escapes only",
    "portico_dataplane.core.phases": "data",
    "portico_dataplane.core.sigv4": "signed requests: hashing outweighs it",
    "portico_dataplane.core.templates": "prepared ones are joins of a few strings",
    "portico_dataplane.core.tokens": "two look-ups for each token",
    "portico_dataplane.core.verdicts": "named tuples: made in C already",
    "portico_dataplane.core.wildcards": "closures over one str method each",
    "portico_dataplane.core.client_hello": "once per TLS connection: a signature outweighs it",
    "portico_dataplane.core.proxy_protocol": "once per connection behind a load balancer",
    "portico_dataplane.core.tls_facts": "once per TLS connection",
    "portico_dataplane.http.alerts": "handshakes that fail",
    "portico_dataplane.http.handshakes": "once per TLS connection",
    "portico_dataplane.http.listeners": "once per connection",
    "portico_dataplane.http.preface": "once per connection behind a load balancer",
    "portico_dataplane.http.tls": "once per TLS connection; its bytes are effects.tls_bytes'",
    "portico_dataplane.effects.tls_bytes": "a protocol that is a transport, of which a compiled "
    "class can be but one; three quarters of its time is OpenSSL's",
    "portico_dataplane.effects.tls_client": "once per TLS connection to a backend",
    "portico_dataplane.effects.peer_certificate": "once per connection that skips verification",
    "portico_dataplane.http.call": "functions: JSON outweighs it",
    "portico_dataplane.http.door": "once per connection",
    "portico_dataplane.http.flights": "only when an authorizer is asked: JSON outweighs it",
    "portico_dataplane.http.targets": "once per configuration",
}
"""Modules of the packages that requests run through, and why each is not hot: so that a module
split off a hot one is noticed (tests/native/test_hot_modules.py)."""
