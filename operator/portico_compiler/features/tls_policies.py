"""Security policies by their names at AWS (AWS §8.5), as what OpenSSL is told.

Used by the pass of domains; the names themselves are in manifests/domains.py. Promises: no policy
lets in a version that its namesake refuses. What OpenSSL cannot be told from Python (the choice
among TLS 1.3's three ciphers, hybrid key exchange) is its own: docs/domains.md says so.
"""

from __future__ import annotations

from typing import Final

from portico_ir.domains import TlsPolicy

ENHANCED: Final = "SecurityPolicy_"
"""What the names begin with of policies that are for REST APIs only."""

_GCM = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
_CHACHA = ("ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305")
_CBC = (
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
)
_CBC_SHA1 = (
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
)
_RSA_EXCHANGE = ("AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256")
_RSA_EXCHANGE_SHA1 = ("AES128-SHA", "AES256-SHA")

_CLASSIC = (*_GCM, *_CBC, *_RSA_EXCHANGE)
_LEGACY = (*_GCM, *_CBC, *_CBC_SHA1, *_RSA_EXCHANGE, *_RSA_EXCHANGE_SHA1)


def _policy(*ciphers: str) -> TlsPolicy:
    return TlsPolicy(minimum="1.2", ciphers=ciphers, required=True)


_NEWEST: Final = TlsPolicy(minimum="1.3", required=True)
POLICIES: Final[dict[str, TlsPolicy]] = {
    "TLS_1_0": TlsPolicy(minimum="1.0", ciphers=_LEGACY, required=True),
    "TLS_1_2": _policy(*_CLASSIC),
    "SecurityPolicy_TLS13_1_3_2025_09": _NEWEST,
    "SecurityPolicy_TLS13_1_3_FIPS_2025_09": _NEWEST,
    "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09": _policy(*_GCM, *_CHACHA),
    "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09": _policy(*_GCM),
    "SecurityPolicy_TLS13_1_2_PQ_2025_09": _policy(*_CLASSIC),
    "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09": _policy(*_CLASSIC),
    "SecurityPolicy_TLS13_1_2_Ext2_PQ_2025_09": _policy(*_LEGACY),
    "SecurityPolicy_TLS13_1_2_Ext2_FIPS_PQ_2025_09": _policy(*_LEGACY),
    "SecurityPolicy_TLS13_1_2_2021_06": _policy(*_GCM, *_CBC),
    "SecurityPolicy_TLS13_2025_EDGE": _NEWEST,
    "SecurityPolicy_TLS12_PFS_2025_EDGE": _policy(*_GCM, *_CHACHA),
    "SecurityPolicy_TLS12_2018_EDGE": _policy(*_GCM, *_CHACHA, *_CBC, *_RSA_EXCHANGE),
}


def tls_policy(name: str | None) -> TlsPolicy:
    """What a securityPolicy stands for; without one TLS 1.2, and plaintext is served as well."""
    return TlsPolicy() if name is None else POLICIES[name]
