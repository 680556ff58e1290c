"""Security policies: every name that AWS has, and what OpenSSL makes of them."""

from __future__ import annotations

import ssl
from typing import get_args

import botocore.session
import pytest

from portico_compiler.features.tls_policies import POLICIES, tls_policy
from portico_compiler.manifests.domains import SecurityPolicy


def test_the_names_are_those_of_aws() -> None:
    model = botocore.session.get_session().get_service_model("apigateway")
    assert set(model.shape_for("SecurityPolicy").enum) == set(get_args(SecurityPolicy))
    assert set(POLICIES) == set(get_args(SecurityPolicy))


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_openssl_takes_each_cipher(name: str) -> None:
    policy = POLICIES[name]
    assert policy.required
    assert policy.minimum == "1.3" or policy.ciphers
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for cipher in policy.ciphers:
        context.set_ciphers(f"{cipher}:@SECLEVEL=0")
        assert cipher in {each["name"] for each in context.get_ciphers()}


def test_a_version_in_a_name_is_kept() -> None:
    for name, policy in POLICIES.items():
        expected = "1.3" if "TLS13_1_3" in name or name.endswith("TLS13_2025_EDGE") else "1.2"
        assert policy.minimum == ("1.0" if name == "TLS_1_0" else expected)
        if "PFS" in name or "FIPS_PFS" in name:
            assert all(cipher.startswith("ECDHE-") for cipher in policy.ciphers)
        if "FIPS" in name:
            assert not any("CHACHA20" in cipher for cipher in policy.ciphers)


def test_without_one_plaintext_is_served_too() -> None:
    assert (tls_policy(None).minimum, tls_policy(None).required) == ("1.2", False)
